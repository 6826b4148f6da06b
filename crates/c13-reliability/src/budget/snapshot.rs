//! What a retry budget reports.

/// What a retry budget holds and what it did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryBudgetSnapshot {
    /// Calls in the window.
    pub calls: u64,
    /// Extra attempts in the window.
    pub extra_attempts: u64,
    /// Extra attempts that would be granted now.
    pub balance: u64,
    /// Extra attempts granted in all its life.
    pub granted: u64,
    /// Extra attempts refused in all its life.
    pub refused: u64,
}
