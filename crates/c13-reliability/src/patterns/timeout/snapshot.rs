//! What a timeout reports.

use crate::snapshot::{Metric, Reading, Reported, Row, readings};
use crate::sync::counted;

counted! {
    /// The cumulative counts of a timeout. Each call that began is counted once, in one of these.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct TimeoutSnapshot by TimeoutCount {
        /// Calls that ended in time, well or not.
        pub completed: u64 = Completed,
        /// Calls that took longer than the limit.
        pub elapsed: u64 = Elapsed,
        /// Calls that the caller's deadline cut short, or that it let not begin.
        pub deadline_exceeded: u64 = DeadlineExceeded,
        /// Calls that were dropped, or panicked, before their end.
        pub abandoned: u64 = Abandoned,
    }
}

impl Reported for TimeoutSnapshot {
    const METRICS: &'static [Row<Self>] = &[
        Row::counts(
            Self::EXPIRATIONS,
            &[("limit", |s| s.elapsed), ("deadline", |s| s.deadline_exceeded)],
        ),
        Row::counts(
            Metric::counter("reliability.timeout.calls", "{call}", "Calls, by result").by(&["result"]),
            &[
                ("limit", |s| s.elapsed),
                ("deadline", |s| s.deadline_exceeded),
                ("completed", |s| s.completed),
                ("abandoned", |s| s.abandoned),
            ],
        ),
    ];
}

impl TimeoutSnapshot {
    /// A policy reports the same of its time limits.
    pub(crate) const EXPIRATIONS: Metric = Metric::counter(
        "reliability.timeout.expirations",
        "{call}",
        "Calls that were cut short, or attempts of a policy, by reason",
    )
    .by(&["reason"]);

    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        readings(self)
    }
}
