//! The parts of a policy as they are at one time, and how they go over into those of other settings.

use super::PolicyConfig;
use crate::error::ConfigError;
use crate::patterns::bulkhead::Bulkhead;
use crate::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig};
use crate::patterns::rate_limiter::TokenBucketRateLimiter;
use crate::patterns::retry::RetryExecutor;
use crate::snapshot::Reading;
use crate::sync::Random;
use crate::time::Clock;

/// The parts of a policy, and the clock they share. A call goes by the ones that it began with.
pub(super) struct Parts {
    pub(super) config: PolicyConfig,
    pub(super) clock: Clock,
    pub(super) rate_limit: Option<TokenBucketRateLimiter>,
    pub(super) bulkhead: Option<Bulkhead>,
    pub(super) retry: Option<RetryExecutor>,
    pub(super) circuit_breaker: Option<CircuitBreaker>,
}

impl Parts {
    /// What the parts that there are report, each under its own metrics.
    pub(super) fn readings(&self) -> Vec<Reading> {
        let rate_limit = self.rate_limit.as_ref().map(|part| part.snapshot().readings());
        let bulkhead = self.bulkhead.as_ref().map(|part| part.snapshot().readings());
        let retry = self.retry.as_ref().map(|part| part.snapshot().readings());
        let circuit_breaker = self.circuit_breaker.as_ref().map(|part| part.snapshot().readings());
        let parts = [rate_limit, bulkhead, retry, circuit_breaker];
        parts.into_iter().flatten().flatten().collect()
    }
}

impl Parts {
    /// New parts for these settings.
    pub(super) fn new(config: PolicyConfig, clock: Clock, random: &Random) -> Result<Self, ConfigError> {
        let none = Self {
            config: PolicyConfig::NONE,
            clock,
            rate_limit: None,
            bulkhead: None,
            retry: None,
            circuit_breaker: None,
        };
        none.with_settings(config, random)
    }

    /// Parts for other settings that go on with the state of these. All settings are checked before any part changes.
    pub(super) fn with_settings(&self, config: PolicyConfig, random: &Random) -> Result<Self, ConfigError> {
        config.validate()?;
        let clock = &self.clock;
        let rate_limit = match (config.rate_limit, &self.rate_limit) {
            (None, _) => None,
            (Some(settings), Some(limiter)) => {
                if self.config.rate_limit != Some(settings) {
                    limiter.reconfigure(settings)?;
                }
                Some(limiter.clone())
            }
            (Some(settings), None) => Some(TokenBucketRateLimiter::with_config(settings, clock.clone())?),
        };
        let retry = match (config.retry, &self.retry) {
            (None, _) => None,
            (Some(settings), Some(retry)) if self.config.retry == Some(settings) => Some(retry.clone()),
            (Some(settings), Some(retry)) => Some(retry.with_settings(settings)?),
            (Some(settings), None) => {
                Some(RetryExecutor::with_config(settings, clock.clone())?.seed(random.next_u64()))
            }
        };
        let bulkhead = match (config.bulkhead, &self.bulkhead) {
            (None, _) => None,
            (Some(settings), Some(bulkhead)) => {
                bulkhead.reconfigure(settings)?;
                Some(bulkhead.clone())
            }
            (Some(settings), None) => Some(Bulkhead::with_config(settings, clock.clone())?),
        };
        let circuit_breaker = match (breaker_settings(&config), &self.circuit_breaker) {
            (None, _) => None,
            (Some(settings), Some(breaker)) => {
                if breaker_settings(&self.config) != Some(settings) {
                    breaker.change(settings)?;
                }
                Some(breaker.clone())
            }
            (Some(settings), None) => {
                let jitter = Random::new(random.next_u64());
                Some(CircuitBreaker::with_random(settings, clock.clone(), jitter)?)
            }
        };
        Ok(Self {
            config,
            clock: clock.clone(),
            rate_limit,
            bulkhead,
            retry,
            circuit_breaker,
        })
    }
}

/// The breaker's settings: a probe may take as long as an attempt, and is not overdue before.
fn breaker_settings(config: &PolicyConfig) -> Option<CircuitBreakerConfig> {
    let mut breaker = config.circuit_breaker?;
    if let Some(attempt) = config.attempt_timeout {
        breaker.half_open_timeout = breaker.half_open_timeout.max(attempt);
    }
    Some(breaker)
}
