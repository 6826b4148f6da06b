//! The parts of a policy at one time, and how a change of settings makes new parts that keep the state of the old ones.

use super::PolicyConfig;
use super::call::{ExtraLimit, Length};
use super::telemetry::{AtOnce, PolicySnapshot, Telemetry};
use crate::error::ConfigError;
use crate::gate::Outcome;
use crate::patterns::adaptive::AdaptiveLimit;
use crate::patterns::bulkhead::Bulkhead;
use crate::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerBuilder};
use crate::patterns::hedge::{Hedge, HedgeConfig};
use crate::patterns::rate_limiter::TokenBucketRateLimiter;
use crate::patterns::retry::{RetryExecutor, RetryListener};
use crate::snapshot::Reading;
use crate::sync::{Count as _, Random, Stripes, Tally, Version};
use crate::time::{Clock, Deadline, Env, Tick};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

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
    /// The rate limit that `Policy::limit_by` has added. It is in no settings.
    pub(super) extra_limit: Option<Arc<dyn ExtraLimit>>,
    retry_listener: Option<Arc<RetryListener>>,
    /// The name of the policy, if it was given one.
    pub(super) name: Option<Arc<str>>,
    /// The calls that ended at their first poll; none before durations are measured.
    at_once: Option<Tally<AtOnce>>,
    /// Made when the first call leaves the fast path or settings change, and shared with all parts that replace these.
    telemetry: OnceLock<Arc<Telemetry>>,
    in_use: PartSet,
    /// Parts that earlier settings had and these lack. They come back when the settings have them again, because callers
    /// may hold handles to them.
    away: Option<Box<PartSet>>,
}

/// At most one part of each kind.
#[derive(Clone, Default)]
pub(super) struct PartSet {
    pub(super) rate_limit: Option<TokenBucketRateLimiter>,
    pub(super) bulkhead: Option<Bulkhead>,
    pub(super) adaptive: Option<AdaptiveLimit>,
    pub(super) retry: Option<RetryExecutor>,
    pub(super) hedge: Option<Hedge>,
    pub(super) circuit_breaker: Option<CircuitBreaker>,
}

/// The parts in use, because that is what a call asks for.
impl Deref for Parts {
    type Target = PartSet;

    #[inline]
    fn deref(&self) -> &PartSet {
        &self.in_use
    }
}

/// The parts that a call began with.
pub(super) type LoadedParts<'p> = Version<'p, Parts>;

/// What new parts are made with, besides their settings and the clock.
pub(super) struct Making {
    pub(super) random: Random,
}

impl Parts {
    /// New parts for these settings.
    pub(super) fn new(
        config: PolicyConfig,
        clock: Clock,
        name: Option<&str>,
        making: &Making,
    ) -> Result<Self, ConfigError> {
        let none = Self {
            config: PolicyConfig::NONE,
            total_limit: Length::NONE,
            attempt_limit: Length::NONE,
            is_timed: false,
            rate_limit_waits: false,
            concurrency_waits: false,
            far_deadline: Deadline::at(&clock, Tick::MAX),
            clock,
            extra_limit: None,
            retry_listener: None,
            name: name.map(Arc::from),
            at_once: None,
            telemetry: OnceLock::new(),
            in_use: PartSet::default(),
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
        let mut parts = self.clone();
        parts.in_use.retry = heard_by(parts.in_use.retry.take(), Some(&listener));
        parts.retry_listener = Some(listener);
        parts
    }

    /// Parts for other settings, which keep the state of these. All settings are checked before any part changes.
    pub(super) fn with_settings(&self, config: PolicyConfig, making: &Making) -> Result<Self, ConfigError> {
        config.validate()?;
        let (clock, random) = (&self.clock, &making.random);
        let known = self.known();
        let stripes = Stripes::new(words(&config));
        let before = &self.config;
        let env = || Env::new(clock.clone()).seed(random.next_u64());
        let rate_limit = part(
            (config.rate_limit, before.rate_limit),
            &known.rate_limit,
            TokenBucketRateLimiter::reconfigure,
            |settings| TokenBucketRateLimiter::on(&stripes, settings, clock.clone()),
        )?;
        let retry = part(
            (config.retry, before.retry),
            &known.retry,
            RetryExecutor::reconfigure,
            |settings| RetryExecutor::on(&stripes, settings, env()),
        )?;
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
        let bulkhead = part(
            (config.bulkhead, before.bulkhead),
            &known.bulkhead,
            Bulkhead::reconfigure,
            |settings| Bulkhead::on(&stripes, settings, clock.clone()),
        )?;
        let adaptive = part(
            (config.adaptive, before.adaptive),
            &known.adaptive,
            AdaptiveLimit::reconfigure,
            |settings| AdaptiveLimit::with_config(settings, env()),
        )?;
        let circuit_breaker = part(
            (config.breaker(), before.breaker()),
            &known.circuit_breaker,
            CircuitBreaker::reconfigure,
            |settings| {
                let mut env = env();
                env.name = self.name.as_deref().map(str::to_owned);
                CircuitBreaker::builder(settings).env(env).stripes(&stripes).build()
            },
        )?;
        let at_once = match &self.at_once {
            None if config.durations => Some(Tally::on(&stripes)),
            known => known.clone(),
        };
        if let (Some(breaker), None) = (&self.circuit_breaker, &circuit_breaker) {
            // No call asks it any more, so no call would ever close it.
            breaker.reset();
        }
        let in_use = PartSet {
            retry: heard_by(retry, self.retry_listener.as_ref()),
            rate_limit,
            bulkhead,
            adaptive,
            hedge,
            circuit_breaker,
        };
        let away = known.without(&in_use);
        Ok(Self {
            config,
            total_limit: Length::of(config.total_timeout),
            attempt_limit: Length::of(config.attempt_timeout),
            is_timed: config.total_timeout.is_some() || config.attempt_timeout.is_some() || config.rate_limit.is_some(),
            far_deadline: self.far_deadline,
            concurrency_waits: match (config.bulkhead, config.adaptive) {
                (Some(bulkhead), _) => !bulkhead.max_wait.is_zero(),
                (None, Some(adaptive)) => !adaptive.max_wait.is_zero(),
                (None, None) => false,
            },
            rate_limit_waits: config.rate_limit.is_some_and(|limit| !limit.max_wait.is_zero()),
            clock: clock.clone(),
            extra_limit: self.extra_limit.clone(),
            retry_listener: self.retry_listener.clone(),
            name: self.name.clone(),
            at_once,
            telemetry: self.telemetry.clone(),
            away: (!away.is_empty()).then(|| Box::new(away)),
            in_use,
        })
    }

    /// All parts: those in use, and those kept from earlier settings.
    fn known(&self) -> PartSet {
        let away = self.away.as_deref().cloned().unwrap_or_default();
        let in_use = self.in_use.clone();
        PartSet {
            rate_limit: in_use.rate_limit.or(away.rate_limit),
            bulkhead: in_use.bulkhead.or(away.bulkhead),
            adaptive: in_use.adaptive.or(away.adaptive),
            retry: in_use.retry.or(away.retry),
            hedge: in_use.hedge.or(away.hedge),
            circuit_breaker: in_use.circuit_breaker.or(away.circuit_breaker),
        }
    }

    /// What is counted off the fast path.
    pub(super) fn telemetry(&self) -> &Arc<Telemetry> {
        self.telemetry.get_or_init(Arc::default)
    }

    /// Whether calls and attempts are measured.
    #[inline(always)]
    pub(super) fn measures(&self) -> bool {
        self.config.durations
    }

    /// Counts a call that ended at its first poll, with a value.
    #[inline(always)]
    pub(super) fn count_at_once(&self, outcome: impl FnOnce() -> Outcome) {
        if let Some(at_once) = self.at_once.as_ref().filter(|_| self.measures()) {
            match outcome() {
                Outcome::Failure { .. } => self.telemetry().failed_at_once(),
                _ => at_once.add_one(AtOnce::Success),
            }
        }
    }

    /// What the parts report, and the policy itself.
    pub(super) fn readings(&self) -> Vec<Reading> {
        let telemetry = self.telemetry.get().map(|telemetry| &**telemetry);
        let mut readings = PolicySnapshot::of(telemetry, self.at_once.as_ref()).readings();
        readings.extend(self.in_use.readings());
        readings
    }

    /// Whether somebody else has a handle to one of the parts. The parts `before` these have one to each of theirs.
    pub(super) fn are_shared(&self, before: Option<&Self>) -> bool {
        let none = PartSet::default();
        let before = before.map_or(&none, |before| &before.in_use);
        self.known()
            .handles()
            .zip(before.handles())
            .any(|(all, before)| all > 2 + before.min(1))
    }
}

impl PartSet {
    /// What the parts report, each under its own metrics.
    fn readings(&self) -> Vec<Reading> {
        let rate_limit = self.rate_limit.as_ref().map(|part| part.snapshot().readings());
        let bulkhead = self.bulkhead.as_ref().map(|part| part.snapshot().readings());
        let retry = self.retry.as_ref().map(|part| part.snapshot().readings());
        let circuit_breaker = self.circuit_breaker.as_ref().map(|part| part.snapshot().readings());
        let adaptive = self.adaptive.as_ref().map(|part| part.snapshot().readings());
        let hedge = self.hedge.as_ref().map(|part| part.snapshot().readings());
        let parts = [rate_limit, bulkhead, adaptive, retry, hedge, circuit_breaker];
        parts.into_iter().flatten().flatten().collect()
    }

    /// The parts of the kinds that `others` lacks.
    fn without(self, others: &Self) -> Self {
        Self {
            rate_limit: self.rate_limit.filter(|_| others.rate_limit.is_none()),
            bulkhead: self.bulkhead.filter(|_| others.bulkhead.is_none()),
            adaptive: self.adaptive.filter(|_| others.adaptive.is_none()),
            retry: self.retry.filter(|_| others.retry.is_none()),
            hedge: self.hedge.filter(|_| others.hedge.is_none()),
            circuit_breaker: self.circuit_breaker.filter(|_| others.circuit_breaker.is_none()),
        }
    }

    fn is_empty(&self) -> bool {
        self.rate_limit.is_none()
            && self.bulkhead.is_none()
            && self.adaptive.is_none()
            && self.retry.is_none()
            && self.hedge.is_none()
            && self.circuit_breaker.is_none()
    }

    /// How many handles there are to each part.
    fn handles(&self) -> impl Iterator<Item = usize> {
        [
            self.circuit_breaker.as_ref().map(CircuitBreaker::handles),
            self.rate_limit.as_ref().map(TokenBucketRateLimiter::handles),
            self.bulkhead.as_ref().map(Bulkhead::handles),
            self.adaptive.as_ref().map(AdaptiveLimit::handles),
            self.retry.as_ref().map(RetryExecutor::handles),
            self.hedge.as_ref().map(Hedge::handles),
        ]
        .into_iter()
        .map(Option::unwrap_or_default)
    }
}

/// The part for `settings`, where the policy went by those `before`: the known one, reconfigured if they differ, or a new one.
fn part<S: Copy + PartialEq, P: Clone>(
    (settings, before): (Option<S>, Option<S>),
    known: &Option<P>,
    reconfigure: impl FnOnce(&P, S) -> Result<(), ConfigError>,
    make: impl FnOnce(S) -> Result<P, ConfigError>,
) -> Result<Option<P>, ConfigError> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let Some(known) = known else {
        return make(settings).map(Some);
    };
    if before != Some(settings) {
        reconfigure(known, settings)?;
    }
    Ok(Some(known.clone()))
}

fn heard_by(retry: Option<RetryExecutor>, listener: Option<&Arc<RetryListener>>) -> Option<RetryExecutor> {
    match listener {
        Some(listener) => retry.map(|retry| retry.heard_by(listener.clone())),
        None => retry,
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
        + part(AtOnce::ALL.len(), config.durations)
}
