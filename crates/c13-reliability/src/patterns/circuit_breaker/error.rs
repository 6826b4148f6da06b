//! Why a call through a breaker gave no value.

use crate::error::{Layer, Rejected};
use crate::gate::{Refusal, cut_short};
use crate::time::Rounded;
use crate::verdict::{Meaning, Retryable};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a call through a breaker gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CircuitBreakerError<E> {
    /// The circuit refused; the call did not run.
    CircuitOpen {
        /// How long until probes are let through. Nothing where that is not known: the circuit is forced open, or it is
        /// half-open and all its probes are out.
        retry_after: Option<Duration>,
    },
    /// The caller's deadline had passed before the call began. The circuit was not asked, and nothing is counted.
    DeadlinePassed,
    /// The call ran and failed with its own error.
    CallFailed(E),
}

/// Refuses a call whose caller's deadline has passed: it does not begin, and no gate around it takes that for a failure.
#[cold]
pub(super) fn too_late() -> Rejected {
    cut_short::report();
    Rejected::new(Layer::TotalTimeout, None)
}

impl<E> CircuitBreakerError<E> {
    /// The call's own error, if it ran.
    pub fn into_call_error(self) -> Option<E> {
        match self {
            Self::CircuitOpen { .. } | Self::DeadlinePassed => None,
            Self::CallFailed(error) => Some(error),
        }
    }
}

impl<E> From<Rejected> for CircuitBreakerError<E> {
    fn from(rejected: Rejected) -> Self {
        if rejected.layer == Layer::TotalTimeout {
            return Self::DeadlinePassed;
        }
        Self::CircuitOpen {
            retry_after: rejected.retry_after,
        }
    }
}

impl<E> From<Refusal<Rejected, E>> for CircuitBreakerError<E> {
    fn from(refusal: Refusal<Rejected, E>) -> Self {
        match refusal {
            Refusal::Rejected(rejected) => rejected.into(),
            Refusal::Failed(error) => Self::CallFailed(error),
        }
    }
}

impl<E: fmt::Display> fmt::Display for CircuitBreakerError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CircuitOpen { retry_after: None } => f.write_str("the circuit is open"),
            Self::CircuitOpen {
                retry_after: Some(wait),
            } => write!(f, "the circuit is open, retry in {}", Rounded(*wait)),
            Self::DeadlinePassed => f.write_str("the deadline had passed before the call began"),
            Self::CallFailed(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for CircuitBreakerError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::CircuitOpen { .. } | Self::DeadlinePassed => None,
            Self::CallFailed(error) => error.source(),
        }
    }
}

impl<E: Retryable> Retryable for CircuitBreakerError<E> {
    /// As the call's own error says; an open circuit is not worth another attempt, which it is there to keep away, nor is a
    /// deadline that has passed.
    fn meaning(&self) -> Meaning {
        match self {
            Self::CircuitOpen { .. } | Self::DeadlinePassed => Meaning::NOT_SENT,
            Self::CallFailed(error) => error.meaning(),
        }
    }
}
