//! Rate limiters.

use super::drive::{HOUR, drive, keep, keys};
use crate::case::Cases;
use c13_reliability::patterns::rate_limiter::{
    KeyedRateLimiter, RateLimiterConfig, ShardedRateLimiter, SlidingWindowConfig, SlidingWindowRateLimiter,
    TokenBucketRateLimiter,
};
use c13_reliability::time::Clock;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

/// Refills faster than two threads can take.
const PLENTY: RateLimiterConfig = RateLimiterConfig::new(1e9, 1_000_000_000);
/// Refuses all but one call a day.
const SCARCE: RateLimiterConfig = RateLimiterConfig::new(1.0 / 86_400.0, 1);

pub(crate) fn add(cases: &mut Cases) {
    let bucket = |config| TokenBucketRateLimiter::with_config(config, Clock::system()).expect("the settings are good");
    cases.ours(
        "limiter/token bucket, allowed",
        move || bucket(PLENTY),
        |bucket, _| {
            let bucket = bucket.clone();
            move || assert!(black_box(bucket.try_acquire(1)).is_ok())
        },
    );
    let bytes = size_of_val(&bucket(PLENTY).acquire(1));
    let case = cases.ours(
        "limiter/token bucket, allowed, as a future",
        move || bucket(PLENTY),
        |bucket, _| {
            let bucket = bucket.clone();
            move || assert!(drive(bucket.acquire(1)).is_ok())
        },
    );
    case.future(bytes);
    let empty = move || {
        let bucket = bucket(SCARCE);
        assert!(bucket.try_acquire(1).is_ok());
        bucket
    };
    cases.ours("limiter/token bucket, refused", empty, |bucket, _| {
        let bucket = bucket.clone();
        move || assert!(black_box(bucket.try_acquire(1)).is_err())
    });
    let sharded = || ShardedRateLimiter::with_config(PLENTY, Clock::system()).expect("the settings are good");
    cases.ours("limiter/sharded token bucket, allowed", sharded, |bucket, _| {
        let bucket = bucket.clone();
        move || assert!(black_box(bucket.try_acquire(1)).is_ok())
    });
    for (name, count) in [
        ("limiter/keyed, 1,000 keys", 1_000),
        ("limiter/keyed, 1,000,000 keys", 1_000_000),
    ] {
        let case = cases.ours(
            name,
            move || keyed(count),
            |(limiter, keys), thread| {
                let (limiter, keys) = (limiter.clone(), keys[thread % 2].clone());
                let mut next = 0;
                move || {
                    let key = u64::from(keys[next & (keys.len() - 1)]);
                    next += 1;
                    assert!(black_box(limiter.try_acquire(&key, 1)).is_ok());
                }
            },
        );
        if count > 1_000 {
            case.uncounted();
        }
    }
    for (name, approximate) in [("exact", false), ("approximate", true)] {
        let window = move |config: SlidingWindowConfig| {
            let config = config.approximate(approximate);
            SlidingWindowRateLimiter::with_config(config, Clock::system()).expect("the settings are good")
        };
        // As many calls as two threads can make in its length never fill it.
        let wide = move || window(SlidingWindowConfig::new(Duration::from_micros(1), 1_000));
        let case = cases.ours(&format!("limiter/{name} sliding window, allowed"), wide, |window, _| {
            let window = window.clone();
            // A thread that is interrupted between its look at the clock and the window's lock may be refused.
            move || keep(window.try_acquire())
        });
        if approximate {
            // No baseline yet.
            case.uncounted();
        }
        let full = move || {
            let window = window(SlidingWindowConfig::new(HOUR, 1));
            assert!(window.try_acquire().is_ok());
            window
        };
        cases.timed(&format!("limiter/{name} sliding window, refused"), full, |window, _| {
            let window = window.clone();
            move || assert!(black_box(window.try_acquire()).is_err())
        });
    }
}

/// Plenty, but so slow to refill that no key becomes idle and is forgotten, even where a call takes microseconds.
const BUSY: RateLimiterConfig = RateLimiterConfig::new(1.0 / 60.0, 10_000_000);

/// A limiter that knows `count` keys, and the keys that two threads ask for.
fn keyed(count: u64) -> (Arc<KeyedRateLimiter<u64>>, [Arc<Vec<u32>>; 2]) {
    let limiter = KeyedRateLimiter::new(BUSY, 2 * count as usize);
    for key in 0..count {
        assert!(limiter.try_acquire(&key, 1).is_ok());
    }
    (Arc::new(limiter), [keys(count, 1), keys(count, 2)])
}
