//! What a fallback reports.

use crate::snapshot::{Metric, Reading};

/// What a fallback did so far. Each call that ended is in one of these counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FallbackSnapshot {
    /// Calls that succeeded by themselves.
    pub successes: u64,
    /// Failed calls answered with the set value.
    pub values: u64,
    /// Failed calls answered with the last good value.
    pub last_good: u64,
    /// Failed calls answered by a function or a future.
    pub functions: u64,
    /// Failed calls whose fallback failed as well.
    pub fallback_failures: u64,
    /// Failed calls with nothing to fall back on.
    pub call_failures: u64,
}

static CALLS: Metric = Metric::counter(
    "reliability.fallback.calls",
    "{call}",
    "Calls by result: success; value, last_good or function by what answered for them; fallback_failed or failed",
);

/// Everything that a fallback reports.
pub(crate) static METRICS: &[&Metric] = &[&CALLS];

impl FallbackSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        [
            ("success", self.successes),
            ("value", self.values),
            ("last_good", self.last_good),
            ("function", self.functions),
            ("fallback_failed", self.fallback_failures),
            ("failed", self.call_failures),
        ]
        .map(|(result, count)| Reading::count(&CALLS, count).label("result", result))
        .into()
    }
}
