//! Time limits in virtual time.

use super::*;
use crate::time::{Deadline, Executor, Tick};
use std::cell::Cell;
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn on(executor: &Executor, limit: Duration) -> Timeout {
    Timeout::with_config(TimeoutConfig::new(limit), executor.clock()).expect("the test's limit is above zero")
}

/// A call that takes `takes`.
async fn work(executor: &Executor, takes: Duration) -> Result<u32, &'static str> {
    executor.clock().sleep(takes).await;
    Ok(7)
}

// TO-01.
#[test]
fn a_call_that_takes_too_long_ends_at_its_limit_and_is_dropped() {
    let executor = Executor::new();
    let timeout = on(&executor, 300 * MS);
    let result = executor.block_on(timeout.call(work(&executor, 500 * MS)));
    assert_eq!(result, Err(TimeoutError::Elapsed { limit: 300 * MS }));
    assert_eq!(executor.clock().now(), Tick::ZERO + 300 * MS);
    assert_eq!(executor.time().waiting(), 0, "the work's own timer is gone");
    assert_eq!(timeout.snapshot().elapsed, 1);
}

// TO-02: what is to go on after the limit is a task of its own.
#[test]
fn a_task_of_its_own_goes_on_after_the_limit() {
    let executor = Executor::new();
    let timeout = on(&executor, 300 * MS);
    let clock = executor.clock();
    let done = std::rc::Rc::new(Cell::new(false));
    let set = done.clone();
    let task = executor.spawn(async move {
        clock.sleep(500 * MS).await;
        set.set(true);
        Ok::<(), &str>(())
    });
    assert!(executor.block_on(timeout.call(task)).is_err());
    assert!(!done.get());
    executor.run_until_idle();
    assert!(done.get());
}

// TO-04: zero is refused, and the longest duration is no limit.
#[test]
fn a_limit_of_zero_is_refused_and_the_longest_is_none() {
    let error = Timeout::try_new(Duration::ZERO).unwrap_err();
    assert_eq!(error.to_string(), "timeout: `limit` is 0ns, but it must be above zero");
    assert!(catch_unwind(|| Timeout::new(Duration::ZERO)).is_err());
    let executor = Executor::new();
    let unlimited = on(&executor, Duration::MAX);
    let clock = executor.clock();
    let result = executor.block_on(unlimited.call(async {
        clock.sleep(86_400 * SECOND).await;
        assert_eq!(Deadline::current(&clock), None);
        Ok::<_, &str>(executor.time().waiting())
    }));
    assert_eq!(result, Ok(0), "and sets no timer");
}

// TO-05.
#[test]
fn the_error_names_the_limit() {
    let executor = Executor::new();
    let timeout = on(&executor, 2 * SECOND);
    let error = executor
        .block_on(timeout.call(work(&executor, 4 * SECOND)))
        .unwrap_err();
    assert_eq!(error.to_string(), "the call took longer than its limit of 2s");
    assert!(error.is_timeout());
}

#[test]
fn the_calls_own_error_comes_through() {
    let executor = Executor::new();
    let timeout = on(&executor, SECOND);
    let error = executor
        .block_on(timeout.call(ready(Err::<(), _>("refused"))))
        .unwrap_err();
    assert_eq!(
        (error, error.to_string().as_str()),
        (TimeoutError::CallFailed("refused"), "refused")
    );
    assert_eq!(error.into_call_error(), Some("refused"));
}

// TO-07.
#[test]
fn a_call_that_its_caller_drops_is_abandoned_and_no_timeout() {
    let executor = Executor::new();
    let timeout = on(&executor, SECOND);
    {
        let mut call = pin!(timeout.call(pending::<Result<(), ()>>()));
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(executor.time().waiting(), 1);
    }
    executor.run_for(2 * SECOND);
    let abandoned = TimeoutSnapshot {
        abandoned: 1,
        ..TimeoutSnapshot::default()
    };
    assert_eq!(timeout.snapshot(), abandoned);
    assert_eq!(executor.time().waiting(), 0);
}

#[test]
fn a_call_that_is_ready_at_once_sets_no_timer() {
    let executor = Executor::new();
    let timeout = on(&executor, MS);
    let time = executor.time();
    let mut call = pin!(timeout.call(poll_fn(|_| {
        assert_eq!(time.waiting(), 0);
        Poll::Ready(Ok::<_, ()>(1))
    })));
    let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!((polled, time.waiting()), (Poll::Ready(Ok(1)), 0));
}

#[test]
fn a_result_that_comes_with_the_limit_counts() {
    let executor = Executor::new();
    let timeout = on(&executor, 5 * MS);
    assert_eq!(executor.block_on(timeout.call(work(&executor, 5 * MS))), Ok(7));
}

#[test]
fn a_panic_in_the_call_goes_on_and_leaves_no_deadline_behind() {
    let executor = Executor::new();
    let timeout = on(&executor, SECOND);
    let mut call = Box::pin(timeout.call(poll_fn(|_| -> Poll<Result<(), ()>> { panic!("boom") })));
    let polled = catch_unwind(AssertUnwindSafe(|| {
        call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }));
    assert!(polled.is_err());
    assert_eq!(Deadline::current(&executor.clock()), None);
}

#[test]
fn the_limit_is_the_deadline_of_what_runs_inside_from_its_first_poll_on() {
    let executor = Executor::new();
    let timeout = on(&executor, 300 * MS);
    let clock = executor.clock();
    let result = executor.block_on(timeout.call(async {
        let left = || Deadline::current(&clock).map(|deadline| deadline.remaining(&clock));
        let first = left();
        clock.sleep(100 * MS).await;
        Ok::<_, ()>([first, left()])
    }));
    assert_eq!(result, Ok([Some(300 * MS), Some(200 * MS)]));
}

#[test]
fn a_timeout_inside_is_cut_to_the_deadline_around_it_and_never_beyond() {
    let executor = Executor::new();
    let clock = executor.clock();
    let (short, long) = (on(&executor, 100 * MS), on(&executor, SECOND));
    let result = executor.block_on(short.call(long.call(pending::<Result<(), ()>>())));
    assert_eq!(result, Err(TimeoutError::CallFailed(TimeoutError::DeadlineExceeded)));
    assert_eq!(clock.now(), Tick::ZERO + 100 * MS);
    assert_eq!((long.snapshot().deadline_exceeded, long.snapshot().elapsed), (1, 0));

    let inner = executor.block_on(long.call(short.call(pending::<Result<(), ()>>())));
    let elapsed = TimeoutError::Elapsed { limit: 100 * MS };
    assert_eq!(inner, Err(TimeoutError::CallFailed(elapsed)));
}

#[test]
fn work_whose_deadline_has_passed_is_not_started() {
    let executor = Executor::new();
    let clock = executor.clock();
    let timeout = on(&executor, SECOND);
    let started = Cell::new(false);
    let work = poll_fn(|_| {
        started.set(true);
        Poll::Ready(Ok::<(), ()>(()))
    });
    let result = executor.block_on(Deadline::at(&clock, Tick::ZERO).scope(timeout.call(work)));
    assert_eq!((result, started.get()), (Err(TimeoutError::DeadlineExceeded), false));
    assert_eq!(timeout.snapshot().deadline_exceeded, 1);
}
