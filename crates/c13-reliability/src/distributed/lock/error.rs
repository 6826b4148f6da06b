//! The errors of a lock: it was not acquired, it was lost, or the backend could not be asked.

use super::state::Loss;
use crate::distributed::fence::Fence;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The lock is no longer safe: work that it protects must stop, and must not write without its fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// Why.
    pub loss: Loss,
}

impl Lost {
    pub(crate) const fn new(loss: Loss) -> Self {
        Self { loss }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the lock was lost: {}", self.loss)
    }
}

impl Error for Lost {}

/// The failure of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendError {
    /// Whether asking again can help, and whether the request may have been carried out all the same.
    pub kind: BackendErrorKind,
    /// What happened, in the backend's words.
    pub message: String,
}

/// What a failed request leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendErrorKind {
    /// No answer: the request may have been carried out, or may be later.
    Unanswered,
    /// The backend cannot serve at the moment and carried nothing out: loading, out of memory, short of replicas.
    Unable,
    /// The request makes no sense to the backend, now and later.
    Refused,
}

impl BackendError {
    /// An error of this kind.
    pub fn new(kind: BackendErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(crate) fn unanswered(limit: Duration) -> Self {
        Self::new(BackendErrorKind::Unanswered, format!("no answer within {limit:?}"))
    }

    /// The lock cannot be granted again: a token must be greater than all tokens before it.
    pub(crate) fn no_fence_left() -> Self {
        let message = format!(
            "its last fencing token was the greatest there is ({}), so that no further grant can have a greater one",
            Fence::MAX
        );
        Self::new(BackendErrorKind::Refused, message)
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for BackendError {}

/// Why a lock was not acquired.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError {
    /// Another holder has it, and the time to wait is over.
    NotAcquired {
        /// How long the holder's lease lasts unless it is renewed, where that is known.
        retry_after: Option<Duration>,
    },
    /// The backend could not be asked; this is its last failure. Whatever the attempt left at the backend is released, or lapses
    /// with its lease.
    Backend(BackendError),
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAcquired { retry_after: None } => f.write_str("somebody else has the lock"),
            Self::NotAcquired {
                retry_after: Some(wait),
            } => write!(f, "somebody else has the lock, for {wait:?} unless they renew it"),
            Self::Backend(error) => write!(f, "the lock's backend could not be asked: {error}"),
        }
    }
}

impl Error for AcquireError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotAcquired { .. } => None,
            // The display includes it.
            Self::Backend(error) => error.source(),
        }
    }
}

impl From<BackendError> for AcquireError {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

/// Why work under a lock did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockError<E> {
    /// The backend could not be asked for the lock; the work did not run.
    AcquireFailed(String),
    /// Another holder has the lock; the work did not run.
    LockNotAcquired,
    /// The work ran under the lock and failed with its own error.
    OperationFailed(E),
    /// The work succeeded under the lock, but the release was not confirmed: the lock lapses with its lease.
    ReleaseFailed(String),
    /// The lock was lost before the work was done, and the work was dropped at that moment, or its result came too late.
    Lost,
}

impl<E: fmt::Display> fmt::Display for LockError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AcquireFailed(message) => write!(f, "the lock could not be asked for: {message}"),
            Self::LockNotAcquired => f.write_str("somebody else has the lock"),
            Self::OperationFailed(error) => write!(f, "the work under the lock failed: {error}"),
            Self::ReleaseFailed(message) => write!(f, "the lock could not be given back: {message}"),
            Self::Lost => f.write_str("the lock was lost before the work was done"),
        }
    }
}

// Without a source, so that an `E` that is no `Error` itself, such as `Box<dyn Error>`, is possible; its message is in the
// display.
impl<E: fmt::Debug + fmt::Display> Error for LockError<E> {}

impl<E> From<AcquireError> for LockError<E> {
    fn from(error: AcquireError) -> Self {
        match error {
            AcquireError::NotAcquired { .. } => Self::LockNotAcquired,
            AcquireError::Backend(error) => Self::AcquireFailed(error.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_shown_once() {
        let error = AcquireError::from(BackendError::new(BackendErrorKind::Unable, "connection refused"));
        assert_eq!(
            error.to_string(),
            "the lock's backend could not be asked: connection refused"
        );
        assert!(error.source().is_none(), "it is shown already");
        let failed: LockError<String> = error.into();
        assert_eq!(
            failed.to_string(),
            "the lock could not be asked for: connection refused"
        );
    }

    #[test]
    fn a_lock_error_is_an_error_for_any_error_of_the_caller() {
        let boxed: LockError<Box<dyn Error>> = LockError::OperationFailed("no funds".into());
        let error: Box<dyn Error> = Box::new(boxed);
        assert_eq!(error.to_string(), "the work under the lock failed: no funds");
        let plain: LockError<std::io::Error> = AcquireError::NotAcquired { retry_after: None }.into();
        assert_eq!(plain.to_string(), "somebody else has the lock");
    }
}
