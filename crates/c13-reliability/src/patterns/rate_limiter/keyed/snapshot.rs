//! The status of one key, and the snapshot of all keys.

use super::super::snapshot::RateLimiterSnapshot;
use crate::snapshot::{Metric, Reading, Reported, Row, readings};
use std::time::Duration;

/// The status of a key with its quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotaStatus {
    /// The whole quota: the burst, or the requests of a window.
    pub limit: u64,
    /// The time in which a used quota comes back.
    pub window: Duration,
    /// How much of it is available now.
    pub remaining: u64,
    /// How long until all of it is available again.
    pub reset_after: Duration,
}

/// The counters of a keyed limiter, and its state when it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyedSnapshot {
    /// Requests that were admitted.
    pub allowed: u64,
    /// Requests that were refused.
    pub rejected: u64,
    /// Requests that would have been refused, but for shadow mode.
    pub shadowed: u64,
    /// Requests of new keys that found no room, or that were too long. They are also counted as allowed or rejected.
    pub untracked: u64,
    /// Requests in which a layer found no key, in all layers of the limiter. What became of them depends on the layer.
    pub keyless: u64,
    /// Idle keys that were forgotten.
    pub evicted: u64,
    /// How many keys are kept.
    pub keys: u64,
    /// How many bytes the keys take, including their texts, the times that exact windows keep, and the quotas of single keys.
    pub bytes: u64,
}

impl Reported for KeyedSnapshot {
    const METRICS: &'static [Row<Self>] = &[
        Row::count(RateLimiterSnapshot::ALLOWED, |s| s.allowed),
        Row::count(RateLimiterSnapshot::REJECTED, |s| s.rejected),
        Row::level(
            Metric::gauge(
                "reliability.rate_limit.keys",
                "{key}",
                "Keys that a keyed limiter keeps",
            ),
            |s| s.keys as f64,
        ),
        Row::count(
            Metric::counter(
                "reliability.rate_limit.untracked",
                "{request}",
                "Requests of new keys that a keyed limiter had no room for, allowed or rejected",
            ),
            |s| s.untracked,
        ),
        Row::count(Self::KEYLESS, |s| s.keyless),
        Row::count(
            Metric::counter(
                "reliability.rate_limit.evictions",
                "{key}",
                "Idle keys that a keyed limiter forgot",
            ),
            |s| s.evicted,
        ),
    ];
}

impl KeyedSnapshot {
    /// Also a metric of limits that are not counted in this process.
    pub(crate) const KEYLESS: Metric = Metric::counter(
        "reliability.rate_limit.keyless",
        "{request}",
        "Requests in which a layer found no key",
    );

    /// The snapshot as readings of metrics. All keys are one series: no metric tells them apart, however many there are.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        readings(self)
    }
}
