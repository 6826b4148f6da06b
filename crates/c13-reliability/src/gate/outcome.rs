//! What came of a call, as far as a gate needs to know.

use super::losers;
use std::time::Duration;

/// What came of a call, as far as a gate needs to know. A classifier answers with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The call did what it should.
    Success,
    /// The dependency failed the call.
    Failure {
        /// How long the dependency asked to be left alone, where it did: a breaker opens at once and for that long. Zero
        /// is a failure like any other.
        open_for: Option<Duration>,
    },
    /// The result says nothing about the dependency's health, such as a request that was wrong in itself.
    Ignored,
    /// Nobody waited for the result: the future was dropped before it was done.
    Abandoned,
}

impl Outcome {
    /// A failure like any other.
    pub const FAILURE: Self = Self::Failure { open_for: None };

    /// What came of a call that was dropped before it was done. A loser of a hedge says nothing: another attempt of the same
    /// call has answered, and nobody gave up.
    #[must_use]
    pub(crate) fn of_dropped() -> Self {
        if losers::are_being_dropped() {
            Self::Ignored
        } else {
            Self::Abandoned
        }
    }

    /// What a result means where nobody says otherwise: `Ok` is a success, `Err` a failure.
    pub fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Success } else { Self::FAILURE }
    }
}
