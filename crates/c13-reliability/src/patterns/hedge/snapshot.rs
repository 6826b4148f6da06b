//! What a hedge reports.

use crate::budget::RetryBudgetSnapshot;
use crate::snapshot::{Metric, Reading, Reported, Row, readings};
use crate::sync::counted;
use std::time::Duration;

counted! {
    /// The cumulative counts of a hedge. Each call that began is counted once, in `first_wins`, `primary_wins`, `hedge_wins`,
    /// `failures` or `calls_abandoned`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct HedgeSnapshot by HedgeCount {
        /// Attempts started in addition to a first one.
        pub hedges: u64 = Hedge,
        /// Calls whose first attempt gave a good result before any other was started.
        pub first_wins: u64 = FirstWin,
        /// Calls with hedges that the first attempt won.
        pub primary_wins: u64 = PrimaryWin,
        /// Calls that a hedge won.
        pub hedge_wins: u64 = HedgeWin,
        /// Calls all of whose attempts failed.
        pub failures: u64 = Failure,
        /// Calls that were dropped, or panicked, before their end.
        pub calls_abandoned: u64 = CallAbandoned,
        /// Attempts dropped while they ran, because another won or the caller went away.
        pub abandoned: u64 = AttemptAbandoned,
        /// Attempts not started because the budget was exhausted.
        pub budget_exhausted: u64 = BudgetExhausted,
        /// When the next attempt would be started now; nothing before enough calls were seen, or where only failures start one.
        pub delay: Option<Duration>,
        /// The budget, if there is one. A shared budget counts the calls of all that share it.
        pub budget: Option<RetryBudgetSnapshot>,
    }
}

impl Reported for HedgeSnapshot {
    const METRICS: &'static [Row<Self>] = &[
        Row::count(
            Metric::counter(
                "reliability.hedge.hedges",
                "{attempt}",
                "Attempts started beside or after a first one",
            ),
            |s| s.hedges,
        ),
        Row::count(
            Metric::counter(
                "reliability.hedge.abandoned_attempts",
                "{attempt}",
                "Attempts dropped while they ran, because another won or the caller went away",
            ),
            |s| s.abandoned,
        ),
        Row::count(
            Metric::counter(
                "reliability.hedge.budget_exhausted",
                "{attempt}",
                "Attempts not started because the budget was exhausted",
            ),
            |s| s.budget_exhausted,
        ),
        Row::counts(
            Metric::counter(
                "reliability.hedge.calls",
                "{call}",
                "Calls, by result; first: without a hedge, primary or hedge: the attempt that won",
            )
            .by(&["result"]),
            &[
                ("first", |s| s.first_wins),
                ("primary", |s| s.primary_wins),
                ("hedge", |s| s.hedge_wins),
                ("failed", |s| s.failures),
                ("abandoned", |s| s.calls_abandoned),
            ],
        ),
        Row::known_level(
            Metric::gauge(
                "reliability.hedge.delay",
                "s",
                "When the next attempt would be started now",
            ),
            |s| s.delay.map(|delay| delay.as_secs_f64()),
        ),
    ];
}

impl HedgeSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        readings(self)
    }
}
