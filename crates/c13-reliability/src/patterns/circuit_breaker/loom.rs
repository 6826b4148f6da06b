//! Interleavings of calls, transitions and changes on one breaker: none is lost, none happens twice, counts are exact.

use super::{CircuitBreaker, CircuitBreakerConfig, CircuitEvent, CircuitState, FailureRate, Window};
use crate::sync::Random;
use crate::time::{Env, VirtualTime};
use loom::thread;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Opens at the first failure, for a second; one probe closes it.
fn one_failure() -> CircuitBreakerConfig {
    CircuitBreakerConfig::new()
        .consecutive_failures(1)
        .success_threshold(1)
        .open_for(SECOND)
}

fn breaker(config: CircuitBreakerConfig, time: &VirtualTime) -> CircuitBreaker {
    CircuitBreaker::builder(config)
        .env(Env::new(time.clock()).random(Random::new(1)))
        .compact()
        .build()
        .expect("the settings are good")
}

/// Runs `model` over all interleavings with up to three preemptions.
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// The counts at rest: success, failure, ignored, abandoned, rejected. Checks that they sum up.
#[track_caller]
fn counts(breaker: &CircuitBreaker) -> [u64; 5] {
    let metrics = breaker.metrics();
    let ends = [
        metrics.success_count,
        metrics.failure_count,
        metrics.ignored_count,
        metrics.abandoned_count,
        metrics.rejection_count,
    ];
    assert_eq!(metrics.total_requests, ends.iter().sum::<u64>());
    ends
}

#[test]
fn a_success_that_is_recorded_while_the_circuit_trips_is_counted_once_and_hides_nothing() {
    explore(|| {
        let breaker = breaker(one_failure(), &VirtualTime::new());
        let other = breaker.clone();
        let succeeds = thread::spawn(move || {
            if let Ok(permit) = other.try_acquire() {
                permit.success();
            }
        });
        breaker.try_acquire().expect("nobody else fails").failure();
        succeeds.join().unwrap();
        assert_eq!(breaker.current_state(), CircuitState::Open);
        let [success, failure, _, _, rejected] = counts(&breaker);
        assert_eq!(
            (success + rejected, failure, breaker.metrics().state_transitions),
            (1, 1, 1)
        );
    });
}

#[test]
fn a_success_before_a_failure_is_in_the_window_and_one_from_an_earlier_closed_time_is_not() {
    explore(|| {
        let time = VirtualTime::new();
        let rule = FailureRate::new(1.0, Window::Calls(2), 2);
        let breaker = breaker(
            CircuitBreakerConfig::new().failure_rate(rule).success_threshold(1),
            &time,
        );
        let other = breaker.clone();
        // Recorded before the reset it is forgotten by it, and after it is late: never is it in the new window.
        let permit_of = breaker.clone();
        let early = permit_of.try_acquire_owned().expect("closed");
        let succeeds = thread::spawn(move || early.success());
        other.reset();
        succeeds.join().unwrap();
        breaker.try_acquire().expect("closed").failure();
        assert_eq!(breaker.snapshot().window_calls, Some(1));
        breaker.try_acquire().expect("closed").failure();
        assert_eq!(breaker.current_state(), CircuitState::Open);
        assert_eq!(counts(&breaker), [1, 2, 0, 0, 0]);
    });
}

#[test]
fn of_two_threads_racing_into_half_open_one_gets_in() {
    explore(|| {
        let time = VirtualTime::new();
        let breaker = breaker(one_failure(), &time);
        breaker.try_acquire().expect("closed").failure();
        time.advance(SECOND);
        let other = breaker.clone();
        let racer = thread::spawn(move || other.try_acquire_owned().ok());
        let mine = breaker.try_acquire_owned().ok();
        let theirs = racer.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "exactly one");
        assert_eq!(breaker.current_state(), CircuitState::HalfOpen);
        drop((mine, theirs));
        assert_eq!(breaker.metrics().state_transitions, 2);
        assert_eq!(counts(&breaker), [0, 1, 0, 1, 1]);
        assert!(breaker.try_acquire().is_ok(), "the permit is free again");
    });
}

#[test]
fn a_permit_dropped_while_another_closes_is_given_back_once() {
    explore(|| {
        let time = VirtualTime::new();
        let breaker = breaker(one_failure().half_open_calls(2), &time);
        breaker.try_acquire().expect("closed").failure();
        time.advance(SECOND);
        let dropped = breaker.try_acquire_owned().expect("a permit");
        let closes = breaker.try_acquire_owned().expect("a permit");
        let dropping = thread::spawn(move || drop(dropped));
        closes.success();
        dropping.join().unwrap();
        assert_eq!(breaker.current_state(), CircuitState::Closed);
        assert_eq!(breaker.metrics().state_transitions, 3);
        assert_eq!(counts(&breaker), [1, 1, 0, 1, 0]);
    });
}

#[test]
fn two_probes_that_fail_together_open_it_once() {
    explore(|| {
        let time = VirtualTime::new();
        let breaker = breaker(one_failure().half_open_calls(2), &time);
        breaker.try_acquire().expect("closed").failure();
        time.advance(SECOND);
        let (one, other) = (breaker.try_acquire_owned(), breaker.try_acquire_owned());
        let failing = thread::spawn(move || one.expect("a permit").failure());
        other.expect("a permit").failure();
        failing.join().unwrap();
        assert_eq!(breaker.current_state(), CircuitState::Open);
        assert_eq!(breaker.snapshot().consecutive_trips, 2);
        assert_eq!(breaker.metrics().state_transitions, 3);
    });
}

#[test]
fn a_force_wins_over_a_trip_at_the_same_time() {
    explore(|| {
        let breaker = breaker(one_failure(), &VirtualTime::new());
        let other = breaker.clone();
        let forces = thread::spawn(move || other.force_closed());
        breaker.try_acquire().expect("closed").failure();
        forces.join().unwrap();
        assert_eq!(breaker.current_state(), CircuitState::ForcedClosed);
        let transitions = breaker.metrics().state_transitions;
        assert!(transitions == 1 || transitions == 2, "{transitions}");
        assert_eq!(counts(&breaker), [0, 1, 0, 0, 0]);
        breaker.try_acquire().expect("forced closed").failure();
    });
}

#[test]
fn settings_that_change_while_results_are_recorded_lose_no_failure() {
    explore(|| {
        let run = |failures| one_failure().consecutive_failures(failures);
        let breaker = breaker(run(3), &VirtualTime::new());
        let other = breaker.clone();
        let changes = thread::spawn(move || other.reconfigure(run(2)).expect("good"));
        let (fails, succeeds) = (
            breaker.try_acquire().expect("closed"),
            breaker.try_acquire().expect("closed"),
        );
        succeeds.success();
        fails.failure();
        changes.join().unwrap();
        assert_eq!(breaker.current_state(), CircuitState::Closed);
        breaker.try_acquire().expect("closed").failure();
        assert_eq!(
            breaker.current_state(),
            CircuitState::Open,
            "both failures count, whatever the order"
        );
        assert_eq!(counts(&breaker), [1, 2, 0, 0, 0]);
    });
}

#[test]
fn a_window_over_time_that_changes_while_a_success_is_recorded_counts_it_at_most_once() {
    explore(|| {
        let rate = |seconds| {
            let rule = FailureRate::new(1.0, Window::Time(seconds * SECOND), 1);
            CircuitBreakerConfig::new().failure_rate(rule)
        };
        let breaker = breaker(rate(10), &VirtualTime::new());
        breaker.try_acquire().expect("closed").success();
        let other = breaker.clone();
        let changes = thread::spawn(move || other.reconfigure(rate(20)).expect("good"));
        breaker.try_acquire().expect("closed").success();
        changes.join().unwrap();
        let calls = breaker.snapshot().window_calls.expect("it is watching");
        assert!(calls == 1 || calls == 2, "{calls}");
        assert_eq!(counts(&breaker), [2, 0, 0, 0, 0]);
    });
}

#[test]
fn events_of_two_threads_are_told_in_order_and_none_is_lost() {
    explore(|| {
        let breaker = breaker(one_failure(), &VirtualTime::new());
        let told = Arc::new(Mutex::new(Vec::new()));
        let book = told.clone();
        breaker.listen(move |event| {
            if let CircuitEvent::Transition(change) = event {
                book.lock().unwrap().push(change.number);
            }
        });
        let other = breaker.clone();
        let forces = thread::spawn(move || other.force_open());
        breaker.force_closed();
        forces.join().unwrap();
        assert_eq!(*told.lock().unwrap(), [1, 2]);
    });
}
