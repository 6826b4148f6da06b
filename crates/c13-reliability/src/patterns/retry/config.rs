//! The settings of a retry, and the constants that are promised.

use super::jitter::Jitter;
use super::strategy::RetryStrategy;
use crate::budget::RetryBudgetConfig;
use crate::error::{ConfigError, ConfigValue, Findings, Note};
use crate::setters::setters;
use std::time::Duration;

/// The settings of [`retry_with_exponential_backoff`](super::retry_with_exponential_backoff), checked while compiling.
pub mod retry_config {
    use super::{Duration, RetryConfig, RetryStrategy};

    /// Retries after the first attempt: 3 retries are 4 attempts.
    pub const MAX_RETRIES: u32 = 3;
    /// The first delay, in milliseconds.
    pub const INITIAL_BACKOFF_MS: u64 = 100;
    /// No delay is longer, in milliseconds.
    pub const MAX_BACKOFF_MS: u64 = 10_000;
    /// What each delay is multiplied by to give the next.
    pub const BACKOFF_MULTIPLIER: f64 = 2.0;
    /// The first delay.
    pub const INITIAL_BACKOFF: Duration = Duration::from_millis(INITIAL_BACKOFF_MS);
    /// No delay is longer.
    pub const MAX_BACKOFF: Duration = Duration::from_millis(MAX_BACKOFF_MS);
    /// The strategy made of these constants.
    pub const STRATEGY: RetryStrategy = RetryStrategy::ExponentialBackoff {
        initial: INITIAL_BACKOFF,
        max: MAX_BACKOFF,
        multiplier: BACKOFF_MULTIPLIER,
    };

    /// The sum of all delays of [`MAX_RETRIES`] retries before jitter, in milliseconds: 700.
    #[must_use]
    pub const fn max_retry_time_ms() -> f64 {
        STRATEGY.total_backoff(MAX_RETRIES).as_nanos() as f64 / 1e6
    }

    const _: () = assert!(
        RetryConfig::new(MAX_RETRIES, STRATEGY).validate().is_ok(),
        "the default settings keep their own rules"
    );
}

/// The settings of a retry.
///
/// ```
/// use c13_reliability::patterns::retry::{Jitter, RetryConfig, RetryStrategy};
/// use std::time::Duration;
///
/// const CONFIG: RetryConfig = RetryConfig::new(2, RetryStrategy::FixedDelay(Duration::from_millis(50)))
///     .jitter(Jitter::Equal)
///     .total_limit(Duration::from_secs(1));
/// const _: () = assert!(CONFIG.validate().is_ok());
/// assert_eq!(CONFIG.max_retries, 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryConfig {
    /// Retries after the first attempt: 3 retries are 4 attempts. Default: 3.
    pub max_retries: u32,
    /// How long to wait before each retry. Default: exponential, from 100 ms by 2 up to 10 s.
    pub strategy: RetryStrategy,
    /// How delays are spread. Default: full, and none for a fixed delay.
    pub jitter: Jitter,
    /// The budget that the executor makes for itself, or none. Default: 20 % of the calls and 10 per second, over 10 s.
    ///
    /// Give an executor a [`RetryBudget`](crate::budget::RetryBudget) to share one with others.
    pub budget: Option<RetryBudgetConfig>,
    /// No retry begins later than this after the call began; above zero. Default: no limit of its own.
    ///
    /// It does not cut an attempt short; a time limit does that.
    pub total_limit: Option<Duration>,
    /// The longest wait that is accepted from a failure's own hint. A hint is a floor under the delay; a
    /// longer hint is ignored.
    /// Default: 5 minutes.
    pub max_hint: Duration,
}

impl RetryConfig {
    /// Settings for `max_retries` retries after the first attempt (3 retries are 4 attempts) with the delays of
    /// `strategy`; the rest as documented at the fields.
    #[must_use]
    pub const fn new(max_retries: u32, strategy: RetryStrategy) -> Self {
        Self {
            max_retries,
            strategy,
            jitter: match strategy {
                RetryStrategy::FixedDelay(_) => Jitter::None,
                _ => Jitter::Full,
            },
            budget: Some(RetryBudgetConfig::new()),
            total_limit: None,
            max_hint: Duration::from_secs(300),
        }
    }

    setters! {
        /// Sets how delays are spread.
        jitter: Jitter,
        /// Sets the budget that the executor makes for itself.
        budget: RetryBudgetConfig => Some,
    }

    /// Leaves the budget out: only `max_retries` bounds the extra load, which a dependency gets while it is failing.
    #[must_use]
    pub const fn without_budget(mut self) -> Self {
        self.budget = None;
        self
    }

    setters! {
        /// Lets no retry begin later than this after the call began; above zero.
        total_limit: Duration => Some,
        /// Sets the longest wait that is accepted from a failure's own hint.
        max_hint: Duration,
    }

    /// Checks all settings.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        let mut found = Findings::of("retry");
        self.check(&mut found);
        match (found.first(), &self.budget) {
            (Ok(()), Some(budget)) => budget.validate(),
            (result, _) => result,
        }
    }

    pub(crate) const fn check(&self, found: &mut Findings) {
        const DOUBLES: &[Note] = &[
            Note::new("backoff.strategy", "this is the strategy"),
            Note::new("backoff.multiplier", "this is the multiplier"),
        ];
        self.strategy.check(found);
        let doubles = match self.strategy {
            RetryStrategy::ExponentialBackoff { multiplier, .. } => multiplier == 2.0,
            _ => false,
        };
        if matches!(self.jitter, Jitter::Decorrelated) && !doubles {
            let rule = "must go with an exponential back-off that doubles";
            let error = found.error("backoff.jitter", ConfigValue::Text("decorrelated"), rule);
            found.refuse(error.notes(DOUBLES));
        }
        if let Some(limit) = self.total_limit {
            found.time(!limit.is_zero(), "total_limit", limit, "must be above zero");
        }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self::new(retry_config::MAX_RETRIES, retry_config::STRATEGY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        let good = RetryConfig::default();
        assert_eq!(good.validate(), Ok(()));
        let fixed = RetryConfig::new(1, RetryStrategy::FixedDelay(Duration::ZERO));
        assert_eq!(fixed.validate(), Ok(()), "an immediate retry is a choice");
        let slow = RetryStrategy::ExponentialBackoff {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(9),
            multiplier: 1.5,
        };
        for (bad, setting) in [
            (fixed.jitter(Jitter::Decorrelated), "backoff.jitter"),
            (RetryConfig::new(1, slow).jitter(Jitter::Decorrelated), "backoff.jitter"),
            (good.budget(RetryBudgetConfig::new().ratio(2.0)), "ratio"),
            (good.total_limit(Duration::ZERO), "total_limit"),
        ] {
            assert_eq!(bad.validate().map_err(|error| error.setting), Err(setting), "{bad:?}");
        }
    }

    #[test]
    fn growing_delays_are_spread_in_full_and_a_fixed_one_is_not() {
        assert_eq!(RetryConfig::default().jitter, Jitter::Full);
        let fixed = RetryConfig::new(1, RetryStrategy::FixedDelay(Duration::from_secs(1)));
        assert_eq!(fixed.jitter, Jitter::None);
    }

    #[test]
    fn the_promised_constants_wait_for_700_ms_in_all() {
        assert_eq!(retry_config::max_retry_time_ms(), 700.0);
    }
}
