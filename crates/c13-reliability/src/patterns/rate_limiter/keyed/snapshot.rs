//! How a key stands, and how all keys do.

use super::super::snapshot::RateLimiterSnapshot;
use crate::snapshot::{Metric, Reading, Reported, Row, readings};
use std::time::Duration;

/// How a key stands with its quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotaStatus {
    /// How much the quota is: the burst, or the requests of a window.
    pub limit: u64,
    /// In how much time that comes back.
    pub window: Duration,
    /// How much of it could be had now.
    pub remaining: u64,
    /// How long until all of it could be had again.
    pub reset_after: Duration,
}

/// What a keyed limiter has decided so far, and how it stood when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyedSnapshot {
    /// Requests that were admitted.
    pub allowed: u64,
    /// Requests that were refused.
    pub rejected: u64,
    /// Requests that would have been refused, but for shadow mode.
    pub shadowed: u64,
    /// Requests of new keys that there was no room for, or that were too long. They are also counted as allowed or rejected.
    pub untracked: u64,
    /// Keys that were forgotten, idle ones all of them.
    pub evicted: u64,
    /// How many keys are kept.
    pub keys: u64,
    /// How many bytes they take, with the texts that keys hold, the times that exact windows keep, and quotas of single
    /// keys.
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
    /// The snapshot as readings of metrics. All keys are one series: no metric tells them apart, however many there are.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        readings(self)
    }
}
