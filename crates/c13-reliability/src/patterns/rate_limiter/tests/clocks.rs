//! Clocks that stand still, jump by years, or come to the end of time.

use super::*;

const YEAR: Duration = Duration::from_secs(365 * 86_400);

#[test]
fn a_clock_that_stands_still_or_jumps_by_years_is_survived() {
    for (capacity, rate) in [(5, 1e9), (5, 10.0), (1_000, 1.0 / 65_536.0)] {
        let (limiter, time) = bucket(capacity, rate);
        for years in [0, 1, 1, 30, 400] {
            time.advance(years * YEAR);
            let mut admitted = 0;
            for _ in 0..3 * capacity {
                admitted += u64::from(limiter.try_acquire(1).is_ok());
            }
            let fresh = if years == 0 || years > 1 {
                capacity
            } else {
                capacity.min((365.0 * 86_400.0 * rate) as u64)
            };
            assert_eq!(admitted, fresh, "{rate}/s after {years} years");
        }
        // The end of the clock's time: a bucket that cannot refill any more.
        time.advance_to(Tick::MAX);
        let _ = limiter.try_acquire(capacity);
        let error = limiter.try_acquire(capacity).unwrap_err();
        assert!(error.retry_after().is_some());
    }
}

#[test]
fn every_other_limiter_survives_such_clocks_too() {
    let time = VirtualTime::new();
    let sharded = ShardedRateLimiter::with_config(RateLimiterConfig::new(100.0, 2_000), time.clock()).unwrap();
    let window = |approximate| {
        let config = SlidingWindowConfig::new(1_000 * MS, 10).approximate(approximate);
        SlidingWindowRateLimiter::with_config(config, time.clock()).unwrap()
    };
    let windows = [window(false), window(true)];
    let keyed = KeyedConfig::new(RateLimiterConfig::new(1.0, 10).into(), 10);
    let keyed = KeyedRateLimiter::<u64>::with_config(keyed, time.clock()).unwrap();
    let central = (0..5_000).filter(|_| sharded.try_acquire(1).is_ok()).count();
    for years in [1, 0, 1, 30, 200] {
        time.advance(years * YEAR);
        let fresh = usize::from(years > 0);
        let count = |ask: &dyn Fn() -> bool| (0..5_000).filter(|_| ask()).count();
        for window in &windows {
            assert_eq!(count(&|| window.try_acquire().is_ok()), 10 * fresh, "{years} years");
        }
        assert_eq!(count(&|| keyed.try_acquire(&1, 1).is_ok()), 10 * fresh, "{years} years");
        assert_eq!(
            count(&|| sharded.try_acquire(1).is_ok()),
            central * fresh,
            "{years} years"
        );
    }
}

#[test]
fn a_waiter_survives_a_clock_that_jumps_by_years() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 1, 1.0, 60_000 * MS);
    assert!(limiter.try_acquire(1).is_ok());
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let limiter = limiter.clone();
            executor.spawn(async move { limiter.acquire(1).await })
        })
        .collect();
    executor.run_for(Duration::ZERO);
    executor.time().advance(30 * YEAR);
    executor.run_until_idle();
    let results: Vec<_> = waiters.iter().map(|waiter| waiter.take()).collect();
    assert_eq!(results[0], Some(Ok(())), "there is one token after all those years");
    assert!(
        results[1..].iter().all(|result| matches!(result, Some(Err(_)))),
        "the others' patience ended long ago: {results:?}"
    );
    assert_eq!((limiter.snapshot().waiting, executor.time().waiting()), (0, 0));
}
