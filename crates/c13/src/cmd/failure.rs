//! Why a command gave nothing: the same few reasons for all of them.

use std::path::PathBuf;

use c13_reliability::policy::document::Diagnostics;

/// Why a command gave nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The input is wrong: all of it.
    Input(Diagnostics),
    /// The settings that were to be looked at are wrong: all that is wrong with them.
    Wrong(Diagnostics),
    /// A file cannot be read.
    File(PathBuf, std::io::Error),
    /// A file cannot be written.
    Write(PathBuf, std::io::Error),
    /// Something was asked for that is not there.
    Usage(String),
    /// It was stopped.
    Interrupted,
    /// The fault is ours.
    Internal(String),
}

/// A system that refuses what a program needs of it.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Internal(format!("the system refuses: {error}"))
    }
}
