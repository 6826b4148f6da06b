//! Interleavings of acquiring, waiting, releasing, giving up and resizing.

use super::permit::SemaphorePermit;
use super::permits::Queue;
use super::semaphore::Semaphore;
use crate::sync::Slot;
use crate::sync::loom::block_on;
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::time::VirtualTime;
use loom::sync::Arc;
use loom::thread;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

fn semaphore(limit: u32) -> Semaphore {
    Semaphore::new(limit, 2, Duration::MAX, VirtualTime::new().clock())
}

/// Runs `model` over all interleavings in which threads are interrupted three times at most.
fn bounded(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Acquires a permit, is alone with it, and releases it.
fn visit(semaphore: &Semaphore, inside: &AtomicU64) {
    let Ok(permit) = block_on(Semaphore::acquire(semaphore)) else {
        panic!("there is room in the queue");
    };
    // Relaxed: only the count matters.
    assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "nobody else is inside");
    inside.fetch_sub(1, Ordering::Relaxed);
    drop(permit);
}

#[test]
fn one_permit_is_held_by_one_call_at_a_time_and_every_call_gets_it() {
    loom::model(|| {
        let shared = Arc::new((semaphore(1), AtomicU64::new(0)));
        let other = shared.clone();
        let handle = thread::spawn(move || visit(&other.0, &other.1));
        visit(&shared.0, &shared.1);
        handle.join().unwrap();
        assert_eq!((shared.0.in_flight(), shared.0.available()), (0, 1));
    });
}

#[test]
fn a_waiter_that_gives_up_while_it_is_granted_a_permit_loses_none() {
    loom::model(|| {
        let semaphore = Arc::new(semaphore(1));
        let other = semaphore.clone();
        let held = Semaphore::try_acquire_uncounted(&*semaphore);
        let handle = thread::spawn(move || {
            let mut admission = pin!(Semaphore::acquire(&*other));
            let _polled = admission.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        });
        drop(held);
        handle.join().unwrap();
        assert_eq!((semaphore.in_flight(), semaphore.available()), (0, 1));
    });
}

#[test]
fn a_waiter_gets_a_permit_by_a_resize_however_they_meet() {
    loom::model(|| {
        let semaphore = Arc::new(semaphore(1));
        let other = semaphore.clone();
        let held = Semaphore::try_acquire_uncounted(&*semaphore);
        let handle = thread::spawn(move || {
            assert!(block_on(Semaphore::acquire(&*other)).is_ok());
        });
        semaphore.resize(2);
        handle.join().unwrap();
        drop(held);
        assert_eq!((semaphore.in_flight(), semaphore.available()), (0, 2));
    });
}

/// Permits that are lent, a stripe for each of two threads.
fn lent(limit: u32) -> Semaphore {
    let semaphore = semaphore(limit).lendable();
    semaphore.permits.lending.begin();
    semaphore
}

/// The steps of a thread with a stripe, which the model names.
impl Semaphore {
    fn acquire_lent(&self, stripe: usize) -> bool {
        let (acquired, queue) = self.permits.acquire_lent(Slot::numbered(stripe));
        self.serve(queue);
        acquired
    }

    fn release_lent(&self, stripe: usize) {
        self.serve(self.permits.release_lent(Slot::numbered(stripe)));
    }

    fn end_lending(&self) {
        let switch = self.permits.lending.lock();
        let queue = self.permits.end_lending(&switch);
        drop(switch);
        self.serve(queue);
    }

    fn serve(&self, queue: Queue) {
        if queue == Queue::Serve {
            self.serve_queue();
        }
    }
}

#[test]
fn threads_that_take_lent_permits_from_one_another_never_exceed_the_limit_and_lose_none() {
    loom::model(|| {
        let shared = Arc::new((lent(1), AtomicU64::new(0)));
        let visit = |stripe: usize, semaphore: &Semaphore, inside: &AtomicU64| {
            if semaphore.acquire_lent(stripe) {
                // Relaxed: only the count matters.
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "nobody else is inside");
                inside.fetch_sub(1, Ordering::Relaxed);
                semaphore.release_lent(stripe);
            }
        };
        let other = shared.clone();
        let handle = thread::spawn(move || visit(1, &other.0, &other.1));
        visit(0, &shared.0, &shared.1);
        handle.join().unwrap();
        assert_eq!((shared.0.in_flight(), shared.0.available()), (0, 1));
        assert!(shared.0.acquire_lent(0) && !shared.0.acquire_lent(1));
    });
}

#[test]
fn no_call_is_refused_for_a_permit_that_lies_free_while_lending_begins() {
    loom::model(|| {
        let semaphore = Arc::new(semaphore(2).lendable());
        let other = semaphore.clone();
        let handle = thread::spawn(move || {
            other.permits.lending.begin();
            assert!(other.acquire_lent(0));
            other.release_lent(0);
            assert!(other.acquire_lent(1));
        });
        assert!(
            Semaphore::try_acquire_uncounted(&*semaphore)
                .map(SemaphorePermit::keep)
                .is_some(),
            "one of two permits is available"
        );
        handle.join().unwrap();
        assert_eq!((semaphore.in_flight(), semaphore.available()), (2, 0));
    });
}

#[test]
fn no_call_is_refused_for_a_permit_that_lies_free_while_lending_ends() {
    loom::model(|| {
        let semaphore = Arc::new(lent(1));
        assert!(semaphore.acquire_lent(0));
        let other = semaphore.clone();
        let handle = thread::spawn(move || other.end_lending());
        semaphore.release_lent(0);
        assert!(
            Semaphore::try_acquire_uncounted(&*semaphore)
                .map(SemaphorePermit::keep)
                .is_some(),
            "the permit is available"
        );
        handle.join().unwrap();
        assert_eq!((semaphore.in_flight(), semaphore.available()), (1, 0));
    });
}

#[test]
fn a_thread_that_knows_of_a_lower_limit_never_acquires_above_it() {
    // One permit stays in use. The other lies free from the start, or is released meanwhile.
    for lies_free in [true, false] {
        loom::model(move || {
            let shared = Arc::new((lent(2), AtomicU64::new(0)));
            assert!(shared.0.acquire_lent(0) && shared.0.acquire_lent(1));
            if lies_free {
                shared.0.release_lent(1);
            }
            let other = shared.clone();
            let handle = thread::spawn(move || {
                let (semaphore, lowered) = (&other.0, &other.1);
                // Acquire: a thread that sees it knows of the lower limit.
                let knows = lowered.load(Ordering::Acquire) == 1;
                if !lies_free {
                    semaphore.release_lent(1);
                }
                let entered = semaphore.acquire_lent(1);
                assert!(!(knows && entered), "the other permit is in use");
                entered
            });
            shared.0.resize(1);
            // Release: as above.
            shared.1.store(1, Ordering::Release);
            let entered = handle.join().unwrap();
            assert_eq!(shared.0.in_flight(), 1 + u32::from(entered));
            assert!(!shared.0.acquire_lent(0));
        });
    }
}

#[test]
fn a_permit_that_is_released_to_a_stripe_while_a_call_joins_the_queue_goes_to_that_call() {
    loom::model(|| {
        let semaphore = Arc::new(lent(1));
        assert!(semaphore.acquire_lent(0));
        let other = semaphore.clone();
        let handle = thread::spawn(move || {
            assert!(block_on(Semaphore::acquire(&*other)).map(SemaphorePermit::keep).is_ok());
        });
        semaphore.release_lent(0);
        handle.join().unwrap();
        assert_eq!((semaphore.in_flight(), semaphore.available()), (1, 0));
    });
}

#[test]
fn a_call_that_joins_the_queue_finds_what_was_lent_since_it_looked() {
    bounded(|| {
        let semaphore = Arc::new(semaphore(1).lendable());
        assert!(semaphore.permits.acquire_from_state());
        let other = semaphore.clone();
        let handle = thread::spawn(move || {
            other.release();
            other.permits.lending.begin();
            if other.acquire_lent(0) {
                other.release_lent(0);
            }
        });
        assert!(
            block_on(Semaphore::acquire(&*semaphore))
                .map(SemaphorePermit::keep)
                .is_ok()
        );
        handle.join().unwrap();
        assert_eq!((semaphore.in_flight(), semaphore.available()), (1, 0));
    });
}

#[test]
fn a_thread_that_ends_lending_serves_the_queue_with_what_lay_free() {
    loom::model(|| {
        let semaphore = Arc::new(lent(1));
        assert!(semaphore.acquire_lent(0));
        let mut waiting = pin!(Semaphore::acquire(&*semaphore));
        let mut poll = || waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        // As by a thread that saw an available permit just before anybody waited.
        semaphore.permits.lending.begin();
        let other = semaphore.clone();
        let handle = thread::spawn(move || other.release_lent(0));
        assert!(!semaphore.acquire_lent(1), "the queue comes first");
        handle.join().unwrap();
        assert!(poll().is_ready());
    });
}

#[test]
fn no_permit_is_lost_between_a_thread_that_releases_one_that_joins_the_queue_and_one_that_ends_lending() {
    bounded(|| {
        let semaphore = Arc::new(lent(1));
        assert!(semaphore.acquire_lent(0));
        let (leaver, ender) = (semaphore.clone(), semaphore.clone());
        let leaver = thread::spawn(move || leaver.release_lent(0));
        let ender = thread::spawn(move || {
            ender.end_lending();
        });
        assert!(
            block_on(Semaphore::acquire(&*semaphore))
                .map(SemaphorePermit::keep)
                .is_ok()
        );
        leaver.join().unwrap();
        ender.join().unwrap();
        assert_eq!((semaphore.in_flight(), semaphore.available()), (1, 0));
    });
}

#[test]
fn no_permit_stays_on_a_stripe_when_lending_ends() {
    loom::model(|| {
        let semaphore = Arc::new(lent(2));
        assert!(semaphore.acquire_lent(0));
        let other = semaphore.clone();
        let handle = thread::spawn(move || other.release_lent(1));
        semaphore.end_lending();
        handle.join().unwrap();
        assert!(
            semaphore.permits.acquire_from_state()
                && semaphore.permits.acquire_from_state()
                && !semaphore.permits.acquire_from_state()
        );
    });
}
