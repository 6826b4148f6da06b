//! A process beside the command that kills the command's group when the wrapper is gone, however it went.
//!
//! It leads the process group that the command is born into, and holds one end of a pipe whose other end only the wrapper
//! has. When the wrapper dies, by whatever signal, the pipe closes and the group is killed, the guard with it. So there is
//! no moment at which the command runs and nobody watches the wrapper.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Pid, Signal};
use std::os::unix::process::CommandExt;

/// The one argument that makes this program a guard. Nobody types it.
pub(crate) const ARGUMENT: &str = "__guard";

/// A guard, and the group that it leads. Dropped, it kills all that is left of the group.
pub(crate) struct Guard {
    process: Child,
    /// Open as long as the wrapper lives: the guard waits for its end.
    _alive: ChildStdin,
    group: Pid,
}

impl Guard {
    /// Starts a guard and waits until it is ready.
    pub(crate) fn start() -> std::io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let missing = || std::io::Error::other("the guard has no pipe");
        let alive = process.stdin.take().ok_or_else(missing)?;
        let mut ready = process.stdout.take().ok_or_else(missing)?;
        ready.read_exact(&mut [0])?;
        let group = Pid::from_child(&process);
        Ok(Self {
            process,
            _alive: alive,
            group,
        })
    }

    /// The process group that the command belongs into.
    pub(crate) fn group(&self) -> i32 {
        self.group.as_raw_nonzero().get()
    }

    /// Sends a signal to all of the group.
    pub(crate) fn signal(&self, signal: Signal) {
        // An error means that nobody is left.
        let _: Result<(), _> = rustix::process::kill_process_group(self.group, signal);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        drop(self.process.wait());
    }
}

/// What the guard does: says that it is ready, waits for the wrapper's end, and kills its own group.
pub(crate) fn run() -> std::process::ExitCode {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    // What the wrapper passes on to the group is meant for the command.
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2] {
        if signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).is_err() {
            return std::process::ExitCode::FAILURE;
        }
    }
    let mut pipe = std::fs::File::options().write(true).open("/proc/self/fd/1");
    let said = pipe.as_mut().is_ok_and(|pipe| pipe.write_all(b"+").is_ok());
    drop(pipe);
    if said {
        let mut byte = [0];
        loop {
            match std::io::stdin().read(&mut byte) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(1..) => {}
                _ => break,
            }
        }
    }
    let _: Result<(), _> = rustix::process::kill_current_process_group(Signal::KILL);
    std::process::ExitCode::FAILURE
}
