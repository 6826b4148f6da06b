//! `c13 run` from start to end: acquires lock, token and permit, runs the command, and reports how it ended.

use std::fs::File;
use std::time::Duration;

use c13_reliability::distributed::lock::{Lock, LockGuard, Semaphore, Status};
use c13_reliability::distributed::rate_limiter::SharedRateLimiter;
use c13_reliability::patterns::retry::{Decision, RetryExecutor, RetryState};
use c13_reliability::time::{Clock, Tick};

use super::admission::{self, Circuit, WaitBound, Wanted};
use super::child::{self, Bounds, CommandRun, Ended, NotRun};
use super::input::Input;
use super::key::Key;
use super::plan::{LimitPlan, Plan};
use super::reap;
use super::report::{ExitReport, whole};
use super::signals::Signals;
use super::stores::Stores;
use crate::output;
use crate::status::{BROKEN, LOST, NOT_EXECUTABLE, NOT_FOUND, REFUSED, TIMED_OUT};

/// Runs the command under its conditions.
pub(crate) async fn run(plan: Plan) -> ExitReport {
    match attempt(&plan).await {
        Ok(report) | Err(report) => report,
    }
}

async fn attempt(plan: &Plan) -> Result<ExitReport, ExitReport> {
    // Before anything that takes time: a signal that comes while we wait for the lock must not be lost.
    let mut signals = Signals::listen().map_err(|error| ExitReport::new(BROKEN, format!("no signals: {error}")))?;
    reap::listen().map_err(|error| ExitReport::new(BROKEN, format!("no signals: {error}")))?;
    let clock = Clock::since_boot();
    let patience = Patience::new(plan, &clock);
    let stores = Stores::of(plan.redis.as_deref())?;
    let limiter = plan.limit.as_ref().map(|limit| stores.limiter(limit)).transpose()?;
    let mut held = Vec::new();
    let mut environment = Vec::new();
    if let Some(lock) = &plan.lock {
        let made = Lock::try_new(stores.locks()?, lock.key.as_str(), lock.config)
            .map_err(|error| ExitReport::wrong(format!("--lock: {error}")))?
            .held_for(&plan.program());
        let wanted = Wanted {
            what: format!("the lock `{}`", lock.key),
            taken: "another process holds the lock",
            conflict: plan.conflict,
        };
        let guard = admission::acquire(&made, &wanted, patience.first(plan.wait), &clock, &mut signals).await?;
        environment.push(("C13_LOCK_KEY", lock.key.to_string()));
        environment.push(("C13_LOCK_FENCE", guard.fence().to_string()));
        environment.push(("C13_LOCK_TTL_MS", lock.config.lease.as_millis().to_string()));
        held.push(guard);
    }
    if let (Some(limiter), Some(limit)) = (&limiter, plan.limit.as_ref().filter(|limit| !limit.per_run)) {
        admission::pass(limiter, &limit.key, patience.first(limit.wait), &clock, &mut signals).await?;
    }
    if let Some(permits) = &plan.permits {
        let made = Semaphore::try_new(stores.locks()?, permits.key.permits(), permits.permits, permits.config)
            .map_err(|error| ExitReport::wrong(format!("--policy: {error}")))?;
        let wanted = Wanted {
            what: format!("a permit of the policy `{}`", permits.key),
            taken: "as many as the policy allows are running",
            conflict: REFUSED,
        };
        held.push(admission::acquire(made.slot(), &wanted, patience.first(permits.wait), &clock, &mut signals).await?);
    }
    let circuit = plan.breaker.as_ref().map(|breaker| Circuit::of(breaker, &stores));
    let runs = Runs {
        plan,
        limit: limiter.as_ref().zip(plan.limit.as_ref().filter(|limit| limit.per_run)),
        circuit: circuit.transpose()?,
        held: &held,
        files: stores.held_files().map_err(ExitReport::failed)?,
        environment: &environment,
        patience,
        clock: &clock,
    };
    let result = runs.all(&mut signals).await;
    finish(release(held), &clock, &mut signals).await;
    if let Some(policy) = stores.evicts() {
        output::say(&format!(
            "this Redis loses locks and limits when its memory is full: its maxmemory-policy is {policy}, not noeviction"
        ));
    }
    result
}

async fn release(held: Vec<LockGuard>) {
    for guard in held {
        // Unconfirmed, it lapses by itself; the command's status is worth more than that.
        drop(guard.release().await);
    }
}

/// How long the program may still take to release locks and record the result once a signal asks it to stop.
const LAST_WORDS: Duration = Duration::from_millis(400);

/// Finishes the work after the command has ended, within [`LAST_WORDS`] once a signal asks to stop.
async fn finish<T>(work: impl Future<Output = T>, clock: &Clock, signals: &mut Signals) -> Option<T> {
    let mut work = Box::pin(work);
    tokio::select! {
        biased;
        done = &mut work => Some(done),
        _ = signals.stop() => clock.timeout(LAST_WORDS, work).await.ok(),
    }
}

/// How long the waits of one command line may last, together or each.
#[derive(Clone, Copy, Debug)]
struct Patience {
    begun: Tick,
    /// What `--wait` or `--nonblock` says.
    asked: Option<Duration>,
    /// How long what keeps locks and limits may be unable to answer.
    outage: Option<Duration>,
    /// How long one request may take.
    request: Duration,
}

impl Patience {
    fn new(plan: &Plan, clock: &Clock) -> Self {
        Self {
            begun: clock.now(),
            asked: plan.asked_wait,
            outage: plan.outage(),
            request: Stores::request_limit(plan.redis.is_some()),
        }
    }

    /// Before the first run: all waits together have the time that was asked for, or each its own.
    fn first(&self, own: Duration) -> WaitBound {
        let wait = self.asked.unwrap_or(own);
        WaitBound {
            end: self.begun + wait,
            outage: self.outage,
            request: self.request,
        }
    }

    /// Before each further run: as long again, but not beyond `end`.
    fn again(&self, own: Duration, end: Option<Tick>, clock: &Clock) -> WaitBound {
        let wait = clock.now() + self.asked.unwrap_or(own);
        WaitBound {
            end: end.map_or(wait, |end| end.min(wait)),
            outage: self.outage,
            request: self.request,
        }
    }
}

/// The runs of one command line.
struct Runs<'a> {
    plan: &'a Plan,
    /// The limit that each run counts against.
    limit: Option<(&'a SharedRateLimiter, &'a LimitPlan)>,
    circuit: Option<Circuit<'a>>,
    held: &'a [LockGuard],
    /// The locked files, for the command's guard.
    files: Vec<File>,
    environment: &'a [(&'static str, String)],
    patience: Patience,
    clock: &'a Clock,
}

impl Runs<'_> {
    /// Runs the command until it need not be run again.
    async fn all(&self, signals: &mut Signals) -> Result<ExitReport, ExitReport> {
        let end = self.plan.total.map(|total| self.clock.now() + total);
        let retry = match self.plan.retry {
            Some(config) => Some(RetryExecutor::with_config(config, self.clock.clone()).map_err(ExitReport::failed)?),
            None => None,
        };
        let mut state = retry.as_ref().map_or_else(RetryState::new, RetryExecutor::begin);
        if let Some(end) = end {
            state.stop_at(end);
        }
        let input = Input::of_this_process(self.plan.replay_stdin, retry.is_some());
        let mut input = input.map_err(|error| ExitReport::failed(format!("standard input: {error}")))?;
        let mut run = 1;
        loop {
            let bound = |own| match run {
                1 => self.patience.first(own),
                _ => self.patience.again(own, end, self.clock),
            };
            if let Some((limiter, limit)) = self.limit {
                admission::pass(limiter, &limit.key, bound(limit.wait), self.clock, signals).await?;
            }
            let ended = self.one(&input, end, bound(Duration::MAX), signals).await?;
            let status = match ended {
                Ended::Exited(status) => status,
                Ended::Stopped(status) => return Ok(ExitReport::status(status)),
                Ended::TimedOut => TIMED_OUT,
                Ended::Unguarded => {
                    return Ok(ExitReport::new(
                        BROKEN,
                        "the guard of the command was killed, and the command with it",
                    ));
                }
                Ended::LockLost => return Ok(ExitReport::new(LOST, "the lock was lost, and the command stopped")),
            };
            let again = match &retry {
                Some(retry) if self.plan.is_retryable(status) => retry.after_failure(&mut state, None),
                _ => return Ok(finished(ended, status)),
            };
            let Decision::Wait(pause) = again else {
                return Ok(finished(ended, status));
            };
            if let Err(reason) = input.again() {
                let message = format!("the command ended with status {status} and is not run again: {reason}");
                return Ok(ExitReport::new(status, message));
            }
            run += 1;
            let runs = retry
                .as_ref()
                .map_or(run, |retry| retry.config().max_retries.saturating_add(1));
            output::say(&format!(
                "the command ended with status {status}; run {run} of {runs} in {pause:?}"
            ));
            tokio::select! {
                biased;
                signal = signals.stop() => return Ok(ExitReport::signalled(signal)),
                () = self.clock.sleep(pause) => {}
            }
        }
    }

    async fn run(&self, input: &Input, bounds: &Bounds<'_>, signals: &mut Signals) -> Result<Ended, NotRun> {
        let input = input
            .next()
            .map_err(|error| NotRun::Failed(format!("standard input: {error}")))?;
        let run = CommandRun {
            command: &self.plan.command,
            environment: self.environment,
            input,
            files: &self.files,
        };
        child::run(run, bounds, signals, self.clock).await
    }

    /// One run, if the circuit lets it.
    async fn one(
        &self,
        input: &Input,
        end: Option<Tick>,
        bound: WaitBound,
        signals: &mut Signals,
    ) -> Result<Ended, ExitReport> {
        let lease = self.plan.lock.as_ref().map(|lock| lock.config.lease);
        let lease = lease.or(self.plan.permits.as_ref().map(|permits| permits.config.lease));
        let left = end.map(|end| end - self.clock.now());
        let bounds = Bounds {
            timeout: [self.plan.timeout, left].into_iter().flatten().min(),
            kill_after: self.plan.kill_after,
            locks: self.held,
            // Within the last third: until then renewals have had two chances.
            lock_grace: self.plan.kill_after.min(lease.unwrap_or_default() / 3),
        };
        let number = match &self.circuit {
            Some(circuit) => Some(circuit.admit(bound, self.clock, signals).await?),
            None => None,
        };
        // A signal that asked to stop while we waited: the command does not begin.
        let ended = match signals.stopped().await {
            Some(signal) => Err(ExitReport::signalled(signal)),
            None => self
                .run(input, &bounds, signals)
                .await
                .map_err(|not_run| match not_run {
                    NotRun::NotFound(message) => ExitReport::new(NOT_FOUND, message),
                    NotRun::NotExecutable(message) => ExitReport::new(NOT_EXECUTABLE, message),
                    NotRun::Failed(message) => ExitReport::failed(message),
                }),
        };
        if let (Some(circuit), Some(number)) = (&self.circuit, number) {
            let ok = match &ended {
                Ok(Ended::Exited(status)) => Some(*status == 0),
                Ok(Ended::TimedOut) => Some(false),
                // The end of a command that others stopped says nothing about the command.
                Ok(Ended::Stopped(_) | Ended::LockLost | Ended::Unguarded) | Err(_) => None,
            };
            finish(circuit.record(number, ok), self.clock, signals).await;
        }
        ended
    }
}

fn finished(ended: Ended, status: u8) -> ExitReport {
    match ended {
        Ended::TimedOut => ExitReport::new(status, "the command's time was over, and it was stopped"),
        _ => ExitReport::status(status),
    }
}

/// The holders of the lock `key`.
pub(crate) async fn status(key: &Key, url: Option<&str>) -> Result<Status, ExitReport> {
    let locks = Stores::of(url)?.locks()?;
    let status = locks.status(key.as_str()).await;
    status.map_err(|error| ExitReport::failed(format!("could not ask for the lock `{key}`: {}", whole(&error))))
}
