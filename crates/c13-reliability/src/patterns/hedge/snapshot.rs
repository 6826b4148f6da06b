//! What a hedge reports.

use crate::budget::RetryBudgetSnapshot;
use crate::snapshot::{Metric, Reading};
use std::time::Duration;

/// What a hedge did so far. Each call that began ends in one of `first_wins`, `primary_wins`, `hedge_wins`, `failures` and
/// `calls_abandoned`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HedgeSnapshot {
    /// Attempts started beside or after a first one.
    pub hedges: u64,
    /// Calls whose first attempt gave a good result before any other was started.
    pub first_wins: u64,
    /// Calls with hedges that the first attempt won.
    pub primary_wins: u64,
    /// Calls that a hedge won.
    pub hedge_wins: u64,
    /// Calls all of whose attempts failed.
    pub failures: u64,
    /// Calls that were dropped, or panicked, before their end.
    pub calls_abandoned: u64,
    /// Attempts dropped while they ran, because another won or the caller went away.
    pub abandoned: u64,
    /// Attempts not started because the budget was exhausted.
    pub budget_exhausted: u64,
    /// When the next attempt would be started now; nothing before enough calls were seen, or where only failures start one.
    pub delay: Option<Duration>,
    /// The budget, if there is one. Where it is shared it counts everybody's calls.
    pub budget: Option<RetryBudgetSnapshot>,
}

static CALLS: Metric = Metric::counter(
    "reliability.hedge.calls",
    "{call}",
    "Calls by result: first where no hedge was started, primary or hedge by which attempt won, failed or abandoned",
);
static HEDGES: Metric = Metric::counter(
    "reliability.hedge.hedges",
    "{attempt}",
    "Attempts started beside or after a first one",
);
static ABANDONED: Metric = Metric::counter(
    "reliability.hedge.abandoned_attempts",
    "{attempt}",
    "Attempts dropped while they ran, because another won or the caller went away",
);
static BUDGET_EXHAUSTED: Metric = Metric::counter(
    "reliability.hedge.budget_exhausted",
    "{attempt}",
    "Attempts not started because the budget was exhausted",
);
static DELAY: Metric = Metric::gauge(
    "reliability.hedge.delay",
    "s",
    "When the next attempt would be started now",
);

/// Everything that a hedge reports.
pub(crate) static METRICS: &[&Metric] = &[&CALLS, &HEDGES, &ABANDONED, &BUDGET_EXHAUSTED, &DELAY];

impl HedgeSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let results = [
            ("first", self.first_wins),
            ("primary", self.primary_wins),
            ("hedge", self.hedge_wins),
            ("failed", self.failures),
            ("abandoned", self.calls_abandoned),
        ];
        let mut readings = vec![
            Reading::count(&HEDGES, self.hedges),
            Reading::count(&ABANDONED, self.abandoned),
            Reading::count(&BUDGET_EXHAUSTED, self.budget_exhausted),
        ];
        readings.extend(results.map(|(result, count)| Reading::count(&CALLS, count).label("result", result)));
        readings.extend(self.delay.map(|delay| Reading::level(&DELAY, delay.as_secs_f64())));
        readings
    }
}
