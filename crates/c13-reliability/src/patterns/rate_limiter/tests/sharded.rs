//! The token bucket that lends.

use super::*;

fn sharded(capacity: u64, rate: f64) -> (ShardedRateLimiter, VirtualTime) {
    let time = VirtualTime::new();
    let limiter = ShardedRateLimiter::with_config(RateLimiterConfig::new(rate, capacity), time.clock());
    (limiter.expect("the test's settings make sense"), time)
}

#[test]
fn it_gives_what_it_may_not_lend_and_then_what_the_rate_brings() {
    let (limiter, time) = sharded(10_000, 1_000.0);
    // 65 threads may have been lent 64 tokens each.
    let central = 10_000 - 65 * 64;
    assert_eq!((limiter.capacity(), limiter.available_tokens()), (10_000, central));
    for _ in 0..central {
        assert_eq!(limiter.try_acquire(1), Ok(()));
    }
    assert_eq!(limiter.try_acquire(1), Err(exceeded(1, 0, MS)));
    time.advance(MS);
    assert_eq!(limiter.try_acquire(1), Ok(()));
    let snapshot = limiter.snapshot();
    assert_eq!((snapshot.allowed, snapshot.rejected), (central + 1, 1));
}

#[test]
fn a_large_request_goes_by_the_bucket_and_leaves_the_threads_their_stock() {
    let (limiter, _) = sharded(10_000, 1_000.0);
    assert_eq!(limiter.try_acquire(1), Ok(()));
    assert_eq!(limiter.try_acquire(5_776), Ok(()));
    assert_eq!(limiter.available_tokens(), 63, "what is left of a batch");
    assert_eq!(
        limiter.try_acquire(100).unwrap_err(),
        exceeded(100, 0, 100 * MS),
        "the stock is of no use to it"
    );
    assert_eq!(limiter.try_acquire(63), Ok(()));
    assert!(matches!(
        limiter.try_acquire(5_841),
        Err(RateLimitError::ExceedsCapacity { capacity: 5_840, .. })
    ));
    assert_eq!(limiter.try_acquire(0), Ok(()));
}

#[test]
fn the_time_that_a_refusal_names_suffices() {
    let (limiter, time) = sharded(1_040, 100.0);
    while limiter.try_acquire(3).is_ok() {}
    for n in [1, 3, 8, 9, 100] {
        let wait = match limiter.try_acquire(n) {
            Ok(()) => continue,
            Err(refused) => refused.retry_after().unwrap(),
        };
        time.advance(wait);
        assert_eq!(limiter.try_acquire(n), Ok(()), "{n} after {wait:?}");
    }
}

#[test]
fn its_settings_change_live_and_what_was_lent_stays_lent() {
    let (limiter, time) = sharded(10_000, 1_000.0);
    assert_eq!(limiter.try_acquire(1), Ok(()));
    limiter.reconfigure(RateLimiterConfig::new(10.0, 8_320)).unwrap();
    assert_eq!((limiter.config().rate, limiter.capacity()), (10.0, 8_320));
    assert_eq!(limiter.available_tokens(), 8_320 - 65 * 64 + 63);
    while limiter.try_acquire(1).is_ok() {}
    assert_eq!(limiter.try_acquire(1), Err(exceeded(1, 0, 100 * MS)));
    limiter.reconfigure(RateLimiterConfig::new(1_000.0, 20_000)).unwrap();
    assert_eq!(
        limiter.try_acquire(1),
        Err(exceeded(1, 0, MS)),
        "a larger bucket fills with time"
    );
    time.advance(30_000 * MS);
    assert_eq!(limiter.available_tokens(), 20_000 - 65 * 64);
    let small = limiter.reconfigure(RateLimiterConfig::new(1.0, 8_319)).unwrap_err();
    assert_eq!((small.setting, limiter.capacity()), ("burst", 20_000));
    limiter.reconfigure(limiter.config().shadow(true)).unwrap();
    assert!((0..30_000).all(|_| limiter.try_acquire(1).is_ok()));
    assert!(limiter.snapshot().shadowed > 0);
}

#[test]
fn what_it_cannot_do_is_refused_by_name() {
    let config = RateLimiterConfig::new(1.0, 2_000);
    let refused = |config| {
        ShardedRateLimiter::with_config(config, Clock::system())
            .unwrap_err()
            .setting
    };
    assert_eq!(refused(RateLimiterConfig::new(1.0, 1_039)), "burst");
    assert_eq!(refused(config.max_wait(MS)), "max_wait");
    assert_eq!(refused(config.paced(true)), "paced");
    assert_eq!(refused(config.warm_up(WarmUp::new(MS, 2.0))), "warm_up");
}
