//! Interleavings of the thread slots and of the counters over them.

use super::slot::{Pool, SHARED};
use super::striped_counter::StripedCounter;
use loom::sync::Arc;
use loom::thread;

#[test]
fn a_slot_that_changes_hands_loses_no_count() {
    loom::model(|| {
        let shared = Arc::new((Pool::new(), StripedCounter::<1>::new()));
        let handles: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    let slot = shared.0.claim().unwrap();
                    shared.1.add_at(slot, 0, 1);
                    shared.0.release(slot);
                })
            })
            .collect();
        for handle in handles {
            handle.join().unwrap();
        }
        assert_eq!(shared.1.sum(0), 2);
    });
}

#[test]
fn threads_on_the_shared_stripe_lose_no_count() {
    loom::model(|| {
        let counter = Arc::new(StripedCounter::<1>::compact());
        let other = counter.clone();
        let handle = thread::spawn(move || other.add_at(SHARED, 0, 1));
        counter.add_at(SHARED, 0, 1);
        handle.join().unwrap();
        assert_eq!(counter.sum(0), 2);
    });
}
