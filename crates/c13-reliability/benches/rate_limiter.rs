//! What it costs to ask a rate limiter.
//!
//! `cargo bench -p c13-reliability --bench rate_limiter`

mod measure;

use c13_reliability::patterns::rate_limiter::{
    RateLimiterConfig, SlidingWindowConfig, SlidingWindowRateLimiter, TokenBucketRateLimiter,
};
use c13_reliability::time::Clock;
use measure::{head, ready, row};
use std::hint::black_box;
use std::time::Duration;

fn main() {
    let bucket = |config| TokenBucketRateLimiter::with_config(config, Clock::system()).expect("the settings are good");
    let open = bucket(RateLimiterConfig::new(1e9, 1_000_000_000));
    let empty = bucket(RateLimiterConfig::new(1.0 / 86_400.0, 1));
    assert!(empty.try_acquire(1).is_ok());
    let window = |length, calls| {
        SlidingWindowRateLimiter::with_config(SlidingWindowConfig::new(length, calls), Clock::system())
            .expect("the settings are good")
    };
    let wide = window(Duration::from_micros(1), 1_000);
    let full = window(Duration::from_secs(3_600), 1);
    assert!(full.try_acquire().is_ok());
    head();
    row("a token bucket, allowed", || {
        assert!(black_box(open.try_acquire(1)).is_ok());
    });
    row("a token bucket, allowed, as a future", || {
        assert!(ready(open.acquire(black_box(1))).is_ok());
    });
    row("a token bucket, refused", || {
        assert!(black_box(empty.try_acquire(1)).is_err());
    });
    row("an exact sliding window, allowed", || {
        assert!(black_box(wide.try_acquire()).is_ok());
    });
    row("an exact sliding window, refused", || {
        assert!(black_box(full.try_acquire()).is_err());
    });
}
