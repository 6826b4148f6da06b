//! What can be set: how much, how much at once, and how long a caller may wait for it.

use crate::error::{ConfigError, ConfigValue};
use std::time::Duration;

/// The longest time that any setting may come to: a hundred years.
pub(super) const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);
/// How many callers may wait for a limiter at one time unless another number is set.
pub const DEFAULT_MAX_WAITERS: usize = 1_024;

const BUCKET: &str = "token bucket";
const WINDOW: &str = "sliding window";
const SLOWEST: f64 = 1.0 / 86_400.0;
const FASTEST: f64 = 1e9;
const LARGEST_BURST: u64 = 1 << 54;
const LARGEST_WINDOW: u64 = 1 << 24;

/// Settings of a token bucket: plain values, checked by [`validate`](Self::validate) on the way in.
///
/// ```
/// use c13_reliability::patterns::rate_limiter::RateLimiterConfig;
/// use std::time::Duration;
///
/// const UPLOADS: RateLimiterConfig = RateLimiterConfig::new(50.0, 10).max_wait(Duration::from_millis(200));
/// const _: () = assert!(UPLOADS.validate().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RateLimiterConfig {
    /// Tokens a second that the bucket refills by; from one a day to 10⁹ a second.
    pub rate: f64,
    /// How many tokens the bucket holds, and so the largest request; from 1 to 2⁵⁴, and no more than refill within a
    /// hundred years.
    pub burst: u64,
    /// How long [`acquire`](super::TokenBucketRateLimiter::acquire) may wait, at most a hundred years. Default: zero,
    /// which refuses at once.
    pub max_wait: Duration,
    /// How many callers may wait at one time; at least 1. Default: [`DEFAULT_MAX_WAITERS`].
    pub max_waiters: usize,
}

impl RateLimiterConfig {
    /// `rate` tokens a second, and at most `burst` of them at once. Nobody waits.
    #[must_use]
    pub const fn new(rate: f64, burst: u64) -> Self {
        Self {
            rate,
            burst,
            max_wait: Duration::ZERO,
            max_waiters: DEFAULT_MAX_WAITERS,
        }
    }

    /// `rate` tokens a second, and at most those of one second at once, rounded down but at least 1.
    #[must_use]
    pub const fn per_second(rate: f64) -> Self {
        // A rate that is no number, negative or too large is for `validate` to refuse.
        let burst = rate as u64;
        Self::new(rate, if burst == 0 { 1 } else { burst })
    }

    /// Lets callers wait for `max_wait`.
    #[must_use]
    pub const fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Lets no more than `max_waiters` callers wait at one time.
    #[must_use]
    pub const fn max_waiters(mut self, max_waiters: usize) -> Self {
        self.max_waiters = max_waiters;
        self
    }

    /// Checks all settings; usable while compiling.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense, and the rule it breaks.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        // Written so that a rate that is no number fails it.
        if !(self.rate >= SLOWEST && self.rate <= FASTEST) {
            let rule = "must be from one a day to 1,000,000,000 a second";
            return refuse(BUCKET, "rate", ConfigValue::Number(self.rate), rule);
        }
        if self.burst == 0 {
            return refuse(BUCKET, "burst", ConfigValue::Count(0), "must be at least 1");
        }
        if self.burst > LARGEST_BURST {
            return refuse(BUCKET, "burst", ConfigValue::Count(self.burst), "must be at most 2^54");
        }
        if self.burst as f64 / self.rate > LONGEST.as_secs() as f64 {
            let rule = "must refill within a hundred years";
            return refuse(BUCKET, "burst", ConfigValue::Count(self.burst), rule);
        }
        check_waiting(BUCKET, self.max_wait, self.max_waiters)
    }
}

/// Settings of an exact sliding window: plain values, checked by [`validate`](Self::validate) on the way in.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SlidingWindowConfig {
    /// How far the window reaches back; above zero, at most a hundred years.
    pub window: Duration,
    /// How many requests any window may hold; from 1 to 2²⁴. Each takes 8 bytes of memory.
    pub max_requests: u64,
    /// How long [`acquire`](super::SlidingWindowRateLimiter::acquire) may wait, at most a hundred years. Default: zero,
    /// which refuses at once.
    pub max_wait: Duration,
    /// How many callers may wait at one time; at least 1. Default: [`DEFAULT_MAX_WAITERS`].
    pub max_waiters: usize,
}

impl SlidingWindowConfig {
    /// At most `max_requests` in any `window`. Nobody waits.
    #[must_use]
    pub const fn new(window: Duration, max_requests: u64) -> Self {
        Self {
            window,
            max_requests,
            max_wait: Duration::ZERO,
            max_waiters: DEFAULT_MAX_WAITERS,
        }
    }

    /// Lets callers wait for `max_wait`.
    #[must_use]
    pub const fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Lets no more than `max_waiters` callers wait at one time.
    #[must_use]
    pub const fn max_waiters(mut self, max_waiters: usize) -> Self {
        self.max_waiters = max_waiters;
        self
    }

    /// Checks all settings; usable while compiling.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense, and the rule it breaks.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        if self.window.is_zero() || self.window.as_nanos() > LONGEST.as_nanos() {
            let rule = "must be above zero and at most a hundred years";
            return refuse(WINDOW, "window", ConfigValue::Duration(self.window), rule);
        }
        if self.max_requests == 0 || self.max_requests > LARGEST_WINDOW {
            let rule = "must be from 1 to 2^24";
            return refuse(WINDOW, "max_requests", ConfigValue::Count(self.max_requests), rule);
        }
        check_waiting(WINDOW, self.max_wait, self.max_waiters)
    }
}

const fn refuse(
    part: &'static str,
    setting: &'static str,
    value: ConfigValue,
    rule: &'static str,
) -> Result<(), ConfigError> {
    Err(ConfigError::new(part, setting, value, rule))
}

const fn check_waiting(part: &'static str, max_wait: Duration, max_waiters: usize) -> Result<(), ConfigError> {
    if max_wait.as_nanos() > LONGEST.as_nanos() {
        let rule = "must be at most a hundred years";
        return Err(ConfigError::new(
            part,
            "max_wait",
            ConfigValue::Duration(max_wait),
            rule,
        ));
    }
    if max_waiters == 0 {
        return Err(ConfigError::new(
            part,
            "max_waiters",
            ConfigValue::Count(0),
            "must be at least 1",
        ));
    }
    Ok(())
}
