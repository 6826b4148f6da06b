//! The two ways in which this program starts itself again. Nobody types them.

use std::process::ExitCode;

use super::{exec, process};

/// The first argument of a guard.
pub(super) const GUARD: &str = "__guard";
/// The first argument of what becomes the command.
pub(super) const EXEC: &str = "__exec";
/// This very program, even if its file was replaced or removed since it began.
pub(super) const OURSELVES: &str = "/proc/self/exe";

/// Does what this process was started again for; `None` if it is an ordinary one.
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
