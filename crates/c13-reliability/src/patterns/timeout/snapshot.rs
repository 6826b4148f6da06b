//! What a timeout reports.

use crate::snapshot::{Metric, Reading};

/// What a timeout did so far. Calls that end in time are not counted: their path stays free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeoutSnapshot {
    /// Calls that took longer than the limit.
    pub elapsed: u64,
    /// Calls that the caller's deadline cut short, or that it let not begin.
    pub deadline_exceeded: u64,
}

static EXPIRATIONS: Metric = Metric::counter(
    "reliability.timeout.expirations",
    "{call}",
    "Calls that were cut short, by reason: limit or deadline",
);

/// Everything that a timeout reports.
pub(crate) static METRICS: &[&Metric] = &[&EXPIRATIONS];

impl TimeoutSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        [("limit", self.elapsed), ("deadline", self.deadline_exceeded)]
            .map(|(reason, count)| Reading::count(&EXPIRATIONS, count).label("reason", reason))
            .into()
    }
}
