//! One call on its way through a policy: the layers in their order, each given only the time that is left.

use super::PolicyError;
use super::attempt::{Attempts, Cut, Limit, Stop};
use super::config::RateLimitPer;
use super::parts::{Parts, Place};
use super::rules::Rules;
use crate::error::Layer;
use crate::gate::{Outcome, Permit as _};
use crate::patterns::retry::{Decision, GiveUp, RetryExecutor, RetryState, Verdict};
use crate::time::{Deadline, Elapsed, Tick};
use std::future::Future;
use std::time::Duration;

/// One call on its way through a policy.
pub(super) struct Call<'a, E> {
    pub(super) parts: &'a Parts,
    pub(super) started: Tick,
    pub(super) end: Option<End>,
    retry: RetryState,
    pub(super) attempts: u32,
    /// Whether it waited for anything, so that its start is not now.
    pub(super) waited: bool,
    /// Whether it can be made once only: no retry, no hedge.
    pub(super) once: bool,
    last_error: Option<E>,
}

/// A call that retry was told of and that is not over: dropped so, or by a panic, it is counted as abandoned.
struct Open<'a>(Option<&'a RetryExecutor>);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(retry) = self.0 {
            retry.abandon();
        }
    }
}

/// When a call must end, and how long it has from its start.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) at: Tick,
    pub(super) limit: Duration,
}

impl End {
    /// The end of a call that starts now: its own limit, or the deadline it is given or inherits, whichever is first.
    pub(super) fn of(parts: &Parts, deadline: Option<Deadline>, started: Tick) -> Option<Self> {
        let clock = &parts.clock;
        let own = parts.config.total_timeout.map(|limit| started + limit);
        let inherited = Deadline::current(clock).map(Deadline::tick);
        let given = deadline.and_then(|deadline| deadline.on(clock)).map(Deadline::tick);
        let at = [own, inherited, given].into_iter().flatten().min()?;
        Some(Self {
            at,
            limit: at - started,
        })
    }
}

impl<'a, E> Call<'a, E> {
    /// Begins a call: looks at the clock once, for all layers.
    pub(super) fn begin(parts: &'a Parts, deadline: Option<Deadline>) -> Result<Self, PolicyError<E>> {
        let started = parts.clock.now();
        let end = End::of(parts, deadline, started);
        let mut call = Self {
            parts,
            started,
            end,
            retry: RetryState::new(),
            attempts: 0,
            waited: false,
            once: false,
            last_error: None,
        };
        match end {
            Some(end) if end.at <= started => Err(call.over(end)),
            _ => Ok(call),
        }
    }

    /// Takes the call through all layers.
    pub(super) async fn run<F, Fut, T, R>(&mut self, operation: &mut F, rules: &R) -> Result<T, PolicyError<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        R: Rules<T, E>,
    {
        if self.parts.config.rate_limit_per == RateLimitPer::Call {
            self.pass_rate_limit().await?;
        }
        if self.parts.limit.is_some() {
            self.pass_limit().await?;
        }
        let place = self.enter().await?;
        let result = self.run_attempts(operation, rules).await;
        match place {
            None => result,
            Some(place) => {
                let (said, result) = judged(rules, result);
                place.leave(said);
                result
            }
        }
    }

    /// Takes a call that is no future through the gates.
    pub(super) fn run_sync<F, T, R>(&mut self, operation: F, rules: &R) -> Result<T, PolicyError<E>>
    where
        F: FnOnce() -> Result<T, E>,
        R: Rules<T, E>,
    {
        if let Some(limiter) = &self.parts.rate_limit {
            let limited = limiter.try_acquire_at(self.started, 1);
            limited.map_err(|refused| self.rejected(Layer::RateLimit, refused.retry_after()))?;
        }
        if let Some(limit) = &self.parts.limit {
            let limited = limit.try_pass();
            limited.map_err(|refused| self.rejected(Layer::RateLimit, refused.retry_after))?;
        }
        let place = self
            .parts
            .try_place()
            .map_err(|()| self.rejected(Layer::Bulkhead, None))?;
        let permit = match &self.parts.circuit_breaker {
            None => None,
            Some(breaker) => {
                let permit = breaker.try_acquire();
                Some(permit.map_err(|refused| self.rejected(Layer::CircuitBreaker, refused.retry_after))?)
            }
        };
        self.attempts = 1;
        let result = operation();
        let said = rules.outcome(&result);
        if let Some(permit) = permit {
            permit.record(said);
        }
        if let Some(place) = place {
            place.leave(said);
        }
        result.map_err(|error| PolicyError::Failed {
            error,
            attempts: 1,
            gave_up: None,
        })
    }

    async fn run_attempts<F, Fut, T, R>(&mut self, operation: &mut F, rules: &R) -> Result<T, PolicyError<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        R: Rules<T, E>,
    {
        let mut open = Open(self.retrying());
        if let Some(retry) = open.0 {
            self.retry = retry.begin();
            if let Some(end) = self.end {
                self.retry.stop_at(end.at);
            }
        }
        loop {
            if self.parts.config.rate_limit_per == RateLimitPer::Attempt {
                self.pass_rate_limit().await?;
            }
            let stop = match self.attempt(operation, rules).await {
                Ok(value) => {
                    open.0 = None;
                    self.finish(None);
                    return Ok(value);
                }
                Err(stop) => stop,
            };
            match self.decide(&stop) {
                Ok(pause) => {
                    if let Stop::Gave(Err(error), _) = stop {
                        self.last_error = Some(error);
                    }
                    if !pause.is_zero() {
                        self.waited = true;
                        self.parts.clock.sleep(pause).await;
                    }
                }
                Err(gave_up) => {
                    open.0 = None;
                    return self.ended(stop, gave_up);
                }
            }
        }
    }

    /// Makes one attempt, or several beside each other where the policy hedges.
    async fn attempt<F, Fut, T, R>(&mut self, operation: &mut F, rules: &R) -> Result<T, Stop<T, E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        R: Rules<T, E>,
    {
        let parts = self.parts;
        let mut attempts = Attempts::of(self);
        match parts.hedge.as_ref().filter(|_| !self.once) {
            None => attempts.next(&mut self.attempts, operation, rules).await,
            Some(hedge) => {
                let made = &mut self.attempts;
                let race = hedge.execute_with(
                    || attempts.next(made, operation, rules),
                    |result| match result {
                        Ok(_) => true,
                        Err(Stop::Gave(_, verdict)) => *verdict == Verdict::Final,
                        Err(Stop::Cut(Cut::Refused { alone, .. })) => *alone,
                        Err(Stop::Cut(Cut::TimedOut(limit))) => limit.by_call,
                    },
                );
                Box::pin(race).await
            }
        }
    }

    fn retrying(&self) -> Option<&'a RetryExecutor> {
        self.parts.retry.as_ref().filter(|_| !self.once)
    }

    /// The limit beside the policy's own, which may have to ask somebody else, or to wait.
    async fn pass_limit(&mut self) -> Result<(), PolicyError<E>> {
        let Some(limit) = &self.parts.limit else {
            return Ok(());
        };
        if limit.try_pass().is_ok() {
            return Ok(());
        }
        self.waited = true;
        match until(self.parts, self.end, limit.pass()).await {
            Ok(passed) => passed.map_err(|refused| self.rejected(Layer::RateLimit, refused.retry_after)),
            Err(end) => Err(self.over(end)),
        }
    }

    async fn pass_rate_limit(&mut self) -> Result<(), PolicyError<E>> {
        let Some(limiter) = &self.parts.rate_limit else {
            return Ok(());
        };
        let waits = self
            .parts
            .config
            .rate_limit
            .is_some_and(|limit| !limit.max_wait.is_zero());
        let result = if waits && limiter.peek(1).is_err() {
            self.waited = true;
            match until(self.parts, self.end, Box::pin(limiter.acquire(1))).await {
                Ok(result) => result,
                Err(end) => return Err(self.over(end)),
            }
        } else {
            limiter.try_acquire_at(self.now(), 1)
        };
        result.map_err(|refused| self.rejected(Layer::RateLimit, refused.retry_after()))
    }

    /// The start of the call, as long as nothing has waited; the time, where something has.
    pub(super) fn now(&self) -> Tick {
        if self.attempts == 0 && !self.waited {
            self.started
        } else {
            self.parts.clock.now()
        }
    }

    /// Takes a place in the bulkhead, or within the adaptive limit.
    async fn enter(&mut self) -> Result<Option<Place<'a>>, PolicyError<E>> {
        if !self.parts.must_wait() {
            return self
                .parts
                .try_place()
                .map_err(|()| self.rejected(Layer::Bulkhead, None));
        }
        self.waited = true;
        match until(self.parts, self.end, Box::pin(self.parts.place())).await {
            Ok(place) => place.map_err(|()| self.rejected(Layer::Bulkhead, None)),
            Err(end) => Err(self.over(end)),
        }
    }

    /// What to do after an attempt that gave no value: the pause before the next, or why there is none.
    fn decide<T>(&mut self, stop: &Stop<T, E>) -> Result<Duration, Option<GiveUp>> {
        let Some(retry) = self.retrying() else {
            return Err(None);
        };
        let hint = match stop {
            Stop::Cut(Cut::Refused { .. }) => return Err(Some(GiveUp::NotRetryable)),
            Stop::Cut(Cut::TimedOut(Limit { by_call: true, .. })) => return Err(Some(GiveUp::Deadline)),
            Stop::Gave(_, Verdict::Final) => return Err(Some(GiveUp::NotRetryable)),
            Stop::Gave(_, verdict) => verdict.hint(),
            Stop::Cut(Cut::TimedOut(_)) => None,
        };
        match retry.after_failure(&mut self.retry, hint) {
            Decision::Wait(pause) => Ok(pause),
            Decision::GiveUp(reason) => Err(Some(reason)),
        }
    }

    /// Tells retry how the call ended: `None` if well.
    fn finish(&self, gave_up: Option<GiveUp>) {
        if let Some(retry) = self.retrying() {
            retry.finish(&self.retry, gave_up);
        }
    }

    fn ended<T>(&mut self, stop: Stop<T, E>, gave_up: Option<GiveUp>) -> Result<T, PolicyError<E>> {
        self.finish(gave_up);
        match stop {
            // A value that would have been worth another attempt is still a value.
            Stop::Gave(Ok(value), _) => Ok(value),
            Stop::Gave(Err(error), _) => Err(PolicyError::Failed {
                error,
                attempts: self.attempts,
                gave_up,
            }),
            Stop::Cut(cut) => Err(self.cut(cut)),
        }
    }

    pub(super) fn cut(&mut self, cut: Cut) -> PolicyError<E> {
        match cut {
            Cut::Refused { layer, retry_after, .. } => self.rejected(layer, retry_after),
            Cut::TimedOut(Limit { limit, by_call, .. }) => PolicyError::TimedOut {
                layer: if by_call {
                    Layer::TotalTimeout
                } else {
                    Layer::AttemptTimeout
                },
                limit,
                attempts: self.attempts,
                last_error: self.last_error.take(),
            },
        }
    }

    pub(super) fn rejected(&mut self, layer: Layer, retry_after: Option<Duration>) -> PolicyError<E> {
        PolicyError::Rejected {
            layer,
            retry_after,
            attempts: self.attempts,
            last_error: self.last_error.take(),
        }
    }

    /// The call's time was over before, or while it waited.
    pub(super) fn over(&mut self, end: End) -> PolicyError<E> {
        PolicyError::TimedOut {
            layer: Layer::TotalTimeout,
            limit: end.limit,
            attempts: self.attempts,
            last_error: self.last_error.take(),
        }
    }
}

/// Runs `future` until the call must end. What waits comes in a box: few calls wait, and all would be larger by it.
async fn until<F: Future>(parts: &Parts, end: Option<End>, future: F) -> Result<F::Output, End> {
    match end {
        Some(end) => parts
            .clock
            .timeout_at(end.at, future)
            .await
            .map_err(|Elapsed { .. }| end),
        None => Ok(future.await),
    }
}

/// What the end of a call says of the load, and the end itself: it was too much where time ran out.
fn judged<T, E, R: Rules<T, E>>(rules: &R, result: Result<T, PolicyError<E>>) -> (Outcome, Result<T, PolicyError<E>>) {
    let (given, attempts, gave_up) = match result {
        Ok(value) => (Ok(value), 0, None),
        Err(PolicyError::Failed {
            error,
            attempts,
            gave_up,
        }) => (Err(error), attempts, gave_up),
        Err(error @ PolicyError::TimedOut { .. }) => return (Outcome::FAILURE, Err(error)),
        Err(error @ PolicyError::Rejected { .. }) => return (Outcome::Ignored, Err(error)),
    };
    let said = rules.outcome(&given);
    let result = given.map_err(|error| PolicyError::Failed {
        error,
        attempts,
        gave_up,
    });
    (said, result)
}
