//! Acquires what the command needs before it runs: the lock, a permit, a token of the limit, the breaker's permit. Each wait has
//! a bound, and standard error says what it is for.

use std::cell::RefCell;
use std::time::Duration;

use c13_reliability::distributed::lock::{
    AcquireError, BackendError, BackendErrorKind, Holder, Lock, LockGuard, Status, Waiting as Found,
};
use c13_reliability::distributed::rate_limiter::{SharedLimitError, SharedRateLimiter};
use c13_reliability::time::{Clock, Tick};

use super::calendar;
use super::journal::CircuitAnswer;
use super::journal_store::{Alive, JournalStore};
use super::key::Key;
use super::plan::BreakerPlan;
use super::report::{ExitReport, whole};
use super::signals::Signals;
use super::stores::Stores;
use super::waiting::{self, Reason, Waiting};
use crate::output;

/// How long one wait may last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitBound {
    /// When it is over, whatever the reason for it.
    pub(crate) end: Tick,
    /// How long what keeps locks and limits may be unable to answer.
    pub(crate) outage: Option<Duration>,
    /// How long one request may take.
    pub(crate) request: Duration,
}

/// How long to wait after a failure before asking again.
const AGAIN: Duration = Duration::from_millis(250);
/// How long the question for the holder of a lock may take, for the message that the lock is held.
const STATUS: Duration = Duration::from_secs(1);
/// A wait for a limit that is shorter is not worth a line.
const SHORT: Duration = Duration::from_secs(1);

/// What is acquired like a lock, in the words for it.
pub(crate) struct Wanted<'a> {
    /// As in "the lock `nightly`".
    pub(crate) what: String,
    /// What is said when others have it.
    pub(crate) taken: &'a str,
    /// The exit status then.
    pub(crate) conflict: u8,
}

/// Acquires a lock or a permit.
pub(crate) async fn acquire(
    lock: &Lock,
    wanted: &Wanted<'_>,
    bound: WaitBound,
    clock: &Clock,
    signals: &mut Signals,
) -> Result<LockGuard, ExitReport> {
    let mut waiting = Waiting::new(&wanted.what);
    let mut seen = None;
    let observe = |found| {
        let reason = match found {
            Found::ForHolder { status } => {
                let reason = Reason::Others(taken_by(wanted.taken, &status));
                seen = Some(status);
                reason
            }
            Found::ForBackend { cause } => Reason::Backend(whole(&cause)),
            // Only one attempt of this process waits.
            _ => return,
        };
        say(&mut waiting, &reason, clock.now());
    };
    let acquired = tokio::select! {
        biased;
        signal = signals.stop() => return Err(ExitReport::signalled(signal)),
        acquired = lock.acquire_observed(bound.end - clock.now(), observe) => acquired,
    };
    match acquired {
        Ok(guard) => Ok(guard),
        Err(AcquireError::Backend(error)) => {
            let now = clock.now();
            // What failed was heard of only when the first request had.
            let given_up = error.kind != BackendErrorKind::Refused && now < bound.end;
            let lasted = waiting.outage(now).max(bound.outage.filter(|_| given_up));
            Err(unavailable(&wanted.what, lasted, &error))
        }
        Err(_) => {
            let status = match seen {
                Some(status) => status,
                None => tokio::select! {
                    biased;
                    signal = signals.stop() => return Err(ExitReport::signalled(signal)),
                    asked = clock.timeout(STATUS, lock.status()) => asked.ok().and_then(Result::ok).unwrap_or_default(),
                },
            };
            Err(ExitReport::new(wanted.conflict, taken_by(wanted.taken, &status)))
        }
    }
}

/// Waits for a token of the limit.
pub(crate) async fn pass(
    limiter: &SharedRateLimiter,
    key: &Key,
    bound: WaitBound,
    clock: &Clock,
    signals: &mut Signals,
) -> Result<(), ExitReport> {
    let mut asking = Asking::new(format!("the rate limit `{key}`"), bound, clock);
    let passing = async {
        loop {
            let pause = match clock.timeout_at(asking.ask_by(), limiter.acquire(1)).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(SharedLimitError::Exceeded { retry_after, .. })) => asking.used_up(retry_after)?,
                Ok(Err(SharedLimitError::Unavailable { retry_after, cause })) => {
                    asking.failed(&cause, retry_after.max(AGAIN))?
                }
                Ok(Err(error)) => return Err(ExitReport::failed(whole(&error))),
                Err(_) => asking.failed(&unanswered(clock.now() - asking.sent), AGAIN)?,
            };
            clock.sleep(pause).await;
        }
    };
    tokio::select! {
        biased;
        signal = signals.stop() => Err(ExitReport::signalled(signal)),
        passed = passing => passed,
    }
}

/// The circuit breaker of a key, as its journal has it.
pub(crate) struct Circuit<'a> {
    plan: &'a BreakerPlan,
    cell: JournalStore,
    /// Shows others that the run that was admitted last is alive.
    alive: RefCell<Option<Alive>>,
}

impl<'a> Circuit<'a> {
    pub(crate) fn of(plan: &'a BreakerPlan, stores: &Stores) -> Result<Self, ExitReport> {
        let cell = stores.cell(&plan.key)?;
        Ok(Self {
            plan,
            cell,
            alive: RefCell::default(),
        })
    }

    /// Asks whether a run may begin, and records it under the number that is returned.
    ///
    /// This does not wait for an open circuit, but for a journal that cannot be read.
    pub(crate) async fn admit(
        &self,
        bound: WaitBound,
        clock: &Clock,
        signals: &mut Signals,
    ) -> Result<u64, ExitReport> {
        let mut asking = Asking::new(self.name(), bound, clock);
        loop {
            let mut asked = Box::pin(clock.timeout_at(asking.ask_by(), self.ask()));
            let answer = tokio::select! {
                biased;
                signal = signals.stop() => {
                    // The run may be recorded already; then the record must be removed.
                    if let Ok(Ok(Ok(Ok(CircuitAnswer::Admitted(number))))) = clock.timeout(LEFT, asked).await {
                        drop(clock.timeout(LEFT, self.write(number, None)).await);
                    }
                    return Err(ExitReport::signalled(signal));
                }
                answer = &mut asked => answer,
            };
            let error = match answer {
                Ok(Ok(Ok(CircuitAnswer::Admitted(number)))) => return Ok(number),
                Ok(Ok(Ok(CircuitAnswer::Open(left)))) => {
                    let left = left.map_or_else(String::new, |left| format!(", for {left:?}"));
                    return Err(ExitReport::refused(format!("the circuit is open{left}")));
                }
                Ok(Ok(Err(error))) => return Err(ExitReport::wrong(format!("--breaker: {error}"))),
                Ok(Err(error)) => error,
                Err(_) => unanswered(clock.now() - asking.sent),
            };
            let pause = asking.failed(&error, AGAIN)?;
            tokio::select! {
                biased;
                signal = signals.stop() => return Err(ExitReport::signalled(signal)),
                () = clock.sleep(pause) => {}
            }
        }
    }

    async fn ask(&self) -> Result<Result<CircuitAnswer, c13_reliability::ConfigError>, BackendError> {
        let asked = self.cell.admit(self.plan.key.as_str(), self.plan.config).await?;
        Ok(asked.map(|(answer, alive)| {
            self.alive.replace(alive);
            answer
        }))
    }

    /// Records how a run ended.
    pub(crate) async fn record(&self, number: u64, ok: Option<bool>) {
        if let Err(error) = self.write(number, ok).await {
            // The run is taken for one whose process has died; its status is worth more than that.
            let (what, cause) = (self.name(), whole(&error));
            output::say(&format!("could not record for {what} how the command ended: {cause}"));
        }
    }

    async fn write(&self, number: u64, ok: Option<bool>) -> Result<(), BackendError> {
        let recorded = self.cell.record(number, ok).await;
        self.alive.take();
        recorded
    }

    fn name(&self) -> String {
        format!("the circuit breaker `{}`", self.plan.key)
    }
}

/// How long is waited for an answer that is under way when a signal asks to stop.
const LEFT: Duration = Duration::from_millis(300);

/// One wait for something that answers by itself: when it is asked again, and when it is given up.
struct Asking<'a> {
    what: String,
    waiting: Waiting,
    bound: WaitBound,
    begun: Tick,
    /// When the last request was sent.
    sent: Tick,
    clock: &'a Clock,
}

impl<'a> Asking<'a> {
    fn new(what: String, bound: WaitBound, clock: &'a Clock) -> Self {
        Self {
            waiting: Waiting::new(&what),
            what,
            bound,
            begun: clock.now(),
            sent: clock.now(),
            clock,
        }
    }

    /// A request is sent now: until when it may take. Without a wait, it may take one request's time.
    fn ask_by(&mut self) -> Tick {
        self.sent = self.clock.now();
        let limit = self.sent + self.bound.request;
        if self.bound.end <= self.begun {
            limit
        } else {
            limit.min(self.bound.end)
        }
    }

    /// It answered that there is nothing for `retry_after`: says how long to sleep, unless that would be too long.
    fn used_up(&mut self, retry_after: Duration) -> Result<Duration, ExitReport> {
        let now = self.clock.now();
        if now + retry_after >= self.bound.end {
            return Err(ExitReport::refused(format!(
                "{} is used up, for {retry_after:?}",
                self.what
            )));
        }
        if now + retry_after >= self.begun + SHORT {
            say(
                &mut self.waiting,
                &Reason::Others(format!("it is used up, for {retry_after:?}")),
                now,
            );
        }
        Ok(retry_after.max(Duration::from_millis(1)))
    }

    /// It could not answer: says how long to sleep, unless there is no use in asking again.
    fn failed(&mut self, error: &BackendError, pause: Duration) -> Result<Duration, ExitReport> {
        let now = self.clock.now();
        let given_up = error.kind == BackendErrorKind::Refused || now >= self.bound.end;
        let outage = self.waiting.outage_since().unwrap_or(self.sent);
        let given_up = given_up || self.bound.outage.is_some_and(|bound| now >= outage + bound);
        if given_up {
            return Err(unavailable(&self.what, self.waiting.outage(now), error));
        }
        say(&mut self.waiting, &Reason::Backend(whole(error)), self.sent);
        Ok(pause.min(self.bound.end - now))
    }
}

fn say(waiting: &mut Waiting, reason: &Reason, now: Tick) {
    if let Some(line) = waiting.hear(reason, now) {
        output::say(&line);
    }
}

fn unanswered(limit: Duration) -> BackendError {
    BackendError::new(BackendErrorKind::Unanswered, format!("no answer within {limit:?}"))
}

/// That it could not be asked for all this time.
fn unavailable(what: &str, lasted: Option<Duration>, error: &BackendError) -> ExitReport {
    let lasted = match lasted.map_or(0, waiting::seconds) {
        0 => String::new(),
        seconds => format!(" for {seconds} s"),
    };
    ExitReport::failed(format!("could not ask for {what}{lasted}: {}", whole(error)))
}

/// The line for something that others hold, with its holders where they are known.
fn taken_by(taken: &str, status: &Status) -> String {
    let others: Vec<String> = status.holders.iter().take(MOST_NAMED).map(named).collect();
    let separator = if others.is_empty() { "" } else { ": " };
    format!("{taken}{separator}{}", others.join("; "))
}

/// How many holders one line names.
const MOST_NAMED: usize = 3;

/// A holder, and since when it holds.
pub(crate) fn named(holder: &Holder) -> String {
    let since = holder
        .since
        .map_or_else(String::new, |since| format!(", since {}", calendar::utc(since)));
    format!("{holder}{since}")
}
