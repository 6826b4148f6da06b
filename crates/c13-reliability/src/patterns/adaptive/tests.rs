//! Adaptive limits in virtual time, against a simulated server.

use super::*;
use crate::gate::{Gate, Outcome, Permit as _, Refusal};
use crate::patterns::bulkhead::{Bulkhead, BulkheadConfig};
use crate::sync::{HistogramSnapshot, Random};
use crate::time::{Clock, Env, Executor, Tick};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A server with so many workers and one queue; service times are exponential.
#[derive(Clone)]
struct Server {
    clock: Clock,
    random: Rc<Random>,
    workers: Bulkhead,
    mean: Rc<Cell<Duration>>,
}

impl Server {
    async fn serve(self) -> Result<(), &'static str> {
        let draw = -(1.0 - self.random.unit()).ln();
        let takes = self.mean.get().mul_f64(draw);
        let (clock, workers) = (self.clock.clone(), self.workers.clone());
        let served = workers.call(async move {
            clock.sleep(takes).await;
            Ok::<(), ()>(())
        });
        served.await.map_err(|_| "full")
    }
}

/// The outcomes of the calls that ended in one second.
#[derive(Clone, Default)]
struct Second {
    served: u64,
    latency: HistogramSnapshot<6>,
    limit: u32,
    most: u32,
}

#[derive(Clone, Copy)]
struct Load {
    workers: u32,
    mean: Duration,
    /// Calls a second.
    arrivals: u32,
    seconds: u64,
}

/// Open arrivals at random times; `change` is called at the start of each second.
fn simulate(seed: u64, config: AdaptiveConfig, load: Load, change: impl Fn(u64, &Server)) -> Vec<Second> {
    let executor = Executor::new();
    let clock = executor.clock();
    let limit = AdaptiveLimit::with_config(config, Env::new(clock.clone()).seed(seed)).expect("good settings");
    let random = Rc::new(Random::new(seed));
    let workers = BulkheadConfig::new(load.workers).queue(1_000_000, Duration::MAX);
    let server = Server {
        clock: clock.clone(),
        random: random.clone(),
        workers: Bulkhead::with_config(workers, clock).expect("good settings"),
        mean: Rc::new(Cell::new(load.mean)),
    };
    let seconds: Rc<RefCell<Vec<Second>>> = Rc::default();
    seconds
        .borrow_mut()
        .resize(load.seconds as usize + 1, Second::default());
    let spawner = executor.spawner();
    let (source, log) = (server.clone(), seconds.clone());
    let arrivals = limit.clone();
    executor.spawn(async move {
        loop {
            let gap = -(1.0 - random.unit()).ln() / f64::from(load.arrivals);
            source.clock.sleep(Duration::from_secs_f64(gap)).await;
            let (server, log, limit) = (source.clone(), log.clone(), arrivals.clone());
            spawner.spawn(async move {
                let began = server.clock.now();
                let clock = server.clock.clone();
                let result = limit.call(server.serve()).await;
                let second = (clock.now() - Tick::ZERO).as_secs() as usize;
                if let (Ok(()), Some(second)) = (result, log.borrow_mut().get_mut(second)) {
                    second.served += 1;
                    second.latency.record((clock.now() - began).as_nanos() as u64);
                    second.most = second.most.max(limit.snapshot().calls.in_flight);
                }
            });
        }
    });
    for second in 0..load.seconds {
        change(second, &server);
        executor.run_until(Tick::ZERO + SECOND * (second as u32 + 1));
        seconds.borrow_mut()[second as usize].limit = limit.limit();
    }
    let mut seconds = seconds.take();
    seconds.truncate(load.seconds as usize);
    seconds
}

/// The three algorithms, with what each needs to notice overload: AIMD sees none but by calls that take too long.
fn algorithms() -> [AdaptiveConfig; 3] {
    [Algorithm::AIMD, Algorithm::VEGAS, Algorithm::GRADIENT]
        .map(|algorithm| AdaptiveConfig::new(algorithm).drops(100 * MS, 0.05))
}

/// Half as many calls again as the server can serve before it is halved, three times as many afterwards.
const OVERLOAD: Load = Load {
    workers: 20,
    mean: Duration::from_millis(10),
    arrivals: 3_000,
    seconds: 12,
};

#[test]
fn within_5_s_after_a_servers_capacity_halves_throughput_is_back_and_no_call_waits_long() {
    for config in algorithms() {
        for slower in [false, true] {
            for seed in 1..=2 {
                let seconds = simulate(seed, config, OVERLOAD, |second, server| match (second, slower) {
                    (5, false) => server.workers.resize(10).expect("ten are a good number"),
                    (5, true) => server.mean.set(2 * OVERLOAD.mean),
                    _ => {}
                });
                let context = format!("seed {seed}, slower {slower}, {:?}", config.algorithm);
                let after = if slower { 2 * OVERLOAD.mean } else { OVERLOAD.mean };
                for (at, capacity, mean) in [(3..5, 2_000, OVERLOAD.mean), (10..12, 1_000, after)] {
                    // The P99 of exponential service times is 4.6 times their mean.
                    let unloaded = mean.mul_f64(4.6);
                    let length = at.len() as u64;
                    let served = seconds[at.clone()].iter().map(|second| second.served).sum::<u64>() / length;
                    assert!(
                        served * 10 >= capacity * 9,
                        "{context}: {served} of {capacity} in {at:?}"
                    );
                    for second in &seconds[at] {
                        let p99 = Duration::from_nanos(second.latency.quantile(0.99).unwrap_or(0));
                        assert!(p99 <= 3 * unloaded, "{context}: {p99:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_limit_that_does_not_bind_does_not_grow() {
    let idle = Load {
        arrivals: 100,
        seconds: 20,
        ..OVERLOAD
    };
    for config in algorithms() {
        let seconds = simulate(3, config, idle, |_, _| {});
        assert!(
            seconds.iter().all(|second| second.limit <= 20),
            "{:?}",
            config.algorithm
        );
        assert!(
            seconds[5..].iter().all(|second| second.served > 50),
            "{:?}",
            config.algorithm
        );
    }
}

#[test]
fn a_limit_stays_within_its_bounds() {
    for config in algorithms() {
        let config = config.limits(8, 6, 12);
        let seconds = simulate(4, config, OVERLOAD, |second, server| {
            if second == 6 {
                server.mean.set(20 * OVERLOAD.mean);
            }
        });
        for second in &seconds {
            assert!((6..=12).contains(&second.limit), "{:?}", config.algorithm);
            assert!(second.most <= 12, "{:?}", config.algorithm);
        }
    }
}

fn on(executor: &Executor, config: AdaptiveConfig) -> AdaptiveLimit {
    AdaptiveLimit::with_config(config, Env::new(executor.clock()).seed(1)).expect("the test's settings are good")
}

/// A limit of one window a call, so that each call can be seen at work.
fn aimd(initial: u32, max: u32) -> AdaptiveConfig {
    AdaptiveConfig::new(Algorithm::AIMD)
        .limits(initial, 1, max)
        .window(Duration::from_nanos(1), 1)
        .drops(5 * SECOND, 0.0)
}

/// Runs a call of `takes` that ends as `outcome` says, alone.
fn end_with(executor: &Executor, limit: &AdaptiveLimit, takes: Duration, outcome: Outcome) {
    let permit = limit.try_admit().expect("nobody else runs");
    executor.run_for(takes);
    permit.record(outcome);
}

// AL-01, through the gate.
#[test]
fn a_drop_shrinks_the_limit_and_what_says_nothing_does_not() {
    let executor = Executor::new();
    let limit = on(&executor, aimd(30, 100));
    end_with(&executor, &limit, MS, Outcome::Success);
    end_with(&executor, &limit, MS, Outcome::FAILURE);
    assert_eq!(limit.limit(), 27);
    for outcome in [Outcome::Success, Outcome::Ignored, Outcome::Abandoned] {
        end_with(&executor, &limit, MS, outcome);
        assert_eq!(limit.limit(), 27, "{outcome:?}");
    }
    for outcome in [Outcome::Success, Outcome::Abandoned] {
        let before = limit.limit();
        end_with(&executor, &limit, 6 * SECOND, outcome);
        assert!(
            limit.limit() < before,
            "whatever takes too long is dropped, {outcome:?} too"
        );
    }
    assert_eq!(limit.snapshot().calls.in_flight, 0);
}

// AL-31: a cancelled call releases its permit and is no sample.
#[test]
fn a_call_that_is_dropped_or_panics_releases_its_permit_and_is_no_sample() {
    use std::future::{pending, poll_fn};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    let executor = Executor::new();
    let limit = on(&executor, aimd(1, 100));
    let mut cx = Context::from_waker(Waker::noop());
    {
        let mut call = pin!(limit.call(pending::<Result<(), ()>>()));
        assert!(std::future::Future::poll(call.as_mut(), &mut cx).is_pending());
        assert_eq!(limit.snapshot().calls.in_flight, 1);
    }
    let mut call = Box::pin(limit.call(poll_fn(|_| -> Poll<Result<(), ()>> { panic!("boom") })));
    let polled = catch_unwind(AssertUnwindSafe(|| std::future::Future::poll(call.as_mut(), &mut cx)));
    assert!(polled.is_err());
    drop(call);
    let snapshot = limit.snapshot();
    assert_eq!((snapshot.calls.in_flight, snapshot.limit), (0, 1));
}

// AL-11.
#[test]
fn never_more_run_than_the_limit_says_on_many_threads() {
    let config = AdaptiveConfig::new(Algorithm::AIMD).limits(10, 1, 10);
    let limit = AdaptiveLimit::with_config(config, Clock::system()).expect("good settings");
    let inside = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    if let Ok(permit) = limit.try_admit() {
                        let others = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        assert!(others < 10);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        permit.record(Outcome::Success);
                    }
                }
            });
        }
    });
    assert_eq!(limit.snapshot().calls.in_flight, 0);
}

// AL-16.
#[test]
fn a_queued_call_is_refused_when_its_wait_is_over() {
    let executor = Executor::new();
    let limit = on(&executor, aimd(1, 1).queue(1, 50 * MS));
    let _held = limit.try_admit();
    let result = executor.block_on(limit.call(async { Ok::<(), ()>(()) }));
    let refused = AdaptiveRejected::WaitElapsed { waited: 50 * MS };
    assert_eq!(result, Err(Refusal::Rejected(refused)));
}

// LL-01, first come first served in our case: a raised limit admits queued calls at once.
#[test]
fn a_limit_that_grows_admits_queued_calls() {
    let executor = Executor::new();
    let limit = on(&executor, aimd(1, 2).queue(2, SECOND));
    end_with(&executor, &limit, MS, Outcome::Success);
    let held = limit.try_admit().expect("it is empty");
    let waiting = [limit.clone(), limit.clone()].map(|limit| {
        let clock = executor.clock();
        executor.spawn(async move {
            let permit = limit.admit().await;
            let at = clock.now();
            clock.sleep(SECOND).await;
            (permit.is_ok(), at)
        })
    });
    executor.run_for(100 * MS);
    assert_eq!(limit.snapshot().calls.queued, 2);
    held.record(Outcome::Success);
    executor.run_for(Duration::ZERO);
    assert_eq!(
        (limit.limit(), limit.snapshot().calls.in_flight),
        (2, 2),
        "one permit was released, one is new"
    );
    let [one, other] = waiting;
    let both = executor.block_on(async { (one.await, other.await) });
    assert_eq!(both, ((true, Tick::ZERO + 101 * MS), (true, Tick::ZERO + 101 * MS)));
}

fn partitioned(executor: &Executor) -> (AdaptiveLimit, Partition, Partition) {
    let shares = [("batch", 0.3), ("live", 0.7)];
    let limit = AdaptiveLimit::partitioned(aimd(10, 10), executor.clock(), &shares).expect("good settings");
    let [batch, live] = ["batch", "live"].map(|name| limit.partition(name).expect("it was named"));
    (limit, batch, live)
}

// AL-13.
#[test]
fn partitions_that_use_their_shares_are_all_full_at_once() {
    let executor = Executor::new();
    let (limit, batch, live) = partitioned(&executor);
    let mut held: Vec<_> = (0..3).filter_map(|_| batch.try_admit().ok()).collect();
    held.extend((0..7).filter_map(|_| live.try_admit().ok()));
    assert_eq!((held.len(), batch.in_flight(), live.in_flight()), (10, 3, 7));
    assert!(batch.try_admit().is_err() && live.try_admit().is_err() && limit.try_admit().is_err());
    drop(held);
    assert_eq!(
        (limit.snapshot().calls.in_flight, batch.in_flight(), live.in_flight()),
        (0, 0, 0)
    );
}

#[test]
fn what_a_partition_does_not_use_is_lent_and_its_share_is_there_when_it_needs_it() {
    let executor = Executor::new();
    let (limit, batch, live) = partitioned(&executor);
    let lent: Vec<_> = std::iter::from_fn(|| batch.try_admit().ok()).collect();
    assert_eq!(lent.len(), 10, "alone it may have everything");
    let owed: Vec<_> = std::iter::from_fn(|| live.try_admit().ok()).collect();
    assert_eq!((owed.len(), live.guaranteed()), (7, 7));
    assert_eq!(limit.snapshot().calls.in_flight, 17, "until the loan is given back");
    drop(lent);
    assert!(batch.try_admit().is_ok());
    assert!(limit.partition("other").is_none());
}

#[test]
fn partitions_that_make_no_sense_are_refused_by_name() {
    let executor = Executor::new();
    let refused = |config: AdaptiveConfig, shares: &[(&str, f64)]| {
        AdaptiveLimit::partitioned(config, executor.clock(), shares)
            .map(|_| ())
            .map_err(|error| error.setting)
    };
    let good = aimd(10, 10);
    assert_eq!(refused(good, &[("a", 0.5), ("b", 0.5)]), Ok(()));
    assert_eq!(refused(good, &[("a", 0.0)]), Err("share"));
    assert_eq!(refused(good, &[("a", f64::NAN)]), Err("share"));
    assert_eq!(refused(good, &[("a", 0.6), ("b", 0.5)]), Err("share"));
    assert_eq!(refused(good, &[("a", 0.5), ("a", 0.5)]), Err("partition"));
    assert_eq!(refused(good.queue(1, SECOND), &[("a", 0.5)]), Err("max_queue"));
}

#[test]
fn new_settings_keep_running_and_queued_calls_what_was_learned_and_what_was_counted() {
    let executor = Executor::new();
    let limit = on(&executor, aimd(2, 100).queue(2, SECOND));
    end_with(&executor, &limit, MS, Outcome::Success);
    end_with(&executor, &limit, MS, Outcome::Success);
    let held = [(); 3].map(|()| limit.try_admit().expect("it has grown to three"));
    let waiting = limit.clone();
    let waiting = executor.spawn(async move { waiting.admit().await.is_ok() });
    executor.run_for(MS);

    let other = aimd(50, 60).window(MS, 7).drops(3 * SECOND, 0.0);
    assert_eq!(limit.reconfigure(other), Ok(()));
    let snapshot = limit.snapshot();
    assert_eq!(
        (limit.config(), snapshot.limit, snapshot.calls.in_flight),
        (other, 3, 3)
    );
    assert_eq!((snapshot.calls.queued, snapshot.calls.admitted), (1, 5));
    assert!(limit.try_admit().is_err(), "all permits are taken");

    assert_eq!(limit.reconfigure(other.limits(7, 4, 9)), Ok(()));
    assert_eq!(limit.limit(), 4, "it is kept within its new bounds");
    assert!(executor.block_on(waiting), "and the queued ones get permits");
    let [one, _, _] = held;
    executor.run_for(3 * SECOND);
    assert_eq!(limit.snapshot().dropped, 0);
    drop(one);
    assert_eq!(
        limit.snapshot().dropped,
        1,
        "it ran for longer than the new limit of 3 s"
    );

    let refused = limit.reconfigure(other.limits(7, 3, 2)).expect_err("it makes no sense");
    assert_eq!((refused.setting, limit.limit()), ("max_limit", 4));
}

#[test]
fn a_baseline_is_kept_by_algorithms_that_use_it_and_forgotten_by_the_others() {
    let executor = Executor::new();
    let gradient = AdaptiveConfig::new(Algorithm::GRADIENT)
        .limits(20, 1, 100)
        .window(MS, 1);
    let limit = on(&executor, gradient);
    for _ in 0..40 {
        end_with(&executor, &limit, 10 * MS, Outcome::Success);
    }
    let (learned, baseline) = (limit.limit(), limit.snapshot().baseline);
    assert!(baseline.is_some());
    let with = |algorithm| AdaptiveConfig { algorithm, ..gradient };
    for (algorithm, expected) in [
        (Algorithm::VEGAS, baseline),
        (Algorithm::GRADIENT, baseline),
        (Algorithm::AIMD, None),
        (Algorithm::GRADIENT, None),
    ] {
        assert_eq!(limit.reconfigure(with(algorithm)), Ok(()));
        let snapshot = limit.snapshot();
        assert_eq!(
            (snapshot.limit, snapshot.baseline),
            (learned, expected),
            "{algorithm:?}"
        );
    }
}

#[test]
fn new_settings_with_a_queue_are_refused_where_there_are_partitions() {
    let executor = Executor::new();
    let (limit, batch, _live) = partitioned(&executor);
    let refused = limit.reconfigure(aimd(10, 10).queue(1, SECOND));
    assert_eq!(refused.map_err(|error| error.setting), Err("max_queue"));
    assert_eq!(limit.reconfigure(aimd(10, 20).limits(20, 20, 20)), Ok(()));
    assert_eq!((limit.limit(), batch.guaranteed()), (20, 6));
}
