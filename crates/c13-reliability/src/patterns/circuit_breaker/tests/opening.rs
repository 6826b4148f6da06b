//! When a circuit opens, and for how long.

use super::*;

#[test]
fn as_many_failures_in_a_row_as_set_open_it_and_no_fewer() {
    defaults()
        .calls("FFFF S FFFF")
        .is(CircuitState::Closed)
        .calls("F")
        .is(CircuitState::Open);
}

#[test]
fn an_ignored_or_abandoned_call_neither_ends_a_run_of_failures_nor_lengthens_it() {
    defaults()
        .calls("FFFF I A IA")
        .is(CircuitState::Closed)
        .calls("F")
        .is(CircuitState::Open);
}

#[test]
fn failures_within_a_time_open_it_whatever_succeeds_between() {
    let rule = FailuresWithin::new(3, secs(30.0));
    let bench = Bench::new(CircuitBreakerConfig::new().failures_within(rule));
    bench
        .calls("F SSSSSSSSSSSSSSSSSSSSSSSSSSSSSS F")
        .wait(29.9)
        .calls("S")
        .is(CircuitState::Closed);
    bench.calls("F").is(CircuitState::Open);
}

#[test]
fn a_failure_that_is_exactly_as_old_as_the_time_has_left_it() {
    let rule = FailuresWithin::new(3, secs(30.0));
    let bench = Bench::new(CircuitBreakerConfig::new().failures_within(rule));
    bench.calls("FF").wait(30.0).calls("F").is(CircuitState::Closed);
    bench
        .wait(29.999)
        .calls("F")
        .is(CircuitState::Closed)
        .calls("F")
        .is(CircuitState::Open);
}

#[test]
fn with_a_share_a_busy_service_does_not_open_at_a_tiny_error_rate() {
    let rule = FailuresWithin::new(3, secs(30.0)).share(0.5);
    let bench = Bench::new(CircuitBreakerConfig::new().failures_within(rule));
    for _ in 0..100 {
        bench
            .calls("SSSSSSSSSSSSSSSSSSSSSSSSS F")
            .wait(0.05)
            .is(CircuitState::Closed);
    }
}

#[test]
fn with_a_share_half_of_the_last_twenty_calls_must_have_failed() {
    let rule = FailuresWithin::new(3, secs(30.0)).share(0.5);
    let bench = Bench::new(CircuitBreakerConfig::new().failures_within(rule));
    bench.calls("SSSSSSSSSSSSSSSSSSSSSSSSSSSSSS").wait(1.0);
    bench
        .calls("FFFFFFFFF")
        .is(CircuitState::Closed)
        .calls("F")
        .is(CircuitState::Open);
}

#[test]
fn with_a_share_calls_that_left_the_window_are_not_asked() {
    let rule = FailuresWithin::new(3, secs(30.0)).share(0.5);
    let bench = Bench::new(CircuitBreakerConfig::new().failures_within(rule));
    bench.calls("SSSSSSSSSSSSSSSSSSSSSSSSSSSSSS").wait(31.0);
    bench
        .calls("SSS FF")
        .is(CircuitState::Closed)
        .calls("F")
        .is(CircuitState::Open);
}

#[test]
fn a_million_successes_do_not_hide_an_outage() {
    let rule = FailureRate::new(0.5, Window::Calls(100), 20);
    let bench = Bench::new(CircuitBreakerConfig::new().failure_rate(rule));
    for _ in 0..1_000_000 {
        bench.breaker.try_acquire().expect("closed").success();
    }
    for _ in 0..49 {
        bench.calls("F").is(CircuitState::Closed);
    }
    bench.calls("F").is(CircuitState::Open);
}

#[test]
fn a_rate_over_time_forgets_what_has_left_the_window() {
    let rule = FailureRate::new(0.5, Window::Time(secs(10.0)), 4);
    let bench = Bench::new(CircuitBreakerConfig::new().failure_rate(rule));
    bench
        .calls("SSSSSSSS")
        .wait(5.0)
        .calls("FFFFFFF")
        .is(CircuitState::Closed);
    bench.wait(5.0).calls("F").is(CircuitState::Open);
}

#[test]
fn a_success_never_opens_it() {
    let rule = FailureRate::new(0.5, Window::Calls(10), 4);
    let bench = Bench::new(CircuitBreakerConfig::new().failure_rate(rule));
    bench
        .calls("FFF S")
        .is(CircuitState::Closed)
        .calls("F")
        .is(CircuitState::Open);
}

#[test]
fn a_rate_is_met_at_exactly_its_value_whatever_its_binary_fraction() {
    for percent in 1..=100_u32 {
        let rule = FailureRate::new(f64::from(percent) / 100.0, Window::Calls(100), 100);
        let bench = Bench::new(CircuitBreakerConfig::new().failure_rate(rule));
        for _ in 0..100 - percent {
            bench.calls("S");
        }
        for _ in 1..percent {
            bench.calls("F").is(CircuitState::Closed);
        }
        bench.calls("F").is(CircuitState::Open);
    }
}

#[test]
fn as_many_slow_calls_as_set_open_it_even_if_they_succeed() {
    let rule = SlowCalls::new(secs(2.0), 0.5, Window::Calls(10), 4);
    let bench = Bench::new(CircuitBreakerConfig::new().slow_calls(rule));
    let call = |seconds| {
        let permit = bench.breaker.try_acquire().expect("closed");
        bench.wait(seconds);
        permit.success();
    };
    call(2.0);
    call(1.999);
    call(1.0);
    bench.is(CircuitState::Closed);
    call(2.5);
    bench.is(CircuitState::Open);
}

#[test]
fn an_error_can_dictate_how_long_to_stay_open() {
    let bench = defaults();
    bench
        .breaker
        .try_acquire()
        .expect("closed")
        .failure_open_for(secs(7200.0));
    bench.is(CircuitState::Open).wait(7199.0).refuses();
    bench.wait(1.0).calls("S").is(CircuitState::HalfOpen);
}

#[test]
fn a_refusal_says_how_long_to_wait_and_a_forced_one_does_not() {
    let bench = defaults();
    bench.calls("FFFFF").wait(10.0);
    let refused = bench.breaker.try_acquire().expect_err("open");
    assert_eq!(refused.retry_after, Some(secs(20.0)));
    bench.breaker.force_open();
    let refused = bench.breaker.try_acquire().expect_err("open");
    assert_eq!(refused.retry_after, None);
}

#[test]
fn the_open_time_grows_with_each_trip_up_to_its_cap_and_starts_over_after_a_recovery() {
    let config = CircuitBreakerConfig::new()
        .consecutive_failures(1)
        .success_threshold(1)
        .open_for(secs(1.0))
        .open_for_growth(2.0, secs(5.0));
    let bench = Bench::new(config);
    bench.calls("F");
    for seconds in [1.0, 2.0, 4.0, 5.0, 5.0] {
        bench
            .wait(seconds - 0.001)
            .refuses()
            .wait(0.001)
            .calls("F")
            .is(CircuitState::Open);
    }
    bench.wait(5.0).calls("S").is(CircuitState::Closed);
    bench
        .calls("F")
        .wait(0.999)
        .refuses()
        .wait(0.001)
        .calls("S")
        .is(CircuitState::Closed);
}

#[test]
fn jitter_shortens_the_open_time_by_at_most_its_share() {
    let config = CircuitBreakerConfig::new()
        .consecutive_failures(1)
        .open_for(secs(10.0))
        .jitter(0.2);
    let bench = Bench::new(config);
    let mut drawn = Vec::new();
    for _ in 0..200 {
        bench.calls("F");
        let wait = bench
            .breaker
            .try_acquire()
            .expect_err("open")
            .retry_after
            .expect("known");
        assert!(secs(8.0) <= wait && wait <= secs(10.0), "{wait:?}");
        drawn.push(wait);
        bench.breaker.reset();
    }
    drawn.sort_unstable();
    assert!(
        drawn[199] - drawn[0] > secs(1.8),
        "spread over the whole share: {:?} to {:?}",
        drawn[0],
        drawn[199]
    );
}
