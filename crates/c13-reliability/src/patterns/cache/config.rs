//! What can be set for a cache.

use crate::error::{ConfigError, ConfigValue};
use crate::setters::setters;
use std::time::Duration;

const PART: &str = "cache";

/// How many entries a cache holds unless told otherwise.
pub const CAPACITY: u64 = 100_000;

/// How long reads wait for another read's load unless told otherwise.
pub const LOAD_LEASE: Duration = Duration::from_secs(30);

/// What can be set for a cache. Times are exact to one tick of the kernel's coarse clock, 1 to 10 ms.
///
/// ```
/// use c13_reliability::patterns::cache::CacheConfig;
/// use std::time::Duration;
///
/// const PRODUCTS: CacheConfig = CacheConfig::new()
///     .capacity(50_000)
///     .ttl(Duration::from_secs(60))
///     .refresh_after(Duration::from_secs(45))
///     .stale_if_error(Duration::from_secs(600));
/// assert!(PRODUCTS.validate().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct CacheConfig {
    /// The most that is kept: entries, or weight where entries are weighed. Default: 100,000.
    pub capacity: u64,
    /// For how long an entry is fresh. `None` (default): for ever.
    pub ttl: Option<Duration>,
    /// An entry that is not read for this long is gone. `None` (default): however long.
    pub idle: Option<Duration>,
    /// By how much of itself a time to live, or an idle time, may be shortened at random, so that entries written together
    /// do not go together; 0 to 1. Default: 0.1.
    pub jitter: f64,
    /// A read that finds an entry older than this and still fresh has it loaded again in the background. Shorter than
    /// `ttl`, and shortened by the same jitter. `None` (default): never.
    pub refresh_after: Option<Duration>,
    /// For how long after it was fresh an entry is still served while it is loaded again in the background. Default: zero.
    pub stale_while_revalidate: Duration,
    /// For how long after it was fresh an entry is served if loading it fails. Default: zero.
    pub stale_if_error: Duration,
    /// For how long after a failed load the entry that is served in its place is served without another try. Default: 1 s.
    pub pause_after_error: Duration,
    /// For how long it is remembered that there is nothing under a key. `None` (default): not at all.
    pub negative_ttl: Option<Duration>,
    /// How long reads wait for a load of their key before one of them loads again: so long at most does a load that is
    /// stuck, or that nobody polls any more, block a key. Longer than loads take, because a load that takes longer is made
    /// more than once. [`Duration::MAX`]: for ever, without a timer. Default: 30 s.
    pub load_lease: Duration,
}

impl CacheConfig {
    /// The defaults: 100,000 entries that stay fresh for ever.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            capacity: CAPACITY,
            ttl: None,
            idle: None,
            jitter: 0.1,
            refresh_after: None,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            pause_after_error: Duration::from_secs(1),
            negative_ttl: None,
            load_lease: LOAD_LEASE,
        }
    }

    setters! {
        /// Sets the most that is kept.
        capacity: u64,
        /// Sets for how long an entry is fresh.
        ttl: Duration => Some,
        /// Sets after how long without a read an entry is gone.
        idle: Duration => Some,
        /// Sets by how much of itself a time to live or an idle time may be shortened at random.
        jitter: f64,
        /// Sets from which age on a fresh entry is loaded again in the background.
        refresh_after: Duration => Some,
        /// Sets for how long after it was fresh an entry is served while it is loaded again.
        stale_while_revalidate: Duration,
        /// Sets for how long after it was fresh an entry is served if loading it fails.
        stale_if_error: Duration,
        /// Sets for how long after a failed load there is no other for an entry that can be served in its place.
        pause_after_error: Duration,
        /// Sets for how long it is remembered that there is nothing under a key.
        negative_ttl: Duration => Some,
        /// Sets how long reads wait for a load of their key before one of them loads again.
        load_lease: Duration,
    }

    /// Whether times decide anything, so that a read has to know the time.
    pub(super) const fn is_timed(&self) -> bool {
        self.ttl.is_some() || self.idle.is_some() || self.negative_ttl.is_some()
    }

    /// Checks it.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        if self.capacity == 0 {
            return Err(ConfigError::new(
                PART,
                "capacity",
                ConfigValue::Count(0),
                "must be at least 1",
            ));
        }
        if !(self.jitter >= 0.0 && self.jitter <= 1.0) {
            let value = ConfigValue::Number(self.jitter);
            return Err(ConfigError::new(PART, "jitter", value, "must be from 0 to 1"));
        }
        if let Some(Duration::ZERO) = self.ttl {
            return Err(time("ttl", Duration::ZERO, "must be longer than zero"));
        }
        if let Some(Duration::ZERO) = self.idle {
            return Err(time("idle", Duration::ZERO, "must be longer than zero"));
        }
        if let Some(Duration::ZERO) = self.negative_ttl {
            return Err(time("negative_ttl", Duration::ZERO, "must be longer than zero"));
        }
        if self.load_lease.is_zero() {
            return Err(time("load_lease", Duration::ZERO, "must be longer than zero"));
        }
        let Some(ttl) = self.ttl else {
            let rule = "needs a `ttl`: without one nothing is ever stale";
            return if let Some(age) = self.refresh_after {
                Err(time("refresh_after", age, rule))
            } else if !self.stale_while_revalidate.is_zero() {
                Err(time("stale_while_revalidate", self.stale_while_revalidate, rule))
            } else if !self.stale_if_error.is_zero() {
                Err(time("stale_if_error", self.stale_if_error, rule))
            } else {
                Ok(())
            };
        };
        match self.refresh_after {
            Some(age) if age.as_nanos() >= ttl.as_nanos() => Err(time("refresh_after", age, "must be less than `ttl`")),
            _ => Ok(()),
        }
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self::new()
    }
}

const fn time(setting: &'static str, value: Duration, rule: &'static str) -> ConfigError {
    ConfigError::new(PART, setting, ConfigValue::Duration(value), rule)
}
