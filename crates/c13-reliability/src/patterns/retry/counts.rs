//! What an executor counts: how its calls ended, on the counters that its budget reads too.

use super::{GiveUp, RetrySnapshot};
use crate::budget::{AT_ONCE, CallCounts, FREE, RetryBudget};

const RETRIES: usize = FREE;
const SUCCESSES: usize = FREE + 1;
const MAX_RETRIES: usize = FREE + 2;
const NOT_RETRYABLE: usize = FREE + 3;
const BUDGET: usize = FREE + 4;
const DEADLINE: usize = FREE + 5;
pub(super) const FIRST_TRY: usize = FREE + 6;
const ABANDONED: usize = FREE + 7;

/// Something to count of a call that has made its deposit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Retry,
    FirstTry,
    Success,
    GaveUp(GiveUp),
    Abandoned,
}

impl Event {
    #[inline]
    pub(super) fn count(self, counts: &CallCounts) {
        let counter = match self {
            Self::Retry => RETRIES,
            Self::FirstTry => FIRST_TRY,
            Self::Success => SUCCESSES,
            Self::GaveUp(GiveUp::MaxRetries) => MAX_RETRIES,
            Self::GaveUp(GiveUp::NotRetryable) => NOT_RETRYABLE,
            Self::GaveUp(GiveUp::Budget) => BUDGET,
            Self::GaveUp(GiveUp::Deadline) => DEADLINE,
            Self::Abandoned => ABANDONED,
        };
        counts.add(counter, 1);
    }
}

/// What was counted, as users see it.
pub(super) fn read(counts: &CallCounts, budget: Option<&RetryBudget>) -> RetrySnapshot {
    let count = |counter| counts.sum(counter);
    RetrySnapshot {
        retries: count(RETRIES),
        successes: count(SUCCESSES),
        max_retries_exceeded: count(MAX_RETRIES),
        not_retryable: count(NOT_RETRYABLE),
        budget_exhausted: count(BUDGET),
        deadline_exceeded: count(DEADLINE),
        first_try: count(FIRST_TRY) + count(AT_ONCE),
        abandoned: count(ABANDONED),
        budget: budget.map(RetryBudget::snapshot),
    }
}
