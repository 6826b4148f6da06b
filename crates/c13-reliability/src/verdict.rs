//! What a result means: to gates, which outcome it is; to retry, whether it is worth another attempt.

mod grpc;
mod http;
#[cfg(feature = "hyper")]
mod hyper;
mod io;
mod meaning;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "reqwest")]
mod reqwest;
mod sqlstate;
#[cfg(feature = "postgres")]
mod sqlx;
#[cfg(feature = "tonic")]
mod tonic;

use crate::error::{Layer, Rejected};
use crate::gate::{Outcome, Refusal};
use std::time::Duration;

pub use meaning::Meaning;

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
        Meaning::by_error(result).verdict
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

impl Outcome {
    /// The classifier for errors that implement [`Retryable`]; every value is a success.
    pub fn by_error<T, E: Retryable>(result: &Result<T, E>) -> Self {
        Meaning::by_error(result).outcome
    }
}

/// An error that knows what it means: what it says about the dependency, and whether another attempt may succeed.
///
/// ```
/// use c13_reliability::gate::Outcome;
/// use c13_reliability::verdict::{Meaning, Retryable, Verdict};
///
/// enum SearchError {
///     BadQuery,
///     ShardDown,
/// }
///
/// impl Retryable for SearchError {
///     fn meaning(&self) -> Meaning {
///         match self {
///             Self::BadQuery => Meaning::ANSWER,
///             Self::ShardDown => Meaning::FAILURE,
///         }
///     }
/// }
///
/// assert_eq!(SearchError::ShardDown.verdict(), Verdict::Retry);
/// assert_eq!(SearchError::BadQuery.outcome(), Outcome::Success);
/// ```
pub trait Retryable {
    /// What the error means.
    fn meaning(&self) -> Meaning;

    /// Whether another attempt may succeed, and when.
    fn verdict(&self) -> Verdict {
        self.meaning().verdict
    }

    /// What the error says about the dependency.
    fn outcome(&self) -> Outcome {
        self.meaning().outcome
    }
}

impl<E: Retryable + ?Sized> Retryable for &E {
    fn meaning(&self) -> Meaning {
        (**self).meaning()
    }
}

impl<E: Retryable + ?Sized> Retryable for Box<E> {
    fn meaning(&self) -> Meaning {
        (**self).meaning()
    }
}

impl Retryable for Rejected {
    /// Worth another attempt after its `retry_after`. An open circuit is not, because its purpose is to keep attempts
    /// away. What a layer of one's own refuses says nothing about the dependency.
    fn meaning(&self) -> Meaning {
        match (self.layer, self.retry_after) {
            (Layer::CircuitBreaker, _) => Meaning::NOT_SENT,
            (_, Some(wait)) => Meaning::NOT_ADMITTED.after(wait),
            (_, None) => Meaning::NOT_ADMITTED,
        }
    }
}

impl<R: Retryable, E: Retryable> Retryable for Refusal<R, E> {
    /// The meaning of the gate's rejection or of the call's own error.
    fn meaning(&self) -> Meaning {
        match self {
            Self::Rejected(rejection) => rejection.meaning(),
            Self::Failed(error) => error.meaning(),
        }
    }
}
