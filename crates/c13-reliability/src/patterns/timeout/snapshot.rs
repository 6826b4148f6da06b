//! What a timeout reports.

use crate::snapshot::{Metric, Reading};

/// What a timeout did so far. Each call that began ends in one of these counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeoutSnapshot {
    /// Calls that ended in time, well or not.
    pub completed: u64,
    /// Calls that took longer than the limit.
    pub elapsed: u64,
    /// Calls that the caller's deadline cut short, or that it let not begin.
    pub deadline_exceeded: u64,
    /// Calls that were dropped, or panicked, before their end.
    pub abandoned: u64,
}

static CALLS: Metric = Metric::counter(
    "reliability.timeout.calls",
    "{call}",
    "Calls by result: completed, limit, deadline or abandoned",
);
static EXPIRATIONS: Metric = Metric::counter(
    "reliability.timeout.expirations",
    "{call}",
    "Calls that were cut short, by reason: limit or deadline",
);

/// Everything that a timeout reports.
pub(crate) static METRICS: &[&Metric] = &[&CALLS, &EXPIRATIONS];

impl TimeoutSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let expirations = [("limit", self.elapsed), ("deadline", self.deadline_exceeded)];
        let others = [("completed", self.completed), ("abandoned", self.abandoned)];
        let mut readings: Vec<_> = expirations
            .map(|(reason, count)| Reading::count(&EXPIRATIONS, count).label("reason", reason))
            .into();
        let results = expirations.into_iter().chain(others);
        readings.extend(results.map(|(result, count)| Reading::count(&CALLS, count).label("result", result)));
        readings
    }
}
