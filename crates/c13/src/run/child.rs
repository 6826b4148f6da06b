//! One run of the command: signals passed on, stopped when its time or its lock is over.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use c13_reliability::distributed::lock::LockGuard;
use c13_reliability::time::{Clock, Tick};
use rustix::process::Signal;
use tokio::process::Command;

use super::guard::Guard;
use super::signals::Signals;

/// How one run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, with this status: its own, or 128 and the signal that ended it.
    Exited(u8),
    /// As before, after the wrapper was told to stop: it is not run again.
    Stopped(u8),
    /// It was stopped because its time was over.
    TimedOut,
    /// It was stopped because the lock was lost, or about to be.
    LockLost,
}

/// Why a run did not begin.
#[derive(Debug)]
pub(crate) enum NotRun {
    /// There is no such command.
    NotFound(String),
    /// The command cannot be executed.
    NotExecutable(String),
    /// The fault is ours.
    Failed(String),
}

/// What a run may take.
pub(crate) struct Bounds<'a> {
    pub(crate) timeout: Option<Duration>,
    pub(crate) kill_after: Duration,
    pub(crate) lock: Option<&'a LockGuard>,
    /// How long the command has to end by itself before its lock does.
    pub(crate) lock_grace: Duration,
}

/// Runs the command once.
pub(crate) async fn run(
    command: &[OsString],
    environment: &[(&str, String)],
    bounds: &Bounds<'_>,
    signals: &mut Signals,
    clock: &Clock,
) -> Result<Ended, NotRun> {
    let guard = Guard::start().map_err(|error| NotRun::Failed(format!("cannot start the guard: {error}")))?;
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| NotRun::Failed("no command".to_owned()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .process_group(guard.group())
        .spawn()
        .map_err(|error| {
            let message = format!("{}: {error}", program.to_string_lossy());
            if error.kind() == std::io::ErrorKind::NotFound {
                NotRun::NotFound(message)
            } else {
                NotRun::NotExecutable(message)
            }
        })?;
    let mut stop = Stop {
        until: bounds.timeout.map(|limit| clock.now() + limit),
        kill_at: None,
        why: None,
    };
    let mut told = 0;
    loop {
        let lock_end = stop
            .why
            .is_none()
            .then_some(())
            .and(bounds.lock)
            .map(|lock| lock.valid_until());
        let lock_stop = match lock_end {
            Some(Ok(until)) => Some(until - bounds.lock_grace),
            // Lost already: somebody else may have it, so there is no time to end well.
            Some(Err(_)) => Some(Tick::ZERO),
            None => None,
        };
        let next = [stop.until, stop.kill_at, lock_stop].into_iter().flatten().min();
        tokio::select! {
            biased;
            signal = signals.next() => {
                let stops = ![Signal::USR1, Signal::USR2].contains(&signal);
                told += u32::from(stops);
                guard.signal(if stops && told > 1 { Signal::KILL } else { signal });
            }
            status = child.wait() => {
                let status = status.map_err(|error| NotRun::Failed(error.to_string()))?;
                let code = match (status.code(), status.signal()) {
                    (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
                    (None, signal) => u8::try_from(128 + signal.unwrap_or(0)).unwrap_or(u8::MAX),
                };
                return Ok(match stop.why {
                    Some(why) => why,
                    None if told > 0 => Ended::Stopped(code),
                    None => Ended::Exited(code),
                });
            }
            () = until(clock, next) => stop.act(clock.now(), lock_end.is_some(), bounds, &guard),
            () = lost(bounds.lock), if stop.why.is_none() => {
                stop.why = Some(Ended::LockLost);
                guard.signal(Signal::KILL);
            }
        }
    }
}

async fn until(clock: &Clock, at: Option<Tick>) {
    match at {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn lost(lock: Option<&LockGuard>) {
    match lock {
        Some(lock) => drop(lock.lost().await),
        None => std::future::pending().await,
    }
}

/// When the command is stopped, and how far that has got.
struct Stop {
    until: Option<Tick>,
    kill_at: Option<Tick>,
    why: Option<Ended>,
}

impl Stop {
    fn act(&mut self, now: Tick, has_lock: bool, bounds: &Bounds<'_>, guard: &Guard) {
        if self.kill_at.is_some_and(|at| now >= at) {
            self.kill_at = None;
            guard.signal(Signal::KILL);
        } else if self.until.is_some_and(|at| now >= at) {
            self.until = None;
            self.begin(Ended::TimedOut, now + bounds.kill_after, guard);
        } else if has_lock && let Some(lock) = bounds.lock {
            // Renewed meanwhile, it has longer; the next round looks.
            match lock.valid_until() {
                Ok(until) if now < until - bounds.lock_grace => {}
                Ok(until) => self.begin(Ended::LockLost, until, guard),
                Err(_) => self.begin(Ended::LockLost, now, guard),
            }
        }
    }

    fn begin(&mut self, why: Ended, kill_at: Tick, guard: &Guard) {
        if self.why.is_none() {
            self.why = Some(why);
            guard.signal(Signal::TERM);
            // A stopped process hears of it only when it goes on.
            guard.signal(Signal::CONT);
        }
        self.kill_at = Some(self.kill_at.map_or(kill_at, |at| at.min(kill_at)));
    }
}
