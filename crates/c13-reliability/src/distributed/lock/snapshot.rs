//! The snapshot of a lock, for this process's acquisitions.

use crate::snapshot::{Metric, Reading, Reported, Row, readings};
use crate::sync::HistogramSnapshot;
use crate::sync::counted;

counted! {
    /// The counts of one process's acquisitions of a lock. Each acquisition ends in one of `acquired`, `not_acquired`, `failed` and
    /// `abandoned`.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct LockSnapshot by LockCount {
        // Ends are read before beginnings, so that a holding that ends meanwhile is not taken for one that never began.
        /// Holdings that were lost before they were released.
        pub losses: u64 = Lost,
        /// Holdings that were released.
        pub released: u64 = Released,
        /// Acquisitions that got the lock.
        pub acquired: u64 = Acquired,
        /// Acquisitions that did not, because other holders had it all the time.
        pub not_acquired: u64 = NotAcquired,
        /// Acquisitions that did not, because the backend could not be asked or refused.
        pub failed: u64 = Failed,
        /// Acquisitions that were dropped before they were decided.
        pub abandoned: u64 = Abandoned,
        /// Renewals that the backend confirmed in time.
        pub renewals: u64 = Renewed,
        /// Renewals that were refused, not answered, or answered too late.
        pub failed_renewals: u64 = RenewalFailed,
        /// How long the acquisitions that got the lock waited, in nanoseconds.
        pub waited: HistogramSnapshot,
    }
}

impl Reported for LockSnapshot {
    const METRICS: &'static [Row<Self>] = &[
        Row::counts(
            Metric::counter(
                "reliability.lock.acquisitions",
                "{acquisition}",
                "Attempts to acquire the lock, by result",
            )
            .by(&["result"]),
            &[
                ("acquired", |s| s.acquired),
                ("not_acquired", |s| s.not_acquired),
                ("error", |s| s.failed),
                ("abandoned", |s| s.abandoned),
            ],
        ),
        Row::counts(
            Metric::counter(
                "reliability.lock.renewals",
                "{renewal}",
                "Renewals of the lock, by result",
            )
            .by(&["result"]),
            &[("ok", |s| s.renewals), ("failed", |s| s.failed_renewals)],
        ),
        Row::count(
            Metric::counter(
                "reliability.lock.losses",
                "{loss}",
                "Leases that were lost before they were released",
            ),
            |s| s.losses,
        ),
        Row::level(
            Metric::gauge("reliability.lock.held", "{lock}", "Leases that this process holds"),
            |s| s.held() as f64,
        ),
        Row::times(
            Metric::seconds(
                "reliability.lock.wait.duration",
                &[
                    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
                ],
                "How long acquisitions waited that got the lock",
            ),
            |s| &s.waited,
        ),
    ];
}

impl LockSnapshot {
    /// How many leases this process holds now.
    #[must_use]
    pub const fn held(&self) -> u64 {
        self.acquired.saturating_sub(self.losses).saturating_sub(self.released)
    }

    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        readings(self)
    }
}
