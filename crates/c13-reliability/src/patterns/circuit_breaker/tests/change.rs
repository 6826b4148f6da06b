//! Settings that change while the circuit is in use.

use super::*;

fn rate(window: Window, rate: f64, min_calls: u64) -> CircuitBreakerConfig {
    CircuitBreakerConfig::new().failure_rate(FailureRate::new(rate, window, min_calls))
}

#[test]
fn a_changed_threshold_keeps_the_run_so_far() {
    let bench = defaults();
    bench.calls("FFF");
    bench
        .breaker
        .reconfigure(CircuitBreakerConfig::new().consecutive_failures(4))
        .expect("good");
    bench.is(CircuitState::Closed).calls("F").is(CircuitState::Open);
}

#[test]
fn a_changed_window_over_calls_keeps_the_most_recent() {
    let bench = Bench::new(rate(Window::Calls(100), 0.9, 10));
    bench.calls("SSSSSSSSSSSSSSSSSSSS FFFFF SSS");
    bench
        .breaker
        .reconfigure(rate(Window::Calls(10), 0.6, 10))
        .expect("good");
    assert_eq!(bench.breaker.snapshot().window_calls, Some(10));
    assert_eq!(bench.breaker.snapshot().failure_rate, Some(0.5));
    bench.calls("S").is(CircuitState::Closed);
    assert_eq!(
        bench.breaker.snapshot().failure_rate,
        Some(0.5),
        "a success left, a success came"
    );
    bench
        .breaker
        .reconfigure(rate(Window::Calls(200), 0.6, 10))
        .expect("good");
    bench.calls("SSSSS");
    assert_eq!(bench.breaker.snapshot().window_calls, Some(15));
}

#[test]
fn a_changed_window_over_time_keeps_what_it_held() {
    let bench = Bench::new(rate(Window::Time(secs(10.0)), 0.9, 5));
    bench.calls("SSS FF").wait(4.0).calls("SS F").wait(1.0);
    bench
        .breaker
        .reconfigure(rate(Window::Time(secs(20.0)), 0.9, 5))
        .expect("good");
    let snapshot = bench.breaker.snapshot();
    assert_eq!(
        (snapshot.window_calls, snapshot.failure_rate),
        (Some(8), Some(3.0 / 8.0))
    );
    bench.calls("SS").wait(10.0);
    assert_eq!(bench.breaker.snapshot().window_calls, Some(10), "15 s after the first");
    bench
        .breaker
        .reconfigure(rate(Window::Time(secs(15.0)), 0.9, 5))
        .expect("good");
    assert_eq!(
        bench.breaker.snapshot().window_calls,
        Some(5),
        "15 s ago is out of reach, 11 s is not"
    );
    bench.wait(16.0);
    assert_eq!(bench.breaker.snapshot().window_calls, Some(0));
}

#[test]
fn changing_again_and_again_loses_and_doubles_nothing() {
    let window = Window::Time(secs(1000.0));
    let bench = Bench::new(rate(window, 1.0, 1));
    for round in 1..=50 {
        bench.calls("SS F S").wait(0.5);
        let length = 1000.0 + f64::from(round % 3) * 100.0;
        bench
            .breaker
            .reconfigure(rate(Window::Time(secs(length)), 1.0, 1))
            .expect("good");
        let snapshot = bench.breaker.snapshot();
        assert_eq!(snapshot.window_calls, Some(4 * u64::from(round as u32)));
        assert_eq!(snapshot.failure_rate, Some(0.25));
    }
}

#[test]
fn failures_within_a_time_are_kept() {
    let within = |failures| CircuitBreakerConfig::new().failures_within(FailuresWithin::new(failures, secs(30.0)));
    let bench = Bench::new(within(5));
    bench.calls("FFF");
    bench.breaker.reconfigure(within(4)).expect("good");
    bench.is(CircuitState::Closed).calls("F").is(CircuitState::Open);
}

#[test]
fn a_call_that_was_running_during_the_change_still_counts() {
    let bench = defaults();
    bench.calls("FFFF");
    let (succeeds, fails) = (bench.breaker.try_acquire(), bench.breaker.try_acquire());
    bench
        .breaker
        .reconfigure(CircuitBreakerConfig::default().open_for(secs(7.0)))
        .expect("good");
    succeeds.expect("closed").success();
    bench.calls("FFFF").is(CircuitState::Closed);
    fails.expect("closed").failure();
    bench.is(CircuitState::Open).wait(7.0).calls("S");
}

#[test]
fn probes_keep_their_places_through_a_change() {
    let bench = defaults();
    bench.about_to_probe();
    let probes = [bench.breaker.try_acquire(), bench.breaker.try_acquire()].map(|probe| probe.expect("a permit"));
    bench
        .breaker
        .reconfigure(CircuitBreakerConfig::default().success_threshold(3))
        .expect("good");
    let third = bench.breaker.try_acquire().expect("one more permit now");
    bench.refuses();
    probes.into_iter().for_each(|probe| probe.success());
    bench.is(CircuitState::HalfOpen);
    third.success();
    bench.is(CircuitState::Closed);
}

#[test]
fn a_recovery_goes_on_whatever_the_settings_become() {
    let staged = |shares| {
        let recovery = StagedRecovery::new(secs(1.0)).shares(Shares::new(shares));
        CircuitBreakerConfig::default().recovery(recovery)
    };
    for next in [
        CircuitBreakerConfig::default(),
        CircuitBreakerConfig::default().success_threshold(1),
        staged(&[0.5]),
        staged(&[0.1, 0.2, 0.3]),
    ] {
        let bench = Bench::new(staged(&[0.25, 0.5]));
        bench.about_to_probe().calls("SS").wait(1.0).calls("S");
        assert_eq!(bench.breaker.snapshot().recovery_stage, Some(2));
        bench.breaker.reconfigure(next).expect("good");
        for _ in 0..1_000 {
            if let Ok(permit) = bench.wait(0.1).breaker.try_acquire() {
                permit.success();
            }
        }
        bench.is(CircuitState::Closed);
    }
    let bench = Bench::new(CircuitBreakerConfig::default().success_threshold(5));
    bench.about_to_probe().calls("SSSS");
    bench
        .breaker
        .reconfigure(CircuitBreakerConfig::default().success_threshold(2))
        .expect("good");
    bench.calls("S").is(CircuitState::Closed);
}

#[test]
fn slow_calls_are_timed_from_the_change_on() {
    let bench = defaults();
    let untimed = bench.breaker.try_acquire().expect("closed");
    let rule = SlowCalls::new(secs(1.0), 1.0, Window::Calls(1), 1);
    bench
        .breaker
        .reconfigure(CircuitBreakerConfig::default().slow_calls(rule))
        .expect("good");
    bench.wait(5.0);
    untimed.success();
    bench.is(CircuitState::Closed);
    let timed = bench.breaker.try_acquire().expect("closed");
    bench.wait(1.0);
    timed.success();
    bench.is(CircuitState::Open);
}

#[test]
fn settings_that_make_no_sense_change_nothing() {
    let bench = defaults();
    bench.calls("FFFF");
    assert!(bench.breaker.reconfigure(CircuitBreakerConfig::new()).is_err());
    assert_eq!(bench.breaker.config(), CircuitBreakerConfig::default());
    bench.calls("F").is(CircuitState::Open);
}
