//! Whether a result is worth another attempt.

use crate::error::{Layer, Rejected};
use crate::gate::Refusal;
use std::time::Duration;

/// Whether a result is worth another attempt; what a classifier answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is the result: a good value, or an error that another attempt would only repeat.
    Final,
    /// Another attempt may go better.
    Retry,
    /// Another attempt may go better, but not before this has passed.
    RetryAfter(Duration),
}

impl Verdict {
    /// The classifier used where no other is given: every error is worth a retry and no value is.
    pub fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Final } else { Self::Retry }
    }

    /// The classifier for errors that know themselves whether they are worth a retry.
    pub fn by_error<T, E: Retryable>(result: &Result<T, E>) -> Self {
        match result {
            Ok(_) => Self::Final,
            Err(error) => error.verdict(),
        }
    }

    /// How long to wait, where the verdict says it.
    #[must_use]
    pub const fn hint(self) -> Option<Duration> {
        match self {
            Self::RetryAfter(wait) => Some(wait),
            Self::Final | Self::Retry => None,
        }
    }
}

/// An error that knows whether another attempt may go better.
pub trait Retryable {
    /// Whether another attempt may go better, and when.
    fn verdict(&self) -> Verdict;
}

impl<E: Retryable + ?Sized> Retryable for &E {
    fn verdict(&self) -> Verdict {
        (**self).verdict()
    }
}

impl<E: Retryable + ?Sized> Retryable for Box<E> {
    fn verdict(&self) -> Verdict {
        (**self).verdict()
    }
}

impl Retryable for Rejected {
    /// Worth another attempt, and not before its `retry_after`; but an open circuit is not: it is there to keep attempts
    /// away.
    fn verdict(&self) -> Verdict {
        match (self.layer, self.retry_after) {
            (Layer::CircuitBreaker, _) => Verdict::Final,
            (_, Some(wait)) => Verdict::RetryAfter(wait),
            (_, None) => Verdict::Retry,
        }
    }
}

impl<R: Retryable, E: Retryable> Retryable for Refusal<R, E> {
    /// As the gate's refusal or the call's own error says.
    fn verdict(&self) -> Verdict {
        match self {
            Self::Rejected(rejection) => rejection.verdict(),
            Self::Failed(error) => error.verdict(),
        }
    }
}
