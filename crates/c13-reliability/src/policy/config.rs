//! What a policy is made of: each part optional, checked as a whole.

use crate::error::{ConfigError, ConfigValue};
use crate::patterns::bulkhead::BulkheadConfig;
use crate::patterns::circuit_breaker::CircuitBreakerConfig;
use crate::patterns::rate_limiter::RateLimiterConfig;
use crate::patterns::retry::RetryConfig;
use std::time::Duration;

const PART: &str = "policy";

/// The settings of a policy. What is `None` is not there.
///
/// A policy with nothing in it runs a call as it is. The setters are `const`, so that a policy can be a constant that
/// is checked while compiling:
///
/// ```
/// use c13_reliability::patterns::bulkhead::BulkheadConfig;
/// use c13_reliability::policy::PolicyConfig;
/// use std::time::Duration;
///
/// const SEARCH: PolicyConfig = PolicyConfig::NONE
///     .total_timeout(Duration::from_secs(2))
///     .attempt_timeout(Duration::from_millis(500))
///     .bulkhead(BulkheadConfig::new(64));
/// const _: () = assert!(SEARCH.validate().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PolicyConfig {
    /// The time limit of the whole call: waiting, attempts and the pauses between them.
    pub total_timeout: Option<Duration>,
    /// How many calls may begin, counted once a call whatever its retries.
    pub rate_limit: Option<RateLimiterConfig>,
    /// How many calls may be in flight at once.
    pub bulkhead: Option<BulkheadConfig>,
    /// How often a failed attempt is repeated, when, and within what budget.
    pub retry: Option<RetryConfig>,
    /// When to stop calling for a while.
    pub circuit_breaker: Option<CircuitBreakerConfig>,
    /// The time limit of one attempt.
    pub attempt_timeout: Option<Duration>,
}

impl PolicyConfig {
    /// A policy without any part.
    pub const NONE: Self = Self {
        total_timeout: None,
        rate_limit: None,
        bulkhead: None,
        retry: None,
        circuit_breaker: None,
        attempt_timeout: None,
    };

    /// Sets the time limit of the whole call.
    #[must_use]
    pub const fn total_timeout(mut self, limit: Duration) -> Self {
        self.total_timeout = Some(limit);
        self
    }

    /// Sets the rate limit.
    #[must_use]
    pub const fn rate_limit(mut self, config: RateLimiterConfig) -> Self {
        self.rate_limit = Some(config);
        self
    }

    /// Sets the bulkhead.
    #[must_use]
    pub const fn bulkhead(mut self, config: BulkheadConfig) -> Self {
        self.bulkhead = Some(config);
        self
    }

    /// Sets retry.
    #[must_use]
    pub const fn retry(mut self, config: RetryConfig) -> Self {
        self.retry = Some(config);
        self
    }

    /// Sets the circuit breaker.
    #[must_use]
    pub const fn circuit_breaker(mut self, config: CircuitBreakerConfig) -> Self {
        self.circuit_breaker = Some(config);
        self
    }

    /// Sets the time limit of one attempt.
    #[must_use]
    pub const fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.attempt_timeout = Some(limit);
        self
    }

    /// Checks each part, and the parts against each other.
    ///
    /// # Errors
    ///
    /// The first rule that is broken: a part's own; a time limit of zero; an attempt's limit above the total; attempts
    /// that, with the longest pauses between them, do not fit the total.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        if let Some(limit) = self.total_timeout
            && limit.is_zero()
        {
            return Err(refused("timeout.total", limit, "must be above zero"));
        }
        if let Some(limit) = self.attempt_timeout
            && limit.is_zero()
        {
            return Err(refused("timeout.attempt", limit, "must be above zero"));
        }
        if let Some(config) = &self.rate_limit
            && let Err(error) = config.validate()
        {
            return Err(error);
        }
        if let Some(config) = &self.bulkhead
            && let Err(error) = config.validate()
        {
            return Err(error);
        }
        if let Some(config) = &self.retry
            && let Err(error) = config.validate()
        {
            return Err(error);
        }
        if let Some(config) = &self.circuit_breaker
            && let Err(error) = config.validate()
        {
            return Err(error);
        }
        self.validate_times()
    }

    const fn validate_times(&self) -> Result<(), ConfigError> {
        let (Some(total), Some(attempt)) = (self.total_timeout, self.attempt_timeout) else {
            return Ok(());
        };
        if attempt.as_nanos() > total.as_nanos() {
            return Err(refused(
                "timeout.attempt",
                attempt,
                "must not be longer than `timeout.total`",
            ));
        }
        if let Some(longest) = self.longest_call()
            && longest.as_nanos() > total.as_nanos()
        {
            let rule = "must hold all attempts (`max_retries` + 1 times `timeout.attempt`) and the pauses between them";
            return Err(refused("timeout.total", total, rule));
        }
        Ok(())
    }

    /// How long a call takes when every attempt runs into its limit and every pause is the longest; `None` without a
    /// limit on attempts. Waiting for the rate limit and the bulkhead is not in it.
    #[must_use]
    pub const fn longest_call(&self) -> Option<Duration> {
        let Some(attempt) = self.attempt_timeout else {
            return None;
        };
        let Some(retry) = &self.retry else { return Some(attempt) };
        let attempts = retry.max_retries.saturating_add(1);
        Some(
            attempt
                .saturating_mul(attempts)
                .saturating_add(retry.strategy.total_backoff(retry.max_retries)),
        )
    }
}

const fn refused(setting: &'static str, value: Duration, rule: &'static str) -> ConfigError {
    ConfigError::new(PART, setting, ConfigValue::Duration(value), rule)
}
