//! How many keys a set keeps, and for how long.

use crate::error::{ConfigError, ConfigValue};
use crate::setters::setters;
use std::time::Duration;

const MOST_KEYS: usize = 1 << 24;
const LONGEST_KEY: usize = 1 << 20;

/// How many keys a keyed set keeps, and for how long. Strangers may choose keys, so each of these bounds memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeySetConfig {
    /// How many keys it keeps at most; from 1 to 16,777,216. Default: 10,000.
    pub max_keys: usize,
    /// How many bytes of text a key may hold to get a part of its own; from 1 to 2²⁰. All longer keys share one part, as keys
    /// do that find no room. Default: 1,024.
    pub max_key_bytes: usize,
    /// After how long without a request for it a key may be forgotten when new ones come; above zero. Default: an hour.
    pub idle_after: Duration,
}

impl KeySetConfig {
    /// At most 10,000 keys of at most 1,024 bytes, idle after an hour.
    pub const DEFAULT: Self = Self {
        max_keys: 10_000,
        max_key_bytes: 1_024,
        idle_after: Duration::from_secs(3_600),
    };

    setters! {
        /// Sets how many keys it keeps at most.
        max_keys: usize,
        /// Sets how many bytes of text a key may hold to get a part of its own.
        max_key_bytes: usize,
        /// Sets after how long without a request a key may be forgotten.
        idle_after: Duration,
    }

    /// Checks the settings for `part`; usable while compiling.
    pub(crate) const fn check(&self, part: &'static str) -> Result<(), ConfigError> {
        if self.max_keys == 0 || self.max_keys > MOST_KEYS {
            let value = ConfigValue::Count(self.max_keys as u64);
            return Err(ConfigError::new(part, "max_keys", value, "must be from 1 to 16777216"));
        }
        if self.max_key_bytes == 0 || self.max_key_bytes > LONGEST_KEY {
            let value = ConfigValue::Count(self.max_key_bytes as u64);
            return Err(ConfigError::new(part, "max_key_bytes", value, "must be from 1 to 2^20"));
        }
        if self.idle_after.is_zero() {
            let value = ConfigValue::Duration(self.idle_after);
            return Err(ConfigError::new(part, "idle_after", value, "must be above zero"));
        }
        Ok(())
    }
}

impl Default for KeySetConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}
