//! What a result means, in one value: to gates, to retry, and to a call that must not be made twice.

use super::{Retryable, Verdict};
use crate::gate::Outcome;
use std::time::Duration;

/// What a result means. Each protocol has one table of these; its outcomes and its verdicts are read from there.
///
/// | | outcome | verdict | had no effect |
/// |---|---|---|---|
/// | [`ANSWER`](Self::ANSWER) | success | final | |
/// | [`CONFLICT`](Self::CONFLICT) | success | retry | yes |
/// | [`REFUSED`](Self::REFUSED) | failure | retry | yes |
/// | [`FAILURE`](Self::FAILURE) | failure | retry | |
/// | [`DEFECT`](Self::DEFECT) | failure | final | |
/// | [`NOT_ADMITTED`](Self::NOT_ADMITTED) | ignored | retry | yes |
/// | [`NOT_SENT`](Self::NOT_SENT) | ignored | final | yes |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meaning {
    /// What it says about the dependency, to a gate.
    pub outcome: Outcome,
    /// Whether it is worth another attempt, to retry and hedge.
    pub verdict: Verdict,
    /// Whether the attempt certainly changed nothing, so that even a call that must not be made twice may be made again.
    pub had_no_effect: bool,
}

impl Meaning {
    /// The dependency answered, as it should: with a value, or with an error that is the caller's, such as "no such user".
    /// It is a success even then: a dependency that refuses what is wrong is well, and if such answers did not count, a few
    /// failures among very many of them would be most of what counts.
    pub const ANSWER: Self = Self::new(Outcome::Success, Verdict::Final, false);
    /// The dependency is well, and undid the call for the sake of a concurrent one, such as a transaction in a deadlock.
    pub const CONFLICT: Self = Self::new(Outcome::Success, Verdict::Retry, true);
    /// The dependency cannot take the call now, and has not begun it: a connection that is refused, too many clients.
    pub const REFUSED: Self = Self::new(Outcome::FAILURE, Verdict::Retry, true);
    /// The dependency failed the call, which may have had an effect, such as a connection that was lost. It may pass.
    pub const FAILURE: Self = Self::new(Outcome::FAILURE, Verdict::Retry, false);
    /// The dependency failed the call, and another attempt would only repeat that.
    pub const DEFECT: Self = Self::new(Outcome::FAILURE, Verdict::Final, false);
    /// A layer of one's own did not admit the call, and may admit the next attempt.
    pub const NOT_ADMITTED: Self = Self::new(Outcome::Ignored, Verdict::Retry, true);
    /// Nothing was sent, and nothing will be: a request that cannot be built, an open circuit, a deadline that has passed.
    pub const NOT_SENT: Self = Self::new(Outcome::Ignored, Verdict::Final, true);

    /// A meaning of one's own.
    #[must_use]
    pub const fn new(outcome: Outcome, verdict: Verdict, had_no_effect: bool) -> Self {
        Self {
            outcome,
            verdict,
            had_no_effect,
        }
    }

    /// The meaning of a result whose error is [`Retryable`]; every value is an answer.
    pub fn by_error<T, E: Retryable>(result: &Result<T, E>) -> Self {
        match result {
            Ok(_) => Self::ANSWER,
            Err(error) => error.meaning(),
        }
    }

    /// The same, and another attempt, where there is one, not before `wait` has passed.
    #[must_use]
    pub const fn after(mut self, wait: Duration) -> Self {
        if !matches!(self.verdict, Verdict::Final) {
            self.verdict = Verdict::RetryAfter(wait);
        }
        self
    }
}
