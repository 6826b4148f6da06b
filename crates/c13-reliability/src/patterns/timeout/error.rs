//! Why a call with a time limit gave no value.

use crate::gate::Outcome;
use crate::verdict::{Meaning, Retryable, Verdict};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a call with a time limit gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeoutError<E> {
    /// The call took longer than its limit and was dropped.
    Elapsed {
        /// The limit.
        limit: Duration,
    },
    /// The caller's deadline came before the limit, or had passed before the call was started.
    DeadlineExceeded,
    /// The call failed in time, with its own error.
    CallFailed(E),
}

impl<E> TimeoutError<E> {
    /// The call's own error, if it failed in time.
    #[must_use]
    pub fn into_call_error(self) -> Option<E> {
        match self {
            Self::CallFailed(error) => Some(error),
            Self::Elapsed { .. } | Self::DeadlineExceeded => None,
        }
    }

    /// Whether time ran out.
    #[must_use]
    pub const fn is_timeout(&self) -> bool {
        !matches!(self, Self::CallFailed(_))
    }
}

impl<E: fmt::Display> fmt::Display for TimeoutError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elapsed { limit } => write!(f, "the call took longer than its limit of {limit:?}"),
            Self::DeadlineExceeded => f.write_str("the caller's deadline has passed"),
            Self::CallFailed(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for TimeoutError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // The message is that error's own already.
            Self::CallFailed(error) => error.source(),
            Self::Elapsed { .. } | Self::DeadlineExceeded => None,
        }
    }
}

impl<E: Retryable> Retryable for TimeoutError<E> {
    /// A call that took too long is worth another attempt; after the caller's deadline nothing is.
    fn meaning(&self) -> Meaning {
        match self {
            Self::Elapsed { .. } => Meaning::FAILURE,
            // It may have passed while the call ran.
            Self::DeadlineExceeded => Meaning::new(Outcome::Ignored, Verdict::Final, false),
            Self::CallFailed(error) => error.meaning(),
        }
    }
}
