//! The health of a service whose Redis is killed, stopped and started again.

use super::outage::{INTERVAL, Observed, TIMEOUT, message, tasks};
use super::server::{Server, free_port};
use c13_reliability::distributed::Redis;
use c13_reliability::microservices::health::{HealthStatus, RedisChecker};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// A user with a password, so that there is one to be kept secret.
const USER: &[&str] = &["--user", "app", "on", ">s3cret", "~*", "+@all"];

fn checker(server: &Server) -> RedisChecker {
    let url = format!("redis://app:s3cret@127.0.0.1:{}", server.port);
    RedisChecker::new(Redis::open(&url).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_is_named_within_its_interval_and_back_within_a_second() {
    let mut server = Server::start_with(free_port(), USER);
    let observed = Observed::start(checker(&server)).await;
    observed.until(HealthStatus::Healthy, 2 * SECOND).await;

    server.kill();
    // The next look begins within the interval and ends at once; the rest is for a machine that is busy.
    let (down, report) = observed.until(HealthStatus::Unhealthy, INTERVAL + TIMEOUT).await;
    assert_eq!(report.checks[0].name, "redis");
    assert!(!message(&report).is_empty(), "{report:?}");

    let port = server.port;
    drop(server);
    let _server = Server::start_with(port, USER);
    let (back, _) = observed.until(HealthStatus::Healthy, SECOND).await;
    println!("Redis killed: not ready after {down:?}, ready {back:?} after it answered again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_costs_one_timeout_at_a_time_and_no_pile_of_tasks() {
    let server = Server::start_with(free_port(), USER);
    let observed = Observed::start(checker(&server)).await;
    observed.until(HealthStatus::Healthy, 2 * SECOND).await;
    let before = tasks();

    server.signal("-STOP");
    let (_, report) = observed.until(HealthStatus::Unhealthy, INTERVAL + 2 * TIMEOUT).await;
    assert_eq!(message(&report), "no answer within 300ms");
    observed.bear_a_hang(before).await;

    server.signal("-CONT");
    let (back, _) = observed.until(HealthStatus::Healthy, SECOND).await;
    println!("Redis stopped: ready {back:?} after it went on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_wants_another_password_is_not_well_and_the_password_is_not_shown() {
    let server = Server::start_with(free_port(), USER);
    let wrong = Redis::open(&format!("redis://app:s3cret-too@127.0.0.1:{}", server.port)).unwrap();
    let observed = Observed::start(RedisChecker::named("sessions", wrong)).await;
    let (_, report) = observed.until(HealthStatus::Unhealthy, 2 * SECOND).await;
    assert_eq!(report.checks[0].name, "sessions");
    assert!(!message(&report).is_empty(), "{report:?}");
}
