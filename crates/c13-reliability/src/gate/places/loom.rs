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

/// Two places that are lent, a stripe for each of two threads.
fn leased() -> Places {
    let places = places(2);
    places.set_leased(true);
    places
}

#[test]
fn threads_that_borrow_from_one_another_never_exceed_the_limit_and_leave_it_whole() {
    loom::model(|| {
        let shared = Arc::new((places(1), AtomicU64::new(0)));
        shared.0.set_leased(true);
        let visit = |stripe: usize, places: &Places, inside: &AtomicU64| {
            if places.enter_leased(stripe) {
                // Relaxed: only the count matters.
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "nobody else is inside");
                inside.fetch_sub(1, Ordering::Relaxed);
                places.leave_leased(stripe);
            }
        };
        let other = shared.clone();
        let handle = thread::spawn(move || visit(1, &other.0, &other.1));
        visit(0, &shared.0, &shared.1);
        handle.join().unwrap();
        assert_eq!((shared.0.in_flight(), shared.0.available()), (0, 1));
        assert!(shared.0.enter_leased(0) && !shared.0.enter_leased(1));
    });
}

#[test]
fn a_stripe_that_holds_too_much_gives_back_what_others_come_in_with() {
    loom::model(|| {
        let places = Arc::new(leased());
        assert!(places.enter_leased(0) && places.enter_leased(0));
        let other = places.clone();
        let handle = thread::spawn(move || (0..2).for_each(|_| other.leave_leased(1)));
        let entered = places.enter_leased(0);
        handle.join().unwrap();
        assert_eq!(places.in_flight(), entered.into());
        assert!(entered || places.enter_leased(0));
        assert!(places.enter_leased(0) && !places.enter_leased(0));
    });
}

#[test]
fn who_knows_of_a_lower_limit_never_comes_in_above_it() {
    // One place stays in use. The other lies free from the start, or is laid free meanwhile.
    for lies_free in [true, false] {
        loom::model(move || {
            let shared = Arc::new((leased(), AtomicU64::new(0)));
            assert!(shared.0.enter_leased(0) && (lies_free || shared.0.enter_leased(0)));
            let other = shared.clone();
            let handle = thread::spawn(move || {
                let (places, lowered) = (&other.0, &other.1);
                // Acquire: who sees it knows of the lower limit.
                let knows = lowered.load(Ordering::Acquire) == 1;
                if !lies_free {
                    places.leave_leased(1);
                }
                let entered = places.enter_leased(1);
                assert!(!(knows && entered), "the other place is in use");
                entered
            });
            shared.0.resize(1);
            // Release: as above.
            shared.1.store(1, Ordering::Release);
            let entered = handle.join().unwrap();
            assert_eq!(shared.0.in_flight(), 1 + u32::from(entered));
            assert!(!shared.0.enter_leased(0));
        });
    }
}

#[test]
fn a_place_that_is_laid_free_while_somebody_joins_the_line_lets_them_in() {
    loom::model(|| {
        let places = Arc::new(places(1));
        places.set_leased(true);
        assert!(places.enter_leased(0));
        let other = places.clone();
        let handle = thread::spawn(move || {
            assert!(block_on(Places::admission(&*other)).map(Place::keep).is_ok());
        });
        places.leave_leased(0);
        handle.join().unwrap();
        assert_eq!((places.in_flight(), places.available()), (1, 0));
    });
}

#[test]
fn no_place_stays_on_a_stripe_when_lending_ends() {
    loom::model(|| {
        let places = Arc::new(leased());
        assert!(places.enter_leased(0));
        let other = places.clone();
        let handle = thread::spawn(move || other.leave_leased(1));
        places.set_leased(false);
        handle.join().unwrap();
        assert!(places.enter_by_word() && places.enter_by_word() && !places.enter_by_word());
    });
}
