//! What a retry reports.

use crate::budget::RetryBudgetSnapshot;
use crate::snapshot::{Metric, Reading, Reported, Row, readings};
use crate::sync::counted;

counted! {
    /// What a retry executor did so far. Each call that began ends in one of all counts but `retries`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct RetrySnapshot by RetryCount {
        /// Retries decided.
        pub retries: u64 = Retry,
        /// Calls whose first attempt succeeded.
        pub first_try: u64 = FirstTry,
        /// Calls that succeeded after at least one retry.
        pub successes: u64 = Success,
        /// Calls that gave up because all retries were made, or whose last value was still worth a retry.
        pub max_retries_exceeded: u64 = MaxRetries,
        /// Calls that gave up because the error is not worth a retry.
        pub not_retryable: u64 = NotRetryable,
        /// Calls that gave up because the budget was exhausted.
        pub budget_exhausted: u64 = BudgetExhausted,
        /// Calls that gave up because no time was left.
        pub deadline_exceeded: u64 = DeadlineExceeded,
        /// Calls that were dropped, or panicked, before their end.
        pub abandoned: u64 = Abandoned,
        /// The budget, if there is one. A shared budget counts the calls of all that share it.
        pub budget: Option<RetryBudgetSnapshot>,
    }
}

impl Reported for RetrySnapshot {
    const METRICS: &'static [Row<Self>] = &[
        Row::count(
            Metric::counter("reliability.retry.retries", "{attempt}", "Attempts after the first"),
            |s| s.retries,
        ),
        Row::count(Self::SUCCESSES, |s| s.successes),
        Row::counts(
            Self::FAILURES,
            &[
                ("exhausted", |s| s.max_retries_exceeded),
                ("not_retryable", |s| s.not_retryable),
                ("budget", |s| s.budget_exhausted),
                ("deadline", |s| s.deadline_exceeded),
            ],
        ),
        Row::counts(
            Metric::counter("reliability.retry.calls", "{call}", "Calls, by result").by(&["result"]),
            &[
                ("first_try", |s| s.first_try),
                ("retried", |s| s.successes),
                ("abandoned", |s| s.abandoned),
                ("exhausted", |s| s.max_retries_exceeded),
                ("not_retryable", |s| s.not_retryable),
                ("budget", |s| s.budget_exhausted),
                ("deadline", |s| s.deadline_exceeded),
            ],
        ),
        Row::known_level(
            Metric::gauge(
                "reliability.retry.budget.available",
                "{attempt}",
                "Extra attempts that the budget would grant now",
            ),
            |s| s.budget.map(|budget| budget.balance as f64),
        ),
    ];
}

impl RetrySnapshot {
    /// Also an instrument of OpenTelemetry.
    pub(crate) const SUCCESSES: Metric = Metric::counter(
        "reliability.retry.successes",
        "{call}",
        "Calls that succeeded after at least one retry",
    );
    /// Also an instrument of OpenTelemetry.
    pub(crate) const FAILURES: Metric =
        Metric::counter("reliability.retry.failures", "{call}", "Calls that gave up, by reason").by(&["reason"]);

    /// Calls that gave up, for whatever reason.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        self.max_retries_exceeded + self.not_retryable + self.budget_exhausted + self.deadline_exceeded
    }

    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        readings(self)
    }
}
