//! Interleavings of reads that record their time at one entry.

use super::entry::LastUse;
use crate::time::Tick;
use loom::sync::Arc;
use loom::thread;
use std::time::Duration;

fn at(nanos: u64) -> Tick {
    Tick::from_nanos(nanos)
}

#[test]
fn a_read_that_was_held_up_does_not_undo_a_later_one() {
    loom::model(|| {
        let used = Arc::new(LastUse::new(at(0), Duration::from_nanos(10)));
        let readers = [5, 9].map(|now| {
            let used = used.clone();
            thread::spawn(move || assert!(used.touch(at(now))))
        });
        assert!(used.touch(at(7)));
        for reader in readers {
            reader.join().unwrap();
        }
        assert!(used.touch(at(18)), "the read at 9 counts, whoever came last");
    });
}

#[test]
fn an_entry_that_was_left_too_long_stays_lost_for_all_who_come_too_late() {
    loom::model(|| {
        let used = Arc::new(LastUse::new(at(0), Duration::from_nanos(10)));
        let other = used.clone();
        let late = thread::spawn(move || other.touch(at(10)));
        assert!(!used.touch(at(11)));
        assert!(!late.join().unwrap(), "neither keeps it for the other");
    });
}
