//! The limiters as their users meet them, in virtual time.

use super::*;
use crate::error::Rejected;
use crate::gate::{self, Gate, Outcome, Refusal};
use crate::time::{Clock, Executor, Tick, VirtualTime};
use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn bucket(capacity: u64, rate: f64) -> (TokenBucketRateLimiter, VirtualTime) {
    let time = VirtualTime::new();
    let limiter = TokenBucketRateLimiter::with_config(RateLimiterConfig::new(rate, capacity), time.clock());
    (limiter.expect("the test's settings make sense"), time)
}

fn exceeded(requested: u64, available: u64, retry_after: Duration) -> RateLimitError {
    RateLimitError::RateLimitExceeded {
        requested,
        available,
        retry_after,
    }
}

#[test]
fn a_bucket_gives_its_capacity_and_then_what_the_rate_brings() {
    for capacity in [1, 2, 50] {
        let (limiter, time) = bucket(capacity, 1.0);
        for _ in 0..capacity {
            assert_eq!(limiter.try_acquire(1), Ok(()));
        }
        assert_eq!(limiter.try_acquire(1), Err(exceeded(1, 0, 1_000 * MS)));
        time.advance(1_000 * MS);
        assert_eq!(limiter.try_acquire(1), Ok(()));
        assert_eq!(limiter.available_tokens(), 0);
    }
}

#[test]
fn a_request_above_the_capacity_is_another_error_and_takes_nothing() {
    let (limiter, _) = bucket(5, 1.0);
    let never = RateLimitError::ExceedsCapacity {
        requested: 6,
        capacity: 5,
    };
    assert_eq!(limiter.try_acquire(6), Err(never));
    assert_eq!(limiter.try_acquire(u64::MAX).unwrap_err().retry_after(), None);
    assert_eq!(limiter.available_tokens(), 5);
    assert_eq!(Rejected::from(never).retry_after, None);
}

#[test]
fn a_request_for_nothing_always_passes() {
    let (limiter, _) = bucket(1, 1.0);
    assert_eq!(limiter.try_acquire(1), Ok(()));
    assert_eq!(limiter.try_acquire(0), Ok(()));
}

#[test]
fn a_rate_of_ten_polled_a_million_times_a_second_still_yields_ten() {
    let (limiter, time) = bucket(1, 10.0);
    let mut admitted = 0;
    for _ in 0..3_000_000 {
        admitted += u64::from(limiter.try_acquire(1).is_ok());
        time.advance(Duration::from_micros(1));
    }
    assert_eq!(admitted, 30);
}

#[test]
fn acquire_refuses_at_once_unless_it_may_wait() {
    let (limiter, time) = bucket(1, 1.0);
    assert!(limiter.try_acquire(1).is_ok());
    let polled = pin!(limiter.acquire(1)).poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(polled, Poll::Ready(Err(exceeded(1, 0, 1_000 * MS))));
    assert_eq!(time.waiting(), 0);
}

fn waiting(executor: &Executor, capacity: u64, rate: f64, max_wait: Duration) -> TokenBucketRateLimiter {
    let config = RateLimiterConfig::new(rate, capacity).max_wait(max_wait);
    TokenBucketRateLimiter::with_config(config, executor.clock()).expect("the test's settings make sense")
}

#[test]
fn waiters_are_served_in_the_order_they_came_whatever_the_scheduler_does() {
    for seed in 0..50 {
        let executor = Executor::seeded(seed);
        let limiter = waiting(&executor, 3, 10.0, 10_000 * MS);
        assert!(limiter.try_acquire(3).is_ok());
        let served = Rc::new(RefCell::new(Vec::new()));
        for (order, n) in [2_u64, 1, 3, 1, 1].into_iter().enumerate() {
            let (limiter, served, clock) = (limiter.clone(), served.clone(), executor.clock());
            executor.spawn(async move {
                limiter.acquire(n).await.unwrap();
                served.borrow_mut().push((order, clock.now()));
            });
            executor.run_for(Duration::ZERO);
        }
        assert_eq!(limiter.snapshot().waiting, 5);
        executor.run_until_idle();
        let at = |ms: u32| Tick::ZERO + ms * MS;
        let expected = [(0, at(200)), (1, at(300)), (2, at(600)), (3, at(700)), (4, at(800))];
        assert_eq!(*served.borrow(), expected, "seed {seed}");
        assert_eq!(executor.time().waiting(), 0);
        assert_eq!(limiter.snapshot().allowed, 6);
    }
}

#[test]
fn a_wait_that_would_end_too_late_is_refused_at_its_start() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 2, 1.0, 2_000 * MS);
    assert!(limiter.try_acquire(2).is_ok());
    let first = limiter.clone();
    let first = executor.spawn(async move { first.acquire(2).await });
    executor.run_for(Duration::ZERO);
    let refused = executor.block_on(limiter.acquire(1));
    assert_eq!(refused, Err(exceeded(1, 0, 3_000 * MS)));
    assert_eq!(executor.time().now(), Tick::ZERO);
    executor.run_until_idle();
    assert_eq!(first.take(), Some(Ok(())));
}

#[test]
fn a_dropped_waiter_loses_nothing_and_the_next_gets_its_turn() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 2, 1.0, 10_000 * MS);
    assert!(limiter.try_acquire(2).is_ok());
    let mut leaving = Box::pin(limiter.acquire(2));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(leaving.as_mut().poll(&mut cx).is_pending());
    let staying = limiter.clone();
    let clock = executor.clock();
    let staying = executor.spawn(async move {
        staying.acquire(1).await.unwrap();
        clock.now()
    });
    executor.run_for(500 * MS);
    assert!(
        limiter.try_acquire(1).is_err(),
        "newcomers do not overtake those who wait"
    );
    drop(leaving);
    executor.run_until_idle();
    assert_eq!(staying.take(), Some(Tick::ZERO + 1_000 * MS));
    assert_eq!(limiter.available_tokens(), 0);
    executor.run_for(2_000 * MS);
    assert_eq!(limiter.available_tokens(), 2);
}

#[test]
fn an_exact_window_never_holds_more_than_it_may() {
    let time = VirtualTime::new();
    let config = SlidingWindowConfig::new(Duration::from_secs(1), 3);
    let limiter = SlidingWindowRateLimiter::with_config(config, time.clock()).unwrap();
    for _ in 0..3 {
        assert_eq!(limiter.try_acquire(), Ok(()));
        time.advance(300 * MS);
    }
    assert_eq!(limiter.try_acquire(), Err(exceeded(1, 0, 100 * MS)));
    time.advance(100 * MS);
    assert_eq!(limiter.available_requests(), 1);
    assert_eq!(limiter.try_acquire(), Ok(()));
    assert_eq!(limiter.try_acquire(), Err(exceeded(1, 0, 300 * MS)));
    assert_eq!((limiter.snapshot().allowed, limiter.snapshot().rejected), (4, 2));
}

#[test]
fn a_window_lets_its_waiters_in_as_its_requests_leave() {
    let executor = Executor::new();
    let config = SlidingWindowConfig::new(Duration::from_secs(1), 2).max_wait(1_500 * MS);
    let limiter = SlidingWindowRateLimiter::with_config(config, executor.clock()).unwrap();
    let served = Rc::new(RefCell::new(Vec::new()));
    for order in 0..6 {
        let (limiter, served, clock) = (limiter.clone(), served.clone(), executor.clock());
        executor.spawn(async move {
            let result = limiter.acquire().await;
            served
                .borrow_mut()
                .push((order, clock.now().as_nanos() / 1_000_000, result));
        });
        executor.run_for(100 * MS);
    }
    executor.run_until_idle();
    let ok = |order, at| (order, at, Ok(()));
    assert_eq!(
        *served.borrow(),
        [
            ok(0, 0),
            ok(1, 100),
            // It would have to wait until 2,000 ms, as the next one does, who came late enough for that.
            (4, 400, Err(exceeded(1, 0, 1_600 * MS))),
            ok(2, 1_000),
            ok(3, 1_100),
            ok(5, 2_000)
        ]
    );
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let refused = |capacity, rate| TokenBucketRateLimiter::try_new(capacity, rate).unwrap_err();
    for rate in [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -0.0,
        -1.0,
        1e-6,
        1.1e9,
        f64::MAX,
    ] {
        assert_eq!(refused(10, rate).setting, "rate", "{rate}");
    }
    for (capacity, rate) in [(0, 1.0), (u64::MAX, 1e9), (1 << 54, 1.0), (36_600, 1.0 / 86_400.0)] {
        assert_eq!(refused(capacity, rate).setting, "burst", "{capacity} at {rate}/s");
    }
    assert_eq!(
        refused(0, 1.0).to_string(),
        "token bucket: `burst` is 0, but it must be at least 1"
    );
    let window = |window, max| SlidingWindowRateLimiter::try_new(window, max).unwrap_err().setting;
    assert_eq!(window(Duration::ZERO, 1), "window");
    assert_eq!(window(Duration::MAX, 1), "window");
    assert_eq!(window(MS, 0), "max_requests");
    assert_eq!(window(MS, u64::MAX), "max_requests");
    let config = RateLimiterConfig::new(1.0, 1);
    assert_eq!(
        config.max_wait(Duration::MAX).validate().unwrap_err().setting,
        "max_wait"
    );
    assert_eq!(config.max_waiters(0).validate().unwrap_err().setting, "max_waiters");
}

#[test]
#[should_panic(expected = "token bucket: `rate` is NaN, but it must be from one a day")]
fn a_constructor_for_known_settings_panics_with_the_rule() {
    let _ = TokenBucketRateLimiter::new(1, f64::NAN);
}

#[test]
fn a_limiter_is_a_gate() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 1, 1.0, Duration::ZERO);
    executor.block_on(async {
        let call = || gate::call(&limiter, async { Ok::<_, ()>(7) }, Outcome::of);
        assert_eq!(call().await, Ok(7));
        assert_eq!(call().await, Err(Refusal::Rejected(exceeded(1, 0, 1_000 * MS))));
        assert!(limiter.admit().await.is_err());
    });
    assert_eq!((limiter.snapshot().allowed, limiter.snapshot().rejected), (1, 2));
}

#[test]
fn the_promised_constructors_go_by_the_systems_clock() {
    let limiter = TokenBucketRateLimiter::new(2, 1.0);
    assert!(limiter.try_acquire(2).is_ok() && limiter.try_acquire(2).is_err());
    let window = SlidingWindowRateLimiter::new(Duration::from_secs(3_600), 1);
    assert!(window.try_acquire().is_ok() && window.try_acquire().is_err());
    assert!(limiter.clock().now() <= Clock::system().now());
}
