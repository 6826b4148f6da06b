//! Until when a lock is safe, in one word that any thread may read: a renewal moves it on, and a loss is final.

use crate::sync::primitive::{AtomicU64, Ordering};
use crate::time::Tick;

/// The end of a lease in nanoseconds; [`LOST`] once a thread has seen it pass, or the loss was reported.
///
/// A thread that sees the end pass stores [`LOST`] before it reports the loss. So a renewal that is confirmed at the same moment
/// cannot bring back a lock that was reported as lost.
#[derive(Debug)]
pub(crate) struct Validity {
    until: AtomicU64,
}

const LOST: u64 = 0;

impl Validity {
    pub(crate) fn new(until: Tick) -> Self {
        Self {
            until: AtomicU64::new(until.as_nanos()),
        }
    }

    /// The end of the lease, if it is safe at `now`.
    pub(crate) fn check(&self, now: Tick) -> Option<Tick> {
        // Acquire: pairs with the Release below, so that a check after a renewal sees what came with the renewal.
        let mut until = self.until.load(Ordering::Acquire);
        loop {
            if until == LOST {
                return None;
            }
            if now.as_nanos() < until {
                return Some(Tick::from_nanos(until));
            }
            // AcqRel: as above, in both directions. Acquire on failure: a renewal came first, and counts.
            let lost = self
                .until
                .compare_exchange(until, LOST, Ordering::AcqRel, Ordering::Acquire);
            match lost {
                Ok(_) => return None,
                Err(newer) => until = newer,
            }
        }
    }

    /// Moves the end from `from` to `to`, unless the lock was lost meanwhile. Returns whether it moved.
    pub(crate) fn extend(&self, from: Tick, to: Tick) -> bool {
        // AcqRel: publishes the renewal to threads that check. Acquire on failure: another thread saw the lock lost.
        let moved = self
            .until
            .compare_exchange(from.as_nanos(), to.as_nanos(), Ordering::AcqRel, Ordering::Acquire);
        moved.is_ok()
    }

    /// Marks the lock as lost, for ever.
    pub(crate) fn revoke(&self) {
        // Release: a thread that sees the loss sees its cause.
        self.until.store(LOST, Ordering::Release);
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;

    fn at(n: u64) -> Tick {
        Tick::from_nanos(n)
    }

    #[test]
    fn a_lock_that_was_seen_lost_cannot_be_renewed() {
        let validity = Validity::new(at(10));
        assert_eq!(validity.check(at(9)), Some(at(10)));
        assert!(validity.extend(at(10), at(20)));
        assert_eq!(validity.check(at(10)), Some(at(20)));
        assert_eq!(validity.check(at(20)), None);
        assert!(!validity.extend(at(20), at(30)));
        assert_eq!(
            validity.check(at(1)),
            None,
            "not even for a thread whose time was read earlier"
        );
    }
}
