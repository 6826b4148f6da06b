//! What a limiter reports of itself.

/// What a limiter has decided so far, and how it stood when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimiterSnapshot {
    /// Requests that were admitted.
    pub allowed: u64,
    /// Requests that were refused, at once or after a wait.
    pub rejected: u64,
    /// How many tokens, or requests of a window, could be had at once.
    pub available: u64,
    /// How many there are at most.
    pub capacity: u64,
    /// How many callers wait.
    pub waiting: u64,
}
