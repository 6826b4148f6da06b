//! What it costs to ask a rate limiter.
//!
//! `cargo bench -p c13-reliability --bench rate_limiter`. Side by side with `governor` and other peers they stand in the
//! workspace `bench/`, because a peer would bring second versions of crates into the library's lock file.

mod measure;

use c13_reliability::patterns::rate_limiter::{
    KeyedRateLimiter, RateLimiterConfig, ShardedRateLimiter, SlidingWindowConfig, SlidingWindowRateLimiter,
    TokenBucketRateLimiter,
};
use c13_reliability::sync::Random;
use c13_reliability::time::Clock;
use measure::{head, ready, row};
use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

/// As good as without a limit.
const PLENTY: RateLimiterConfig = RateLimiterConfig::new(1e9, 1_000_000_000);
/// One a day.
const NOTHING: RateLimiterConfig = RateLimiterConfig::new(1.0 / 86_400.0, 1);

fn main() {
    let bucket = |config| TokenBucketRateLimiter::with_config(config, Clock::system()).expect("the settings are good");
    let open = bucket(PLENTY);
    let empty = bucket(NOTHING);
    assert!(empty.try_acquire(1).is_ok());
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
    let sharded = ShardedRateLimiter::with_config(PLENTY, Clock::system()).expect("the settings are good");
    row("a sharded token bucket, allowed", || {
        assert!(black_box(sharded.try_acquire(1)).is_ok());
    });
    windows();
    for keys in [1_000, 1_000_000] {
        keyed(keys);
    }
}

fn windows() {
    let window =
        |config| SlidingWindowRateLimiter::with_config(config, Clock::system()).expect("the settings are good");
    let wide = SlidingWindowConfig::new(Duration::from_micros(1), 1_000);
    let full = SlidingWindowConfig::new(Duration::from_secs(3_600), 1);
    for (kind, approximate) in [("an exact", false), ("an approximate", true)] {
        let wide = window(wide.approximate(approximate));
        row(&format!("{kind} sliding window, allowed"), || {
            let _ = black_box(wide.try_acquire());
        });
        let seen = wide.snapshot();
        // Who is interrupted between the clock and the lock comes late, and may be refused.
        assert!(seen.rejected * 1_000 < seen.allowed, "{seen:?}");
        let full = window(full.approximate(approximate));
        assert!(full.try_acquire().is_ok());
        row(&format!("{kind} sliding window, refused"), || {
            assert!(black_box(full.try_acquire()).is_err());
        });
    }
}

/// Asks for so many keys in no order.
fn keyed(count: u64) {
    let limiter = KeyedRateLimiter::<u64>::new(PLENTY, 2 * count as usize);
    let refusing = KeyedRateLimiter::<u64>::new(NOTHING, 2 * count as usize);
    let mut keys: Vec<u64> = (0..count).collect();
    let random = Random::new(1);
    for last in (1..keys.len()).rev() {
        keys.swap(last, random.below(last as u64 + 1) as usize);
    }
    for key in &keys {
        assert!(limiter.try_acquire(key, 1).is_ok() && refusing.try_acquire(key, 1).is_ok());
    }
    thread_local! { static NEXT: Cell<usize> = const { Cell::new(0) } }
    let key = || {
        let at = NEXT.get() % keys.len();
        NEXT.set(at + 1);
        &keys[at]
    };
    row(&format!("{count} keys, allowed"), || {
        assert!(black_box(limiter.try_acquire(key(), 1)).is_ok());
    });
    row(&format!("{count} keys, refused"), || {
        assert!(black_box(refusing.try_acquire(key(), 1)).is_err());
    });
}
