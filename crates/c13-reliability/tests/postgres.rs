//! The health of a service whose Postgres is killed, stopped and started again. The tests start a server of their own
//! with the programs of C13_TEST_POSTGRES_BIN, because a server that others share cannot be killed.
#![cfg(all(feature = "axum", feature = "postgres"))]
#![expect(clippy::unwrap_used, reason = "tests, their helpers included, fail loudly")]

#[cfg(feature = "redis")]
#[path = "postgres/fencing.rs"]
mod fencing;
#[cfg(feature = "redis")]
#[path = "postgres/guide.rs"]
mod guide;
#[path = "it/health/outage.rs"]
mod outage;
#[path = "postgres/server.rs"]
mod server;

use c13_reliability::microservices::health::{DatabaseHealthChecker, HealthStatus};
use c13_reliability::patterns::bulkhead::BulkheadConfig;
use c13_reliability::patterns::circuit_breaker::{CircuitBreakerConfig, CircuitState};
use c13_reliability::patterns::retry::{RetryConfig, RetryStrategy};
use c13_reliability::policy::{Policy, PolicyConfig};
use c13_reliability::time::Clock;
use outage::{INTERVAL, Observed, TIMEOUT, message, tasks};
use server::Server;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgres_is_named_within_its_interval_and_back_within_a_second() {
    let mut server = Server::new("killed");
    server.ready().await;
    let observed = Observed::start(DatabaseHealthChecker::new(server.pool())).await;
    observed.until(HealthStatus::Healthy, 2 * SECOND).await;

    server.kill();
    // The next look begins within the interval and ends at once; the rest is for a machine that is busy.
    let (down, mut report) = observed.until(HealthStatus::Unhealthy, INTERVAL + TIMEOUT).await;
    assert_eq!(report.checks[0].name, "database");
    // A look that was under way ends in another way; the next is refused.
    for _ in 0..100 {
        if !message(&report).contains("refused") {
            observed.clock.sleep(INTERVAL / 4).await;
            report = observed.until(HealthStatus::Unhealthy, INTERVAL).await.1;
        }
    }
    assert!(message(&report).contains("refused"), "{report:?}");

    server.restart();
    server.ready().await;
    let (back, _) = observed.until(HealthStatus::Healthy, SECOND).await;
    println!("Postgres killed: not ready after {down:?}, ready {back:?} after it answered again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_hangs_costs_one_timeout_at_a_time_and_no_pile_of_tasks() {
    let server = Server::new("stopped");
    server.ready().await;
    let pool = server.pool();
    let observed = Observed::start(DatabaseHealthChecker::new(pool.clone())).await;
    observed.until(HealthStatus::Healthy, 2 * SECOND).await;
    let before = tasks();

    server.signal("STOP");
    let (_, report) = observed.until(HealthStatus::Unhealthy, INTERVAL + 2 * TIMEOUT).await;
    assert_eq!(message(&report), "no answer within 300ms");
    observed.bear_a_hang(before).await;
    assert!(pool.size() <= 3);

    server.signal("CONT");
    let (back, _) = observed.until(HealthStatus::Healthy, SECOND).await;
    println!("Postgres stopped: ready {back:?} after it went on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_leaves_a_killed_postgres_alone_and_comes_back_with_it() {
    let mut server = Server::new("policy");
    server.ready().await;
    let pool = server.pool();
    let breaker = CircuitBreakerConfig::new().consecutive_failures(4).open_for(INTERVAL);
    let config = PolicyConfig::NONE
        .total_timeout(5 * SECOND)
        .bulkhead(BulkheadConfig::new(3).queue(10, SECOND))
        .retry(RetryConfig::new(1, RetryStrategy::FixedDelay(Duration::from_millis(1))))
        .circuit_breaker(breaker);
    let policy = Policy::new(config).unwrap();
    let ask = || policy.call(|| sqlx::query_scalar::<_, i32>("SELECT 40 + 2").fetch_one(&pool));
    assert_eq!(ask().await.unwrap(), 42);

    server.kill();
    let mut refused = 0;
    for _ in 0..20 {
        refused += usize::from(ask().await.unwrap_err().is_circuit_open());
    }
    assert!(refused >= 10, "{refused} of 20 calls were refused at once");

    server.restart();
    server.ready().await;
    let clock = Clock::system();
    let limit = clock.now() + 10 * SECOND;
    while policy.circuit_breaker().unwrap().current_state() != CircuitState::Closed {
        assert!(clock.now() < limit, "the circuit does not close");
        let _ = ask().await;
        clock.sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ask().await.unwrap(), 42);
}
