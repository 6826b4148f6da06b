//! How calls are run, counted and given up, and what force does.

use super::*;
use crate::gate::Outcome;
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn the_total_is_the_sum_of_all_ends() {
    let bench = defaults();
    bench.calls("SSS I F A FFFF").refuses().refuses();
    let metrics = bench.breaker.metrics();
    assert_eq!(metrics.total_requests, 10 + 2);
    assert_eq!((metrics.success_count, metrics.failure_count), (3, 5));
    assert_eq!(
        (metrics.ignored_count, metrics.abandoned_count, metrics.rejection_count),
        (1, 1, 2)
    );
    assert_eq!(metrics.state_transitions, 1);
}

#[test]
fn a_call_hands_out_its_result_and_a_refused_one_is_never_polled() {
    let bench = defaults();
    let breaker = &bench.breaker;
    assert_eq!(poll(pin!(breaker.call(ready(Ok::<_, ()>(7))))), Poll::Ready(Ok(7)));
    assert_eq!(
        poll(pin!(breaker.call(ready(Err::<(), _>("no"))))),
        Poll::Ready(Err(CircuitBreakerError::CallFailed("no")))
    );
    breaker.force_open();
    let never = poll_fn(|_| -> Poll<Result<(), ()>> { panic!("a refused call was polled") });
    assert_eq!(
        poll(pin!(breaker.call(never))),
        Poll::Ready(Err(CircuitBreakerError::CircuitOpen { retry_after: None }))
    );
}

#[test]
fn cb_44_a_classifier_decides_what_a_result_means() {
    let bench = defaults();
    for _ in 0..10 {
        let not_found = bench
            .breaker
            .call_classified(ready(Err::<(), _>(404)), |_| Outcome::Ignored);
        assert_eq!(
            poll(pin!(not_found)),
            Poll::Ready(Err(CircuitBreakerError::CallFailed(404)))
        );
    }
    bench.is(CircuitState::Closed);
    let busy = bench
        .breaker
        .call_classified(ready(Ok::<_, ()>(503)), |result| match result {
            Ok(503) => Outcome::Failure {
                open_for: Some(secs(60.0)),
            },
            other => Outcome::of(other),
        });
    assert_eq!(poll(pin!(busy)), Poll::Ready(Ok(503)));
    bench.is(CircuitState::Open).wait(59.0).refuses();
}

#[test]
fn a_panic_in_a_call_is_a_failure_and_unwinds_on() {
    let bench = Bench::new(CircuitBreakerConfig::new().consecutive_failures(1));
    let mut call = Box::pin(
        bench
            .breaker
            .call(poll_fn(|_| -> Poll<Result<(), ()>> { panic!("boom") })),
    );
    assert!(catch_unwind(AssertUnwindSafe(|| poll(call.as_mut()))).is_err());
    bench.is(CircuitState::Open);
    assert_eq!(bench.breaker.metrics().failure_count, 1);
}

#[test]
fn a_panic_under_a_permit_is_a_failure() {
    let bench = Bench::new(CircuitBreakerConfig::new().consecutive_failures(1));
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let _permit = bench.breaker.try_acquire().expect("closed");
        panic!("boom");
    }));
    assert!(caught.is_err());
    bench.is(CircuitState::Open);
}

#[test]
fn a_dropped_call_is_abandoned_and_its_place_is_free() {
    let bench = defaults();
    bench.about_to_probe();
    for _ in 0..5 {
        let mut calls = [(); 2].map(|()| Box::pin(bench.breaker.call(pending::<Result<(), ()>>())));
        for call in &mut calls {
            assert!(poll(call.as_mut()).is_pending());
        }
        bench.refuses();
    }
    assert_eq!(bench.breaker.metrics().abandoned_count, 10);
    drop(bench.breaker.call(pending::<Result<(), ()>>()));
    assert_eq!(
        bench.breaker.metrics().abandoned_count,
        10,
        "a call that was never polled was never admitted"
    );
}

#[test]
fn abandoned_calls_are_failures_where_the_settings_say_so() {
    let config = CircuitBreakerConfig::default().abandoned(Abandoned::Failure);
    let bench = Bench::new(config);
    bench
        .calls("FFAA")
        .is(CircuitState::Closed)
        .calls("A")
        .is(CircuitState::Open);
    bench.wait(30.0).calls("A").is(CircuitState::Open);
}

#[test]
fn a_forced_state_stays_until_somebody_changes_it() {
    let bench = defaults();
    bench.breaker.force_open();
    bench.wait(1e6).refuses().is(CircuitState::ForcedOpen);
    bench.breaker.force_closed();
    bench.calls("FFFFFFFFFF").is(CircuitState::ForcedClosed);
    bench.breaker.metrics_only();
    bench.calls("FFFFFFFFFF").is(CircuitState::MetricsOnly);
    bench.breaker.reset();
    bench
        .calls("FFFF")
        .is(CircuitState::Closed)
        .calls("F")
        .is(CircuitState::Open);
}

#[test]
fn a_reset_forgets_what_the_rules_remember_and_keeps_the_counts() {
    let bench = defaults();
    bench.calls("FFFF");
    let running = bench.breaker.try_acquire().expect("closed");
    bench.breaker.reset();
    running.failure();
    bench.calls("FFFF").is(CircuitState::Closed);
    let metrics = bench.breaker.metrics();
    assert_eq!((metrics.failure_count, metrics.state_transitions), (9, 0));
    bench.calls("F").is(CircuitState::Open);
    bench.breaker.reset();
    bench.is(CircuitState::Closed);
}

#[test]
fn a_snapshot_shows_rates_probes_and_times() {
    let rule = FailureRate::new(0.5, Window::Calls(10), 4);
    let bench = Bench::new(CircuitBreakerConfig::new().failure_rate(rule));
    assert_eq!(bench.calls("SSF").breaker.snapshot().failure_rate, None);
    assert_eq!(bench.calls("S").breaker.snapshot().failure_rate, Some(0.25));
    bench.wait(3.0).calls("FF").wait(10.0);
    let open = bench.breaker.snapshot();
    assert_eq!((open.state, open.in_state_for), (CircuitState::Open, secs(10.0)));
    assert_eq!((open.time_to_next_probe, open.consecutive_trips), (Some(secs(20.0)), 1));
    let _probe = bench.wait(20.0).breaker.try_acquire().expect("a probe");
    let half_open = bench.breaker.snapshot();
    assert_eq!(
        (half_open.probes_running, half_open.time_to_next_probe),
        (1, Some(Duration::ZERO))
    );
}
