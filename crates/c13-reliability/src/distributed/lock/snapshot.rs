//! What a lock reports of this process's part in it.

use crate::snapshot::{Metric, Reading};
use crate::sync::HistogramSnapshot;

/// What became of one process's acquisitions of a lock. Each acquisition ends in one of `acquired`, `not_acquired`,
/// `failed` and `abandoned`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockSnapshot {
    /// Acquisitions that got the lock.
    pub acquired: u64,
    /// Acquisitions that did not, because somebody else had it all the time.
    pub not_acquired: u64,
    /// Acquisitions that did not, because the backend could not be asked or refused.
    pub failed: u64,
    /// Acquisitions that were dropped before they were decided.
    pub abandoned: u64,
    /// Holdings that were lost before they were given back.
    pub losses: u64,
    /// Holdings that were given back.
    pub released: u64,
    /// Renewals that the backend confirmed in time.
    pub renewals: u64,
    /// Renewals that were refused, not answered, or answered too late.
    pub failed_renewals: u64,
    /// How long those waited who got the lock, in nanoseconds.
    pub waited: HistogramSnapshot,
}

impl LockSnapshot {
    /// How many holdings there are now in this process.
    #[must_use]
    pub const fn held(&self) -> u64 {
        self.acquired.saturating_sub(self.losses).saturating_sub(self.released)
    }
}

static ACQUISITIONS: Metric = Metric::counter(
    "reliability.lock.acquisitions",
    "{acquisition}",
    "Attempts to have the lock, by result: acquired, not_acquired, error or abandoned",
);
static RENEWALS: Metric = Metric::counter(
    "reliability.lock.renewals",
    "{renewal}",
    "Renewals of the lock, by result: ok or failed",
);
static LOSSES: Metric = Metric::counter(
    "reliability.lock.losses",
    "{loss}",
    "Holdings that were lost before they were given back",
);
static HELD: Metric = Metric::gauge("reliability.lock.held", "{lock}", "Holdings in this process");
static WAIT: Metric = Metric::seconds(
    "reliability.lock.wait.duration",
    &[
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    ],
    "How long those waited who got the lock",
);

/// Everything that a lock reports.
pub(crate) static METRICS: &[&Metric] = &[&ACQUISITIONS, &RENEWALS, &LOSSES, &HELD, &WAIT];

impl LockSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let results = [
            ("acquired", self.acquired),
            ("not_acquired", self.not_acquired),
            ("error", self.failed),
            ("abandoned", self.abandoned),
        ];
        let renewals = [("ok", self.renewals), ("failed", self.failed_renewals)];
        let by = |metric| move |(result, count)| Reading::count(metric, count).label("result", result);
        let mut readings: Vec<_> = results.map(by(&ACQUISITIONS)).into();
        readings.extend(renewals.map(by(&RENEWALS)));
        readings.extend([
            Reading::count(&LOSSES, self.losses),
            Reading::level(&HELD, self.held() as f64),
            Reading::times(&WAIT, self.waited.clone()),
        ]);
        readings
    }
}
