//! What a limiter reports of itself.

use crate::snapshot::{Metric, Reading};

/// What a limiter has decided so far, and how it stood when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimiterSnapshot {
    /// Requests that were admitted.
    pub allowed: u64,
    /// Requests that were refused, at once or after a wait.
    pub rejected: u64,
    /// Requests that would have been refused or had to wait, but for [shadow mode](super::RateLimiterConfig::shadow).
    pub shadowed: u64,
    /// How many tokens, or requests of a window, could be had at once.
    pub available: u64,
    /// How many there are at most.
    pub capacity: u64,
    /// How many callers wait.
    pub waiting: u64,
}

pub(super) static ALLOWED: Metric = Metric::counter(
    "reliability.rate_limit.allowed",
    "{request}",
    "Requests that were admitted",
);
pub(super) static REJECTED: Metric = Metric::counter(
    "reliability.rate_limit.rejected",
    "{request}",
    "Requests that were refused, at once or after a wait",
);
static AVAILABLE: Metric = Metric::gauge(
    "reliability.rate_limit.available",
    "{request}",
    "Requests that could be admitted at once",
);
static CAPACITY: Metric = Metric::gauge(
    "reliability.rate_limit.capacity",
    "{request}",
    "Requests that could be admitted at once at most",
);
static WAITING: Metric = Metric::gauge("reliability.rate_limit.waiting", "{request}", "Callers that wait");

pub(super) static KEYS: Metric = Metric::gauge(
    "reliability.rate_limit.keys",
    "{key}",
    "Keys that a keyed limiter keeps",
);
pub(super) static UNTRACKED: Metric = Metric::counter(
    "reliability.rate_limit.untracked",
    "{request}",
    "Requests of new keys that a keyed limiter had no room for, allowed or rejected",
);
pub(super) static EVICTIONS: Metric = Metric::counter(
    "reliability.rate_limit.evictions",
    "{key}",
    "Idle keys that a keyed limiter forgot",
);

/// Everything that a limiter reports.
pub(crate) static METRICS: &[&Metric] = &[
    &ALLOWED, &REJECTED, &AVAILABLE, &CAPACITY, &WAITING, &KEYS, &UNTRACKED, &EVICTIONS,
];

impl RateLimiterSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        vec![
            Reading::count(&ALLOWED, self.allowed),
            Reading::count(&REJECTED, self.rejected),
            Reading::level(&AVAILABLE, self.available as f64),
            Reading::level(&CAPACITY, self.capacity as f64),
            Reading::level(&WAITING, self.waiting as f64),
        ]
    }
}
