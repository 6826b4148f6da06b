//! One run of the command: signals passed on, stopped when its time or its lock is over.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::task::Poll;
use std::time::Duration;

use c13_reliability::distributed::lock::{LockGuard, Lost};
use c13_reliability::time::{Clock, Tick};
use rustix::process::Signal;
use tokio::process::Command;

use super::guard::Guard;
use super::signals::{Meaning, Signals};

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
    /// What must be held as long as the command runs: the lock, the place.
    pub(crate) locks: &'a [LockGuard],
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
    let mut guard = Guard::start().map_err(|error| NotRun::Failed(format!("cannot start the guard: {error}")))?;
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
        let locked = locked_until(bounds.locks);
        if let Ok(Some(end)) = locked {
            guard.until(end);
        }
        let lock_stop = match locked {
            _ if stop.why.is_some() => None,
            Ok(end) => end.map(|end| end - bounds.lock_grace),
            // Lost already: somebody else may have it, so there is no time to end well.
            Err(_) => Some(Tick::ZERO),
        };
        let look = locked.ok().flatten().map(|end| next_look(clock.now(), end));
        let next = [stop.until, stop.kill_at, lock_stop, look].into_iter().flatten().min();
        tokio::select! {
            biased;
            (signal, meaning) = signals.next() => {
                told += u32::from(meaning == Meaning::Stop);
                guard.signal(if meaning == Meaning::Stop && told > 1 { Signal::KILL } else { signal });
                if meaning == Meaning::Pause {
                    // As the system would have done; the signal to go on is passed on like the others. A pause that
                    // outlasts the lock ends the command.
                    let _: Result<(), _> = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
                }
            }
            status = child.wait() => {
                let status = status.map_err(|error| NotRun::Failed(error.to_string()))?;
                let code = match (status.code(), status.signal()) {
                    (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
                    (None, signal) => u8::try_from(128 + signal.unwrap_or(0)).unwrap_or(u8::MAX),
                };
                return Ok(match stop.why {
                    Some(why) => why,
                    // The guard has killed it, or it ended when somebody else might have had the lock.
                    None if guard.is_over(clock.now()) || locked_until(bounds.locks).is_err() => Ended::LockLost,
                    None if told > 0 => Ended::Stopped(code),
                    None => Ended::Exited(code),
                });
            }
            () = until(clock, next) => stop.act(clock.now(), bounds, &guard),
            () = lost(bounds.locks), if stop.why.is_none() => {
                stop.why = Some(Ended::LockLost);
                guard.signal(Signal::KILL);
            }
        }
    }
}

/// Until when all of the locks are safe; `None` if there is none.
fn locked_until(locks: &[LockGuard]) -> Result<Option<Tick>, Lost> {
    locks.iter().try_fold(None, |end: Option<Tick>, lock| {
        let next = lock.valid_until()?;
        Ok(Some(end.map_or(next, |end| end.min(next))))
    })
}

/// When to look whether a lock that ends at `end` was renewed, so that the guard hears of it long before the end that it
/// knows: a wrapper that stands still for a moment then costs nobody a valid lock.
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

/// When the command is stopped, and how far that has got.
struct Stop {
    until: Option<Tick>,
    kill_at: Option<Tick>,
    why: Option<Ended>,
}

impl Stop {
    fn act(&mut self, now: Tick, bounds: &Bounds<'_>, guard: &Guard) {
        if self.kill_at.is_some_and(|at| now >= at) {
            self.kill_at = None;
            guard.signal(Signal::KILL);
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
            guard.signal(Signal::TERM);
            // A stopped process hears of it only when it goes on.
            guard.signal(Signal::CONT);
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
