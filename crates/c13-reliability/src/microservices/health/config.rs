//! The settings of one health check.

use crate::error::{ConfigError, ConfigValue};
use crate::setters::setters;
use std::time::Duration;

/// How the service runs one check, and what its result means. A plain value with `const` setters.
///
/// ```
/// use c13_reliability::microservices::health::CheckSettings;
/// use std::time::Duration;
///
/// const CACHE: CheckSettings = CheckSettings::new()
///     .optional()
///     .timeout(Duration::from_millis(300))
///     .every(Duration::from_secs(5))
///     .fail_after(3);
/// assert!(CACHE.validate().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckSettings {
    /// Whether the service is useless while this check fails. An optional check that fails makes the service degraded,
    /// and the service stays ready.
    pub critical: bool,
    /// How long one run may take. A run that takes longer counts as failed. More than zero. Probes of Kubernetes wait 1
    /// s, so the default is below that.
    pub timeout: Duration,
    /// For how long a result is cached, if the check has no interval. With zero, each probe runs the check unless a run
    /// is in progress.
    pub cache_for: Duration,
    /// How often [`HealthCheckService::run`](super::HealthCheckService::run) runs the check in the background, so that
    /// probes only read. `None`: probes run it. More than zero.
    pub every: Option<Duration>,
    /// How many results in a row must be worse than what is reported before the report gets worse. At least 1. The
    /// first result of all counts at once.
    pub fail_after: u32,
    /// How many results in a row must be better than what is reported before the report gets better. At least 1.
    pub recover_after: u32,
    /// The groups it belongs to, for `/health/{group}`.
    pub groups: &'static [&'static str],
}

impl CheckSettings {
    /// A critical check with 800 ms a run, its result good for 250 ms, run by probes, believed at once, in no group.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            critical: true,
            timeout: Duration::from_millis(800),
            cache_for: Duration::from_millis(250),
            every: None,
            fail_after: 1,
            recover_after: 1,
            groups: &[],
        }
    }

    /// For a check of what all instances of the service share, such as their database: optional, since it would take all of
    /// them out of the balancer at once. A service that is useless without it takes [`new`](Self::new).
    #[must_use]
    pub const fn shared() -> Self {
        Self::new().optional()
    }

    /// Makes it optional: its failure degrades the service and leaves it ready.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.critical = false;
        self
    }

    setters! {
        /// Sets how long one run may take.
        timeout: Duration,
        /// Sets for how long a result is cached.
        cache_for: Duration,
        /// Runs the check in the background, at this interval.
        every: Duration => Some,
        /// Sets how many worse results in a row make the report worse.
        fail_after: u32,
        /// Sets how many better results in a row make the report better.
        recover_after: u32,
        /// Sets the groups it belongs to.
        groups: &'static [&'static str],
    }

    /// Checks the settings, in a constant too.
    ///
    /// # Errors
    ///
    /// A zero timeout, interval or threshold.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        const PART: &str = "health check";
        const POSITIVE: &str = "must be more than zero";
        const AT_LEAST_1: &str = "must be at least 1";
        if self.timeout.is_zero() {
            let value = ConfigValue::Duration(self.timeout);
            return Err(ConfigError::new(PART, "timeout", value, POSITIVE));
        }
        if let Some(every) = self.every
            && every.is_zero()
        {
            return Err(ConfigError::new(PART, "every", ConfigValue::Duration(every), POSITIVE));
        }
        if self.fail_after == 0 {
            return Err(ConfigError::new(PART, "fail_after", ConfigValue::Count(0), AT_LEAST_1));
        }
        if self.recover_after == 0 {
            let value = ConfigValue::Count(0);
            return Err(ConfigError::new(PART, "recover_after", value, AT_LEAST_1));
        }
        Ok(())
    }

    /// How old a cached result may be. With an interval it covers one missed run, so that a probe runs the check only
    /// if the background does not.
    #[must_use]
    pub(super) const fn trusted_for(&self) -> Duration {
        match self.every {
            Some(every) => every.saturating_mul(2).saturating_add(self.timeout),
            None => self.cache_for,
        }
    }
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        let good = CheckSettings::new();
        for (settings, wanted) in [
            (
                good.timeout(Duration::ZERO),
                "health check: `timeout` is 0ns, but it must be more than zero",
            ),
            (
                good.every(Duration::ZERO),
                "health check: `every` is 0ns, but it must be more than zero",
            ),
            (
                good.fail_after(0),
                "health check: `fail_after` is 0, but it must be at least 1",
            ),
            (
                good.recover_after(0),
                "health check: `recover_after` is 0, but it must be at least 1",
            ),
        ] {
            assert_eq!(settings.validate().unwrap_err().to_string(), wanted);
        }
        assert_eq!(good.validate(), Ok(()));
    }

    #[test]
    fn a_probe_trusts_the_background_over_one_missed_run() {
        let settings = CheckSettings::new()
            .every(Duration::from_secs(5))
            .timeout(Duration::from_secs(1));
        assert_eq!(settings.trusted_for(), Duration::from_secs(11));
    }
}
