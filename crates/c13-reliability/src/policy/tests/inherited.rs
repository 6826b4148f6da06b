//! What an attempt that an inherited deadline cuts short says of the dependency.

use super::*;
use crate::patterns::circuit_breaker::CircuitBreaker;
use crate::patterns::timeout::{Timeout, TimeoutConfig};
use crate::policy::CallOptions;

/// Answers after `takes`.
async fn answer(clock: &Clock, takes: Duration) -> Result<(), &'static str> {
    clock.sleep(takes).await;
    Ok(())
}

/// How many attempts the policy's breaker took for failures and for abandoned.
fn blamed(policy: &Policy) -> (u64, u64) {
    let metrics = policy.circuit_breaker().expect("it has a breaker").metrics();
    (metrics.failure_count, metrics.abandoned_count)
}

#[test]
fn a_healthy_dependency_is_not_blamed_for_callers_with_short_deadlines() {
    for profile in Profile::ALL {
        let executor = Executor::new();
        let clock = executor.clock();
        let policy = policy(profile.config(), &clock);
        for _ in 0..30 {
            let call = policy.call(|| answer(&clock, 20 * MS));
            let late = executor.block_on(Deadline::after(&clock, 5 * MS).scope(call));
            assert!(late.is_err_and(|late| late.is_timeout()));
            executor.run_for(20 * MS);
        }
        assert_eq!(blamed(&policy), (0, 30), "{profile:?}");
        let breaker = policy.circuit_breaker().expect("it has a breaker");
        assert_eq!(breaker.current_state(), CircuitState::Closed, "{profile:?}");
    }
}

#[test]
fn an_attempt_counts_if_it_had_half_of_the_policys_own_limit() {
    const NONE: PolicyConfig = PolicyConfig::NONE;
    let nano = Duration::from_nanos(1);
    let both = NONE.total_timeout(10 * SECOND).attempt_timeout(SECOND);
    for (config, deadline, blames) in [
        (NONE.attempt_timeout(SECOND), 500 * MS - nano, false),
        (NONE.attempt_timeout(SECOND), 500 * MS, true),
        (NONE.attempt_timeout(SECOND), 999 * MS, true),
        (NONE.attempt_timeout(SECOND), 2 * SECOND, true),
        // An odd number of nanoseconds: one of three is less than half.
        (NONE.attempt_timeout(3 * nano), nano, false),
        (NONE.attempt_timeout(3 * nano), 2 * nano, true),
        (NONE.total_timeout(SECOND), 500 * MS - nano, false),
        (NONE.total_timeout(SECOND), 500 * MS, true),
        (NONE.total_timeout(SECOND), 2 * SECOND, true),
        // The attempt's limit counts where there is one, not the total.
        (both, 500 * MS - nano, false),
        (both, 500 * MS, true),
        // Without a limit of its own there is no fair share.
        (NONE, 3_600 * SECOND, false),
    ] {
        for given in [false, true] {
            let executor = Executor::new();
            let clock = executor.clock();
            let policy = policy(config.circuit_breaker(breaker(100)), &clock);
            let until = Deadline::after(&clock, deadline);
            let late = if given {
                let options = CallOptions::new().deadline(until);
                executor.block_on(policy.call_with(options, pending::<Result<(), ()>>))
            } else {
                executor.block_on(until.scope(policy.call(pending::<Result<(), ()>>)))
            };
            assert!(late.is_err_and(|late| late.is_timeout()));
            let expected = if blames { (1, 0) } else { (0, 1) };
            assert_eq!(
                blamed(&policy),
                expected,
                "{config:?} until {deadline:?}, given: {given}"
            );
        }
    }
}

#[test]
fn every_attempt_has_a_share_of_its_own() {
    // The first fails at once, the second has what the deadline leaves after the pause.
    for (pause, expected) in [(700 * MS, (1, 1)), (500 * MS, (2, 0))] {
        let executor = Executor::new();
        let clock = executor.clock();
        let config = PolicyConfig::NONE
            .attempt_timeout(SECOND)
            .retry(retry(1, pause))
            .circuit_breaker(breaker(100));
        let policy = policy(config, &clock);
        let first = Cell::new(true);
        let call = policy.call(|| {
            let fails = first.replace(false);
            async move { if fails { Err("down") } else { pending().await } }
        });
        let late: Result<(), _> = executor.block_on(Deadline::after(&clock, SECOND).scope(call));
        assert!(late.is_err_and(|late| late.is_timeout() && late.attempts() == 2));
        assert_eq!(blamed(&policy), expected, "a pause of {pause:?}");
    }
}

#[test]
fn an_error_that_comes_with_the_deadline_is_the_deadlines() {
    let executor = Executor::new();
    let clock = executor.clock();
    let limits = || PolicyConfig::NONE.attempt_timeout(SECOND).circuit_breaker(breaker(100));
    let (outer, inner) = (policy(limits(), &clock), policy(limits(), &clock));
    let nested = || async { inner.call(|| answer(&clock, 20 * MS)).await };
    assert!(
        executor
            .block_on(Deadline::after(&clock, 5 * MS).scope(outer.call(nested)))
            .is_err()
    );
    assert_eq!((blamed(&outer), blamed(&inner)), ((0, 1), (0, 1)));
    // The error came before, and is the dependency's.
    let broken = || async { inner.call(|| async { Err::<(), _>("down") }).await };
    assert!(
        executor
            .block_on(Deadline::after(&clock, 5 * MS).scope(outer.call(broken)))
            .is_err()
    );
    assert_eq!((blamed(&outer), blamed(&inner)), ((1, 1), (1, 1)));
}

#[test]
fn the_limit_of_a_policy_around_it_is_inherited() {
    let executor = Executor::new();
    let clock = executor.clock();
    let of = |limit| {
        policy(
            PolicyConfig::NONE.attempt_timeout(limit).circuit_breaker(breaker(100)),
            &clock,
        )
    };
    let (outer, inner) = (of(5 * MS), of(SECOND));
    let nested = || async { inner.call(|| answer(&clock, 20 * MS)).await };
    assert!(executor.block_on(outer.call(nested)).is_err());
    assert_eq!((blamed(&outer), blamed(&inner)), ((1, 0), (0, 1)));
}

#[test]
fn an_adaptive_limit_does_not_shrink_for_callers_with_short_deadlines() {
    // The share of the call's time, and whether the limit counts the call as dropped.
    for (deadline, dropped) in [(5 * MS, 0), (499 * MS, 0), (500 * MS, 1), (2 * SECOND, 1)] {
        for limits in [
            PolicyConfig::NONE.attempt_timeout(SECOND),
            PolicyConfig::NONE.total_timeout(SECOND),
        ] {
            let executor = Executor::new();
            let clock = executor.clock();
            let adaptive = AdaptiveConfig::new(Algorithm::AIMD)
                .limits(10, 1, 100)
                .drops(60 * SECOND, 0.1);
            let policy = policy(limits.adaptive(adaptive), &clock);
            let call = policy.call(pending::<Result<(), ()>>);
            assert!(
                executor
                    .block_on(Deadline::after(&clock, deadline).scope(call))
                    .is_err()
            );
            let snapshot = policy.adaptive().expect("it has a limit").snapshot();
            assert_eq!(snapshot.dropped, dropped, "{deadline:?}");
        }
    }
}

#[test]
fn a_short_deadline_reports_nothing_to_a_breaker_around_a_time_limit() {
    for (deadline, expected) in [
        (5 * MS, (0, 1)),
        (499 * MS, (0, 1)),
        (500 * MS, (1, 0)),
        (2 * SECOND, (1, 0)),
    ] {
        let executor = Executor::new();
        let clock = executor.clock();
        let circuit = CircuitBreaker::with_config(breaker(100), clock.clone()).expect("good");
        let limit = Timeout::with_config(TimeoutConfig::new(SECOND), clock.clone()).expect("good");
        let call = circuit.call(limit.call(pending::<Result<(), ()>>()));
        assert!(
            executor
                .block_on(Deadline::after(&clock, deadline).scope(call))
                .is_err()
        );
        let metrics = circuit.metrics();
        assert_eq!(
            (metrics.failure_count, metrics.abandoned_count),
            expected,
            "{deadline:?}"
        );
        // What the dependency itself answers counts, whatever was cut short before.
        let call = circuit.call(limit.call(async { Err::<(), _>("down") }));
        assert!(executor.block_on(Deadline::after(&clock, SECOND).scope(call)).is_err());
        assert_eq!(circuit.metrics().failure_count, expected.0 + 1, "{deadline:?}");
    }
}

#[test]
fn a_short_deadline_reports_nothing_to_a_breaker_around_a_policy() {
    let executor = Executor::new();
    let clock = executor.clock();
    let circuit = CircuitBreaker::with_config(breaker(100), clock.clone()).expect("good");
    let policy = policy(PolicyConfig::NONE.attempt_timeout(SECOND), &clock);
    for (deadline, failures) in [(5 * MS, 0), (600 * MS, 1)] {
        let call = circuit.call(policy.call(pending::<Result<(), ()>>));
        assert!(
            executor
                .block_on(Deadline::after(&clock, deadline).scope(call))
                .is_err()
        );
        assert_eq!(circuit.metrics().failure_count, failures, "{deadline:?}");
    }
    // A limit of the policy's own is no deadline that anybody set.
    let own = circuit.call(policy.call(pending::<Result<(), ()>>));
    assert!(executor.block_on(own).is_err());
    assert_eq!(circuit.metrics().failure_count, 2);
}
