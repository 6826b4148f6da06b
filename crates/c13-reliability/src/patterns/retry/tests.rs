//! Retries in virtual time.

use super::*;
use crate::time::{Deadline, Env, Executor, Tick};
use crate::verdict::Meaning;
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn fixed(max_retries: u32, delay: Duration) -> RetryConfig {
    RetryConfig::new(max_retries, RetryStrategy::FixedDelay(delay)).without_budget()
}

fn on(executor: &Executor, config: RetryConfig) -> RetryExecutor {
    RetryExecutor::with_config(config, Env::new(executor.clock()).seed(7)).expect("the test's settings are good")
}

/// Runs a call whose attempts fail `failures` times and then succeed; returns its result, the calls made, and the time.
fn run(config: RetryConfig, failures: u32) -> (Result<u32, RetryError<u32>>, u32, Duration) {
    let executor = Executor::new();
    let retry = on(&executor, config);
    let calls = Cell::new(0);
    let result = executor.block_on(retry.execute(|| {
        calls.set(calls.get() + 1);
        let call = calls.get();
        async move { if call <= failures { Err(call) } else { Ok(call) } }
    }));
    assert_eq!(executor.time().waiting(), 0, "no timer is left");
    (result, calls.get(), executor.clock().now() - Tick::ZERO)
}

// RT-01, RT-40.
#[test]
fn three_retries_are_four_attempts_and_the_last_error_comes_back() {
    let (result, calls, waited) = run(fixed(3, 500 * MS), 9);
    let expected = RetryError::MaxRetriesExceeded {
        attempts: 4,
        last_error: 4,
    };
    assert_eq!((result, calls, waited), (Err(expected), 4, 1_500 * MS));
}

// RT-02.
#[test]
fn a_call_that_fails_once_waits_once() {
    assert_eq!(run(fixed(3, 500 * MS), 1), (Ok(2), 2, 500 * MS));
    assert_eq!(run(fixed(3, 500 * MS), 0), (Ok(1), 1, Duration::ZERO));
}

// RT-05.
#[test]
fn exponential_delays_add_up() {
    let strategy = RetryStrategy::ExponentialBackoff {
        initial: 500 * MS,
        max: 60 * SECOND,
        multiplier: 2.0,
    };
    let config = RetryConfig::new(2, strategy).jitter(Jitter::None);
    let (result, calls, waited) = run(config, 9);
    assert_eq!((result.is_err(), calls, waited), (true, 3, 1_500 * MS));
}

// RT-04.
#[test]
fn an_error_that_is_final_is_returned_after_one_attempt() {
    let executor = Executor::new();
    let retry = on(&executor, fixed(3, SECOND));
    let judge = |result: &Result<(), &str>| match result {
        Err("not found") => Verdict::Final,
        _ => Verdict::Retry,
    };
    let result = executor.block_on(retry.execute_with(|| ready(Err("not found")), judge));
    let expected = RetryError::NotRetryable {
        attempts: 1,
        last_error: "not found",
    };
    assert_eq!(result, Err(expected));
    assert_eq!(retry.snapshot().not_retryable, 1);
    assert_eq!(executor.clock().now(), Tick::ZERO);
}

// RT-07, RT-08: ours returns the value as it is.
#[test]
fn a_value_that_is_still_worth_a_retry_at_the_end_is_returned_as_it_is() {
    let executor = Executor::new();
    let retry = on(&executor, fixed(2, SECOND));
    let calls = Cell::new(0);
    let result: Result<u32, RetryError<()>> = executor.block_on(retry.execute_with(
        || {
            calls.set(calls.get() + 1);
            ready(Ok(calls.get()))
        },
        |_| Verdict::Retry,
    ));
    assert_eq!((result, calls.get()), (Ok(3), 3));
    let snapshot = retry.snapshot();
    assert_eq!((snapshot.max_retries_exceeded, snapshot.successes), (1, 0));
}

// RT-10: the classifier sees every result, each once.
#[test]
fn a_classifier_sees_each_result_once() {
    let executor = Executor::new();
    let retry = on(&executor, fixed(2, SECOND));
    let (calls, seen) = (Cell::new(0), RefCell::new(Vec::new()));
    let result: Result<(), _> = executor.block_on(retry.execute_with(
        || {
            calls.set(calls.get() + 1);
            ready(Err(calls.get()))
        },
        |result| {
            seen.borrow_mut().push(*result);
            Verdict::Retry
        },
    ));
    assert!(result.is_err());
    assert_eq!(*seen.borrow(), [Err(1), Err(2), Err(3)]);
}

// RT-11.
#[test]
fn no_state_leaks_from_one_call_into_the_next() {
    let executor = Executor::new();
    let retry = on(&executor, fixed(3, 500 * MS));
    for round in 1..=2 {
        let calls = Cell::new(0);
        let result = executor.block_on(retry.execute(|| {
            calls.set(calls.get() + 1);
            ready(if calls.get() == 1 { Err(()) } else { Ok(calls.get()) })
        }));
        assert_eq!(result, Ok(2));
        assert_eq!(retry.snapshot().successes, round);
    }
    assert_eq!(executor.clock().now(), Tick::ZERO + SECOND);
}

// RT-28.
#[test]
fn a_call_dropped_in_an_attempt_or_in_a_wait_is_not_made_again() {
    let executor = Executor::new();
    let retry = on(&executor, fixed(3, SECOND));
    let calls = Cell::new(0);
    let mut cx = Context::from_waker(Waker::noop());
    {
        let mut waiting = pin!(retry.execute(|| {
            calls.set(calls.get() + 1);
            ready(Err::<(), ()>(()))
        }));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        assert_eq!(executor.time().waiting(), 1);
    }
    {
        let mut attempting = pin!(retry.execute(|| {
            calls.set(calls.get() + 1);
            pending::<Result<(), ()>>()
        }));
        assert!(attempting.as_mut().poll(&mut cx).is_pending());
    }
    executor.run_for(10 * SECOND);
    assert_eq!((calls.get(), executor.time().waiting()), (2, 0));
}

#[test]
fn a_call_dropped_before_its_first_poll_was_never_begun() {
    let executor = Executor::new();
    let retry = on(&executor, RetryConfig::default());
    drop(retry.execute(|| ready(Ok::<(), ()>(()))));
    assert_eq!(retry.snapshot().budget.map(|budget| budget.calls), Some(0));
}

#[test]
fn a_call_is_counted_once_however_it_ends_and_so_is_its_deposit() {
    let executor = Executor::new();
    let own = on(
        &executor,
        RetryConfig::new(1, RetryStrategy::FixedDelay(Duration::ZERO)),
    );
    let limited = RetryConfig::new(1, RetryStrategy::FixedDelay(Duration::ZERO)).total_limit(SECOND);
    let shared = RetryBudget::with_config(RetryBudgetConfig::new(), executor.clock()).unwrap();
    // Calls of the first begin late or never, those of the others before their first attempt.
    for retry in [own.clone(), on(&executor, limited), own.clone().budget(shared)] {
        let before = retry.snapshot();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..100 {
            assert_eq!(executor.block_on(retry.execute(|| ready(Ok::<_, ()>(())))), Ok(()));
        }
        assert_eq!(
            executor.block_on(retry.execute(|| tired(Ok(7)))),
            Ok(7),
            "ready at the second poll"
        );
        let fails_once = Cell::new(true);
        let attempt = || ready(if fails_once.take() { Err(()) } else { Ok(()) });
        assert_eq!(executor.block_on(retry.execute(attempt)), Ok(()));
        assert!(executor.block_on(retry.execute(|| ready(Err::<(), _>(())))).is_err());
        let refused = executor.block_on(retry.execute_with(|| ready(Err::<(), _>(())), |_| Verdict::Final));
        assert!(refused.is_err());
        assert!(
            pin!(retry.execute(pending::<Result<(), ()>>))
                .poll(&mut cx)
                .is_pending()
        );
        for panics_when_made in [true, false] {
            let mut call = Box::pin(retry.execute(|| {
                assert!(!panics_when_made, "boom");
                poll_fn(|_| -> Poll<Result<(), ()>> { panic!("boom") })
            }));
            let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx)));
            assert!(polled.is_err());
        }
        let now = retry.snapshot();
        let ends = [
            now.first_try - before.first_try,
            now.successes - before.successes,
            now.max_retries_exceeded - before.max_retries_exceeded,
            now.not_retryable - before.not_retryable,
            now.abandoned - before.abandoned,
        ];
        assert_eq!(ends, [101, 1, 1, 1, 3]);
        assert_eq!(now.budget.map(|budget| budget.calls), Some(107));
    }
    assert_eq!(
        own.snapshot().budget.map(|budget| budget.calls),
        Some(107),
        "and nobody else's"
    );
}

#[test]
fn another_budget_starts_with_the_calls_from_then_on() {
    let executor = Executor::new();
    let floor = RetryBudgetConfig::new().min_per_second(0.0);
    let one = on(&executor, fixed(1, Duration::ZERO).budget(floor));
    let succeed = |retry: &RetryExecutor| executor.block_on(retry.execute(|| ready(Ok::<(), ()>(())))).unwrap();
    (0..10).for_each(|_| succeed(&one));
    let calls = || one.snapshot().budget.map(|budget| budget.calls);
    assert_eq!(one.reconfigure(fixed(2, MS).budget(floor)), Ok(()));
    succeed(&one);
    assert_eq!(calls(), Some(11), "the same budget goes on");
    assert_eq!(one.reconfigure(fixed(1, MS).budget(floor.ratio(0.5))), Ok(()));
    succeed(&one);
    assert_eq!((calls(), one.snapshot().first_try), (Some(1), 12));
}

#[test]
fn what_reads_an_executor_ends_with_it() {
    let registry = crate::snapshot::Registry::new();
    let retry = on(&Executor::new(), RetryConfig::default());
    registry.register("payments", &retry).unwrap();
    assert_eq!(registry.snapshots().len(), 1);
    drop(retry);
    assert!(registry.snapshots().is_empty());
}

#[test]
#[should_panic(expected = "a call was polled after it was over")]
fn a_call_that_is_over_is_not_made_again() {
    let executor = Executor::new();
    let retry = on(&executor, RetryConfig::default());
    let mut call = pin!(retry.execute(|| ready(Ok::<(), ()>(()))));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut cx).is_ready());
    let _over = call.as_mut().poll(&mut cx);
}

/// A future that is ready with `result` when it is polled again.
fn tired<T: Clone>(result: Result<T, ()>) -> impl Future<Output = Result<T, ()>> {
    let mut polled = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(result.clone());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

#[test]
fn a_panic_in_an_attempt_goes_on_and_leaves_nothing_behind() {
    let executor = Executor::new();
    let retry = on(&executor, fixed(3, SECOND));
    let mut call = Box::pin(retry.execute(|| poll_fn(|_| -> Poll<Result<(), ()>> { panic!("boom") })));
    let polled = catch_unwind(AssertUnwindSafe(|| {
        call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }));
    assert!(polled.is_err());
    drop(call);
    assert_eq!(executor.time().waiting(), 0);
}

// RT-32.
#[test]
fn a_wait_of_zero_asks_no_timer() {
    let executor = Executor::new();
    let retry = on(&executor, fixed(3, Duration::ZERO));
    let mut call = pin!(retry.execute(|| ready(Err::<(), ()>(()))));
    let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(
        polled,
        Poll::Ready(Err(RetryError::MaxRetriesExceeded { attempts: 4, .. }))
    ));
}

// RT-38: the limit is on the clock, not on the sum of the waits.
#[test]
fn attempts_that_take_long_use_up_the_total_limit() {
    let executor = Executor::new();
    let retry = on(&executor, fixed(9, Duration::ZERO).total_limit(100 * MS));
    let clock = executor.clock();
    let calls = Cell::new(0);
    let result = executor.block_on(retry.execute(|| {
        calls.set(calls.get() + 1);
        let takes = if calls.get() == 2 { 120 * MS } else { MS };
        let clock = &clock;
        async move {
            clock.sleep(takes).await;
            Err::<(), _>("failed")
        }
    }));
    let expected = RetryError::DeadlineExceeded {
        attempts: 2,
        last_error: "failed",
    };
    assert_eq!((result, calls.get()), (Err(expected), 2));
}

// RT-55.
#[test]
fn with_300_ms_left_and_a_delay_of_a_second_the_last_error_comes_at_once() {
    let executor = Executor::new();
    let clock = executor.clock();
    let retry = on(&executor, fixed(3, SECOND));
    let result =
        executor.block_on(Deadline::after(&clock, 300 * MS).scope(retry.execute(|| ready(Err::<(), _>("refused")))));
    let expected = RetryError::DeadlineExceeded {
        attempts: 1,
        last_error: "refused",
    };
    assert_eq!((result, clock.now()), (Err(expected), Tick::ZERO));
    assert_eq!(retry.snapshot().deadline_exceeded, 1);
}

// RT-41.
#[test]
fn a_retry_inside_a_retry_starts_anew_each_time() {
    let executor = Executor::new();
    let (outer, inner) = (on(&executor, fixed(10, MS)), on(&executor, fixed(1, MS)));
    let calls = Cell::new(0);
    let result = executor.block_on(outer.execute(|| {
        inner.execute(|| {
            calls.set(calls.get() + 1);
            ready(if calls.get() <= 5 { Err(()) } else { Ok(()) })
        })
    }));
    assert_eq!((result, calls.get()), (Ok(()), 6));
}

// RT-50.
#[test]
fn an_exhausted_budget_returns_the_original_error_at_once() {
    let executor = Executor::new();
    let nothing = RetryBudgetConfig::new().ratio(0.0).min_per_second(0.0);
    let retry = on(&executor, fixed(3, SECOND).budget(nothing));
    let result = executor.block_on(retry.execute(|| ready(Err::<(), _>("refused"))));
    let expected = RetryError::BudgetExhausted {
        attempts: 1,
        last_error: "refused",
    };
    assert_eq!(result, Err(expected));
    let snapshot = retry.snapshot();
    assert_eq!(snapshot.budget_exhausted, 1);
    assert_eq!(snapshot.budget.map(|budget| budget.refused), Some(1));
    assert_eq!(executor.clock().now(), Tick::ZERO);
}

/// Starts `calls` calls at once that all fail; returns how many attempts there were beyond the first ones.
fn storm(config: RetryConfig, calls: u64) -> (u64, RetrySnapshot) {
    let executor = Executor::new();
    let retry = on(&executor, config);
    let attempts = std::rc::Rc::new(Cell::new(0));
    let clock = executor.clock();
    for _ in 0..calls {
        let (retry, attempts, clock) = (retry.clone(), attempts.clone(), clock.clone());
        executor.spawn(async move {
            let result = retry
                .execute(|| {
                    attempts.set(attempts.get() + 1);
                    let clock = clock.clone();
                    async move {
                        clock.sleep(MS).await;
                        Err::<(), ()>(())
                    }
                })
                .await;
            assert!(result.is_err());
        });
    }
    executor.run_until_idle();
    (attempts.get() - calls, retry.snapshot())
}

// RT-52.
#[test]
fn of_a_thousand_callers_who_back_off_at_once_a_fifth_gets_a_retry() {
    let no_floor = RetryBudgetConfig::new().min_per_second(0.0);
    let (retries, snapshot) = storm(fixed(3, 100 * MS).budget(no_floor), 1_000);
    assert_eq!((retries, snapshot.retries), (200, 200));
    let (retries, _) = storm(RetryConfig::new(3, RetryStrategy::FixedDelay(100 * MS)), 1_000);
    assert_eq!(retries, 300, "the floor of 10 per second over 10 s comes on top");
    let (retries, _) = storm(fixed(3, 100 * MS), 1_000);
    assert_eq!(retries, 3_000, "and this is what the budget is for");
}

#[test]
fn executors_that_share_a_budget_share_its_limit() {
    let executor = Executor::new();
    let config = RetryBudgetConfig::new().ratio(0.0).min_per_second(0.3);
    let budget = RetryBudget::with_config(config, executor.clock()).unwrap();
    let one = on(&executor, fixed(2, MS)).budget(budget.clone());
    let other = on(&executor, fixed(2, MS)).budget(budget);
    let attempts = |retry: &RetryExecutor| {
        let result = executor.block_on(retry.execute(|| ready(Err::<(), ()>(()))));
        result.map_err(|error| (error.reason(), error.attempts()))
    };
    assert_eq!(attempts(&one), Err((GiveUp::MaxRetries, 3)));
    assert_eq!(attempts(&other), Err((GiveUp::Budget, 2)));
}

#[test]
fn a_server_that_says_when_is_obeyed() {
    let executor = Executor::new();
    let retry = on(&executor, fixed(3, MS));
    let calls = Cell::new(0);
    let result = executor.block_on(retry.execute_with(
        || {
            calls.set(calls.get() + 1);
            ready(if calls.get() == 1 { Err(30) } else { Ok(()) })
        },
        |result| match result {
            Ok(()) => Verdict::Final,
            Err(seconds) => Verdict::RetryAfter(Duration::from_secs(*seconds)),
        },
    ));
    assert_eq!((result, executor.clock().now()), (Ok(()), Tick::ZERO + 30 * SECOND));
}

// RT-31.
#[test]
fn a_listener_is_notified_of_each_retry_and_its_delay() {
    let executor = Executor::new();
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = told.clone();
    let strategy = RetryStrategy::LinearBackoff {
        initial: 2 * SECOND,
        increment: 2 * SECOND,
        max: 60 * SECOND,
    };
    let config = RetryConfig::new(3, strategy).jitter(Jitter::None);
    let retry = on(&executor, config).on_retry(move |event| {
        let mut heard = heard.lock().expect("no test panics under this lock");
        heard.push((event.retry, event.delay.as_secs()));
    });
    assert!(executor.block_on(retry.execute(|| ready(Err::<(), ()>(())))).is_err());
    assert_eq!(*told.lock().unwrap(), [(0, 2), (1, 4), (2, 6)]);
}

// RT-20, RT-16: a linear delay with jitter, in our ranges.
#[test]
fn a_linear_delay_is_spread_as_its_jitter_says() {
    let strategy = RetryStrategy::LinearBackoff {
        initial: SECOND,
        increment: SECOND,
        max: 60 * SECOND,
    };
    for (jitter, low) in [(Jitter::None, 3_000), (Jitter::Equal, 1_500), (Jitter::Full, 0)] {
        let config = RetryConfig::new(3, strategy).jitter(jitter);
        for unit in [0.0, 0.4, 0.5, 0.6, 0.999_999] {
            let mut state = RetryState::new();
            let mut last = Decision::GiveUp(GiveUp::MaxRetries);
            for _ in 0..3 {
                last = state.after_failure(&config, Tick::ZERO, None, unit, || true);
            }
            let expected = f64::from(low) + unit * f64::from(3_000 - low);
            assert!(
                matches!(last, Decision::Wait(wait) if (wait.as_secs_f64() * 1e3 - expected).abs() < 0.01),
                "{jitter:?} at {unit}: {last:?}"
            );
        }
    }
}

#[test]
fn code_that_is_no_future_retries_just_so() {
    let config = fixed(3, MS);
    let retry = RetryExecutor::with_config(config, crate::time::Clock::system()).unwrap();
    let start = crate::time::Clock::system().now();
    let mut calls = 0;
    let result = retry.execute_blocking(
        || {
            calls += 1;
            if calls < 3 { Err("refused") } else { Ok(calls) }
        },
        Verdict::of,
    );
    assert_eq!(result, Ok(3));
    assert!(crate::time::Clock::system().now() - start >= 2 * MS);
    let result = retry.execute_blocking(|| Err::<(), _>(std::io::Error::other("odd")), Verdict::by_error);
    assert!(matches!(result, Err(RetryError::NotRetryable { attempts: 1, .. })));
    assert_eq!((retry.snapshot().successes, retry.snapshot().not_retryable), (1, 1));
}

#[test]
fn the_same_seed_gives_the_same_waits() {
    let waited = |seed| {
        let executor = Executor::new();
        let env = Env::new(executor.clock()).seed(seed);
        let retry = RetryExecutor::with_config(RetryConfig::default(), env).unwrap();
        let result = executor.block_on(retry.execute(|| ready(Err::<(), ()>(()))));
        assert!(result.is_err());
        executor.clock().now()
    };
    assert_eq!(waited(1), waited(1));
    assert_ne!(waited(1), waited(2));
    assert!(waited(3) < Tick::ZERO + 700 * MS, "full jitter stays below the delays");
}

#[test]
fn errors_that_know_themselves_are_asked() {
    struct Status(u16);
    impl Retryable for Status {
        fn meaning(&self) -> Meaning {
            if self.0 == 503 {
                Meaning::FAILURE
            } else {
                Meaning::ANSWER
            }
        }
    }
    let executor = Executor::new();
    let retry = on(&executor, fixed(1, MS));
    let attempts = |status| {
        let result = executor.block_on(retry.execute_with(|| ready(Err::<(), _>(Status(status))), Verdict::by_error));
        result.map_err(|error| error.attempts())
    };
    assert_eq!((attempts(404), attempts(503)), (Err(1), Err(2)));
}

#[tokio::test(start_paused = true)]
async fn the_short_form_retries_by_the_promised_constants() {
    let calls = Cell::new(0);
    let result = retry_with_exponential_backoff(
        || {
            calls.set(calls.get() + 1);
            ready(Err::<(), _>("refused"))
        },
        0,
    )
    .await;
    assert_eq!(result.map_err(|error| error.attempts()), Err(1));
    assert_eq!(calls.get(), 1);
}

#[test]
fn a_nonsensical_strategy_is_refused_by_try_new_and_panics_in_new() {
    let strategy = RetryStrategy::ExponentialBackoff {
        initial: MS,
        max: SECOND,
        multiplier: 0.5,
    };
    let error = RetryExecutor::try_new(3, strategy).unwrap_err();
    assert_eq!(
        error.to_string(),
        "retry: `backoff.multiplier` is 0.5, but it must be at least 1 and finite"
    );
    assert!(catch_unwind(|| RetryExecutor::new(3, strategy)).is_err());
}

#[test]
fn the_future_of_a_call_can_go_to_another_thread() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let retry = RetryExecutor::new(1, RetryStrategy::FixedDelay(MS));
    drop(send(retry.execute(|| async { Ok::<(), ()>(()) })));
    drop(send(retry_with_exponential_backoff(|| async { Ok::<(), ()>(()) }, 1)));
    drop(send(retry));
}

#[test]
fn a_server_that_asks_for_no_wait_is_not_asked_again_at_once() {
    let now = "Sun, 06 Nov 1994 08:49:37 GMT";
    for header in [
        "0",
        "Sun, 06 Nov 1994 08:00:00 GMT",
        "Sunday, 06-Nov-94 08:00:00 GMT",
        "Sun Nov  6 08:00:00 1994",
    ] {
        let executor = Executor::new();
        let retry = on(&executor, fixed(10, 100 * MS));
        let busy = |_: &Result<(), &str>| Verdict::of_http_status(503, Verdict::retry_after(header, Some(now)));
        let result = executor.block_on(retry.execute_with(|| ready(Err("busy")), busy));
        assert_eq!(result.map_err(|error| error.attempts()), Err(11), "{header}");
        assert_eq!(executor.clock().now(), Tick::ZERO + SECOND, "{header}");
    }
}
