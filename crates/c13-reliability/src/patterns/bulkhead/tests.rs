//! Bulkheads in virtual time.

use super::*;
use crate::gate::Gate;
use crate::sync::Random;
use crate::time::{Deadline, Executor, Tick};
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

mod keyed;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn on(executor: &Executor, config: BulkheadConfig) -> Bulkhead {
    Bulkhead::with_config(config, executor.clock()).expect("the test's settings are good")
}

fn poll<F: Future + ?Sized>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// No permit is held, no call is queued, and no timer is pending.
fn assert_empty(bulkhead: &Bulkhead, executor: &Executor) {
    let snapshot = bulkhead.snapshot();
    assert_eq!((snapshot.calls.in_flight, snapshot.calls.queued), (0, 0));
    assert_eq!(bulkhead.available(), snapshot.max_concurrent);
    assert_eq!(executor.time().waiting(), 0);
}

// BH-01.
#[test]
fn permits_are_acquired_refused_and_released() {
    let bulkhead = Bulkhead::new(2);
    let one = bulkhead.try_admit().unwrap();
    let other = bulkhead.try_admit().unwrap();
    assert_eq!(
        bulkhead.try_admit().unwrap_err(),
        BulkheadRejected::Full { max_concurrent: 2 }
    );
    assert_eq!(bulkhead.available(), 0);
    drop(one);
    assert_eq!(bulkhead.available(), 1);
    drop(other);
    assert_eq!((bulkhead.available(), bulkhead.in_flight()), (2, 0));
    assert!(bulkhead.try_admit().is_ok());
    assert_eq!(bulkhead.snapshot().calls.rejected, 1);
}

// BH-02.
#[test]
fn a_queued_call_is_refused_when_its_wait_is_over_and_not_before() {
    let executor = Executor::new();
    let bulkhead = on(&executor, BulkheadConfig::new(1).queue(1, 50 * MS));
    let _held = bulkhead.try_admit();
    let ran = Cell::new(false);
    let result = executor.block_on(bulkhead.call(async {
        ran.set(true);
        Ok::<(), ()>(())
    }));
    assert_eq!(result, Err(BulkheadError::WaitElapsed { waited: 50 * MS }));
    assert_eq!((executor.clock().now(), ran.get()), (Tick::ZERO + 50 * MS, false));
    assert_eq!(bulkhead.snapshot().calls.wait_elapsed, 1);
}

// BH-04.
#[test]
fn a_call_that_is_dropped_in_the_queue_leaves_nothing_behind() {
    let executor = Executor::new();
    let bulkhead = on(&executor, BulkheadConfig::new(1).queue(1, 2 * SECOND));
    let held = bulkhead.try_admit();
    {
        let mut waiting = pin!(bulkhead.call(ready(Ok::<(), ()>(()))));
        assert!(poll(waiting.as_mut()).is_pending());
        assert_eq!((bulkhead.snapshot().calls.queued, executor.time().waiting()), (1, 1));
    }
    assert_eq!(bulkhead.snapshot().calls.queued, 0);
    drop(held);
    assert_empty(&bulkhead, &executor);
}

#[test]
fn a_waiter_that_is_dropped_after_its_grant_passes_its_permit_on() {
    let executor = Executor::new();
    let bulkhead = on(&executor, BulkheadConfig::new(1).queue(2, SECOND));
    let held = bulkhead.try_admit();
    let mut next = pin!(bulkhead.call(ready(Ok::<_, ()>(2))));
    {
        let mut first = pin!(bulkhead.call(ready(Ok::<_, ()>(1))));
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll(next.as_mut()).is_pending());
        drop(held);
        assert!(poll(next.as_mut()).is_pending(), "it is the first one's turn");
    }
    assert_eq!(poll(next.as_mut()), Poll::Ready(Ok(2)));
    assert_empty(&bulkhead, &executor);
}

#[test]
fn a_call_that_is_dropped_while_it_runs_releases_its_permit() {
    let executor = Executor::new();
    let bulkhead = on(&executor, BulkheadConfig::new(1));
    {
        let mut running = pin!(bulkhead.call(pending::<Result<(), ()>>()));
        assert!(poll(running.as_mut()).is_pending());
        assert_eq!(bulkhead.in_flight(), 1);
    }
    assert_empty(&bulkhead, &executor);
}

#[test]
fn a_call_that_is_dropped_has_its_permit_until_its_future_is_gone() {
    struct Last(Bulkhead);

    impl Drop for Last {
        fn drop(&mut self) {
            assert_eq!((self.0.in_flight(), self.0.available()), (1, 0), "the call still runs");
        }
    }

    let executor = Executor::new();
    let bulkhead = on(&executor, BulkheadConfig::new(1).queue(1, SECOND));
    let last = Last(bulkhead.clone());
    let mut running = Box::pin(bulkhead.call(async move {
        let _last = last;
        pending::<Result<(), ()>>().await
    }));
    assert!(poll(running.as_mut()).is_pending());
    drop(running);
    assert_empty(&bulkhead, &executor);
}

#[test]
fn a_panic_in_the_call_releases_the_permit_at_once() {
    let executor = Executor::new();
    let bulkhead = on(&executor, BulkheadConfig::new(1));
    let mut call = Box::pin(bulkhead.call(poll_fn(|_| -> Poll<Result<(), ()>> { panic!("boom") })));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(call.as_mut()))).is_err());
    assert_empty(&bulkhead, &executor);
    drop(call);
    assert_empty(&bulkhead, &executor);
}

// BH-05.
#[test]
fn a_raised_limit_is_there_at_once() {
    let bulkhead = Bulkhead::new(1);
    let _held = bulkhead.try_admit();
    bulkhead.resize(2).unwrap();
    assert_eq!(bulkhead.available(), 1);
    assert_eq!(bulkhead.resize(0).unwrap_err().setting, "max_concurrent");
    assert_eq!(bulkhead.config().max_concurrent, 2, "a refused size changes nothing");
}

// BH-07.
#[test]
fn a_raised_limit_admits_queued_calls_at_once() {
    let executor = Executor::new();
    let bulkhead = on(&executor, BulkheadConfig::new(1).queue(1, 500 * SECOND));
    let _held = bulkhead.try_admit();
    let result = executor.block_on(async {
        let (clock, raise) = (executor.clock(), bulkhead.clone());
        executor.spawn(async move {
            clock.sleep(SECOND).await;
            raise.resize(2).unwrap();
        });
        bulkhead.call(ready(Ok::<_, ()>(7))).await
    });
    assert_eq!((result, executor.clock().now()), (Ok(7), Tick::ZERO + SECOND));
    assert_eq!(bulkhead.snapshot().calls.waited.max(), 1_000_000_000);
}

#[test]
fn a_lowered_limit_takes_effect_as_running_calls_end() {
    let bulkhead = Bulkhead::new(3);
    let mut held: Vec<_> = (0..3).map(|_| bulkhead.try_admit().unwrap()).collect();
    bulkhead.resize(1).unwrap();
    assert_eq!((bulkhead.in_flight(), bulkhead.available()), (3, 0));
    for _ in 0..2 {
        held.pop();
        assert!(bulkhead.try_admit().is_err());
    }
    held.pop();
    assert!(bulkhead.try_admit().is_ok());
}

// BH-08.
#[test]
fn a_shorter_wait_holds_for_new_calls_and_not_for_queued_ones() {
    let executor = Executor::new();
    let bulkhead = on(&executor, BulkheadConfig::new(1).queue(5, 10 * SECOND));
    let _held = bulkhead.try_admit();
    let (first, second) = (bulkhead.clone(), bulkhead.clone());
    let (clock, waits) = (
        executor.clock(),
        |clock: crate::time::Clock, bulkhead: Bulkhead| async move {
            let result = bulkhead.call(ready(Ok::<(), ()>(()))).await;
            (result, clock.now())
        },
    );
    let before = executor.spawn(waits(clock.clone(), first));
    executor.run_for(SECOND);
    bulkhead
        .reconfigure(BulkheadConfig::new(1).queue(5, 2 * SECOND))
        .unwrap();
    let after = executor.spawn(waits(clock, second));
    let (before, after) = executor.block_on(async { (before.await, after.await) });
    let waited = |waited| Err(BulkheadError::WaitElapsed { waited });
    assert_eq!(before, (waited(10 * SECOND), Tick::ZERO + 10 * SECOND));
    assert_eq!(after, (waited(2 * SECOND), Tick::ZERO + 3 * SECOND));
}

// BH-10.
#[test]
fn a_queued_call_runs_when_a_permit_becomes_available() {
    let executor = Executor::new();
    let bulkhead = on(&executor, BulkheadConfig::new(2).queue(1, SECOND));
    for takes in [200 * MS, 900 * MS] {
        let (clock, bulkhead) = (executor.clock(), bulkhead.clone());
        executor.spawn(async move {
            let result = bulkhead
                .call(async {
                    clock.sleep(takes).await;
                    Ok::<(), ()>(())
                })
                .await;
            assert!(result.is_ok());
        });
    }
    executor.run_for(Duration::ZERO);
    let result = executor.block_on(bulkhead.call(ready(Ok::<_, ()>(7))));
    assert_eq!((result, executor.clock().now()), (Ok(7), Tick::ZERO + 200 * MS));
}

// BH-11.
#[test]
fn a_full_bulkhead_never_runs_the_call() {
    let executor = Executor::new();
    let bulkhead = on(&executor, BulkheadConfig::new(1));
    let _held = bulkhead.try_admit();
    let result = executor.block_on(bulkhead.call(poll_fn(|_| -> Poll<Result<(), ()>> { panic!("it runs") })));
    assert_eq!(result, Err(BulkheadError::Full { max_concurrent: 1 }));
    assert_eq!(bulkhead.snapshot().calls.rejected, 1);
    let rejected = bulkhead.try_admit().unwrap_err();
    assert_eq!(rejected.to_string(), "the bulkhead is full, its limit is 1");
}

// BH-13.
#[test]
fn running_queued_and_refused_calls_add_up() {
    for (parallel, queue, load) in [
        (5, 0, 3),
        (20, 0, 3),
        (3, 0, 4),
        (3, 1, 5),
        (6, 3, 9),
        (5, 3, 8),
        (1, 6, 5),
    ] {
        let executor = Executor::new();
        let wait = if queue > 0 { SECOND } else { Duration::ZERO };
        let bulkhead = on(&executor, BulkheadConfig::new(parallel).queue(queue, wait));
        for _ in 0..load {
            let bulkhead = bulkhead.clone();
            executor.spawn(async move { bulkhead.call(pending::<Result<(), ()>>()).await.is_ok() });
        }
        executor.run_for(Duration::ZERO);
        let snapshot = bulkhead.snapshot();
        let running = load.min(parallel);
        let queued = (load - running).min(queue);
        assert_eq!(
            (
                snapshot.calls.in_flight,
                snapshot.calls.queued as u32,
                snapshot.calls.rejected as u32
            ),
            (running, queued, load - running - queued),
            "{parallel} parallel, {queue} queued, {load} calls"
        );
    }
}

// BH-14.
#[test]
fn queued_calls_run_first_come_first_served() {
    let executor = Executor::new();
    let bulkhead = on(&executor, BulkheadConfig::new(1).queue(5, SECOND));
    let held = bulkhead.try_admit();
    let order = Rc::new(RefCell::new(Vec::new()));
    for number in 0..5 {
        let (bulkhead, order, clock) = (bulkhead.clone(), order.clone(), executor.clock());
        executor.spawn(async move {
            let result = bulkhead
                .call(async {
                    order.borrow_mut().push(number);
                    clock.sleep(MS).await;
                    Ok::<(), ()>(())
                })
                .await;
            assert!(result.is_ok());
        });
        executor.run_for(Duration::ZERO);
    }
    drop(held);
    executor.run_until_idle();
    assert_eq!(*order.borrow(), [0, 1, 2, 3, 4]);
    assert_empty(&bulkhead, &executor);
}

#[test]
fn a_new_call_does_not_overtake_queued_ones() {
    let executor = Executor::new();
    let bulkhead = on(&executor, BulkheadConfig::new(1).queue(1, SECOND));
    let held = bulkhead.try_admit();
    let mut waiting = pin!(bulkhead.admit());
    assert!(poll(waiting.as_mut()).is_pending());
    drop(held);
    assert!(bulkhead.try_admit().is_err());
    assert!(matches!(poll(waiting.as_mut()), Poll::Ready(Ok(_))));
}

#[test]
fn a_wait_in_the_queue_ends_at_the_callers_deadline() {
    let executor = Executor::new();
    let clock = executor.clock();
    let bulkhead = on(&executor, BulkheadConfig::new(1).queue(1, Duration::MAX));
    let _held = bulkhead.try_admit();
    let call = bulkhead.call(ready(Ok::<(), ()>(())));
    let result = executor.block_on(Deadline::after(&clock, 30 * MS).scope(call));
    assert_eq!(result, Err(BulkheadError::WaitElapsed { waited: 30 * MS }));
    let mut waiting = pin!(bulkhead.admit());
    assert!(poll(waiting.as_mut()).is_pending());
    assert_eq!(executor.time().waiting(), 0, "without any limit there is no timer");
}

/// Counts the calls that run, those that are dropped while they run too.
struct Inside<'a>(&'a Cell<u32>);

impl<'a> Inside<'a> {
    fn enter(count: &'a Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[test]
fn never_more_calls_run_than_the_limit_over_random_runs() {
    for seed in 0..60 {
        let executor = Executor::seeded(seed);
        let random = Rc::new(Random::new(seed));
        let bulkhead = on(&executor, BulkheadConfig::new(4).queue(6, 30 * MS));
        let (running, most, ran) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        for _ in 0..200 {
            let (bulkhead, clock, random) = (bulkhead.clone(), executor.clock(), random.clone());
            let (running, most, ran) = (running.clone(), most.clone(), ran.clone());
            executor.spawn(async move {
                clock.sleep(MS * random.below(300) as u32).await;
                let patience = MS * random.below(40) as u32;
                let call = bulkhead.call(async {
                    let _inside = Inside::enter(&running);
                    most.set(most.get().max(running.get()));
                    clock.sleep(MS * random.below(20) as u32).await;
                    ran.set(ran.get() + 1);
                    Ok::<(), ()>(())
                });
                // Some are dropped while they wait and some while they run.
                clock.timeout(patience, call).await.is_ok()
            });
        }
        executor.run_until_idle();
        assert!(
            most.get() == 4 && ran.get() > 0,
            "seed {seed}: {} at a time",
            most.get()
        );
        assert_empty(&bulkhead, &executor);
    }
}

#[test]
fn many_threads_never_exceed_the_limit_and_release_all_permits() {
    let bulkhead = Bulkhead::new(3);
    let inside = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    if let Ok(permit) = bulkhead.try_admit() {
                        let others = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        assert!(others < 3);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(permit);
                    }
                }
            });
        }
    });
    assert_eq!((bulkhead.in_flight(), bulkhead.available()), (0, 3));
}

/// A bulkhead of one permit, and a queued call that was granted it and is kept without being polled.
fn kept_in_the_queue(
    executor: &Executor,
    max_wait: Duration,
) -> (Bulkhead, std::pin::Pin<Box<dyn Future<Output = bool>>>) {
    let bulkhead = on(executor, BulkheadConfig::new(1).queue(2, max_wait));
    let held = bulkhead.try_admit().expect("nobody is inside");
    let mut kept = Box::pin({
        let bulkhead = bulkhead.clone();
        async move { bulkhead.call(ready(Ok::<_, ()>(()))).await.is_ok() }
    });
    assert!(poll(kept.as_mut()).is_pending());
    drop(held);
    assert_eq!((bulkhead.in_flight(), bulkhead.snapshot().calls.queued), (1, 0));
    (bulkhead, kept)
}

#[test]
fn a_granted_permit_whose_waiter_is_not_polled_passes_to_another_call_after_a_second() {
    // A later call, and when it runs: a call that comes then finds the unused grant.
    for (comes, runs) in [(0, None), (999, None), (1_000, Some(1_000)), (5_000, Some(5_000))] {
        let executor = Executor::new();
        let (bulkhead, mut kept) = kept_in_the_queue(&executor, Duration::MAX);
        executor.run_for(comes * MS);
        let call = bulkhead.call(ready(Ok::<_, ()>(())));
        let call = executor.block_on(executor.clock().timeout(100 * MS, call));
        let ran = call.is_ok().then(|| executor.clock().now() - Tick::ZERO);
        assert_eq!(ran, runs.map(|runs| runs * MS), "comes after {comes} ms");
        // The first call is served as soon as it is polled, as no call is before it.
        assert_eq!(poll(kept.as_mut()), Poll::Ready(true), "comes after {comes} ms");
        drop(kept);
        assert_empty(&bulkhead, &executor);
    }
}

#[test]
fn a_queued_call_takes_the_unused_grant_of_the_one_before_it_at_the_end_of_its_wait() {
    let executor = Executor::new();
    let (bulkhead, kept) = kept_in_the_queue(&executor, 3 * SECOND);
    let result = executor.block_on(bulkhead.call(ready(Ok::<_, ()>(7))));
    assert_eq!((result, executor.clock().now()), (Ok(7), Tick::ZERO + 3 * SECOND));
    drop(kept);
    assert_empty(&bulkhead, &executor);
}

#[test]
fn a_call_that_never_waits_finds_an_unused_grant_at_the_second_try() {
    let executor = Executor::new();
    let (bulkhead, kept) = kept_in_the_queue(&executor, Duration::MAX);
    executor.run_for(SECOND);
    assert!(bulkhead.try_admit().is_err());
    let permit = bulkhead.try_admit();
    assert!(permit.is_ok());
    drop((permit, kept));
    assert_empty(&bulkhead, &executor);
}

#[test]
fn a_call_that_missed_its_grant_is_before_all_others_when_it_is_polled() {
    let executor = Executor::new();
    let (bulkhead, mut kept) = kept_in_the_queue(&executor, Duration::MAX);
    executor.run_for(SECOND);
    let mut second = pin!(bulkhead.call(pending::<Result<(), ()>>()));
    assert!(poll(second.as_mut()).is_pending(), "it runs");
    let mut third = pin!(bulkhead.call(ready(Ok::<_, ()>(()))));
    assert!(poll(third.as_mut()).is_pending());
    assert!(poll(kept.as_mut()).is_pending());
    assert_eq!((bulkhead.in_flight(), bulkhead.snapshot().calls.queued), (1, 2));
    second.set(bulkhead.call(pending()));
    assert!(poll(third.as_mut()).is_pending());
    assert_eq!(poll(kept.as_mut()), Poll::Ready(true));
    assert_eq!(poll(third.as_mut()), Poll::Ready(Ok(())));
}
