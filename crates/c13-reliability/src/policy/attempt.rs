//! One attempt: what admits it, how long it may take, and what came of it.

use super::call::{Call, End};
use super::config::RateLimitPer;
use super::parts::Parts;
use super::rules::Rules;
use crate::error::Layer;
use crate::gate::{Outcome, Run};
use crate::patterns::circuit_breaker;
use crate::patterns::retry::Verdict;
use crate::time::{Deadline, Elapsed, Tick};
use std::future::Future;
use std::time::Duration;

/// How an attempt ended, if not with a value to keep.
pub(super) enum Stop<T, E> {
    /// A layer ended it.
    Cut(Cut),
    /// It gave this, and what that says about another.
    Gave(Result<T, E>, Verdict),
}

/// How a layer ended an attempt.
#[derive(Clone, Copy)]
pub(super) enum Cut {
    /// It was not let through, and so was not made.
    Refused {
        layer: Layer,
        retry_after: Option<Duration>,
        /// Whether it was to be the first of those made beside each other: then none is under way.
        alone: bool,
    },
    /// A time limit came first.
    TimedOut(Limit),
}

/// The time limit of one attempt.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    pub(super) at: Tick,
    pub(super) limit: Duration,
    /// Whether the end of the call set it, or the attempt's own limit.
    pub(super) by_call: bool,
    /// Whether it gives the dependency enough time to be blamed.
    pub(super) fair: bool,
}

impl Limit {
    const NONE: Self = Self {
        at: Tick::MAX,
        limit: Duration::MAX,
        by_call: false,
        fair: true,
    };

    /// The attempt's own limit from now, or the end of the call where that is sooner.
    pub(super) fn from(now: Tick, own: Option<Duration>, end: Option<End>) -> Self {
        let own = own.map_or(Self::NONE, |limit| Self {
            at: now + limit,
            limit,
            ..Self::NONE
        });
        match end {
            Some(end) if end.at < own.at => Self {
                at: end.at,
                limit: end.limit,
                by_call: true,
                // Half of the call's time is a fair chance; what failed attempts have left over need not be.
                fair: end.at - now >= end.limit / 2,
            },
            _ => own,
        }
    }
}

/// The attempts that may be made beside each other.
pub(super) struct Attempts<'a> {
    parts: &'a Parts,
    end: Option<End>,
    /// The time of the first, if it was read already.
    now: Option<Tick>,
    first: bool,
}

impl<'a> Attempts<'a> {
    pub(super) fn of<E>(call: &Call<'a, E>) -> Self {
        let timed = call.end.is_some() || call.parts.config.attempt_timeout.is_some();
        Self {
            parts: call.parts,
            end: call.end,
            // The first attempt of a call that did not have to wait begins with the call.
            now: timed.then(|| call.now()),
            first: true,
        }
    }

    /// Asks for admission, and makes the future of the next attempt. The first has passed the rate limit already.
    pub(super) fn next<'r, F, Fut, T, E, R>(
        &mut self,
        made: &mut u32,
        operation: &mut F,
        rules: &'r R,
    ) -> impl Future<Output = Result<T, Stop<T, E>>> + use<'a, 'r, F, Fut, T, E, R>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        R: Rules<T, E>,
    {
        let admitted = self.admit().map(|(limit, permit)| {
            *made += 1;
            (limit, permit, operation())
        });
        run(self.parts, admitted, rules)
    }

    fn admit(&mut self) -> Result<(Limit, Option<circuit_breaker::Permit<'a>>), Cut> {
        let alone = std::mem::replace(&mut self.first, false);
        let refused = |layer, retry_after| Cut::Refused {
            layer,
            retry_after,
            alone,
        };
        let now = self.now.take().filter(|_| alone);
        if let Some(limiter) = &self.parts.rate_limit
            && !alone
            && self.parts.config.rate_limit_per == RateLimitPer::Attempt
        {
            let limited = limiter.try_acquire(1);
            limited.map_err(|error| refused(Layer::RateLimit, error.retry_after()))?;
        }
        let permit = match &self.parts.circuit_breaker {
            None => None,
            Some(breaker) => {
                let permit = breaker.try_acquire();
                Some(permit.map_err(|error| refused(Layer::CircuitBreaker, error.retry_after))?)
            }
        };
        Ok((self.limit(now), permit))
    }

    fn limit(&self, now: Option<Tick>) -> Limit {
        let own = self.parts.config.attempt_timeout;
        if own.is_none() && self.end.is_none() {
            return Limit::NONE;
        }
        Limit::from(now.unwrap_or_else(|| self.parts.clock.now()), own, self.end)
    }
}

/// What an attempt is made with: its limit, its permit and its future.
type Admitted<'a, F> = (Limit, Option<circuit_breaker::Permit<'a>>, F);

/// Makes an attempt that was let through.
async fn run<Fut, T, E, R>(parts: &Parts, admitted: Result<Admitted<'_, Fut>, Cut>, rules: &R) -> Result<T, Stop<T, E>>
where
    Fut: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
{
    let (limit, permit, future) = admitted.map_err(Stop::Cut)?;
    let deadline = (limit.at < Tick::MAX).then(|| Deadline::at(&parts.clock, limit.at));
    let limited = parts.clock.timeout_at(limit.at, Deadline::scope_of(deadline, future));
    let result = match permit {
        None => limited.await,
        Some(permit) => {
            let outcome = |result: &Result<Result<T, E>, Elapsed>| match result {
                Ok(result) => rules.outcome(result),
                Err(Elapsed { .. }) if limit.fair => Outcome::FAILURE,
                Err(Elapsed { .. }) => Outcome::Abandoned,
            };
            Run::new(permit, limited, outcome).await
        }
    };
    let Ok(result) = result else {
        return Err(Stop::Cut(Cut::TimedOut(limit)));
    };
    match (rules.verdict(&result), result) {
        (Verdict::Final, Ok(value)) => Ok(value),
        (verdict, result) => Err(Stop::Gave(result, verdict)),
    }
}
