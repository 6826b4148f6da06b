//! What can be set: when a circuit opens, for how long, and what closes it.

use super::circuit_config;
use crate::error::{ConfigError, ConfigValue};
use std::time::Duration;

/// Settings of a circuit breaker: plain values, checked by [`validate`](Self::validate) on the way in.
///
/// Rules combine: the circuit opens as soon as any one of them is met. A rule is looked at when a call fails (the slow
/// rule also when a call was slow), so a success never opens a circuit.
///
/// [`new`](Self::new) starts without a rule, [`default`](Self::default) with five consecutive failures.
///
/// ```
/// use c13_reliability::patterns::circuit_breaker::{CircuitBreakerConfig, FailureRate, Window};
/// use std::time::Duration;
///
/// const PAYMENTS: CircuitBreakerConfig = CircuitBreakerConfig::new()
///     .failure_rate(FailureRate::new(0.5, Window::Calls(100), 20))
///     .open_for(Duration::from_secs(5));
/// const _: () = assert!(PAYMENTS.validate().is_ok());
///
/// assert!(CircuitBreakerConfig::new().validate().is_err(), "no rule: it could never open");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct CircuitBreakerConfig {
    /// Opens after this many failures in a row; at least 1.
    pub consecutive_failures: Option<u64>,
    /// Opens after a number of failures within a rolling time.
    pub failures_within: Option<FailuresWithin>,
    /// Opens when the share of failures among the last calls reaches a rate.
    pub failure_rate: Option<FailureRate>,
    /// Opens when the share of slow calls among the last calls reaches a rate.
    pub slow_calls: Option<SlowCalls>,
    /// How many probes must succeed to close a half-open circuit; at least 1. Default: 2.
    pub success_threshold: u64,
    /// How many probes may run at one time in a half-open circuit; at least 1. Default: `success_threshold`.
    pub half_open_calls: Option<u64>,
    /// A half-open circuit whose probes do not come back for this long opens again; above zero, at most a day.
    /// Default: 5 s.
    pub half_open_timeout: Duration,
    /// How long an open circuit refuses before it lets probes through; above zero, at most a day. Default: 30 s.
    pub open_for: Duration,
    /// What the open time is multiplied by for each further trip without a recovery in between; from 1 to 100.
    /// Default: 1.
    pub open_for_multiplier: f64,
    /// What the open time grows to at most, jitter included; at least `open_for`, at most a day. Needed where the
    /// multiplier is above 1.
    pub open_for_max: Option<Duration>,
    /// The share of the open time that is random, from 0 to 1: 0.2 draws each open time from 80 % to 100 % of its
    /// length. Default: 0.
    pub open_for_jitter: f64,
    /// What a call counts as whose future was dropped before it was done. Default: ignored.
    pub abandoned: Abandoned,
}

/// A number of failures within a rolling time: `failures` within `window`, and optionally a share of the last calls.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct FailuresWithin {
    /// How many failures; from 1 to 65,536.
    pub failures: u64,
    /// The time that they must lie within, exact to the nanosecond; from 100 ms to 1 h. A failure that is exactly as
    /// old as this has left it.
    pub window: Duration,
    /// Ask as well that this share of the most recent 20 calls within the window failed (of all of them, where there
    /// were fewer); above 0, at most 1.
    ///
    /// It keeps a busy service, which meets any number of failures in any time, from opening at a tiny error rate.
    pub share: Option<f64>,
}

impl FailuresWithin {
    /// How many of the most recent calls a [`share`](Self::share) is taken of.
    pub const SHARE_CALLS: u32 = 20;

    /// `failures` within `window`, whatever else succeeded meanwhile.
    #[must_use]
    pub const fn new(failures: u64, window: Duration) -> Self {
        Self {
            failures,
            window,
            share: None,
        }
    }

    /// Asks as well that this share of the most recent 20 calls within the window failed.
    #[must_use]
    pub const fn share(mut self, share: f64) -> Self {
        self.share = Some(share);
        self
    }
}

/// A share of failures among the last calls.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct FailureRate {
    /// The share of failures that opens the circuit; above 0, at most 1. Reaching it is enough.
    pub rate: f64,
    /// Which calls are looked at.
    pub window: Window,
    /// How many calls the window must hold before the rate says anything; at least 1, at most the window's calls.
    pub min_calls: u64,
}

impl FailureRate {
    /// Opens when `rate` of the calls in `window` failed and there are at least `min_calls` of them.
    #[must_use]
    pub const fn new(rate: f64, window: Window, min_calls: u64) -> Self {
        Self {
            rate,
            window,
            min_calls,
        }
    }
}

/// A share of slow calls among the last calls. In a half-open circuit a slow probe counts as a failed one.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SlowCalls {
    /// A call that takes this long or longer is slow; above zero, at most a day.
    pub threshold: Duration,
    /// The share of slow calls that opens the circuit; above 0, at most 1. Reaching it is enough.
    pub rate: f64,
    /// Which calls are looked at.
    pub window: Window,
    /// How many calls the window must hold before the rate says anything; at least 1, at most the window's calls.
    pub min_calls: u64,
}

impl SlowCalls {
    /// Opens when `rate` of the calls in `window` took `threshold` or longer and there are at least `min_calls` of
    /// them.
    #[must_use]
    pub const fn new(threshold: Duration, rate: f64, window: Window, min_calls: u64) -> Self {
        Self {
            threshold,
            rate,
            window,
            min_calls,
        }
    }
}

/// Which calls a rate is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The last so many calls; from 1 to 1,048,576. Memory: one bit a call.
    Calls(u32),
    /// The calls of the last so long, in ten buckets: it reaches back at least nine tenths of this; from 100 ms to 1 h.
    Time(Duration),
}

/// What a call counts as whose future was dropped before it was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Abandoned {
    /// It says nothing about the dependency; the place of a probe is given back.
    #[default]
    Ignored,
    /// It counts as a failure: for callers that drop a call because it takes too long.
    Failure,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const SHORTEST_WINDOW: Duration = Duration::from_millis(100);
const MOST_FAILURES: u64 = 1 << 16;
const MOST_CALLS: u32 = 1 << 20;
const STEEPEST: f64 = 100.0;

impl CircuitBreakerConfig {
    /// The defaults of [`circuit_config`], but without any rule: at least one must be set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            consecutive_failures: None,
            failures_within: None,
            failure_rate: None,
            slow_calls: None,
            success_threshold: circuit_config::SUCCESS_THRESHOLD,
            half_open_calls: None,
            half_open_timeout: circuit_config::HALF_OPEN_TIMEOUT,
            open_for: circuit_config::TIMEOUT,
            open_for_multiplier: 1.0,
            open_for_max: None,
            open_for_jitter: 0.0,
            abandoned: Abandoned::Ignored,
        }
    }

    /// Opens after this many failures in a row.
    #[must_use]
    pub const fn consecutive_failures(mut self, failures: u64) -> Self {
        self.consecutive_failures = Some(failures);
        self
    }

    /// Opens after a number of failures within a rolling time.
    #[must_use]
    pub const fn failures_within(mut self, rule: FailuresWithin) -> Self {
        self.failures_within = Some(rule);
        self
    }

    /// Opens when the share of failures among the last calls reaches a rate.
    #[must_use]
    pub const fn failure_rate(mut self, rule: FailureRate) -> Self {
        self.failure_rate = Some(rule);
        self
    }

    /// Opens when the share of slow calls among the last calls reaches a rate.
    #[must_use]
    pub const fn slow_calls(mut self, rule: SlowCalls) -> Self {
        self.slow_calls = Some(rule);
        self
    }

    /// How many probes must succeed to close a half-open circuit.
    #[must_use]
    pub const fn success_threshold(mut self, successes: u64) -> Self {
        self.success_threshold = successes;
        self
    }

    /// How many probes may run at one time in a half-open circuit.
    #[must_use]
    pub const fn half_open_calls(mut self, calls: u64) -> Self {
        self.half_open_calls = Some(calls);
        self
    }

    /// How long a half-open circuit waits for its probes before it opens again.
    #[must_use]
    pub const fn half_open_timeout(mut self, timeout: Duration) -> Self {
        self.half_open_timeout = timeout;
        self
    }

    /// How long an open circuit refuses before it lets probes through.
    #[must_use]
    pub const fn open_for(mut self, open_for: Duration) -> Self {
        self.open_for = open_for;
        self
    }

    /// Multiplies the open time by `multiplier` for each further trip without a recovery in between, up to `max`.
    #[must_use]
    pub const fn open_for_growth(mut self, multiplier: f64, max: Duration) -> Self {
        self.open_for_multiplier = multiplier;
        self.open_for_max = Some(max);
        self
    }

    /// Makes this share of the open time random.
    #[must_use]
    pub const fn open_for_jitter(mut self, share: f64) -> Self {
        self.open_for_jitter = share;
        self
    }

    /// What a call counts as whose future was dropped before it was done.
    #[must_use]
    pub const fn abandoned(mut self, abandoned: Abandoned) -> Self {
        self.abandoned = abandoned;
        self
    }

    /// How many probes may run at one time, the default put in.
    #[must_use]
    pub const fn probes(&self) -> u64 {
        match self.half_open_calls {
            Some(calls) => calls,
            None => self.success_threshold,
        }
    }

    /// Checks every setting, and the settings against each other.
    ///
    /// # Errors
    ///
    /// The first setting that is zero, out of its range, or contradicts another.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        match self.first_error() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    const fn first_error(&self) -> Option<ConfigError> {
        if let Some(error) = self.rule_error() {
            return Some(error);
        }
        if self.success_threshold == 0 {
            return Some(count("success_threshold", 0, "must be at least 1"));
        }
        if let Some(0) = self.half_open_calls {
            return Some(count("half_open_calls", 0, "must be at least 1"));
        }
        if !within_a_day(self.half_open_timeout) {
            return Some(time("half_open_timeout", self.half_open_timeout, WITHIN_A_DAY));
        }
        if !within_a_day(self.open_for) {
            return Some(time("open_for", self.open_for, WITHIN_A_DAY));
        }
        if !(self.open_for_multiplier >= 1.0 && self.open_for_multiplier <= STEEPEST) {
            return Some(number(
                "open_for_multiplier",
                self.open_for_multiplier,
                "must be from 1 to 100",
            ));
        }
        match self.open_for_max {
            None if self.open_for_multiplier > 1.0 => {
                return Some(text(
                    "open_for_max",
                    "not set",
                    "must be set where `open_for_multiplier` is above 1",
                ));
            }
            Some(max) if shorter(max, self.open_for) => {
                return Some(time("open_for_max", max, "must be at least `open_for`"));
            }
            Some(max) if !within_a_day(max) => return Some(time("open_for_max", max, WITHIN_A_DAY)),
            _ => {}
        }
        if !(self.open_for_jitter >= 0.0 && self.open_for_jitter <= 1.0) {
            return Some(number("open_for_jitter", self.open_for_jitter, "must be from 0 to 1"));
        }
        None
    }

    const fn rule_error(&self) -> Option<ConfigError> {
        if self.consecutive_failures.is_none()
            && self.failures_within.is_none()
            && self.failure_rate.is_none()
            && self.slow_calls.is_none()
        {
            return Some(text(
                "consecutive_failures, failures_within, failure_rate, slow_calls",
                "not set",
                "must have at least one rule set, or it could never open",
            ));
        }
        if let Some(0) = self.consecutive_failures {
            return Some(count("consecutive_failures", 0, "must be at least 1"));
        }
        if let Some(rule) = self.failures_within {
            if rule.failures == 0 || rule.failures > MOST_FAILURES {
                return Some(count(
                    "failures_within.failures",
                    rule.failures,
                    "must be from 1 to 65536",
                ));
            }
            if !is_window(rule.window) {
                return Some(time("failures_within.window", rule.window, WINDOW_RANGE));
            }
            if let Some(share) = rule.share
                && !is_share(share)
            {
                return Some(number("failures_within.share", share, SHARE_RANGE));
            }
        }
        if let Some(rule) = self.failure_rate {
            if !is_share(rule.rate) {
                return Some(number("failure_rate.rate", rule.rate, SHARE_RANGE));
            }
            if let Some(error) = window_error(
                rule.window,
                rule.min_calls,
                "failure_rate.window",
                "failure_rate.min_calls",
            ) {
                return Some(error);
            }
        }
        if let Some(rule) = self.slow_calls {
            if !within_a_day(rule.threshold) {
                return Some(time("slow_calls.threshold", rule.threshold, WITHIN_A_DAY));
            }
            if !is_share(rule.rate) {
                return Some(number("slow_calls.rate", rule.rate, SHARE_RANGE));
            }
            if let Some(error) = window_error(rule.window, rule.min_calls, "slow_calls.window", "slow_calls.min_calls")
            {
                return Some(error);
            }
        }
        None
    }
}

impl Default for CircuitBreakerConfig {
    /// The defaults of [`circuit_config`]: opens after 5 failures in a row, for 30 s, and closes after 2 successes.
    fn default() -> Self {
        Self::new().consecutive_failures(circuit_config::FAILURE_THRESHOLD)
    }
}

const WITHIN_A_DAY: &str = "must be above zero and at most 24 h";
const WINDOW_RANGE: &str = "must be from 100 ms to 1 h";
const SHARE_RANGE: &str = "must be above 0 and at most 1";

const fn window_error(
    window: Window,
    min_calls: u64,
    window_name: &'static str,
    min_calls_name: &'static str,
) -> Option<ConfigError> {
    if min_calls == 0 {
        return Some(count(min_calls_name, 0, "must be at least 1"));
    }
    match window {
        Window::Calls(calls) if calls == 0 || calls > MOST_CALLS => {
            Some(count(window_name, calls as u64, "must be from 1 to 1048576 calls"))
        }
        Window::Calls(calls) if min_calls > calls as u64 => Some(count(
            min_calls_name,
            min_calls,
            "must be at most the window's number of calls, or the rule could never be met",
        )),
        Window::Time(length) if !is_window(length) => Some(time(window_name, length, WINDOW_RANGE)),
        _ => None,
    }
}

const fn is_share(share: f64) -> bool {
    share > 0.0 && share <= 1.0
}

const fn is_window(length: Duration) -> bool {
    !shorter(length, SHORTEST_WINDOW) && !shorter(HOUR, length)
}

const fn within_a_day(duration: Duration) -> bool {
    !duration.is_zero() && !shorter(DAY, duration)
}

const fn shorter(one: Duration, other: Duration) -> bool {
    one.as_nanos() < other.as_nanos()
}

const PART: &str = "circuit breaker";

const fn count(setting: &'static str, value: u64, rule: &'static str) -> ConfigError {
    ConfigError::new(PART, setting, ConfigValue::Count(value), rule)
}

const fn number(setting: &'static str, value: f64, rule: &'static str) -> ConfigError {
    ConfigError::new(PART, setting, ConfigValue::Number(value), rule)
}

const fn time(setting: &'static str, value: Duration, rule: &'static str) -> ConfigError {
    ConfigError::new(PART, setting, ConfigValue::Duration(value), rule)
}

const fn text(setting: &'static str, value: &'static str, rule: &'static str) -> ConfigError {
    ConfigError::new(PART, setting, ConfigValue::Text(value), rule)
}
