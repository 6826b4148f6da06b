//! What a call through a policy is not begun or made again for, and what it gives back then.

use super::*;
use crate::patterns::hedge::{HedgeConfig, HedgeDelay};
use crate::policy::RateLimitPer;
use std::sync::{Arc, Mutex};

/// An answer that is worth another attempt: what a busy server gives.
const BUSY: Result<u32, &str> = Ok(503);

fn busy_is_retried(result: &Result<u32, &str>) -> Verdict {
    match result {
        Ok(503) => Verdict::Retry,
        other => Verdict::of(other),
    }
}

fn busy_is_a_failure(result: &Result<u32, &str>) -> Outcome {
    if *result == BUSY {
        Outcome::FAILURE
    } else {
        Outcome::of(result)
    }
}

#[test]
fn a_value_whose_retry_a_layer_refuses_is_given_back() {
    let config = PolicyConfig::NONE.retry(retry(3, 100 * MS));
    let hedged = config.hedge(HedgeConfig::new(HedgeDelay::AfterFailure).without_budget());
    let one_a_minute = RateLimiterConfig::new(1.0 / 60.0, 1);
    let waiting = one_a_minute.max_wait(SECOND);
    for (name, config, made) in [
        ("an open circuit", config.circuit_breaker(breaker(1)), 1),
        ("an open circuit, hedged", hedged.circuit_breaker(breaker(1)), 1),
        (
            "a quota",
            config.rate_limit(one_a_minute).rate_limit_per(RateLimitPer::Attempt),
            1,
        ),
        (
            "a token that comes too late",
            config
                .rate_limit(waiting)
                .rate_limit_per(RateLimitPer::Attempt)
                .total_timeout(SECOND),
            1,
        ),
        ("the last of its retries", config, 4),
        ("the end of the call", config.total_timeout(150 * MS), 2),
    ] {
        let executor = Executor::new();
        let policy = policy(config, &executor.clock());
        let asked = Cell::new(0);
        let busy = || {
            asked.set(asked.get() + 1);
            std::future::ready(BUSY)
        };
        let given = executor.block_on(policy.call_classified(busy, busy_is_a_failure, busy_is_retried));
        assert_eq!((given, asked.get()), (Ok(503), made), "{name}");
        let retry = policy.retry().expect("it has retry").snapshot();
        let ended = retry.not_retryable + retry.deadline_exceeded + retry.max_retries_exceeded;
        assert_eq!((ended, retry.abandoned), (1, 0), "{name}");
    }
}

#[test]
fn a_value_is_not_given_back_once_another_attempt_was_made() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE.retry(retry(3, 100 * MS)).circuit_breaker(breaker(2));
    let policy = policy(config, &executor.clock());
    let asked = Cell::new(0);
    let busy_then_down = || {
        asked.set(asked.get() + 1);
        std::future::ready(if asked.get() == 1 { BUSY } else { Err("down") })
    };
    let given = executor.block_on(policy.call_classified(busy_then_down, busy_is_a_failure, busy_is_retried));
    let refused = given.expect_err("the second attempt failed, and opened the circuit");
    assert_eq!((refused.is_circuit_open(), refused.error()), (true, Some(&"down")));
}

/// A token of a rate limit per call stands for a call that was asked for, so it is spent before the bulkhead is asked. A
/// token per attempt stands for a quota that the dependency grants: a call that the bulkhead refuses never gets to the
/// dependency, and must not spend it. Functions and futures are admitted in the same order.
#[test]
fn a_call_that_the_bulkhead_refuses_spends_no_token_of_a_quota_per_attempt_as_a_function_or_as_a_future() {
    for (per, spent) in [(RateLimitPer::Call, 1), (RateLimitPer::Attempt, 0)] {
        for is_future in [false, true] {
            let executor = Executor::new();
            let config = PolicyConfig::NONE
                .rate_limit(RateLimiterConfig::new(1.0, 5))
                .rate_limit_per(per)
                .bulkhead(BulkheadConfig::new(1));
            let policy = policy(config, &executor.clock());
            let bulkhead = policy.bulkhead().expect("it has one");
            let _permit = bulkhead.try_admit().expect("it is empty");
            let refused = if is_future {
                executor.block_on(policy.call(|| async { Ok::<_, ()>(()) }))
            } else {
                policy.call_sync(|| Ok::<_, ()>(()))
            };
            let when = format!("{per:?}, as a future: {is_future}");
            assert!(refused.is_err_and(|refused| refused.is_bulkhead_full()), "{when}");
            let limiter = policy.rate_limiter().expect("it has one").snapshot();
            assert_eq!(limiter.allowed, spent, "{when}");
        }
    }
}

#[test]
fn a_hedge_waits_for_a_token_as_long_as_the_rate_limit_says() {
    for (max_wait, hedges, ends) in [(Duration::ZERO, 0_u32, 1_000), (50 * MS, 0, 1_000), (100 * MS, 1, 110)] {
        let executor = Executor::new();
        let clock = executor.clock();
        // The first attempt takes the only token; the next comes after 100 ms, and the hedge is wanted after 10.
        let config = PolicyConfig::NONE
            .rate_limit(RateLimiterConfig::new(10.0, 1).max_wait(max_wait))
            .rate_limit_per(RateLimitPer::Attempt)
            .hedge(HedgeConfig::new(HedgeDelay::Fixed(10 * MS)).without_budget())
            .circuit_breaker(breaker(100));
        let policy = policy(config, &clock);
        let asked = Cell::new(0);
        let answer = || {
            asked.set(asked.get() + 1);
            let takes = if asked.get() == 1 { SECOND } else { 10 * MS };
            let clock = &clock;
            async move {
                clock.sleep(takes).await;
                Ok::<_, ()>(())
            }
        };
        assert_eq!(executor.block_on(policy.call(answer)), Ok(()));
        assert_eq!(asked.get(), 1 + hedges, "{max_wait:?}");
        assert_eq!(clock.now(), Tick::ZERO + MS * ends, "{max_wait:?}");
        let limiter = policy.rate_limiter().expect("it has one").snapshot();
        assert_eq!(
            (limiter.allowed, limiter.waiting),
            (1 + u64::from(hedges), 0),
            "{max_wait:?}"
        );
    }
}

#[test]
fn a_listener_hears_of_retries_and_stays_when_settings_change() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE.retry(retry(2, 10 * MS));
    let policy = policy(config, &executor.clock());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = heard.clone();
    policy.on_retry(move |event| {
        let mut heard = listener.lock().expect("no test panics under this lock");
        heard.push((event.retry, event.delay));
    });
    let fail = || {
        assert!(
            executor
                .block_on(policy.call(|| async { Err::<(), _>("down") }))
                .is_err()
        );
    };
    fail();
    // Away, back, and with other settings.
    for other in [PolicyConfig::NONE, PolicyConfig::NONE.retry(retry(1, 20 * MS))] {
        assert_eq!(policy.reconfigure(other), Ok(()));
        fail();
    }
    let heard = heard.lock().expect("no test panics under this lock");
    assert_eq!(*heard, [(0, 10 * MS), (1, 10 * MS), (0, 20 * MS)]);
}

#[test]
fn no_attempt_begins_at_a_deadline_that_a_wait_has_used_up() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = PolicyConfig::NONE.bulkhead(BulkheadConfig::new(1).queue(1, 60 * SECOND));
    let policy = policy(config, &clock);
    let first = policy.clone();
    let own = clock.clone();
    let _first = executor.spawn(async move {
        let work = || async {
            own.sleep(SECOND).await;
            Ok::<_, ()>(())
        };
        first.call(work).await
    });
    executor.run_for(MS);
    let asked = Cell::new(0);
    // The permit is free at the very instant of the deadline.
    let late = Deadline::at(&clock, Tick::ZERO + SECOND).scope(policy.call(failing(&asked)));
    assert!(executor.block_on(late).is_err());
    assert_eq!(asked.get(), 0);
}

#[test]
fn a_retry_whose_pause_ended_late_is_not_made() {
    let time = VirtualTime::new();
    let policy = policy(
        PolicyConfig::NONE.total_timeout(2 * SECOND).retry(retry(1, SECOND)),
        &time.clock(),
    );
    let asked = Cell::new(0);
    let mut call = pin!(policy.call(failing(&asked)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut cx).is_pending());
    time.advance(2 * SECOND);
    let expected = PolicyError::TimedOut {
        policy: None,
        layer: Layer::TotalTimeout,
        limit: 2 * SECOND,
        attempts: 1,
        last_error: Some("down"),
    };
    assert_eq!(call.poll(&mut cx), Poll::Ready(Err(expected)));
    assert_eq!(asked.get(), 1);
}
