//! Interleavings of coming in, waiting in line, going out, giving up and resizing.

use super::place::Place;
use super::shared::Places;
use crate::sync::loom::block_on;
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::time::VirtualTime;
use loom::sync::Arc;
use loom::thread;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

fn places(limit: u32) -> Places {
    Places::new(limit, 2, Duration::MAX, VirtualTime::new().clock())
}

/// Runs `model` over all interleavings in which threads are interrupted three times at most.
fn bounded(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Comes in, is alone there, and goes out.
fn visit(places: &Places, inside: &AtomicU64) {
    let Ok(place) = block_on(Places::admission(places)) else {
        panic!("there is room in line");
    };
    // Relaxed: only the count matters.
    assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "nobody else is inside");
    inside.fetch_sub(1, Ordering::Relaxed);
    drop(place);
}

#[test]
fn nobody_is_inside_with_another_and_everybody_gets_in() {
    loom::model(|| {
        let shared = Arc::new((places(1), AtomicU64::new(0)));
        let other = shared.clone();
        let handle = thread::spawn(move || visit(&other.0, &other.1));
        visit(&shared.0, &shared.1);
        handle.join().unwrap();
        assert_eq!((shared.0.in_flight(), shared.0.available()), (0, 1));
    });
}

#[test]
fn a_waiter_that_gives_up_while_a_place_is_handed_over_loses_none() {
    loom::model(|| {
        let places = Arc::new(places(1));
        let other = places.clone();
        let held = Places::enter(&*places);
        let handle = thread::spawn(move || {
            let mut admission = pin!(Places::admission(&*other));
            let _polled = admission.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        });
        drop(held);
        handle.join().unwrap();
        assert_eq!((places.in_flight(), places.available()), (0, 1));
    });
}

#[test]
fn a_waiter_is_let_in_by_a_resize_however_they_meet() {
    loom::model(|| {
        let places = Arc::new(places(1));
        let other = places.clone();
        let held = Places::enter(&*places);
        let handle = thread::spawn(move || {
            assert!(block_on(Places::admission(&*other)).is_ok());
        });
        places.resize(2);
        handle.join().unwrap();
        drop(held);
        assert_eq!((places.in_flight(), places.available()), (0, 2));
    });
}

/// Places that are lent, a stripe for each of two threads.
fn lent(limit: u32) -> Places {
    let places = places(limit).lendable();
    places.begin_lending();
    places
}

#[test]
fn threads_that_take_from_one_another_never_exceed_the_limit_and_leave_it_whole() {
    loom::model(|| {
        let shared = Arc::new((lent(1), AtomicU64::new(0)));
        let visit = |stripe: usize, places: &Places, inside: &AtomicU64| {
            if places.enter_lent(stripe) {
                // Relaxed: only the count matters.
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "nobody else is inside");
                inside.fetch_sub(1, Ordering::Relaxed);
                places.leave_lent(stripe);
            }
        };
        let other = shared.clone();
        let handle = thread::spawn(move || visit(1, &other.0, &other.1));
        visit(0, &shared.0, &shared.1);
        handle.join().unwrap();
        assert_eq!((shared.0.in_flight(), shared.0.available()), (0, 1));
        assert!(shared.0.enter_lent(0) && !shared.0.enter_lent(1));
    });
}

#[test]
fn nobody_is_refused_for_a_place_that_lies_free_while_lending_begins() {
    loom::model(|| {
        let places = Arc::new(places(2).lendable());
        let other = places.clone();
        let handle = thread::spawn(move || {
            other.begin_lending();
            assert!(other.enter_lent(0));
            other.leave_lent(0);
            assert!(other.enter_lent(1));
        });
        assert!(
            Places::enter(&*places).map(Place::keep).is_some(),
            "one of two places is free"
        );
        handle.join().unwrap();
        assert_eq!((places.in_flight(), places.available()), (2, 0));
    });
}

#[test]
fn nobody_is_refused_for_a_place_that_lies_free_while_lending_ends() {
    loom::model(|| {
        let places = Arc::new(lent(1));
        assert!(places.enter_lent(0));
        let other = places.clone();
        let handle = thread::spawn(move || other.end_lending(&other.lock_switch()));
        places.leave_lent(0);
        assert!(Places::enter(&*places).map(Place::keep).is_some(), "the place is free");
        handle.join().unwrap();
        assert_eq!((places.in_flight(), places.available()), (1, 0));
    });
}

#[test]
fn who_knows_of_a_lower_limit_never_comes_in_above_it() {
    // One place stays in use. The other lies free from the start, or is laid free meanwhile.
    for lies_free in [true, false] {
        loom::model(move || {
            let shared = Arc::new((lent(2), AtomicU64::new(0)));
            assert!(shared.0.enter_lent(0) && shared.0.enter_lent(1));
            if lies_free {
                shared.0.leave_lent(1);
            }
            let other = shared.clone();
            let handle = thread::spawn(move || {
                let (places, lowered) = (&other.0, &other.1);
                // Acquire: who sees it knows of the lower limit.
                let knows = lowered.load(Ordering::Acquire) == 1;
                if !lies_free {
                    places.leave_lent(1);
                }
                let entered = places.enter_lent(1);
                assert!(!(knows && entered), "the other place is in use");
                entered
            });
            shared.0.resize(1);
            // Release: as above.
            shared.1.store(1, Ordering::Release);
            let entered = handle.join().unwrap();
            assert_eq!(shared.0.in_flight(), 1 + u32::from(entered));
            assert!(!shared.0.enter_lent(0));
        });
    }
}

#[test]
fn a_place_that_is_laid_free_while_somebody_joins_the_line_lets_them_in() {
    loom::model(|| {
        let places = Arc::new(lent(1));
        assert!(places.enter_lent(0));
        let other = places.clone();
        let handle = thread::spawn(move || {
            assert!(block_on(Places::admission(&*other)).map(Place::keep).is_ok());
        });
        places.leave_lent(0);
        handle.join().unwrap();
        assert_eq!((places.in_flight(), places.available()), (1, 0));
    });
}

#[test]
fn who_joins_the_line_finds_what_was_lent_since_it_looked() {
    bounded(|| {
        let places = Arc::new(places(1).lendable());
        assert!(places.enter_by_word());
        let other = places.clone();
        let handle = thread::spawn(move || {
            other.leave();
            other.begin_lending();
            if other.enter_lent(0) {
                other.leave_lent(0);
            }
        });
        assert!(block_on(Places::admission(&*places)).map(Place::keep).is_ok());
        handle.join().unwrap();
        assert_eq!((places.in_flight(), places.available()), (1, 0));
    });
}

#[test]
fn who_ends_lending_serves_the_line_with_what_lay_free() {
    loom::model(|| {
        let places = Arc::new(lent(1));
        assert!(places.enter_lent(0));
        let mut waiting = pin!(Places::admission(&*places));
        let mut poll = || waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        // As by somebody who saw a free place just before there was a line.
        places.begin_lending();
        let other = places.clone();
        let handle = thread::spawn(move || other.leave_lent(0));
        assert!(!places.enter_lent(1), "the line comes first");
        handle.join().unwrap();
        assert!(poll().is_ready());
    });
}

#[test]
fn no_place_is_lost_between_one_that_goes_out_one_that_joins_the_line_and_one_that_ends_lending() {
    bounded(|| {
        let places = Arc::new(lent(1));
        assert!(places.enter_lent(0));
        let (leaver, ender) = (places.clone(), places.clone());
        let leaver = thread::spawn(move || leaver.leave_lent(0));
        let ender = thread::spawn(move || {
            let switch = ender.lock_switch();
            let waited_for = ender.end_lending(&switch);
            drop(switch);
            if waited_for {
                ender.serve_line();
            }
        });
        assert!(block_on(Places::admission(&*places)).map(Place::keep).is_ok());
        leaver.join().unwrap();
        ender.join().unwrap();
        assert_eq!((places.in_flight(), places.available()), (1, 0));
    });
}

#[test]
fn no_place_stays_on_a_stripe_when_lending_ends() {
    loom::model(|| {
        let places = Arc::new(lent(2));
        assert!(places.enter_lent(0));
        let other = places.clone();
        let handle = thread::spawn(move || other.leave_lent(1));
        places.end_lending(&places.lock_switch());
        handle.join().unwrap();
        assert!(places.enter_by_word() && places.enter_by_word() && !places.enter_by_word());
    });
}
