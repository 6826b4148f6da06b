//! What a fallback reports.

use crate::snapshot::{Metric, Reading, Reported, Row, readings};
use crate::sync::counted;

counted! {
    /// The cumulative counts of a fallback. Each call that ended is counted once, in one of these.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct FallbackSnapshot by FallbackCount {
        /// Calls that succeeded by themselves.
        pub successes: u64 = Success,
        /// Failed calls answered with the set value.
        pub values: u64 = Value,
        /// Failed calls answered with the last good value.
        pub last_good: u64 = LastGood,
        /// Failed calls answered by a function or a future.
        pub functions: u64 = Function,
        /// Failed calls whose fallback failed as well.
        pub fallback_failures: u64 = FallbackFailure,
        /// Failed calls with nothing to fall back on.
        pub call_failures: u64 = CallFailure,
    }
}

impl Reported for FallbackSnapshot {
    const METRICS: &'static [Row<Self>] = &[Row::counts(
        Metric::counter(
            "reliability.fallback.calls",
            "{call}",
            "Calls, by result; value, last_good, function: what answered for a failed call",
        )
        .by(&["result"]),
        &[
            ("success", |s| s.successes),
            ("value", |s| s.values),
            ("last_good", |s| s.last_good),
            ("function", |s| s.functions),
            ("fallback_failed", |s| s.fallback_failures),
            ("failed", |s| s.call_failures),
        ],
    )];
}

impl FallbackSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        readings(self)
    }
}
