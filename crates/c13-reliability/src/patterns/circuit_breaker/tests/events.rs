//! Who is told of what, in which order, and who is harmed by whom.

use super::*;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

fn notebook(bench: &Bench) -> Arc<Mutex<Vec<CircuitEvent>>> {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let book = notes.clone();
    bench
        .breaker
        .listen(move |event| book.lock().expect("no panic under it").push(*event));
    notes
}

fn changes(events: &[CircuitEvent]) -> Vec<(CircuitState, CircuitState, TransitionReason)> {
    let change = |event: &CircuitEvent| match event {
        CircuitEvent::Transition(change) => Some((change.from, change.to, change.reason)),
        _ => None,
    };
    events.iter().filter_map(change).collect()
}

fn next(events: &mut CircuitEvents) -> Poll<Option<CircuitEvent>> {
    pin!(events.next()).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn every_transition_is_told_with_its_reason_time_and_number() {
    use CircuitState::{Closed, HalfOpen, Open};
    let bench = defaults();
    let notes = notebook(&bench);
    bench.about_to_probe().calls("F").wait(30.0).calls("SS");
    let events = notes.lock().expect("whole").clone();
    assert_eq!(
        changes(&events),
        [
            (Closed, Open, TransitionReason::ConsecutiveFailures),
            (Open, HalfOpen, TransitionReason::OpenTimeOver),
            (HalfOpen, Open, TransitionReason::ProbeFailed),
            (Open, HalfOpen, TransitionReason::OpenTimeOver),
            (HalfOpen, Closed, TransitionReason::ProbesSucceeded),
        ]
    );
    let CircuitEvent::Transition(last) = events[4] else {
        panic!("a transition");
    };
    assert_eq!((last.number, last.at), (5, bench.time.now()));
}

#[test]
fn a_listener_may_use_the_breaker_and_what_it_causes_is_told_after() {
    let bench = defaults();
    let breaker = bench.breaker.clone();
    bench.breaker.listen(move |event| {
        if let CircuitEvent::Transition(Transition {
            to: CircuitState::Open, ..
        }) = event
        {
            breaker.force_closed();
        }
    });
    let notes = notebook(&bench);
    bench.calls("FFFFF").is(CircuitState::ForcedClosed);
    let tos: Vec<_> = changes(&notes.lock().expect("whole"))
        .into_iter()
        .map(|(_, to, _)| to)
        .collect();
    assert_eq!(tos, [CircuitState::Open, CircuitState::ForcedClosed]);
}

#[test]
fn a_listener_that_panics_harms_nobody() {
    let bench = defaults();
    bench.breaker.listen(|_| panic!("not my day"));
    let notes = notebook(&bench);
    let mut stream = bench.breaker.events();
    bench.calls("FFFFF").is(CircuitState::Open);
    assert_eq!(notes.lock().expect("whole").len(), 1);
    assert!(matches!(next(&mut stream), Poll::Ready(Some(_))));
    bench.wait(30.0).calls("SS").is(CircuitState::Closed);
    assert_eq!(notes.lock().expect("whole").len(), 3);
}

#[test]
fn a_listener_that_panics_while_a_call_unwinds_harms_nobody() {
    let bench = Bench::new(CircuitBreakerConfig::new().consecutive_failures(1));
    bench.breaker.listen(|_| panic!("not my day"));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _permit = bench.breaker.try_acquire().expect("closed");
        panic!("boom");
    }));
    assert_eq!(caught.expect_err("it unwinds").downcast_ref(), Some(&"boom"));
    bench.is(CircuitState::Open);
}

#[test]
fn while_one_listener_is_slow_others_cause_events_without_waiting() {
    let bench = defaults();
    let (started, start) = std::sync::mpsc::channel();
    let (finish, finished) = std::sync::mpsc::channel::<()>();
    let finished = Mutex::new(finished);
    bench.breaker.listen(move |_| {
        started.send(()).expect("somebody waits");
        let _ = finished.lock().expect("whole").recv();
    });
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| bench.breaker.force_open());
        start.recv().expect("the listener runs");
        bench.breaker.force_closed();
        bench.breaker.reset();
        assert_eq!(bench.breaker.current_state(), CircuitState::Closed);
        drop(finish);
        slow.join().expect("no panic");
    });
    assert_eq!(
        start.try_iter().count(),
        2,
        "the slow thread told of the others' events as well"
    );
}

#[test]
fn a_stream_brings_events_in_order_and_ends_with_the_breaker() {
    let bench = defaults();
    let mut stream = bench.breaker.events();
    assert!(next(&mut stream).is_pending());
    bench.about_to_probe().calls("SS");
    drop(bench);
    let mut events = Vec::new();
    while let Poll::Ready(Some(event)) = next(&mut stream) {
        events.push(event);
    }
    assert_eq!(changes(&events).len(), 3);
    assert_eq!(next(&mut stream), Poll::Ready(None));
    assert_eq!(stream.missed(), 0);
}

#[test]
fn a_stream_that_nobody_reads_keeps_the_newest_and_counts_what_it_missed() {
    let bench = defaults();
    let mut stream = bench.breaker.events();
    for _ in 0..200 {
        bench.breaker.force_open();
        bench.breaker.reset();
    }
    let Poll::Ready(Some(CircuitEvent::Transition(first))) = next(&mut stream) else {
        panic!("an event");
    };
    assert_eq!((first.number, stream.missed()), (400 - 256 + 1, 400 - 256));
}

#[test]
fn a_waiting_stream_is_woken() {
    let executor = crate::time::Executor::new();
    let breaker = CircuitBreaker::with_config(CircuitBreakerConfig::default(), executor.clock()).expect("good");
    let mut events = breaker.events();
    let task = executor.spawn(async move { events.next().await });
    let clock = executor.clock();
    let event = executor.block_on(async {
        clock.sleep(secs(1.0)).await;
        breaker.force_open();
        task.await
    });
    assert!(matches!(event, Some(CircuitEvent::Transition(change)) if change.to == CircuitState::ForcedOpen));
}

#[test]
fn stages_are_told_of() {
    let recovery = StagedRecovery::new(secs(1.0)).shares(Shares::new(&[0.2, 0.5]));
    let bench = Bench::new(CircuitBreakerConfig::default().recovery(recovery));
    let notes = notebook(&bench);
    bench
        .about_to_probe()
        .calls("SS")
        .wait(1.0)
        .calls("S")
        .wait(1.0)
        .calls("S")
        .is(CircuitState::Closed);
    let stages: Vec<_> = notes
        .lock()
        .expect("whole")
        .iter()
        .filter_map(|event| match event {
            CircuitEvent::Stage { number, share, .. } => Some((*number, *share)),
            _ => None,
        })
        .collect();
    assert_eq!(stages, [(1, 0.2), (2, 0.5)]);
}

#[test]
fn an_opening_says_which_rule_was_met_with_its_numbers() {
    use TransitionReason::{ConsecutiveFailures, FailureRate as Rate, FailuresWithin as Within};
    let ten_seconds = Window::Time(secs(10.0));
    for (rules, calls, reason, numbers, text) in [
        (
            CircuitBreakerConfig::new().consecutive_failures(3),
            "SFFF",
            ConsecutiveFailures,
            (3, None, None),
            "3 failures in a row",
        ),
        (
            CircuitBreakerConfig::new().failures_within(FailuresWithin::new(3, secs(30.0))),
            "FSFSF",
            Within,
            (3, None, Some(Window::Time(secs(30.0)))),
            "3 failures in 30 s",
        ),
        (
            CircuitBreakerConfig::new().failures_within(FailuresWithin::new(2, secs(30.0)).share(0.5)),
            "FSSSFF",
            Within,
            (3, Some(6), Some(Window::Time(secs(30.0)))),
            "3 failures in 30 s",
        ),
        (
            CircuitBreakerConfig::new().failure_rate(FailureRate::new(0.5, ten_seconds, 4)),
            "SFSF",
            Rate,
            (2, Some(4), Some(ten_seconds)),
            "2 failures among 4 calls in 10 s",
        ),
        (
            CircuitBreakerConfig::new().failure_rate(FailureRate::new(0.25, Window::Calls(8), 8)),
            "FSSSSSSF",
            Rate,
            (2, Some(8), Some(Window::Calls(8))),
            "2 failures among 8 calls",
        ),
    ] {
        let bench = Bench::new(rules);
        let notes = notebook(&bench);
        bench.calls(calls).is(CircuitState::Open);
        let opening = bench.breaker.opening().expect("it is open");
        assert_eq!(opening.reason, reason, "{calls}");
        assert_eq!((opening.bad_calls, opening.calls, opening.window), numbers, "{calls}");
        assert_eq!(
            (opening.to_string().as_str(), opening.open_for),
            (text, Some(rules.open_for))
        );
        let Some(CircuitEvent::Transition(change)) = notes.lock().expect("whole").last().copied() else {
            panic!("a transition");
        };
        assert_eq!(change.opening, Some(*opening));
    }
}

#[test]
fn what_opened_the_circuit_is_known_until_it_closes() {
    let bench = defaults();
    assert_eq!(bench.breaker.opening(), None);
    bench.about_to_probe().calls("F");
    let opening = bench.breaker.opening().expect("it is open");
    assert_eq!(opening.to_string(), "a probe failed");
    bench.wait(30.0).calls("SS").is(CircuitState::Closed);
    assert_eq!(bench.breaker.opening(), None);
    bench.breaker.force_open();
    let opening = bench.breaker.opening().expect("it is open");
    assert_eq!((opening.to_string().as_str(), opening.open_for), ("by hand", None));
}
