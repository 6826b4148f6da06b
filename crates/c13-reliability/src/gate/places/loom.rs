//! Interleavings of coming in, waiting in line, going out, giving up and resizing.

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
