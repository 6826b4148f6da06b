//! What the results of a call mean to the circuit breaker, and to retry and hedge.

use crate::gate::{ByResult, Outcome};
use crate::patterns::retry::Verdict;

/// What the results of a call mean.
pub(in crate::policy) trait Rules<T, E> {
    /// Whether a call may be made more than once, by retry and hedge.
    const REPEATS: bool = true;

    /// What a result says about the dependency.
    fn outcome(&self, result: &Result<T, E>) -> Outcome;
    /// Whether a result is worth another attempt.
    fn verdict(&self, result: &Result<T, E>) -> Verdict;
}

/// The default: every `Err` is a failure, and worth another attempt.
impl<T, E> Rules<T, E> for ByResult {
    fn outcome(&self, result: &Result<T, E>) -> Outcome {
        Outcome::of(result)
    }

    fn verdict(&self, result: &Result<T, E>) -> Verdict {
        Verdict::of(result)
    }
}

/// Rules given for one call.
pub(in crate::policy) struct Given<C, V> {
    pub(in crate::policy) classify: C,
    pub(in crate::policy) verdict: V,
}

impl<T, E, C, V> Rules<T, E> for Given<C, V>
where
    C: Fn(&Result<T, E>) -> Outcome,
    V: Fn(&Result<T, E>) -> Verdict,
{
    fn outcome(&self, result: &Result<T, E>) -> Outcome {
        (self.classify)(result)
    }

    fn verdict(&self, result: &Result<T, E>) -> Verdict {
        (self.verdict)(result)
    }
}

/// The rules of a call that can be made only once.
pub(super) struct Once<R>(pub(super) R);

impl<T, E, R: Rules<T, E>> Rules<T, E> for Once<R> {
    const REPEATS: bool = false;

    fn outcome(&self, result: &Result<T, E>) -> Outcome {
        self.0.outcome(result)
    }

    fn verdict(&self, result: &Result<T, E>) -> Verdict {
        self.0.verdict(result)
    }
}
