//! Why a call with a fallback gave no value.

use std::error::Error;
use std::fmt;

/// Why a call with a fallback gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FallbackError<E> {
    /// The call failed, and there was nothing to fall back on for its error.
    CallFailed(E),
    /// The call failed, and so did the fallback.
    FallbackFailed {
        /// The fallback's error.
        error: E,
        /// The call's own error, which came first.
        cause: E,
    },
}

impl<E> FallbackError<E> {
    /// The call's own error.
    #[must_use]
    pub fn into_call_error(self) -> E {
        match self {
            Self::CallFailed(error) | Self::FallbackFailed { cause: error, .. } => error,
        }
    }
}

impl<E: fmt::Display> fmt::Display for FallbackError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CallFailed(error) => error.fmt(f),
            Self::FallbackFailed { error, .. } => write!(f, "the fallback failed as well: {error}"),
        }
    }
}

impl<E: Error + 'static> Error for FallbackError<E> {
    /// The call's own error where the fallback failed as well.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::CallFailed(error) => error.source(),
            Self::FallbackFailed { cause, .. } => Some(cause),
        }
    }
}
