//! What a registry of policies reports: how its files are.

use super::ReloadStatus;
use crate::snapshot::{Metric, Reading, Reported, Row, readings};

impl Reported for ReloadStatus {
    const METRICS: &'static [Row<Self>] = &[
        Row::counts(
            Metric::counter(
                "reliability.config.reloads",
                "{reload}",
                "Contents of policy files that were read after the first, by result",
            )
            .by(&["result"]),
            &[("ok", |s| s.applied), ("rejected", |s| s.rejected)],
        ),
        Row::level(
            Metric::gauge(
                "reliability.config.wrong",
                "",
                "1 while the policy files are wrong and the last good settings stay, else 0",
            ),
            |s| f64::from(u8::from(s.error.is_some())),
        ),
    ];
}

impl ReloadStatus {
    /// The status as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        readings(self)
    }
}
