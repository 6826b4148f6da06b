//! The parts of a policy as they are at one time, and how they go over into those of other settings.

use super::PolicyConfig;
use super::limit::AnyLimit;
use super::started::{Entrance, Halt};
use crate::error::{ConfigError, Layer, Rejected};
use crate::gate::{Gate, Outcome, Permit as _, Suspend};
use crate::patterns::adaptive::{self, AdaptiveLimit};
use crate::patterns::bulkhead::{self, Bulkhead};
use crate::patterns::circuit_breaker::{self, CircuitBreaker};
use crate::patterns::hedge::Hedge;
use crate::patterns::rate_limiter::TokenBucketRateLimiter;
use crate::patterns::retry::{RetryExecutor, RetryListener};
use crate::snapshot::Reading;
use crate::sync::Random;
use crate::time::{Clock, Deadline, Tick};
use std::sync::Arc;
use std::time::Duration;

/// The parts of a policy, and the clock they share. A call goes by the ones that it began with.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) config: PolicyConfig,
    pub(super) total_limit: Length,
    pub(super) attempt_limit: Length,
    /// Whether a call needs to know the time, whoever makes it.
    pub(super) is_timed: bool,
    /// The far end of time, by this clock.
    pub(super) far_deadline: Deadline,
    /// Whether a call may wait for a place.
    place_waits: bool,
    /// Whether a call may wait for the rate limit.
    pub(super) rate_limit_waits: bool,
    pub(super) clock: Clock,
    pub(super) rate_limit: Option<TokenBucketRateLimiter>,
    /// Another rate limit, that settings know nothing of.
    pub(super) limit: Option<Arc<dyn AnyLimit>>,
    pub(super) bulkhead: Option<Bulkhead>,
    pub(super) adaptive: Option<AdaptiveLimit>,
    pub(super) retry: Option<RetryExecutor>,
    retry_listener: Option<Arc<RetryListener>>,
    pub(super) hedge: Option<Hedge>,
    pub(super) circuit_breaker: Option<CircuitBreaker>,
    /// Parts that the settings once had and do not have now. They are the ones that come back with the settings, because
    /// their handles may have been given out.
    away: Option<Box<Away>>,
}

/// Parts that no call goes through.
#[derive(Clone, Default)]
struct Away {
    rate_limit: Option<TokenBucketRateLimiter>,
    bulkhead: Option<Bulkhead>,
    adaptive: Option<AdaptiveLimit>,
    retry: Option<RetryExecutor>,
    hedge: Option<Hedge>,
    circuit_breaker: Option<CircuitBreaker>,
}

/// What new parts are made with.
pub(super) struct Making {
    /// What the breaker is reported by, if by its own name.
    pub(super) name: Option<String>,
    pub(super) random: Random,
}

impl Parts {
    /// What the parts that there are report, each under its own metrics.
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
            place_waits: false,
            far_deadline: Deadline::at(&clock, Tick::MAX),
            clock,
            rate_limit: None,
            limit: None,
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

    /// The same parts, with this limit beside the policy's own.
    pub(super) fn with_limit(&self, limit: Arc<dyn AnyLimit>) -> Self {
        Self {
            limit: Some(limit),
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

    /// Parts for other settings that go on with the state of these. All settings are checked before any part changes.
    pub(super) fn with_settings(&self, config: PolicyConfig, making: &Making) -> Result<Self, ConfigError> {
        config.validate()?;
        let (clock, random) = (&self.clock, &making.random);
        let known = self.known();
        let rate_limit = match (config.rate_limit, &known.rate_limit) {
            (None, _) => None,
            (Some(settings), Some(limiter)) => {
                if self.config.rate_limit != Some(settings) {
                    limiter.reconfigure(settings)?;
                }
                Some(limiter.clone())
            }
            (Some(settings), None) => Some(TokenBucketRateLimiter::with_config(settings, clock.clone())?),
        };
        let retry = match (config.retry, &known.retry) {
            (None, _) => None,
            (Some(settings), Some(retry)) if self.config.retry == Some(settings) => Some(retry.clone()),
            (Some(settings), Some(retry)) => Some(retry.succeeded(settings)?),
            (Some(settings), None) => {
                Some(RetryExecutor::with_config(settings, clock.clone())?.seed(random.next_u64()))
            }
        };
        let budget = retry.as_ref().and_then(RetryExecutor::shared_budget);
        let hedge = match (config.hedge, &known.hedge) {
            (None, _) => None,
            (Some(settings), Some(hedge)) => Some(hedge.succeeded(settings)?),
            (Some(settings), None) => Some(Hedge::with_config(settings, clock.clone())?),
        };
        // Retry counts the calls already.
        let hedge = match budget {
            Some(budget) => hedge.map(|hedge| hedge.within_retry(budget.clone())),
            None => hedge,
        };
        let bulkhead = match (config.bulkhead, &known.bulkhead) {
            (None, _) => None,
            (Some(settings), Some(bulkhead)) => {
                if self.config.bulkhead != Some(settings) {
                    bulkhead.reconfigure(settings)?;
                }
                Some(bulkhead.clone())
            }
            (Some(settings), None) => Some(Bulkhead::with_config(settings, clock.clone())?),
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
                let random = Random::new(random.next_u64());
                Some(AdaptiveLimit::with_random(settings, clock.clone(), random)?)
            }
        };
        let circuit_breaker = match (config.breaker(), &known.circuit_breaker) {
            (None, breaker) => {
                // It refuses nobody any more, and nobody's call would ever close it.
                if let Some(breaker) = breaker.as_ref().filter(|_| self.circuit_breaker.is_some()) {
                    breaker.reset();
                }
                None
            }
            (Some(settings), Some(breaker)) => {
                if self.config.breaker() != Some(settings) {
                    breaker.change(settings)?;
                }
                Some(breaker.clone())
            }
            (Some(settings), None) => {
                let jitter = Random::new(random.next_u64());
                let breaker = CircuitBreaker::builder(settings).clock(clock.clone()).random(jitter);
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
            place_waits: match (config.bulkhead, config.adaptive) {
                (Some(bulkhead), _) => !bulkhead.max_wait.is_zero(),
                (None, Some(adaptive)) => !adaptive.max_wait.is_zero(),
                (None, None) => false,
            },
            rate_limit_waits: config.rate_limit.is_some_and(|limit| !limit.max_wait.is_zero()),
            clock: clock.clone(),
            rate_limit,
            limit: self.limit.clone(),
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

    /// Whether anybody else holds one of the parts.
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

    /// All parts that there are, of these settings or of earlier ones.
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

    /// Keeps those of the known parts that these settings do not have.
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

impl Parts {
    /// Whether so much time is a fair share of the policy's own limit: half of the attempt's limit, or, where there is none,
    /// of the total. Without a limit of its own nothing is.
    pub(super) fn is_fair_share(&self, had: Duration) -> bool {
        let own = if self.attempt_limit.is_none() {
            self.total_limit
        } else {
            self.attempt_limit
        };
        !own.is_none() && had.as_nanos() * 2 >= own.0.into()
    }

    /// Asks the circuit breaker, if there is one; `now` is the time, if it was read.
    #[inline(always)]
    pub(super) fn try_permit(&self, now: Option<Tick>) -> Result<Option<circuit_breaker::Permit<'_>>, Rejected> {
        match (&self.circuit_breaker, now) {
            (None, _) => Ok(None),
            (Some(breaker), Some(now)) => breaker.try_acquire_at(now).map(Some),
            (Some(breaker), None) => breaker.try_acquire().map(Some),
        }
    }

    /// A place at once, if there are places to be taken; an error if all are taken.
    #[inline(always)]
    pub(super) fn try_place(&self) -> Result<Option<Place<'_>>, ()> {
        match (&self.bulkhead, &self.adaptive) {
            (Some(bulkhead), _) => bulkhead
                .try_admit()
                .map(|place| Some(Place::Bulkhead(place)))
                .map_err(drop),
            (None, Some(limit)) => limit
                .try_admit()
                .map(|place| Some(Place::Adaptive(place)))
                .map_err(drop),
            (None, None) => Ok(None),
        }
    }

    /// A place at once, or what to do without.
    pub(super) fn enter(&self) -> Result<Option<Place<'_>>, Halt> {
        match (&self.bulkhead, &self.adaptive) {
            (Some(bulkhead), _) => self.enter_bulkhead(bulkhead).map(|place| Some(Place::Bulkhead(place))),
            (None, Some(limit)) => self.enter_adaptive(limit).map(|place| Some(Place::Adaptive(place))),
            (None, None) => Ok(None),
        }
    }

    /// As [`enter`](Self::enter), for the bulkhead.
    #[inline(always)]
    pub(super) fn enter_bulkhead<'a>(&self, bulkhead: &'a Bulkhead) -> Result<bulkhead::Permit<'a>, Halt> {
        bulkhead
            .try_admit_uncounted()
            .ok_or_else(|| self.without_place(|| _ = bulkhead.refuse()))
    }

    /// As [`enter`](Self::enter), for the adaptive limit.
    #[inline(always)]
    pub(super) fn enter_adaptive<'a>(&self, limit: &'a AdaptiveLimit) -> Result<adaptive::Permit<'a>, Halt> {
        limit
            .try_admit_uncounted()
            .ok_or_else(|| self.without_place(|| _ = limit.refuse()))
    }

    #[cold]
    fn without_place(&self, refuse: impl FnOnce()) -> Halt {
        if self.place_waits {
            return Halt::Wait(Entrance::Place);
        }
        refuse();
        Halt::Refused(Layer::Bulkhead, None)
    }

    /// A place, as soon as it is there.
    pub(super) async fn place(&self) -> Result<Option<Place<'_>>, ()> {
        match (&self.bulkhead, &self.adaptive) {
            (Some(bulkhead), _) => {
                let place = bulkhead.admit().await;
                place.map(|place| Some(Place::Bulkhead(place))).map_err(drop)
            }
            (None, Some(limit)) => {
                let place = limit.admit().await;
                place.map(|place| Some(Place::Adaptive(place))).map_err(drop)
            }
            (None, None) => Ok(None),
        }
    }
}

/// A place among the calls in flight, held until the call is over.
pub(super) enum Place<'a> {
    /// In the bulkhead.
    Bulkhead(bulkhead::Permit<'a>),
    /// Within the adaptive limit, which learns from how long it is held.
    Adaptive(adaptive::Permit<'a>),
}

/// A place that was put aside.
pub(super) enum PlaceTicket {
    Bulkhead(<Bulkhead as Suspend>::Ticket),
    Adaptive(<AdaptiveLimit as Suspend>::Ticket),
}

impl<'a> Place<'a> {
    /// Puts it aside.
    #[inline]
    pub(super) fn suspend(self) -> PlaceTicket {
        match self {
            Self::Bulkhead(permit) => PlaceTicket::Bulkhead(Bulkhead::suspend(permit)),
            Self::Adaptive(permit) => PlaceTicket::Adaptive(AdaptiveLimit::suspend(permit)),
        }
    }

    /// The place again, of the parts that it was taken in.
    #[inline]
    pub(super) fn resume(parts: &'a Parts, ticket: PlaceTicket) -> Option<Self> {
        match ticket {
            PlaceTicket::Bulkhead(ticket) => Some(Self::Bulkhead(parts.bulkhead.as_ref()?.resume(ticket))),
            PlaceTicket::Adaptive(ticket) => Some(Self::Adaptive(parts.adaptive.as_ref()?.resume(ticket))),
        }
    }

    /// Gives the place back, and says what came of the call.
    pub(super) fn leave(self, outcome: Outcome) {
        match self {
            Self::Bulkhead(permit) => permit.record(outcome),
            Self::Adaptive(permit) => permit.record(outcome),
        }
    }
}

/// How long something may take, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Length(u64);

impl Length {
    /// As long as it likes.
    const NONE: Self = Self(u64::MAX);

    fn of(limit: Option<Duration>) -> Self {
        limit.map_or(Self::NONE, |limit| Self((Tick::ZERO + limit).as_nanos()))
    }

    #[inline(always)]
    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// When it is over that begins `now`; without a limit that is at the far end of time.
    #[inline(always)]
    pub(super) fn after(self, now: Tick) -> Tick {
        Tick::from_nanos(now.as_nanos().saturating_add(self.0))
    }
}
