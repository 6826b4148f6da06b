//! Why an adaptive limit let a call not run.

use crate::error::{Layer, Rejected};
use crate::gate::semaphore::AcquireError;
use crate::verdict::{Retryable, Verdict};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why an adaptive limit let a call not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdaptiveRejected {
    /// As many calls run as may now, and as many are in line as may, if any.
    Full {
        /// How many calls may run at a time now.
        limit: u32,
    },
    /// The call was in line for as long as it may, or until its deadline.
    WaitElapsed {
        /// How long it was in line.
        waited: Duration,
    },
    /// The call's deadline had passed before it asked for a place.
    DeadlinePassed,
}

impl fmt::Display for AdaptiveRejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { limit } => write!(f, "the adaptive limit of {limit} is reached"),
            Self::WaitElapsed { waited } => write!(f, "the adaptive limit had no place for the call within {waited:?}"),
            Self::DeadlinePassed => f.write_str("the deadline had passed before the call asked for a place"),
        }
    }
}

impl Error for AdaptiveRejected {}

impl From<AcquireError> for AdaptiveRejected {
    fn from(no_place: AcquireError) -> Self {
        match no_place {
            AcquireError::Full { limit } => Self::Full { limit },
            AcquireError::WaitElapsed { waited } => Self::WaitElapsed { waited },
            AcquireError::DeadlinePassed => Self::DeadlinePassed,
        }
    }
}

impl From<AdaptiveRejected> for Rejected {
    /// An adaptive limit stands where a bulkhead would. When a place becomes free is not known.
    fn from(_: AdaptiveRejected) -> Self {
        Self::new(Layer::Bulkhead, None)
    }
}

impl Retryable for AdaptiveRejected {
    /// Worth another attempt: places become free. After the deadline nothing is.
    fn verdict(&self) -> Verdict {
        match self {
            Self::Full { .. } | Self::WaitElapsed { .. } => Verdict::Retry,
            Self::DeadlinePassed => Verdict::Final,
        }
    }
}
