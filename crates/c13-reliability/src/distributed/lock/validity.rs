//! Until when a lock is safe, in one word that any thread may read: it moves on by renewal, and stays lost once lost.

use crate::sync::primitive::{AtomicU64, Ordering};
use crate::time::Tick;

/// The end of a lease in nanoseconds; [`LOST`] once anybody saw it pass or was told of the loss.
///
/// Whoever sees the end pass writes that down before saying so. So a renewal that is confirmed at the same moment cannot
/// bring a lock back that somebody was told is lost.
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
        // Acquire: pairs with the Release below, so that a check after a renewal sees what the renewal was told.
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

    /// Moves the end from `from` to `to`, unless the lock was lost meanwhile. Says whether it moved.
    pub(crate) fn extend(&self, from: Tick, to: Tick) -> bool {
        // AcqRel: publishes the renewal to whoever checks. Acquire on failure: somebody saw the lock lost.
        let moved = self
            .until
            .compare_exchange(from.as_nanos(), to.as_nanos(), Ordering::AcqRel, Ordering::Acquire);
        moved.is_ok()
    }

    /// The lock is lost, for good.
    pub(crate) fn revoke(&self) {
        // Release: what is known of the loss is seen by whoever sees it.
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
