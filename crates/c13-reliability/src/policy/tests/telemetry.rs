//! What a policy reports itself: durations, refusals and timeouts.

use super::*;
use crate::observability::prometheus::{Format, encode};
use crate::snapshot::{Reading, Registry, Value};

const CALLS: &str = "reliability.policy.call.duration";
const ATTEMPTS: &str = "reliability.policy.attempt.duration";

/// The readings of one metric of a policy.
fn readings(policy: &Policy, metric: &str) -> Vec<Reading> {
    let registry = Registry::new();
    registry.register("it", policy).expect("the name is free");
    let part = registry.snapshots().remove(0);
    part.readings
        .into_iter()
        .filter(|reading| reading.metric.name == metric)
        .collect()
}

/// The durations in a histogram: labels, how many, and their sum in milliseconds.
fn durations(policy: &Policy, metric: &str) -> Vec<(String, u64, u128)> {
    let told = |reading: Reading| {
        let labels: Vec<_> = reading.labels.into_iter().map(|(_, value)| value).collect();
        match reading.value {
            Value::Times(times) => (labels.join(" "), times.count(), times.sum() / 1_000_000),
            other => panic!("a histogram: {other:?}"),
        }
    };
    readings(policy, metric).into_iter().map(told).collect()
}

fn counts(policy: &Policy, metric: &str) -> Vec<(String, u64)> {
    let told = |reading: Reading| match reading.value {
        Value::Count(count) => (reading.labels[0].1.clone(), count),
        other => panic!("a counter: {other:?}"),
    };
    let all = readings(policy, metric).into_iter().map(told);
    all.filter(|(_, count)| *count > 0).collect()
}

fn told(rows: &[(&str, u64, u128)]) -> Vec<(String, u64, u128)> {
    rows.iter()
        .map(|(labels, count, sum)| ((*labels).to_owned(), *count, *sum))
        .collect()
}

#[test]
fn calls_and_attempts_are_measured_by_result_and_layer() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = PolicyConfig::NONE
        .total_timeout(10 * SECOND)
        .attempt_timeout(400 * MS)
        .retry(retry(1, 50 * MS))
        .circuit_breaker(breaker(4));
    let policy = policy(config, &clock);
    let take = async |time: Duration, result: Result<(), &'static str>| {
        policy
            .call(|| async {
                clock.sleep(time).await;
                result
            })
            .await
    };
    executor.block_on(async {
        assert!(take(30 * MS, Ok(())).await.is_ok());
        assert!(take(10 * MS, Err("down")).await.is_err());
        assert!(take(SECOND, Ok(())).await.is_err_and(|error| error.is_timeout()));
        assert!(take(SECOND, Ok(())).await.is_err_and(|error| error.is_circuit_open()));
    });
    assert_eq!(
        durations(&policy, CALLS),
        told(&[
            ("success none", 1, 30),
            ("failure none", 1, 10 + 50 + 10),
            ("timed_out attempt_timeout", 1, 400 + 50 + 400),
            ("rejected circuit_breaker", 1, 0),
        ])
    );
    assert_eq!(
        durations(&policy, ATTEMPTS),
        told(&[("success", 1, 30), ("failure", 2, 20), ("timed_out", 2, 800)])
    );
    assert_eq!(
        counts(&policy, "reliability.policy.refusals"),
        [("circuit_breaker".to_owned(), 1)]
    );
    assert_eq!(
        counts(&policy, "reliability.timeout.expirations"),
        [("limit".to_owned(), 2)]
    );
}

#[test]
fn a_call_that_ends_at_its_first_poll_counts_as_one_that_took_no_time() {
    let executor = Executor::new();
    let policy = policy(PolicyConfig::NONE, &executor.clock());
    let classify = |result: &Result<u16, &str>| match result {
        Ok(500..) | Err(_) => Outcome::FAILURE,
        Ok(400..) => Outcome::Ignored,
        Ok(_) => Outcome::Success,
    };
    for status in [Ok(200), Ok(404), Ok(503), Err("down")] {
        let call = policy.call_classified(async || status, classify, |_| Verdict::Final);
        let _ = executor.block_on(call);
    }
    let expected = told(&[("success none", 2, 0), ("failure none", 2, 0)]);
    assert_eq!(durations(&policy, CALLS), expected);
    let registry = Registry::new();
    registry.register("it", &policy).expect("the name is free");
    let text = encode(&registry.families(), Format::Text);
    let least =
        "reliability_policy_call_duration_seconds_bucket{name=\"it\",result=\"success\",layer=\"none\",le=\"0.001\"} 2";
    assert!(text.contains(least), "{text}");
}

#[test]
fn each_duration_lies_in_the_bucket_of_its_boundary() {
    let executor = Executor::new();
    let clock = executor.clock();
    let policy = policy(PolicyConfig::NONE, &clock);
    for time in [SECOND / 4, SECOND / 4 + Duration::from_nanos(1), 11 * SECOND] {
        let call = policy.call(|| async {
            clock.sleep(time).await;
            Ok::<_, ()>(())
        });
        assert!(executor.block_on(call).is_ok());
    }
    let Value::Times(times) = readings(&policy, CALLS).remove(0).value else {
        panic!("a histogram");
    };
    let up_to = |ms: u64| times.count_at_most(ms * 1_000_000);
    assert_eq!([up_to(100), up_to(250), up_to(500), up_to(10_000)], [0, 1, 2, 2]);
    assert_eq!(times.count(), 3);
}

#[test]
fn the_deadline_of_a_caller_and_a_wait_are_told_apart_from_the_policys_own_limit() {
    let executor = Executor::new();
    let clock = executor.clock();
    let policy = policy(PolicyConfig::NONE.total_timeout(2 * SECOND), &clock);
    executor.block_on(async {
        let late = Deadline::after(&clock, SECOND).scope(policy.call(pending::<Result<(), ()>>));
        assert!(late.await.is_err_and(|error| error.is_timeout()));
        assert!(
            policy
                .call(pending::<Result<(), ()>>)
                .await
                .is_err_and(|error| error.is_timeout())
        );
    });
    let expirations = counts(&policy, "reliability.timeout.expirations");
    assert_eq!(expirations, [("limit".to_owned(), 1), ("deadline".to_owned(), 1)]);
    assert_eq!(
        durations(&policy, CALLS),
        told(&[("timed_out total_timeout", 2, 3_000)])
    );
}

#[test]
fn a_function_is_measured_by_the_clock() {
    let executor = Executor::new();
    let policy = policy(PolicyConfig::NONE, &executor.clock());
    let time = executor.time();
    let slept = policy.call_sync(|| {
        time.advance(20 * MS);
        Ok::<_, ()>(())
    });
    assert!(slept.is_ok());
    assert_eq!(durations(&policy, CALLS), told(&[("success none", 1, 20)]));
    assert_eq!(durations(&policy, ATTEMPTS), told(&[("success", 1, 20)]));
}

#[test]
fn a_change_of_settings_keeps_what_was_counted_and_durations_can_be_off() {
    let executor = Executor::new();
    let clock = executor.clock();
    let policy = policy(PolicyConfig::NONE, &clock);
    let call = || {
        executor.block_on(policy.call(|| async {
            clock.sleep(MS).await;
            Ok::<_, ()>(())
        }))
    };
    assert!(call().is_ok());
    policy
        .reconfigure(PolicyConfig::NONE.durations(false))
        .expect("the settings make sense");
    assert!(call().is_ok());
    assert!(executor.block_on(policy.call(async || Ok::<_, ()>(()))).is_ok());
    policy.reconfigure(PolicyConfig::NONE).expect("the settings make sense");
    assert!(call().is_ok());
    assert_eq!(durations(&policy, CALLS), told(&[("success none", 2, 2)]));
}
