//! The wrapper's side of a guard: starts it, sends it orders, and receives its events.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use c13_reliability::time::{Clock, Tick};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal, getpid, set_child_subreaper};
use rustix::stdio::{stderr, stdout};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::super::reap;
use super::step::{GUARD, OURSELVES};
use super::tree::{children, living_descendants};
use super::wire::{Event, FILES, GuardOrder, PIECE, joined, send_files};

/// What a command is started with.
pub(crate) struct Start<'a> {
    pub(crate) command: &'a [OsString],
    pub(crate) environment: &'a [(&'a str, String)],
    pub(crate) input: BorrowedFd<'a>,
    /// The locked files, which the guard holds as well.
    pub(crate) locks: &'a [File],
    /// Whether it gets the terminal's foreground.
    pub(crate) foreground: bool,
    /// Until when the lock is safe.
    pub(crate) until: Option<Tick>,
}

/// A guard and the command that it starts. Dropped, it kills what is left of both.
pub(crate) struct Guard {
    process: Child,
    socket: UnixStream,
    ends_at: Option<Tick>,
    is_gone: bool,
    /// Children that this process had before, as a script's `exec c13 run` may.
    others: Vec<Pid>,
    /// That its process is not reaped, so that its number stays its own.
    _spared: reap::Spared,
}

impl Guard {
    /// Starts a guard, and has it start the command.
    ///
    /// # Errors
    ///
    /// The system has no process or descriptor left.
    pub(crate) fn start(start: &Start<'_>) -> io::Result<Self> {
        // What a guard that is killed leaves behind is ours then, to be killed.
        set_child_subreaper(Some(getpid()))?;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let others = children();
        let mut spared = reap::Spared::new();
        let process = Command::new(OURSELVES)
            .arg0("c13")
            .arg(GUARD)
            .envs(start.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        spared.set(Pid::from_child(&process));
        let begun = begin(&ours, start);
        let socket = std::os::unix::net::UnixStream::from(ours);
        socket.set_nonblocking(true)?;
        let guard = Self {
            process,
            socket: UnixStream::from_std(socket)?,
            ends_at: start.until,
            is_gone: false,
            others,
            _spared: spared,
        };
        // Dropped, it ends the guard.
        begun?;
        Ok(guard)
    }

    /// Lets the command live until then, and no longer without another call of this.
    pub(crate) fn until(&mut self, end: Tick) {
        if self.ends_at != Some(end) {
            self.ends_at = Some(end);
            self.send(&GuardOrder::Until(end));
        }
    }

    /// Whether the command has no time left by now: then it was killed, or is about to be.
    pub(crate) fn is_over(&self, now: Tick) -> bool {
        self.ends_at.is_some_and(|end| now >= end)
    }

    /// Passes a signal on to the command; `stop` if it asks to end.
    pub(crate) fn signal(&self, signal: Signal, stop: bool) {
        if let Ok(number) = u8::try_from(signal.as_raw()) {
            self.send(&GuardOrder::Signal { number, stop });
        }
    }

    /// Kills the command and all that descends from it.
    pub(crate) fn kill(&self) {
        self.send(&GuardOrder::Kill);
    }

    fn send(&self, order: &GuardOrder) {
        if self.is_gone {
            return;
        }
        let sent = order.send(&self.socket, false);
        if sent == Err(Errno::AGAIN) {
            // It does not read. Without it the kernel kills the command, and we kill the rest.
            rustix::process::kill_process(self.pid(), Signal::KILL).unwrap_or_default();
        } else {
            // Another process may have stopped it.
            rustix::process::kill_process(self.pid(), Signal::CONT).unwrap_or_default();
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// Waits for the next event.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            let ready = self.socket.readable().await;
            let receive = || Event::receive(&self.socket).map_err(io::Error::from);
            match ready.and_then(|()| self.socket.try_io(Interest::READABLE, receive)) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Ok(Event::Gone) | Err(_) => {
                    self.is_gone = true;
                    return Event::Gone;
                }
                Ok(event) => return event,
            }
        }
    }

    /// Kills what a guard that is gone has left, and waits until all of it is. To be called only then.
    pub(crate) async fn clear(&mut self, clock: &Clock) {
        self.reap();
        loop {
            let left = living_descendants(&self.others);
            for process in &left {
                process.signal(Signal::KILL);
            }
            reap::all();
            if left.is_empty() {
                return;
            }
            clock.sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    fn reap(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Sends a guard all that it needs to start the command.
fn begin(socket: &OwnedFd, start: &Start<'_>) -> Result<(), Errno> {
    let mut files = vec![start.input, stdout(), stderr()];
    files.extend(start.locks.iter().map(AsFd::as_fd));
    for files in files.chunks(FILES) {
        send_files(socket, files)?;
    }
    for words in joined(start.command.iter().map(OsString::as_os_str)).chunks(PIECE) {
        GuardOrder::Words(words.to_vec()).send(socket, true)?;
    }
    if let Some(end) = start.until {
        GuardOrder::Until(end).send(socket, true)?;
    }
    let foreground = start.foreground;
    GuardOrder::Go { foreground }.send(socket, true)
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.is_gone {
            // A guard that has done all ends by itself; one that has not kills the command when this end is closed.
            rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both).unwrap_or_default();
            drop(self.process.wait());
        }
    }
}
