//! What a user of fallbacks relies on, through the public names only.

use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerError};
use c13_reliability::patterns::fallback::{Fallback, FallbackError};
use c13_reliability::time::VirtualTime;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_last_good_value_is_served_until_it_is_too_old() {
    let time = VirtualTime::new();
    let fallback = Fallback::<u32, &str>::last_good_by(60 * SECOND, time.clock());
    assert!(
        fallback.call(async { Err("down") }).await.is_err(),
        "nothing good was seen yet"
    );
    assert_eq!(fallback.call(async { Ok(42) }).await, Ok(42));
    time.advance(60 * SECOND);
    assert_eq!(
        fallback.call(async { Err("down") }).await,
        Ok(42),
        "not older than allowed"
    );
    time.advance(SECOND);
    assert_eq!(
        fallback.call(async { Err("down") }).await,
        Err(FallbackError::CallFailed("down"))
    );
}

#[tokio::test]
async fn the_breaker_inside_sees_every_failure_that_the_fallback_covers() {
    let breaker = CircuitBreaker::new(3, 1, SECOND);
    let fallback = Fallback::<u32, CircuitBreakerError<&str>>::value(7);
    for _ in 0..5 {
        assert_eq!(fallback.call(breaker.call(async { Err("down") })).await, Ok(7));
    }
    let metrics = breaker.metrics();
    assert_eq!((metrics.failure_count, metrics.rejection_count), (3, 2));
    assert_eq!(fallback.snapshot().values, 5);
}

#[tokio::test]
async fn errors_that_are_not_handled_go_through() {
    let fallback = Fallback::<u32, &str>::value(7).handles(|error| *error != "forbidden");
    assert_eq!(
        fallback.call(async { Err("forbidden") }).await,
        Err(FallbackError::CallFailed("forbidden"))
    );
    assert_eq!(fallback.call(async { Err("down") }).await, Ok(7));
}
