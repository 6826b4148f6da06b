//! Settings that make no sense are refused by name, whichever limiter they are for.

use super::*;
use crate::error::ConfigError;

/// No number, no end, nothing, less than nothing, too little and too much.
const NO_RATES: [f64; 11] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    -1.0,
    f64::MIN_POSITIVE,
    1e-6,
    1.1e9,
    1e300,
    f64::MAX,
];

fn setting<T>(result: Result<T, ConfigError>) -> &'static str {
    match result {
        Ok(_) => "none",
        Err(error) => error.setting,
    }
}

#[test]
fn a_rate_that_is_none_is_refused_by_name_by_every_bucket() {
    for rate in NO_RATES {
        assert_eq!(setting(TokenBucketRateLimiter::try_new(10, rate)), "rate", "{rate}");
        assert_eq!(setting(ShardedRateLimiter::try_new(10_000, rate)), "rate", "{rate}");
        let keyed = KeyedRateLimiter::<u64>::try_new(RateLimiterConfig::new(rate, 10), 10);
        assert_eq!(setting(keyed), "rate", "{rate}");
        let (limiter, _) = bucket(10, 1.0);
        let changed = limiter.reconfigure(RateLimiterConfig::new(rate, 10));
        assert_eq!((setting(changed), limiter.config().rate), ("rate", 1.0), "{rate}");
        assert_eq!(
            setting(RateLimiterConfig::per_second(rate).validate()),
            "rate",
            "{rate}"
        );
    }
}

#[test]
fn a_burst_that_would_overflow_or_never_refill_is_refused_by_name() {
    for (capacity, rate) in [
        (0, 1.0),
        (u64::MAX, 1e9),
        (1 << 55, 1e9),
        (1 << 54, 1.0),
        (36_600, 1.0 / 86_400.0),
    ] {
        assert_eq!(
            setting(TokenBucketRateLimiter::try_new(capacity, rate)),
            "burst",
            "{capacity} at {rate}/s"
        );
    }
    let error = TokenBucketRateLimiter::try_new(0, 1.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "token bucket: `burst` is 0, but it must be at least 1"
    );
    // The cold factor makes tokens dearer, and so the largest burst smaller.
    let hot = RateLimiterConfig::new(1e9, 1 << 54);
    assert_eq!(setting(hot.validate()), "none");
    let cold = hot.warm_up(WarmUp::new(Duration::from_secs(1), 3.0));
    assert_eq!(setting(cold.validate()), "burst");
}

#[test]
fn a_warm_up_that_makes_no_sense_is_refused_by_name() {
    let refused = |period, factor| {
        let config = RateLimiterConfig::new(1.0, 1).warm_up(WarmUp::new(period, factor));
        setting(TokenBucketRateLimiter::with_config(config, Clock::system()))
    };
    assert_eq!(refused(Duration::ZERO, 3.0), "warm_up.period");
    assert_eq!(refused(Duration::MAX, 3.0), "warm_up.period");
    for factor in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -3.0, 0.0, 1.0, 100.1] {
        assert_eq!(
            refused(Duration::from_secs(1), factor),
            "warm_up.cold_factor",
            "{factor}"
        );
    }
}

#[test]
fn a_window_that_makes_no_sense_is_refused_by_name() {
    for approximate in [false, true] {
        let window = |length, max| {
            let config = SlidingWindowConfig::new(length, max).approximate(approximate);
            let keyed = KeyedRateLimiter::<u64>::try_new(config, 10);
            let limiter = SlidingWindowRateLimiter::with_config(config, Clock::system());
            assert_eq!(setting(keyed), setting(config.validate()));
            setting(limiter)
        };
        assert_eq!(window(Duration::ZERO, 1), "window");
        assert_eq!(window(Duration::MAX, 1), "window");
        assert_eq!(window(MS, 0), "max_requests");
        assert_eq!(window(MS, u64::MAX), "max_requests");
    }
    let large = SlidingWindowConfig::new(MS, 1 << 30);
    assert_eq!(setting(large.validate()), "max_requests");
    assert_eq!(setting(large.approximate(true).validate()), "none");
}

#[test]
fn an_endless_wait_or_a_queue_without_room_is_refused_by_name() {
    let bucket = RateLimiterConfig::new(1.0, 1);
    assert_eq!(setting(bucket.max_wait(Duration::MAX).validate()), "max_wait");
    assert_eq!(setting(bucket.max_waiters(0).validate()), "max_waiters");
    let window = SlidingWindowConfig::new(MS, 1);
    assert_eq!(setting(window.max_wait(Duration::MAX).validate()), "max_wait");
    assert_eq!(setting(window.max_waiters(0).validate()), "max_waiters");
}

#[test]
#[should_panic(expected = "token bucket: `rate` is NaN, but it must be from one a day")]
fn a_constructor_for_known_settings_panics_with_the_rule() {
    let _ = TokenBucketRateLimiter::new(1, f64::NAN);
}

#[test]
#[should_panic(expected = "sliding window: `window` is 0ns, but it must be above zero")]
fn a_windows_constructor_panics_with_the_rule() {
    let _ = SlidingWindowRateLimiter::new(Duration::ZERO, 1);
}

#[test]
fn a_request_that_would_overflow_is_refused_and_takes_nothing() {
    let time = VirtualTime::new();
    let keyed = KeyedConfig::new(RateLimiterConfig::new(1e9, 1 << 54).into(), 10);
    let keyed = KeyedRateLimiter::<u64>::with_config(keyed, time.clock()).unwrap();
    for (capacity, rate) in [(1, 1.0 / 86_400.0), (1 << 54, 1e9)] {
        let (limiter, _) = bucket(capacity, rate);
        for n in [u64::MAX, u64::MAX / 2, (1 << 62) + 1, 1 << 58, capacity + 1] {
            assert_eq!(limiter.try_acquire(n).unwrap_err().retry_after(), None, "{n}");
            assert_eq!(limiter.reserve(n).unwrap_err().retry_after(), None, "{n}");
            assert_eq!(
                keyed.try_acquire(&1, n.max((1 << 54) + 1)).unwrap_err().retry_after(),
                None,
                "{n}"
            );
            limiter.refund(n);
        }
        assert_eq!(limiter.available_tokens(), capacity);
    }
    assert_eq!(keyed.status(&1).remaining, 1 << 54);
}
