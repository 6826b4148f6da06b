//! What can be set: when a circuit opens, for how long, and what closes it.

use super::circuit_config;
use crate::setters::setters;
use crate::time::Rounded;
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
    /// Opens after this many failures within [`failures_window`](Self::failures_window); from 1 to 65,536.
    pub failures: Option<u64>,
    /// Asks [`failures`](Self::failures) as well that this share of the most recent 20 calls failed; above 0, at most 1.
    pub failure_share: Option<f64>,
    /// Opens when this share of the calls in [`window`](Self::window) failed; above 0, at most 1. Reaching it is enough.
    pub failure_rate: Option<f64>,
    /// A call that takes this long or longer is slow, and [`slow_rate`](Self::slow_rate) of them opens the circuit; above
    /// zero, at most a day.
    pub slow_call: Option<Duration>,
    /// The share of slow calls that opens the circuit; above 0, at most 1. Default: 1.
    pub slow_rate: f64,
    /// Which calls the rules look at; a time where failures are counted.
    pub window: Option<Window>,
    /// The window of [`failures`](Self::failures); from 100 ms to 1 h. Default: [`window`](Self::window).
    pub failures_window: Option<Duration>,
    /// The window of slow calls. Default: [`window`](Self::window).
    pub slow_window: Option<Window>,
    /// How many calls the window must hold before a rate says anything; at least 1, at most the window's calls. Default:
    /// the window's calls. Where the window is a time and [`failures`](Self::failures) is set, the failure rate waits for so
    /// many calls that they hold as many failures, unless this is set; else it must be set where the window is a time.
    pub min_calls: Option<u64>,
    /// The same for the share of slow calls. Default: [`min_calls`](Self::min_calls).
    pub slow_min_calls: Option<u64>,
    /// How many probes must succeed to close a half-open circuit; at least 1. Default: 2.
    pub success_threshold: u64,
    /// How many probes may run at one time in a half-open circuit; at least 1. Default: `success_threshold`.
    pub half_open_calls: Option<u64>,
    /// A half-open circuit whose probes do not come back for this long opens again; above zero, at most a day.
    /// Default: 5 s; in a policy the attempt's time limit, where that is longer.
    pub half_open_timeout: Option<Duration>,
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
    pub jitter: f64,
    /// After its probes have succeeded, let the traffic back in stages instead of all at once. Default: all at once.
    pub recovery: Option<StagedRecovery>,
    /// What a call counts as whose future was dropped before it was done. Default: ignored.
    pub abandoned: Abandoned,
    /// The name of the health check by which `PolicyRegistry::probe_health` probes the dependency while the circuit is open, so
    /// that calls run again as soon as it is well. By itself a breaker runs no check: see
    /// [`probe_health`](super::CircuitBreaker::probe_health). Default: none.
    pub health_check: Option<&'static str>,
    /// How often that check is run while the circuit is open; above zero, at most 1 h. Default: 200 ms.
    pub health_check_every: Duration,
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

    /// The most failures that can be asked for.
    pub(crate) const MOST_FAILURES: u32 = 1 << 16;

    /// `failures` within `window`, whatever else succeeded meanwhile.
    #[must_use]
    pub const fn new(failures: u64, window: Duration) -> Self {
        Self {
            failures,
            window,
            share: None,
        }
    }

    setters! {
        /// Asks as well that this share of the most recent 20 calls within the window failed.
        share: f64 => Some,
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

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Calls(calls) => write!(f, "{calls} calls"),
            Self::Time(time) => write!(f, "{}", Rounded(*time)),
        }
    }
}

impl Window {
    /// The most calls that a window can hold.
    pub(crate) const MOST_CALLS: u32 = 1 << 20;

    /// A least number of calls; all of them unless it is set, where they are counted.
    const fn or_all(self, least: Option<u64>) -> u64 {
        match (least, self) {
            (Some(least), _) => least,
            (None, Self::Calls(calls)) => calls as u64,
            (None, Self::Time(_)) => 1,
        }
    }

    /// A least number of calls, unless it is all of them.
    const fn unless_all(self, least: u64) -> Option<u64> {
        match self {
            Self::Calls(calls) if calls as u64 == least => None,
            _ => Some(least),
        }
    }
}

/// The way back in stages: each lets a larger share of the calls run than the one before, chosen at random, and
/// refuses the others.
///
/// The first call of a stage always runs, so that little traffic does not make it last for ever. A stage ends with the
/// first success after its time, unless too many of its calls failed. A failure falls back to open at any stage: as
/// soon as `failure_rate` is reached, by at least `min_calls` calls, or by however few there were once the stage's
/// time is over.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct StagedRecovery {
    /// The share of calls that run in each stage. Default: 0.1, 1, 5, 10, 25 and 50 %.
    pub shares: Shares,
    /// How long a stage lasts at least; above zero, at most 1 h.
    pub stage_length: Duration,
    /// The share of failures in a stage that falls back; above 0, at most 1. Reaching it is enough. Default: 0.5.
    pub failure_rate: f64,
    /// How many calls of a stage must have ended before its time is over for the rate to say anything; at least 1.
    /// Default: 5.
    pub min_calls: u64,
}

impl StagedRecovery {
    /// The way back in six stages of this length: 0.1, 1, 5, 10, 25 and 50 % of the calls.
    #[must_use]
    pub const fn new(stage_length: Duration) -> Self {
        Self {
            shares: Shares::new(&[0.001, 0.01, 0.05, 0.1, 0.25, 0.5]),
            stage_length,
            failure_rate: 0.5,
            min_calls: 5,
        }
    }

    setters! {
        /// The share of calls that run in each stage.
        shares: Shares,
    }

    /// The share of failures in a stage that falls back, and how many calls must have ended for it to say anything.
    #[must_use]
    pub const fn failure_rate(mut self, rate: f64, min_calls: u64) -> Self {
        self.failure_rate = rate;
        self.min_calls = min_calls;
        self
    }
}

/// One share for each stage of a recovery, as a plain value: from 1 to 8 of them, each above 0, below 1 and above the
/// one before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    list: [f64; Self::MOST],
    len: usize,
}

impl Shares {
    /// How many stages there can be.
    pub const MOST: usize = 8;

    /// These shares. Whether they make sense is checked with the other settings.
    #[must_use]
    pub const fn new(shares: &[f64]) -> Self {
        let mut list = [0.0; Self::MOST];
        let mut i = 0;
        while i < shares.len() && i < Self::MOST {
            list[i] = shares[i];
            i += 1;
        }
        Self {
            list,
            len: shares.len(),
        }
    }

    /// How many there are; more than [`MOST`](Self::MOST) are refused with the other settings.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none; which is refused with the other settings.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The share of stage `stage`, from 0.
    #[must_use]
    pub const fn of(&self, stage: usize) -> Option<f64> {
        if stage < self.len && stage < Self::MOST {
            Some(self.list[stage])
        } else {
            None
        }
    }
}

/// What a call counts as whose future was dropped before it was done. Losers of a hedge are not meant: they say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Abandoned {
    /// It says nothing about the dependency; the permit of a probe is given back.
    #[default]
    Ignored,
    /// It counts as a failure: for callers that drop a call because it takes too long.
    Failure,
}

impl Abandoned {
    /// Each by its name in files.
    pub const NAMES: &[(&str, Self)] = &[("ignored", Self::Ignored), ("failure", Self::Failure)];
}

impl CircuitBreakerConfig {
    /// How many bytes the windows of one breaker take when they are full, those of a fixed size not counted.
    pub(super) fn window_bytes(&self) -> usize {
        // A bit for each call of a window; the times of failures are in a ring that doubles as it grows.
        let bits = |window: Window| match window {
            Window::Calls(calls) => calls as usize / 8,
            Window::Time(_) => 0,
        };
        let times = self
            .failures
            .map_or(0, |failures| (failures as usize).next_power_of_two() * 8);
        let failures = self.failure_rate_rule().map_or(0, |rule| bits(rule.window));
        times + failures + self.slow_rule().map_or(0, |rule| bits(rule.window))
    }

    /// The defaults of [`circuit_config`], but without any rule: at least one must be set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            consecutive_failures: None,
            failures: None,
            failure_share: None,
            failure_rate: None,
            slow_call: None,
            slow_rate: 1.0,
            window: None,
            failures_window: None,
            slow_window: None,
            min_calls: None,
            slow_min_calls: None,
            success_threshold: circuit_config::SUCCESS_THRESHOLD,
            half_open_calls: None,
            half_open_timeout: None,
            open_for: circuit_config::TIMEOUT,
            open_for_multiplier: 1.0,
            open_for_max: None,
            jitter: 0.0,
            recovery: None,
            abandoned: Abandoned::Ignored,
            health_check: None,
            health_check_every: Duration::from_millis(200),
        }
    }

    setters! {
        /// Opens after this many failures in a row.
        consecutive_failures: u64 => Some,
        /// Names the health check that probes the dependency while the circuit is open.
        health_check: &'static str => Some,
        /// How often that check is run while the circuit is open.
        health_check_every: Duration,
    }

    /// Opens after a number of failures within a rolling time.
    #[must_use]
    pub const fn failures_within(mut self, rule: FailuresWithin) -> Self {
        (self.failures, self.failure_share) = (Some(rule.failures), rule.share);
        (self.window, self.failures_window) = match self.window {
            Some(Window::Time(shared)) if shared.as_nanos() == rule.window.as_nanos() => (self.window, None),
            Some(_) if self.failure_rate.is_some() || self.slow_call.is_some() => (self.window, Some(rule.window)),
            _ => (Some(Window::Time(rule.window)), None),
        };
        self
    }

    /// Opens when the share of failures among the last calls reaches a rate.
    #[must_use]
    pub const fn failure_rate(mut self, rule: FailureRate) -> Self {
        self = self.with_own_windows();
        self.failure_rate = Some(rule.rate);
        self.window = Some(rule.window);
        self.min_calls = rule.window.unless_all(rule.min_calls);
        self
    }

    /// Opens when the share of slow calls among the last calls reaches a rate.
    #[must_use]
    pub const fn slow_calls(mut self, rule: SlowCalls) -> Self {
        (self.slow_call, self.slow_rate) = (Some(rule.threshold), rule.rate);
        if self.window.is_none() {
            self.window = Some(rule.window);
            self.min_calls = rule.window.unless_all(rule.min_calls);
        } else {
            self.slow_window = Some(rule.window);
            self.slow_min_calls = Some(rule.min_calls);
        }
        self
    }

    /// Gives the rules that share a window one each, so that the shared one can change.
    const fn with_own_windows(mut self) -> Self {
        if let (Some(_), None, Some(Window::Time(window))) = (self.failures, self.failures_window, self.window) {
            self.failures_window = Some(window);
        }
        if let Some(slow) = self.slow_rule() {
            (self.slow_window, self.slow_min_calls) = (Some(slow.window), Some(slow.min_calls));
        }
        self
    }

    /// The rule of failures within a time, if it is set and has a window.
    #[must_use]
    pub const fn failures_rule(&self) -> Option<FailuresWithin> {
        let (failures, window) = match (self.failures, self.failures_window, self.window) {
            (Some(failures), Some(window), _) | (Some(failures), None, Some(Window::Time(window))) => {
                (failures, window)
            }
            _ => return None,
        };
        let share = self.failure_share;
        Some(FailuresWithin {
            failures,
            window,
            share,
        })
    }

    /// The rule of a share of failures, if it is set and has a window.
    #[must_use]
    pub const fn failure_rate_rule(&self) -> Option<FailureRate> {
        let (Some(rate), Some(window)) = (self.failure_rate, self.window) else {
            return None;
        };
        Some(FailureRate::new(rate, window, window.or_all(self.rate_least())))
    }

    /// After how many calls the failure rate says something; where a time is looked at and `failures` is set, that follows
    /// from it unless it is set.
    pub(super) const fn rate_least(&self) -> Option<u64> {
        match (self.min_calls, self.window, self.failures, self.failure_rate) {
            // The least number of calls of which so large a share is as many failures.
            (None, Some(Window::Time(_)), Some(failures), Some(rate)) => {
                Some(1 + (failures.saturating_sub(1) as f64 / rate) as u64)
            }
            (least, ..) => least,
        }
    }

    /// The rule of a share of slow calls, if it is set and has a window.
    #[must_use]
    pub const fn slow_rule(&self) -> Option<SlowCalls> {
        let (Some(slow), Some(window)) = (self.slow_call, self.slow()) else {
            return None;
        };
        Some(SlowCalls::new(
            slow,
            self.slow_rate,
            window,
            window.or_all(self.slow_least()),
        ))
    }

    /// The window of slow calls.
    pub(super) const fn slow(&self) -> Option<Window> {
        match self.slow_window {
            None => self.window,
            own => own,
        }
    }

    /// How many calls it must hold.
    pub(super) const fn slow_least(&self) -> Option<u64> {
        match self.slow_min_calls {
            None => self.min_calls,
            own => own,
        }
    }

    /// How long a half-open circuit waits for its probes, the default put in.
    #[must_use]
    pub const fn probe_timeout(&self) -> Duration {
        match self.half_open_timeout {
            Some(timeout) => timeout,
            None => circuit_config::HALF_OPEN_TIMEOUT,
        }
    }

    setters! {
        /// How many probes must succeed to close a half-open circuit.
        success_threshold: u64,
        /// How many probes may run at one time in a half-open circuit.
        half_open_calls: u64 => Some,
        /// How long a half-open circuit waits for its probes before it opens again.
        half_open_timeout: Duration => Some,
        /// How long an open circuit refuses before it lets probes through.
        open_for: Duration,
    }

    /// Multiplies the open time by `multiplier` for each further trip without a recovery in between, up to `max`.
    #[must_use]
    pub const fn open_for_growth(mut self, multiplier: f64, max: Duration) -> Self {
        self.open_for_multiplier = multiplier;
        self.open_for_max = Some(max);
        self
    }

    setters! {
        /// Makes this share of the open time random.
        jitter: f64,
        /// Lets the traffic back in stages after the probes have succeeded.
        recovery: StagedRecovery => Some,
        /// What a call counts as whose future was dropped before it was done.
        abandoned: Abandoned,
    }

    /// How many probes may run at one time, the default put in.
    #[must_use]
    pub const fn probes(&self) -> u64 {
        match self.half_open_calls {
            Some(calls) => calls,
            None => self.success_threshold,
        }
    }
}

impl Default for CircuitBreakerConfig {
    /// The defaults of [`circuit_config`]: opens after 5 failures in a row, for 30 s, and closes after 2 successes.
    fn default() -> Self {
        Self::new().consecutive_failures(circuit_config::FAILURE_THRESHOLD)
    }
}
