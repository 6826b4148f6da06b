//! The settings of requests through a policy.

#[cfg(any(feature = "reqwest", feature = "tower"))]
use super::body::BodyLimits;
use crate::error::{ConfigError, Findings};
use crate::setters::setters;
use std::time::Duration;

/// The settings of requests through a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpConfig {
    /// The longest body that is kept for another attempt, in bytes. A longer one is sent once, as a stream is. Default: 1 MiB.
    pub replay_limit: u64,
    /// How long the next part of a response's body may be waited for; above zero. Default: 30 s.
    pub body_idle: Option<Duration>,
    /// How long a response's body may take in all, from its head on; above zero. Default: no limit.
    pub body_total: Option<Duration>,
    /// Whether the time that is left is sent, in the header
    /// [`x-request-timeout-ms`](crate::patterns::timeout::HTTP_TIMEOUT). Default: yes.
    pub send_deadline: bool,
    /// Whether the number of the attempt is sent, in the header [`x-attempt`](super::ATTEMPT). Default: yes.
    pub send_attempt: bool,
}

impl HttpConfig {
    /// The defaults, as documented at the fields.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            replay_limit: 1 << 20,
            body_idle: Some(Duration::from_secs(30)),
            body_total: None,
            send_deadline: true,
            send_attempt: true,
        }
    }

    setters! {
        /// Sets the longest body that is kept for another attempt, in bytes.
        replay_limit: u64,
        /// Sets how long the next part of a response's body may be waited for.
        body_idle: Option<Duration>,
        /// Sets how long a response's body may take in all.
        body_total: Option<Duration>,
        /// Sets whether the time that is left is sent.
        send_deadline: bool,
        /// Sets whether the number of the attempt is sent.
        send_attempt: bool,
    }

    /// Checks all settings.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        const RULE: &str = "must be above zero";
        let mut found = Findings::of("http");
        if let Some(idle) = self.body_idle {
            found.time(!idle.is_zero(), "body_idle", idle, RULE);
        }
        if let Some(total) = self.body_total {
            found.time(!total.is_zero(), "body_total", total, RULE);
        }
        found.first()
    }

    #[cfg(any(feature = "reqwest", feature = "tower"))]
    pub(super) const fn body_limits(&self) -> BodyLimits {
        BodyLimits {
            idle: self.body_idle,
            total: self.body_total,
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_may_take_no_time_is_refused() {
        assert_eq!(HttpConfig::new().validate(), Ok(()));
        for (bad, setting) in [
            (HttpConfig::new().body_idle(Some(Duration::ZERO)), "body_idle"),
            (HttpConfig::new().body_total(Some(Duration::ZERO)), "body_total"),
        ] {
            assert_eq!(bad.validate().map_err(|error| error.setting), Err(setting));
        }
    }
}
