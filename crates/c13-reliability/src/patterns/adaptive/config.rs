//! The settings of an adaptive limit.

use crate::error::{ConfigError, ConfigValue, Findings, Note};
use crate::gate::semaphore::MAX_PERMITS;
use crate::setters::setters;
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

    const fn check(&self, found: &mut Findings) {
        match *self {
            Self::Aimd { backoff } => {
                let fits = backoff >= 0.5 && backoff < 1.0;
                found.number(fits, "backoff", backoff, "must be from 0.5 and below 1");
            }
            Self::Vegas { alpha, beta } => {
                const ALPHA: &[Note] = &[Note::new("alpha", "set here")];
                let fits = alpha > 0.0 && alpha.is_finite();
                found.number(fits, "alpha", alpha, "must be above 0 and finite");
                if !(beta > alpha && beta.is_finite()) {
                    let error = found.error("beta", ConfigValue::Number(beta), "must be above `alpha` and finite");
                    found.refuse(error.notes(ALPHA));
                }
            }
            Self::Gradient { buffer } => {
                found.number(
                    buffer >= 0.0 && buffer <= 10.0,
                    "buffer",
                    buffer,
                    "must be from 0 to 10",
                );
            }
        }
    }

    /// Whether it compares latencies with a baseline, which has to be measured now and then.
    pub(super) const fn has_baseline(&self) -> bool {
        !matches!(self, Self::Aimd { .. })
    }
}

/// The settings of an adaptive limit.
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
    /// The limit is set anew this often; above zero. Default: 100 ms.
    pub window: Duration,
    /// A window goes on until it has at least this many calls; at least 1. Default: 10.
    pub min_calls: u32,
    /// A call that takes longer counts as dropped, whatever its outcome; above zero. Default: 5 s.
    pub timeout: Duration,
    /// A window in which more than this share of calls was dropped makes the limit fall; from 0 and below 1. Default: 0.05.
    pub drop_ratio: f64,
    /// A baseline older than this, give or take 15 %, is measured anew; above zero. Default: 30 s.
    pub baseline_age: Duration,
    /// Calls that may queue. Default: 0, so that a call that gets no permit is refused at once.
    pub max_queue: u32,
    /// How long a call may queue; [`Duration::MAX`] is no limit. Above zero if and only if there is a queue.
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
            min_calls: 10,
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

    /// Sets how often the limit is set anew, and from how many calls at least.
    #[must_use]
    pub const fn window(mut self, window: Duration, min_calls: u32) -> Self {
        self.window = window;
        self.min_calls = min_calls;
        self
    }

    /// Sets what counts as dropped: calls that take longer than `timeout`, and the share of drops that does not lower the limit.
    #[must_use]
    pub const fn drops(mut self, timeout: Duration, drop_ratio: f64) -> Self {
        self.timeout = timeout;
        self.drop_ratio = drop_ratio;
        self
    }

    setters! {
        /// Sets how old a baseline may become.
        baseline_age: Duration,
    }

    /// Lets up to `max_queue` calls queue for up to `max_wait` each; [`Duration::MAX`] is no limit.
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
        let mut found = Findings::of("adaptive limit");
        self.check(&mut found);
        found.first()
    }

    pub(crate) const fn check(&self, found: &mut Findings) {
        self.algorithm.check(found);
        self.check_limits(found);
        found.time(!self.window.is_zero(), "window", self.window, "must be above zero");
        found.count(
            self.min_calls > 0,
            "min_calls",
            self.min_calls as u64,
            "must be at least 1",
        );
        found.time(!self.timeout.is_zero(), "timeout", self.timeout, "must be above zero");
        let drops = self.drop_ratio;
        found.number(
            drops >= 0.0 && drops < 1.0,
            "drop_ratio",
            drops,
            "must be from 0 and below 1",
        );
        found.time(
            !self.baseline_age.is_zero(),
            "baseline_age",
            self.baseline_age,
            "must be above zero",
        );
        found.queue(self.max_queue, self.max_wait);
    }

    const fn check_limits(&self, found: &mut Findings) {
        const MIN: &[Note] = &[Note::new("min_limit", "set here")];
        const BOTH: &[Note] = &[
            Note::new("min_limit", "the limit is never below"),
            Note::new("max_limit", "nor above"),
        ];
        let Self {
            initial_limit: start,
            min_limit: min,
            max_limit: max,
            ..
        } = *self;
        found.count(min > 0, "min_limit", min as u64, "must be at least 1");
        found.count(
            max <= MAX_PERMITS,
            "max_limit",
            max as u64,
            "must be at most 2147483647",
        );
        if max < min {
            let error = found.error(
                "max_limit",
                ConfigValue::Count(max as u64),
                "must be at least `min_limit`",
            );
            found.refuse(error.notes(MIN));
        } else if start < min || start > max {
            let rule = "must be from `min_limit` to `max_limit`";
            let error = found.error("initial_limit", ConfigValue::Count(start as u64), rule);
            found.refuse(error.notes(BOTH));
        }
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
            (good.window(second, 0), "min_calls"),
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
