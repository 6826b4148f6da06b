//! What can be set for a connection to Redis.

use crate::error::{ConfigError, ConfigValue};
use crate::setters::setters;
use std::time::Duration;

/// How a connection is made and when it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisSettings {
    /// How long making a connection may take; 1 s by default.
    pub connect_timeout: Duration,
    /// How long a reply may take; 1 s by default. A lock's or limiter's own limit, where shorter, comes first.
    pub response_timeout: Duration,
    /// How long sent bytes may stay unacknowledged before the system closes the connection (Linux); 2 s by default.
    pub user_timeout: Duration,
    /// After how many requests in a row without a reply the connection is taken for dead and made anew; 2 by default.
    pub unanswered: u32,
}

impl RedisSettings {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        connect_timeout: Duration::from_secs(1),
        response_timeout: Duration::from_secs(1),
        user_timeout: Duration::from_secs(2),
        unanswered: 2,
    };

    setters! {
        /// Sets how long making a connection may take.
        connect_timeout: Duration,
        /// Sets how long a reply may take.
        response_timeout: Duration,
        /// Sets how long sent bytes may stay unacknowledged.
        user_timeout: Duration,
        /// Sets after how many requests without a reply the connection is made anew.
        unanswered: u32,
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let least = Duration::from_millis(1);
        for (setting, value) in [
            ("connect_timeout", self.connect_timeout),
            ("response_timeout", self.response_timeout),
            ("user_timeout", self.user_timeout),
        ] {
            if value < least {
                let value = ConfigValue::Duration(value);
                return Err(ConfigError::new("redis", setting, value, "must be at least 1 ms"));
            }
        }
        if self.unanswered == 0 {
            return Err(ConfigError::new(
                "redis",
                "unanswered",
                ConfigValue::Count(0),
                "must be at least 1",
            ));
        }
        Ok(())
    }
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}
