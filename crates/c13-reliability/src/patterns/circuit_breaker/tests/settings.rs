//! Which settings are refused, by name.

use super::*;
use crate::time::Clock;
use std::time::Duration;

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let ok = CircuitBreakerConfig::default;
    let within = |failures, window, share| {
        let rule = FailuresWithin::new(failures, window);
        ok().failures_within(FailuresWithin { share, ..rule })
    };
    let rate = |rate, window, min_calls| ok().failure_rate(FailureRate::new(rate, window, min_calls));
    let slow = |threshold, rate, window| ok().slow_calls(SlowCalls::new(threshold, rate, window, 5));
    let staged = |shares: &[f64]| StagedRecovery::new(secs(10.0)).shares(Shares::new(shares));
    let calls = Window::Calls(10);
    let second = secs(1.0);
    for (config, setting) in [
        (
            CircuitBreakerConfig::new(),
            "consecutive_failures, failures, failure_rate, slow_call",
        ),
        (ok().consecutive_failures(0), "consecutive_failures"),
        (ok().success_threshold(0), "success_threshold"),
        (ok().half_open_calls(0), "half_open_calls"),
        (ok().half_open_timeout(Duration::ZERO), "half_open_timeout"),
        (ok().half_open_timeout(Duration::MAX), "half_open_timeout"),
        (ok().open_for(Duration::ZERO), "open_for"),
        (ok().open_for(Duration::MAX), "open_for"),
        (ok().open_for_growth(0.5, secs(60.0)), "open_for_multiplier"),
        (ok().open_for_growth(f64::NAN, secs(60.0)), "open_for_multiplier"),
        (ok().open_for_growth(f64::INFINITY, secs(60.0)), "open_for_multiplier"),
        (ok().open_for_growth(2.0, secs(29.0)), "open_for_max"),
        (ok().open_for_growth(2.0, Duration::MAX), "open_for_max"),
        (
            CircuitBreakerConfig {
                open_for_multiplier: 2.0,
                ..ok()
            },
            "open_for_max",
        ),
        (ok().jitter(1.5), "jitter"),
        (ok().jitter(-0.1), "jitter"),
        (ok().jitter(f64::NAN), "jitter"),
        (within(0, second, None), "failures"),
        (within(1 << 17, second, None), "failures"),
        (within(3, Duration::ZERO, None), "window"),
        (within(3, secs(4000.0), None), "window"),
        (within(3, second, Some(0.0)), "failure_share"),
        (within(3, second, Some(f64::NAN)), "failure_share"),
        (rate(0.0, calls, 5), "failure_rate"),
        (rate(1.1, calls, 5), "failure_rate"),
        (rate(f64::NAN, calls, 5), "failure_rate"),
        (rate(0.5, calls, 0), "min_calls"),
        (rate(0.5, calls, 11), "min_calls"),
        (rate(0.5, Window::Calls(0), 1), "window"),
        (rate(0.5, Window::Calls(u32::MAX), 1), "window"),
        (rate(0.5, Window::Time(Duration::ZERO), 1), "window"),
        (rate(0.5, Window::Time(Duration::MAX), 1), "window"),
        (slow(Duration::ZERO, 0.5, calls), "slow_call"),
        (slow(second, -1.0, calls), "slow_rate"),
        (slow(second, 0.5, Window::Calls(4)), "min_calls"),
        (ok().recovery(staged(&[])), "recovery.shares"),
        (ok().recovery(staged(&[0.1; 9])), "recovery.shares"),
        (ok().recovery(staged(&[0.0, 0.5])), "recovery.shares"),
        (ok().recovery(staged(&[0.5, 0.1])), "recovery.shares"),
        (ok().recovery(staged(&[0.5, 1.0])), "recovery.shares"),
        (ok().recovery(staged(&[f64::NAN])), "recovery.shares"),
        (
            ok().recovery(StagedRecovery::new(Duration::ZERO)),
            "recovery.stage_length",
        ),
        (
            ok().recovery(StagedRecovery::new(Duration::MAX)),
            "recovery.stage_length",
        ),
        (
            ok().recovery(staged(&[0.5]).failure_rate(0.0, 4)),
            "recovery.failure_rate",
        ),
        (ok().recovery(staged(&[0.5]).failure_rate(0.5, 0)), "recovery.min_calls"),
    ] {
        let error = CircuitBreaker::with_config(config, Clock::system()).expect_err(setting);
        assert_eq!((error.part, error.setting), ("circuit breaker", setting), "{error}");
    }
}

#[test]
fn a_rate_over_time_may_ask_for_any_number_of_calls() {
    let rule = FailureRate::new(0.5, Window::Time(secs(10.0)), 1_000_000);
    assert_eq!(CircuitBreakerConfig::new().failure_rate(rule).validate(), Ok(()));
}

#[test]
fn the_short_constructor_panics_and_its_twin_returns_the_error() {
    assert_eq!(
        CircuitBreaker::try_new(0, 2, secs(1.0))
            .expect_err("zero failures")
            .setting,
        "consecutive_failures"
    );
    assert_eq!(
        CircuitBreaker::try_new(5, 0, secs(1.0)).expect_err("zero").setting,
        "success_threshold"
    );
    assert_eq!(
        CircuitBreaker::try_new(5, 2, Duration::ZERO).expect_err("zero").setting,
        "open_for"
    );
    let panic = std::panic::catch_unwind(|| CircuitBreaker::new(0, 2, secs(1.0))).expect_err("it panics");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(message.contains("`consecutive_failures` is 0"), "{message}");
}

#[test]
fn the_promised_defaults_are_these() {
    assert_eq!(circuit_config::FAILURE_THRESHOLD, 5);
    assert_eq!(circuit_config::SUCCESS_THRESHOLD, 2);
    assert_eq!(circuit_config::TIMEOUT_MS, 30_000);
    assert_eq!(circuit_config::TIMEOUT, secs(30.0));
    assert_eq!(circuit_config::HALF_OPEN_TIMEOUT, secs(5.0));
    const { assert!(circuit_config::validate()) };
}
