//! The outcome of a call, as a gate sees it.

use super::losers;
use std::time::Duration;

/// The outcome of a call, as a gate sees it. A classifier returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The call succeeded.
    Success,
    /// The dependency failed the call.
    Failure {
        /// How long the dependency asked not to be called, if it did: a breaker opens at once and for that long. Zero is a
        /// failure like any other.
        open_for: Option<Duration>,
    },
    /// The result says nothing about the dependency's health, such as a request that was wrong in itself.
    Ignored,
    /// The call was dropped before it ended, because its caller went away.
    Abandoned,
}

impl Outcome {
    /// A failure like any other.
    pub const FAILURE: Self = Self::Failure { open_for: None };

    /// The outcome of a call that was dropped before it ended. A loser of a hedge is ignored: another attempt of the same call
    /// was faster, and the caller did not go away.
    #[must_use]
    pub(crate) fn of_dropped() -> Self {
        if losers::are_being_dropped() {
            Self::Ignored
        } else {
            Self::Abandoned
        }
    }

    /// What a result means by default: `Ok` is a success, `Err` a failure.
    pub fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Success } else { Self::FAILURE }
    }
}
