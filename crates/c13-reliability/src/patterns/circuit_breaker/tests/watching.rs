//! What a breaker that only watches reports: each rule that would open the circuit, once, until it is not met any more.

use super::*;
use std::task::{Context, Poll, Waker};

use TransitionReason as By;

/// Makes the calls of `script` one after the other: as [`Bench::calls`], and `L` succeeds after two seconds, `.` is a
/// pause of ten. Gives the rules that are reported.
fn reported(config: CircuitBreakerConfig, script: &str) -> Vec<TransitionReason> {
    let bench = Bench::new(config);
    bench.breaker.metrics_only();
    let mut events = bench.breaker.events();
    for call in script.split_inclusive(|_| true) {
        match call {
            "." => _ = bench.wait(10.0),
            "L" => {
                let permit = bench.breaker.try_acquire().expect("it admits all calls");
                bench.wait(2.0);
                permit.success();
            }
            other => _ = bench.calls(other),
        }
    }
    let mut rules = Vec::new();
    while let Poll::Ready(Some(event)) = events.poll_next(&mut Context::from_waker(Waker::noop())) {
        match event {
            CircuitEvent::WouldOpen { reason, .. } => rules.push(reason),
            other => panic!("it only watches: {other:?}"),
        }
    }
    rules
}

#[test]
fn each_rule_is_reported_once_until_it_is_not_met_any_more() {
    let none = CircuitBreakerConfig::new();
    let row = none.consecutive_failures(2);
    let two_in_30_s = FailuresWithin::new(2, secs(30.0));
    let within = none.failures_within(two_in_30_s);
    let rate = |rate, min_calls| none.failure_rate(FailureRate::new(rate, Window::Calls(10), min_calls));
    let slow = SlowCalls::new(secs(1.0), 0.25, Window::Calls(10), 2);
    for (config, script, expected) in [
        (row, "F", &[][..]),
        (row, "FFFF", &[By::ConsecutiveFailures]),
        (row, "FFF S FFF", &[By::ConsecutiveFailures, By::ConsecutiveFailures]),
        // Of several rules each is reported, be it by one call or by several.
        (
            row.failures_within(two_in_30_s),
            "FFFF",
            &[By::ConsecutiveFailures, By::FailuresWithin],
        ),
        (
            rate(0.5, 4).consecutive_failures(2),
            "FFFFF",
            &[By::ConsecutiveFailures, By::FailureRate],
        ),
        (
            rate(0.5, 4).consecutive_failures(2),
            "FFFFF S FF",
            &[By::ConsecutiveFailures, By::FailureRate, By::ConsecutiveFailures],
        ),
        // A slow success can report the rule for slow calls, and changes nothing of what was reported of failures.
        (
            rate(0.5, 2).slow_calls(slow),
            "FFL FLF",
            &[By::FailureRate, By::SlowCalls],
        ),
        (
            rate(0.3, 1).slow_calls(slow),
            "F L F L F",
            &[By::FailureRate, By::SlowCalls],
        ),
        (within.slow_calls(slow), "FFLF", &[By::FailuresWithin, By::SlowCalls]),
        // What ends between two failures has ended, though nothing was reported then.
        (rate(0.1, 1), "F SSSSSSSSSS F", &[By::FailureRate, By::FailureRate]),
        (rate(0.1, 1), "F SSSSSSSSS F", &[By::FailureRate]),
        (within, "FF F .... FF", &[By::FailuresWithin, By::FailuresWithin]),
        (within, "FF . F . F", &[By::FailuresWithin]),
        // Only a failure reports a rule for failures, as only a failure trips it.
        (rate(0.5, 3).slow_calls(slow), "F F L", &[By::SlowCalls]),
        (
            rate(0.5, 3).slow_calls(slow),
            "F F L F",
            &[By::SlowCalls, By::FailureRate],
        ),
    ] {
        assert_eq!(reported(config, script), expected, "{script:?} under {config:?}");
    }
}
