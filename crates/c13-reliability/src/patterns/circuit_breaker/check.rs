//! The rules of the settings, each alone and all together.

use super::config::{CircuitBreakerConfig, FailuresWithin, Shares, StagedRecovery, Window};
use crate::error::{ConfigError, ConfigValue, Findings, Fix, Note};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const SHORTEST_WINDOW: Duration = Duration::from_millis(100);
const STEEPEST: f64 = 100.0;

const WITHIN_A_DAY: &str = "must be above zero and at most 24 h";
const WINDOW_RANGE: &str = "must be from 100 ms to 1 h";
const SHARE_RANGE: &str = "must be above 0 and at most 1";
const AT_LEAST_ONE: &str = "must be at least 1";

impl CircuitBreakerConfig {
    /// Checks every setting, and the settings against each other.
    ///
    /// # Errors
    ///
    /// The first setting that is zero, out of its range, or contradicts another.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        let mut found = Findings::of("circuit breaker");
        self.check(&mut found);
        found.first()
    }

    pub(crate) const fn check(&self, found: &mut Findings) {
        self.check_rules(found);
        self.check_windows(found);
        found.count(
            self.success_threshold > 0,
            "success_threshold",
            self.success_threshold,
            AT_LEAST_ONE,
        );
        if let Some(calls) = self.half_open_calls {
            found.count(calls > 0, "half_open_calls", calls, AT_LEAST_ONE);
        }
        let probe = self.probe_timeout();
        found.time(within_a_day(probe), "half_open_timeout", probe, WITHIN_A_DAY);
        self.check_open_time(found);
        if let Some(recovery) = &self.recovery {
            check_recovery(recovery, found);
        }
    }

    const fn check_rules(&self, found: &mut Findings) {
        if self.consecutive_failures.is_none()
            && self.failures.is_none()
            && self.failure_rate.is_none()
            && self.slow_call.is_none()
        {
            const RULES: &[Note] = &[
                Note::new("consecutive_failures", ""),
                Note::new("failures", ""),
                Note::new("failure_rate", ""),
                Note::new("slow_call", ""),
            ];
            const EXAMPLES: Fix = Fix::OneOf(
                "add `consecutive_failures = 5`, or `failures = 5` and `window = \"30s\"`, or `failure_rate = 0.5` and \
                 `window = { calls = 100 }`",
            );
            let setting = "consecutive_failures, failures, failure_rate, slow_call";
            let error = found.error(setting, ConfigValue::NotSet, "must say when to open, or it never does");
            found.refuse(error.notes(RULES).fix(EXAMPLES));
        }
        if let Some(failures) = self.consecutive_failures {
            found.count(failures > 0, "consecutive_failures", failures, AT_LEAST_ONE);
        }
        if let Some(failures) = self.failures {
            let fits = failures > 0 && failures <= FailuresWithin::MOST_FAILURES as u64;
            found.count(fits, "failures", failures, "must be from 1 to 65536");
        }
        if let Some(share) = self.failure_share {
            found.number(is_share(share), "failure_share", share, SHARE_RANGE);
        }
        if let Some(rate) = self.failure_rate {
            found.number(is_share(rate), "failure_rate", rate, SHARE_RANGE);
        }
        if let Some(slow) = self.slow_call {
            found.time(within_a_day(slow), "slow_call", slow, WITHIN_A_DAY);
        }
        found.number(is_share(self.slow_rate), "slow_rate", self.slow_rate, SHARE_RANGE);
    }

    const fn check_windows(&self, found: &mut Findings) {
        if let Some(window) = self.window {
            check_window(window, "window", found);
        }
        if let Some(window) = self.failures_window {
            found.time(is_window(window), "failures_window", window, WINDOW_RANGE);
        }
        if let Some(window) = self.slow_window {
            check_window(window, "slow_window", found);
        }
        if let Some(calls) = self.min_calls {
            found.count(calls > 0, "min_calls", calls, AT_LEAST_ONE);
        }
        if let Some(calls) = self.slow_min_calls {
            found.count(calls > 0, "slow_min_calls", calls, AT_LEAST_ONE);
        }
        if self.failures.is_some() && self.failures_window.is_none() {
            match self.window {
                None => missing(found, "window", const { &[Note::at_key("failures", ASKS)] }, "\"30s\""),
                Some(Window::Time(_)) => {}
                Some(Window::Calls(calls)) => {
                    const COUNTED: &[Note] = &[
                        Note::new("window", "this is a number of calls"),
                        Note::at_key("failures", "counted here"),
                    ];
                    const OWN: Fix =
                        Fix::Do("give them a window of their own, for example `failures_window = \"30s\"`");
                    let rule = "must be a duration where failures are counted";
                    let error = found.error("window", ConfigValue::Count(calls as u64), rule);
                    found.refuse(error.notes(COUNTED).fix(OWN));
                }
            }
        }
        if self.failure_rate.is_some() {
            let from = ("window", "min_calls");
            check_rated(
                self.window,
                self.rate_least(),
                from,
                const { &[Note::at_key("failure_rate", ASKS)] },
                found,
            );
        }
        if self.slow_call.is_some() {
            let window = if self.slow_window.is_some() {
                "slow_window"
            } else {
                "window"
            };
            let min_calls = if self.slow_min_calls.is_some() {
                "slow_min_calls"
            } else {
                "min_calls"
            };
            let least = self.slow_least();
            check_rated(
                self.slow(),
                least,
                (window, min_calls),
                const { &[Note::at_key("slow_call", ASKS)] },
                found,
            );
        }
    }

    const fn check_open_time(&self, found: &mut Findings) {
        const OPEN_FOR: &[Note] = &[Note::new("open_for", "set here")];
        const GROWS: &[Note] = &[Note::new("open_for_multiplier", "the open time grows")];
        let (open_for, multiplier) = (self.open_for, self.open_for_multiplier);
        found.time(within_a_day(open_for), "open_for", open_for, WITHIN_A_DAY);
        let fits = multiplier >= 1.0 && multiplier <= STEEPEST;
        found.number(fits, "open_for_multiplier", multiplier, "must be from 1 to 100");
        match self.open_for_max {
            None if multiplier > 1.0 => {
                let rule = "must be set where `open_for_multiplier` is above 1";
                let error = found.error("open_for_max", ConfigValue::NotSet, rule);
                found.refuse(error.notes(GROWS).fix(Fix::Set("\"1m\"")));
            }
            Some(max) if shorter(max, open_for) => {
                let error = found.error(
                    "open_for_max",
                    ConfigValue::Duration(max),
                    "must not be shorter than `open_for`",
                );
                found.refuse(error.notes(OPEN_FOR));
            }
            Some(max) => found.time(within_a_day(max), "open_for_max", max, WITHIN_A_DAY),
            None => {}
        }
        const HOUR: Duration = Duration::from_secs(3_600);
        let every = self.health_check_every;
        let fits = !every.is_zero() && !shorter(HOUR, every);
        found.time(fits, "health_check_every", every, "must be above zero and at most 1 h");
        let jitter = self.jitter;
        found.number(jitter >= 0.0 && jitter <= 1.0, "jitter", jitter, "must be from 0 to 1");
    }
}

/// What a missing setting's note says at the rule that cannot do without it.
const ASKS: &str = "this rule asks for it";

const fn missing(found: &mut Findings, setting: &'static str, rule: &'static [Note], example: &'static str) {
    let error = found.error(setting, ConfigValue::NotSet, "must be set for this rule");
    found.refuse(error.notes(rule).fix(Fix::Set(example)));
}

const fn check_window(window: Window, setting: &'static str, found: &mut Findings) {
    match window {
        Window::Calls(calls) => {
            let fits = calls > 0 && calls <= Window::MOST_CALLS;
            found.count(fits, setting, calls as u64, "must be from 1 to 1048576 calls");
        }
        Window::Time(length) => found.time(is_window(length), setting, length, WINDOW_RANGE),
    }
}

/// A share has a window, and says how many calls that must hold: all of them unless set, where they are counted.
const fn check_rated(
    window: Option<Window>,
    min_calls: Option<u64>,
    names: (&'static str, &'static str),
    rule: &'static [Note],
    found: &mut Findings,
) {
    match (window, min_calls) {
        (None, _) => missing(found, names.0, rule, "{ calls = 100 }"),
        (Some(Window::Time(_)), None) => missing(found, names.1, rule, "20"),
        (Some(Window::Calls(calls)), Some(least)) if least > calls as u64 => {
            const WINDOW: &[Note] = &[Note::new("window", "the calls that it looks at")];
            const OWN: &[Note] = &[Note::new("slow_window", "the calls that it looks at")];
            let text = "must not be above the window: it would never open";
            let error = found.error(names.1, ConfigValue::Count(least), text);
            found.refuse(error.notes(if names.0.len() == "window".len() { WINDOW } else { OWN }));
        }
        _ => {}
    }
}

const fn check_recovery(recovery: &StagedRecovery, found: &mut Findings) {
    let stages = recovery.shares.len();
    let fits = stages > 0 && stages <= Shares::MOST;
    found.count(fits, "recovery.shares", stages as u64, "must be from 1 to 8 shares");
    let (mut stage, mut before) = (0, 0.0);
    while let Some(share) = recovery.shares.of(stage) {
        if !(share > before && share < 1.0) {
            let rule = "must be above 0, below 1 and above the share before it";
            found.number(false, "recovery.shares", share, rule);
            break;
        }
        before = share;
        stage += 1;
    }
    let length = recovery.stage_length;
    let fits = !length.is_zero() && !shorter(HOUR, length);
    found.time(
        fits,
        "recovery.stage_length",
        length,
        "must be above zero and at most 1 h",
    );
    let rate = recovery.failure_rate;
    found.number(is_share(rate), "recovery.failure_rate", rate, SHARE_RANGE);
    found.count(
        recovery.min_calls > 0,
        "recovery.min_calls",
        recovery.min_calls,
        AT_LEAST_ONE,
    );
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
