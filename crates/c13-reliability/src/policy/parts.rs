//! The parts of a policy at one time, and how a change of settings makes new parts that keep the state of the old ones.

use super::PolicyConfig;
use super::call::{ExtraLimit, Length};
use crate::error::ConfigError;
use crate::patterns::adaptive::AdaptiveLimit;
use crate::patterns::bulkhead::Bulkhead;
use crate::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerBuilder};
use crate::patterns::hedge::{Hedge, HedgeConfig};
use crate::patterns::rate_limiter::TokenBucketRateLimiter;
use crate::patterns::retry::{RetryExecutor, RetryListener};
use crate::snapshot::Reading;
use crate::sync::{Random, Stripes};
use crate::time::{Clock, Deadline, Env, Tick};
use arc_swap::Guard;
use std::ops::Deref;
use std::sync::Arc;

/// The parts of a policy, and the clock they share. A call keeps the parts that it began with.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) config: PolicyConfig,
    pub(super) total_limit: Length,
    pub(super) attempt_limit: Length,
    /// Whether every call starts by reading the clock. Otherwise only calls with a deadline do.
    pub(super) is_timed: bool,
    /// A deadline that never comes, on this clock. An attempt that carries its time limit as a deadline takes the clock
    /// from it.
    pub(super) far_deadline: Deadline,
    /// Whether a call may wait for a permit of the bulkhead or of the adaptive limit.
    pub(super) concurrency_waits: bool,
    /// Whether a call may wait for the rate limit.
    pub(super) rate_limit_waits: bool,
    pub(super) clock: Clock,
    pub(super) rate_limit: Option<TokenBucketRateLimiter>,
    /// The rate limit that `Policy::limit_by` has added. It is in no settings.
    pub(super) extra_limit: Option<Arc<dyn ExtraLimit>>,
    pub(super) bulkhead: Option<Bulkhead>,
    pub(super) adaptive: Option<AdaptiveLimit>,
    pub(super) retry: Option<RetryExecutor>,
    retry_listener: Option<Arc<RetryListener>>,
    pub(super) hedge: Option<Hedge>,
    pub(super) circuit_breaker: Option<CircuitBreaker>,
    /// Parts that earlier settings had and these lack. They come back when the settings have them again, because callers
    /// may hold handles to them.
    away: Option<Box<Away>>,
}

/// The parts that a call began with.
pub(super) struct LoadedParts(Guard<Arc<Parts>>);

impl LoadedParts {
    #[inline]
    pub(super) fn new(parts: Guard<Arc<Parts>>) -> Self {
        Self(parts)
    }
}

impl Deref for LoadedParts {
    type Target = Parts;

    #[inline]
    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// At most one part of each kind: those that no call uses now, or, as [`Parts::known`] returns it, all that there are.
#[derive(Clone, Default)]
struct Away {
    rate_limit: Option<TokenBucketRateLimiter>,
    bulkhead: Option<Bulkhead>,
    adaptive: Option<AdaptiveLimit>,
    retry: Option<RetryExecutor>,
    hedge: Option<Hedge>,
    circuit_breaker: Option<CircuitBreaker>,
}

/// What new parts are made with, besides their settings and the clock.
pub(super) struct Making {
    /// The name under which the breaker is reported, if the policy was given one.
    pub(super) name: Option<String>,
    pub(super) random: Random,
}

impl Parts {
    /// What the parts report, each under its own metrics.
    pub(super) fn readings(&self) -> Vec<Reading> {
        let rate_limit = self.rate_limit.as_ref().map(|part| part.snapshot().readings());
        let bulkhead = self.bulkhead.as_ref().map(|part| part.snapshot().readings());
        let retry = self.retry.as_ref().map(|part| part.snapshot().readings());
        let circuit_breaker = self.circuit_breaker.as_ref().map(|part| part.snapshot().readings());
        let adaptive = self.adaptive.as_ref().map(|part| part.snapshot().readings());
        let hedge = self.hedge.as_ref().map(|part| part.snapshot().readings());
        let parts = [rate_limit, bulkhead, adaptive, retry, hedge, circuit_breaker];
        parts.into_iter().flatten().flatten().collect()
    }

    /// New parts for these settings.
    pub(super) fn new(config: PolicyConfig, clock: Clock, making: &Making) -> Result<Self, ConfigError> {
        let none = Self {
            config: PolicyConfig::NONE,
            total_limit: Length::NONE,
            attempt_limit: Length::NONE,
            is_timed: false,
            rate_limit_waits: false,
            concurrency_waits: false,
            far_deadline: Deadline::at(&clock, Tick::MAX),
            clock,
            rate_limit: None,
            extra_limit: None,
            bulkhead: None,
            adaptive: None,
            retry: None,
            retry_listener: None,
            hedge: None,
            circuit_breaker: None,
            away: None,
        };
        none.with_settings(config, making)
    }

    /// The same parts, with this rate limit behind the policy's own.
    pub(super) fn with_extra_limit(&self, limit: Arc<dyn ExtraLimit>) -> Self {
        Self {
            extra_limit: Some(limit),
            ..self.clone()
        }
    }

    /// The same parts, with this listener for their retries.
    pub(super) fn with_retry_listener(&self, listener: Arc<RetryListener>) -> Self {
        let retry = self.retry.clone();
        Self {
            retry: retry.map(|retry| retry.heard_by(listener.clone())),
            retry_listener: Some(listener),
            ..self.clone()
        }
    }

    /// Parts for other settings, which keep the state of these. All settings are checked before any part changes.
    pub(super) fn with_settings(&self, config: PolicyConfig, making: &Making) -> Result<Self, ConfigError> {
        config.validate()?;
        let (clock, random) = (&self.clock, &making.random);
        let known = self.known();
        let stripes = Stripes::new(words(&config));
        let rate_limit = match (config.rate_limit, &known.rate_limit) {
            (None, _) => None,
            (Some(settings), Some(limiter)) => {
                if self.config.rate_limit != Some(settings) {
                    limiter.reconfigure(settings)?;
                }
                Some(limiter.clone())
            }
            (Some(settings), None) => Some(TokenBucketRateLimiter::on(&stripes, settings, clock.clone())?),
        };
        let retry = match (config.retry, &known.retry) {
            (None, _) => None,
            (Some(settings), Some(retry)) => {
                if self.config.retry != Some(settings) {
                    retry.reconfigure(settings)?;
                }
                Some(retry.clone())
            }
            (Some(settings), None) => {
                let env = Env::new(clock.clone()).seed(random.next_u64());
                Some(RetryExecutor::on(&stripes, settings, env)?)
            }
        };
        let hedge = match (config.hedge, &known.hedge) {
            (None, _) => None,
            (Some(_), Some(hedge)) => Some(hedge.clone()),
            (Some(settings), None) => Some(Hedge::on(&stripes, settings, clock.clone().into())?),
        };
        if let (Some(mut settings), Some(hedge)) = (config.hedge, &hedge)
            && (self.config.hedge, self.config.retry) != (config.hedge, config.retry)
        {
            if self.config.hedge == config.hedge {
                // What was set by hand stays, but for the budget.
                settings = HedgeConfig {
                    budget: settings.budget,
                    ..hedge.config()
                };
            }
            match retry.as_ref().and_then(RetryExecutor::shared_budget) {
                // Both draw on one budget, in which retry already counts each call.
                Some(budget) => hedge.reconfigure_within(settings, &budget)?,
                None => hedge.reconfigure(settings)?,
            }
        }
        let bulkhead = match (config.bulkhead, &known.bulkhead) {
            (None, _) => None,
            (Some(settings), Some(bulkhead)) => {
                if self.config.bulkhead != Some(settings) {
                    bulkhead.reconfigure(settings)?;
                }
                Some(bulkhead.clone())
            }
            (Some(settings), None) => Some(Bulkhead::on(&stripes, settings, clock.clone())?),
        };
        let adaptive = match (config.adaptive, &known.adaptive) {
            (None, _) => None,
            (Some(settings), Some(limit)) => {
                if self.config.adaptive != Some(settings) {
                    limit.reconfigure(settings)?;
                }
                Some(limit.clone())
            }
            (Some(settings), None) => {
                let env = Env::new(clock.clone()).seed(random.next_u64());
                Some(AdaptiveLimit::with_config(settings, env)?)
            }
        };
        let circuit_breaker = match (config.breaker(), &known.circuit_breaker) {
            (None, breaker) => {
                // No call asks it any more, so no call would ever close it.
                if let Some(breaker) = breaker.as_ref().filter(|_| self.circuit_breaker.is_some()) {
                    breaker.reset();
                }
                None
            }
            (Some(settings), Some(breaker)) => {
                if self.config.breaker() != Some(settings) {
                    breaker.reconfigure(settings)?;
                }
                Some(breaker.clone())
            }
            (Some(settings), None) => {
                let jitter = Random::new(random.next_u64());
                let breaker = CircuitBreaker::builder(settings).env(Env::new(clock.clone()).random(jitter));
                let breaker = breaker.stripes(&stripes);
                let breaker = match &making.name {
                    Some(name) => breaker.name(name),
                    None => breaker,
                };
                Some(breaker.build()?)
            }
        };
        let parts = Self {
            config,
            total_limit: Length::of(config.total_timeout),
            attempt_limit: Length::of(config.attempt_timeout),
            is_timed: config.total_timeout.is_some() || config.attempt_timeout.is_some() || rate_limit.is_some(),
            far_deadline: self.far_deadline,
            concurrency_waits: match (config.bulkhead, config.adaptive) {
                (Some(bulkhead), _) => !bulkhead.max_wait.is_zero(),
                (None, Some(adaptive)) => !adaptive.max_wait.is_zero(),
                (None, None) => false,
            },
            rate_limit_waits: config.rate_limit.is_some_and(|limit| !limit.max_wait.is_zero()),
            clock: clock.clone(),
            rate_limit,
            extra_limit: self.extra_limit.clone(),
            bulkhead,
            adaptive,
            retry: match &self.retry_listener {
                Some(listener) => retry.map(|retry| retry.heard_by(listener.clone())),
                None => retry,
            },
            retry_listener: self.retry_listener.clone(),
            hedge,
            circuit_breaker,
            away: None,
        };
        Ok(parts.keeping(known))
    }

    /// Whether there is another handle to one of the parts.
    #[cfg(feature = "toml")]
    pub(super) fn are_shared(&self) -> bool {
        let away = self.away.as_deref();
        let circuit_breaker = self
            .circuit_breaker
            .as_ref()
            .or(away.and_then(|away| away.circuit_breaker.as_ref()));
        let rate_limit = self
            .rate_limit
            .as_ref()
            .or(away.and_then(|away| away.rate_limit.as_ref()));
        let bulkhead = self.bulkhead.as_ref().or(away.and_then(|away| away.bulkhead.as_ref()));
        let adaptive = self.adaptive.as_ref().or(away.and_then(|away| away.adaptive.as_ref()));
        let retry = self.retry.as_ref().or(away.and_then(|away| away.retry.as_ref()));
        let hedge = self.hedge.as_ref().or(away.and_then(|away| away.hedge.as_ref()));
        circuit_breaker.is_some_and(CircuitBreaker::is_shared)
            || rate_limit.is_some_and(TokenBucketRateLimiter::is_shared)
            || bulkhead.is_some_and(Bulkhead::is_shared)
            || adaptive.is_some_and(AdaptiveLimit::is_shared)
            || retry.is_some_and(RetryExecutor::is_shared)
            || hedge.is_some_and(Hedge::is_shared)
    }

    /// All parts: those in use, and those kept from earlier settings.
    fn known(&self) -> Away {
        let away = self.away.as_deref().cloned().unwrap_or_default();
        Away {
            rate_limit: self.rate_limit.clone().or(away.rate_limit),
            bulkhead: self.bulkhead.clone().or(away.bulkhead),
            adaptive: self.adaptive.clone().or(away.adaptive),
            retry: self.retry.clone().or(away.retry),
            hedge: self.hedge.clone().or(away.hedge),
            circuit_breaker: self.circuit_breaker.clone().or(away.circuit_breaker),
        }
    }

    /// Keeps those of the known parts that these settings lack.
    fn keeping(mut self, known: Away) -> Self {
        let away = Away {
            rate_limit: known.rate_limit.filter(|_| self.rate_limit.is_none()),
            bulkhead: known.bulkhead.filter(|_| self.bulkhead.is_none()),
            adaptive: known.adaptive.filter(|_| self.adaptive.is_none()),
            retry: known.retry.filter(|_| self.retry.is_none()),
            hedge: known.hedge.filter(|_| self.hedge.is_none()),
            circuit_breaker: known.circuit_breaker.filter(|_| self.circuit_breaker.is_none()),
        };
        self.away = (!away.is_empty()).then(|| Box::new(away));
        self
    }
}

impl Away {
    fn is_empty(&self) -> bool {
        self.rate_limit.is_none()
            && self.bulkhead.is_none()
            && self.adaptive.is_none()
            && self.retry.is_none()
            && self.hedge.is_none()
            && self.circuit_breaker.is_none()
    }
}

/// How many words of a stripe (see `sync/stripes.rs`) the parts of these settings use: they count on one set of
/// stripes, so that a call touches few cache lines and a policy is small.
fn words(config: &PolicyConfig) -> usize {
    let part = |words: usize, is_set: bool| if is_set { words } else { 0 };
    let breaker = config
        .breaker()
        .map_or(0, |settings| CircuitBreakerBuilder::words(&settings));
    breaker
        + part(TokenBucketRateLimiter::WORDS, config.rate_limit.is_some())
        + part(RetryExecutor::WORDS, config.retry.is_some())
        + part(Bulkhead::WORDS, config.bulkhead.is_some())
        + part(Hedge::WORDS, config.hedge.is_some())
}
