//! The error of a call through a policy: which layer ended the call, when to try again, and the caller's own error.

use crate::error::Layer;
use crate::patterns::retry::GiveUp;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a call through a policy gave no value.
///
/// `E` is the caller's own error. Where an attempt failed before a layer ended the call, that error is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError<E> {
    /// A layer refused the call, or its next attempt.
    Rejected {
        /// The layer: rate limit, bulkhead or circuit breaker.
        layer: Layer,
        /// How long to wait before another call can succeed, where the layer knows.
        retry_after: Option<Duration>,
        /// Attempts that ran before.
        attempts: u32,
        /// What the last of them failed with, unless it ran into its time limit.
        last_error: Option<E>,
    },
    /// A time limit came first.
    TimedOut {
        /// The limit: of the whole call or of one attempt.
        layer: Layer,
        /// How long the limit is.
        limit: Duration,
        /// Attempts that ran, this one included.
        attempts: u32,
        /// What the attempt before failed with, if there was one.
        last_error: Option<E>,
    },
    /// The call itself failed.
    Failed {
        /// The caller's own error.
        error: E,
        /// Attempts that ran.
        attempts: u32,
        /// Why there was no further attempt; `None` if the policy has no retry.
        gave_up: Option<GiveUp>,
    },
}

impl<E> PolicyError<E> {
    /// The layer that ended the call, `None` if the call itself failed and was not worth or not allowed another try.
    ///
    /// A retry budget that is used up belongs to the retry layer, a deadline that leaves no room for another attempt to the
    /// total timeout.
    #[must_use]
    pub fn layer(&self) -> Option<Layer> {
        match self {
            Self::Rejected { layer, .. } | Self::TimedOut { layer, .. } => Some(*layer),
            Self::Failed {
                gave_up: Some(GiveUp::Budget),
                ..
            } => Some(Layer::Retry),
            Self::Failed {
                gave_up: Some(GiveUp::Deadline),
                ..
            } => Some(Layer::TotalTimeout),
            Self::Failed { .. } => None,
        }
    }

    /// How long to wait before another call can succeed, where a layer knows.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rejected { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// How many attempts ran.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        match self {
            Self::Rejected { attempts, .. } | Self::TimedOut { attempts, .. } | Self::Failed { attempts, .. } => {
                *attempts
            }
        }
    }

    /// Whether a layer refused the call or its next attempt.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected { .. })
    }

    /// Whether the circuit is open.
    #[must_use]
    pub fn is_circuit_open(&self) -> bool {
        matches!(
            self,
            Self::Rejected {
                layer: Layer::CircuitBreaker,
                ..
            }
        )
    }

    /// Whether the rate limit refused the call.
    #[must_use]
    pub fn is_rate_limited(&self) -> bool {
        matches!(
            self,
            Self::Rejected {
                layer: Layer::RateLimit,
                ..
            }
        )
    }

    /// Whether the bulkhead refused the call.
    #[must_use]
    pub fn is_bulkhead_full(&self) -> bool {
        matches!(
            self,
            Self::Rejected {
                layer: Layer::Bulkhead,
                ..
            }
        )
    }

    /// Whether a time limit came first.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    /// The caller's own error, of the last attempt that had one.
    #[must_use]
    pub fn error(&self) -> Option<&E> {
        match self {
            Self::Rejected { last_error, .. } | Self::TimedOut { last_error, .. } => last_error.as_ref(),
            Self::Failed { error, .. } => Some(error),
        }
    }

    /// The caller's own error, of the last attempt that had one.
    #[must_use]
    pub fn into_error(self) -> Option<E> {
        match self {
            Self::Rejected { last_error, .. } | Self::TimedOut { last_error, .. } => last_error,
            Self::Failed { error, .. } => Some(error),
        }
    }
}

impl<E: fmt::Display> fmt::Display for PolicyError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected { layer, retry_after, .. } => {
                write!(f, "refused by the {layer} layer")?;
                if let Some(wait) = retry_after {
                    write!(f, ", retry after {wait:?}")?;
                }
            }
            Self::TimedOut { layer, limit, .. } => write!(f, "over the {layer} of {limit:?}")?,
            Self::Failed { gave_up, .. } => f.write_str(match gave_up {
                Some(GiveUp::MaxRetries) => "the call failed and all its retries are used up",
                Some(GiveUp::NotRetryable) => "the call failed with an error not worth another try",
                Some(GiveUp::Budget) => "the call failed and the retry budget is used up",
                Some(GiveUp::Deadline) => "the call failed too close to its deadline for another try",
                _ => "the call failed",
            })?,
        }
        match self.attempts() {
            0 => f.write_str(", before any attempt")?,
            1 => f.write_str(", after 1 attempt")?,
            attempts => write!(f, ", after {attempts} attempts")?,
        }
        match self.error() {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

impl<E: Error + 'static> Error for PolicyError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The message contains the error itself already.
        self.error()?.source()
    }
}
