//! What a retry reports.

use crate::budget::RetryBudgetSnapshot;
use crate::snapshot::{Metric, Reading};

/// What a retry executor did so far. Each call that began ends in one of all counts but `retries`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetrySnapshot {
    /// Retries decided.
    pub retries: u64,
    /// Calls whose first attempt succeeded.
    pub first_try: u64,
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
    /// Calls that were dropped, or panicked, before their end.
    pub abandoned: u64,
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

static CALLS: Metric = Metric::counter(
    "reliability.retry.calls",
    "{call}",
    "Calls by result: first_try, retried, exhausted, not_retryable, budget, deadline or abandoned",
);
static RETRIES: Metric = Metric::counter("reliability.retry.retries", "{attempt}", "Attempts after the first");
static SUCCESSES: Metric = Metric::counter(
    "reliability.retry.successes",
    "{call}",
    "Calls that succeeded after at least one retry",
);
static FAILURES: Metric = Metric::counter(
    "reliability.retry.failures",
    "{call}",
    "Calls that gave up, by reason: exhausted, not_retryable, budget or deadline",
);
static BUDGET: Metric = Metric::gauge(
    "reliability.retry.budget.available",
    "{attempt}",
    "Extra attempts that the budget would grant now",
);

/// Everything that a retry executor reports.
pub(crate) static METRICS: &[&Metric] = &[&CALLS, &RETRIES, &SUCCESSES, &FAILURES, &BUDGET];

impl RetrySnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let mut readings = vec![
            Reading::count(&RETRIES, self.retries),
            Reading::count(&SUCCESSES, self.successes),
        ];
        let reasons = [
            ("exhausted", self.max_retries_exceeded),
            ("not_retryable", self.not_retryable),
            ("budget", self.budget_exhausted),
            ("deadline", self.deadline_exceeded),
        ];
        readings.extend(reasons.map(|(reason, count)| Reading::count(&FAILURES, count).label("reason", reason)));
        let results = [
            ("first_try", self.first_try),
            ("retried", self.successes),
            ("abandoned", self.abandoned),
        ];
        let results = results.into_iter().chain(reasons);
        readings.extend(results.map(|(result, count)| Reading::count(&CALLS, count).label("result", result)));
        readings.extend(self.budget.map(|budget| Reading::level(&BUDGET, budget.balance as f64)));
        readings
    }
}
