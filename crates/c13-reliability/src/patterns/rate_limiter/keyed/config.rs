//! What can be set of a keyed limiter: the quota of each key, and how many keys are kept.

use super::super::sliding_window::SlidingWindowConfig;
use super::super::token_bucket::RateLimiterConfig;
use crate::error::{ConfigError, ConfigValue};
use crate::setters::setters;

pub(super) const PART: &str = "keyed rate limiter";
const MOST_KEYS: usize = 1 << 28;
const LONGEST_KEY: usize = 1 << 20;

/// How much a key may have: a token bucket or a sliding window.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Quota {
    /// A token bucket for each key, in eight bytes.
    TokenBucket(RateLimiterConfig),
    /// A sliding window for each key: eight bytes a request, or four words where it is approximate.
    SlidingWindow(SlidingWindowConfig),
}

impl From<RateLimiterConfig> for Quota {
    fn from(config: RateLimiterConfig) -> Self {
        Self::TokenBucket(config)
    }
}

impl From<SlidingWindowConfig> for Quota {
    fn from(config: SlidingWindowConfig) -> Self {
        Self::SlidingWindow(config)
    }
}

impl Quota {
    /// Checks the quota; usable while compiling.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense, and the rule it breaks. Besides those of the quota itself: nobody can wait,
    /// and a bucket must start full and cannot warm up, because a key that is forgotten starts anew.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        let max_wait = match self {
            Self::TokenBucket(config) => {
                if let Err(error) = config.validate() {
                    return Err(error);
                }
                let rule = "must not be set: a key that is forgotten starts anew";
                if config.start_empty {
                    return Err(ConfigError::new(PART, "start_empty", ConfigValue::Text("set"), rule));
                }
                if config.warm_up.is_some() {
                    return Err(ConfigError::new(PART, "warm_up", ConfigValue::Text("set"), rule));
                }
                config.max_wait
            }
            Self::SlidingWindow(config) => {
                if let Err(error) = config.validate() {
                    return Err(error);
                }
                config.max_wait
            }
        };
        if !max_wait.is_zero() {
            let value = ConfigValue::Duration(max_wait);
            return Err(ConfigError::new(
                PART,
                "max_wait",
                value,
                "must be zero: nobody can wait",
            ));
        }
        Ok(())
    }

    /// Whether refusals are only counted.
    pub(super) const fn shadow(&self) -> bool {
        match self {
            Self::TokenBucket(config) => config.shadow,
            Self::SlidingWindow(config) => config.shadow,
        }
    }

    /// What kind of limiter it is.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::TokenBucket(_) => "a token bucket",
            Self::SlidingWindow(SlidingWindowConfig { approximate: false, .. }) => "an exact sliding window",
            Self::SlidingWindow(_) => "an approximate sliding window",
        }
    }
}

/// What becomes of a new key when there is no room for it: as many keys are kept as may be, and those looked at are all
/// still limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// Its request is refused: the limiter protects something.
    #[default]
    Refuse,
    /// Its request is admitted, and not counted against any quota: the limiter only keeps the busiest in check.
    Admit,
}

impl WhenFull {
    /// The names in files.
    #[cfg(feature = "toml")]
    pub(crate) const NAMES: &'static [(&'static str, Self)] = &[("refuse", Self::Refuse), ("admit", Self::Admit)];
}

/// What a keyed layer does with requests in which it finds no key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WithoutKey {
    /// They share the quota of one key, so that leaving the key out does not evade the limit.
    #[default]
    Share,
    /// They are answered with 500: for a key that every request has, so that a request without it is a fault of the service.
    Refuse,
    /// They pass without a limit.
    Allow,
}

impl WithoutKey {
    /// The names in files.
    #[cfg(feature = "toml")]
    pub(crate) const NAMES: &'static [(&'static str, Self)] =
        &[("share", Self::Share), ("refuse", Self::Refuse), ("allow", Self::Allow)];
}

/// Settings of a keyed limiter: plain values, checked by [`validate`](Self::validate) on the way in.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct KeyedConfig {
    /// The quota of each key that has none of its own.
    pub quota: Quota,
    /// How many keys are kept at most; from 1 to 2²⁸. Each takes at most twice the size of an entry: the key, its state,
    /// and nine bytes; for numbers with a token bucket that is 50 bytes. As keys are spread over parts by hash, a part may
    /// be full from about 80 % on where there are few, and from 95 % where there are 100,000.
    pub max_keys: usize,
    /// What becomes of new keys when there is no room. Default: they are refused.
    pub when_full: WhenFull,
    /// How many bytes of text a key may hold; from 1 to 2²⁰. A request with a longer key is refused, whatever `when_full`
    /// says, and nothing is kept of it: strangers choose keys, and memory is bounded by `max_keys` times this. Where keys
    /// are longer, such as tokens, take a hash of them with a secret seed. Default: 1,024.
    pub max_key_bytes: usize,
}

impl KeyedConfig {
    /// `quota` for each key, of at most `max_keys`; new keys beyond them are refused.
    #[must_use]
    pub const fn new(quota: Quota, max_keys: usize) -> Self {
        Self {
            quota,
            max_keys,
            when_full: WhenFull::Refuse,
            max_key_bytes: 1_024,
        }
    }

    setters! {
        /// Lets keys hold up to so many bytes of text.
        max_key_bytes: usize,
        /// Says what becomes of new keys when there is no room.
        when_full: WhenFull,
    }

    /// Checks all settings; usable while compiling.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense, and the rule it breaks.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        if self.max_keys == 0 || self.max_keys > MOST_KEYS {
            let value = ConfigValue::Count(self.max_keys as u64);
            return Err(ConfigError::new(PART, "max_keys", value, "must be from 1 to 2^28"));
        }
        if self.max_key_bytes == 0 || self.max_key_bytes > LONGEST_KEY {
            let value = ConfigValue::Count(self.max_key_bytes as u64);
            return Err(ConfigError::new(PART, "max_key_bytes", value, "must be from 1 to 2^20"));
        }
        self.quota.validate()
    }
}
