//! Interleavings of the thread slots, of the counters over them, and of the queue of waiters.

use super::striped_rolling::StripedRolling;
use super::striped_stock::StripedStock;
use super::stripes::Stripes;
use super::tally::{Tally, counts};
use super::thread_slot::{Pool, SHARED, Slot};
use super::wait_queue::semaphore::Semaphore;
use super::wait_queue::{Turn, Waiter};
use loom::sync::Arc;
use loom::thread;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Wake};

counts! {
    enum Count {
        It,
    }
}

use Count::It;

#[test]
fn a_slot_that_changes_hands_loses_no_count() {
    loom::model(|| {
        let shared = Arc::new((Pool::new(), Tally::<Count>::new()));
        let handles: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    let slot = shared.0.claim().unwrap();
                    shared.1.add_at(Slot::numbered(slot), It, 1);
                    shared.0.release(slot);
                })
            })
            .collect();
        for handle in handles {
            handle.join().unwrap();
        }
        assert_eq!(shared.1.sum(It), 2);
    });
}

#[test]
fn threads_on_the_shared_stripe_lose_no_count() {
    loom::model(|| {
        let counter = Arc::new(Tally::<Count>::compact());
        let other = counter.clone();
        let handle = thread::spawn(move || other.add_at(Slot::numbered(SHARED), It, 1));
        counter.add_at(Slot::numbered(SHARED), It, 1);
        handle.join().unwrap();
        assert_eq!(counter.sum(It), 2);
    });
}

/// Runs `future` on a loom thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = std::sync::Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Waits for `waiter` on a loom thread.
fn wait(mut waiter: Waiter<Arc<Semaphore>>) {
    block_on(poll_fn(|cx| match waiter.poll(cx) {
        Turn::Granted => Poll::Ready(()),
        Turn::Front | Turn::Behind => Poll::Pending,
    }));
}

#[test]
fn a_release_that_races_with_a_newcomer_reaches_it() {
    loom::model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let other = semaphore.clone();
        let handle = thread::spawn(move || other.release(1));
        wait(Semaphore::acquire(semaphore.clone(), 1, 1).unwrap());
        handle.join().unwrap();
        assert!(semaphore.available() == 0 && !semaphore.is_waited_for());
    });
}

#[test]
fn a_waiter_that_leaves_while_it_is_served_passes_the_grant_on() {
    loom::model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let leaving = Semaphore::acquire(semaphore.clone(), 1, 2).unwrap();
        let staying = Semaphore::acquire(semaphore.clone(), 1, 2).unwrap();
        let other = semaphore.clone();
        let releases = thread::spawn(move || other.release(1));
        let leaves = thread::spawn(move || drop(leaving));
        wait(staying);
        releases.join().unwrap();
        leaves.join().unwrap();
        assert!(semaphore.available() == 0 && !semaphore.is_waited_for());
    });
}

#[test]
fn two_waiters_and_two_releases_meet() {
    loom::model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let (one, other) = (semaphore.clone(), semaphore.clone());
        let waits = thread::spawn(move || wait(Semaphore::acquire(one, 1, 2).unwrap()));
        let releases = thread::spawn(move || other.release(1));
        semaphore.release(1);
        waits.join().unwrap();
        releases.join().unwrap();
        assert!(semaphore.available() == 1 && !semaphore.is_waited_for());
    });
}

#[test]
fn a_bucket_that_changes_hands_or_is_shared_loses_no_count() {
    loom::model(|| {
        let shared = Arc::new((
            Pool::new(),
            StripedRolling::on(&Stripes::new(StripedRolling::WORDS), 1_000),
        ));
        let other = shared.clone();
        let handle = thread::spawn(move || {
            let slot = other.0.claim().unwrap();
            other.1.count_at(Slot::numbered(slot), 0, 0);
            other.0.release(slot);
            other.1.count_at(Slot::numbered(SHARED), 0, 0);
        });
        let slot = shared.0.claim().unwrap();
        shared.1.count_at(Slot::numbered(slot), 0, 0);
        shared.0.release(slot);
        shared.1.count_at(Slot::numbered(SHARED), 0, 0);
        handle.join().unwrap();
        assert_eq!(shared.1.counts(0, 0)[0], 4);
    });
}

#[test]
fn a_stock_that_changes_hands_is_the_same_stock() {
    loom::model(|| {
        let shared = Arc::new((Pool::new(), StripedStock::on(&Stripes::new(StripedStock::WORDS))));
        let handles: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    let slot = shared.0.claim().unwrap();
                    let taken = shared.1.take_at(Slot::numbered(slot), 3, 2);
                    shared.0.release(slot);
                    taken
                })
            })
            .collect();
        for handle in handles {
            assert!(handle.join().unwrap());
        }
        assert_eq!((shared.1.total(), shared.1.served()), (2, 2));
    });
}

#[test]
fn threads_on_the_shared_stock_take_no_more_than_it_holds() {
    loom::model(|| {
        let stock = Arc::new(StripedStock::on(&Stripes::new(StripedStock::WORDS)));
        stock.take_at(Slot::numbered(SHARED), 3, 0);
        let other = stock.clone();
        let handle = thread::spawn(move || other.take_at(Slot::numbered(SHARED), 0, 2));
        let taken = stock.take_at(Slot::numbered(SHARED), 0, 2);
        assert!(taken != handle.join().unwrap());
        assert_eq!(stock.total(), 1);
    });
}
