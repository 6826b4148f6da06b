//! What a fallback reports.

/// What a fallback did so far. Calls that succeed are not counted: their path stays free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FallbackSnapshot {
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
