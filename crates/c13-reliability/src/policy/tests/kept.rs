//! Permits that outlive their call: who holds them, and how they are released.

use super::{MS, SECOND, breaker, policy, retry};
use crate::gate::{Outcome, Permit as _};
use crate::patterns::adaptive::{AdaptiveConfig, Algorithm};
use crate::patterns::bulkhead::BulkheadConfig;
use crate::patterns::circuit_breaker::CircuitState;
use crate::patterns::hedge::{HedgeConfig, HedgeDelay};
use crate::patterns::retry::Verdict;
use crate::policy::{CallPermit, Policy, PolicyConfig};
use crate::time::Executor;
use std::cell::Cell;

/// How many calls hold a permit, and what the breaker has counted: successes, failures, abandoned calls, ignored ones.
fn state(policy: &Policy) -> (u32, [u64; 4]) {
    let bulkhead = policy.bulkhead().map(|bulkhead| bulkhead.in_flight());
    let adaptive = policy.adaptive().map(|limit| limit.snapshot().calls.in_flight);
    let counts = policy.circuit_breaker().expect("every policy here has one").metrics();
    let counts = [
        counts.success_count,
        counts.failure_count,
        counts.abandoned_count,
        counts.ignored_count,
    ];
    (bulkhead.or(adaptive).unwrap_or_default(), counts)
}

fn variants() -> [PolicyConfig; 4] {
    let config = PolicyConfig::NONE
        .attempt_timeout(SECOND)
        .retry(retry(2, MS))
        .circuit_breaker(breaker(100));
    let bulkhead = config.bulkhead(BulkheadConfig::new(1));
    [
        bulkhead,
        config.adaptive(AdaptiveConfig::new(Algorithm::AIMD).limits(1, 1, 1)),
        bulkhead.total_timeout(4 * SECOND),
        bulkhead.hedge(HedgeConfig::new(HedgeDelay::Fixed(3 * MS))),
    ]
}

/// Calls that give their value at once, after a wait, and at the second attempt.
fn call(executor: &Executor, policy: &Policy, failures: u32, ms: u32) -> CallPermit {
    let (clock, asked) = (executor.clock(), Cell::new(0));
    let operation = || async {
        asked.set(asked.get() + 1);
        let asked = asked.get();
        if ms > 0 {
            clock.sleep(MS * ms).await;
        }
        if asked <= failures { Err("down") } else { Ok(asked) }
    };
    let (_, permit) = executor
        .block_on(policy.call_held(operation, Outcome::of, Verdict::of))
        .expect("the last attempt is good");
    permit
}

#[test]
fn permits_are_held_until_an_outcome_is_recorded_and_that_is_the_one_that_counts() {
    for config in variants() {
        for (failures, ms) in [(0, 0), (0, 2), (1, 0), (1, 2)] {
            type End = fn(CallPermit);
            let ends: [(End, [u64; 4]); 4] = [
                (|permit| permit.record(Outcome::Success), [1, 0, 0, 0]),
                (|permit| permit.record(Outcome::FAILURE), [0, 1, 0, 0]),
                (|permit| permit.record(Outcome::Ignored), [0, 0, 0, 1]),
                (drop, [0, 0, 1, 0]),
            ];
            for (end, mut counts) in ends {
                let executor = Executor::new();
                let policy = policy(config, &executor.clock());
                let permit = call(&executor, &policy, failures, ms);
                let failed = u64::from(failures);
                assert_eq!(
                    state(&policy),
                    (
                        u32::from(policy.bulkhead().is_some() || policy.adaptive().is_some()),
                        [0, failed, 0, 0]
                    )
                );
                end(permit);
                counts[1] += failed;
                assert_eq!(state(&policy), (0, counts), "{config:?}, {failures} failures, {ms} ms");
            }
        }
    }
}

#[test]
fn a_value_that_counts_as_a_failure_has_counted_when_it_is_returned() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE
        .bulkhead(BulkheadConfig::new(1))
        .retry(retry(1, MS))
        .circuit_breaker(breaker(100));
    let policy = policy(config, &executor.clock());
    let call = policy.call_held(
        || async { Ok::<_, &str>(503) },
        |_| Outcome::FAILURE,
        |_| Verdict::Retry,
    );
    let (value, permit) = executor.block_on(call).expect("the last value is the result");
    assert_eq!((value, state(&policy)), (503, (1, [0, 2, 0, 0])));
    permit.record(Outcome::Success);
    assert_eq!(state(&policy), (0, [0, 2, 0, 0]));
}

#[test]
fn a_call_that_fails_keeps_nothing() {
    for config in variants() {
        let executor = Executor::new();
        let policy = policy(config, &executor.clock());
        let failed = executor.block_on(policy.call_held(|| async { Err::<(), _>("down") }, Outcome::of, Verdict::of));
        assert!(failed.is_err());
        let (held, [successes, failures, ..]) = state(&policy);
        // A hedge makes more of them.
        assert!(failures >= 3, "{config:?}: {failures}");
        assert_eq!((held, successes), (0, 0), "{config:?}");
        let once = executor.block_on(policy.call_once_held(async { Err::<(), _>("down") }, Outcome::of));
        assert!(once.is_err_and(|error| error.attempts() == 1));
        assert_eq!(state(&policy), (0, [0, failures + 1, 0, 0]), "{config:?}");
    }
}

#[test]
fn a_probe_is_settled_before_its_call_ends() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE
        .bulkhead(BulkheadConfig::new(1))
        .circuit_breaker(breaker(1).success_threshold(1));
    let policy = policy(config, &executor.clock());
    let breaker = policy.circuit_breaker().expect("it has one");
    executor
        .block_on(policy.call(|| async { Err::<(), _>("down") }))
        .expect_err("it fails");
    assert_eq!(breaker.current_state(), CircuitState::Open);
    executor.run_for(10 * SECOND);
    let mut permit = call(&executor, &policy, 0, 0);
    assert!(permit.is_probe());
    assert_eq!(breaker.current_state(), CircuitState::HalfOpen);
    permit.settle(Outcome::Success);
    assert_eq!((breaker.current_state(), state(&policy).0), (CircuitState::Closed, 1));
    permit.record(Outcome::FAILURE);
    assert_eq!(state(&policy), (0, [1, 1, 0, 0]));
    assert!(!call(&executor, &policy, 0, 0).is_probe());
}
