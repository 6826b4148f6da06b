//! The terminal, as a shell handles it: its foreground is lent to the command and taken back, and the modes that the
//! command sets do not outlive it.

use std::fs::File;

use nix::sys::signal::{SigSet, Signal as Blocked};
use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, getpgid, getpgrp, getpid, kill_process};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp};

use super::guard::{is_orphaned, processes};

/// The controlling terminal of this process.
pub(crate) struct Terminal {
    file: File,
    ours: Pid,
    /// Whether the command has the foreground, by our doing.
    is_lent: bool,
    /// The modes before the command had the terminal.
    before: Option<Termios>,
    /// The modes of a command that was stopped.
    stopped: Option<Termios>,
}

/// What happens after the command was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The command wanted the terminal and has it now: it goes on.
    GoOn,
    /// We stand still with the command, and were told to go on by now.
    WithUs,
    /// It is no matter of a terminal: the command stands still, and we wait.
    Alone,
    /// It can never get the terminal: it ends, as by a terminal that is gone.
    HangUp,
}

impl Terminal {
    /// The controlling terminal, if there is one.
    pub(crate) fn open() -> Option<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::open("/dev/tty", flags, Mode::empty()).ok()?);
        // Without a session's terminal there is no foreground.
        tcgetpgrp(&file).ok()?;
        Some(Self {
            file,
            ours: getpgrp(),
            is_lent: false,
            before: None,
            stopped: None,
        })
    }

    /// Whether our process group has the foreground.
    fn is_ours(&self) -> bool {
        tcgetpgrp(&self.file) == Ok(self.ours)
    }

    /// Whether the command shall have the foreground from the start, which it then takes itself. As part of a pipeline
    /// it gets it when it wants it, because others of the pipeline may want it too.
    pub(crate) fn lend_from_start(&mut self) -> bool {
        let is_terminal = |group: rustix::io::Result<Pid>| group == Ok(self.ours);
        let whole = is_terminal(tcgetpgrp(stdin())) && is_terminal(tcgetpgrp(stdout()));
        if whole && self.is_ours() {
            self.before = tcgetattr(&self.file).ok();
            self.is_lent = true;
        }
        self.is_lent
    }

    /// Lends the foreground to the command's group, with the modes that it had, if it is ours to lend.
    fn lend(&mut self, group: Pid) {
        if !self.is_ours() {
            return;
        }
        self.before = tcgetattr(&self.file).ok();
        if let Some(modes) = self.stopped.take() {
            tcsetattr(&self.file, OptionalActions::Now, &modes).unwrap_or_default();
        }
        self.is_lent = without_stop(|| tcsetpgrp(&self.file, group)).is_ok();
    }

    /// Takes the foreground back; with the modes from before, unless the command has ended well and so meant its own.
    pub(crate) fn take_back(&mut self, restore: bool) {
        if !std::mem::take(&mut self.is_lent) {
            return;
        }
        let modes = self.before.take().filter(|_| restore);
        // An error means that the terminal is gone.
        without_stop(|| {
            tcsetpgrp(&self.file, self.ours)?;
            modes.map_or(Ok(()), |modes| tcsetattr(&self.file, OptionalActions::Now, &modes))
        })
        .unwrap_or_default();
    }

    /// Takes the foreground back from a command that stands still, or is about to.
    pub(crate) fn pause(&mut self) {
        if self.is_lent {
            self.stopped = tcgetattr(&self.file).ok();
            self.take_back(true);
        }
    }

    /// The command was stopped by the signal of this number.
    pub(crate) fn stopped(&mut self, group: Pid, number: u8) -> Stop {
        let wants = [Signal::TTIN, Signal::TTOU]
            .iter()
            .any(|signal| signal.as_raw() == i32::from(number));
        if wants && !self.is_lent && self.is_ours() {
            self.lend(group);
            return if self.is_lent { Stop::GoOn } else { Stop::Alone };
        }
        if !wants && !self.is_lent {
            return Stop::Alone;
        }
        // Where no process could let us go on, a terminal does not stop us.
        if is_orphaned(self.ours) {
            return if self.is_lent { Stop::GoOn } else { Stop::HangUp };
        }
        self.pause();
        // The rest of our job stops too, as it would have done had the terminal stopped it.
        signal_mates(Signal::TSTP);
        stand_still();
        Stop::WithUs
    }

    /// We were told to go on: the command gets the foreground again, if we have it.
    pub(crate) fn resumed(&mut self, group: Pid) {
        if self.stopped.is_some() && !self.is_lent {
            self.lend(group);
        }
    }

    /// Whether the terminal itself may have ended a command with this status: then the rest of our job gets the signal too.
    pub(crate) fn interrupted(&self, code: u8) -> bool {
        let by = [Signal::INT, Signal::QUIT]
            .into_iter()
            .find(|signal| i32::from(code) == 128 + signal.as_raw());
        if let Some(signal) = by.filter(|_| self.is_lent) {
            signal_mates(signal);
            return true;
        }
        false
    }
}

/// Stops this process until SIGCONT lets it go on.
pub(crate) fn stand_still() {
    // This cannot fail: a process may always stop itself.
    kill_process(getpid(), Signal::STOP).unwrap_or_default();
}

/// Stops this process, unless a terminal asks for it and no process could let it go on.
pub(crate) fn stop_as_any_other() {
    if Terminal::open().is_none() || !is_orphaned(getpgrp()) {
        stand_still();
    }
}

/// Sends a signal to all of our process group but us.
fn signal_mates(signal: Signal) {
    let (group, me) = (getpgrp(), getpid());
    for process in processes()
        .iter()
        .filter(|process| process.group == Some(group) && process.pid != me)
    {
        process.signal(signal);
    }
}

/// Makes this process's own group the terminal's foreground. An error means that it stays in the background.
pub(crate) fn take_foreground() {
    if let (Some(terminal), Ok(group)) = (Terminal::open(), getpgid(None)) {
        without_stop(|| tcsetpgrp(terminal.file.as_fd(), group)).unwrap_or_default();
    }
}

/// Does something that stops a process of the background, unless the signal for that is blocked.
fn without_stop<T>(action: impl FnOnce() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    let mut set = SigSet::empty();
    set.add(Blocked::SIGTTOU);
    set.thread_block()
        .map_err(|error| rustix::io::Errno::from_raw_os_error(error as i32))?;
    let done = action();
    // A signal that came meanwhile stops no process: the system sent none, as it was blocked.
    set.thread_unblock().unwrap_or_default();
    done
}
