//! What the results of a call mean to the circuit breaker, and to retry and hedge.

use super::kept::CallPermit;
use crate::gate::{ByResult, Outcome};
use crate::patterns::retry::Verdict;
use crate::sync::primitive::Mutex;

/// How often a call may be made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::policy) enum Repeats {
    /// Once: retry and hedge are not used.
    Never,
    /// Again after a result that is worth it. Not after a time limit, which leaves unknown what the attempt did, and not by a
    /// hedge.
    AfterResult,
    /// As retry and hedge decide.
    Freely,
}

/// What the results of a call mean.
pub(in crate::policy) trait Rules<T, E> {
    /// How often retry and hedge may make the call.
    const REPEATS: Repeats = Repeats::Freely;

    /// What a result says about the dependency.
    fn outcome(&self, result: &Result<T, E>) -> Outcome;
    /// Whether a result is worth another attempt.
    fn verdict(&self, result: &Result<T, E>) -> Verdict;

    /// Where the permits of a successful call go, if they outlive the call; see [`CallPermit`].
    #[inline(always)]
    fn kept(&self) -> Option<&Mutex<CallPermit>> {
        None
    }
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
pub(in crate::policy) struct Once<R>(pub(in crate::policy) R);

impl<T, E, R: Rules<T, E>> Rules<T, E> for Once<R> {
    const REPEATS: Repeats = Repeats::Never;

    fn outcome(&self, result: &Result<T, E>) -> Outcome {
        self.0.outcome(result)
    }

    fn verdict(&self, result: &Result<T, E>) -> Verdict {
        self.0.verdict(result)
    }
}

/// The rules of a call that must not have its effect twice. The verdict of `R` must be final unless an attempt had none.
pub(in crate::policy) struct Cautious<R>(pub(in crate::policy) R);

impl<T, E, R: Rules<T, E>> Rules<T, E> for Cautious<R> {
    const REPEATS: Repeats = Repeats::AfterResult;

    fn outcome(&self, result: &Result<T, E>) -> Outcome {
        self.0.outcome(result)
    }

    fn verdict(&self, result: &Result<T, E>) -> Verdict {
        self.0.verdict(result)
    }
}

/// The rules of a call whose permits outlive it.
pub(super) struct Keeping<'a, R> {
    pub(super) rules: R,
    pub(super) kept: &'a Mutex<CallPermit>,
}

impl<T, E, R: Rules<T, E>> Rules<T, E> for Keeping<'_, R> {
    const REPEATS: Repeats = R::REPEATS;

    fn outcome(&self, result: &Result<T, E>) -> Outcome {
        self.rules.outcome(result)
    }

    fn verdict(&self, result: &Result<T, E>) -> Verdict {
        self.rules.verdict(result)
    }

    fn kept(&self) -> Option<&Mutex<CallPermit>> {
        Some(self.kept)
    }
}
