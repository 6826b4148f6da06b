//! Why a call through a bulkhead gave no value.

use crate::error::{Layer, Rejected};
use crate::gate::semaphore::AcquireError;
use crate::verdict::{Meaning, Retryable};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a bulkhead refused a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BulkheadRejected {
    /// All permits are taken, and the queue, if there is one, is full.
    Full {
        /// How many calls may run concurrently.
        max_concurrent: u32,
    },
    /// The call's wait in the queue took longer than allowed, or lasted until its deadline.
    WaitElapsed {
        /// How long it was queued.
        waited: Duration,
    },
    /// The call's deadline had passed before it asked for a permit.
    DeadlinePassed,
}

impl fmt::Display for BulkheadRejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { max_concurrent } => {
                write!(f, "the bulkhead is full, its limit is {max_concurrent}")
            }
            Self::WaitElapsed { waited } => write!(f, "the bulkhead had no permit for the call within {waited:?}"),
            Self::DeadlinePassed => f.write_str("the deadline had passed before the call asked for a permit"),
        }
    }
}

impl Error for BulkheadRejected {}

impl From<AcquireError> for BulkheadRejected {
    fn from(error: AcquireError) -> Self {
        match error {
            AcquireError::Full { limit } => Self::Full { max_concurrent: limit },
            AcquireError::WaitElapsed { waited } => Self::WaitElapsed { waited },
            AcquireError::DeadlinePassed => Self::DeadlinePassed,
        }
    }
}

impl From<BulkheadRejected> for Rejected {
    /// When a permit becomes available is not known, so there is no `retry_after`.
    fn from(_: BulkheadRejected) -> Self {
        Self::new(Layer::Bulkhead, None)
    }
}

/// Why a call through a bulkhead gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BulkheadError<E> {
    /// All permits are taken, and the queue, if there is one, is full. The call did not run.
    Full {
        /// How many calls may run concurrently.
        max_concurrent: u32,
    },
    /// The call's wait in the queue took longer than allowed, or lasted until its deadline. It did not run.
    WaitElapsed {
        /// How long it was queued.
        waited: Duration,
    },
    /// The call's deadline had passed before it asked for a permit. It did not run.
    DeadlinePassed,
    /// The call ran and failed with its own error.
    CallFailed(E),
}

impl<E> BulkheadError<E> {
    /// The call's own error, if it ran.
    #[must_use]
    pub fn into_call_error(self) -> Option<E> {
        match self {
            Self::CallFailed(error) => Some(error),
            Self::Full { .. } | Self::WaitElapsed { .. } | Self::DeadlinePassed => None,
        }
    }
}

impl<E> From<BulkheadRejected> for BulkheadError<E> {
    fn from(rejected: BulkheadRejected) -> Self {
        match rejected {
            BulkheadRejected::Full { max_concurrent } => Self::Full { max_concurrent },
            BulkheadRejected::WaitElapsed { waited } => Self::WaitElapsed { waited },
            BulkheadRejected::DeadlinePassed => Self::DeadlinePassed,
        }
    }
}

impl<E: fmt::Display> fmt::Display for BulkheadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Full { max_concurrent } => BulkheadRejected::Full { max_concurrent }.fmt(f),
            Self::WaitElapsed { waited } => BulkheadRejected::WaitElapsed { waited }.fmt(f),
            Self::DeadlinePassed => BulkheadRejected::DeadlinePassed.fmt(f),
            Self::CallFailed(ref error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for BulkheadError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::CallFailed(error) => error.source(),
            Self::Full { .. } | Self::WaitElapsed { .. } | Self::DeadlinePassed => None,
        }
    }
}

impl Retryable for BulkheadRejected {
    /// Worth another attempt, because permits become available; after the deadline nothing is.
    fn meaning(&self) -> Meaning {
        match self {
            Self::Full { .. } | Self::WaitElapsed { .. } => Meaning::NOT_ADMITTED,
            Self::DeadlinePassed => Meaning::NOT_SENT,
        }
    }
}

impl<E: Retryable> Retryable for BulkheadError<E> {
    /// As the call's own error says; a full bulkhead is worth another attempt, because permits become available.
    fn meaning(&self) -> Meaning {
        match self {
            Self::Full { .. } | Self::WaitElapsed { .. } => Meaning::NOT_ADMITTED,
            Self::DeadlinePassed => Meaning::NOT_SENT,
            Self::CallFailed(error) => error.meaning(),
        }
    }
}
