//! The layers together, in virtual time: their order, their deadlines, and what they give back.

use super::{CRITICAL, Policy, PolicyConfig, PolicyError, Profile};
use crate::error::Layer;
use crate::gate::{Gate, Outcome};
use crate::patterns::adaptive::{AdaptiveConfig, Algorithm};
use crate::patterns::bulkhead::BulkheadConfig;
use crate::patterns::circuit_breaker::{CircuitBreakerConfig, CircuitState, SlowCalls, Window};
use crate::patterns::rate_limiter::RateLimiterConfig;
use crate::patterns::retry::{GiveUp, Jitter, RetryConfig, RetryStrategy, Verdict};
use crate::time::{Clock, Deadline, Env, Executor, Tick, VirtualTime};
use std::cell::Cell;
use std::future::{Future, pending};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

mod change;
mod classified;
mod deadline;
mod hedged;
mod held;
mod inherited;
mod kept;
mod keyed;
mod late;
#[cfg(feature = "tower")]
mod layer;
mod order;
mod telemetry;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn policy(config: PolicyConfig, clock: &Clock) -> Policy {
    Policy::with_config(config, Env::new(clock.clone()).seed(7)).expect("the test's settings make sense")
}

fn retry(max_retries: u32, pause: Duration) -> RetryConfig {
    RetryConfig::new(max_retries, RetryStrategy::FixedDelay(pause))
        .jitter(Jitter::None)
        .without_budget()
}

fn breaker(failures: u64) -> CircuitBreakerConfig {
    CircuitBreakerConfig::new()
        .consecutive_failures(failures)
        .open_for(10 * SECOND)
}

/// Fails, and counts how often it was asked.
fn failing(asked: &Cell<u32>) -> impl FnMut() -> std::future::Ready<Result<(), &'static str>> {
    move || {
        asked.set(asked.get() + 1);
        std::future::ready(Err("down"))
    }
}

#[test]
fn a_policy_without_parts_runs_a_call_as_it_is() {
    let executor = Executor::new();
    let policy = policy(PolicyConfig::NONE, &executor.clock());
    assert_eq!(executor.block_on(policy.call(|| async { Ok::<_, &str>(1) })), Ok(1));
    let failed = executor.block_on(policy.call(|| async { Err::<(), _>("down") }));
    assert_eq!(
        failed,
        Err(PolicyError::Failed {
            policy: None,
            error: "down",
            attempts: 1,
            gave_up: None
        })
    );
}

#[test]
fn the_rate_limit_and_the_bulkhead_count_calls_and_the_breaker_attempts() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE
        .rate_limit(RateLimiterConfig::new(1.0, 2))
        .bulkhead(BulkheadConfig::new(1))
        .retry(retry(2, MS))
        .circuit_breaker(breaker(100));
    let policy = policy(config, &executor.clock());
    let asked = Cell::new(0);
    for _ in 0..2 {
        let failed = executor.block_on(policy.call(failing(&asked)));
        let gave_up = Some(GiveUp::MaxRetries);
        assert_eq!(
            failed,
            Err(PolicyError::Failed {
                policy: None,
                error: "down",
                attempts: 3,
                gave_up
            })
        );
    }
    let refused = executor
        .block_on(policy.call(failing(&asked)))
        .expect_err("the burst is two calls");
    assert!(
        refused.is_rate_limited() && refused.retry_after() > Some(Duration::ZERO),
        "{refused}"
    );
    assert_eq!(asked.get(), 6);
    let metrics = policy.circuit_breaker().expect("it has a breaker").metrics();
    assert_eq!(metrics.failure_count, 6);
}

#[test]
fn an_open_circuit_is_not_retried_and_says_when_to_come_back() {
    let executor = Executor::new();
    let policy = policy(
        PolicyConfig::NONE.retry(retry(5, MS)).circuit_breaker(breaker(2)),
        &executor.clock(),
    );
    let asked = Cell::new(0);
    let refused = executor
        .block_on(policy.call(failing(&asked)))
        .expect_err("everything fails");
    assert!(refused.is_circuit_open());
    assert_eq!(
        (refused.attempts(), refused.error(), asked.get()),
        (2, Some(&"down"), 2)
    );
    assert_eq!(refused.retry_after(), Some(10 * SECOND - MS));
}

#[test]
fn attempts_over_their_limit_are_failures_to_the_breaker_and_worth_a_retry() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE
        .attempt_timeout(SECOND)
        .retry(retry(1, MS))
        .circuit_breaker(breaker(2));
    let policy = policy(config, &executor.clock());
    let slow = executor
        .block_on(policy.call(pending::<Result<(), ()>>))
        .expect_err("nobody answers");
    assert_eq!(
        (slow.layer(), slow.attempts(), slow.is_timeout()),
        (Some(Layer::AttemptTimeout), 2, true)
    );
    assert_eq!(executor.time().now(), Tick::ZERO + 2 * SECOND + MS);
    assert_eq!(
        policy.circuit_breaker().map(|breaker| breaker.current_state()),
        Some(CircuitState::Open)
    );
}

#[test]
fn a_call_ends_at_its_total_limit_whatever_the_attempt_may_take() {
    let executor = Executor::new();
    let policy = policy(PolicyConfig::NONE.total_timeout(3 * SECOND), &executor.clock());
    let late = executor
        .block_on(policy.call(pending::<Result<(), ()>>))
        .expect_err("nobody answers");
    let expected = PolicyError::TimedOut {
        policy: None,
        layer: Layer::TotalTimeout,
        limit: 3 * SECOND,
        attempts: 1,
        last_error: None,
    };
    assert_eq!((late, executor.time().now()), (expected, Tick::ZERO + 3 * SECOND));
}

#[test]
fn an_inherited_deadline_shortens_a_call_and_never_lengthens_it() {
    let executor = Executor::new();
    let clock = executor.clock();
    let policy = policy(PolicyConfig::NONE.total_timeout(3 * SECOND), &clock);
    for (inherited, ends) in [(SECOND, SECOND), (9 * SECOND, 3 * SECOND)] {
        let start = clock.now();
        let call = Deadline::after(&clock, inherited).scope(policy.call(pending::<Result<(), ()>>));
        assert!(executor.block_on(call).expect_err("nobody answers").is_timeout());
        assert_eq!(clock.now() - start, ends);
    }
}

#[test]
fn a_call_whose_deadline_has_passed_is_not_started() {
    let executor = Executor::new();
    let clock = executor.clock();
    let policy = policy(PolicyConfig::NONE.rate_limit(RateLimiterConfig::new(1.0, 1)), &clock);
    let asked = Cell::new(0);
    let late = executor.block_on(Deadline::at(&clock, clock.now()).scope(policy.call(failing(&asked))));
    assert_eq!(
        late.map_err(|late| (late.layer(), late.attempts())),
        Err((Some(Layer::TotalTimeout), 0))
    );
    assert_eq!(asked.get(), 0);
    assert!(
        executor.block_on(policy.call(|| async { Ok::<_, ()>(()) })).is_ok(),
        "it took no token"
    );
}

#[test]
fn no_pause_is_begun_that_no_attempt_could_follow() {
    let executor = Executor::new();
    let policy = policy(
        PolicyConfig::NONE.total_timeout(SECOND).retry(retry(3, 400 * MS)),
        &executor.clock(),
    );
    let asked = Cell::new(0);
    let failed = executor.block_on(policy.call(failing(&asked)));
    let gave_up = Some(GiveUp::Deadline);
    assert_eq!(
        failed,
        Err(PolicyError::Failed {
            policy: None,
            error: "down",
            attempts: 3,
            gave_up
        })
    );
    assert_eq!(
        executor.time().now(),
        Tick::ZERO + 800 * MS,
        "the third pause would end after the second"
    );
}

#[test]
fn an_attempt_cut_short_by_the_end_of_the_call_is_a_failure_only_if_it_had_a_fair_chance() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = PolicyConfig::NONE
        .total_timeout(SECOND)
        .retry(retry(1, 700 * MS))
        .circuit_breaker(breaker(100));
    let policy = policy(config, &clock);
    let failures = || {
        policy
            .circuit_breaker()
            .expect("it has a breaker")
            .metrics()
            .failure_count
    };
    let first = Cell::new(true);
    let fails_then_hangs = || {
        let fails = first.replace(false);
        async move {
            if fails {
                Err("down")
            } else {
                pending::<Result<(), _>>().await
            }
        }
    };
    assert!(executor.block_on(policy.call(fails_then_hangs)).is_err());
    assert_eq!(failures(), 1, "300 ms of a second are no fair chance");
    assert!(executor.block_on(policy.call(pending::<Result<(), &str>>)).is_err());
    assert_eq!(failures(), 2, "the whole second is");
}

#[test]
fn errors_can_be_told_apart_for_the_breaker_and_for_retry() {
    let executor = Executor::new();
    let policy = policy(
        PolicyConfig::NONE.retry(retry(3, MS)).circuit_breaker(breaker(1)),
        &executor.clock(),
    );
    let asked = Cell::new(0);
    let not_found = || {
        asked.set(asked.get() + 1);
        std::future::ready(Err::<(), _>("not found"))
    };
    let failed = executor.block_on(policy.call_classified(not_found, |_| Outcome::Ignored, |_| Verdict::Final));
    let gave_up = Some(GiveUp::NotRetryable);
    assert_eq!(
        failed,
        Err(PolicyError::Failed {
            policy: None,
            error: "not found",
            attempts: 1,
            gave_up
        })
    );
    assert_eq!(
        policy.circuit_breaker().map(|breaker| breaker.current_state()),
        Some(CircuitState::Closed)
    );
}

#[test]
fn retries_beyond_the_budget_give_the_last_error() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE.retry(RetryConfig::new(3, RetryStrategy::FixedDelay(MS)));
    let policy = policy(config, &executor.clock());
    let asked = Cell::new(0);
    let (mut calls, mut over_budget) = (0, None);
    while over_budget.is_none() && calls < 1_000 {
        calls += 1;
        let failed = executor
            .block_on(policy.call(failing(&asked)))
            .expect_err("everything fails");
        over_budget = (failed.layer() == Some(Layer::Retry)).then_some(failed);
    }
    let over_budget = over_budget.expect("1,000 failing calls in a moment are over the budget");
    assert_eq!(over_budget.error(), Some(&"down"));
    let retries = asked.get() - calls;
    assert!(
        (100..=100 + calls / 5 + 1).contains(&retries),
        "{retries} retries of {calls} calls"
    );
}

#[test]
fn a_full_bulkhead_refuses_and_a_permit_is_held_through_the_pauses() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE
        .bulkhead(BulkheadConfig::new(1))
        .retry(retry(1, 5 * SECOND));
    let policy = policy(config, &executor.clock());
    let first = policy.clone();
    let handle = executor.spawn(async move { first.call(|| async { Err::<(), _>("down") }).await });
    executor.run_for(SECOND);
    let refused = executor.block_on(policy.call(|| async { Ok::<_, &str>(()) }));
    assert!(refused.is_err_and(|refused| refused.is_bulkhead_full()));
    executor.run_until_idle();
    assert!(handle.is_done());
    assert_eq!(executor.block_on(policy.call(|| async { Ok::<_, &str>(1) })), Ok(1));
}

#[test]
fn waiting_for_a_permit_counts_against_the_total() {
    let executor = Executor::new();
    let clock = executor.clock();
    // A second for a token, and then two for a permit.
    let config = PolicyConfig::NONE
        .total_timeout(2 * SECOND)
        .rate_limit(RateLimiterConfig::new(1.0, 1).start_empty(true).max_wait(SECOND))
        .bulkhead(BulkheadConfig::new(1).queue(4, 2 * SECOND));
    let policy = policy(config, &clock);
    let bulkhead = policy.bulkhead().expect("it has a bulkhead");
    let permit = bulkhead.try_admit().expect("it is empty");
    let late = executor
        .block_on(policy.call(|| async { Ok::<_, ()>(()) }))
        .expect_err("the permit is taken");
    assert_eq!((late.layer(), late.attempts()), (Some(Layer::TotalTimeout), 0));
    assert_eq!(clock.now(), Tick::ZERO + 2 * SECOND);
    drop(permit);
    assert!(executor.block_on(policy.call(|| async { Ok::<_, ()>(()) })).is_ok());
}

#[test]
fn a_call_dropped_at_any_await_gives_everything_back() {
    // Waits for a permit, then attempts, then pauses, then attempts again: a wake-up each second.
    for polls in 0..12 {
        let time = VirtualTime::new();
        let clock = time.clock();
        let bulkhead = BulkheadConfig::new(1).queue(1, 60 * SECOND);
        let config = PolicyConfig::NONE
            .total_timeout(60 * SECOND)
            .attempt_timeout(10 * SECOND)
            .bulkhead(bulkhead)
            .retry(retry(3, 2 * SECOND))
            .circuit_breaker(breaker(100));
        let policy = policy(config, &clock);
        let bulkhead = policy.bulkhead().expect("it has a bulkhead");
        let mut permit = bulkhead.try_admit().ok();
        {
            let attempt = || async {
                clock.sleep(3 * SECOND).await;
                Err::<(), _>("down")
            };
            let mut call = pin!(policy.call(attempt));
            let mut done = false;
            for poll in 0..polls {
                if poll == 2 {
                    permit = None;
                }
                done |= call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
                if done {
                    break;
                }
                time.advance(SECOND);
            }
        }
        drop(permit);
        assert_eq!(time.waiting(), 0, "after {polls} polls no timer is left");
        let breaker = policy.circuit_breaker().expect("it has a breaker");
        assert_eq!(breaker.current_state(), CircuitState::Closed, "after {polls} polls");
        assert!(bulkhead.try_admit().is_ok(), "after {polls} polls the permit is free");
    }
}

#[test]
fn a_panic_in_a_call_releases_the_permit_and_is_a_failure() {
    let time = VirtualTime::new();
    let config = PolicyConfig::NONE
        .bulkhead(BulkheadConfig::new(1))
        .circuit_breaker(breaker(1));
    let policy = policy(config, &time.clock());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut call = pin!(policy.call(|| async { panic!("boom") as Result<(), ()> }));
        let _: Poll<_> = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }));
    assert!(caught.is_err());
    assert_eq!(
        policy.circuit_breaker().map(|breaker| breaker.current_state()),
        Some(CircuitState::Open)
    );
    assert!(policy.bulkhead().is_some_and(|bulkhead| bulkhead.try_admit().is_ok()));
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let refused = |config: PolicyConfig| config.validate().expect_err("it makes no sense").to_string();
    assert_eq!(
        refused(PolicyConfig::NONE.total_timeout(SECOND).attempt_timeout(2 * SECOND)),
        "policy: `timeout.attempt` is 2s, but it must not be longer than `timeout.total`"
    );
    assert_eq!(
        refused(
            PolicyConfig::NONE
                .total_timeout(4 * SECOND)
                .attempt_timeout(SECOND)
                .retry(retry(3, MS))
        ),
        "policy: `retry.max_retries` is 3, but it must leave `timeout.total` time for all attempts, the delays of hedges, \
         and the pauses between them"
    );
    let endless = RetryStrategy::ExponentialBackoff {
        initial: MS,
        max: SECOND,
        multiplier: 1.000_000_1,
    };
    let endless = PolicyConfig::NONE
        .attempt_timeout(SECOND)
        .retry(RetryConfig::new(u32::MAX, endless));
    assert!(refused(endless.total_timeout(SECOND)).contains("time for all attempts"));
    assert!(refused(PolicyConfig::NONE.total_timeout(Duration::ZERO)).contains("must be above zero"));
    let slow = CircuitBreakerConfig::new().slow_calls(SlowCalls::new(SECOND, 0.5, Window::Calls(10), 10));
    let slow = PolicyConfig::NONE.circuit_breaker(slow).total_timeout(3 * SECOND);
    assert!(slow.validate().is_ok());
    assert_eq!(
        refused(slow.attempt_timeout(SECOND)),
        "policy: `circuit_breaker.slow_call` is 1s, but it must be shorter than `timeout.attempt`"
    );
    let probes = |time| {
        PolicyConfig::NONE
            .circuit_breaker(breaker(1).half_open_timeout(time))
            .attempt_timeout(9 * SECOND)
    };
    assert_eq!(
        refused(probes(8 * SECOND)),
        "policy: `circuit_breaker.half_open_timeout` is 8s, but it must not be shorter than `timeout.attempt`, which a \
         probe may take"
    );
    assert!(probes(9 * SECOND).validate().is_ok());
    let long = PolicyConfig::NONE
        .circuit_breaker(breaker(1))
        .attempt_timeout(9 * 86_400 * SECOND);
    assert!(Policy::new(long).is_ok(), "a breaker waits for a day at most");
    let total = PolicyConfig::NONE.total_timeout(SECOND);
    let long = 2 * SECOND;
    for (setting, config) in [
        (
            "rate_limit",
            total.rate_limit(RateLimiterConfig::new(1.0, 1).max_wait(long)),
        ),
        ("bulkhead", total.bulkhead(BulkheadConfig::new(1).queue(1, long))),
        (
            "adaptive",
            total.adaptive(AdaptiveConfig::new(Algorithm::AIMD).queue(1, long)),
        ),
    ] {
        assert_eq!(
            refused(config),
            format!("policy: `{setting}.max_wait` is 2s, but it must not be longer than `timeout.total`")
        );
        assert!(
            config.total_timeout(long).validate().is_ok(),
            "{setting}: it ends together"
        );
    }
    assert!(refused(CRITICAL.circuit_breaker(CircuitBreakerConfig::new())).starts_with("circuit breaker"));
}

#[test]
fn the_profiles_are_what_was_promised() {
    let row = |profile: Profile| {
        let config = profile.config();
        let failures = config
            .circuit_breaker
            .and_then(|breaker| breaker.failures_rule())
            .expect("they count failures");
        let rate = config.rate_limit.expect("they limit the rate");
        (
            (failures.failures, failures.window.as_secs(), failures.share),
            config.total_timeout.map(|total| total.as_secs()),
            config.retry.map(|retry| retry.max_retries),
            (rate.rate, rate.burst, rate.max_wait),
            config.attempt_timeout.map(|attempt| attempt.as_secs()),
        )
    };
    let all = Some(1.0);
    let zero = Duration::ZERO;
    let rate = |profile: Profile| {
        let rule = profile
            .config()
            .circuit_breaker
            .and_then(|breaker| breaker.failure_rate_rule());
        rule.map(|rule| (rule.rate, rule.window, rule.min_calls))
    };
    let rows = [
        (Profile::Critical, 1, 3, 3),
        (Profile::Standard, 2, 6, 5),
        (Profile::Batch, 5, 12, 10),
    ];
    for (profile, seconds, calls, failures) in rows {
        assert_eq!(
            rate(profile),
            Some((0.8, Window::Time(Duration::from_secs(seconds)), calls))
        );
        // The number of failures is a floor for the rate too.
        assert!(
            (calls as f64 * 0.8).ceil() as u64 == failures && ((calls - 1) as f64 * 0.8).ceil() as u64 == failures - 1
        );
    }
    assert_eq!(
        row(Profile::Critical),
        ((3, 30, all), Some(30), Some(3), (1000.0, 1000, zero), Some(7))
    );
    assert_eq!(
        row(Profile::Standard),
        ((5, 30, all), Some(10), Some(2), (500.0, 500, zero), Some(3))
    );
    assert_eq!(
        row(Profile::Batch),
        ((10, 60, all), Some(60), Some(5), (100.0, 100, zero), Some(9))
    );
}

#[test]
fn clones_share_one_state() {
    let executor = Executor::new();
    let one = policy(PolicyConfig::NONE.circuit_breaker(breaker(1)), &executor.clock());
    let other = one.clone();
    assert!(executor.block_on(one.call(|| async { Err::<(), _>("down") })).is_err());
    assert!(
        executor
            .block_on(other.call(|| async { Ok::<_, ()>(()) }))
            .is_err_and(|error| error.is_circuit_open())
    );
}

#[test]
fn a_policy_can_be_shared_by_threads_and_its_calls_moved_between_them() {
    fn send_sync<T: Send + Sync>(_: &T) {}
    fn send<T: Send>(_: &T) {}
    let policy = policy(CRITICAL, &VirtualTime::new().clock());
    send_sync(&policy);
    send(&policy.call(|| async { Ok::<_, ()>(()) }));
}
