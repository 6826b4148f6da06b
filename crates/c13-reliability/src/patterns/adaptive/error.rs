//! Why an adaptive limit refused a call.

use crate::error::{Layer, Rejected};
use crate::gate::semaphore::AcquireError;
use crate::verdict::{Meaning, Retryable};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why an adaptive limit refused a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdaptiveRejected {
    /// All permits are taken, and the queue, if there is one, is full.
    Full {
        /// How many calls may run concurrently now.
        limit: u32,
    },
    /// The call's wait in the queue took longer than allowed, or lasted until its deadline.
    WaitElapsed {
        /// How long it was queued.
        waited: Duration,
    },
    /// The call's deadline had passed before it asked for a permit.
    DeadlinePassed,
}

impl fmt::Display for AdaptiveRejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { limit } => write!(f, "the adaptive limit of {limit} is reached"),
            Self::WaitElapsed { waited } => {
                write!(f, "the adaptive limit had no permit for the call within {waited:?}")
            }
            Self::DeadlinePassed => f.write_str("the deadline had passed before the call asked for a permit"),
        }
    }
}

impl Error for AdaptiveRejected {}

impl From<AcquireError> for AdaptiveRejected {
    fn from(error: AcquireError) -> Self {
        match error {
            AcquireError::Full { limit } => Self::Full { limit },
            AcquireError::WaitElapsed { waited } => Self::WaitElapsed { waited },
            AcquireError::DeadlinePassed => Self::DeadlinePassed,
        }
    }
}

impl From<AdaptiveRejected> for Rejected {
    /// Reported as a bulkhead, in whose place the limit is used. When a permit becomes available is not known.
    fn from(_: AdaptiveRejected) -> Self {
        Self::new(Layer::Bulkhead, None)
    }
}

impl Retryable for AdaptiveRejected {
    /// Worth another attempt, because permits become available; after the deadline nothing is.
    fn meaning(&self) -> Meaning {
        match self {
            Self::Full { .. } | Self::WaitElapsed { .. } => Meaning::NOT_ADMITTED,
            Self::DeadlinePassed => Meaning::NOT_SENT,
        }
    }
}
