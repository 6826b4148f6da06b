//! Why a request was refused.

use super::config::LONGEST;
use crate::error::{Layer, Rejected};
use crate::time::Rounded;
use crate::verdict::{Meaning, Retryable};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a rate limiter refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RateLimitError {
    /// Too few tokens are available now; enough will be.
    RateLimitExceeded {
        /// How many tokens the request was for.
        requested: u64,
        /// How many were available at that moment; 0 while others wait.
        available: u64,
        /// How long until the same request could be met, if nobody else takes tokens meanwhile. It counts in those who wait
        /// already.
        retry_after: Duration,
    },
    /// The request's key is longer than a [keyed limiter](super::KeyedRateLimiter) keeps: no wait would help.
    KeyTooLong {
        /// How many bytes of text the key holds.
        length: usize,
        /// How many it may hold.
        longest: usize,
    },
    /// The request is larger than the limiter's capacity: no wait would help.
    ExceedsCapacity {
        /// How many tokens the request was for.
        requested: u64,
        /// The largest request that can ever be met.
        capacity: u64,
    },
}

impl RateLimitError {
    /// How long until the same request could be met; `None` if never.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimitExceeded { retry_after, .. } => Some(*retry_after),
            Self::ExceedsCapacity { .. } | Self::KeyTooLong { .. } => None,
        }
    }
}

impl fmt::Display for RateLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateLimitExceeded {
                requested,
                available,
                retry_after,
            } => write!(
                f,
                "rate limit exceeded: {requested} requested, {available} available, retry in {}",
                Rounded(*retry_after)
            ),
            Self::KeyTooLong { length, longest } => {
                write!(
                    f,
                    "the key of the rate limit is too long: it has {length} bytes, and may have {longest}"
                )
            }
            Self::ExceedsCapacity { requested, capacity } => write!(
                f,
                "rate limit can never be met: {requested} requested, but the capacity is {capacity}"
            ),
        }
    }
}

impl Error for RateLimitError {}

impl From<RateLimitError> for Rejected {
    fn from(error: RateLimitError) -> Self {
        Self::new(Layer::RateLimit, error.retry_after())
    }
}

/// What is missing for a request: how much is available, and how long until the request could be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shortfall {
    pub(super) available: u64,
    pub(super) wait: Duration,
}

impl Shortfall {
    /// For a request that is too far in the future to compute.
    pub(super) const NEVER: Self = Self {
        available: 0,
        wait: LONGEST,
    };

    pub(super) const fn refuse(self, requested: u64) -> RateLimitError {
        RateLimitError::RateLimitExceeded {
            requested,
            available: self.available,
            retry_after: self.wait,
        }
    }
}

impl Retryable for RateLimitError {
    /// Worth another attempt when enough tokens are available again; a request that is too large never is.
    fn meaning(&self) -> Meaning {
        let wait = self.retry_after();
        wait.map_or(Meaning::NOT_SENT, |wait| Meaning::NOT_ADMITTED.after(wait))
    }
}
