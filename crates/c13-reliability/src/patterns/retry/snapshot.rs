//! What a retry reports.

use crate::budget::RetryBudgetSnapshot;

/// What a retry executor did so far. Calls whose first attempt succeeds are not counted: their path stays free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetrySnapshot {
    /// Retries decided.
    pub retries: u64,
    /// Calls that succeeded after at least one retry.
    pub successes: u64,
    /// Calls that gave up because all retries were made, or whose last value was still worth a retry.
    pub max_retries_exceeded: u64,
    /// Calls that gave up because the error is not worth a retry.
    pub not_retryable: u64,
    /// Calls that gave up because the budget was exhausted.
    pub budget_exhausted: u64,
    /// Calls that gave up because no time was left.
    pub deadline_exceeded: u64,
    /// The budget, if there is one. Where it is shared it counts everybody's calls.
    pub budget: Option<RetryBudgetSnapshot>,
}

impl RetrySnapshot {
    /// Calls that gave up, for whatever reason.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        self.max_retries_exceeded + self.not_retryable + self.budget_exhausted + self.deadline_exceeded
    }
}
