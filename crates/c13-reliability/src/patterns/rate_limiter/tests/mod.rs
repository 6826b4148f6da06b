//! The limiters as their users meet them, in virtual time.

mod bound;
mod cancel;
mod clocks;
mod deadline;
mod peers;
mod settings;
mod sharded;

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

fn with(config: RateLimiterConfig) -> (TokenBucketRateLimiter, VirtualTime) {
    let time = VirtualTime::new();
    let limiter = TokenBucketRateLimiter::with_config(config, time.clock());
    (limiter.expect("the test's settings make sense"), time)
}

#[test]
fn a_peek_takes_nothing_and_gives_the_decision_that_a_request_would_get() {
    let (limiter, time) = bucket(2, 1.0);
    assert_eq!(limiter.peek(2), Ok(()));
    assert_eq!(limiter.peek(0), Ok(()));
    assert!(matches!(limiter.peek(3), Err(RateLimitError::ExceedsCapacity { .. })));
    assert_eq!(limiter.try_acquire(2), Ok(()));
    time.advance(250 * MS);
    assert_eq!(limiter.peek(2), Err(exceeded(2, 0, 1_750 * MS)));
    assert_eq!(limiter.peek(2), limiter.try_acquire(2));
    assert_eq!(limiter.snapshot().allowed + limiter.snapshot().rejected, 2);
}

#[test]
fn a_refund_can_be_taken_again_and_never_overfills() {
    let (limiter, _) = bucket(3, 1.0);
    assert_eq!(limiter.try_acquire(3), Ok(()));
    limiter.refund(2);
    assert_eq!(limiter.available_tokens(), 2);
    limiter.refund(u64::MAX);
    assert_eq!(limiter.available_tokens(), 3);
    assert!(limiter.try_acquire(3).is_ok() && limiter.try_acquire(1).is_err());
}

#[test]
fn a_refund_goes_to_the_first_waiter() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 2, 1.0, 10_000 * MS);
    assert!(limiter.try_acquire(2).is_ok());
    let (waiter, clock) = (limiter.clone(), executor.clock());
    let waiter = executor.spawn(async move { (waiter.acquire(2).await, clock.now()) });
    executor.run_for(500 * MS);
    limiter.refund(1);
    assert!(limiter.try_acquire(1).is_err());
    executor.run_until_idle();
    assert_eq!(
        waiter.take(),
        Some((Ok(()), Tick::ZERO + 1_000 * MS)),
        "a second earlier than without"
    );
}

#[test]
fn a_drained_bucket_is_empty_and_draining_it_again_gives_nothing() {
    let (limiter, time) = bucket(10, 10.0);
    assert_eq!(limiter.drain(), 10);
    assert_eq!(limiter.drain(), 0);
    assert!(limiter.try_acquire(1).is_err());
    time.advance(100 * MS);
    assert_eq!(limiter.try_acquire(1), Ok(()));
}

#[test]
fn a_bucket_that_starts_empty_fills_at_its_rate() {
    let (limiter, time) = with(RateLimiterConfig::new(2.0, 5).start_empty(true));
    assert_eq!(limiter.try_acquire(1), Err(exceeded(1, 0, 500 * MS)));
    time.advance(10_000 * MS);
    assert_eq!(limiter.available_tokens(), 5);
}

#[test]
fn a_paced_limiter_spaces_requests_evenly_however_long_it_rested() {
    let (limiter, time) = with(RateLimiterConfig::new(2.0, 7).paced(true));
    time.advance(60_000 * MS);
    for _ in 0..5 {
        assert_eq!(limiter.available_tokens(), 1);
        assert_eq!(limiter.try_acquire(1), Ok(()));
        assert_eq!(limiter.try_acquire(1), Err(exceeded(1, 0, 500 * MS)));
        time.advance(500 * MS);
    }
    // A large request is paid for by those after it.
    assert_eq!(limiter.try_acquire(7), Ok(()));
    assert_eq!(limiter.try_acquire(1), Err(exceeded(1, 0, 3_500 * MS)));
    assert_eq!(limiter.try_acquire(7), Err(exceeded(7, 0, 3_500 * MS)));
    time.advance(3_500 * MS);
    assert_eq!(limiter.try_acquire(1), Ok(()));
}

#[test]
fn a_limiter_that_warms_up_comes_to_its_rate_within_the_period_and_cools_down_at_rest() {
    let config = RateLimiterConfig::new(10.0, 10).paced(true);
    let (limiter, time) = with(config.warm_up(WarmUp::new(Duration::from_secs(10), 3.0)));
    // How many of `demand` evenly spaced requests a second are admitted in a second.
    let admitted = |demand: u32| {
        (0..demand)
            .filter(|_| {
                time.advance(Duration::from_secs(1) / demand);
                limiter.try_acquire(1).is_ok()
            })
            .count()
    };
    assert_eq!(admitted(1), 1);
    let cold = admitted(8);
    assert!((2..=4).contains(&cold), "{cold} of 8 while cold");
    let mut last = 0;
    for second in 0..12 {
        let now = admitted(100);
        assert!(
            now + 1 >= last,
            "it gets no slower: {now} after {last} in second {second}"
        );
        last = now;
    }
    assert_eq!((admitted(8), admitted(10), admitted(100)), (8, 10, 10));
    time.advance(Duration::from_secs(10));
    let cold = admitted(8);
    assert!((2..=4).contains(&cold), "{cold} of 8 after a rest");
}

#[test]
fn a_shadow_counts_what_it_would_refuse_and_admits_it() {
    let (limiter, time) = with(RateLimiterConfig::new(1.0, 1).shadow(true).max_wait(1_000 * MS));
    for _ in 0..3 {
        assert_eq!(limiter.try_acquire(1), Ok(()));
    }
    assert_eq!(limiter.try_acquire(2), Ok(()));
    assert_eq!(
        pin!(limiter.acquire(1)).poll(&mut Context::from_waker(Waker::noop())),
        Poll::Ready(Ok(()))
    );
    let snapshot = limiter.snapshot();
    assert_eq!((snapshot.allowed, snapshot.rejected, snapshot.shadowed), (1, 0, 4));
    limiter.reconfigure(limiter.config().shadow(false)).unwrap();
    assert!(limiter.try_acquire(1).is_err());
    assert_eq!(time.waiting(), 0);
}

#[test]
fn a_change_of_one_setting_leaves_the_others_and_the_tokens() {
    let (limiter, time) = bucket(10, 10.0);
    assert_eq!(limiter.try_acquire(6), Ok(()));
    let config = limiter.config().max_wait(1_000 * MS);
    limiter.reconfigure(config).unwrap();
    assert_eq!(limiter.config(), RateLimiterConfig::new(10.0, 10).max_wait(1_000 * MS));
    assert_eq!(limiter.available_tokens(), 4);

    // A larger bucket fills with time, a smaller one keeps what fits.
    limiter.reconfigure(RateLimiterConfig::new(10.0, 100)).unwrap();
    assert_eq!((limiter.available_tokens(), limiter.capacity()), (4, 100));
    limiter.reconfigure(RateLimiterConfig::new(1e9, 3)).unwrap();
    assert_eq!((limiter.available_tokens(), limiter.capacity()), (3, 3));
    assert_eq!(limiter.try_acquire(3), Ok(()));
    limiter.reconfigure(RateLimiterConfig::new(0.5, 2)).unwrap();
    assert_eq!(limiter.try_acquire(1), Err(exceeded(1, 0, 2_000 * MS)));
    time.advance(2_000 * MS);
    assert_eq!(limiter.try_acquire(1), Ok(()));

    let wrong = limiter.reconfigure(RateLimiterConfig::new(0.0, 2)).unwrap_err();
    assert_eq!((wrong.setting, limiter.config().rate), ("rate", 0.5));
}

#[test]
fn a_change_of_the_rate_changes_when_waiters_are_served() {
    for rate in [10.0, 1.0, 0.5] {
        let executor = Executor::new();
        let limiter = waiting(&executor, 1, 1.0, 60_000 * MS);
        assert!(limiter.try_acquire(1).is_ok());
        let served: Vec<_> = (0..2)
            .map(|_| {
                let (limiter, clock) = (limiter.clone(), executor.clock());
                executor.spawn(async move { (limiter.acquire(1).await, clock.now()) })
            })
            .collect();
        executor.run_for(1_000 * MS);
        assert!(served[0].is_done() && !served[1].is_done());
        executor.run_for(500 * MS);
        // Half a token is there, so half a token is missing.
        limiter
            .reconfigure(RateLimiterConfig {
                rate,
                ..limiter.config()
            })
            .unwrap();
        executor.run_until_idle();
        let (result, at) = served[1].take().unwrap();
        let expected = 1_500.0 + 500.0 / rate;
        assert_eq!(
            (result, at),
            (Ok(()), Tick::ZERO + Duration::from_secs_f64(expected / 1e3)),
            "at {rate}/s"
        );
    }
}

#[test]
fn a_waiter_for_more_than_the_bucket_will_ever_hold_is_refused_at_once() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 4, 1.0, 60_000 * MS);
    assert!(limiter.try_acquire(4).is_ok());
    let spawn = |n| {
        let (limiter, clock) = (limiter.clone(), executor.clock());
        executor.spawn(async move { (limiter.acquire(n).await, clock.now()) })
    };
    let (heavy, light) = (spawn(4), spawn(1));
    executor.run_for(500 * MS);
    limiter
        .reconfigure(RateLimiterConfig {
            burst: 2,
            ..limiter.config()
        })
        .unwrap();
    executor.run_for(Duration::ZERO);
    let never = RateLimitError::ExceedsCapacity {
        requested: 4,
        capacity: 2,
    };
    assert_eq!(heavy.take(), Some((Err(never), Tick::ZERO + 500 * MS)));
    executor.run_until_idle();
    assert_eq!(light.take(), Some((Ok(()), Tick::ZERO + 1_000 * MS)));
}

#[test]
fn a_waiter_keeps_its_own_max_wait_when_that_of_the_limiter_becomes_shorter() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 1, 1.0, 10_000 * MS);
    assert!(limiter.try_acquire(1).is_ok());
    let (waiter, clock) = (limiter.clone(), executor.clock());
    let waiter = executor.spawn(async move { (waiter.acquire(1).await, clock.now()) });
    executor.run_for(Duration::ZERO);
    limiter.reconfigure(limiter.config().max_wait(Duration::ZERO)).unwrap();
    executor.run_until_idle();
    assert_eq!(waiter.take(), Some((Ok(()), Tick::ZERO + 1_000 * MS)));
}

#[test]
fn a_wait_that_a_change_makes_hopeless_ends_at_once() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 1, 1.0, 5_000 * MS);
    assert!(limiter.try_acquire(1).is_ok());
    let (waiter, clock) = (limiter.clone(), executor.clock());
    let waiter = executor.spawn(async move { (waiter.acquire(1).await, clock.now()) });
    executor.run_for(500 * MS);
    limiter
        .reconfigure(RateLimiterConfig {
            rate: 0.05,
            ..limiter.config()
        })
        .unwrap();
    executor.run_until_idle();
    let (result, at) = waiter.take().unwrap();
    assert_eq!((result, at), (Err(exceeded(1, 0, 10_000 * MS)), Tick::ZERO + 500 * MS));
}
