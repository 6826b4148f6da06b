//! A health check of the event loop: a heartbeat, and how late it is.

use super::{ComponentHealth, HealthChecker};
use crate::error::{ConfigError, ConfigValue};
use crate::sync::primitive::Mutex;
use crate::time::{Clock, Env, Tick};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// A heartbeat inside the runtime: code that blocks its threads makes the beats late.
///
/// Start [`beat`](Self::beat) as a task, and add a clone as a check (`Degraded` while a beat of the last 5 to 10 s was
/// later than the limit) or [`is_alive`](Self::is_alive) as a watchdog.
///
/// ```
/// use c13_reliability::microservices::health::EventLoopChecker;
/// use c13_reliability::time::Executor;
/// use std::time::Duration;
///
/// let executor = Executor::new();
/// let watch = EventLoopChecker::new(Duration::from_secs(1)).with_env(executor.clock());
/// executor.spawn(watch.clone().beat());
/// executor.run_for(Duration::from_secs(60));
/// assert!(watch.is_alive());
/// ```
#[derive(Clone, Debug)]
pub struct EventLoopChecker {
    clock: Clock,
    limit: Duration,
    beats: Arc<Mutex<Beats>>,
}

/// When the last beat was due to come, and the worst lateness of this slice of time and of the one before.
#[derive(Debug)]
struct Beats {
    due: Tick,
    slice: Tick,
    worst: Duration,
    worst_before: Duration,
}

/// How often the heart beats.
const PERIOD: Duration = Duration::from_millis(100);
/// For how long a late beat is reported, at least.
const SLICE: Duration = Duration::from_secs(5);

impl Beats {
    fn record(&mut self, now: Tick) {
        self.turn(now);
        self.worst = self.worst.max(now - self.due);
        self.due = now + PERIOD;
    }

    fn turn(&mut self, now: Tick) {
        let passed = now - self.slice;
        if passed >= SLICE {
            self.worst_before = if passed < 2 * SLICE { self.worst } else { Duration::ZERO };
            self.worst = Duration::ZERO;
            self.slice = now;
        }
    }

    /// How late the worst recent beat was, the one that is due now included.
    fn lateness(&mut self, now: Tick) -> Duration {
        self.turn(now);
        self.worst.max(self.worst_before).max(now - self.due)
    }
}

impl EventLoopChecker {
    /// A heartbeat that may be late by `limit`, on the system clock.
    ///
    /// # Panics
    ///
    /// If `limit` is zero; [`try_new`](Self::try_new) returns the error.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self::try_new(limit).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same as [`new`](Self::new), for a limit that is only known at run time.
    ///
    /// # Errors
    ///
    /// If `limit` is zero.
    pub fn try_new(limit: Duration) -> Result<Self, ConfigError> {
        if limit.is_zero() {
            let value = ConfigValue::Duration(limit);
            return Err(ConfigError::new(
                "event loop checker",
                "limit",
                value,
                "must be more than zero",
            ));
        }
        Ok(Self::on(Clock::system(), limit))
    }

    /// Another heartbeat that may be as late, by the clock of `env`.
    #[must_use]
    pub fn with_env(self, env: impl Into<Env>) -> Self {
        Self::on(env.into().clock, self.limit)
    }

    fn on(clock: Clock, limit: Duration) -> Self {
        let now = clock.now();
        let beats = Beats {
            due: now + PERIOD,
            slice: now,
            worst: Duration::ZERO,
            worst_before: Duration::ZERO,
        };
        Self {
            clock,
            limit,
            beats: Arc::new(Mutex::new(beats)),
        }
    }

    /// Beats ten times a second, for ever: start it as a task.
    ///
    /// # Cancel safety
    ///
    /// Dropping it stops the heart, which the check and the watchdog then report.
    pub async fn beat(self) {
        loop {
            self.clock.sleep(PERIOD).await;
            let now = self.clock.now();
            self.beats.lock().record(now);
        }
    }

    /// Whether the beat that is due now is late by no more than the limit. What was late before does not count.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let now = self.clock.now();
        now - self.beats.lock().due <= self.limit
    }
}

#[async_trait]
impl HealthChecker for EventLoopChecker {
    async fn check(&self) -> ComponentHealth {
        let now = self.clock.now();
        let lateness = self.beats.lock().lateness(now);
        if lateness > self.limit {
            let message = format!("late by {lateness:?}, of at most {:?}", self.limit);
            return ComponentHealth::degraded(self.name(), message);
        }
        ComponentHealth::healthy(self.name())
    }

    fn name(&self) -> &str {
        "event_loop"
    }
}

#[cfg(test)]
mod tests {
    use super::super::HealthStatus;
    use super::*;
    use crate::time::Executor;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_late_beat_is_told_for_a_while_and_then_forgotten() {
        let executor = Executor::new();
        let watch = EventLoopChecker::new(Duration::from_millis(200)).with_env(executor.clock());
        executor.spawn(watch.clone().beat());
        let status = |watch: &EventLoopChecker| executor.block_on(watch.check()).status;
        executor.run_for(12 * SECOND);
        assert_eq!(status(&watch), HealthStatus::Healthy);
        // Code that holds the thread: time passes and nothing is polled.
        executor.time().advance(SECOND);
        assert!(!watch.is_alive());
        assert_eq!(status(&watch), HealthStatus::Degraded, "while it lasts");
        executor.run_for(SECOND);
        assert!(watch.is_alive());
        assert_eq!(status(&watch), HealthStatus::Degraded, "and for a while");
        executor.run_for(11 * SECOND);
        assert_eq!(status(&watch), HealthStatus::Healthy, "but not for ever");
    }

    #[test]
    fn a_heart_that_does_not_beat_is_found() {
        let executor = Executor::new();
        let watch = EventLoopChecker::new(SECOND).with_env(executor.clock());
        executor.run_for(2 * SECOND);
        assert!(!watch.is_alive());
        assert_eq!(executor.block_on(watch.check()).status, HealthStatus::Degraded);
        assert!(EventLoopChecker::try_new(Duration::ZERO).is_err());
    }
}
