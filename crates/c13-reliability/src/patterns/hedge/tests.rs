//! Hedges in virtual time.

use super::*;
use crate::time::{Deadline, Executor};
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const FAST: Duration = Duration::from_millis(10);
const SLOW: Duration = Duration::from_millis(200);
const DELAY: Duration = Duration::from_millis(50);

fn on(executor: &Executor, config: HedgeConfig) -> Hedge {
    Hedge::with_config(config, executor.clock()).expect("the test's settings are good")
}

fn fixed(delay: Duration, max_extra: u32) -> HedgeConfig {
    HedgeConfig::new(HedgeDelay::Fixed(delay))
        .max_extra(max_extra)
        .without_budget()
}

/// What each attempt of a call takes and gives, in order.
type Script<'a> = &'a [(Duration, Result<u32, u32>)];

/// The result of a call, the attempts it made, and when it ended.
type Run = (Result<u32, u32>, usize, Duration);

/// Runs a call whose attempts go by `script`; `accept` takes a result or not.
fn run_with(hedge: &Hedge, executor: &Executor, script: Script<'_>, accept: impl Fn(&Result<u32, u32>) -> bool) -> Run {
    let clock = executor.clock();
    let (start, attempts) = (clock.now(), Cell::new(0));
    let result = executor.block_on(hedge.execute_with(
        || {
            let (takes, result) = script[attempts.get()];
            attempts.set(attempts.get() + 1);
            let clock = clock.clone();
            async move {
                clock.sleep(takes).await;
                result
            }
        },
        accept,
    ));
    assert_eq!(executor.time().waiting(), 0, "the losers are dropped");
    let result = result.map_err(|error| error.into_call_error().expect("there is no deadline"));
    (result, attempts.get(), clock.now() - start)
}

fn run(config: HedgeConfig, script: Script<'_>) -> (Run, HedgeSnapshot) {
    let executor = Executor::new();
    let hedge = on(&executor, config);
    let run = run_with(&hedge, &executor, script, Result::is_ok);
    (run, hedge.snapshot())
}

// HG-01.
#[test]
fn a_fast_hedge_wins_over_a_slow_first_attempt() {
    let (run, counts) = run(fixed(DELAY, 1), &[(SLOW, Ok(1)), (FAST, Ok(2))]);
    assert_eq!(run, (Ok(2), 2, DELAY + FAST));
    assert_eq!((counts.hedges, counts.hedge_wins, counts.primary_wins), (1, 1, 0));
    assert_eq!(counts.abandoned, 1);
}

// HG-02: the first good result, not the first result.
#[test]
fn a_hedge_that_fails_leaves_the_first_attempt_its_chance() {
    let (run, counts) = run(fixed(DELAY, 1), &[(SLOW, Ok(1)), (FAST, Err(2))]);
    assert_eq!(run, (Ok(1), 2, SLOW));
    assert_eq!((counts.primary_wins, counts.hedge_wins, counts.abandoned), (1, 0, 0));
}

// HG-04.
#[test]
fn a_first_attempt_that_is_fast_and_good_is_not_hedged() {
    let (run, counts) = run(fixed(DELAY, 1), &[(FAST, Ok(1))]);
    assert_eq!(run, (Ok(1), 1, FAST));
    assert_eq!((counts.hedges, counts.primary_wins), (0, 0));
}

// HG-05, by percentile instead of a mean.
#[test]
fn the_delay_follows_what_first_attempts_take() {
    let executor = Executor::new();
    let delay = HedgeDelay::Percentile {
        quantile: 0.9,
        min_calls: 20,
        window: Duration::from_secs(60),
    };
    let hedge = on(&executor, HedgeConfig::new(delay).without_budget());
    let slow_then_fast: Script<'_> = &[(SLOW, Ok(1)), (FAST, Ok(2))];
    for call in 0..19 {
        let script = if call == 0 { slow_then_fast } else { &[(FAST, Ok(1))] };
        let (result, attempts, _) = run_with(&hedge, &executor, script, Result::is_ok);
        assert_eq!(
            (result, attempts, hedge.delay()),
            (Ok(1), 1, None),
            "call {call}: not warm yet"
        );
    }
    let (second, _, _) = run_with(&hedge, &executor, &[(FAST, Err(1)), (SLOW, Ok(2))], Result::is_ok);
    assert_eq!(
        (second, hedge.delay()),
        (Ok(2), None),
        "neither a failure nor a hedge is measured"
    );
    assert!(run_with(&hedge, &executor, &[(FAST, Ok(1))], Result::is_ok).0.is_ok());
    let delay = hedge.delay().expect("twenty were seen");
    assert!(delay.abs_diff(FAST) < MS, "{delay:?}");
    let (result, attempts, took) = run_with(&hedge, &executor, slow_then_fast, Result::is_ok);
    assert_eq!((result, attempts, took), (Ok(2), 2, delay + FAST));
}

#[test]
fn first_attempts_that_hedges_outrun_do_not_make_the_delay_sink() {
    let executor = Executor::new();
    let delay = HedgeDelay::Percentile {
        quantile: 0.9,
        min_calls: 100,
        window: Duration::from_secs(3_600),
    };
    let hedge = on(&executor, HedgeConfig::new(delay).without_budget());
    let mut hedged = 0;
    for call in 0..4_000_u32 {
        // Evenly spread over 1 to 100 ms; a hedge takes 1 ms.
        let takes = MS * (1 + call * 37 % 100);
        let (_, attempts, _) = run_with(&hedge, &executor, &[(takes, Ok(1)), (MS, Ok(2))], Result::is_ok);
        hedged += usize::from(call >= 2_000 && attempts == 2);
    }
    assert!(
        (120..=280).contains(&hedged),
        "{hedged} of 2000 calls, where a tenth is 200"
    );
}

// HG-07.
#[test]
fn a_hedge_after_failure_never_runs_concurrently_with_another_attempt() {
    let config = HedgeConfig::new(HedgeDelay::AfterFailure).max_extra(2).without_budget();
    let (slow, counts) = run(config, &[(SLOW, Ok(1))]);
    assert_eq!((slow, counts.hedges), ((Ok(1), 1, SLOW), 0));
    let (failing, _) = run(config, &[(SLOW, Err(1)), (FAST, Ok(2))]);
    assert_eq!(failing, (Ok(2), 2, SLOW + FAST));
}

// HG-08, HG-11.
#[test]
fn where_all_fail_the_first_attempts_error_is_the_result() {
    let script: Script<'_> = &[(SLOW, Err(1)), (FAST, Err(2)), (FAST, Err(3))];
    for delay in [Duration::ZERO, DELAY] {
        let (run, counts) = run(fixed(delay, 2), script);
        assert_eq!((run.0, run.1, run.2), (Err(1), 3, SLOW), "{delay:?}");
        assert_eq!((counts.failures, counts.abandoned), (1, 0));
    }
}

// HG-10.
#[test]
fn an_error_that_is_final_ends_the_call() {
    let executor = Executor::new();
    let hedge = on(&executor, fixed(DELAY, 3));
    let script: Script<'_> = &[(SLOW, Err(1)), (SLOW, Err(2)), (FAST, Err(404))];
    let accept = |result: &Result<u32, u32>| matches!(result, Ok(_) | Err(404));
    let run = run_with(&hedge, &executor, script, accept);
    assert_eq!(run, (Err(404), 3, 2 * DELAY + FAST));
    assert_eq!((hedge.snapshot().hedge_wins, hedge.snapshot().abandoned), (1, 2));
}

// HG-13.
#[test]
fn a_caller_that_goes_away_takes_all_attempts_along() {
    let executor = Executor::new();
    let hedge = on(&executor, fixed(DELAY, 1));
    let alive = std::rc::Rc::new(());
    let clock = executor.clock();
    let call = hedge.execute(|| {
        let alive = alive.clone();
        async move {
            pending::<()>().await;
            drop(alive);
            Ok::<(), ()>(())
        }
    });
    assert!(executor.block_on(clock.timeout(2 * DELAY, call)).is_err());
    assert_eq!(std::rc::Rc::strong_count(&alive), 1);
    assert_eq!((hedge.snapshot().hedges, hedge.snapshot().abandoned), (1, 2));
    assert_eq!(executor.time().waiting(), 0);
}

// HG-14.
#[test]
fn the_delay_is_exact() {
    let delay = MS * 12_345;
    let (run, _) = run(fixed(delay, 1), &[(SLOW * 1_000, Ok(1)), (FAST, Ok(2))]);
    assert_eq!(run, (Ok(2), 2, delay + FAST));
}

// HG-16.
#[test]
fn without_a_delay_all_start_at_once() {
    let executor = Executor::new();
    let hedge = on(&executor, fixed(Duration::ZERO, 2));
    let script: Script<'_> = &[(SLOW, Ok(1)), (SLOW, Ok(2)), (FAST, Ok(3))];
    let run = run_with(&hedge, &executor, script, |result| *result == Ok(3));
    assert_eq!(run, (Ok(3), 3, FAST));
}

// HG-17: whatever is no failure ends the call where time starts no hedge.
#[test]
fn a_hedge_after_failure_lets_a_good_first_attempt_be() {
    let config = HedgeConfig::new(HedgeDelay::AfterFailure).max_extra(3);
    let (run, counts) = run(config, &[(SLOW, Ok(2))]);
    assert_eq!(run, (Ok(2), 1, SLOW));
    assert_eq!((counts.hedges, counts.delay), (0, None));
}

// HG-19.
#[test]
fn the_first_result_that_is_accepted_ends_all_others() {
    let executor = Executor::new();
    let hedge = on(&executor, fixed(10 * MS, 4));
    let script: Script<'_> = &[(SLOW, Ok(0)), (SLOW, Ok(0)), (FAST, Ok(1)), (SLOW, Ok(0))];
    let run = run_with(&hedge, &executor, script, |result| *result == Ok(1));
    assert_eq!((run.0, hedge.snapshot().abandoned), (Ok(1), run.1 as u64 - 1));
    assert_eq!(run.2, 2 * 10 * MS + FAST);
}

// HG-20.
#[test]
fn a_failure_brings_the_next_attempt_forward() {
    let (run, _) = run(fixed(DELAY, 2), &[(FAST, Err(1)), (SLOW, Ok(2)), (FAST, Ok(3))]);
    assert_eq!(
        run,
        (Ok(3), 3, FAST + DELAY + FAST),
        "the third waits for its delay after the second"
    );
}

#[test]
fn an_exhausted_budget_leaves_the_call_to_the_attempts_that_run() {
    let executor = Executor::new();
    let nothing = RetryBudgetConfig::new().ratio(0.0).min_per_second(0.0);
    let hedge = on(&executor, fixed(DELAY, 1).budget(nothing));
    let run = run_with(&hedge, &executor, &[(SLOW, Ok(1))], Result::is_ok);
    assert_eq!(run, (Ok(1), 1, SLOW));
    let run = run_with(&hedge, &executor, &[(FAST, Err(1))], Result::is_ok);
    assert_eq!(run, (Err(1), 1, FAST));
    assert_eq!((hedge.snapshot().budget_exhausted, hedge.snapshot().hedges), (2, 0));
}

#[test]
fn hedges_stay_within_their_share_of_the_calls() {
    let executor = Executor::new();
    let no_floor = RetryBudgetConfig::new().min_per_second(0.0);
    let hedge = on(&executor, fixed(Duration::ZERO, 1).budget(no_floor));
    for _ in 0..100 {
        let result = executor.block_on(hedge.execute(|| async {
            executor.clock().sleep(MS).await;
            Ok::<(), ()>(())
        }));
        assert_eq!(result, Ok(()));
    }
    assert_eq!(hedge.snapshot().hedges, 20);
}

#[test]
fn a_hedge_inside_a_retry_does_not_count_the_call_again() {
    let executor = Executor::new();
    let budget = RetryBudget::with_config(RetryBudgetConfig::new(), executor.clock()).unwrap();
    let hedge = on(&executor, fixed(DELAY, 1));
    let drawing = hedge.clone().draws_on(budget.clone());
    assert!(executor.block_on(drawing.execute(|| ready(Ok::<(), ()>(())))).is_ok());
    assert_eq!(budget.snapshot().calls, 0);
    let counting = hedge.budget(budget.clone());
    assert!(executor.block_on(counting.execute(|| ready(Ok::<(), ()>(())))).is_ok());
    assert_eq!(budget.snapshot().calls, 1);
}

#[test]
fn no_hedge_is_started_after_the_callers_deadline() {
    let executor = Executor::new();
    let clock = executor.clock();
    let hedge = on(&executor, fixed(DELAY, 1));
    let attempts = Cell::new(0);
    let call = hedge.execute(|| {
        attempts.set(attempts.get() + 1);
        let clock = clock.clone();
        async move {
            clock.sleep(SLOW).await;
            Ok::<(), ()>(())
        }
    });
    let result = executor.block_on(Deadline::after(&clock, DELAY).scope(call));
    assert_eq!((result, attempts.get()), (Ok(()), 1));
}

#[test]
fn a_panic_in_a_hedge_drops_everything() {
    let executor = Executor::new();
    let hedge = on(&executor, fixed(Duration::ZERO, 1));
    let attempts = Cell::new(0);
    let mut call = Box::pin(hedge.execute(|| {
        attempts.set(attempts.get() + 1);
        let attempt = attempts.get();
        poll_fn(move |_| -> Poll<Result<(), ()>> {
            assert!(attempt == 1, "boom");
            Poll::Pending
        })
    }));
    let polled = catch_unwind(AssertUnwindSafe(|| {
        call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }));
    assert!(polled.is_err());
    drop(call);
    assert_eq!((attempts.get(), hedge.snapshot().abandoned), (2, 2));
}

#[test]
fn an_attempt_that_was_woken_is_polled_even_when_another_could_not_be_started() {
    // The first attempt fails at the very moment at which the hedge succeeds, and there is no budget for a third.
    let executor = Executor::new();
    let one = RetryBudgetConfig::new().ratio(0.0).min_per_second(0.1);
    let hedge = on(&executor, fixed(DELAY, 2).budget(one));
    let run = run_with(
        &hedge,
        &executor,
        &[(SLOW, Err(1)), (SLOW - DELAY, Ok(2))],
        Result::is_ok,
    );
    assert_eq!(run, (Ok(2), 2, SLOW));
}

#[test]
fn attempts_run_in_the_order_they_were_made() {
    let executor = Executor::new();
    let hedge = on(&executor, fixed(Duration::ZERO, 3));
    let order = RefCell::new(Vec::new());
    let attempts = Cell::new(0);
    let mut call = pin!(hedge.execute(|| {
        attempts.set(attempts.get() + 1);
        let (attempt, order) = (attempts.get(), &order);
        poll_fn(move |_| -> Poll<Result<(), ()>> {
            order.borrow_mut().push(attempt);
            Poll::Pending
        })
    }));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let first_polls: Vec<_> = (1..=4)
        .filter_map(|attempt| order.borrow().iter().position(|seen| *seen == attempt))
        .collect();
    assert!(first_polls.is_sorted() && first_polls.len() == 4, "{order:?}");
}

#[test]
fn other_settings_go_on_with_the_counts_and_the_latencies() {
    let executor = Executor::new();
    let percentile = |quantile, window| HedgeDelay::Percentile {
        quantile,
        min_calls: 20,
        window,
    };
    let settings = |delay| HedgeConfig::new(delay).without_budget();
    let minute = Duration::from_secs(60);
    let hedge = on(&executor, settings(percentile(0.5, minute)));
    for call in 0..30 {
        let takes = if call % 3 == 0 { SLOW } else { FAST };
        let (result, _, _) = run_with(&hedge, &executor, &[(takes, Ok(1)), (SLOW, Ok(1))], Result::is_ok);
        assert_eq!(result, Ok(1));
    }
    let delay = hedge.delay().expect("thirty were seen");
    let counted = hedge.snapshot();

    let same = settings(percentile(0.5, minute)).max_extra(3);
    assert_eq!(hedge.reconfigure(same), Ok(()));
    assert_eq!((hedge.config(), hedge.delay()), (same, Some(delay)));
    assert_eq!(hedge.snapshot(), counted);
    assert_eq!(hedge.reconfigure(settings(percentile(0.99, 2 * minute))), Ok(()));
    assert!(
        hedge.delay().is_some_and(|delay| delay.abs_diff(SLOW) < SLOW / 10),
        "of the same latencies it is another one: {:?}",
        hedge.delay()
    );
    assert_eq!(hedge.reconfigure(fixed(DELAY, 1)), Ok(()));
    assert_eq!(hedge.delay(), Some(DELAY));
    let slow_then_fast: Script<'_> = &[(SLOW, Ok(1)), (FAST, Ok(2))];
    assert_eq!(run_with(&hedge, &executor, slow_then_fast, Result::is_ok).0, Ok(2));
    assert_eq!(hedge.snapshot().hedge_wins, counted.hedge_wins + 1);
}

#[test]
fn other_settings_go_on_with_a_budget_of_its_own_if_that_stays_what_it_was() {
    let executor = Executor::new();
    let two = crate::budget::RetryBudgetConfig::new().ratio(0.0).min_per_second(0.2);
    let settings = |hedges, budget| fixed(DELAY, hedges).budget(budget);
    let hedge = on(&executor, settings(1, two));
    let withdrawn = |hedge: &Hedge| (0..10).filter(|_| hedge.settings().grants()).count();
    assert_eq!(withdrawn(&hedge), 2);
    assert_eq!(hedge.reconfigure(settings(2, two)), Ok(()));
    assert_eq!(withdrawn(&hedge), 0, "it is the same budget");
    assert_eq!(hedge.reconfigure(settings(2, two.min_per_second(0.3))), Ok(()));
    assert_eq!(withdrawn(&hedge), 3, "it is another one");

    let shared = crate::budget::RetryBudget::with_config(two, executor.clock()).expect("good settings");
    let drawing = hedge.draws_on(shared.clone());
    assert_eq!(drawing.reconfigure(settings(1, two)), Ok(()));
    assert_eq!(withdrawn(&drawing), 2);
    assert!(shared.try_withdraw(), "it draws on its own now");
}
