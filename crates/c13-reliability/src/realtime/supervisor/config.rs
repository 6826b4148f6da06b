//! What can be set: for a supervisor, and for each of its children.

use crate::error::{ConfigError, ConfigValue};
use crate::setters::setters;
use std::time::Duration;

const PART: &str = "supervisor";

/// Which children are restarted when one fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// That child alone.
    #[default]
    OneForOne,
    /// All children: the others are stopped, last started first, and then all are started in order.
    OneForAll,
    /// That child and those added after it, which are stopped, last started first, and started again in order.
    RestForOne,
}

/// Which ends of a child call for a restart. A panic is a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Every end: it is meant to run for ever.
    #[default]
    Always,
    /// A failure; after it returned `Ok` it has done its work.
    OnFailure,
    /// None: it runs once.
    Never,
}

/// What can be set for a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildConfig {
    /// Which ends call for a restart. Default: every end.
    pub restart: Restart,
    /// How long it may take to end once it is asked to. A task is dropped then; a thread, which nothing can end from
    /// outside, is left to itself. Default: 5 s.
    pub stop_within: Duration,
}

impl ChildConfig {
    /// The defaults: restarted at every end, five seconds to stop.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            restart: Restart::Always,
            stop_within: Duration::from_secs(5),
        }
    }

    setters! {
        /// Sets which ends call for a restart.
        restart: Restart,
        /// Sets how long it may take to end once it is asked to. Zero gives it up at once.
        stop_within: Duration,
    }
}

impl Default for ChildConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// What can be set for a supervisor.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SupervisorConfig {
    /// Which children are restarted when one fails. Default: that child alone.
    pub strategy: Strategy,
    /// How many restarts there may be within [`within`](Self::within), of all children together; one more and the
    /// supervisor gives up. Default: 10. Zero gives up at the first failure.
    pub max_restarts: u32,
    /// The time over which restarts are counted. Default: 60 s.
    pub within: Duration,
    /// The wait before a child's second restart in a row; the first is at once. It doubles with each further one.
    /// Default: 100 ms.
    pub backoff: Duration,
    /// The longest wait. Default: 10 s.
    pub max_backoff: Duration,
    /// By how much of itself a wait may be shortened at random, so that children of many machines do not restart
    /// together; 0 to 1. Default: 0.2.
    pub jitter: f64,
    /// How long a child must run for its next failure to count as its first. Default: 30 s.
    pub stable_after: Duration,
}

impl SupervisorConfig {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            strategy: Strategy::OneForOne,
            max_restarts: 10,
            within: Duration::from_secs(60),
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            jitter: 0.2,
            stable_after: Duration::from_secs(30),
        }
    }

    setters! {
        /// Sets which children are restarted when one fails.
        strategy: Strategy,
    }

    /// Sets how many restarts there may be within what time.
    #[must_use]
    pub const fn intensity(mut self, max_restarts: u32, within: Duration) -> Self {
        self.max_restarts = max_restarts;
        self.within = within;
        self
    }

    /// Sets the wait before a child's second restart in a row, and the longest.
    #[must_use]
    pub const fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff = first;
        self.max_backoff = longest;
        self
    }

    setters! {
        /// Sets by how much of itself a wait may be shortened at random.
        jitter: f64,
        /// Sets how long a child must run for its next failure to count as its first.
        stable_after: Duration,
    }

    /// Checks it.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        if self.within.is_zero() {
            let value = ConfigValue::Duration(self.within);
            return Err(ConfigError::new(PART, "within", value, "must be longer than zero"));
        }
        if self.max_backoff.as_nanos() < self.backoff.as_nanos() {
            let value = ConfigValue::Duration(self.max_backoff);
            return Err(ConfigError::new(
                PART,
                "max_backoff",
                value,
                "must be at least `backoff`",
            ));
        }
        if !(self.jitter >= 0.0 && self.jitter <= 1.0) {
            let value = ConfigValue::Number(self.jitter);
            return Err(ConfigError::new(PART, "jitter", value, "must be from 0 to 1"));
        }
        Ok(())
    }
}

impl Default for SupervisorConfig {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_makes_no_sense_is_named() {
        let second = Duration::from_secs(1);
        let check = |config: SupervisorConfig| config.validate().map_err(|error| error.setting);
        let base = SupervisorConfig::new();
        assert_eq!(check(base), Ok(()));
        assert_eq!(check(base.intensity(0, second)), Ok(()));
        assert_eq!(check(base.intensity(3, Duration::ZERO)), Err("within"));
        assert_eq!(check(base.backoff(second, second / 2)), Err("max_backoff"));
        for jitter in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(check(base.jitter(jitter)), Err("jitter"));
        }
    }
}
