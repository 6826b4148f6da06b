//! One run of the command: passes signals on, and stops the command when its time or its lock is over.

use std::ffi::OsString;
use std::fs::File;
use std::task::Poll;
use std::time::Duration;

use c13_reliability::distributed::lock::{LockGuard, Lost};
use c13_reliability::time::{Clock, Tick};
use rustix::fd::AsFd;
use rustix::process::{Pid, Signal};

use super::guard::{Event, Guard, Start, Status};
use super::input::Next;
use super::signals::{Meaning, Signals};
use super::terminal::{self, Terminal};
use crate::output;

/// How one run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, with this status: its own, or 128 and the signal that ended it.
    Exited(u8),
    /// As before, after a signal asked the wrapper to stop: it is not run again.
    Stopped(u8),
    /// It was stopped because its time was over.
    TimedOut,
    /// It was stopped because the lock was lost, or about to be.
    LockLost,
    /// Its guard was killed, and the command with it.
    Unguarded,
}

/// Why a run did not begin.
#[derive(Debug)]
pub(crate) enum NotRun {
    /// There is no such command.
    NotFound(String),
    /// The command cannot be executed.
    NotExecutable(String),
    /// A fault of this program or of the system.
    Failed(String),
}

/// The command of a run.
pub(crate) struct CommandRun<'a> {
    pub(crate) command: &'a [OsString],
    pub(crate) environment: &'a [(&'a str, String)],
    pub(crate) input: Next<'a>,
    /// The locked files, which must be held until all of the command is gone.
    pub(crate) files: &'a [File],
}

/// The bounds of a run.
pub(crate) struct Bounds<'a> {
    pub(crate) timeout: Option<Duration>,
    pub(crate) kill_after: Duration,
    /// What must be held as long as the command runs: the lock, the permit.
    pub(crate) locks: &'a [LockGuard],
    /// How long the command has to end by itself before its lock does.
    pub(crate) lock_grace: Duration,
}

/// Runs the command once.
pub(crate) async fn run(
    run: CommandRun<'_>,
    bounds: &Bounds<'_>,
    signals: &mut Signals,
    clock: &Clock,
) -> Result<Ended, NotRun> {
    // Lost before the run: between two runs, or while this process was stopped.
    let Ok(until) = locked_until(bounds.locks) else {
        return Ok(Ended::LockLost);
    };
    let mut terminal = Terminal::open();
    let start = Start {
        command: run.command,
        environment: run.environment,
        input: run.input.as_fd(),
        locks: run.files,
        foreground: terminal.as_mut().is_some_and(Terminal::lend_from_start),
        until,
    };
    let guard = Guard::start(&start).map_err(|error| NotRun::Failed(format!("cannot start the guard: {error}")))?;
    // Our copy would keep a pipe open after its last reader has gone.
    drop(run.input);
    let mut running = Running {
        stop: StopTimer {
            until: bounds.timeout.map(|limit| clock.now() + limit),
            kill_at: None,
            why: None,
        },
        guard,
        terminal,
        group: None,
        asked_to_stop: None,
        is_stuck: false,
    };
    let ended = running.watch(run.command, bounds, signals, clock).await;
    if let Some(terminal) = &mut running.terminal {
        // As a shell has it: a command that ends by itself may leave modes of its own, as `stty` does.
        let by_itself = matches!(ended, Ok((_, Some(Status::Exited(_)))));
        terminal.take_back(!by_itself);
    }
    ended.map(|(ended, _)| ended)
}

/// A command that runs.
struct Running {
    guard: Guard,
    stop: StopTimer,
    terminal: Option<Terminal>,
    /// The command's process group, once it is there.
    group: Option<Pid>,
    /// The last signal that asked us to stop.
    asked_to_stop: Option<Signal>,
    /// Whether a process is left that cannot be killed.
    is_stuck: bool,
}

impl Running {
    /// Watches the command until it has ended; gives its own status, if that is known.
    async fn watch(
        &mut self,
        command: &[OsString],
        bounds: &Bounds<'_>,
        signals: &mut Signals,
        clock: &Clock,
    ) -> Result<(Ended, Option<Status>), NotRun> {
        loop {
            let locked = locked_until(bounds.locks);
            if let Ok(Some(end)) = locked {
                self.guard.until(end);
            }
            let lock_stop = match locked {
                _ if self.stop.why.is_some() => None,
                Ok(end) => end.map(|end| end - bounds.lock_grace),
                // Lost already: another process may hold it, so the command gets no time to end by itself.
                Err(_) => Some(Tick::ZERO),
            };
            let look = locked.ok().flatten().map(|end| next_look(clock.now(), end));
            let next = [self.stop.until, self.stop.kill_at, lock_stop, look]
                .into_iter()
                .flatten()
                .min();
            tokio::select! {
                biased;
                (signal, meaning) = signals.next() => self.signalled(signal, meaning),
                event = self.guard.next() => match event {
                    Event::Started(group) => self.group = Some(group),
                    Event::NotStarted(error) => return Err(NotRun::Failed(format!("cannot start a process: {}", system(error)))),
                    Event::NotExecuted(error) => return Err(not_executed(command, error)),
                    Event::Stopped(number) => self.stopped(number),
                    Event::Ended { status, left: None } => {
                        return Ok((self.ended(status, bounds, clock.now()), Some(status)));
                    }
                    Event::Ended { left: Some(process), .. } => {
                        self.is_stuck = true;
                        output::say(&format!("process {process} of the command cannot be killed; waiting for its end"));
                        if let Some(signal) = self.asked_to_stop {
                            give_up(signal);
                        }
                    }
                    Event::Gone => {
                        tokio::select! {
                            biased;
                            () = self.guard.clear(clock) => {}
                            signal = signals.stop() => give_up(signal),
                        }
                        return Ok((self.stop.why.unwrap_or(Ended::Unguarded), None));
                    }
                },
                () = until(clock, next) => self.stop.act(clock.now(), bounds, &self.guard),
                () = lost(bounds.locks), if self.stop.why.is_none() => {
                    self.stop.why = Some(Ended::LockLost);
                    self.guard.kill();
                }
            }
        }
    }

    fn signalled(&mut self, signal: Signal, meaning: Meaning) {
        match meaning {
            Meaning::Stop => {
                if self.is_stuck {
                    give_up(signal);
                }
                if self.asked_to_stop.replace(signal).is_some() {
                    self.guard.kill();
                } else {
                    self.guard.signal(signal, true);
                }
            }
            Meaning::Message => {
                if let (Signal::CONT, Some(terminal), Some(group)) = (signal, &mut self.terminal, self.group) {
                    terminal.resumed(group);
                }
                self.guard.signal(signal, false);
            }
            Meaning::Pause => {
                if let Some(terminal) = &mut self.terminal {
                    terminal.pause();
                }
                self.guard.signal(signal, false);
                // As the system would have done; the signal to go on is passed on like the others. A pause that
                // outlasts a lease ends the command.
                terminal::stand_still();
            }
        }
    }

    fn stopped(&mut self, number: u8) {
        let (Some(terminal), Some(group)) = (&mut self.terminal, self.group) else {
            return;
        };
        match terminal.stopped(group, number) {
            terminal::Stop::GoOn => self.guard.signal(Signal::CONT, false),
            terminal::Stop::HangUp => self.guard.signal(Signal::HUP, true),
            terminal::Stop::WithUs | terminal::Stop::Alone => {}
        }
    }

    fn ended(&self, status: Status, bounds: &Bounds<'_>, now: Tick) -> Ended {
        let code = status.code();
        match self.stop.why {
            Some(why) => why,
            // The guard has killed it, or it ended when another process might have held the lock.
            None if self.guard.is_over(now) || locked_until(bounds.locks).is_err() => Ended::LockLost,
            None if self.asked_to_stop.is_some() => Ended::Stopped(code),
            // Ctrl-C reached the command alone, which had the terminal: it is not run again either.
            None if self
                .terminal
                .as_ref()
                .is_some_and(|terminal| terminal.interrupted(code)) =>
            {
                Ended::Stopped(code)
            }
            None => Ended::Exited(code),
        }
    }
}

/// Ends this program at once, while something runs that cannot be killed. No destructor gives the lock back: its guard
/// holds the files of a lock until that is gone.
fn give_up(signal: Signal) -> ! {
    std::process::exit(128 + signal.as_raw());
}

fn system(error: i32) -> std::io::Error {
    std::io::Error::from_raw_os_error(error)
}

fn not_executed(command: &[OsString], error: i32) -> NotRun {
    let program = command
        .first()
        .map(|program| program.to_string_lossy())
        .unwrap_or_default();
    let error = system(error);
    let message = format!("{program}: {error}");
    if error.kind() == std::io::ErrorKind::NotFound {
        NotRun::NotFound(message)
    } else {
        NotRun::NotExecutable(message)
    }
}

/// Until when all of the locks are safe; `None` if they do not run out, as locked files do not.
fn locked_until(locks: &[LockGuard]) -> Result<Option<Tick>, Lost> {
    locks.iter().try_fold(None, |end: Option<Tick>, lock| {
        let next = Some(lock.valid_until()?).filter(|next| *next != Tick::MAX);
        Ok([end, next].into_iter().flatten().min())
    })
}

/// When to check whether a lock that ends at `end` was renewed, long before that end, so that the guard learns of the renewal in
/// time: a wrapper that pauses for a moment then loses no valid lock.
fn next_look(now: Tick, end: Tick) -> Tick {
    now + ((end - now) / 2).max(Duration::from_millis(1))
}

async fn until(clock: &Clock, at: Option<Tick>) {
    match at {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Waits until one of the locks is lost.
async fn lost(locks: &[LockGuard]) {
    let mut waits: Vec<_> = locks.iter().map(|lock| Box::pin(lock.lost())).collect();
    std::future::poll_fn(|cx| {
        let lost = waits.iter_mut().any(|wait| wait.as_mut().poll(cx).is_ready());
        if lost { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// When the command is stopped, and which signals it has got.
struct StopTimer {
    until: Option<Tick>,
    kill_at: Option<Tick>,
    why: Option<Ended>,
}

impl StopTimer {
    fn act(&mut self, now: Tick, bounds: &Bounds<'_>, guard: &Guard) {
        if self.kill_at.is_some_and(|at| now >= at) {
            self.kill_at = None;
            guard.kill();
        } else if self.until.is_some_and(|at| now >= at) {
            self.until = None;
            self.begin(Ended::TimedOut, now + bounds.kill_after, guard);
        } else if self.why.is_none() {
            // Renewed meanwhile, the lock has longer; the next round looks.
            match locked_until(bounds.locks) {
                Ok(Some(end)) if now >= end - bounds.lock_grace => self.begin(Ended::LockLost, end, guard),
                Ok(_) => {}
                Err(_) => self.begin(Ended::LockLost, now, guard),
            }
        }
    }

    fn begin(&mut self, why: Ended, kill_at: Tick, guard: &Guard) {
        if self.why.is_none() {
            self.why = Some(why);
            guard.signal(Signal::TERM, true);
        }
        self.kill_at = Some(self.kill_at.map_or(kill_at, |at| at.min(kill_at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_hears_of_a_renewal_with_a_third_of_the_lease_to_spare() {
        let at = |ms: u64| Tick::from_nanos(ms * 1_000_000);
        // A lease of 30 s from 0 on, renewed after a third, at 10 s.
        let (end, renewed) = (at(30_000), at(10_000));
        let mut now = at(0);
        while now < renewed {
            now = next_look(now, end);
        }
        assert!(end - now >= Duration::from_secs(10), "only at {now:?}");
        // Not renewed, it ends; the looks do not run into each other.
        let mut looks = 0;
        while now < end {
            now = next_look(now, end);
            looks += 1;
        }
        assert!(looks < 30, "{looks}");
    }
}
