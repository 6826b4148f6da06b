//! The counters of a lock's acquisitions and holdings.

use super::snapshot::{LockCount, LockSnapshot};
use crate::sync::{Histogram, Tally};
use crate::time::nanos;
use std::time::Duration;

/// The counts of one lock in this process.
pub(super) struct LockTally {
    counts: Tally<LockCount>,
    waited: Histogram,
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
        LockSnapshot {
            waited: self.waited.snapshot(),
            ..LockSnapshot::counted(&self.counts)
        }
    }
}
