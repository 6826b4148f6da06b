//! A policy around plain functions: asynchronous, blocking, and with a fallback.

use c13_reliability::patterns::circuit_breaker::CircuitBreakerConfig;
use c13_reliability::patterns::fallback::Fallback;
use c13_reliability::patterns::retry::{RetryConfig, RetryStrategy};
use c13_reliability::policy::{Policy, PolicyConfig};
use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Fails every third time.
async fn fetch(number: &AtomicU32) -> io::Result<u32> {
    // Relaxed: nothing but the number is shared.
    let number = number.fetch_add(1, Ordering::Relaxed);
    if number.is_multiple_of(3) {
        return Err(io::Error::from(io::ErrorKind::ConnectionReset));
    }
    Ok(number)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let retry = RetryConfig::new(2, RetryStrategy::FixedDelay(Duration::from_millis(1)));
    let breaker = CircuitBreakerConfig::new().consecutive_failures(2);
    let policy = Policy::new(
        PolicyConfig::NONE
            .total_timeout(Duration::from_secs(5))
            .retry(retry)
            .circuit_breaker(breaker),
    )?;

    let number = AtomicU32::new(0);
    let answer = policy.call(|| fetch(&number)).await?;
    println!("the first attempt was reset, the second gave {answer}");
    assert_eq!(answer, 1);

    let length = policy.call_sync(|| std::fs::read("Cargo.toml").map(|bytes| bytes.len()));
    println!("a blocking call through the same gates: {} bytes", length.unwrap_or(0));

    for attempt in 1..=2 {
        let failed = policy.call_sync(|| Err::<(), _>(io::Error::from(io::ErrorKind::TimedOut)));
        println!("failure {attempt}: {}", failed.expect_err("it always fails"));
    }
    let refused = policy.call(|| fetch(&number)).await.expect_err("two failures in a row");
    println!("and now: {refused}");
    assert!(refused.is_circuit_open() && refused.retry_after().is_some());

    let with_fallback = policy.typed::<u32, io::Error>().fallback(Fallback::value(7));
    let answer = with_fallback.call(|| fetch(&number)).await?;
    println!("with a fallback: {answer}");
    assert_eq!(answer, 7);
    Ok(())
}
