//! The two internal commands by which this program starts itself again: the guard, and what becomes the command.

use std::process::ExitCode;

use super::{exec, process};

/// The first argument of a guard.
pub(super) const GUARD: &str = "__guard";
/// The first argument of what becomes the command.
pub(super) const EXEC: &str = "__exec";
/// This very program, even if its file was replaced or removed since it began.
pub(super) const OURSELVES: &str = "/proc/self/exe";

/// Runs the internal command that this process was started for; `None` if it was started by a user.
pub(crate) fn step() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next()?;
    if first == GUARD {
        Some(process::run())
    } else if first == EXEC {
        Some(exec::run(arguments))
    } else {
        None
    }
}
