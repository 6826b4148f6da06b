//! The settings of a hedge.

use crate::budget::RetryBudgetConfig;
use crate::error::{ConfigError, Findings};
use crate::setters::setters;
use std::time::Duration;

/// When the next attempt starts while others run.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum HedgeDelay {
    /// This long after the attempt before it was started; zero starts all at once.
    Fixed(Duration),
    /// As long after it as the share `quantile` of recent calls took.
    ///
    /// Measured over first attempts that succeeded, within the last one to two `window`s. Before `min_calls` of them
    /// were seen no attempt is started by time. A call that is slow for good reason is in the measure too, so that what
    /// is hedged stays about `1 − quantile` of the calls.
    Percentile {
        /// Above 0 and below 1; 0.95 hedges one call in twenty.
        quantile: f64,
        /// At least 1.
        min_calls: u32,
        /// How far back is measured; above zero.
        window: Duration,
    },
    /// Only after an attempt has failed, so that never two run concurrently.
    AfterFailure,
}

impl HedgeDelay {
    /// The 95th percentile of the last half to full minute, once 100 calls were seen.
    pub const P95: Self = Self::Percentile {
        quantile: 0.95,
        min_calls: 100,
        window: Duration::from_secs(30),
    };
}

/// The settings of a hedge.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct HedgeConfig {
    /// When the next attempt starts.
    pub delay: HedgeDelay,
    /// Attempts in addition to the first, from 1 to 10. Default: 1.
    pub max_extra: u32,
    /// The budget that the hedge makes for itself, or none. Default: 20 % of the calls and 10 per second, over 10 s.
    pub budget: Option<RetryBudgetConfig>,
}

impl HedgeConfig {
    /// The largest `max_extra`.
    pub(crate) const MOST_EXTRA: u32 = 10;

    /// One hedge after `delay`.
    #[must_use]
    pub const fn new(delay: HedgeDelay) -> Self {
        Self {
            delay,
            max_extra: 1,
            budget: Some(RetryBudgetConfig::new()),
        }
    }

    setters! {
        /// Sets how many attempts may be made in addition to the first, from 1 to 10.
        max_extra: u32,
        /// Sets the budget that the hedge makes for itself.
        budget: RetryBudgetConfig => Some,
    }

    /// Leaves the budget out: nothing but `max_extra` bounds the extra load.
    #[must_use]
    pub const fn without_budget(mut self) -> Self {
        self.budget = None;
        self
    }

    /// Checks all settings.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        let mut found = Findings::of("hedge");
        self.check(&mut found);
        match (found.first(), &self.budget) {
            (Ok(()), Some(budget)) => budget.validate(),
            (result, _) => result,
        }
    }

    pub(crate) const fn check(&self, found: &mut Findings) {
        let most = self.max_extra;
        found.count(
            most >= 1 && most <= Self::MOST_EXTRA,
            "max_extra",
            most as u64,
            "must be from 1 to 10",
        );
        if let HedgeDelay::Percentile {
            quantile,
            min_calls,
            window,
        } = self.delay
        {
            let fits = quantile > 0.0 && quantile < 1.0;
            found.number(fits, "delay.quantile", quantile, "must be above 0 and below 1");
            found.count(min_calls > 0, "delay.min_calls", min_calls as u64, "must be at least 1");
            found.time(!window.is_zero(), "delay.window", window, "must be above zero");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        let good = HedgeConfig::new(HedgeDelay::P95);
        assert_eq!(good.validate(), Ok(()));
        assert_eq!(HedgeConfig::new(HedgeDelay::Fixed(Duration::ZERO)).validate(), Ok(()));
        let percentile = |quantile, min_calls, window| {
            HedgeConfig::new(HedgeDelay::Percentile {
                quantile,
                min_calls,
                window,
            })
        };
        let second = Duration::from_secs(1);
        for (bad, setting) in [
            (good.max_extra(0), "max_extra"),
            (good.max_extra(11), "max_extra"),
            (percentile(0.0, 1, second), "delay.quantile"),
            (percentile(1.0, 1, second), "delay.quantile"),
            (percentile(f64::NAN, 1, second), "delay.quantile"),
            (percentile(0.5, 0, second), "delay.min_calls"),
            (percentile(0.5, 1, Duration::ZERO), "delay.window"),
            (good.budget(RetryBudgetConfig::new().ratio(-1.0)), "ratio"),
        ] {
            assert_eq!(bad.validate().map_err(|error| error.setting), Err(setting), "{bad:?}");
        }
    }
}
