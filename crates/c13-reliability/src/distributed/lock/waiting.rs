//! What an acquisition waits for: a holder, a turn in this process, or a backend that does not answer.

use super::backend::Status;
use super::error::BackendError;
use crate::time::Tick;
use std::fmt;
use std::mem::{Discriminant, discriminant};
use std::time::Duration;
use tokio::sync::watch;

/// Why an acquisition does not have the lock yet.
///
/// Reported to the observer of [`Lock::acquire_observed`](super::Lock::acquire_observed) when the wait begins, when the
/// reason changes, and again about every [`fallback_poll`](super::LockConfig::fallback_poll) while it stays.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// Another holder has the lock, or another waiter is before this one in the queue.
    ForHolder {
        /// The holders, as the backend reports them; empty if the backend could not be asked for them.
        status: Status,
    },
    /// The backend cannot serve, or does not answer. It is asked again until the wait is over.
    ForBackend {
        /// What the last request failed with.
        cause: BackendError,
    },
    /// Another waiter of this process contends for the lock; of the clones of a lock one contends at a time.
    ForTurn,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForHolder { .. } => f.write_str("somebody else has the lock"),
            Self::ForBackend { cause } => write!(f, "the lock's backend cannot be asked: {cause}"),
            Self::ForTurn => f.write_str("another waiter of this process comes first"),
        }
    }
}

/// Reports to the caller of an acquisition what its task waits for.
pub(super) struct Reports {
    /// The latest report; `None` without an observer.
    sender: Option<watch::Sender<Option<Waiting>>>,
    every: Duration,
    last: Option<(Discriminant<Waiting>, Tick)>,
}

impl Reports {
    pub(super) fn new(sender: Option<watch::Sender<Option<Waiting>>>, every: Duration) -> Self {
        Self {
            sender,
            every,
            last: None,
        }
    }

    /// Whether `waiting`, whose details may be left out, is to be reported at `now`: the reason is new, or the last report is
    /// old.
    pub(super) fn is_due(&self, waiting: &Waiting, now: Tick) -> bool {
        self.sender.is_some()
            && self
                .last
                .is_none_or(|(last, at)| last != discriminant(waiting) || now >= at + self.every)
    }

    pub(super) fn report(&mut self, waiting: Waiting, now: Tick) {
        self.last = Some((discriminant(&waiting), now));
        if let Some(sender) = &self.sender {
            sender.send_replace(Some(waiting));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::BackendErrorKind;
    use super::*;

    #[test]
    fn a_report_is_due_when_it_is_news_and_again_after_a_while() {
        let at = |seconds: u64| Tick::from_nanos(seconds * 1_000_000_000);
        let holder = Waiting::ForHolder {
            status: Status::default(),
        };
        let backend = Waiting::ForBackend {
            cause: BackendError::new(BackendErrorKind::Unable, "loading"),
        };
        let nobody = Reports::new(None, Duration::from_secs(2));
        assert!(!nobody.is_due(&holder, at(0)));
        let (sender, receiver) = watch::channel(None);
        let mut reports = Reports::new(Some(sender), Duration::from_secs(2));
        assert!(reports.is_due(&holder, at(0)));
        reports.report(holder.clone(), at(0));
        assert_eq!(*receiver.borrow(), Some(holder.clone()));
        assert!(!reports.is_due(&holder, at(1)));
        assert!(reports.is_due(&backend, at(1)), "another reason is news");
        assert!(reports.is_due(&holder, at(2)));
    }
}
