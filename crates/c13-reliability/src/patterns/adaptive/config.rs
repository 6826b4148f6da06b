//! What can be set of an adaptive limit.

use crate::error::{ConfigError, ConfigValue};
use crate::gate::places::MAX_PLACES;
use std::time::Duration;

/// How the limit follows what is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Algorithm {
    /// Additive increase, multiplicative decrease: one more a window while nothing is dropped, and `backoff` times the
    /// limit where something is. It needs no baseline, but it has to run into drops to find the limit.
    ///
    /// Source: Netflix concurrency-limits, `AIMDLimit`, after TCP.
    Aimd {
        /// What the limit is multiplied by; from 0.5 and below 1.
        backoff: f64,
    },
    /// Estimates how many calls queue in the dependency, `limit × (1 − baseline / latency)`, and keeps them between
    /// `alpha` and `beta` times the decimal logarithm of the limit.
    ///
    /// Source: Netflix concurrency-limits, `VegasLimit`, after TCP Vegas (Brakmo and Peterson, 1995).
    Vegas {
        /// Below this the limit grows; above zero.
        alpha: f64,
        /// Above this it shrinks; above `alpha`.
        beta: f64,
    },
    /// Multiplies the limit by `baseline × (1 + buffer) / latency`, within 0.5 and 2, and adds its square root for bursts.
    ///
    /// Source: Envoy's adaptive concurrency filter, gradient controller.
    Gradient {
        /// How much longer than the baseline calls may take before the limit shrinks, as a share of it; from 0 to 10.
        buffer: f64,
    },
}

impl Algorithm {
    /// AIMD with a back-off of 0.9.
    pub const AIMD: Self = Self::Aimd { backoff: 0.9 };
    /// Vegas between 3 and 6.
    pub const VEGAS: Self = Self::Vegas { alpha: 3.0, beta: 6.0 };
    /// Gradient with a buffer of a quarter.
    pub const GRADIENT: Self = Self::Gradient { buffer: 0.25 };

    /// Whether it compares latencies with a baseline, which has to be measured now and then.
    pub(super) const fn has_baseline(&self) -> bool {
        !matches!(self, Self::Aimd { .. })
    }
}

/// What can be set of an adaptive limit.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct AdaptiveConfig {
    /// How the limit follows what is measured. Default: gradient.
    pub algorithm: Algorithm,
    /// The limit before anything was measured, within the two below. Default: 20.
    pub initial_limit: u32,
    /// The limit never falls below this; at least 1. Default: 1.
    pub min_limit: u32,
    /// The limit never rises above this. Default: 1000.
    pub max_limit: u32,
    /// The limit is looked at this often; above zero. Default: 100 ms.
    pub window: Duration,
    /// A window goes on until it has seen as many calls; at least 1. Default: 10.
    pub min_samples: u32,
    /// A call that takes longer counts as dropped, whatever comes of it; above zero. Default: 5 s.
    pub timeout: Duration,
    /// A window in which more than this share of calls was dropped makes the limit fall; from 0 and below 1. Default: 0.05.
    pub drop_ratio: f64,
    /// A baseline older than this, give or take 15 %, is measured anew; above zero. Default: 30 s.
    pub baseline_age: Duration,
    /// Calls in line. Default: 0, so that what does not fit is refused at once.
    pub max_queue: u32,
    /// How long a call may stay in line; [`Duration::MAX`] is no limit. Above zero if and only if there is a queue.
    pub max_wait: Duration,
}

impl AdaptiveConfig {
    /// The defaults with `algorithm`.
    #[must_use]
    pub const fn new(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            initial_limit: 20,
            min_limit: 1,
            max_limit: 1000,
            window: Duration::from_millis(100),
            min_samples: 10,
            timeout: Duration::from_secs(5),
            drop_ratio: 0.05,
            baseline_age: Duration::from_secs(30),
            max_queue: 0,
            max_wait: Duration::ZERO,
        }
    }

    /// Sets the limit before anything was measured, and the two it stays within.
    #[must_use]
    pub const fn limits(mut self, initial: u32, min: u32, max: u32) -> Self {
        self.initial_limit = initial;
        self.min_limit = min;
        self.max_limit = max;
        self
    }

    /// Sets how often the limit is looked at, and how many calls it takes at least.
    #[must_use]
    pub const fn window(mut self, window: Duration, min_samples: u32) -> Self {
        self.window = window;
        self.min_samples = min_samples;
        self
    }

    /// Sets what counts as dropped: calls that take longer than `timeout`, and the share of drops that a window bears.
    #[must_use]
    pub const fn drops(mut self, timeout: Duration, drop_ratio: f64) -> Self {
        self.timeout = timeout;
        self.drop_ratio = drop_ratio;
        self
    }

    /// Sets how old a baseline may become.
    #[must_use]
    pub const fn baseline_age(mut self, baseline_age: Duration) -> Self {
        self.baseline_age = baseline_age;
        self
    }

    /// Lets up to `max_queue` calls stay in line for up to `max_wait` each; [`Duration::MAX`] is no limit.
    #[must_use]
    pub const fn queue(mut self, max_queue: u32, max_wait: Duration) -> Self {
        self.max_queue = max_queue;
        self.max_wait = max_wait;
        self
    }

    /// Checks all settings.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        use ConfigValue::{Count, Duration as Length, Number};
        let (setting, value, rule) = match self.algorithm {
            Algorithm::Aimd { backoff } if !(backoff >= 0.5 && backoff < 1.0) => {
                ("backoff", Number(backoff), "must be from 0.5 and below 1")
            }
            Algorithm::Vegas { alpha, .. } if !(alpha > 0.0 && alpha.is_finite()) => {
                ("alpha", Number(alpha), "must be above 0 and finite")
            }
            Algorithm::Vegas { alpha, beta } if !(beta > alpha && beta.is_finite()) => {
                ("beta", Number(beta), "must be above `alpha` and finite")
            }
            Algorithm::Gradient { buffer } if !(buffer >= 0.0 && buffer <= 10.0) => {
                ("buffer", Number(buffer), "must be from 0 to 10")
            }
            _ if self.min_limit == 0 => ("min_limit", Count(0), "must be at least 1"),
            _ if self.max_limit > MAX_PLACES => {
                ("max_limit", Count(self.max_limit as u64), "must be at most 2147483647")
            }
            _ if self.max_limit < self.min_limit => (
                "max_limit",
                Count(self.max_limit as u64),
                "must be at least `min_limit`",
            ),
            _ if self.initial_limit < self.min_limit || self.initial_limit > self.max_limit => (
                "initial_limit",
                Count(self.initial_limit as u64),
                "must be from `min_limit` to `max_limit`",
            ),
            _ if self.window.is_zero() => ("window", Length(self.window), "must be above zero"),
            _ if self.min_samples == 0 => ("min_samples", Count(0), "must be at least 1"),
            _ if self.timeout.is_zero() => ("timeout", Length(self.timeout), "must be above zero"),
            _ if !(self.drop_ratio >= 0.0 && self.drop_ratio < 1.0) => {
                ("drop_ratio", Number(self.drop_ratio), "must be from 0 and below 1")
            }
            _ if self.baseline_age.is_zero() => ("baseline_age", Length(self.baseline_age), "must be above zero"),
            _ if self.max_queue > 0 && self.max_wait.is_zero() => (
                "max_wait",
                Length(self.max_wait),
                "must be above zero where there is a queue",
            ),
            _ if self.max_queue == 0 && !self.max_wait.is_zero() => {
                ("max_queue", Count(0), "must be at least 1 where `max_wait` is set")
            }
            _ => return Ok(()),
        };
        Err(ConfigError::new("adaptive limit", setting, value, rule))
    }
}

impl Default for AdaptiveConfig {
    fn default() -> Self {
        Self::new(Algorithm::GRADIENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        let good = AdaptiveConfig::default();
        assert_eq!(good.validate(), Ok(()));
        let second = Duration::from_secs(1);
        let vegas = |alpha, beta| AdaptiveConfig::new(Algorithm::Vegas { alpha, beta });
        for (bad, setting) in [
            (AdaptiveConfig::new(Algorithm::Aimd { backoff: 0.4 }), "backoff"),
            (AdaptiveConfig::new(Algorithm::Aimd { backoff: 1.0 }), "backoff"),
            (vegas(0.0, 1.0), "alpha"),
            (vegas(3.0, 3.0), "beta"),
            (AdaptiveConfig::new(Algorithm::Gradient { buffer: f64::NAN }), "buffer"),
            (good.limits(20, 0, 100), "min_limit"),
            (good.limits(20, 1, 1 << 31), "max_limit"),
            (good.limits(20, 30, 20), "max_limit"),
            (good.limits(20, 21, 100), "initial_limit"),
            (good.limits(20, 1, 19), "initial_limit"),
            (good.window(Duration::ZERO, 1), "window"),
            (good.window(second, 0), "min_samples"),
            (good.drops(Duration::ZERO, 0.1), "timeout"),
            (good.drops(second, 1.0), "drop_ratio"),
            (good.baseline_age(Duration::ZERO), "baseline_age"),
            (good.queue(1, Duration::ZERO), "max_wait"),
            (good.queue(0, second), "max_queue"),
        ] {
            assert_eq!(bad.validate().map_err(|error| error.setting), Err(setting), "{bad:?}");
        }
    }
}
