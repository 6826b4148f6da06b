//! One call on its way through a policy: the layers in their order, each given only the time that is left.

use super::PolicyError;
use super::parts::Parts;
use crate::error::Layer;
use crate::gate::{Gate, Outcome, Run};
use crate::patterns::bulkhead;
use crate::patterns::retry::{Decision, GiveUp, RetryState};
use crate::time::{Deadline, Elapsed, Tick};
use std::future::Future;
use std::time::Duration;

/// One call on its way through a policy.
pub(super) struct Call<'a, E> {
    policy: &'a Parts,
    started: Tick,
    end: Option<End>,
    retry: RetryState,
    attempts: u32,
    /// Whether it waited for the rate limit or the bulkhead, so that its start is not now.
    waited: bool,
    last_error: Option<E>,
}

/// When a call must end, and how long it has from its start.
#[derive(Clone, Copy)]
struct End {
    at: Tick,
    limit: Duration,
}

/// How an attempt ended, if not well.
enum Stop<E> {
    /// The circuit is open: no attempt was made.
    Open { retry_after: Option<Duration> },
    /// A time limit came first.
    TimedOut(AttemptLimit),
    /// It failed.
    Failed(E),
}

/// The time limit of one attempt.
#[derive(Clone, Copy)]
struct AttemptLimit {
    at: Tick,
    limit: Duration,
    /// Whether the end of the call set it, or the attempt's own limit.
    by_call: bool,
    /// Whether it gives the dependency enough time to be blamed.
    fair: bool,
}

impl AttemptLimit {
    const NONE: Self = Self {
        at: Tick::MAX,
        limit: Duration::MAX,
        by_call: false,
        fair: true,
    };
}

impl<'a, E> Call<'a, E> {
    /// Begins a call: looks at the clock once, for all layers.
    pub(super) fn begin(policy: &'a Parts) -> Result<Self, PolicyError<E>> {
        let started = policy.clock.now();
        let own = policy.config.total_timeout.map(|limit| started + limit);
        let inherited = Deadline::current(&policy.clock).map(Deadline::tick);
        let at = match (own, inherited) {
            (Some(own), Some(inherited)) => Some(own.min(inherited)),
            (own, inherited) => own.or(inherited),
        };
        let end = at.map(|at| End {
            at,
            limit: at - started,
        });
        let retry = RetryState::new();
        let mut call = Self {
            policy,
            started,
            end,
            retry,
            attempts: 0,
            waited: false,
            last_error: None,
        };
        match end {
            Some(end) if end.at <= started => Err(call.over(end)),
            _ => Ok(call),
        }
    }

    /// Takes the call through all layers.
    pub(super) async fn run<F, Fut, T, C, R>(
        &mut self,
        operation: &mut F,
        classify: &C,
        retryable: &R,
    ) -> Result<T, PolicyError<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        C: Fn(&E) -> Outcome,
        R: Fn(&E) -> bool,
    {
        self.pass_rate_limit().await?;
        let _place = self.enter_bulkhead().await?;
        if let Some(retry) = &self.policy.retry {
            self.retry = retry.begin();
            if let Some(end) = self.end {
                self.retry.stop_at(end.at);
            }
        }
        loop {
            let stop = match self.attempt(operation, classify).await {
                Ok(value) => {
                    self.finish(None);
                    return Ok(value);
                }
                Err(stop) => stop,
            };
            match self.decide(&stop, retryable) {
                Ok(pause) => {
                    if let Stop::Failed(error) = stop {
                        self.last_error = Some(error);
                    }
                    if !pause.is_zero() {
                        self.policy.clock.sleep(pause).await;
                    }
                }
                Err(gave_up) => return Err(self.ended(stop, gave_up)),
            }
        }
    }

    async fn pass_rate_limit(&mut self) -> Result<(), PolicyError<E>> {
        let config = &self.policy.config;
        let Some(limiter) = &self.policy.rate_limit else {
            return Ok(());
        };
        let mut result = limiter.try_acquire_at(self.started, 1);
        if result.is_err() && config.rate_limit.is_some_and(|limit| !limit.max_wait.is_zero()) {
            self.waited = true;
            result = match self.until_end(Box::pin(limiter.acquire(1))).await {
                Ok(result) => result,
                Err(end) => return Err(self.over(end)),
            };
        }
        result.map_err(|refused| self.rejected(Layer::RateLimit, refused.retry_after()))
    }

    async fn enter_bulkhead(&mut self) -> Result<Option<bulkhead::Permit<'a>>, PolicyError<E>> {
        let config = &self.policy.config;
        let Some(bulkhead) = &self.policy.bulkhead else {
            return Ok(None);
        };
        let mut result = bulkhead.try_admit();
        if result.is_err() && config.bulkhead.is_some_and(|bulkhead| !bulkhead.max_wait.is_zero()) {
            self.waited = true;
            result = match self.until_end(Box::pin(bulkhead.admit())).await {
                Ok(result) => result,
                Err(end) => return Err(self.over(end)),
            };
        }
        result.map(Some).map_err(|_| self.rejected(Layer::Bulkhead, None))
    }

    /// Runs `future` until the call must end. What waits comes in a box: few calls wait, and all would be larger by it.
    async fn until_end<F: Future>(&self, future: F) -> Result<F::Output, End> {
        match self.end {
            Some(end) => self
                .policy
                .clock
                .timeout_at(end.at, future)
                .await
                .map_err(|Elapsed { .. }| end),
            None => Ok(future.await),
        }
    }

    /// Makes one attempt, if the circuit lets it.
    async fn attempt<F, Fut, T, C>(&mut self, operation: &mut F, classify: &C) -> Result<T, Stop<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        C: Fn(&E) -> Outcome,
    {
        let limit = self.attempt_limit();
        let clock = &self.policy.clock;
        let result = match &self.policy.circuit_breaker {
            None => {
                self.attempts += 1;
                clock.timeout_at(limit.at, operation()).await
            }
            Some(breaker) => {
                let permit = breaker.try_acquire().map_err(|refused| Stop::Open {
                    retry_after: refused.retry_after,
                })?;
                self.attempts += 1;
                let outcome = |result: &Result<Result<T, E>, Elapsed>| match result {
                    Ok(Ok(_)) => Outcome::Success,
                    Ok(Err(error)) => classify(error),
                    Err(Elapsed { .. }) if limit.fair => Outcome::FAILURE,
                    Err(Elapsed { .. }) => Outcome::Abandoned,
                };
                Run::new(permit, clock.timeout_at(limit.at, operation()), outcome).await
            }
        };
        match result {
            Ok(result) => result.map_err(Stop::Failed),
            Err(Elapsed { .. }) => Err(Stop::TimedOut(limit)),
        }
    }

    /// The time limit of the attempt that begins now: its own, or the end of the call where that is sooner.
    fn attempt_limit(&self) -> AttemptLimit {
        let own = self.policy.config.attempt_timeout;
        if own.is_none() && self.end.is_none() {
            return AttemptLimit::NONE;
        }
        // The first attempt of a call that did not have to wait begins with the call.
        let now = if self.attempts == 0 && !self.waited {
            self.started
        } else {
            self.policy.clock.now()
        };
        let own = own.map_or(AttemptLimit::NONE, |limit| AttemptLimit {
            at: now + limit,
            limit,
            ..AttemptLimit::NONE
        });
        match self.end {
            Some(end) if end.at < own.at => AttemptLimit {
                at: end.at,
                limit: end.limit,
                by_call: true,
                // Half of the call's time is a fair chance; what failed attempts have left over need not be.
                fair: end.at - now >= end.limit / 2,
            },
            _ => own,
        }
    }

    /// What to do after an attempt that gave no value: the pause before the next, or why there is none.
    fn decide(&mut self, stop: &Stop<E>, retryable: &impl Fn(&E) -> bool) -> Result<Duration, Option<GiveUp>> {
        let Some(retry) = &self.policy.retry else {
            return Err(None);
        };
        match stop {
            Stop::Open { .. } => return Err(Some(GiveUp::NotRetryable)),
            Stop::TimedOut(AttemptLimit { by_call: true, .. }) => return Err(Some(GiveUp::Deadline)),
            Stop::Failed(error) if !retryable(error) => return Err(Some(GiveUp::NotRetryable)),
            Stop::TimedOut(_) | Stop::Failed(_) => {}
        }
        match retry.after_failure(&mut self.retry, None) {
            Decision::Wait(pause) => Ok(pause),
            Decision::GiveUp(reason) => Err(Some(reason)),
        }
    }

    /// Tells retry how the call ended: `None` if well.
    fn finish(&self, gave_up: Option<GiveUp>) {
        if let Some(retry) = &self.policy.retry {
            retry.finish(&self.retry, gave_up);
        }
    }

    fn ended(&mut self, stop: Stop<E>, gave_up: Option<GiveUp>) -> PolicyError<E> {
        self.finish(gave_up);
        let attempts = self.attempts;
        match stop {
            Stop::Open { retry_after } => self.rejected(Layer::CircuitBreaker, retry_after),
            Stop::Failed(error) => PolicyError::Failed {
                error,
                attempts,
                gave_up,
            },
            Stop::TimedOut(AttemptLimit { limit, by_call, .. }) => PolicyError::TimedOut {
                layer: if by_call {
                    Layer::TotalTimeout
                } else {
                    Layer::AttemptTimeout
                },
                limit,
                attempts,
                last_error: self.last_error.take(),
            },
        }
    }

    fn rejected(&mut self, layer: Layer, retry_after: Option<Duration>) -> PolicyError<E> {
        PolicyError::Rejected {
            layer,
            retry_after,
            attempts: self.attempts,
            last_error: self.last_error.take(),
        }
    }

    /// The call's time was over before, or while it waited.
    fn over(&mut self, end: End) -> PolicyError<E> {
        PolicyError::TimedOut {
            layer: Layer::TotalTimeout,
            limit: end.limit,
            attempts: self.attempts,
            last_error: self.last_error.take(),
        }
    }
}
