//! What a hedge reports.

use crate::budget::RetryBudgetSnapshot;
use std::time::Duration;

/// What a hedge did so far. Calls whose first attempt gave a good result before any other was started are not counted:
/// their path stays free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HedgeSnapshot {
    /// Attempts started beside or after a first one.
    pub hedges: u64,
    /// Calls with hedges that the first attempt won.
    pub primary_wins: u64,
    /// Calls that a hedge won.
    pub hedge_wins: u64,
    /// Calls all of whose attempts failed.
    pub failures: u64,
    /// Attempts dropped while they ran, because another won or the caller went away.
    pub abandoned: u64,
    /// Attempts not started because the budget was exhausted.
    pub budget_exhausted: u64,
    /// When the next attempt would be started now; nothing before enough calls were seen, or where only failures start one.
    pub delay: Option<Duration>,
    /// The budget, if there is one. Where it is shared it counts everybody's calls.
    pub budget: Option<RetryBudgetSnapshot>,
}
