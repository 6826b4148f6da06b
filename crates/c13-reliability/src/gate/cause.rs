//! What made a call count as failed, for messages and events.

use crate::time::Rounded;
use std::fmt;
use std::time::Duration;

/// What made a call count as failed or slow, as far as the library can tell without a bound on the caller's types.
///
/// It is for messages: no decision depends on it, and it holds no text of an error, because that may not be meant for logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// It is not known: the outcome was recorded by hand.
    #[default]
    Unknown,
    /// An error of this type, by its full name.
    Error(&'static str),
    /// A value that counts as a failure, such as an answer with status 500.
    Value,
    /// It was cut short after this long.
    TimedOut(Duration),
    /// It panicked.
    Panicked,
    /// It ended well, but took this long.
    Slow(Duration),
}

impl Cause {
    /// The cause of a result that counts as a failure.
    #[inline]
    pub(crate) fn of<T, E>(result: &Result<T, E>) -> Self {
        match result {
            Ok(_) => Self::Value,
            Err(_) => Self::Error(std::any::type_name::<E>()),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("a failure"),
            Self::Error(name) => write!(f, "an error of type {name}"),
            Self::Value => f.write_str("an answer that counts as a failure"),
            Self::TimedOut(limit) => write!(f, "timed out after {}", Rounded(*limit)),
            Self::Panicked => f.write_str("a panic"),
            Self::Slow(took) => write!(f, "slow, with {}", Rounded(*took)),
        }
    }
}
