//! All of `c13 run`: the lock, the limit, the place, the runs, and what comes of them.

use std::time::Duration;

use c13_reliability::distributed::lock::{AcquireError, Lock, LockGuard, Semaphore, Status};
use c13_reliability::distributed::rate_limiter::{SharedLimitError, SharedRateLimiter};
use c13_reliability::patterns::retry::{Decision, RetryExecutor, RetryState};
use c13_reliability::time::{Clock, Tick};
use rustix::process::Signal;

use super::cell::Cell;
use super::child::{self, Bounds, Ended, NotRun};
use super::journal::{Answer, Journal};
use super::plan::{BreakerPlan, Plan};
use super::signals::Signals;
use super::stores::Stores;

/// What came of it: the exit status, and a line for standard error where there is something to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) status: u8,
    pub(crate) message: Option<String>,
}

/// The limit is used up, or the circuit is open: try again later.
const REFUSED: u8 = 75;
/// The lock was lost, and the command stopped.
const LOST: u8 = 76;
/// The command's time was over.
const TIMED_OUT: u8 = 124;
/// The fault is ours, or the backend's.
const FAILED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;
const SIGNALLED: u8 = 128;

impl Report {
    fn status(status: u8) -> Self {
        Self { status, message: None }
    }

    pub(crate) fn new(status: u8, message: impl Into<String>) -> Self {
        Self {
            status,
            message: Some(message.into()),
        }
    }

    fn failed(message: impl ToString) -> Self {
        Self::new(FAILED, message.to_string())
    }

    fn signalled(signal: Signal) -> Self {
        Self::status(SIGNALLED + u8::try_from(signal.as_raw()).unwrap_or(0))
    }
}

/// Does all of it.
pub(crate) async fn run(plan: Plan) -> Report {
    match attempt(&plan).await {
        Ok(report) | Err(report) => report,
    }
}

async fn attempt(plan: &Plan) -> Result<Report, Report> {
    // Before anything that takes time: a signal that comes while we wait for the lock must not be lost.
    let mut signals = Signals::listen().map_err(|error| Report::new(FAILED, format!("no signals: {error}")))?;
    let clock = Clock::since_boot();
    let stores = Stores::of(plan.redis.as_deref()).map_err(Report::failed)?;
    let limiter = plan.limit.as_ref().map(|limit| stores.limiter(limit)).transpose();
    let limiter = limiter.map_err(Report::failed)?;
    let mut held = Vec::new();
    let mut environment = Vec::new();
    if let Some(lock) = &plan.lock {
        let made = Lock::try_new(stores.locks().map_err(Report::failed)?, lock.key.clone(), lock.config);
        let made = made.map_err(Report::failed)?;
        let guard = acquire(
            &made,
            plan.wait,
            plan.conflict,
            "somebody else has the lock",
            &mut signals,
        )
        .await?;
        environment.push(("C13_LOCK_KEY", lock.key.clone()));
        environment.push(("C13_LOCK_FENCE", guard.fence().to_string()));
        environment.push(("C13_LOCK_TTL_MS", lock.config.lease.as_millis().to_string()));
        held.push(guard);
    }
    if let (Some(limiter), Some(limit)) = (&limiter, plan.limit.as_ref().filter(|limit| !limit.per_run)) {
        pass(limiter, limit.wait, &clock, &mut signals).await?;
    }
    if let Some(places) = &plan.places {
        let backend = stores.locks().map_err(Report::failed)?;
        let made = Semaphore::try_new(backend, places.key.clone(), places.places, places.config);
        let made = made.map_err(Report::failed)?;
        let taken = "as many as the policy allows are running";
        held.push(acquire(made.slot(), places.wait, REFUSED, taken, &mut signals).await?);
    }
    let circuit = plan.breaker.as_ref().map(|breaker| Circuit::of(breaker, &stores));
    let runs = Runs {
        plan,
        limiter: limiter.as_ref(),
        circuit: circuit.transpose()?,
        held: &held,
        environment: &environment,
        clock: &clock,
    };
    let result = runs.all(&mut signals).await;
    for guard in held {
        // Unconfirmed, it lapses by itself; the command's status is worth more than that.
        drop(guard.release().await);
    }
    result
}

async fn acquire(
    lock: &Lock,
    wait: Duration,
    conflict: u8,
    taken: &str,
    signals: &mut Signals,
) -> Result<LockGuard, Report> {
    let acquired = tokio::select! {
        biased;
        signal = signals.stop() => return Err(Report::signalled(signal)),
        acquired = lock.acquire(wait) => acquired,
    };
    acquired.map_err(|error| match error {
        AcquireError::NotAcquired { .. } => Report::new(conflict, taken),
        error => Report::failed(error),
    })
}

/// Waits for the limit, at most for `wait`.
async fn pass(limiter: &SharedRateLimiter, wait: Duration, clock: &Clock, signals: &mut Signals) -> Result<(), Report> {
    let end = clock.now() + wait;
    let passing = async {
        loop {
            let retry_after = match limiter.acquire(1).await {
                Ok(_) => return Ok(()),
                Err(SharedLimitError::Exceeded { retry_after, .. }) => retry_after,
                Err(error) => return Err(Report::failed(error)),
            };
            if clock.now() + retry_after >= end {
                let message = format!("the rate limit is used up, for {retry_after:?}");
                return Err(Report::new(REFUSED, message));
            }
            clock.sleep(retry_after.max(Duration::from_millis(1))).await;
        }
    };
    tokio::select! {
        biased;
        signal = signals.stop() => Err(Report::signalled(signal)),
        passed = passing => passed,
    }
}

/// The circuit breaker of a key, as its journal has it.
struct Circuit<'a> {
    plan: &'a BreakerPlan,
    cell: Cell,
}

impl<'a> Circuit<'a> {
    fn of(plan: &'a BreakerPlan, stores: &Stores) -> Result<Self, Report> {
        let cell = stores.cell(&plan.key).map_err(Report::failed)?;
        Ok(Self { plan, cell })
    }

    async fn admit(&self) -> Result<u64, Report> {
        let asked = self.cell.update(|text, now| {
            let mut journal = Journal::parse(text);
            let answer = journal.admit(&self.plan.key, self.plan.config, now);
            (journal.text(), answer)
        });
        match asked.await.map_err(Report::failed)?.map_err(Report::failed)? {
            Answer::Admitted(number) => Ok(number),
            Answer::Open(left) => {
                let left = left.map_or_else(String::new, |left| format!(", for {left:?}"));
                Err(Report::new(REFUSED, format!("the circuit is open{left}")))
            }
        }
    }

    async fn record(&self, number: u64, ok: Option<bool>) {
        let recorded = self.cell.update(|text, now| {
            let mut journal = Journal::parse(text);
            journal.record(number, now, ok);
            (journal.text(), ())
        });
        // Unconfirmed, the run is taken for one that never ended; its status is worth more than that.
        drop(recorded.await);
    }
}

/// The runs of one command line.
struct Runs<'a> {
    plan: &'a Plan,
    limiter: Option<&'a SharedRateLimiter>,
    circuit: Option<Circuit<'a>>,
    held: &'a [LockGuard],
    environment: &'a [(&'static str, String)],
    clock: &'a Clock,
}

impl Runs<'_> {
    /// Runs the command until it need not be run again.
    async fn all(&self, signals: &mut Signals) -> Result<Report, Report> {
        let end = self.plan.total.map(|total| self.clock.now() + total);
        let retry = match self.plan.retry {
            Some(config) => Some(RetryExecutor::with_config(config, self.clock.clone()).map_err(Report::failed)?),
            None => None,
        };
        let mut state = retry.as_ref().map_or_else(RetryState::new, RetryExecutor::begin);
        if let Some(end) = end {
            state.stop_at(end);
        }
        loop {
            if let (Some(limiter), Some(limit)) = (self.limiter, self.plan.limit.as_ref().filter(|limit| limit.per_run))
            {
                pass(limiter, limit.wait, self.clock, signals).await?;
            }
            let ended = self.one(end, signals).await?;
            let status = match ended {
                Ended::Exited(status) => status,
                Ended::Stopped(status) => return Ok(Report::status(status)),
                Ended::TimedOut => TIMED_OUT,
                Ended::LockLost => return Ok(Report::new(LOST, "the lock was lost, and the command stopped")),
            };
            let again = match &retry {
                Some(retry) if self.plan.is_retryable(status) => retry.after_failure(&mut state, None),
                _ => return Ok(finished(ended, status)),
            };
            let Decision::Wait(pause) = again else {
                return Ok(finished(ended, status));
            };
            tokio::select! {
                biased;
                signal = signals.stop() => return Ok(Report::signalled(signal)),
                () = self.clock.sleep(pause) => {}
            }
        }
    }

    /// One run, if the circuit lets it.
    async fn one(&self, end: Option<Tick>, signals: &mut Signals) -> Result<Ended, Report> {
        let lease = self.plan.lock.as_ref().map(|lock| lock.config.lease);
        let lease = lease.or(self.plan.places.as_ref().map(|places| places.config.lease));
        let left = end.map(|end| end - self.clock.now());
        let bounds = Bounds {
            timeout: [self.plan.timeout, left].into_iter().flatten().min(),
            kill_after: self.plan.kill_after,
            locks: self.held,
            // Within the last third: until then renewals have had two chances.
            lock_grace: self.plan.kill_after.min(lease.unwrap_or_default() / 3),
        };
        let number = match &self.circuit {
            Some(circuit) => Some(circuit.admit().await?),
            None => None,
        };
        // Whoever was told to stop by now does not begin.
        let ended = match signals.stopped().await {
            Some(signal) => Err(Report::signalled(signal)),
            None => child::run(&self.plan.command, self.environment, &bounds, signals, self.clock)
                .await
                .map_err(|not_run| match not_run {
                    NotRun::NotFound(message) => Report::new(NOT_FOUND, message),
                    NotRun::NotExecutable(message) => Report::new(NOT_EXECUTABLE, message),
                    NotRun::Failed(message) => Report::new(FAILED, message),
                }),
        };
        if let (Some(circuit), Some(number)) = (&self.circuit, number) {
            let ok = match &ended {
                Ok(Ended::Exited(status)) => Some(*status == 0),
                Ok(Ended::TimedOut) => Some(false),
                // What others have decided says nothing about the command.
                Ok(Ended::Stopped(_) | Ended::LockLost) | Err(_) => None,
            };
            circuit.record(number, ok).await;
        }
        ended
    }
}

fn finished(ended: Ended, status: u8) -> Report {
    match ended {
        Ended::TimedOut => Report::new(status, "the command's time was over, and it was stopped"),
        _ => Report::status(status),
    }
}

/// Who has the lock `key`.
pub(crate) async fn status(key: &str, url: Option<&str>) -> Result<Status, Report> {
    let locks = Stores::of(url)
        .and_then(|stores| stores.locks())
        .map_err(Report::failed)?;
    locks.status(key).await.map_err(Report::failed)
}
