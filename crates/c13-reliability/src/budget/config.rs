//! The settings of a retry budget.

use crate::error::{ConfigError, Findings};
use crate::setters::setters;
use std::time::Duration;

/// The settings of a retry budget.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryBudgetConfig {
    /// Extra attempts granted per call, from 0 to 1. Default: 0.2.
    pub ratio: f64,
    /// Extra attempts per second that are granted whatever the number of calls; at least 0. Default: 10.
    pub min_per_second: f64,
    /// How long calls and extra attempts are remembered, to a tenth of it; above zero. Default: 10 s.
    pub window: Duration,
}

impl RetryBudgetConfig {
    /// The defaults: 20 % of the calls and 10 per second, over 10 s.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ratio: 0.2,
            min_per_second: 10.0,
            window: Duration::from_secs(10),
        }
    }

    setters! {
        /// Sets the extra attempts granted per call, from 0 to 1.
        ratio: f64,
        /// Sets the extra attempts per second that are always granted; at least 0.
        min_per_second: f64,
        /// Sets how long calls and extra attempts are remembered; above zero.
        window: Duration,
    }

    /// Checks all settings.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        let mut found = Findings::of("retry budget");
        self.check(&mut found);
        found.first()
    }

    pub(crate) const fn check(&self, found: &mut Findings) {
        let Self {
            ratio,
            min_per_second,
            window,
        } = *self;
        found.number(ratio >= 0.0 && ratio <= 1.0, "ratio", ratio, "must be from 0 to 1");
        let fits = min_per_second >= 0.0 && min_per_second.is_finite();
        found.number(fits, "min_per_second", min_per_second, "must be at least 0 and finite");
        found.time(!window.is_zero(), "window", window, "must be above zero");
    }

    /// The extra attempts granted in one window whatever the number of calls.
    pub(super) fn floor(&self) -> f64 {
        self.min_per_second * self.window.as_secs_f64()
    }
}

impl Default for RetryBudgetConfig {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        let good = RetryBudgetConfig::new();
        assert_eq!(good.validate(), Ok(()));
        for (bad, setting) in [
            (good.ratio(-0.1), "ratio"),
            (good.ratio(1.1), "ratio"),
            (good.ratio(f64::NAN), "ratio"),
            (good.min_per_second(-1.0), "min_per_second"),
            (good.min_per_second(f64::INFINITY), "min_per_second"),
            (good.window(Duration::ZERO), "window"),
        ] {
            assert_eq!(bad.validate().map_err(|error| error.setting), Err(setting), "{bad:?}");
        }
    }
}
