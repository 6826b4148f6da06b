//! A deadline that has passed: no pattern begins an attempt then, by whatever way it is asked.

use c13_reliability::gate::{Gate, Outcome, OwnedGate};
use c13_reliability::patterns::adaptive::{AdaptiveConfig, AdaptiveLimit, AdaptiveRejected, Algorithm};
use c13_reliability::patterns::bulkhead::{Bulkhead, BulkheadConfig, BulkheadError, BulkheadRejected};
use c13_reliability::patterns::cache::{Cache, CacheConfig, LoadError};
use c13_reliability::patterns::circuit_breaker::{
    CircuitBreaker, CircuitBreakerConfig, CircuitBreakerError, CircuitBreakerLayer,
};
use c13_reliability::patterns::hedge::{Hedge, HedgeConfig, HedgeDelay, HedgeError, HedgeLayer};
use c13_reliability::patterns::retry::{RetryConfig, RetryError, RetryExecutor, RetryLayer, RetryStrategy, Verdict};
use c13_reliability::time::{Clock, Deadline, Executor, Tick, VirtualTime};
use std::cell::Cell;
use std::future::{Future, poll_fn, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tower::{Layer, Service, service_fn};

const SECOND: Duration = Duration::from_secs(1);

fn retry(clock: &Clock) -> RetryExecutor {
    let config = RetryConfig::new(3, RetryStrategy::FixedDelay(SECOND)).without_budget();
    RetryExecutor::with_config(config, clock.clone()).expect("good")
}

fn hedge(clock: &Clock) -> Hedge {
    Hedge::with_config(HedgeConfig::new(HedgeDelay::Fixed(SECOND)), clock.clone()).expect("good")
}

fn bulkhead(clock: &Clock) -> Bulkhead {
    Bulkhead::with_config(BulkheadConfig::new(1).queue(5, 60 * SECOND), clock.clone()).expect("good")
}

/// Runs what is asked for in the scope of a deadline that is this very instant.
fn late<F: Future>(executor: &Executor, ask: F) -> F::Output {
    let clock = executor.clock();
    executor.block_on(Deadline::at(&clock, clock.now()).scope(ask))
}

#[test]
fn no_attempt_begins_after_the_deadline_by_any_way_in() {
    let executor = Executor::new();
    let clock = executor.clock();
    let asked = Cell::new(0);
    let attempt = || {
        asked.set(asked.get() + 1);
        ready(Ok::<_, &str>(()))
    };
    let (retry, hedge, bulkhead) = (retry(&clock), hedge(&clock), bulkhead(&clock));
    let passed = RetryError::DeadlinePassed { attempts: 0 };
    assert_eq!(late(&executor, retry.execute(attempt)), Err(passed));
    assert_eq!(late(&executor, retry.execute_with(attempt, Verdict::of)), Err(passed));
    let blocking = async {
        let work = || {
            asked.set(asked.get() + 1);
            Ok::<_, &str>(())
        };
        retry.execute_blocking(work, Verdict::of)
    };
    assert_eq!(late(&executor, blocking), Err(passed));
    assert_eq!(late(&executor, hedge.execute(attempt)), Err(HedgeError::DeadlinePassed));
    let with = hedge.execute_with(attempt, |_| true);
    assert_eq!(late(&executor, with), Err(HedgeError::DeadlinePassed));
    let call = bulkhead.call(async { attempt().await });
    assert_eq!(late(&executor, call), Err(BulkheadError::DeadlinePassed));
    let permit = late(&executor, bulkhead.admit()).map(drop);
    assert_eq!(permit, Err(BulkheadRejected::DeadlinePassed));
    let permit = late(&executor, bulkhead.admit_owned()).map(drop);
    assert_eq!(permit, Err(BulkheadRejected::DeadlinePassed));
    let limit = AdaptiveLimit::with_config(AdaptiveConfig::new(Algorithm::AIMD), clock.clone()).expect("good");
    let permit = late(&executor, limit.admit()).map(drop);
    assert_eq!(permit, Err(AdaptiveRejected::DeadlinePassed));
    assert_eq!(asked.get(), 0);
    // Each is counted, once, and takes nothing of the budget.
    assert_eq!(retry.snapshot().deadline_exceeded, 3);
    assert_eq!((hedge.snapshot().failures, hedge.snapshot().calls_abandoned), (2, 0));
    assert_eq!(
        (
            bulkhead.snapshot().calls.wait_elapsed,
            bulkhead.snapshot().calls.admitted
        ),
        (3, 0)
    );
    // Before the deadline all begin.
    let soon = |ask: &dyn Fn() -> bool| assert!(ask());
    soon(&|| {
        executor
            .block_on(Deadline::after(&clock, SECOND).scope(retry.execute(attempt)))
            .is_ok()
    });
    soon(&|| {
        executor
            .block_on(Deadline::after(&clock, SECOND).scope(hedge.execute(attempt)))
            .is_ok()
    });
    assert_eq!(asked.get(), 2);
}

#[test]
fn no_service_is_called_after_the_deadline() {
    let executor = Executor::new();
    let clock = executor.clock();
    let called = Arc::new(AtomicU32::new(0));
    let counter = called.clone();
    let service = service_fn(move |_: u32| {
        counter.fetch_add(1, Ordering::SeqCst);
        ready(Ok::<_, &str>(()))
    });
    let mut retried = RetryLayer::new(retry(&clock)).layer(service.clone());
    let result = late(&executor, async { retried.call(1).await });
    assert_eq!(result, Err(RetryError::DeadlinePassed { attempts: 0 }));
    let mut hedged = HedgeLayer::new(hedge(&clock)).layer(service.clone());
    let result = late(&executor, async { hedged.call(1).await });
    assert_eq!(result, Err(HedgeError::DeadlinePassed));
    let mut gated = c13_reliability::gate::GateLayer::new(bulkhead(&clock)).layer(service);
    assert!(late(&executor, async { gated.call(1).await }).is_err());
    assert_eq!(called.load(Ordering::SeqCst), 0);
}

#[test]
fn no_call_begins_through_a_breaker_after_the_deadline() {
    type Late = CircuitBreakerError<&'static str>;
    let executor = Executor::new();
    let clock = executor.clock();
    let asked = Cell::new(0);
    let attempt = || {
        asked.set(asked.get() + 1);
        ready(Err::<(), _>("down"))
    };
    let new = || CircuitBreaker::with_config(CircuitBreakerConfig::new().consecutive_failures(1), clock.clone());
    let (breaker, outer) = (new().expect("good"), new().expect("good"));
    let call = breaker.call(async { attempt().await });
    assert_eq!(late(&executor, call), Err(Late::DeadlinePassed));
    assert_eq!(late(&executor, breaker.call_with(attempt)), Err(Late::DeadlinePassed));
    let call = breaker.call_classified(async { attempt().await }, Outcome::of);
    assert_eq!(late(&executor, call), Err(Late::DeadlinePassed));
    let view = breaker.classified(|_: &Result<(), &str>| Outcome::FAILURE);
    let call = view.call(async { attempt().await });
    assert_eq!(late(&executor, call), Err(Late::DeadlinePassed));
    let mut service = CircuitBreakerLayer::new(breaker.clone()).layer(service_fn(|_: u32| attempt()));
    let answer = late(&executor, async {
        poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(1).await
    });
    assert_eq!(answer, Err(Late::DeadlinePassed));
    // A gate around it that was asked in time takes it for no failure of the dependency.
    let both = outer.call(async {
        clock.sleep(2 * SECOND).await;
        breaker.call(attempt()).await
    });
    let cut = executor.block_on(Deadline::after(&clock, SECOND).scope(both));
    assert_eq!(cut, Err(CircuitBreakerError::CallFailed(Late::DeadlinePassed)));
    assert_eq!(
        (breaker.metrics().total_requests, outer.metrics().failure_count),
        (0, 0)
    );
    assert_eq!(asked.get(), 1, "the last one was made, but not polled");
    // With time left it begins, and a deadline on another clock says nothing.
    let call = Deadline::after(&clock, SECOND).scope(breaker.call(attempt()));
    assert_eq!(executor.block_on(call), Err(CircuitBreakerError::CallFailed("down")));
}

#[test]
fn no_load_begins_after_the_deadline_and_what_is_there_is_served() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = CacheConfig::new().ttl(SECOND).jitter(0.0).stale_if_error(60 * SECOND);
    let cache = Cache::<u32, u32>::with_config(config, clock.clone()).unwrap();
    let loads = Arc::new(AtomicU32::new(0));
    let load = || {
        let loads = loads.clone();
        move || async move { Ok::<_, &'static str>(loads.fetch_add(1, Ordering::SeqCst)) }
    };
    let read = late(&executor, cache.get_or_load(&1, load()));
    assert!(matches!(read, Err(LoadError::DeadlinePassed)), "{read:?}");
    cache.insert(1, 10);
    let read = late(&executor, cache.get_or_load(&1, load()));
    assert_eq!(read.ok(), Some(10), "a value that is fresh");
    executor.block_on(clock.sleep(2 * SECOND));
    let read = late(&executor, cache.get_or_load(&1, load()));
    assert_eq!(read.ok(), Some(10), "a value that is stale");
    let config = config.stale_while_revalidate(60 * SECOND);
    let revalidated = Cache::<u32, u32>::with_config(config, clock.clone()).unwrap();
    revalidated.insert(1, 11);
    executor.block_on(clock.sleep(2 * SECOND));
    let read = late(&executor, revalidated.get_or_load(&1, load()));
    assert_eq!(read.ok(), Some(11), "a value that would be loaded anew meanwhile");
    assert_eq!(loads.load(Ordering::SeqCst), 0);
    let read = executor.block_on(Deadline::after(&clock, SECOND).scope(cache.get_or_load(&1, load())));
    assert_eq!((read.ok(), loads.load(Ordering::SeqCst)), (Some(0), 1));
}

#[test]
fn a_place_that_is_free_at_the_deadline_comes_too_late() {
    for (deadline, runs) in [(SECOND, false), (SECOND + Duration::from_nanos(1), true)] {
        let executor = Executor::new();
        let clock = executor.clock();
        let bulkhead = bulkhead(&clock);
        let (first, own) = (bulkhead.clone(), clock.clone());
        let _first = executor.spawn(async move {
            let work = async {
                own.sleep(SECOND).await;
                Ok::<_, ()>(())
            };
            first.call(work).await
        });
        executor.run_for(Duration::from_millis(1));
        let ran = Cell::new(false);
        let work = async {
            ran.set(true);
            Ok::<_, ()>(())
        };
        let result = executor.block_on(Deadline::at(&clock, Tick::ZERO + deadline).scope(bulkhead.call(work)));
        assert_eq!((result.is_ok(), ran.get()), (runs, runs), "until {deadline:?}");
        assert_eq!(
            (bulkhead.in_flight(), bulkhead.snapshot().calls.queued),
            (0, 0),
            "until {deadline:?}"
        );
    }
}

#[test]
fn a_retry_whose_wait_ended_late_is_not_made() {
    for (answer, expected) in [
        (
            Err("down"),
            Err(RetryError::DeadlineExceeded {
                attempts: 1,
                last_error: "down",
            }),
        ),
        // A value that was worth a retry is given back.
        (Ok(503), Ok(503)),
    ] {
        let time = VirtualTime::new();
        let clock = time.clock();
        let retry = retry(&clock);
        let asked = Cell::new(0);
        let attempt = || {
            asked.set(asked.get() + 1);
            ready(answer)
        };
        let call = retry.execute_with(attempt, |_| Verdict::Retry);
        let mut call = pin!(Deadline::at(&clock, Tick::ZERO + 2 * SECOND).scope(call));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
        // Whoever polls it was busy for longer than the wait.
        time.advance(2 * SECOND);
        assert_eq!(call.poll(&mut cx), Poll::Ready(expected));
        assert_eq!((asked.get(), retry.snapshot().deadline_exceeded), (1, 1));
    }
}
