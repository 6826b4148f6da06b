//! One check in the service: concurrent requests share one run, each run has a time limit, and its result is cached.

use super::join::catch_panic;
use super::redact::redact;
use super::streak::{Settled, Streak};
use super::{CheckSettings, ComponentHealth, HealthChecker, HealthStatus};
use crate::single_flight::{Flights, Turn};
use crate::sync::primitive::{Mutex, MutexGuard};
use crate::sync::{Histogram, HistogramSnapshot};
use crate::time::{Clock, Tick, nanos};
use std::sync::Arc;
use std::time::Duration;

/// The target of the events about checks. It is part of the interface.
#[cfg(feature = "tracing")]
pub(super) const TARGET: &str = "c13::health";

/// A checker with its settings and its last result.
pub(super) struct Check {
    pub(super) name: String,
    pub(super) settings: CheckSettings,
    checker: Box<dyn HealthChecker + Send + Sync>,
    state: Mutex<CheckState>,
    /// The present run.
    runs: Arc<Flights<(), CheckResult>>,
    durations: Histogram,
}

#[derive(Default)]
struct CheckState {
    streak: Streak,
    last: Option<CheckResult>,
}

/// How much later than its time limit a run may end. A run that has not ended by then belongs to a future that nobody
/// polls, so another run replaces it.
const GRACE: Duration = Duration::from_secs(1);

/// The last result of a check.
#[derive(Clone, Debug)]
pub(super) struct CheckResult {
    pub(super) component: ComponentHealth,
    pub(super) at: Tick,
}

impl Check {
    pub(super) fn new(name: String, settings: CheckSettings, checker: Box<dyn HealthChecker + Send + Sync>) -> Self {
        let lease = settings.timeout.saturating_add(GRACE);
        Self {
            name,
            settings,
            checker,
            state: Mutex::new(CheckState::default()),
            runs: Arc::new(Flights::new(1, lease)),
            durations: Histogram::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, CheckState> {
        self.state.lock()
    }

    /// The present report, or `None` before the first result.
    pub(super) fn status(&self) -> Option<HealthStatus> {
        self.state().streak.status()
    }

    /// The durations of the runs, in nanoseconds.
    pub(super) fn durations(&self) -> HistogramSnapshot {
        self.durations.snapshot()
    }

    /// The result of the check: the cached one if it is fresh, else that of a run, which concurrent requests share.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends only this wait. If it ran the check, the run is dropped with it, and one of the other waiters
    /// runs the check again.
    pub(super) async fn read(&self, clock: &Clock) -> CheckResult {
        self.read_within(clock, self.settings.trusted_for()).await
    }

    /// Runs the check, or joins the present run.
    pub(super) async fn refresh(&self, clock: &Clock) -> CheckResult {
        self.read_within(clock, Duration::ZERO).await
    }

    async fn read_within(&self, clock: &Clock, trusted_for: Duration) -> CheckResult {
        let remembered = || {
            let last = self.state().last.clone();
            last.filter(|last| clock.now() - last.at < trusted_for)
        };
        if let Some(last) = remembered() {
            return last;
        }
        loop {
            let mut ticket = match self.runs.join(&(), clock.now(), remembered) {
                Ok(ticket) => ticket,
                Err(last) => return last,
            };
            match ticket.turn(clock).await {
                Turn::Landed(reading) => return reading,
                Turn::Lead => {
                    let reading = self.run(clock).await;
                    ticket.land(reading.clone(), true, || self.state().last = Some(reading.clone()));
                    return reading;
                }
                // The run is overdue, so the next join starts another one.
                Turn::Wait(_) => {}
                Turn::Recursive => unreachable!("no run is marked as polled"),
            }
        }
    }

    /// Runs the check.
    #[cfg(feature = "tracing")]
    async fn run(&self, clock: &Clock) -> CheckResult {
        use tracing::Instrument;
        let span = tracing::debug_span!(target: TARGET, "check", check = &*self.name, status = tracing::field::Empty);
        let reading = self.look(clock).instrument(span.clone()).await;
        span.record("status", reading.component.status.name());
        reading
    }

    /// Runs the check.
    #[cfg(not(feature = "tracing"))]
    async fn run(&self, clock: &Clock) -> CheckResult {
        self.look(clock).await
    }

    async fn look(&self, clock: &Clock) -> CheckResult {
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
        CheckResult {
            component: ComponentHealth {
                name: self.name.clone(),
                status: settled.status,
                message: explain(&settled, status, message),
            },
            at,
        }
    }

    /// Emits an event when the reported status changes.
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

/// The message of a report. It says so if the last result does not count yet.
fn explain(settled: &Settled, last: HealthStatus, message: Option<String>) -> Option<String> {
    let (count, of) = settled.against;
    if count == 0 {
        return message;
    }
    let text = message.map(|text| format!(": {text}")).unwrap_or_default();
    Some(format!("{last} {count} of {of} times{text}"))
}
