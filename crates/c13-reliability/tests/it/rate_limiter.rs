//! What a user of rate limiters relies on, through the public names only.

use c13_reliability::patterns::rate_limiter::{
    RateLimitError, RateLimiterConfig, SlidingWindowRateLimiter, TokenBucketRateLimiter,
};
use c13_reliability::time::{Clock, Executor, Tick};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn no_number_of_threads_gets_more_than_the_burst_and_the_rate() {
    let clock = Clock::system();
    let bucket = TokenBucketRateLimiter::with_config(RateLimiterConfig::new(1_000.0, 50), clock.clone())
        .expect("the settings are good");
    let admitted = Arc::new(AtomicU64::new(0));
    let start = clock.now();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (bucket, admitted) = (bucket.clone(), admitted.clone());
            std::thread::spawn(move || {
                for _ in 0..50_000 {
                    if bucket.try_acquire(1).is_ok() {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no thread panics");
    }
    let bound = 50.0 + 1_000.0 * (clock.now() - start).as_secs_f64();
    let admitted = admitted.load(Ordering::Relaxed);
    assert!(
        (50.0..=bound).contains(&(admitted as f64)),
        "{admitted} of at most {bound}"
    );
}

#[test]
fn a_slow_rate_polled_a_million_times_a_second_loses_nothing() {
    let executor = Executor::new();
    let bucket = TokenBucketRateLimiter::with_config(RateLimiterConfig::new(10.0, 1), executor.clock())
        .expect("the settings are good");
    let time = executor.time();
    let mut admitted = 0;
    for _ in 0..3_000_000 {
        admitted += u64::from(bucket.try_acquire(1).is_ok());
        time.advance(Duration::from_micros(1));
    }
    assert!(
        (30..=31).contains(&admitted),
        "{admitted} in 3 s at 10/s and a burst of 1"
    );
}

#[test]
fn waiting_callers_are_served_in_their_order_and_at_the_rate() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = RateLimiterConfig::new(10.0, 1).max_wait(Duration::from_secs(10));
    let bucket = TokenBucketRateLimiter::with_config(config, clock.clone()).expect("the settings are good");
    let served: Vec<_> = (0..5)
        .map(|_| {
            let (bucket, clock) = (bucket.clone(), clock.clone());
            executor.spawn(async move {
                bucket.acquire(1).await.expect("everybody has the patience");
                clock.now()
            })
        })
        .collect();
    executor.run_until_idle();
    let times: Vec<_> = served.iter().map(|call| call.take().expect("served")).collect();
    for (turn, at) in (0_u32..).zip(&times) {
        let due = Tick::ZERO + 100 * MS * turn;
        assert!(*at >= due && *at <= due + MS, "turn {turn} at {at:?}");
    }
}

#[test]
fn a_request_that_can_never_be_met_is_told_apart_and_a_refusal_says_when_to_come_back() {
    let executor = Executor::new();
    let bucket = TokenBucketRateLimiter::with_config(RateLimiterConfig::new(10.0, 5), executor.clock())
        .expect("the settings are good");
    assert!(!matches!(
        bucket.try_acquire(6),
        Ok(()) | Err(RateLimitError::RateLimitExceeded { .. })
    ));
    bucket.try_acquire(5).expect("the bucket is full");
    match bucket.try_acquire(3) {
        Err(RateLimitError::RateLimitExceeded {
            requested,
            available,
            retry_after,
        }) => {
            assert_eq!((requested, available), (3, 0));
            executor.time().advance(retry_after - Duration::from_nanos(1_000));
            assert!(bucket.try_acquire(3).is_err(), "not before the time it named");
            executor.time().advance(Duration::from_nanos(1_000));
            assert!(bucket.try_acquire(3).is_ok(), "at the time it named");
        }
        other => panic!("an empty bucket refuses, but got {other:?}"),
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e12] {
        assert!(TokenBucketRateLimiter::try_new(5, rate).is_err(), "{rate}");
    }
    assert!(TokenBucketRateLimiter::try_new(0, 1.0).is_err());
    assert!(SlidingWindowRateLimiter::try_new(Duration::ZERO, 1).is_err());
    assert!(SlidingWindowRateLimiter::try_new(MS, 0).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_window_holds_no_more_than_its_number_however_it_is_cut() {
    let clock = Clock::tokio();
    let config = c13_reliability::patterns::rate_limiter::SlidingWindowConfig::new(100 * MS, 3);
    let window = SlidingWindowRateLimiter::with_config(config, clock.clone()).expect("the settings are good");
    let mut admitted = Vec::new();
    for _ in 0..500 {
        if window.acquire().await.is_ok() {
            admitted.push(clock.now());
        }
        tokio::time::advance(7 * MS).await;
    }
    assert!(admitted.len() > 90);
    for four in admitted.windows(4) {
        assert!(four[3] - four[0] >= 100 * MS, "{four:?}");
    }
}
