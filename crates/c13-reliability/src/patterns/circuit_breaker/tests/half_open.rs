//! What a half-open circuit lets through, and what decides about it.

use super::*;

#[test]
fn it_becomes_half_open_at_exactly_the_end_of_the_open_time_and_only_when_a_call_comes() {
    let bench = defaults();
    bench.calls("FFFFF").wait(29.999_999_999).refuses();
    bench.wait(0.000_000_001).is(CircuitState::Open);
    let probe = bench.breaker.try_acquire().expect("a probe");
    bench.is(CircuitState::HalfOpen);
    probe.success();
    bench.is(CircuitState::HalfOpen).calls("S").is(CircuitState::Closed);
}

#[test]
fn one_failed_probe_opens_it_again() {
    let bench = defaults();
    bench.about_to_probe().calls("SF").is(CircuitState::Open).refuses();
}

#[test]
fn only_as_many_probes_as_set_get_in() {
    let config = CircuitBreakerConfig::default().success_threshold(3).half_open_calls(2);
    let bench = Bench::new(config);
    bench.about_to_probe();
    let one = bench.breaker.try_acquire().expect("a permit");
    let other = bench.breaker.try_acquire().expect("a permit");
    bench.refuses();
    one.success();
    let third = bench.breaker.try_acquire().expect("a permit is free again");
    bench.refuses();
    other.success();
    bench.refuses();
    third.success();
    bench.is(CircuitState::Closed);
}

#[test]
fn probes_that_were_dropped_or_ignored_give_their_places_back() {
    let bench = defaults();
    bench.about_to_probe();
    for _ in 0..10 {
        let probes = [bench.breaker.try_acquire(), bench.breaker.try_acquire()].map(|probe| probe.expect("a permit"));
        bench.refuses();
        drop(probes);
        bench.calls("II");
    }
    bench.is(CircuitState::HalfOpen).calls("SS").is(CircuitState::Closed);
}

#[test]
fn probes_that_do_not_come_back_open_it_again_at_the_end_of_their_time() {
    let bench = Bench::new(CircuitBreakerConfig::default().success_threshold(3));
    bench.about_to_probe();
    let stuck = bench.breaker.try_acquire().expect("a probe");
    bench.wait(3.0);
    bench.calls("S");
    bench.wait(4.999).is(CircuitState::HalfOpen);
    let second = bench.breaker.try_acquire().expect("the success started the time anew");
    bench.wait(0.001).refuses().is(CircuitState::Open);
    stuck.success();
    second.success();
    bench
        .is(CircuitState::Open)
        .wait(29.9)
        .refuses()
        .wait(0.1)
        .calls("SSS")
        .is(CircuitState::Closed);
}

#[test]
fn the_end_of_the_probes_time_counts_from_then_and_not_from_when_somebody_looks() {
    let bench = defaults();
    bench.about_to_probe();
    let _stuck = bench.breaker.try_acquire().expect("a probe");
    bench.wait(5.0 + 30.0);
    let _probe = bench
        .breaker
        .try_acquire()
        .expect("the open time that began after 5 s is over too");
    assert_eq!(bench.breaker.metrics().state_transitions, 4);
}

#[test]
fn without_a_probe_outstanding_no_time_runs() {
    let bench = defaults();
    bench
        .about_to_probe()
        .calls("S")
        .wait(3600.0)
        .is(CircuitState::HalfOpen)
        .calls("S")
        .is(CircuitState::Closed);
}

#[test]
fn a_call_from_before_the_trip_changes_nothing_in_half_open() {
    let ends: [fn(Permit<'_>); 4] = [|p| p.success(), |p| p.failure(), |p| p.ignore(), |p| drop(p)];
    for end in ends {
        let bench = defaults();
        let late = bench.breaker.try_acquire().expect("closed");
        bench.about_to_probe();
        let probe = bench.breaker.try_acquire().expect("a probe");
        let before = bench.breaker.snapshot();
        end(late);
        let after = bench.breaker.snapshot();
        assert_eq!(
            (before.state, before.probes_running),
            (after.state, after.probes_running)
        );
        assert_eq!(after.probes_succeeded, 0);
        probe.success();
        bench.is(CircuitState::HalfOpen).calls("S").is(CircuitState::Closed);
    }
}

#[test]
fn a_slow_probe_opens_it_again_where_slow_calls_count() {
    let rule = SlowCalls::new(secs(1.0), 1.0, Window::Calls(10), 10);
    let bench = Bench::new(CircuitBreakerConfig::default().slow_calls(rule));
    bench.about_to_probe();
    let probe = bench.breaker.try_acquire().expect("a probe");
    bench.wait(1.0);
    probe.success();
    bench.is(CircuitState::Open);
}

#[test]
fn a_closed_circuit_starts_with_empty_windows() {
    let rule = FailureRate::new(0.5, Window::Calls(10), 4);
    let bench = Bench::new(CircuitBreakerConfig::new().failure_rate(rule));
    bench
        .calls("SSSFFF")
        .is(CircuitState::Open)
        .wait(30.0)
        .calls("SS")
        .is(CircuitState::Closed);
    bench
        .calls("FFF")
        .is(CircuitState::Closed)
        .calls("F")
        .is(CircuitState::Open);
}
