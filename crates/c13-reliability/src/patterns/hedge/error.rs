//! Why a hedged call gave no value.

use crate::verdict::{Meaning, Retryable};
use std::error::Error;
use std::fmt;

/// Why a hedged call gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HedgeError<E> {
    /// The caller's deadline had passed before the first attempt, which was not made.
    DeadlinePassed,
    /// The call failed: the first attempt's own error where all have failed, and otherwise the one that was accepted as the
    /// result.
    CallFailed(E),
}

impl<E> HedgeError<E> {
    /// The call's own error, if it was made.
    #[must_use]
    pub fn into_call_error(self) -> Option<E> {
        match self {
            Self::CallFailed(error) => Some(error),
            Self::DeadlinePassed => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for HedgeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeadlinePassed => f.write_str("the deadline had passed before the first attempt"),
            Self::CallFailed(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for HedgeError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::DeadlinePassed => None,
            // The message is that error's own already.
            Self::CallFailed(error) => error.source(),
        }
    }
}

impl<E: Retryable> Retryable for HedgeError<E> {
    /// As the call's own error says; after the caller's deadline nothing is worth another attempt.
    fn meaning(&self) -> Meaning {
        match self {
            Self::DeadlinePassed => Meaning::NOT_SENT,
            Self::CallFailed(error) => error.meaning(),
        }
    }
}
