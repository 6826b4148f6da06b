//! Whether a result is worth another attempt.

use crate::error::{Layer, Rejected};
use crate::gate::Refusal;
use std::time::Duration;

/// Whether a result is worth another attempt. A classifier returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// No other attempt: the result is a good value, or an error that another attempt would only repeat.
    Final,
    /// Another attempt may succeed.
    Retry,
    /// Another attempt may succeed, but not before this time has passed.
    RetryAfter(Duration),
}

impl Verdict {
    /// The default classifier: every error is worth a retry, and no value is.
    pub fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Final } else { Self::Retry }
    }

    /// The classifier for errors that implement [`Retryable`].
    pub fn by_error<T, E: Retryable>(result: &Result<T, E>) -> Self {
        match result {
            Ok(_) => Self::Final,
            Err(error) => error.verdict(),
        }
    }

    /// How long to wait, if the verdict says it.
    #[must_use]
    pub const fn hint(self) -> Option<Duration> {
        match self {
            Self::RetryAfter(wait) => Some(wait),
            Self::Final | Self::Retry => None,
        }
    }
}

/// An error that knows whether another attempt may succeed.
pub trait Retryable {
    /// Whether another attempt may succeed, and when.
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
    /// Worth another attempt after its `retry_after`. An open circuit is not, because its purpose is to keep attempts
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
    /// The verdict of the gate's rejection or of the call's own error.
    fn verdict(&self) -> Verdict {
        match self {
            Self::Rejected(rejection) => rejection.verdict(),
            Self::Failed(error) => error.verdict(),
        }
    }
}
