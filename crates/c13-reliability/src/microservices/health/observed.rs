//! What metrics read of a health service.

use super::{HealthCheckService, HealthStatus};
use crate::snapshot::{Metric, Observed, Reading, Source};
use crate::sync::HistogramSnapshot;
use std::sync::Arc;

/// What metrics read of a check.
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

static STATUS: Metric = Metric::gauge(
    "reliability.health.status",
    "",
    "1 for the state that the check reports, 0 for the others: pass, warn or fail",
);
static DURATION: Metric = Metric::seconds(
    "reliability.health.check.duration",
    &[
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0,
    ],
    "How long the runs of the check took",
);

/// Everything that a health service reports.
pub(crate) static METRICS: &[&Metric] = &[&STATUS, &DURATION];

impl ObservedCheck {
    fn readings(self) -> impl Iterator<Item = Reading> {
        let states = [HealthStatus::Healthy, HealthStatus::Degraded, HealthStatus::Unhealthy];
        let name = self.name.clone();
        let status = self.status.into_iter().flat_map(move |now| {
            let name = name.clone();
            states.map(|state| {
                Reading::level(&STATUS, f64::from(u8::from(state == now)))
                    .label("check", name.clone())
                    .label("state", state.word())
            })
        });
        let duration = Reading::times(&DURATION, self.durations).label("check", self.name);
        status.chain([duration])
    }
}

impl Observed for Arc<HealthCheckService> {
    fn source(&self) -> Source {
        let service = Self::downgrade(self);
        Source::new(move || {
            let observed = service.upgrade()?.observed();
            Some(observed.into_iter().flat_map(ObservedCheck::readings).collect())
        })
    }
}
