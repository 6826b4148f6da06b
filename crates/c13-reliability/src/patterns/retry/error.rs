//! Why a call with retries gave no value.

use super::GiveUp;
use std::error::Error;
use std::fmt;

/// Why a call with retries gave no value. Where an attempt was made, the last one's own error is there, as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryError<E> {
    /// All retries were made and the last attempt failed as well.
    MaxRetriesExceeded {
        /// How many attempts were made, the first included.
        attempts: u32,
        /// The last attempt's error.
        last_error: E,
    },
    /// The error is not worth a retry.
    NotRetryable {
        /// How many attempts were made, the first included.
        attempts: u32,
        /// The last attempt's error.
        last_error: E,
    },
    /// The retry budget had nothing left.
    BudgetExhausted {
        /// How many attempts were made, the first included.
        attempts: u32,
        /// The last attempt's error.
        last_error: E,
    },
    /// No further attempt could have begun before the deadline or the total limit.
    DeadlineExceeded {
        /// How many attempts were made, the first included.
        attempts: u32,
        /// The last attempt's error.
        last_error: E,
    },
    /// The caller's deadline had passed before an attempt could begin, and there is no error of an earlier one: most often
    /// it had passed before the call.
    DeadlinePassed {
        /// How many attempts were made.
        attempts: u32,
    },
}

impl<E> RetryError<E> {
    /// The error for giving up because of `reason` after `attempts` attempts.
    #[must_use]
    pub fn new(reason: GiveUp, attempts: u32, last_error: E) -> Self {
        match reason {
            GiveUp::MaxRetries => Self::MaxRetriesExceeded { attempts, last_error },
            GiveUp::NotRetryable => Self::NotRetryable { attempts, last_error },
            GiveUp::Budget => Self::BudgetExhausted { attempts, last_error },
            GiveUp::Deadline => Self::DeadlineExceeded { attempts, last_error },
        }
    }

    /// Why no further attempt was made.
    #[must_use]
    pub fn reason(&self) -> GiveUp {
        match self {
            Self::MaxRetriesExceeded { .. } => GiveUp::MaxRetries,
            Self::NotRetryable { .. } => GiveUp::NotRetryable,
            Self::BudgetExhausted { .. } => GiveUp::Budget,
            Self::DeadlineExceeded { .. } | Self::DeadlinePassed { .. } => GiveUp::Deadline,
        }
    }

    /// How many attempts were made, the first included.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        match self {
            Self::MaxRetriesExceeded { attempts, .. }
            | Self::NotRetryable { attempts, .. }
            | Self::BudgetExhausted { attempts, .. }
            | Self::DeadlineExceeded { attempts, .. }
            | Self::DeadlinePassed { attempts } => *attempts,
        }
    }

    /// The last attempt's error, if an attempt was made.
    #[must_use]
    pub fn last_error(&self) -> Option<&E> {
        match self {
            Self::MaxRetriesExceeded { last_error, .. }
            | Self::NotRetryable { last_error, .. }
            | Self::BudgetExhausted { last_error, .. }
            | Self::DeadlineExceeded { last_error, .. } => Some(last_error),
            Self::DeadlinePassed { .. } => None,
        }
    }

    /// Takes the last attempt's error out, if an attempt was made.
    #[must_use]
    pub fn into_last_error(self) -> Option<E> {
        match self {
            Self::MaxRetriesExceeded { last_error, .. }
            | Self::NotRetryable { last_error, .. }
            | Self::BudgetExhausted { last_error, .. }
            | Self::DeadlineExceeded { last_error, .. } => Some(last_error),
            Self::DeadlinePassed { .. } => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for RetryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts = self.attempts();
        let plural = if attempts == 1 { "" } else { "s" };
        let why = match self {
            Self::MaxRetriesExceeded { .. } => "all retries were made",
            Self::NotRetryable { .. } => "the error is not worth a retry",
            Self::BudgetExhausted { .. } => "the retry budget is exhausted",
            Self::DeadlineExceeded { .. } => "the deadline leaves no time for another",
            Self::DeadlinePassed { attempts: 0 } => {
                return f.write_str("the deadline had passed before the first attempt");
            }
            Self::DeadlinePassed { .. } => "the deadline passed before another",
        };
        write!(f, "gave up after {attempts} attempt{plural}, {why}")?;
        match self.last_error() {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

impl<E: Error + 'static> Error for RetryError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The message shows that error already.
        self.last_error()?.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_how_often_why_and_what_and_keeps_the_callers_own() {
        let cause = || std::io::Error::other("no route");
        for (reason, text) in [
            (
                GiveUp::MaxRetries,
                "gave up after 4 attempts, all retries were made: no route",
            ),
            (
                GiveUp::NotRetryable,
                "gave up after 4 attempts, the error is not worth a retry: no route",
            ),
            (
                GiveUp::Budget,
                "gave up after 4 attempts, the retry budget is exhausted: no route",
            ),
            (
                GiveUp::Deadline,
                "gave up after 4 attempts, the deadline leaves no time for another: no route",
            ),
        ] {
            let error = RetryError::new(reason, 4, cause());
            assert_eq!((error.to_string().as_str(), error.reason()), (text, reason));
            assert!(error.last_error().is_some());
            assert_eq!(
                error.into_last_error().map(|error| error.to_string()).as_deref(),
                Some("no route")
            );
        }
        let once = RetryError::new(GiveUp::Budget, 1, "x");
        assert!(once.to_string().starts_with("gave up after 1 attempt,"));
    }
}
