//! How a call was decided, and why one was refused.

use super::snapshot::DecisionCount;
use crate::distributed::lock::BackendError;
use crate::error::{Layer, Rejected};
use crate::time::Rounded;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How a call was decided, so that an outage is not mistaken for a limit with room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecidedBy {
    /// By the backend, for this call alone.
    Exact,
    /// By tokens that the backend gave in advance.
    Lease,
    /// By this process's share, while the backend does not answer.
    Local,
    /// Without a decision: the backend does not answer, and the setting is to allow.
    Nobody,
}

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SharedLimitError {
    /// The limit is used up.
    Exceeded {
        /// How long until as much is available, unless others take it first.
        retry_after: Duration,
        /// How that was decided.
        by: DecidedBy,
    },
    /// More than the limit ever has at once.
    NeverPossible,
    /// The backend does not answer, and the setting is to deny.
    Unavailable {
        /// When the backend is asked again.
        retry_after: Duration,
        /// What the backend failed with last. Of the kind
        /// [`Refused`](crate::distributed::lock::BackendErrorKind::Refused) it does not pass by waiting.
        cause: Arc<BackendError>,
    },
    /// There is nothing in memory to decide by, and this call must not wait for the backend.
    NotAsked,
    /// The key is longer than keys may be.
    KeyTooLong {
        /// How many bytes it has.
        length: usize,
        /// How many it may have.
        longest: usize,
    },
}

impl fmt::Display for SharedLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exceeded { retry_after, .. } => {
                write!(
                    f,
                    "the shared rate limit is used up, retry in {}",
                    Rounded(*retry_after)
                )
            }
            Self::NeverPossible => f.write_str("more than the shared rate limit ever has at once"),
            Self::Unavailable { retry_after, cause } => {
                write!(
                    f,
                    "the backend of the shared rate limit cannot be asked, retry in {}: {cause}",
                    Rounded(*retry_after)
                )
            }
            Self::NotAsked => f.write_str("nothing of the shared rate limit is in memory, and it was not asked for"),
            Self::KeyTooLong { length, longest } => {
                write!(
                    f,
                    "the key has {length} bytes, and keys of a shared rate limit have at most {longest}"
                )
            }
        }
    }
}

impl std::error::Error for SharedLimitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // The display includes it.
            Self::Unavailable { cause, .. } => cause.source(),
            Self::Exceeded { .. } | Self::NeverPossible | Self::NotAsked | Self::KeyTooLong { .. } => None,
        }
    }
}

impl From<SharedLimitError> for Rejected {
    fn from(error: SharedLimitError) -> Self {
        Self::new(
            Layer::RateLimit,
            match error {
                SharedLimitError::Exceeded { retry_after, .. } | SharedLimitError::Unavailable { retry_after, .. } => {
                    Some(retry_after)
                }
                SharedLimitError::NeverPossible | SharedLimitError::NotAsked | SharedLimitError::KeyTooLong { .. } => {
                    None
                }
            },
        )
    }
}

/// Where a decision is counted.
pub(super) const fn count_of(decided: &Result<DecidedBy, SharedLimitError>) -> DecisionCount {
    match decided {
        Ok(DecidedBy::Lease) => DecisionCount::Leased,
        Ok(DecidedBy::Exact) => DecisionCount::Exact,
        Ok(DecidedBy::Local) => DecisionCount::Local,
        Ok(DecidedBy::Nobody) => DecisionCount::Unchecked,
        Err(SharedLimitError::Exceeded { .. }) => DecisionCount::Exceeded,
        Err(SharedLimitError::NeverPossible) => DecisionCount::NeverPossible,
        Err(SharedLimitError::Unavailable { .. }) => DecisionCount::Unavailable,
        Err(SharedLimitError::NotAsked) => DecisionCount::NotAsked,
        Err(SharedLimitError::KeyTooLong { .. }) => DecisionCount::KeyTooLong,
    }
}
