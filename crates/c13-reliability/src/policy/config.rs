//! What a policy is made of: each part optional, checked as a whole.

use crate::error::{ConfigError, ConfigValue};
use crate::patterns::adaptive::AdaptiveConfig;
use crate::patterns::bulkhead::BulkheadConfig;
use crate::patterns::circuit_breaker::{CircuitBreakerConfig, circuit_config};
use crate::patterns::hedge::{HedgeConfig, HedgeDelay};
use crate::patterns::rate_limiter::RateLimiterConfig;
use crate::patterns::retry::RetryConfig;
use std::time::Duration;

const PART: &str = "policy";

/// What the rate limit of a policy counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateLimitPer {
    /// Each call once, whatever its retries: how much the callers may ask for.
    #[default]
    Call,
    /// Each attempt, retries and hedges included: the quota that a dependency gives.
    Attempt,
}

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
    /// How many calls, or attempts, may begin.
    pub rate_limit: Option<RateLimiterConfig>,
    /// Whether the rate limit counts calls, as it does unless told otherwise, or attempts.
    pub rate_limit_per: RateLimitPer,
    /// How many calls may be in flight at once.
    pub bulkhead: Option<BulkheadConfig>,
    /// The same, following what the dependency can take. In place of the bulkhead, and not beside it.
    pub adaptive: Option<AdaptiveConfig>,
    /// How often a failed attempt is repeated, when, and within what budget.
    pub retry: Option<RetryConfig>,
    /// When to make another attempt beside one that is late. It draws on the budget of retry, where retry has one, and on
    /// its own otherwise.
    pub hedge: Option<HedgeConfig>,
    /// When to stop calling for a while. Its `half_open_timeout` is the attempt's time limit where that is longer than the
    /// default, and must not be set below it.
    pub circuit_breaker: Option<CircuitBreakerConfig>,
    /// The time limit of one attempt.
    pub attempt_timeout: Option<Duration>,
}

impl PolicyConfig {
    /// A policy without any part.
    pub const NONE: Self = Self {
        total_timeout: None,
        rate_limit: None,
        rate_limit_per: RateLimitPer::Call,
        bulkhead: None,
        adaptive: None,
        retry: None,
        hedge: None,
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

    /// Sets what the rate limit counts.
    #[must_use]
    pub const fn rate_limit_per(mut self, per: RateLimitPer) -> Self {
        self.rate_limit_per = per;
        self
    }

    /// Sets the bulkhead.
    #[must_use]
    pub const fn bulkhead(mut self, config: BulkheadConfig) -> Self {
        self.bulkhead = Some(config);
        self
    }

    /// Sets the adaptive limit.
    #[must_use]
    pub const fn adaptive(mut self, config: AdaptiveConfig) -> Self {
        self.adaptive = Some(config);
        self
    }

    /// Sets retry.
    #[must_use]
    pub const fn retry(mut self, config: RetryConfig) -> Self {
        self.retry = Some(config);
        self
    }

    /// Sets the hedge.
    #[must_use]
    pub const fn hedge(mut self, config: HedgeConfig) -> Self {
        self.hedge = Some(config);
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
    /// that, with the longest pauses between them, do not fit the total; a hedge that comes after the attempt's end;
    /// a call that is slow only once it was cut off; a probe that is overdue before an attempt's end; a wait above the
    /// total; an adaptive limit beside a bulkhead.
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
        if let Some(config) = &self.adaptive {
            if let Err(error) = config.validate() {
                return Err(error);
            }
            if self.bulkhead.is_some() {
                let rule = "must not stand beside `bulkhead`: either bounds the calls in flight";
                return Err(ConfigError::new(PART, "adaptive", ConfigValue::Text("set"), rule));
            }
        }
        if let Some(config) = &self.retry
            && let Err(error) = config.validate()
        {
            return Err(error);
        }
        if let Some(config) = &self.hedge
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
        if let Some((limit, _)) = self.cut_off() {
            if let Some(delay) = self.hedge_delay()
                && delay.as_nanos() >= limit.as_nanos()
            {
                let rule = "must be shorter than the time limit of what it stands beside";
                return Err(refused("hedge.delay", delay, rule));
            }
            if let Some(slow) = self.slow_call()
                && slow.as_nanos() >= limit.as_nanos()
            {
                let rule = "must be shorter than the time limit that cuts the call off";
                return Err(refused("circuit_breaker.slow_call", slow, rule));
            }
        }
        if let (Some(breaker), Some(probe)) = (&self.circuit_breaker, self.longest_probe()) {
            let set = breaker.half_open_timeout;
            if set.as_nanos() < probe.as_nanos() && set.as_nanos() != circuit_config::HALF_OPEN_TIMEOUT.as_nanos() {
                let rule = "must not be shorter than `timeout.attempt`, which a probe may take";
                return Err(refused("circuit_breaker.half_open_timeout", set, rule));
            }
        }
        if let Some(total) = self.total_timeout {
            let (waits, mut part) = (self.waits(), 0);
            while part < waits.len() {
                let (setting, wait) = waits[part];
                if wait.as_nanos() > total.as_nanos() {
                    return Err(refused(setting, wait, "must not be longer than `timeout.total`"));
                }
                part += 1;
            }
        }
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
            let rule = "must hold all attempts (`max_retries` + 1 times `timeout.attempt` and the delays of hedges) and the pauses between them";
            return Err(refused("timeout.total", total, rule));
        }
        Ok(())
    }

    /// The breaker's settings as they apply here: a probe may take as long as an attempt, so a half-open circuit waits at
    /// least as long where nobody has set how long it does.
    pub(super) const fn breaker(&self) -> Option<CircuitBreakerConfig> {
        let Some(mut breaker) = self.circuit_breaker else {
            return None;
        };
        if let Some(probe) = self.longest_probe()
            && breaker.half_open_timeout.as_nanos() < probe.as_nanos()
        {
            breaker.half_open_timeout = probe;
        }
        Some(breaker)
    }

    /// How long a probe may take: as long as an attempt, and no longer than a breaker can wait, which is a day.
    pub(super) const fn longest_probe(&self) -> Option<Duration> {
        const DAY: Duration = Duration::from_secs(86_400);
        match self.attempt_timeout {
            Some(attempt) if attempt.as_nanos() > DAY.as_nanos() => Some(DAY),
            attempt => attempt,
        }
    }

    /// When the dependency's call is cut off, and by which timeout.
    pub(super) const fn cut_off(&self) -> Option<(Duration, &'static str)> {
        match (self.attempt_timeout, self.total_timeout) {
            (Some(limit), _) => Some((limit, "attempt")),
            (None, Some(limit)) => Some((limit, "total")),
            (None, None) => None,
        }
    }

    /// The hedge's delay, where it is fixed.
    pub(super) const fn hedge_delay(&self) -> Option<Duration> {
        match self.hedge {
            Some(HedgeConfig {
                delay: HedgeDelay::Fixed(delay),
                ..
            }) => Some(delay),
            _ => None,
        }
    }

    /// The time at which a call counts as slow.
    pub(super) const fn slow_call(&self) -> Option<Duration> {
        match self.circuit_breaker {
            Some(CircuitBreakerConfig {
                slow_calls: Some(rule), ..
            }) => Some(rule.threshold),
            _ => None,
        }
    }

    /// How long a call may wait before it begins, by the settings for it.
    pub(super) const fn waits(&self) -> [(&'static str, Duration); 3] {
        [
            match self.rate_limit {
                Some(limit) => ("rate_limit.max_wait", limit.max_wait),
                None => ("rate_limit.max_wait", Duration::ZERO),
            },
            match self.bulkhead {
                Some(bulkhead) => ("bulkhead.max_wait", bulkhead.max_wait),
                None => ("bulkhead.max_wait", Duration::ZERO),
            },
            match self.adaptive {
                Some(limit) => ("adaptive.max_wait", limit.max_wait),
                None => ("adaptive.max_wait", Duration::ZERO),
            },
        ]
    }

    /// How long a call takes when every attempt runs into its limit and every pause is the longest; `None` without a
    /// limit on attempts. Waiting for the rate limit and the bulkhead is not in it, nor is a hedge's delay that is measured.
    #[must_use]
    pub const fn longest_call(&self) -> Option<Duration> {
        let Some(attempt) = self.longest_attempt() else {
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

    /// How long an attempt takes when it runs into its limit, and the hedges beside it, each later by the delay, too.
    pub(super) const fn longest_attempt(&self) -> Option<Duration> {
        let Some(attempt) = self.attempt_timeout else {
            return None;
        };
        match self.hedge {
            Some(HedgeConfig {
                delay: HedgeDelay::Fixed(delay),
                max_hedges,
                ..
            }) => Some(attempt.saturating_add(delay.saturating_mul(max_hedges))),
            _ => Some(attempt),
        }
    }
}

const fn refused(setting: &'static str, value: Duration, rule: &'static str) -> ConfigError {
    ConfigError::new(PART, setting, ConfigValue::Duration(value), rule)
}
