//! The bound, over random interleavings of one to eight threads and random clocks.

use super::*;
use crate::sync::Random;
use std::sync::Barrier;
use std::thread;

/// One admission: when, of which key, how much.
type Admitted = (u64, u64, u64);

/// Asks `ask` from so many threads, all of them at the same moments, which `step` leads from one to the next. What it is
/// given notes an admission of a key and how much.
fn in_step(
    (threads, rounds, seed): (u64, usize, u64),
    time: &VirtualTime,
    step: impl Fn(&Random) -> Duration,
    ask: impl Fn(&Random, &mut dyn FnMut(u64, u64)) + Sync,
) -> Vec<Admitted> {
    let (open, closed) = (Barrier::new(threads as usize + 1), Barrier::new(threads as usize + 1));
    let mut times = Vec::new();
    let admitted = thread::scope(|scope| {
        let asking: Vec<_> = (0..threads)
            .map(|thread| {
                let (open, closed, ask) = (&open, &closed, &ask);
                scope.spawn(move || {
                    let random = Random::new(seed << 8 | thread);
                    let mut admitted = Vec::new();
                    for round in 0..rounds {
                        open.wait();
                        ask(&random, &mut |key, n| admitted.push((round, key, n)));
                        closed.wait();
                    }
                    admitted
                })
            })
            .collect();
        let random = Random::new(seed);
        for _ in 0..rounds {
            times.push(time.now().as_nanos());
            open.wait();
            closed.wait();
            time.advance(step(&random));
        }
        let join = |thread: thread::ScopedJoinHandle<'_, Vec<_>>| thread.join().expect("no thread panics");
        asking.into_iter().flat_map(join).collect::<Vec<_>>()
    });
    admitted
        .into_iter()
        .map(|(round, key, n)| (times[round], key, n))
        .collect()
}

/// Holds `admitted` against the bound over all intervals at once: what a bucket that leaks at the rate would hold is what
/// the fullest interval that ends now admitted, without what the rate brought.
fn stays_within(mut admitted: Vec<Admitted>, capacity: u64, rate: f64, case: &str) {
    admitted.sort_unstable();
    // The clock knows the time to a nanosecond.
    let slack = (rate * 1e-9).max(1e-9 * capacity as f64);
    let (mut level, mut last) = (0.0_f64, 0);
    for (at, _, n) in admitted {
        level = (level - rate * (at - last) as f64 / 1e9).max(0.0) + n as f64;
        last = at;
        assert!(
            level <= capacity as f64 + slack,
            "{case}: {level} of {capacity} at {at} ns and {rate}/s"
        );
    }
}

fn total(admitted: &[Admitted]) -> u64 {
    admitted.iter().map(|(_, _, n)| n).sum()
}

/// A rate from one in ten seconds to ten million a second, and a capacity of up to `most`.
fn any_settings(random: &Random, least: u64, most: u64) -> (f64, u64) {
    let rate = 10_f64.powf(-1.0 + 8.0 * random.unit());
    (rate, least + random.below(most - least))
}

/// Up to so many times what it takes to refill, and often no time at all.
fn up_to(random: &Random, refills: f64, capacity: u64, rate: f64) -> Duration {
    if random.below(4) == 0 {
        return Duration::ZERO;
    }
    Duration::from_secs_f64(random.unit() * refills * capacity as f64 / rate)
}

#[test]
fn no_interval_admits_more_than_capacity_and_rate_whatever_the_threads_do() {
    for threads in 1..=8 {
        for seed in 0..6 {
            let random = Random::new(seed * 8 + threads);
            let (rate, capacity) = any_settings(&random, 1, 50);
            let config = RateLimiterConfig::new(rate, capacity).paced(seed == 5);
            let (limiter, time) = with(config);
            let admitted = in_step(
                (threads, 60, seed),
                &time,
                |random| up_to(random, 2.0, capacity, rate),
                |random, admit| {
                    for _ in 0..=random.below(2 * capacity / threads + 2) {
                        let n = 1 + random.below(capacity.min(4));
                        if limiter.try_acquire(n).is_ok() {
                            admit(0, n);
                        }
                        if random.below(20) == 0 {
                            // A change to the same settings changes the plan, and must neither make nor lose a token.
                            limiter.reconfigure(config).expect("the settings were good before");
                        }
                    }
                },
            );
            assert!(!admitted.is_empty());
            stays_within(admitted, capacity, rate, &format!("{threads} threads, seed {seed}"));
        }
    }
}

#[test]
fn no_interval_of_a_sharded_bucket_admits_more_whatever_the_threads_do() {
    for threads in 1..=8 {
        for seed in 0..4 {
            let random = Random::new(seed * 8 + threads);
            let (rate, capacity) = any_settings(&random, 1_040, 10_000);
            let time = VirtualTime::new();
            let limiter =
                ShardedRateLimiter::with_config(RateLimiterConfig::new(rate, capacity), time.clock()).unwrap();
            let admitted = in_step(
                (threads, 60, seed),
                &time,
                |random| up_to(random, 2.0, capacity, rate),
                |random, admit| {
                    for _ in 0..=random.below(capacity / 20 / threads) {
                        let n = 1 + random.below(100);
                        if limiter.try_acquire(n).is_ok() {
                            admit(0, n);
                        }
                    }
                },
            );
            let case = format!("{threads} threads, seed {seed}");
            assert!(total(&admitted) >= capacity / 2, "{case}");
            stays_within(admitted, capacity, rate, &case);
        }
    }
}

#[test]
fn no_key_is_admitted_more_whatever_the_threads_do() {
    for threads in [1, 2, 4, 8] {
        for seed in 0..4 {
            let random = Random::new(seed * 8 + threads);
            let (rate, capacity) = any_settings(&random, 1, 20);
            let time = VirtualTime::new();
            // Room for a few of the keys only, so that they are forgotten all the time.
            let config = KeyedConfig::new(RateLimiterConfig::new(rate, capacity).into(), 5);
            let limiter = KeyedRateLimiter::<u64>::with_config(config, time.clock()).unwrap();
            let admitted = in_step(
                (threads, 60, seed),
                &time,
                |random| up_to(random, 2.0, capacity, rate),
                |random, admit| {
                    for _ in 0..2 * capacity {
                        let (key, n) = (random.below(8), 1 + random.below(capacity.min(3)));
                        if limiter.try_acquire(&key, n).is_ok() {
                            admit(key, n);
                        }
                    }
                },
            );
            assert!(limiter.snapshot().evicted > 0);
            for key in 0..8 {
                let of_key = admitted.iter().copied().filter(|admitted| admitted.1 == key).collect();
                let case = format!("{threads} threads, seed {seed}, key {key}");
                stays_within(of_key, capacity, rate, &case);
            }
        }
    }
}

#[test]
fn threads_whose_clocks_have_nothing_to_do_with_each_other_stay_within_the_bound() {
    for threads in 1..=8_u64 {
        for seed in 0..6 {
            let random = Random::new(seed * 8 + threads);
            let (rate, capacity) = any_settings(&random, 1, 50);
            let (limiter, _) = bucket(capacity, rate);
            let length = Duration::from_secs_f64(capacity as f64 / rate);
            let config = SlidingWindowConfig::new(length, capacity);
            let window = SlidingWindowRateLimiter::with_config(config, VirtualTime::new().clock()).unwrap();
            let run = |thread| {
                let random = Random::new(seed << 8 | thread);
                let (mut now, mut taken, mut entered) = (Tick::ZERO, Vec::new(), Vec::new());
                for _ in 0..1_000 {
                    now += up_to(&random, 1.0 / threads as f64, capacity, rate);
                    let n = 1 + random.below(capacity.min(4));
                    if limiter.try_acquire_at(now, n).is_ok() {
                        taken.push((now.as_nanos(), 0, n));
                    }
                    if window.try_acquire_at(now).is_ok() {
                        entered.push(now);
                    }
                }
                (taken, entered)
            };
            let results: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().expect("no thread panics"))
                    .collect()
            });
            let case = format!("{threads} threads, seed {seed}");
            let (taken, entered): (Vec<_>, Vec<_>) = results.into_iter().unzip();
            stays_within(taken.concat(), capacity, rate, &case);
            holds_at_most(entered.concat(), capacity, length, &case);
        }
    }
}

/// No window of the length holds more than it may.
fn holds_at_most(mut entered: Vec<Tick>, capacity: u64, length: Duration, case: &str) {
    entered.sort_unstable();
    for group in entered.windows(capacity as usize + 1) {
        let (first, last) = (group[0], group[capacity as usize]);
        assert!(last - first >= length, "{case}: {} in {:?}", group.len(), last - first);
    }
}

#[test]
fn no_window_holds_more_than_it_may_whatever_the_threads_do() {
    for threads in 1..=8 {
        for seed in 0..4 {
            let random = Random::new(seed * 8 + threads);
            let (rate, capacity) = any_settings(&random, 1, 50);
            let length = Duration::from_secs_f64(capacity as f64 / rate);
            let config = SlidingWindowConfig::new(length, capacity);
            let time = VirtualTime::new();
            let window = SlidingWindowRateLimiter::with_config(config, time.clock()).unwrap();
            let admitted = in_step(
                (threads, 60, seed),
                &time,
                |random| up_to(random, 0.5, capacity, rate),
                |random, admit| {
                    for _ in 0..=random.below(2 * capacity / threads + 2) {
                        if window.try_acquire().is_ok() {
                            admit(0, 1);
                        }
                    }
                },
            );
            let times = admitted.iter().map(|(at, ..)| Tick::from_nanos(*at)).collect();
            holds_at_most(times, capacity, length, &format!("{threads} threads, seed {seed}"));
        }
    }
}

#[test]
fn unlimited_demand_is_admitted_to_within_one_token_of_the_bound() {
    for threads in 1..=8 {
        for seed in 0..4 {
            let random = Random::new(seed * 8 + threads);
            let (rate, capacity) = any_settings(&random, 2, 50);
            let (limiter, time) = bucket(capacity, rate);
            let admitted = in_step(
                (threads, 300, seed),
                &time,
                // Never so long that the bucket overflows: it may hold nearly a whole token still.
                |random| up_to(random, 1.0, capacity - 1, rate),
                |_, admit| {
                    while limiter.try_acquire(1).is_ok() {
                        admit(0, 1);
                    }
                },
            );
            let last = admitted.iter().map(|(at, ..)| *at).max().unwrap_or(0);
            let bound = capacity as f64 + rate * last as f64 / 1e9;
            let sum = total(&admitted) as f64;
            assert!(
                sum > bound - 1.0 - 1e-6 && sum <= bound + 1e-6 * bound,
                "{threads} threads, seed {seed}: {sum} of {bound}"
            );
        }
    }
}

#[test]
fn a_sharded_bucket_loses_no_refill_either() {
    for threads in 1..=8 {
        for seed in 0..2 {
            let random = Random::new(seed * 8 + threads);
            let (rate, capacity) = any_settings(&random, 1_040, 3_000);
            let time = VirtualTime::new();
            let limiter =
                ShardedRateLimiter::with_config(RateLimiterConfig::new(rate, capacity), time.clock()).unwrap();
            let admitted = in_step(
                (threads, 60, seed),
                &time,
                // What lends holds half of the capacity.
                |random| up_to(random, 0.45, capacity, rate),
                |_, admit| {
                    while limiter.try_acquire(1).is_ok() {
                        admit(0, 1);
                    }
                },
            );
            let last = admitted.iter().map(|(at, ..)| *at).max().unwrap_or(0);
            // It starts with what it lends from.
            let first = admitted.iter().filter(|(at, ..)| *at == 0).count() as f64;
            let bound = first + rate * last as f64 / 1e9;
            let sum = total(&admitted) as f64;
            assert!(
                sum > bound - 1.0 - 1e-6 * bound && sum <= bound + 1e-6 * bound,
                "{threads} threads, seed {seed}: {sum} of {bound}"
            );
        }
    }
}

#[test]
fn waiting_callers_get_all_of_the_rate() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 1, 1_000.0, Duration::from_secs(3_600));
    let served = Rc::new(RefCell::new(0_u64));
    for _ in 0..10 {
        let (limiter, served) = (limiter.clone(), served.clone());
        executor.spawn(async move {
            while limiter.acquire(1).await.is_ok() {
                *served.borrow_mut() += 1;
            }
        });
    }
    executor.run_for(Duration::from_secs(5));
    assert_eq!(*served.borrow(), 5_001);
}
