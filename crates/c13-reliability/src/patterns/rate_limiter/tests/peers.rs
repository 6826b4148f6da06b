//! What other limiters' own tests say, row by row, and what we say instead where we differ.
//!
//! The ids are those of `docs/rate-limiter-compared.md`, which says why where we differ, and which rows do not apply.

use super::*;
use crate::time::Tick;

/// One permit each 250 ms, and callers that wait for so many cycles.
const CYCLE: Duration = Duration::from_millis(250);

fn a(cycles: u32) -> (TokenBucketRateLimiter, VirtualTime) {
    let (limiter, time) = with(RateLimiterConfig::new(4.0, 1).max_wait(cycles * CYCLE));
    time.advance(CYCLE);
    (limiter, time)
}

const fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// How long each of so many reservations for one would have to wait; they stay reserved.
fn waits(limiter: &TokenBucketRateLimiter, count: usize, kept: &mut Vec<Reservation>) -> Vec<Duration> {
    (0..count)
        .map(|_| {
            let reservation = limiter.reserve(1).expect("everybody has the patience");
            let wait = reservation.wait();
            kept.push(reservation);
            wait
        })
        .collect()
}

#[test]
fn rl_01_one_permit_a_cycle() {
    let (limiter, time) = a(0);
    let window_time = VirtualTime::new();
    let window =
        SlidingWindowRateLimiter::with_config(SlidingWindowConfig::new(CYCLE, 1), window_time.clock()).unwrap();
    for _ in 0..2 {
        assert_eq!(limiter.try_acquire(1), Ok(()));
        assert_eq!(limiter.try_acquire(1), Err(exceeded(1, 0, CYCLE)));
        assert_eq!((limiter.available_tokens(), limiter.snapshot().waiting), (0, 0));
        assert_eq!(window.try_acquire(), Ok(()));
        assert_eq!(window.try_acquire(), Err(exceeded(1, 0, CYCLE)));
        time.advance(CYCLE);
        window_time.advance(CYCLE);
    }
}

#[test]
fn rl_02_what_is_there_is_there_before_any_call() {
    let (limiter, time) = bucket(1, 4.0);
    time.advance(CYCLE - ns(10));
    assert_eq!(limiter.available_tokens(), 1);
    assert_eq!(limiter.peek(1), Ok(()));
}

#[test]
fn rl_04_a_second_caller_waits_for_the_next_cycle() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 1, 4.0, CYCLE);
    executor.run_for(CYCLE);
    assert_eq!(limiter.try_acquire(1), Ok(()));
    let waiter = limiter.clone();
    let waiter = executor.spawn(async move { waiter.acquire(1).await });
    executor.run_for(Duration::ZERO);
    assert_eq!(limiter.snapshot().waiting, 1);
    assert_eq!(limiter.peek(1), Err(exceeded(1, 0, 2 * CYCLE)));
    executor.run_for(CYCLE + ns(10));
    assert_eq!(waiter.take(), Some(Ok(())));
    assert_eq!((limiter.available_tokens(), limiter.snapshot().waiting), (0, 0));
    assert_eq!(limiter.peek(1), Err(exceeded(1, 0, CYCLE - ns(10))));
}

#[test]
fn rl_05_reservations_up_to_the_patience_and_then_cycles_that_nobody_looked_at() {
    let (limiter, time) = a(1);
    let first = limiter.reserve(1).unwrap();
    let second = limiter.reserve(1).unwrap();
    assert_eq!((first.wait(), second.wait()), (Duration::ZERO, CYCLE));
    assert_eq!(limiter.reserve(1).unwrap_err(), exceeded(1, 0, 2 * CYCLE));
    assert_eq!(
        limiter.peek(1),
        Err(exceeded(1, 0, 2 * CYCLE)),
        "a refusal changes nothing"
    );
    time.advance_to(Tick::ZERO + 6 * CYCLE + ns(10));
    assert_eq!(limiter.available_tokens(), 1, "the second had its own four cycles ago");
    assert_eq!(limiter.peek(1), Ok(()));
    assert!(first.try_redeem().is_ok() && second.try_redeem().is_ok());
}

#[test]
fn rl_07_a_request_for_more_than_a_cycle_brings_spreads_over_cycles_where_it_is_paced() {
    let (limiter, _) = with(RateLimiterConfig::new(4.0, 3).paced(true).max_wait(5 * CYCLE));
    let large = limiter.reserve(3).unwrap();
    let next = limiter.reserve(1).unwrap();
    assert_eq!((large.wait(), next.wait()), (Duration::ZERO, 3 * CYCLE));
    let (unpaced, _) = a(5);
    assert_eq!(
        unpaced.reserve(3).unwrap_err(),
        RateLimitError::ExceedsCapacity {
            requested: 3,
            capacity: 1
        }
    );
}

#[test]
fn rl_08_nine_callers_a_nanosecond_apart() {
    let executor = Executor::new();
    let cycle = 10 * MS;
    let config = SlidingWindowConfig::new(cycle, 3).max_wait(12 * MS);
    let limiter = SlidingWindowRateLimiter::with_config(config, executor.clock()).unwrap();
    let calls: Vec<_> = (0..9)
        .map(|_| {
            let (limiter, clock) = (limiter.clone(), executor.clock());
            let call = executor.spawn(async move {
                let came = clock.now();
                limiter.acquire().await.map(|()| clock.now() - came)
            });
            executor.run_for(ns(1));
            call
        })
        .collect();
    executor.run_until_idle();
    let results: Vec<_> = calls.iter().map(|call| call.take().unwrap()).collect();
    let none = Duration::ZERO;
    // A window slides: each waits for the one three before it, not for the end of a cycle.
    let slides = cycle - ns(3);
    assert_eq!(
        results[..6],
        [none, none, none, slides, slides, slides].map(Ok),
        "three at once and three a window later"
    );
    assert!(results[6..].iter().all(Result::is_err), "three have not the patience");
}

#[test]
fn rl_10_a_waiter_that_leaves_gives_its_permit_back() {
    let (limiter, time) = a(1);
    assert_eq!(limiter.try_acquire(1), Ok(()));
    let waiter = limiter.reserve(1).unwrap();
    assert_eq!(limiter.snapshot().waiting, 1);
    waiter.cancel();
    assert_eq!(limiter.snapshot().waiting, 0);
    assert_eq!(limiter.peek(1), Err(exceeded(1, 0, CYCLE)), "not two cycles");
    time.advance(CYCLE);
    assert_eq!(limiter.try_acquire(1), Ok(()));
}

#[test]
fn rl_11_large_requests_at_the_start_of_a_cycle() {
    let (limiter, time) = bucket(10, 20.0);
    assert!(limiter.try_acquire(5).is_ok() && limiter.try_acquire(5).is_ok());
    assert!(limiter.try_acquire(1).is_err());
    time.advance(500 * MS);
    assert_eq!(limiter.try_acquire(1), Ok(()));
}

#[test]
fn rl_13_rl_14_a_drained_limiter_refuses_until_the_next_cycle_and_can_be_drained_again() {
    let (limiter, time) = bucket(10, 20.0);
    assert_eq!(limiter.drain(), 10);
    assert!(limiter.try_acquire(1).is_err());
    assert_eq!(limiter.drain(), 0);
    time.advance(500 * MS);
    assert_eq!(limiter.try_acquire(1), Ok(()));
}

#[test]
fn rl_16_a_change_of_one_setting_leaves_the_others() {
    let (limiter, _) = with(RateLimiterConfig::new(4.0, 1));
    limiter.reconfigure(limiter.config().max_wait(1_000 * MS)).unwrap();
    assert_eq!(limiter.config(), RateLimiterConfig::new(4.0, 1).max_wait(1_000 * MS));
    let mut config = limiter.config();
    config.burst = 35;
    limiter.reconfigure(config).unwrap();
    assert_eq!(limiter.config(), RateLimiterConfig::new(4.0, 35).max_wait(1_000 * MS));
}

#[test]
fn rl_17_a_smooth_limiter_gives_each_its_own_interval() {
    let interval = 500 * MS;
    let (limiter, time) = with(RateLimiterConfig::new(2.0, 7).paced(true).max_wait(60_000 * MS));
    let mut kept = Vec::new();
    // When, how many, how long the last of them waits, when the next is free. From 9,100 ms on we differ: there is no
    // raster, the first after a rest starts the intervals anew.
    for (at, count, wait, next) in [
        (0, 7, 3_000, 3_500),
        (800, 3, 3_700, 5_000),
        (2_300, 1, 2_700, 5_500),
        (3_500, 3, 3_000, 7_000),
        (9_100, 3, 1_000, 10_600),
        (11_000, 1, 0, 11_500),
    ] {
        time.advance_to(Tick::ZERO + at * MS);
        let waits = waits(&limiter, count, &mut kept);
        assert_eq!(waits.last(), Some(&(wait * MS)), "at {at} ms");
        assert!(waits.windows(2).all(|two| two[1] - two[0] == interval), "at {at} ms");
        assert_eq!(
            limiter.peek(1),
            Err(exceeded(1, 0, (next - at) * MS)),
            "after those at {at} ms"
        );
    }
}

#[test]
fn rl_19_rl_20_no_credit_is_saved_up_while_a_smooth_limiter_rests() {
    let smooth = || with(RateLimiterConfig::new(1e7, 1).paced(true).max_wait(1_000 * MS));
    let mut kept = Vec::new();
    let (limiter, time) = smooth();
    assert_eq!(waits(&limiter, 2, &mut kept), [ns(0), ns(100)]);
    time.advance(ns(100));
    assert_eq!(waits(&limiter, 2, &mut kept), [ns(100), ns(200)]);

    let (limiter, time) = smooth();
    assert_eq!(waits(&limiter, 1, &mut kept), [ns(0)]);
    time.advance(ns(150));
    assert_eq!(waits(&limiter, 1, &mut kept), [ns(0)]);
    time.advance(ns(100));
    // There is no raster, so never less than an interval lies between two.
    assert_eq!(waits(&limiter, 2, &mut kept), [ns(0), ns(100)]);
}

#[test]
fn rl_23_one_large_request_costs_those_after_it_what_as_many_single_ones_do() {
    for paced in [true, false] {
        let next_after = |calls: &[u64]| {
            let config = RateLimiterConfig::new(2.0, 7).paced(paced).max_wait(60_000 * MS);
            let (limiter, _) = with(config);
            let kept: Vec<_> = calls.iter().map(|n| limiter.reserve(*n).unwrap()).collect();
            let later = limiter.reserve(5).unwrap().wait();
            assert_eq!(kept.len(), calls.len());
            later
        };
        assert_eq!(next_after(&[7]), next_after(&[1; 7]), "paced: {paced}");
    }
}

#[test]
fn rl_25_rl_26_a_burst_and_then_one_each_interval_to_the_tick() {
    for capacity in [1, 2, 10, 50] {
        for seconds in [1, 2, 5] {
            let interval = Duration::from_secs(seconds);
            let tick = ns(100);
            let (limiter, time) = bucket(capacity, 1.0 / seconds as f64);
            for _ in 0..capacity {
                assert_eq!(limiter.try_acquire(1), Ok(()));
            }
            assert_eq!(limiter.try_acquire(1), Err(exceeded(1, 0, interval)));
            for _ in 0..3 * capacity {
                time.advance(interval - tick);
                assert_eq!(limiter.try_acquire(1), Err(exceeded(1, 0, tick)));
                time.advance(tick);
                assert_eq!(limiter.try_acquire(1), Ok(()));
                assert!(limiter.try_acquire(1).is_err());
            }
        }
    }
}

#[test]
fn rl_28_of_many_at_once_exactly_one_gets_the_only_token() {
    for callers in [2, 5, 100] {
        let (limiter, _) = bucket(1, 1.0);
        let start = std::sync::Barrier::new(callers);
        let admitted: usize = std::thread::scope(|scope| {
            let ask = || {
                start.wait();
                usize::from(limiter.try_acquire(1).is_ok())
            };
            let threads: Vec<_> = (0..callers).map(|_| scope.spawn(ask)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no thread panics"))
                .sum()
        });
        assert_eq!(admitted, 1, "of {callers}");
    }
}

#[test]
fn rl_29_a_refused_call_carries_the_time_to_come_back_and_is_counted_once() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 1, 1.0 / 128.0, Duration::ZERO);
    assert!(limiter.try_acquire(1).is_ok());
    executor.run_for(Duration::from_secs(5));
    let refused = executor.block_on(gate::call(&limiter, async { Ok::<_, ()>(()) }, Outcome::of));
    let wait = Duration::from_secs(123);
    assert_eq!(refused, Err(Refusal::Rejected(exceeded(1, 0, wait))));
    assert_eq!(Rejected::from(exceeded(1, 0, wait)).retry_after, Some(wait));
    assert_eq!(limiter.snapshot().rejected, 1);
}

#[test]
fn rl_31_the_time_to_the_next_token_of_an_empty_bucket() {
    for (per_second, ms) in [(16, 63), (5, 200)] {
        let (limiter, _) = bucket(per_second, per_second as f64);
        assert_eq!(limiter.drain(), per_second);
        let wait = limiter.try_acquire(1).unwrap_err().retry_after().unwrap();
        assert_eq!(wait.as_secs_f64(), 1.0 / per_second as f64);
        assert_eq!(wait.as_micros().div_ceil(1_000), ms);
    }
}

#[test]
fn rl_32_four_threads_get_exactly_what_there_is() {
    let (limiter, time) = bucket(200, 1_000.0);
    let mut sum = 0;
    for _ in 0..=100 {
        sum += std::thread::scope(|scope| {
            let ask = || (0..100).filter(|_| limiter.try_acquire(1).is_ok()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no thread panics"))
                .sum::<usize>()
        });
        time.advance(10 * MS);
    }
    assert_eq!(sum, 1_200, "200 at first and 10 in each of 100 steps");
}

#[test]
fn rl_34_a_limit_of_nothing_is_refused_by_name_and_a_request_for_nothing_passes() {
    assert_eq!(TokenBucketRateLimiter::try_new(0, 1.0).unwrap_err().setting, "burst");
    let (limiter, _) = bucket(1, 1.0);
    assert_eq!(limiter.drain(), 1);
    assert!(limiter.try_acquire(1).is_err());
    assert_eq!(limiter.try_acquire(0), Ok(()));
}

#[test]
fn rl_35_a_cold_limiter_refuses_what_a_warm_one_admits() {
    let config = RateLimiterConfig::new(10.0, 10).warm_up(WarmUp::new(Duration::from_secs(10), 3.0));
    let (limiter, time) = with(config.start_empty(true));
    time.advance(800 * MS);
    assert!(
        limiter.try_acquire(8).is_err(),
        "eight cold tokens cost more than 0.8 s"
    );
    assert_eq!(limiter.try_acquire(1), Ok(()));
    for _ in 0..300 {
        time.advance(100 * MS);
        let _ = limiter.try_acquire(1);
    }
    limiter.drain();
    time.advance(800 * MS);
    assert_eq!(limiter.try_acquire(8), Ok(()), "warm");
    assert!(limiter.try_acquire(1).is_err());
    time.advance(1_000 * MS);
    assert!(limiter.try_acquire(10).is_ok());
}

#[test]
fn rl_37_a_waiter_dropped_while_queued_loses_no_permit_and_changes_no_order() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 1, 4.0, 60 * CYCLE);
    assert!(limiter.try_acquire(1).is_ok());
    let served = Rc::new(RefCell::new(Vec::new()));
    let mut dropped = Vec::new();
    for caller in 0..6 {
        if caller % 3 == 1 {
            let mut future = Box::pin(limiter.acquire(1));
            assert!(
                future
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );
            dropped.push(future);
            continue;
        }
        let (limiter, served, clock) = (limiter.clone(), served.clone(), executor.clock());
        executor.spawn(async move {
            limiter.acquire(1).await.unwrap();
            served.borrow_mut().push((caller, clock.now()));
        });
        executor.run_for(Duration::ZERO);
    }
    drop(dropped);
    executor.run_until_idle();
    let at = |cycles: u32| Tick::ZERO + cycles * CYCLE;
    assert_eq!(*served.borrow(), [(0, at(1)), (2, at(2)), (3, at(3)), (5, at(4))]);
}

#[test]
fn rl_38_half_a_million_keys_and_then_idle_leave_nothing_and_nobody_who_is_limited_is_forgotten() {
    const MAX: usize = 600_000;
    let time = VirtualTime::new();
    let quota = RateLimiterConfig::new(1.0 / 64.0, 1);
    let config = KeyedConfig::new(quota.into(), MAX);
    let keys = KeyedRateLimiter::<u64>::with_config(config, time.clock()).unwrap();
    for key in 0..500_000 {
        assert_eq!(keys.try_acquire(&key, 1), Ok(()));
    }
    let full = keys.snapshot();
    // Of 25 bytes a key at least half are used.
    assert!(
        (full.keys, full.evicted) == (500_000, 0) && full.bytes <= 50 * MAX as u64,
        "{full:?}"
    );
    time.advance(Duration::from_secs(32));
    assert_eq!(
        keys.evict_idle(),
        0,
        "all of them are limited for another half a minute"
    );
    assert!((0..500_000).all(|key| keys.try_acquire(&key, 1).is_err()));
    time.advance(Duration::from_secs(32));
    assert_eq!(keys.try_acquire(&7, 1), Ok(()));
    assert_eq!(keys.evict_idle(), 499_999);
    let idle = keys.snapshot();
    assert!(idle.keys == 1 && idle.bytes < 1_000, "{idle:?}");
    assert!(keys.try_acquire(&7, 1).is_err());
}

#[test]
fn rl_40_what_is_only_watched_passes_and_is_counted() {
    let (limiter, _) = with(RateLimiterConfig::new(1.0, 1).shadow(true));
    assert!((0..5).all(|_| limiter.try_acquire(1).is_ok()));
    let snapshot = limiter.snapshot();
    assert_eq!((snapshot.shadowed, snapshot.rejected), (4, 0));
}
