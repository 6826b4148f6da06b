//! A process beside the command that kills the command's group when the wrapper is gone, however it went, and when the
//! wrapper stands still for so long that its lock is over.
//!
//! It leads the process group that the command is born into, and holds one end of a pipe whose other end only the wrapper
//! has. When the wrapper dies, by whatever signal, the pipe closes and the group is killed, the guard with it. So there is
//! no moment at which the command runs and nobody watches the wrapper. Through the pipe it is told until when the lock is
//! safe, by the clock since boot; once that time has come and no later one was told, it kills too.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use c13_reliability::time::{Clock, Tick};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use std::os::unix::process::CommandExt;

/// The one argument that makes this program a guard. Nobody types it.
pub(crate) const ARGUMENT: &str = "__guard";

/// A guard, and the group that it leads. Dropped, it kills all that is left of the group.
pub(crate) struct Guard {
    process: Child,
    /// Open as long as the wrapper lives: the guard waits for its end.
    alive: ChildStdin,
    group: Pid,
    told: Option<Tick>,
}

/// A machine that was suspended wakes nobody, so the guard looks at its clock at least so often.
const LOOK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

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
            alive,
            group,
            told: None,
        })
    }

    /// Lets the group live until then, and no longer unless it is told again.
    pub(crate) fn until(&mut self, end: Tick) {
        if self.told != Some(end) {
            self.told = Some(end);
            // An error means that the guard is gone, and the group with it.
            drop(self.alive.write_all(&end.as_nanos().to_ne_bytes()));
        }
    }

    /// Whether the group has no time left by now: then it was killed, or is about to be.
    pub(crate) fn is_over(&self, now: Tick) -> bool {
        self.told.is_some_and(|end| now >= end)
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

/// What the guard does: says that it is ready, waits for the wrapper's end or the lock's, and kills its own group.
pub(crate) fn run() -> std::process::ExitCode {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2};
    // What the wrapper passes on to the group is meant for the command.
    for signal in [
        SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
    ] {
        if signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).is_err() {
            return std::process::ExitCode::FAILURE;
        }
    }
    let mut pipe = std::fs::File::options().write(true).open("/proc/self/fd/1");
    let said = pipe.as_mut().is_ok_and(|pipe| pipe.write_all(b"+").is_ok());
    drop(pipe);
    if said {
        watch(&Clock::since_boot(), std::io::stdin());
    }
    let _: Result<(), _> = rustix::process::kill_current_process_group(Signal::KILL);
    std::process::ExitCode::FAILURE
}

/// Returns when the wrapper is gone, or the time is over that it told last; with that time.
fn watch(clock: &Clock, wrapper: impl AsFd) -> Tick {
    let mut until = Tick::MAX;
    // More than one word may have come while the guard stood still; the last one counts.
    let mut words = [0; 512];
    loop {
        // Looked at before the pipe: what was told in time is read, however late that is.
        let left = until - clock.now();
        let wait = Timespec::try_from(left).map_or(LOOK, |left| left.min(LOOK));
        match poll(&mut [PollFd::new(&wrapper, PollFlags::IN)], Some(&wait)) {
            Ok(0) if left.is_zero() => return until,
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => return until,
        }
        match rustix::io::read(&wrapper, &mut words) {
            Ok(0) => return until,
            Ok(read) => {
                // A word goes through a pipe whole.
                if let Some(word) = words[..read].as_chunks().0.last() {
                    until = Tick::from_nanos(u64::from_ne_bytes(*word));
                }
            }
            Err(Errno::INTR) => {}
            Err(_) => return until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_that_stood_still_goes_by_the_last_word() {
        let (read, mut write) = std::io::pipe().expect("the system has a pipe");
        let words = [Tick::from_nanos(1), Tick::from_nanos(2), Tick::MAX].map(Tick::as_nanos);
        write
            .write_all(words.map(u64::to_ne_bytes).as_flattened())
            .expect("the pipe takes it");
        drop(write);
        assert_eq!(watch(&Clock::since_boot(), read), Tick::MAX);
    }
}
