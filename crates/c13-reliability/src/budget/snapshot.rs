//! What a retry budget reports.

/// The present state of a retry budget, and its cumulative counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryBudgetSnapshot {
    /// Calls in the window.
    pub calls: u64,
    /// Extra attempts in the window.
    pub extra_attempts: u64,
    /// Extra attempts that would be granted now.
    pub balance: u64,
    /// Extra attempts granted, cumulative.
    pub granted: u64,
    /// Extra attempts refused, cumulative.
    pub refused: u64,
}
