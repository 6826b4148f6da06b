//! Uses every name that users were promised, at its path and with its signature.

use c13_reliability::patterns::circuit_breaker::{
    CircuitBreaker, CircuitBreakerError, CircuitMetrics, CircuitState, circuit_config,
};
use c13_reliability::patterns::rate_limiter::{RateLimitError, SlidingWindowRateLimiter, TokenBucketRateLimiter};
use c13_reliability::patterns::retry::{
    RetryError, RetryExecutor, RetryStrategy, retry_config, retry_with_exponential_backoff,
};
use c13_reliability::policy::{Policy, PolicyConfig, PolicyError, Profile};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

#[derive(Debug, PartialEq)]
struct MyError(&'static str);

impl fmt::Display for MyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for MyError {}

const _: () = assert!(circuit_config::validate());
const _: () = assert!(circuit_config::FAILURE_THRESHOLD == 5 && circuit_config::SUCCESS_THRESHOLD == 2);
const _: () = assert!(circuit_config::TIMEOUT_MS == 30_000 && circuit_config::TIMEOUT.as_secs() == 30);
const _: () = assert!(circuit_config::HALF_OPEN_TIMEOUT.as_secs() == 5);
const _: () = assert!(retry_config::MAX_RETRIES == 3 && retry_config::INITIAL_BACKOFF_MS == 100);
const _: () = assert!(retry_config::MAX_BACKOFF_MS == 10_000 && retry_config::BACKOFF_MULTIPLIER == 2.0);
const _: () = assert!(retry_config::INITIAL_BACKOFF.as_millis() == 100 && retry_config::MAX_BACKOFF.as_secs() == 10);
const LONGEST_RETRY_MS: f64 = retry_config::max_retry_time_ms();
const _: () = assert!(CircuitState::Closed as u8 == 0 && CircuitState::Open as u8 == 1);
const _: () = assert!(CircuitState::HalfOpen as u8 == 2);

async fn circuit_breaker() {
    let breaker = CircuitBreaker::new(2_u64, 1_u64, Duration::from_secs(60));
    for _ in 0..2 {
        let result: Result<(), CircuitBreakerError<MyError>> = breaker.call(async { Err(MyError("down")) }).await;
        assert!(matches!(result, Err(CircuitBreakerError::CallFailed(MyError("down")))));
    }
    assert_eq!(breaker.current_state(), CircuitState::Open);
    match breaker.call(async { Ok::<_, MyError>(1) }).await {
        Err(CircuitBreakerError::CircuitOpen { retry_after }) => {
            assert!(retry_after.is_some_and(|wait| wait <= Duration::from_secs(60)));
        }
        other => panic!("an open circuit refuses, but got {other:?}"),
    }
    let metrics: CircuitMetrics = breaker.metrics();
    assert_eq!((metrics.failure_count, metrics.success_count, metrics.rejection_count), (2, 0, 1));
    assert_eq!((metrics.total_requests, metrics.state_transitions), (3, 1));
}

async fn rate_limiters() {
    let bucket = TokenBucketRateLimiter::new(2_u64, 0.1_f64);
    bucket.acquire(1).await.expect("a full bucket");
    bucket.try_acquire(1).expect("one token is left");
    match bucket.acquire(1).await {
        Err(RateLimitError::RateLimitExceeded { requested, available, retry_after }) => {
            assert_eq!((requested, available), (1, 0));
            assert!(retry_after > Duration::ZERO && retry_after <= Duration::from_secs(10));
        }
        other => panic!("an empty bucket refuses, but got {other:?}"),
    }
    assert!(bucket.try_acquire(3).is_err());
    let _ = bucket.available_tokens();

    let window = SlidingWindowRateLimiter::new(Duration::from_secs(60), 1_u64);
    window.acquire().await.expect("the window is empty");
    assert!(matches!(window.acquire().await, Err(RateLimitError::RateLimitExceeded { .. })));
}

async fn retry() {
    let fixed = RetryStrategy::FixedDelay(Duration::from_millis(1));
    assert_eq!(fixed.backoff_duration(0_u32), Duration::from_millis(1));
    let exponential = RetryStrategy::ExponentialBackoff {
        initial: Duration::from_millis(100),
        max: Duration::from_secs(10),
        multiplier: 2.0,
    };
    assert_eq!(exponential.backoff_duration(3), Duration::from_millis(800));
    let linear = RetryStrategy::LinearBackoff {
        initial: Duration::from_millis(10),
        increment: Duration::from_millis(5),
        max: Duration::from_millis(18),
    };
    assert_eq!(linear.backoff_duration(1), Duration::from_millis(15));
    assert_eq!(linear.backoff_duration(u32::MAX), Duration::from_millis(18));

    let executor = RetryExecutor::new(2, fixed);
    let mut attempts = 0;
    let result = executor
        .execute(|| {
            attempts += 1;
            let attempt = attempts;
            async move { if attempt < 3 { Err(MyError("not yet")) } else { Ok(attempt) } }
        })
        .await;
    assert!(matches!(result, Ok(3)));

    let boxed = executor
        .execute(|| -> Pin<Box<dyn Future<Output = Result<(), MyError>>>> { Box::pin(async { Err(MyError("down")) }) })
        .await;
    match boxed {
        Err(RetryError::MaxRetriesExceeded { attempts, last_error }) => {
            assert_eq!((attempts, last_error), (3, MyError("down")));
        }
        other => panic!("two retries are three attempts, but got {other:?}"),
    }
    let value = retry_with_exponential_backoff(|| async { Ok::<_, MyError>(7) }, 3).await;
    assert!(matches!(value, Ok(7)));
    assert!(LONGEST_RETRY_MS >= 700.0);
}

async fn policy() {
    let policy = Policy::new(Profile::Critical.config()).expect("the profile is checked while compiling");
    assert!(matches!(policy.call(|| async { Ok::<_, MyError>(1) }).await, Ok(1)));
    let failed: Result<(), PolicyError<MyError>> =
        Policy::new(Profile::Standard.config()).expect("likewise").call(|| async { Err(MyError("down")) }).await;
    let error = failed.expect_err("every attempt failed");
    assert_eq!((error.attempts(), error.error()), (3, Some(&MyError("down"))));
    let error = boxed_errors().await.expect_err("the one attempt failed");
    assert_eq!(error.to_string(), "failed: down");
}

/// `?` on a policy whose calls fail with `Box<dyn Error>`.
async fn boxed_errors() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let policy = Policy::new(PolicyConfig::NONE)?;
    let call = || async { Err::<(), Box<dyn std::error::Error + Send + Sync>>("down".into()) };
    Ok(policy.call(call).await.map_err(PolicyError::boxed)?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    circuit_breaker().await;
    rate_limiters().await;
    retry().await;
    policy().await;
    println!("every promised name is where it was promised");
}
