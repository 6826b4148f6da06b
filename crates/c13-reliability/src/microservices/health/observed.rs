//! The metrics of a health service.

use super::{HealthCheckService, HealthStatus};
use crate::snapshot::{Metric, Observed, Reported, Row, SECONDS, Source, readings_of};
use crate::sync::HistogramSnapshot;
use std::sync::Arc;

/// One check, as its metrics see it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ObservedCheck {
    /// The check's name.
    pub name: String,
    /// Its reported status; nothing before its first result.
    pub status: Option<HealthStatus>,
    /// How long its runs took, in nanoseconds.
    pub durations: HistogramSnapshot,
}

impl Reported for ObservedCheck {
    const METRICS: &'static [Row<Self>] = &[
        Row::levels(
            Metric::gauge(
                "reliability.health.status",
                "",
                "1 for the state that the check reports, 0 for the others",
            )
            .by(&["check", "state"]),
            &[
                ("pass", |s| s.reports(HealthStatus::Healthy)),
                ("warn", |s| s.reports(HealthStatus::Degraded)),
                ("fail", |s| s.reports(HealthStatus::Unhealthy)),
            ],
        ),
        Row::times(
            Metric::seconds(
                "reliability.health.check.duration",
                SECONDS,
                "How long the runs of the check took",
            )
            .by(&["check"]),
            |s| &s.durations,
        ),
    ];
}

impl ObservedCheck {
    /// 1 if the check reports this status, 0 if it reports another.
    fn reports(&self, status: HealthStatus) -> Option<f64> {
        self.status.map(|now| f64::from(now == status))
    }
}

impl Observed for Arc<HealthCheckService> {
    fn source(&self) -> Source {
        Source::of(self, |service| {
            let checks = service.observed();
            checks
                .iter()
                .flat_map(|check| readings_of(&check.name, check))
                .collect()
        })
    }
}
