//! What other breakers' own tests say, row by row, and what we say instead where we differ.
//!
//! The ids are those of the table in `docs/circuit-breaker-compared.md`, which says why where we differ.

use super::*;
use crate::gate::Outcome;

/// Failure rate 50 %, half-open with 4 probes, 1 s for them, a window of 20 s with at least 5 calls, open for 5 s.
fn r() -> CircuitBreakerConfig {
    CircuitBreakerConfig::new()
        .failure_rate(FailureRate::new(0.5, Window::Time(secs(20.0)), 5))
        .success_threshold(4)
        .half_open_timeout(secs(1.0))
        .open_for(secs(5.0))
}

/// The same, and slow calls above 4 s at 50 %.
fn r_slow() -> CircuitBreakerConfig {
    r().slow_calls(SlowCalls::new(secs(4.0), 0.5, Window::Time(secs(20.0)), 5))
}

fn rate(rate: f64, window: Window, min_calls: u64) -> CircuitBreakerConfig {
    CircuitBreakerConfig::new().failure_rate(FailureRate::new(rate, window, min_calls))
}

/// Only watching, so that the windows can be looked at whatever they hold.
fn watching(config: CircuitBreakerConfig) -> Bench {
    let bench = Bench::new(config);
    bench.breaker.metrics_only();
    bench
}

impl Bench {
    /// Opens it by failures, waits until its open time is over.
    fn half_open(&self) -> &Self {
        while self.breaker.current_state() == CircuitState::Closed {
            self.calls("F");
        }
        self.wait_out()
    }

    /// Waits for the end of the open time.
    fn wait_out(&self) -> &Self {
        let wait = self.breaker.snapshot().time_to_next_probe.expect("it is open");
        self.time.advance(wait);
        self
    }

    /// A call that takes so many seconds and succeeds.
    fn takes(&self, seconds: f64) -> &Self {
        let permit = self.breaker.try_acquire().expect("the call is admitted");
        self.wait(seconds);
        permit.success();
        self
    }

    /// How many calls the window holds, and how many of them failed.
    #[track_caller]
    fn holds(&self, calls: u64, failed: u64) -> &Self {
        let snapshot = self.breaker.snapshot();
        let rate = (calls > 0).then(|| failed as f64 / calls as f64);
        assert_eq!((snapshot.window_calls, snapshot.failure_rate), (Some(calls), rate));
        self
    }

    fn transitions(&self) -> u64 {
        self.breaker.metrics().state_transitions
    }
}

#[test]
fn cb_01_and_47_we_differ_the_success_that_fills_the_minimum_does_not_open() {
    let bench = Bench::new(r());
    bench.calls("FFFS").is(CircuitState::Closed);
    assert_eq!(bench.breaker.snapshot().failure_rate, None);
    bench.calls("S").is(CircuitState::Closed);
    assert_eq!(bench.breaker.snapshot().failure_rate, Some(0.6));
    bench.calls("F").is(CircuitState::Open).refuses();
    assert_eq!(bench.breaker.metrics().rejection_count, 1);
}

#[test]
fn cb_02_reaching_the_rate_is_enough() {
    let bench = Bench::new(r());
    bench
        .calls("S")
        .wait(1.0)
        .calls("S")
        .wait(1.0)
        .calls("S")
        .wait(1.0)
        .calls("F")
        .wait(1.0);
    bench
        .calls("F")
        .is(CircuitState::Closed)
        .wait(1.0)
        .calls("F")
        .is(CircuitState::Open);
}

#[test]
fn cb_04_slow_calls_open() {
    let bench = Bench::new(r_slow());
    bench
        .takes(5.0)
        .takes(5.0)
        .takes(1.0)
        .takes(1.0)
        .is(CircuitState::Closed);
    bench.takes(5.0).is(CircuitState::Open);
}

#[test]
fn cb_05_half_open_after_the_wait_we_keep_the_lifetime_counts() {
    let bench = Bench::new(r());
    bench.calls("FFFFF").refuses().wait(3.0).refuses();
    assert_eq!(bench.breaker.metrics().rejection_count, 2);
    bench.wait(3.0);
    let _probe = bench.breaker.try_acquire().expect("a probe");
    bench.is(CircuitState::HalfOpen);
    assert_eq!(bench.breaker.snapshot().failure_rate, None);
    assert_eq!(bench.breaker.metrics().rejection_count, 2, "for life");
}

#[test]
fn cb_07_open_for_a_time_by_hand() {
    let bench = Bench::new(r());
    bench.breaker.open_for(secs(1800.0));
    bench.is(CircuitState::Open).wait(900.0).refuses().wait(901.0);
    let _probe = bench.breaker.try_acquire().expect("a probe");
    bench.is(CircuitState::HalfOpen);
}

#[test]
fn cb_08_the_open_time_grows() {
    let config = r().open_for_growth(1.5, secs(60.0));
    let bench = Bench::new(config);
    bench
        .calls("FFFFF")
        .wait(3.0)
        .refuses()
        .wait(3.0)
        .calls("F")
        .is(CircuitState::Open);
    bench
        .wait(6.0)
        .refuses()
        .wait(5.0)
        .calls("S")
        .is(CircuitState::HalfOpen);
}

#[test]
fn cb_10_the_count_window_slides_and_refused_calls_are_not_in_it() {
    let bench = watching(rate(0.5, Window::Calls(10), 10));
    bench.calls("SSFF");
    assert_eq!(bench.breaker.snapshot().failure_rate, None, "below the minimum");
    assert_eq!(bench.breaker.snapshot().window_calls, Some(4));
    bench.calls("FFFF SSSS").holds(10, 6).calls("SSS").holds(10, 3);
    let refused = Bench::new(rate(0.5, Window::Calls(10), 1));
    refused.calls("SSF").breaker.force_open();
    refused.refuses().refuses();
    assert_eq!(
        refused.breaker.snapshot().window_calls,
        None,
        "nothing is watched while it is open"
    );
}

#[test]
fn cb_11_the_smallest_windows_slide_too() {
    let bench = watching(rate(1.0, Window::Calls(4), 1));
    bench
        .calls("F")
        .holds(1, 1)
        .calls("S")
        .holds(2, 1)
        .calls("S")
        .holds(3, 1);
    bench.calls("S").holds(4, 1).calls("S").holds(4, 0);
}

#[test]
fn cb_13_and_74_we_differ_what_makes_no_sense_is_refused_and_not_bent() {
    let more_than_there_are = rate(0.5, Window::Calls(5), 6);
    assert_eq!(
        more_than_there_are.validate().expect_err("refused").setting,
        "min_calls"
    );
    let no_time = r().open_for(Duration::ZERO);
    assert_eq!(no_time.validate().expect_err("refused").setting, "open_for");
}

#[test]
fn cb_14_over_time_any_minimum_goes() {
    assert!(rate(0.5, Window::Time(secs(10.0)), 100).validate().is_ok());
}

#[test]
fn cb_16_the_time_window_slides() {
    let bench = watching(rate(1.0, Window::Time(secs(5.0)), 1));
    bench.calls("F").holds(1, 1);
    for (step, outcome, calls, failed) in [
        (0.1, "S", 2, 1),
        (0.1, "S", 3, 1),
        (1.0, "S", 4, 1),
        (1.0, "S", 5, 1),
        (1.0, "F", 6, 2),
        (1.0, "S", 7, 2),
        (1.0, "S", 5, 1),
        (1.0, "S", 5, 1),
        (5.0, "S", 1, 0),
    ] {
        bench.wait(step).calls(outcome).holds(calls, failed);
    }
}

#[test]
fn cb_17_19_and_29_probes_get_the_permitted_places_and_give_them_back() {
    let bench = Bench::new(r());
    bench.half_open();
    let mut probes: Vec<_> = (0..4).map(|_| bench.breaker.try_acquire().expect("a permit")).collect();
    let rejected = bench.breaker.metrics().rejection_count;
    bench.refuses().refuses();
    assert_eq!(bench.breaker.metrics().rejection_count, rejected + 2);
    drop(probes.pop());
    let again = bench.breaker.try_acquire().expect("its permit is free");
    bench.refuses();
    drop((probes, again));
    let probes: Vec<_> = (0..4).map(|_| bench.breaker.try_acquire().expect("a permit")).collect();
    assert_eq!(bench.breaker.snapshot().probes_succeeded, 0);
    drop(probes);
}

#[test]
fn cb_22_we_differ_the_first_slow_probe_opens() {
    let bench = Bench::new(r_slow().half_open_timeout(secs(60.0)));
    bench.half_open().takes(5.0).is(CircuitState::Open);
}

#[test]
fn cb_23_and_79_we_differ_the_first_failed_probe_opens() {
    let bench = Bench::new(r());
    bench.half_open().calls("F").is(CircuitState::Open);
    bench.wait_out().calls("SSSS").is(CircuitState::Closed).calls("S");
    assert_eq!(bench.breaker.snapshot().window_calls, Some(1));
    assert_eq!(bench.breaker.snapshot().failure_rate, None);
}

#[test]
fn cb_25_ignored_probes_count_as_nothing() {
    let bench = Bench::new(r());
    bench.half_open().calls("IIII").is(CircuitState::HalfOpen);
    assert_eq!(bench.breaker.snapshot().probes_succeeded, 0);
    bench
        .calls("SSS")
        .is(CircuitState::HalfOpen)
        .calls("S")
        .is(CircuitState::Closed);
}

#[test]
fn cb_26_and_82_we_differ_probes_are_counted_and_not_rated() {
    let bench = Bench::new(r());
    bench.half_open().calls("SSS").is(CircuitState::HalfOpen);
    bench.calls("S").is(CircuitState::Closed);
    let ratio = Bench::new(r());
    ratio.half_open().calls("SF").is(CircuitState::Open);
}

#[test]
fn cb_28_we_differ_probes_that_do_not_come_back_always_open() {
    let bench = Bench::new(r());
    bench.half_open();
    let _stuck = bench.breaker.try_acquire().expect("a probe");
    bench.wait(2.0).refuses().is(CircuitState::Open);
}

#[test]
fn cb_31_a_result_from_before_changes_nothing() {
    let bench = Bench::new(r());
    let late = bench.breaker.try_acquire().expect("closed");
    bench.half_open().calls("S");
    let before = bench.breaker.snapshot();
    late.failure();
    let after = bench.breaker.snapshot();
    assert_eq!(
        (after.state, after.probes_succeeded),
        (before.state, before.probes_succeeded)
    );
    assert_eq!(
        after.metrics.failure_count,
        before.metrics.failure_count + 1,
        "for life it counts"
    );
}

#[test]
fn cb_32_we_differ_a_call_counts_in_the_window_when_it_ends() {
    let bench = watching(rate(1.0, Window::Time(secs(30.0)), 1));
    bench.wait(29.0).calls("S");
    let long = bench.breaker.try_acquire().expect("only watching");
    bench.wait(2.0).holds(1, 0);
    long.success();
    bench.holds(2, 0).wait(28.0).holds(1, 0);
}

#[test]
fn cb_34_a_forced_open_circuit_stays() {
    let bench = Bench::new(r());
    bench.breaker.force_open();
    bench.refuses().wait(6.0).refuses().is(CircuitState::ForcedOpen);
    assert_eq!(bench.breaker.metrics().rejection_count, 2);
}

#[test]
fn cb_35_metrics_only_records_and_tells_once() {
    let bench = watching(r());
    let mut events = bench.breaker.events();
    let before = bench.transitions();
    let told = |events: &mut CircuitEvents| {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let mut told = 0;
        while let std::task::Poll::Ready(Some(event)) = events.poll_next(&mut cx) {
            assert!(matches!(event, CircuitEvent::WouldOpen { .. }));
            told += 1;
        }
        told
    };
    bench
        .calls("FFF SS")
        .holds(5, 3)
        .calls("F")
        .is(CircuitState::MetricsOnly)
        .holds(6, 4);
    assert_eq!(told(&mut events), 1);
    bench.calls("F");
    assert_eq!((told(&mut events), bench.transitions()), (0, before));
    bench.wait(20.0).calls("SSSS F").calls("FFF");
    assert_eq!(
        told(&mut events),
        1,
        "it had fallen below the rate and reached it again"
    );
}

#[test]
fn cb_37_going_to_metrics_only_empties_the_window() {
    let bench = Bench::new(rate(0.5, Window::Calls(10), 1));
    bench.calls("SS").breaker.metrics_only();
    assert_eq!(bench.breaker.snapshot().window_calls, Some(0));
}

#[test]
fn cb_38_and_41_it_may_start_in_any_state_and_go_to_metrics_only_from_each() {
    use CircuitState::{Closed, ForcedClosed, ForcedOpen, HalfOpen, MetricsOnly, Open};
    for state in [Closed, Open, HalfOpen, ForcedOpen, ForcedClosed, MetricsOnly] {
        let time = VirtualTime::new();
        let breaker = CircuitBreaker::builder(r())
            .env(time.clock())
            .initial_state(state)
            .build()
            .expect("good");
        let bench = Bench { time, breaker };
        bench.is(state);
        match state {
            Open => drop(bench.refuses().wait(5.0).calls("SSSS").is(Closed)),
            HalfOpen => drop(bench.calls("SSSS").is(Closed)),
            ForcedOpen => drop(bench.wait(100.0).refuses()),
            _ => drop(bench.calls("SSF").is(state)),
        }
        let before = bench.transitions();
        let was_there = bench.breaker.current_state() == MetricsOnly;
        bench.breaker.metrics_only();
        bench.is(MetricsOnly);
        assert_eq!(bench.transitions(), before + u64::from(!was_there), "from {state}");
        bench.breaker.metrics_only();
        assert_eq!(
            bench.transitions(),
            before + u64::from(!was_there),
            "to itself is no transition"
        );
    }
}

#[test]
fn cb_40_a_reset_closes_and_empties_the_windows_we_keep_the_lifetime_counts() {
    let bench = Bench::new(r());
    bench.calls("FFFFF").breaker.reset();
    bench.is(CircuitState::Closed);
    assert_eq!(bench.breaker.snapshot().window_calls, Some(0));
    assert_eq!(bench.breaker.metrics().failure_count, 5);
}

#[test]
fn cb_43_and_56_an_error_may_say_how_long() {
    let (banned, plain) = (Bench::new(r()), Bench::new(r()));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    for (bench, open_for) in [(&banned, Some(secs(42.0 * 60.0))), (&plain, None)] {
        let mut call = std::pin::pin!(
            bench
                .breaker
                .call_classified(std::future::ready(Err::<(), _>("access ban")), |_| Outcome::Failure {
                    open_for
                })
        );
        let result = std::future::Future::poll(call.as_mut(), &mut cx);
        assert_eq!(
            result,
            std::task::Poll::Ready(Err(CircuitBreakerError::CallFailed("access ban")))
        );
    }
    plain.is(CircuitState::Closed);
    banned
        .is(CircuitState::Open)
        .wait(42.0 * 60.0 - 0.001)
        .refuses()
        .wait(0.001)
        .calls("S");
}

#[test]
fn cb_46_the_minimum_and_the_rate_at_a_failure() {
    for (successes, failures, opens) in [(9, 1, true), (8, 2, true), (9, 2, true), (8, 1, false)] {
        let bench = Bench::new(rate(0.1, Window::Time(secs(30.0)), 10));
        for _ in 0..failures - 1 {
            bench.calls("F");
        }
        for _ in 0..successes {
            bench.calls("S");
        }
        bench.calls("F");
        let state = bench.breaker.current_state();
        assert_eq!(state == CircuitState::Open, opens, "{successes} and {failures}");
    }
}

#[test]
fn cb_49_failures_in_different_buckets_of_one_window_add_up() {
    let bench = Bench::new(rate(0.5, Window::Time(secs(10.0)), 4));
    bench
        .calls("FFF")
        .wait(6.0)
        .is(CircuitState::Closed)
        .calls("F")
        .is(CircuitState::Open);
}

#[test]
fn cb_50_and_52_what_is_as_old_as_the_window_has_left_it() {
    let bench = watching(rate(1.0, Window::Time(secs(10.0)), 1));
    for (outcomes, calls, failed) in [("FS", 2, 1), ("FS", 4, 2), ("SS", 6, 2), ("SS", 8, 2), ("SS", 8, 1)] {
        bench.calls(outcomes).wait(2.0).holds(calls, failed);
    }
    bench.wait(2.0).holds(6, 0);
    let bench = watching(rate(1.0, Window::Time(secs(10.0)), 1));
    bench.calls("SS").wait(9.999).holds(2, 0).wait(0.001).holds(0, 0);
}

#[test]
fn cb_53_and_65_one_probe_at_a_time_where_one_is_permitted() {
    let bench = Bench::new(r().success_threshold(1));
    bench.half_open();
    let probe = bench.breaker.try_acquire().expect("a probe");
    let second = bench.breaker.try_acquire().expect_err("one at a time");
    assert_eq!(
        second.retry_after, None,
        "we differ: nobody knows when the probe comes back"
    );
    probe.failure();
    for _ in 0..3 {
        bench
            .is(CircuitState::Open)
            .wait(4.999)
            .refuses()
            .wait(0.001)
            .calls("F");
    }
    bench.wait_out().calls("S").is(CircuitState::Closed);
    assert_eq!(bench.breaker.snapshot().window_calls, Some(0));
}

#[test]
fn cb_55_the_trips_count_until_it_closes() {
    let bench = Bench::new(r().success_threshold(1));
    bench.half_open();
    for trips in 1..=4 {
        assert_eq!(bench.breaker.snapshot().consecutive_trips, trips);
        bench.calls("F").wait_out();
    }
    bench.calls("S");
    assert_eq!(bench.breaker.snapshot().consecutive_trips, 0);
    bench.half_open();
    assert_eq!(bench.breaker.snapshot().consecutive_trips, 1);
}

#[test]
fn cb_58_and_59_a_refusal_says_how_long_and_never_grows() {
    let bench = Bench::new(r());
    bench.calls("FFFFF").wait(0.001);
    let first = bench.breaker.try_acquire().expect_err("open");
    assert_eq!(first.retry_after, Some(secs(4.999)));
    for _ in 0..100 {
        assert_eq!(bench.breaker.try_acquire().expect_err("open"), first);
    }
    bench.breaker.force_open();
    assert_eq!(bench.breaker.try_acquire().expect_err("forced").retry_after, None);
}

#[test]
fn cb_61_two_breakers_on_one_resource_do_not_strand_each_other() {
    let config = |open_for| {
        CircuitBreakerConfig::new()
            .slow_calls(SlowCalls::new(secs(0.05), 0.8, Window::Calls(10), 1))
            .success_threshold(1)
            .open_for(secs(open_for))
    };
    let time = VirtualTime::new();
    let [one, other] =
        [2.0, 4.0].map(|open_for| CircuitBreaker::with_config(config(open_for), time.clock()).expect("good"));
    let call = |seconds| -> bool {
        let Ok(outer) = one.try_acquire() else { return false };
        let Ok(inner) = other.try_acquire() else { return false };
        time.advance(secs(seconds));
        inner.success();
        outer.success();
        true
    };
    assert!(call(0.1));
    assert_eq!([one.current_state(), other.current_state()], [CircuitState::Open; 2]);
    time.advance(secs(3.0));
    assert!((0..10).all(|_| !call(0.0)), "the second one refuses them all");
    assert_eq!(
        one.current_state(),
        CircuitState::HalfOpen,
        "we differ: a probe that was given up decides nothing"
    );
    assert_eq!(one.snapshot().probes_running, 0, "but it is not stuck");
    time.advance(secs(3.0));
    assert!((0..10).all(|_| call(0.0)));
    assert_eq!([one.current_state(), other.current_state()], [CircuitState::Closed; 2]);
}

#[test]
fn cb_62_we_differ_reaching_the_slow_rate_is_enough() {
    let rule = SlowCalls::new(secs(0.05), 0.8, Window::Time(secs(20.0)), 10);
    let bench = Bench::new(
        CircuitBreakerConfig::new()
            .slow_calls(rule)
            .success_threshold(1)
            .open_for(secs(5.0)),
    );
    for seconds in [
        0.06, 0.06, 0.06, 0.06, 0.06, 0.06, 0.06, 0.01, 0.01, 0.01, 0.06, 0.06, 0.06, 0.06,
    ] {
        bench.takes(seconds).is(CircuitState::Closed);
    }
    bench.takes(0.06).is(CircuitState::Open);
    bench.wait(1.0).refuses().wait(5.0).takes(0.06).is(CircuitState::Open);
    bench.wait(6.0).takes(0.01).is(CircuitState::Closed);
}

#[test]
fn cb_64_the_volume_must_be_reached() {
    let bench = Bench::new(rate(0.5, Window::Time(secs(10.0)), 8));
    bench
        .calls("SSSS FFF")
        .is(CircuitState::Closed)
        .calls("F")
        .is(CircuitState::Open);
    let below = Bench::new(rate(0.5, Window::Time(secs(10.0)), 5));
    below.calls("SSSSS FFFF").is(CircuitState::Closed);
    let few = Bench::new(rate(0.5, Window::Time(secs(10.0)), 5));
    few.calls("FFFF").is(CircuitState::Closed);
}

#[test]
fn cb_67_a_minute_open_and_back() {
    let config = CircuitBreakerConfig::new()
        .consecutive_failures(6)
        .success_threshold(1)
        .open_for(secs(60.0));
    let bench = Bench::new(config);
    bench.calls("FFFFFF").wait(59.999).is(CircuitState::Open).refuses();
    bench.wait(1.0).is(CircuitState::Open);
    bench.calls("F").is(CircuitState::Open);
    bench.wait(60.0).wait(0.000_000_001).calls("S").is(CircuitState::Closed);
}

#[test]
fn cb_70_and_83_no_more_probes_run_than_are_still_needed() {
    let bench = Bench::new(r().success_threshold(3));
    bench.half_open().calls("SS");
    let third = bench.breaker.try_acquire().expect("the third");
    bench.refuses();
    third.success();
    bench.is(CircuitState::Closed);
    let bench = Bench::new(r().success_threshold(3));
    bench.half_open();
    let asked: Vec<_> = (0..8).map(|_| bench.breaker.try_acquire()).collect();
    assert_eq!(asked.iter().filter(|probe| probe.is_ok()).count(), 3);
}

#[test]
fn cb_68_and_71_a_bucket_that_leaves_takes_its_calls_along() {
    let bench = Bench::new(rate(0.6, Window::Time(secs(30.0)), 3));
    bench.calls("SFI SFI SFI SFI SFI");
    for outcomes in ["SSF", "SIF", "SF", "SSF", "SF", "SIF", "SF"] {
        bench.wait(3.0).calls(outcomes);
    }
    bench.wait(3.0).holds(26, 12);
    bench.wait(6.0).holds(16, 7);
    bench.calls("F FFFF F").is(CircuitState::Closed).holds(22, 13);
    bench.calls("F").is(CircuitState::Open);
}

#[test]
fn cb_73_counts_are_exact_in_parallel() {
    let bench = defaults();
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    bench.breaker.try_acquire().expect("closed").success();
                    bench.breaker.try_acquire().expect("closed").ignore();
                }
            });
        }
    });
    let metrics = bench.breaker.metrics();
    assert_eq!(
        (metrics.total_requests, metrics.success_count, metrics.ignored_count),
        (100_000, 50_000, 50_000)
    );
}

#[test]
fn cb_76_so_many_of_the_last_few() {
    let two_of_three = Bench::new(rate(2.0 / 3.0, Window::Calls(3), 3));
    two_of_three
        .calls("FS")
        .is(CircuitState::Closed)
        .calls("F")
        .is(CircuitState::Open);
    let three_of_four = Bench::new(rate(0.75, Window::Calls(4), 4));
    for _ in 0..20 {
        three_of_four.calls("FS").is(CircuitState::Closed);
    }
}

#[test]
fn cb_77_and_80_the_first_failure_opens_and_as_many_successes_as_set_close() {
    for (probes, outcomes, end) in [
        (1, "F", CircuitState::Open),
        (1, "S", CircuitState::Closed),
        (3, "SSF", CircuitState::Open),
        (3, "SSS", CircuitState::Closed),
        (3, "SF", CircuitState::Open),
    ] {
        let bench = Bench::new(r().success_threshold(probes));
        bench.half_open().calls(outcomes).is(end);
    }
}

#[test]
fn cb_86_half_open_has_nothing_to_wait_for() {
    let bench = Bench::new(r());
    bench.half_open().calls("S").is(CircuitState::HalfOpen);
    assert_eq!(bench.breaker.snapshot().time_to_next_probe, Some(Duration::ZERO));
}
