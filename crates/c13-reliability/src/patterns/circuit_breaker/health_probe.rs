//! Recovery before the open time is over: a user's own probe of the dependency, which runs while the circuit is open.

use super::events::CircuitEvents;
use super::shared::Shared;
use super::snapshot::{CircuitEvent, CircuitState};
use crate::error::{ConfigError, ConfigValue};
use crate::setters::setters;
use crate::time::Clock;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Weak;
use std::task::Poll;
use std::time::Duration;

/// How an open circuit's dependency is probed; see
/// [`CircuitBreaker::probe_health`](super::CircuitBreaker::probe_health).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct HealthProbe {
    /// How long to wait before each probe; above zero, at most 1 h.
    pub interval: Duration,
    /// The share of the interval that is random, from 0 to 1, so that a fleet does not probe in step: 0.2 waits from
    /// 80 % to 100 % of it. Default: 0.1.
    pub jitter: f64,
    /// A probe that takes longer has failed; above zero, at most 1 h. Default: the interval, at most 1 s.
    pub timeout: Duration,
    /// How many probes in a row must find the dependency well; at least 1. Default: 1.
    pub successes: u32,
}

/// How often in a row the wait doubles, once for each time that the circuit opened again after an early recovery.
const MOST_DOUBLINGS: u32 = 6;

impl HealthProbe {
    /// A probe each `interval`.
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        let second = Duration::from_secs(1);
        Self {
            interval,
            jitter: 0.1,
            timeout: if interval.as_nanos() < second.as_nanos() {
                interval
            } else {
                second
            },
            successes: 1,
        }
    }

    setters! {
        /// The share of the interval that is random.
        jitter: f64,
        /// How long a probe may take.
        timeout: Duration,
        /// How many probes in a row must find the dependency well.
        successes: u32,
    }

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// The first setting that is zero or out of its range.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        const HOUR: u128 = 3_600_000_000_000;
        const RANGE: &str = "must be above zero and at most 1 h";
        let (setting, value, rule) = if self.interval.is_zero() || self.interval.as_nanos() > HOUR {
            ("interval", ConfigValue::Duration(self.interval), RANGE)
        } else if !(self.jitter >= 0.0 && self.jitter <= 1.0) {
            ("jitter", ConfigValue::Number(self.jitter), "must be from 0 to 1")
        } else if self.timeout.is_zero() || self.timeout.as_nanos() > HOUR {
            ("timeout", ConfigValue::Duration(self.timeout), RANGE)
        } else if self.successes == 0 {
            ("successes", ConfigValue::Count(0), "must be at least 1")
        } else {
            return Ok(());
        };
        Err(ConfigError::new("health probe", setting, value, rule))
    }
}

/// Probes while the circuit is open, until the breaker is gone.
pub(super) async fn run<P, F>(
    settings: HealthProbe,
    breaker: Weak<Shared>,
    clock: Clock,
    events: CircuitEvents,
    mut probe: P,
) where
    P: FnMut() -> F,
    F: Future<Output = bool>,
{
    let mut watch = Watch {
        events,
        misled: 0,
        let_through: false,
    };
    let mut well = 0;
    loop {
        let Some(draw) = watch.until_open(&breaker).await else {
            return;
        };
        let wait = settings.interval * (1 << watch.misled.min(MOST_DOUBLINGS));
        let sleep = clock.sleep(wait.mul_f64(1.0 - settings.jitter * draw));
        if watch.unless_gone(sleep).await.is_none() {
            return;
        }
        if !breaker.upgrade().is_some_and(|shared| shared.is_probed()) {
            well = 0;
            continue;
        }
        let answer = clock.timeout(settings.timeout, isolated(&mut probe));
        let Some(answer) = watch.unless_gone(answer).await else {
            return;
        };
        well = if answer == Ok(true) { well + 1 } else { 0 };
        if well >= settings.successes {
            well = 0;
            watch.let_through = true;
            if let Some(shared) = breaker.upgrade() {
                shared.recovered();
            }
        }
    }
}

/// The answer of a probe; a panic is a no.
async fn isolated<P: FnMut() -> F, F: Future<Output = bool>>(probe: &mut P) -> bool {
    let Ok(answer) = catch_unwind(AssertUnwindSafe(probe)) else {
        return false;
    };
    let mut answer = pin!(answer);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx)));
        polled.unwrap_or(Poll::Ready(false))
    })
    .await
}

/// The circuit, as the prober follows it.
struct Watch {
    events: CircuitEvents,
    /// How often in a row the circuit became half-open early and opened again.
    misled: u32,
    let_through: bool,
}

impl Watch {
    /// Waits until the rules have opened the circuit, and returns a random number; `None` if the breaker is gone.
    async fn until_open(&mut self, breaker: &Weak<Shared>) -> Option<f64> {
        loop {
            {
                let shared = breaker.upgrade()?;
                if shared.is_probed() {
                    return Some(shared.draw());
                }
            }
            let event = self.events.next().await?;
            self.note(&event);
        }
    }

    /// Runs `future`; `None` if the breaker is gone before it is done.
    async fn unless_gone<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            while let Poll::Ready(event) = self.events.poll_next(cx) {
                match event {
                    Some(event) => self.note(&event),
                    None => return Poll::Ready(None),
                }
            }
            future.as_mut().poll(cx).map(Some)
        })
        .await
    }

    fn note(&mut self, event: &CircuitEvent) {
        if let CircuitEvent::Transition(change) = event {
            match change.to {
                CircuitState::Closed => (self.misled, self.let_through) = (0, false),
                CircuitState::Open if self.let_through => {
                    (self.misled, self.let_through) = (self.misled.saturating_add(1), false);
                }
                _ => {}
            }
        }
    }
}
