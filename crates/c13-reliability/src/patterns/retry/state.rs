//! The decision after each failed attempt: to wait and retry, or to give up, and why.

use super::config::RetryConfig;
use super::jitter::{Curve, Jitter};
use crate::time::Tick;
use std::time::Duration;

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a decision is to be followed"]
pub enum Decision {
    /// Try again after this wait; no wait at all if it is zero.
    Wait(Duration),
    /// Make no further attempt.
    GiveUp(GiveUp),
}

/// Why no further attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GiveUp {
    /// All retries were made.
    MaxRetries,
    /// The failure is not worth a retry.
    NotRetryable,
    /// The budget has nothing left.
    Budget,
    /// The wait would end at the deadline or after it.
    Deadline,
}

/// The retries of one call: how many were decided, and until when they may begin.
///
/// It is a plain value that a loop of your own can drive: make one per call, ask it after each failure.
///
/// ```
/// use c13_reliability::patterns::retry::{Decision, GiveUp, RetryConfig, RetryState, RetryStrategy};
/// use c13_reliability::time::Tick;
/// use std::time::Duration;
///
/// let config = RetryConfig::new(1, RetryStrategy::FixedDelay(Duration::from_millis(50)));
/// let mut state = RetryState::new();
/// let mut failed = || state.after_failure(&config, Tick::ZERO, None, 0.5, || true);
/// assert_eq!(failed(), Decision::Wait(Duration::from_millis(50)));
/// assert_eq!(failed(), Decision::GiveUp(GiveUp::MaxRetries));
/// assert_eq!(state.attempts(), 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryState {
    retries: u32,
    stop_at: Tick,
    curve: Curve,
}

impl RetryState {
    /// A call whose first attempt is under way.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            retries: 0,
            stop_at: Tick::MAX,
            curve: Curve::START,
        }
    }

    /// Lets no retry begin at `at` or later. An earlier limit that was set before stays.
    #[inline]
    pub fn stop_at(&mut self, at: Tick) {
        self.stop_at = self.stop_at.min(at);
    }

    /// Whether a retry may begin at `now`.
    pub(super) fn may_begin_at(&self, now: Tick) -> bool {
        now < self.stop_at
    }

    /// Whether there is a tick from which on no retry begins, so that the time matters.
    #[must_use]
    pub fn has_limit(&self) -> bool {
        self.stop_at < Tick::MAX
    }

    /// Retries decided so far.
    #[inline]
    #[must_use]
    pub const fn retries(&self) -> u32 {
        self.retries
    }

    /// Attempts made so far, once the retry that was last decided is under way: the first one and the retries.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.retries.saturating_add(1)
    }

    /// Decides what to do after a failed attempt that is worth a retry.
    ///
    /// `now` matters only where there is [a limit](RetryState::has_limit); `hint` is how long the failure itself says to
    /// wait; `unit` is a random number in `[0, 1)`; `grant` asks the budget, and is asked last, when all else allows the
    /// retry. A hint up to [`max_hint`](RetryConfig::max_hint) is a floor under the strategy's delay: the wait is the longer
    /// of the two. Where there is jitter the hint is spread upwards, by up to a half, so that no retry comes before the time
    /// that was asked for. A wait that would end at the limit or later is never begun.
    pub fn after_failure(
        &mut self,
        config: &RetryConfig,
        now: Tick,
        hint: Option<Duration>,
        unit: f64,
        grant: impl FnOnce() -> bool,
    ) -> Decision {
        if self.retries >= config.max_retries {
            return Decision::GiveUp(GiveUp::MaxRetries);
        }
        let backoff = self.backoff(config, unit);
        let wait = match hint {
            Some(hint) if hint <= config.max_hint => backoff.max(spread_hint(config.jitter, hint, unit)),
            _ => backoff,
        };
        if self.has_limit() && now + wait >= self.stop_at {
            return Decision::GiveUp(GiveUp::Deadline);
        }
        if !grant() {
            return Decision::GiveUp(GiveUp::Budget);
        }
        self.retries += 1;
        Decision::Wait(wait)
    }

    fn backoff(&mut self, config: &RetryConfig, unit: f64) -> Duration {
        let strategy = &config.strategy;
        match config.jitter {
            Jitter::Decorrelated => {
                let (initial, longest) = (strategy.backoff_duration(0), strategy.longest());
                self.curve.step(initial, longest, self.retries, unit)
            }
            jitter => jitter.spread(strategy.backoff_duration(self.retries), unit),
        }
    }
}

impl Default for RetryState {
    fn default() -> Self {
        Self::new()
    }
}

fn spread_hint(jitter: Jitter, hint: Duration, unit: f64) -> Duration {
    match jitter {
        Jitter::None => hint,
        _ => hint.saturating_add(Jitter::Full.spread(hint / 2, unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::strategy::RetryStrategy;
    use super::*;
    use crate::sync::Random;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    fn fixed(max_retries: u32, delay: Duration) -> RetryConfig {
        RetryConfig::new(max_retries, RetryStrategy::FixedDelay(delay))
    }

    fn doubling(max_retries: u32) -> RetryConfig {
        RetryConfig::new(
            max_retries,
            RetryStrategy::ExponentialBackoff {
                initial: 2 * SECOND,
                max: 30 * SECOND,
                multiplier: 2.0,
            },
        )
    }

    fn granted() -> bool {
        true
    }

    /// The waits of a call that fails until it gives up, and why it does.
    fn waits(config: &RetryConfig, unit: f64) -> (Vec<Duration>, GiveUp) {
        let (mut state, mut now, mut waits) = (RetryState::new(), Tick::ZERO, Vec::new());
        loop {
            match state.after_failure(config, now, None, unit, granted) {
                Decision::Wait(wait) => {
                    now += wait;
                    waits.push(wait);
                }
                Decision::GiveUp(reason) => {
                    assert_eq!(state.attempts() as usize, waits.len() + 1);
                    return (waits, reason);
                }
            }
        }
    }

    // RT-37, RT-35.
    #[test]
    fn as_many_retries_as_allowed_are_made_and_then_no_more() {
        let config = doubling(5).jitter(Jitter::None);
        let seconds = [2, 4, 8, 16, 30].map(Duration::from_secs);
        assert_eq!(waits(&config, 0.3), (seconds.to_vec(), GiveUp::MaxRetries));
        assert_eq!(waits(&fixed(0, SECOND), 0.3), (vec![], GiveUp::MaxRetries));
    }

    // RT-43, in our formula: full jitter of `initial × 2^n`, capped.
    #[test]
    fn full_jitter_takes_a_share_of_each_delay() {
        let (waits, _) = waits(&doubling(5), 0.5);
        assert_eq!(waits, [1, 2, 4, 8, 15].map(Duration::from_secs));
    }

    // RT-25: the delay stays above zero and the run never stops by itself.
    #[test]
    fn two_thousand_retries_in_one_run_all_wait() {
        for jitter in [Jitter::None, Jitter::Equal, Jitter::Full, Jitter::Decorrelated] {
            let (waits, reason) = waits(&doubling(2_049).jitter(jitter), 0.7);
            assert_eq!((waits.len(), reason), (2_049, GiveUp::MaxRetries), "{jitter:?}");
            assert!(
                waits.iter().all(|wait| *wait > Duration::ZERO && *wait <= 30 * SECOND),
                "{jitter:?}"
            );
        }
    }

    // RT-26, RT-13, RT-16, for whatever a call may wait: any strategy, any jitter, over the range that is promised.
    #[test]
    fn every_wait_stays_within_the_range_of_its_jitter_and_the_cap_of_its_strategy() {
        for seed in 0..10 {
            let random = Random::new(seed);
            let initial = MS * (1 + random.below(3_600_000) as u32);
            let max = initial.saturating_mul(1 + random.below(1_000) as u32);
            let doubling = |max| RetryStrategy::ExponentialBackoff {
                initial,
                max,
                multiplier: 2.0,
            };
            let linear = |increment, max| RetryStrategy::LinearBackoff {
                initial,
                increment,
                max,
            };
            for (strategy, max) in [
                (RetryStrategy::FixedDelay(initial), initial),
                (linear(initial, max), max),
                (linear(Duration::MAX, Duration::MAX), Duration::MAX),
                (RetryStrategy::Fibonacci { initial, max }, max),
                (doubling(max), max),
                (doubling(Duration::MAX), Duration::MAX),
            ] {
                for jitter in [Jitter::None, Jitter::Equal, Jitter::Full, Jitter::Decorrelated] {
                    let config = RetryConfig::new(2_049, strategy).jitter(jitter);
                    if config.validate().is_err() {
                        assert_eq!(jitter, Jitter::Decorrelated, "{strategy:?}");
                        continue;
                    }
                    let mut state = RetryState::new();
                    for attempt in 0..=2_048 {
                        let unit = random.unit();
                        let decision = state.after_failure(&config, Tick::ZERO, None, unit, granted);
                        let Decision::Wait(wait) = decision else {
                            panic!("seed {seed}, attempt {attempt}: {decision:?}");
                        };
                        let delay = strategy.backoff_duration(attempt);
                        let (low, high) = match jitter {
                            Jitter::None => (delay, delay),
                            Jitter::Equal => (delay / 2, delay),
                            Jitter::Full => (Duration::ZERO, delay),
                            Jitter::Decorrelated => (Duration::ZERO, max),
                        };
                        assert!(
                            (low..=high).contains(&wait) && wait <= max,
                            "seed {seed}, attempt {attempt}, {strategy:?}, {jitter:?} by {unit}: {wait:?}"
                        );
                    }
                }
            }
        }
    }

    // RT-55.
    #[test]
    fn no_wait_is_begun_that_no_attempt_can_follow() {
        let now = Tick::ZERO + SECOND;
        for (left, expected) in [
            (300 * MS, Decision::GiveUp(GiveUp::Deadline)),
            (SECOND, Decision::GiveUp(GiveUp::Deadline)),
            (SECOND + Duration::from_nanos(1), Decision::Wait(SECOND)),
            (Duration::MAX, Decision::Wait(SECOND)),
        ] {
            let mut state = RetryState::new();
            state.stop_at(now + left);
            state.stop_at(Tick::MAX);
            let decision = state.after_failure(&fixed(3, SECOND), now, None, 0.0, granted);
            assert_eq!(decision, expected, "{left:?} left");
        }
        let mut passed = RetryState::new();
        passed.stop_at(Tick::ZERO);
        let decision = passed.after_failure(&fixed(3, Duration::ZERO), now, None, 0.0, granted);
        assert_eq!(decision, Decision::GiveUp(GiveUp::Deadline));
    }

    #[test]
    fn the_budget_is_asked_last_and_a_retry_it_refuses_is_not_counted() {
        let mut asked = 0;
        let mut state = RetryState::new();
        state.stop_at(Tick::ZERO + SECOND);
        let mut failed = |max_retries, delay| {
            state.after_failure(&fixed(max_retries, delay), Tick::ZERO, None, 0.0, || {
                asked += 1;
                false
            })
        };
        assert_eq!(failed(0, Duration::ZERO), Decision::GiveUp(GiveUp::MaxRetries));
        assert_eq!(failed(1, SECOND), Decision::GiveUp(GiveUp::Deadline));
        assert_eq!(failed(1, MS), Decision::GiveUp(GiveUp::Budget));
        assert_eq!((asked, state.attempts()), (1, 1));
    }

    // RT-53.
    #[test]
    fn a_hint_is_a_floor_under_the_delay_unless_it_is_beyond_belief() {
        let config = fixed(9, SECOND).max_hint(300 * SECOND);
        let mut state = RetryState::new();
        for (hint, wait) in [
            (Duration::ZERO, SECOND),
            (999 * MS, SECOND),
            (7 * SECOND, 7 * SECOND),
            (300 * SECOND, 300 * SECOND),
            (600 * SECOND, SECOND),
        ] {
            let decision = state.after_failure(&config, Tick::ZERO, Some(hint), 0.9, granted);
            assert_eq!(decision, Decision::Wait(wait), "hint {hint:?}");
        }
    }

    #[test]
    fn jitter_never_brings_a_retry_before_the_hinted_time() {
        let config = doubling(9);
        let mut state = RetryState::new();
        for (unit, wait) in [(0.0, 10_000), (0.5, 12_500), (0.999_999, 15_000)] {
            match state.after_failure(&config, Tick::ZERO, Some(10 * SECOND), unit, granted) {
                Decision::Wait(waited) => {
                    assert!(waited.abs_diff(MS * wait) < MS, "{waited:?} at {unit}");
                }
                decision => panic!("{decision:?}"),
            }
        }
    }
}
