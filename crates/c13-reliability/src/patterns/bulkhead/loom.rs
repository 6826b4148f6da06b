//! Interleavings of coming in, waiting in line, going out, giving up and resizing.

use super::config::BulkheadConfig;
use super::handle::Bulkhead;
use crate::gate::Gate;
use crate::sync::loom::block_on;
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::time::VirtualTime;
use loom::sync::Arc;
use loom::thread;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

fn bulkhead(max_concurrent: u32) -> Bulkhead {
    let config = BulkheadConfig::new(max_concurrent).queue(2, Duration::MAX);
    Bulkhead::with_config(config, VirtualTime::new().clock()).expect("the model's settings are good")
}

/// Comes in, is alone there, and goes out.
fn visit(bulkhead: &Bulkhead, inside: &AtomicU64) {
    let permit = block_on(bulkhead.admit()).expect("there is room in line");
    // Relaxed: only the count matters.
    assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "nobody else is inside");
    inside.fetch_sub(1, Ordering::Relaxed);
    drop(permit);
}

#[test]
fn nobody_is_inside_with_another_and_everybody_gets_in() {
    loom::model(|| {
        let shared = Arc::new((bulkhead(1), AtomicU64::new(0)));
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
        let bulkhead = bulkhead(1);
        let other = bulkhead.clone();
        let held = bulkhead.try_admit();
        let handle = thread::spawn(move || {
            let mut admission = pin!(other.admit());
            let _polled = admission.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        });
        drop(held);
        handle.join().unwrap();
        assert_eq!((bulkhead.in_flight(), bulkhead.available()), (0, 1));
    });
}

#[test]
fn a_waiter_is_let_in_by_a_resize_however_they_meet() {
    loom::model(|| {
        let bulkhead = bulkhead(1);
        let other = bulkhead.clone();
        let held = bulkhead.try_admit();
        let handle = thread::spawn(move || {
            let permit = block_on(other.admit());
            assert!(permit.is_ok());
        });
        bulkhead.resize(2).expect("two are a good number");
        handle.join().unwrap();
        drop(held);
        assert_eq!((bulkhead.in_flight(), bulkhead.available()), (0, 2));
    });
}
