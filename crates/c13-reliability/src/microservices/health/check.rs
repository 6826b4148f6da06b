//! One check as the service keeps it: run once for all who ask, within its time, and remembered for a moment.

use super::join::catch_panic;
use super::redact::redact;
use super::streak::{Settled, Streak};
use super::{CheckSettings, ComponentHealth, HealthChecker, HealthStatus};
use crate::sync::foreign;
use crate::sync::primitive::{Mutex, MutexGuard};
use crate::sync::{Histogram, HistogramSnapshot};
use crate::time::{Clock, Tick, nanos};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Under which the log knows of checks; part of the interface.
#[cfg(feature = "tracing")]
pub(super) const TARGET: &str = "c13::health";

/// A checker with its settings and what it last said.
pub(super) struct Check {
    pub(super) name: String,
    pub(super) settings: CheckSettings,
    checker: Box<dyn HealthChecker + Send + Sync>,
    state: Mutex<State>,
    durations: Histogram,
}

#[derive(Default)]
struct State {
    streak: Streak,
    last: Option<Reading>,
    /// How many runs have ended, one way or another.
    ended: u64,
    /// How many runs have come to a result.
    results: u64,
    /// How many runs have begun.
    begun: u64,
    running: Option<Running>,
    waiting: BTreeMap<u64, Waker>,
    tickets: u64,
}

/// A run that is under way.
#[derive(Clone, Copy)]
struct Running {
    number: u64,
    /// When its own time limit has ended it, if it is polled at all.
    until: Tick,
}

/// How much later than at its time limit a run may end. One that has not by then belongs to a future that is kept without
/// being polled, and another one takes its place.
const GRACE: Duration = Duration::from_secs(1);

/// What a check last said.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) component: ComponentHealth,
    pub(super) at: Tick,
}

impl State {
    /// Begins a run, and gives its number.
    fn begin(&mut self, until: Tick) -> u64 {
        self.begun += 1;
        self.running = Some(Running {
            number: self.begun,
            until,
        });
        self.begun
    }
}

impl Check {
    pub(super) fn new(name: String, settings: CheckSettings, checker: Box<dyn HealthChecker + Send + Sync>) -> Self {
        Self {
            name,
            settings,
            checker,
            state: Mutex::new(State::default()),
            durations: Histogram::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// What is reported now, or nothing before the first result.
    pub(super) fn status(&self) -> Option<HealthStatus> {
        self.state().streak.status()
    }

    /// How long the runs took, in nanoseconds.
    pub(super) fn durations(&self) -> HistogramSnapshot {
        self.durations.snapshot()
    }

    /// What the check says: what is remembered if it is fresh, or else the result of a run, one for all who ask.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives up waiting. If it was the one that ran the check, the run is dropped with it and one of the
    /// others who wait runs it again.
    pub(super) async fn read(&self, clock: &Clock) -> Reading {
        self.read_within(clock, self.settings.trusted_for()).await
    }

    /// Runs the check, or joins the run that is under way.
    pub(super) async fn refresh(&self, clock: &Clock) -> Reading {
        self.read_within(clock, Duration::ZERO).await
    }

    async fn read_within(&self, clock: &Clock, trusted_for: Duration) -> Reading {
        let asked = self.state().results;
        loop {
            let now = clock.now();
            let next = {
                let mut state = self.state();
                // A result that came while this caller waited answers it, however short results are remembered.
                if let Some(last) = &state.last
                    && (state.results > asked || now - last.at < trusted_for)
                {
                    return last.clone();
                }
                match state.running {
                    Some(running) if now < running.until => Err((state.ended, running.until)),
                    _ => Ok(state.begin(now + self.settings.timeout + GRACE)),
                }
            };
            match next {
                Ok(number) => return self.run(number, clock).await,
                // Either way there is something to look at.
                Err((ended, until)) => drop(clock.timeout_at(until, self.run_after(ended)).await),
            }
        }
    }

    /// Waits until the run that is under way has ended.
    fn run_after(&self, ended: u64) -> impl Future<Output = ()> + Send + '_ {
        let place = Place {
            check: self,
            ticket: {
                let mut state = self.state();
                state.tickets += 1;
                state.tickets
            },
        };
        poll_fn(move |cx| {
            let mut state = place.check.state();
            if state.ended > ended || state.running.is_none() {
                return Poll::Ready(());
            }
            state.waiting.insert(place.ticket, cx.waker().clone());
            Poll::Pending
        })
    }

    /// Runs the check, as the run of this number.
    #[cfg(feature = "tracing")]
    async fn run(&self, number: u64, clock: &Clock) -> Reading {
        use tracing::Instrument;
        let span = tracing::debug_span!(target: TARGET, "check", check = &*self.name, status = tracing::field::Empty);
        let reading = self.look(number, clock).instrument(span.clone()).await;
        span.record("status", reading.component.status.name());
        reading
    }

    /// Runs the check, as the run of this number.
    #[cfg(not(feature = "tracing"))]
    async fn run(&self, number: u64, clock: &Clock) -> Reading {
        self.look(number, clock).await
    }

    async fn look(&self, number: u64, clock: &Clock) -> Reading {
        let mut turn = Turn {
            check: self,
            number,
            reading: None,
        };
        let start = clock.now();
        let limit = self.settings.timeout;
        let result = clock
            .timeout(limit, catch_panic(async { self.checker.check().await }))
            .await;
        let (status, message) = match result {
            Ok(Ok(component)) => (component.status, component.message),
            // The text of a panic is for the log of the panic itself.
            Ok(Err(_)) => (HealthStatus::Unhealthy, Some("the check panicked".to_owned())),
            Err(_) => (HealthStatus::Unhealthy, Some(format!("no answer within {limit:?}"))),
        };
        let at = clock.now();
        self.durations.record(nanos(at - start));
        let message = message.map(|text| redact(&text));
        let settled = self.state().streak.record(&self.settings, status);
        self.tell(&settled, message.as_deref());
        let reading = Reading {
            component: ComponentHealth {
                name: self.name.clone(),
                status: settled.status,
                message: explain(&settled, status, message),
            },
            at,
        };
        turn.reading = Some(reading.clone());
        reading
    }

    /// An event for each change of what is reported.
    fn tell(&self, settled: &Settled, message: Option<&str>) {
        #[cfg(feature = "tracing")]
        if let Some(before) = settled.before {
            let (check, from, to) = (&*self.name, before.name(), settled.status.name());
            let cause = message.unwrap_or_default();
            if settled.status > before {
                tracing::warn!(target: TARGET, check, from, to, cause, "health got worse");
            } else {
                tracing::info!(target: TARGET, check, from, to, cause, "health got better");
            }
        }
        #[cfg(not(feature = "tracing"))]
        let _ = (settled, message);
    }
}

/// The message of a report, which says so where the last result is not yet believed.
fn explain(settled: &Settled, last: HealthStatus, message: Option<String>) -> Option<String> {
    let (count, of) = settled.against;
    if count == 0 {
        return message;
    }
    let text = message.map(|text| format!(": {text}")).unwrap_or_default();
    Some(format!("{last} {count} of {of} times{text}"))
}

/// Who runs the check. Dropped without a reading, the run was given up.
struct Turn<'a> {
    check: &'a Check,
    number: u64,
    reading: Option<Reading>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.check.state();
            state.running.take_if(|running| running.number == self.number);
            state.ended += 1;
            if let Some(reading) = self.reading.take() {
                state.last = Some(reading);
                state.results += 1;
            }
            std::mem::take(&mut state.waiting)
        };
        for waker in waiting.into_values() {
            foreign::wake(waker);
        }
    }
}

/// A place among those who wait for the run.
struct Place<'a> {
    check: &'a Check,
    ticket: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // Dropped after the lock is released: a waker may run what it wakes.
        let waker = self.check.state().waiting.remove(&self.ticket);
        drop(waker);
    }
}
