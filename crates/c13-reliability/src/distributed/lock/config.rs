//! The settings of a lock: how long a lease lasts, how it is renewed, how waiters wait.

use crate::error::{ConfigError, ConfigValue};
use crate::setters::setters;
use std::time::Duration;

/// The settings of a lock, checked when a lock is made of them.
///
/// ```
/// use c13_reliability::distributed::lock::LockConfig;
/// use std::time::Duration;
///
/// const SETTINGS: LockConfig = LockConfig::new(Duration::from_secs(10)).fair(true);
/// assert!(SETTINGS.validate().is_ok());
/// assert_eq!(SETTINGS.renew_interval(), Duration::from_secs(10) / 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LockConfig {
    /// How long a grant lasts when nobody renews it. 20 ms to 24 hours; 30 s by default.
    pub lease: Duration,
    /// How often a held lock is renewed; a third of the lease unless set. Below half of the lease.
    pub renew_every: Option<Duration>,
    /// How long one request may take; a sixth of the lease, at most 1 s, unless set. Below a third of the lease.
    pub request_timeout: Option<Duration>,
    /// How far two clocks may drift apart over a lease, as a share of it; 0.01 by default. 0 to 0.2. Another 2 ms come
    /// on top.
    pub drift: f64,
    /// How long a waiter trusts its wake-up before it looks by itself, up to a quarter more at random; 1 s by default.
    /// At least 1 ms.
    pub fallback_poll: Duration,
    /// How long an acquisition goes on asking a backend that cannot serve or does not answer, even if its own wait is
    /// longer; for as long as it waits unless set. At least 1 ms.
    pub backend_wait: Option<Duration>,
    /// How long the lock may be held: then it is no longer renewed, and is lost with
    /// [`HeldTooLong`](super::Loss::HeldTooLong), so that work that hangs does not keep it for ever. It is free for others
    /// once its lease has lapsed. For as long as it is renewed unless set; at least 1 ms.
    pub max_hold: Option<Duration>,
    /// How long the lock stays taken after it was acquired, even if it is given back sooner or its holder dies; zero by
    /// default, at most 24 hours. For exclusive locks.
    ///
    /// For work that must run once and takes less time than the clocks of the machines that start it are apart: a job that
    /// every machine starts at midnight and that takes 30 ms runs on each of them in turn without it.
    pub min_hold: Duration,
    /// Whether waiters are served first come, first served, across processes; `false` by default.
    pub fair: bool,
}

/// The part of the margin that does not depend on the lease: the grain of the clocks and timers involved.
const GRAIN: Duration = Duration::from_millis(2);
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl LockConfig {
    /// A lease of 30 s.
    pub const DEFAULT: Self = Self::new(Duration::from_secs(30));

    /// A lock with this lease, and everything else by default.
    #[must_use]
    pub const fn new(lease: Duration) -> Self {
        Self {
            lease,
            renew_every: None,
            request_timeout: None,
            drift: 0.01,
            fallback_poll: Duration::from_secs(1),
            backend_wait: None,
            max_hold: None,
            min_hold: Duration::ZERO,
            fair: false,
        }
    }

    setters! {
        /// Sets how often a held lock is renewed.
        renew_every: Duration => Some,
        /// Sets how long one request may take.
        request_timeout: Duration => Some,
        /// Sets how far the clocks may drift apart, as a share of the lease.
        drift: f64,
        /// Sets how long a waiter trusts its wake-up.
        fallback_poll: Duration,
        /// Sets how long an acquisition goes on asking a backend that cannot serve or does not answer.
        backend_wait: Duration => Some,
        /// Sets how long the lock may be held.
        max_hold: Duration => Some,
        /// Sets how long the lock stays taken at least.
        min_hold: Duration,
        /// Sets whether waiters are served first come, first served.
        fair: bool,
    }

    /// How often a held lock is renewed.
    #[must_use]
    pub const fn renew_interval(&self) -> Duration {
        match self.renew_every {
            Some(interval) => interval,
            None => Duration::from_nanos(self.lease.as_nanos() as u64 / 3),
        }
    }

    /// How long one request may take.
    #[must_use]
    pub const fn request_limit(&self) -> Duration {
        match self.request_timeout {
            Some(limit) => limit,
            None => {
                let sixth = self.lease.as_nanos() as u64 / 6;
                Duration::from_nanos(if sixth > 1_000_000_000 { 1_000_000_000 } else { sixth })
            }
        }
    }

    /// What is taken off every lease before it is trusted: the drift, and 2 ms.
    #[must_use]
    pub const fn margin(&self) -> Duration {
        Duration::from_nanos((self.lease.as_nanos() as f64 * self.drift) as u64).saturating_add(GRAIN)
    }

    /// How long an abandoned attempt stays refused: longer than any copy of its request can be under way.
    #[must_use]
    pub const fn tombstone(&self) -> Duration {
        let twice = self.lease.saturating_mul(2);
        let least = Duration::from_secs(10);
        if twice.as_nanos() > least.as_nanos() {
            twice
        } else {
            least
        }
    }

    /// How long the record of an idle lock, with its fence, is kept: ten leases, at least an hour.
    #[must_use]
    pub const fn record(&self) -> Duration {
        let ten = self.lease.saturating_mul(10);
        let least = Duration::from_secs(3600);
        if ten.as_nanos() > least.as_nanos() { ten } else { least }
    }

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        let lease = self.lease.as_nanos();
        if lease < SHORTEST.as_nanos() || lease > LONGEST.as_nanos() {
            return Err(duration("lease", self.lease, "must be between 20 ms and 24 hours"));
        }
        let every = self.renew_interval();
        if every.is_zero() || every.as_nanos() * 2 > lease {
            return Err(duration(
                "renew_every",
                every,
                "must be above zero and at most half of the lease",
            ));
        }
        let limit = self.request_limit();
        if limit.is_zero() || limit.as_nanos() * 3 > lease {
            return Err(duration(
                "request_timeout",
                limit,
                "must be above zero and at most a third of the lease",
            ));
        }
        if !(self.drift >= 0.0 && self.drift <= 0.2) {
            return Err(ConfigError::new(
                "lock",
                "drift",
                ConfigValue::Number(self.drift),
                "must be between 0 and 0.2",
            ));
        }
        if self.fallback_poll.as_nanos() < 1_000_000 {
            return Err(duration("fallback_poll", self.fallback_poll, "must be at least 1 ms"));
        }
        if self.min_hold.as_nanos() > LONGEST.as_nanos() {
            return Err(duration("min_hold", self.min_hold, "must be at most 24 hours"));
        }
        if let Some(limit) = self.backend_wait
            && limit.as_nanos() < 1_000_000
        {
            return Err(duration("backend_wait", limit, "must be at least 1 ms"));
        }
        if let Some(limit) = self.max_hold
            && limit.as_nanos() < 1_000_000
        {
            return Err(duration("max_hold", limit, "must be at least 1 ms"));
        }
        Ok(())
    }
}

impl Default for LockConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

const fn duration(setting: &'static str, value: Duration, rule: &'static str) -> ConfigError {
    ConfigError::new("lock", setting, ConfigValue::Duration(value), rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_defaults_hold_and_follow_the_lease() {
        assert_eq!(LockConfig::DEFAULT.validate(), Ok(()));
        let short = LockConfig::new(Duration::from_millis(600));
        assert_eq!(short.renew_interval(), Duration::from_millis(200));
        assert_eq!(short.request_limit(), Duration::from_millis(100));
        assert_eq!(short.margin(), Duration::from_millis(8));
        assert_eq!(LockConfig::DEFAULT.request_limit(), SECOND);
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_refused_by_name() {
        let settings = LockConfig::new(SECOND);
        for (setting, broken) in [
            ("lease", LockConfig::new(Duration::from_millis(19))),
            ("lease", LockConfig::new(Duration::MAX)),
            ("renew_every", settings.renew_every(Duration::from_millis(501))),
            ("renew_every", settings.renew_every(Duration::ZERO)),
            ("request_timeout", settings.request_timeout(Duration::from_millis(334))),
            ("drift", settings.drift(f64::NAN)),
            ("drift", settings.drift(0.3)),
            ("fallback_poll", settings.fallback_poll(Duration::ZERO)),
            ("backend_wait", settings.backend_wait(Duration::ZERO)),
            ("max_hold", settings.max_hold(Duration::ZERO)),
            ("min_hold", settings.min_hold(Duration::MAX)),
        ] {
            assert_eq!(broken.validate().map_err(|error| error.setting), Err(setting));
        }
    }
}
