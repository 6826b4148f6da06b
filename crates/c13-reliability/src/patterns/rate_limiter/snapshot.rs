//! The snapshot of a limiter, and its metrics.

use crate::snapshot::{Metric, Reading, Reported, Row, readings};
use crate::sync::counted;

counted! {
    /// The counters of a limiter, and its state when it was asked.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct RateLimiterSnapshot by LimitCount {
        /// Requests that were admitted.
        pub allowed: u64 = Allowed,
        /// Requests that were refused, at once or after a wait.
        pub rejected: u64 = Rejected,
        /// Requests that would have been refused or had to wait, but for [shadow mode](super::RateLimiterConfig::shadow).
        pub shadowed: u64 = Shadowed,
        /// How many tokens, or requests of a window, are available.
        pub available: u64,
        /// How many are available at most.
        pub capacity: u64,
        /// How many waiters there are.
        pub waiting: u64,
    }
}

impl Reported for RateLimiterSnapshot {
    const METRICS: &'static [Row<Self>] = &[
        Row::count(Self::ALLOWED, |s| s.allowed),
        Row::count(Self::REJECTED, |s| s.rejected),
        Row::level(
            Metric::gauge(
                "reliability.rate_limit.available",
                "{request}",
                "Requests that could be admitted at once",
            ),
            |s| s.available as f64,
        ),
        Row::level(
            Metric::gauge(
                "reliability.rate_limit.capacity",
                "{request}",
                "Requests that could be admitted at once at most",
            ),
            |s| s.capacity as f64,
        ),
        Row::level(
            Metric::gauge("reliability.rate_limit.waiting", "{request}", "Callers that wait"),
            |s| s.waiting as f64,
        ),
    ];
}

impl RateLimiterSnapshot {
    /// Also a metric of keyed limiters, and an instrument of OpenTelemetry.
    pub(crate) const ALLOWED: Metric = Metric::counter(
        "reliability.rate_limit.allowed",
        "{request}",
        "Requests that were admitted",
    );
    /// Also a metric of keyed limiters, and an instrument of OpenTelemetry.
    pub(crate) const REJECTED: Metric = Metric::counter(
        "reliability.rate_limit.rejected",
        "{request}",
        "Requests that were refused, at once or after a wait",
    );

    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        readings(self)
    }
}
