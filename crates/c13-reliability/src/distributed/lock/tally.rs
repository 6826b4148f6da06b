//! The counters of a lock's acquisitions and holdings.

use super::snapshot::LockSnapshot;
use crate::sync::{Histogram, Tally, counts};
use crate::time::nanos;
use std::time::Duration;

/// The counts of one lock in this process.
pub(super) struct LockTally {
    counts: Tally<LockCount>,
    waited: Histogram,
}

counts! {
    /// What a lock counts.
    pub(super) enum LockCount {
        Acquired,
        NotAcquired,
        Failed,
        Abandoned,
        Lost,
        Released,
        Renewed,
        RenewalFailed,
    }
}

impl LockTally {
    pub(super) fn new() -> Self {
        Self {
            counts: Tally::compact(),
            waited: Histogram::new(),
        }
    }

    pub(super) fn count(&self, count: LockCount) {
        self.counts.add_one(count);
    }

    /// Counts an acquisition that got the lock after so long.
    pub(super) fn acquired(&self, after: Duration) {
        self.count(LockCount::Acquired);
        self.waited.record(nanos(after));
    }

    pub(super) fn snapshot(&self) -> LockSnapshot {
        let sum = |count| self.counts.sum(count);
        LockSnapshot {
            // Ends before beginnings, so that a holding that ends meanwhile is not taken for one that never began.
            losses: sum(LockCount::Lost),
            released: sum(LockCount::Released),
            acquired: sum(LockCount::Acquired),
            not_acquired: sum(LockCount::NotAcquired),
            failed: sum(LockCount::Failed),
            abandoned: sum(LockCount::Abandoned),
            renewals: sum(LockCount::Renewed),
            failed_renewals: sum(LockCount::RenewalFailed),
            waited: self.waited.snapshot(),
        }
    }
}
