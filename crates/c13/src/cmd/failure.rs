//! Why a command failed: the same few reasons for all commands.

use std::path::PathBuf;

use c13_reliability::policy::document::Diagnostics;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The input is wrong: all of it.
    Input(Diagnostics),
    /// The settings that were asked about are wrong: all that is wrong with them.
    Wrong(Diagnostics),
    /// A file cannot be read.
    File(PathBuf, std::io::Error),
    /// A file cannot be written.
    Write(PathBuf, std::io::Error),
    /// The command line asks for something that does not exist or makes no sense.
    Usage(String),
    /// A signal stopped it.
    Interrupted(Vec<String>),
    /// A fault of this program or of the system.
    Internal(String),
}

/// A system that refuses what a program needs of it.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Internal(format!("the system refuses: {error}"))
    }
}
