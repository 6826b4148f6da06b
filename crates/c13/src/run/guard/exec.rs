//! The step that becomes the command: it asks to be killed with its guard, takes the terminal if it is to, and `exec`s.

use std::ffi::{CString, OsString};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Pid, Signal};
use rustix::thread::set_name;

use super::super::terminal;
use super::step::{EXEC, OURSELVES};

/// The word for a command that gets the terminal's foreground.
const FOREGROUND: &str = "foreground";

/// How to start the command as a child of this process, in a process group of its own.
///
/// `token` is the name that the child takes if it cannot become the command. Its status is then the system's error. So no
/// descriptor has to be passed for this, which the command would have as well.
pub(super) fn command(command: &[OsString], token: &str, foreground: bool) -> Command {
    let mut step = Command::new(OURSELVES);
    step.arg0("c13")
        .arg(EXEC)
        .arg(std::process::id().to_string())
        .arg(token)
        .arg(if foreground { FOREGROUND } else { "" })
        .args(command)
        .process_group(0);
    step
}

/// What the system said when the process could not become the command; `None` if it did. To be asked of a process that
/// has ended and is not reaped yet, and its exit status.
pub(super) fn error_of(process: Pid, token: &str, status: i32) -> Option<i32> {
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    (name.trim_end() == token).then_some(status)
}

/// Becomes the command. Returns only if it cannot.
pub(super) fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let guard = arguments.next().and_then(|word| word.to_str()?.parse().ok());
    let token = arguments
        .next()
        .and_then(|word| CString::new(word.into_encoded_bytes()).ok());
    let foreground = arguments.next().is_some_and(|word| word == FOREGROUND);
    let (Some(guard), Some(token), Some(program)) = (guard, token, arguments.next()) else {
        return ExitCode::FAILURE;
    };
    let asked = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // The guard may have died before that.
    if asked.is_err() || rustix::process::getppid() != Pid::from_raw(guard) {
        return ExitCode::FAILURE;
    }
    if foreground {
        terminal::take_foreground();
    }
    let error = Command::new(program).args(arguments).stdin(Stdio::inherit()).exec();
    set_name(&token).unwrap_or_default();
    let number = error.raw_os_error().and_then(|number| u8::try_from(number).ok());
    ExitCode::from(number.unwrap_or(u8::MAX))
}
