//! How `c13 run` or `c13 lock` ended: the exit status, and a line for standard error where there is something to say.

use std::error::Error;

use rustix::process::Signal;

use crate::status;

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExitReport {
    pub(crate) status: u8,
    pub(crate) message: Option<String>,
}

impl ExitReport {
    /// Nothing but a status.
    pub(crate) fn status(status: u8) -> Self {
        Self { status, message: None }
    }

    pub(crate) fn new(status: u8, message: impl Into<String>) -> Self {
        Self {
            status,
            message: Some(message.into()),
        }
    }

    /// The command line or the environment is wrong.
    pub(crate) fn wrong(message: impl ToString) -> Self {
        Self::new(status::BAD_INPUT, message.to_string())
    }

    /// The fault is ours, or that of what keeps the locks.
    pub(crate) fn failed(message: impl ToString) -> Self {
        Self::new(status::BROKEN, message.to_string())
    }

    /// Others have what the command needs.
    pub(crate) fn refused(message: impl ToString) -> Self {
        Self::new(status::REFUSED, message.to_string())
    }

    /// A signal ended the wait.
    pub(crate) fn signalled(signal: Signal) -> Self {
        Self::status(status::SIGNALLED + u8::try_from(signal.as_raw()).unwrap_or(0))
    }
}

/// What an error says, and what its causes say where it does not say that itself.
pub(crate) fn whole(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}
