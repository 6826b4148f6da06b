//! Whether settings make sense, each alone and all together.

use super::config::{CircuitBreakerConfig, FailuresWithin, Shares, StagedRecovery, Window};
use crate::error::{ConfigError, ConfigValue};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const SHORTEST_WINDOW: Duration = Duration::from_millis(100);
const STEEPEST: f64 = 100.0;

impl CircuitBreakerConfig {
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
        match self.recovery {
            Some(recovery) => recovery_error(recovery),
            None => None,
        }
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
            if rule.failures == 0 || rule.failures > FailuresWithin::MOST_FAILURES as u64 {
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
        Window::Calls(calls) if calls == 0 || calls > Window::MOST_CALLS => {
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

const fn recovery_error(recovery: StagedRecovery) -> Option<ConfigError> {
    if recovery.shares.is_empty() || recovery.shares.len() > Shares::MOST {
        return Some(count(
            "recovery.shares",
            recovery.shares.len() as u64,
            "must be from 1 to 8 shares",
        ));
    }
    let (mut stage, mut before) = (0, 0.0);
    while let Some(share) = recovery.shares.of(stage) {
        if !(share > before && share < 1.0) {
            return Some(number(
                "recovery.shares",
                share,
                "must be above 0, below 1 and above the share before it",
            ));
        }
        before = share;
        stage += 1;
    }
    if recovery.stage_length.is_zero() || shorter(HOUR, recovery.stage_length) {
        return Some(time(
            "recovery.stage_length",
            recovery.stage_length,
            "must be above zero and at most 1 h",
        ));
    }
    if !is_share(recovery.failure_rate) {
        return Some(number("recovery.failure_rate", recovery.failure_rate, SHARE_RANGE));
    }
    if recovery.min_calls == 0 {
        return Some(count("recovery.min_calls", 0, "must be at least 1"));
    }
    None
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
