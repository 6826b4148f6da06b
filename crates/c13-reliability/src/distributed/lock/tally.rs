//! The counters of a lock's acquisitions and holdings.

use super::snapshot::LockSnapshot;
use crate::sync::{Histogram, StripedCounter};
use crate::time::nanos;
use std::time::Duration;

/// The counts of one lock in this process.
pub(super) struct Tally {
    counters: StripedCounter<8>,
    waited: Histogram,
}

/// The counters.
#[derive(Clone, Copy)]
pub(super) enum Count {
    Acquired,
    NotAcquired,
    Failed,
    Abandoned,
    Lost,
    Released,
    Renewed,
    RenewalFailed,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            counters: StripedCounter::compact(),
            waited: Histogram::new(),
        }
    }

    pub(super) fn count(&self, what: Count) {
        self.counters.add(what as usize, 1);
    }

    /// Counts an acquisition that got the lock after so long.
    pub(super) fn acquired(&self, after: Duration) {
        self.count(Count::Acquired);
        self.waited.record(nanos(after));
    }

    pub(super) fn snapshot(&self) -> LockSnapshot {
        let sum = |count| self.counters.sum(count as usize);
        LockSnapshot {
            // Ends before beginnings, so that a holding that ends meanwhile is not taken for one that never began.
            losses: sum(Count::Lost),
            released: sum(Count::Released),
            acquired: sum(Count::Acquired),
            not_acquired: sum(Count::NotAcquired),
            failed: sum(Count::Failed),
            abandoned: sum(Count::Abandoned),
            renewals: sum(Count::Renewed),
            failed_renewals: sum(Count::RenewalFailed),
            waited: self.waited.snapshot(),
        }
    }
}
