//! The settings of a timeout.

use crate::error::{ConfigError, ConfigValue};
use std::time::Duration;

/// The settings of a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeoutConfig {
    /// How long a call may take; above zero. [`Duration::MAX`] is no limit.
    pub limit: Duration,
}

impl TimeoutConfig {
    /// A call may take `limit`, which must be above zero; [`Duration::MAX`] is no limit.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self { limit }
    }

    /// Checks all settings.
    ///
    /// # Errors
    ///
    /// A limit of zero, which no call could keep.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        if self.limit.is_zero() {
            let value = ConfigValue::Duration(self.limit);
            return Err(ConfigError::new("timeout", "limit", value, "must be above zero"));
        }
        Ok(())
    }
}
