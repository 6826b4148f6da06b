//! What a user of fallbacks relies on, through the public names only.

use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerError, CircuitState};
use c13_reliability::patterns::fallback::{Fallback, FallbackError};
use c13_reliability::patterns::retry::{RetryConfig, RetryError, RetryExecutor, RetryStrategy};
use c13_reliability::patterns::timeout::{Timeout, TimeoutConfig, TimeoutError};
use c13_reliability::time::Executor;
use std::cell::Cell;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

// CO-01, outside a retry.
#[test]
fn a_fallback_outside_a_retry_answers_after_its_last_attempt() {
    let executor = Executor::new();
    let config = RetryConfig::new(2, RetryStrategy::FixedDelay(MS));
    let retry = RetryExecutor::with_config(config, executor.clock()).expect("good");
    let fallback = Fallback::<u32, RetryError<&str>>::value(7);
    let calls = Cell::new(0);
    let answer = executor.block_on(fallback.call(retry.execute(|| {
        calls.set(calls.get() + 1);
        async { Err("down") }
    })));
    assert_eq!((answer, calls.get()), (Ok(7), 3));
}

// CO-01, outside an open breaker.
#[test]
fn a_fallback_outside_an_open_breaker_sees_that_it_is_open() {
    let executor = Executor::new();
    let breaker = CircuitBreaker::new(1, 1, Duration::from_secs(30));
    breaker.force_open();
    let fallback = Fallback::function(|error: &CircuitBreakerError<&str>| match error {
        CircuitBreakerError::CircuitOpen { .. } => Ok("open"),
        _ => Ok("failed"),
    });
    let called = Cell::new(false);
    let answer = executor.block_on(fallback.call(breaker.call(async {
        called.set(true);
        Ok("answer")
    })));
    assert_eq!((answer, called.get()), (Ok("open"), false));
}

// CO-01, outside a time limit.
#[test]
fn a_fallback_outside_a_time_limit_sees_that_it_is_over() {
    let executor = Executor::new();
    let clock = executor.clock();
    let timeout = Timeout::with_config(TimeoutConfig::new(10 * MS), clock.clone()).expect("good");
    let fallback = Fallback::function(|error: &TimeoutError<&str>| Ok(error.is_timeout()));
    let answer = executor.block_on(fallback.call(timeout.call(async {
        clock.sleep(100 * MS).await;
        Ok(false)
    })));
    assert_eq!(answer, Ok(true));
}

#[test]
fn a_fallback_never_hides_a_failure_from_the_breaker_inside() {
    let executor = Executor::new();
    let breaker = CircuitBreaker::new(3, 1, Duration::from_secs(30));
    let fallback = Fallback::<u32, CircuitBreakerError<&str>>::value(7);
    for _ in 0..3 {
        assert_eq!(
            executor.block_on(fallback.call(breaker.call(async { Err("down") }))),
            Ok(7)
        );
    }
    assert_eq!(breaker.current_state(), CircuitState::Open);
    assert_eq!((breaker.metrics().failure_count, fallback.snapshot().values), (3, 3));
}

#[tokio::test]
async fn without_anything_to_fall_back_on_the_error_comes_through() {
    let fallback = Fallback::<u32, &str>::nothing();
    assert_eq!(
        fallback.call(async { Err("down") }).await,
        Err(FallbackError::CallFailed("down"))
    );
    let answer = fallback.call_or_else(async { Err("down") }, |_| async { Ok(7) }).await;
    assert_eq!(answer, Ok(7));
}
