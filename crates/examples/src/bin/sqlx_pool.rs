//! A policy around the queries of a sqlx pool. With `DATABASE_URL` it asks that Postgres; without, one that is down, which
//! is when a policy earns its keep.

use c13_reliability::patterns::bulkhead::BulkheadConfig;
use c13_reliability::patterns::circuit_breaker::CircuitBreakerConfig;
use c13_reliability::patterns::retry::{RetryConfig, RetryStrategy};
use c13_reliability::policy::{ClassifiedPolicy, Policy, PolicyConfig, PolicyError};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::error::Error;
use std::time::Duration;

/// As many calls at a time as the pool has connections: a call waits here for a free connection, where the wait is counted.
/// The errors of sqlx say themselves whether the database failed; all queries here are reads, and may be made twice.
fn database(connections: u32) -> Result<ClassifiedPolicy<sqlx::Error>, Box<dyn Error>> {
    let retry = RetryConfig::new(1, RetryStrategy::FixedDelay(Duration::from_millis(20)));
    let config = PolicyConfig::NONE
        .total_timeout(Duration::from_secs(2))
        .attempt_timeout(Duration::from_millis(900))
        .bulkhead(BulkheadConfig::new(connections).queue(connections, Duration::from_millis(500)))
        .retry(retry)
        .circuit_breaker(CircuitBreakerConfig::new().consecutive_failures(4));
    Ok(Policy::new(config)?.classify_errors().idempotent())
}

async fn select(
    pool: &PgPool,
    policy: &ClassifiedPolicy<sqlx::Error>,
    query: &'static str,
) -> Result<i32, PolicyError<sqlx::Error>> {
    policy.call(|| sqlx::query_scalar(query).fetch_one(pool)).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let connections = 4;
    // Nobody listens on the port of "discard".
    let url = std::env::var("DATABASE_URL").unwrap_or_else(|_| "postgres://app@127.0.0.1:9/app".to_owned());
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_millis(800))
        .connect_lazy(&url)?;
    let policy = database(connections)?;

    match select(&pool, &policy, "SELECT 40 + 2").await {
        Ok(answer) => {
            println!("the database answers {answer}");
            assert_eq!(answer, 42);
            let wrong = select(&pool, &policy, "SELECT nonsense")
                .await
                .expect_err("there is no such column");
            println!("a wrong query is made once: {wrong}");
            assert_eq!(wrong.attempts(), 1);
        }
        Err(down) => {
            // How many attempts fit depends on how busy the machine is.
            println!("the database is down: {down}");
            for _ in 0..3 {
                let refused = select(&pool, &policy, "SELECT 1").await.err();
                if let Some(refused) = refused.filter(PolicyError::is_circuit_open) {
                    println!("and is left alone: {refused}");
                    break;
                }
            }
        }
    }
    Ok(())
}
