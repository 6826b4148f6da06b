//! What an executor counts: how its calls ended, on the counters that its budget reads too.

use super::GiveUp;
use super::snapshot::RetrySnapshot;
use crate::budget::{CallCount, CallCounts, RetryBudget};
use crate::sync::{Count as _, Stripes, Tally};

pub(super) use super::snapshot::RetryCount;

impl From<GiveUp> for RetryCount {
    fn from(reason: GiveUp) -> Self {
        match reason {
            GiveUp::MaxRetries => Self::MaxRetries,
            GiveUp::NotRetryable => Self::NotRetryable,
            GiveUp::Budget => Self::BudgetExhausted,
            GiveUp::Deadline => Self::DeadlineExceeded,
        }
    }
}

/// The counts of an executor, and those of calls, which its budget reads too.
#[derive(Clone)]
pub(super) struct Counts {
    pub(super) calls: CallCounts,
    pub(super) ends: Tally<RetryCount>,
}

impl Counts {
    /// How many words of a stripe the counts use.
    pub(super) const WORDS: usize = CallCount::ALL.len() + RetryCount::ALL.len();

    pub(super) fn on(stripes: &Stripes) -> Self {
        Self {
            calls: Tally::on(stripes),
            ends: Tally::on(stripes),
        }
    }

    /// A weak handle, which finds the counts for as long as another owner holds them.
    pub(super) fn downgrade(&self) -> impl Fn() -> Option<Self> + use<> {
        let (calls, ends) = (self.calls.downgrade(), self.ends.downgrade());
        move || {
            Some(Self {
                calls: calls.upgrade()?,
                ends: ends.upgrade()?,
            })
        }
    }
}

/// What was counted, as users see it.
pub(super) fn read(counts: &Counts, budget: Option<&RetryBudget>) -> RetrySnapshot {
    let counted = RetrySnapshot::counted(&counts.ends);
    RetrySnapshot {
        first_try: counted.first_try + counts.calls.sum(CallCount::AtOnce),
        budget: budget.map(RetryBudget::snapshot),
        ..counted
    }
}
