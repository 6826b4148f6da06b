//! One call on its way through a policy: the layers in their order, each given only the time that is left.

use super::PolicyError;
use super::attempt::{Cut, Stop};
use super::config::RateLimitPer;
use super::parts::{Parts, Place};
use super::rules::Rules;
use super::started::{End, Entrance, Halt, Started};
use crate::error::Layer;
use crate::gate::{Outcome, Permit as _};
use crate::patterns::adaptive;
use crate::patterns::retry::{Decision, GiveUp, RetryExecutor, RetryState, Verdict};
use crate::time::{Deadline, Elapsed, Tick};
use std::future::Future;
use std::ops::ControlFlow;
use std::time::Duration;

/// One call on its way through the parts of a policy.
pub(super) struct Call<'a, T, E> {
    pub(super) parts: &'a Parts,
    pub(super) progress: &'a mut Progress<T, E>,
}

/// What a call knows of itself.
pub(super) struct Progress<T, E> {
    pub(super) started: Started,
    retry: RetryState,
    last_error: Option<E>,
    /// What the last attempt gave, if it was a value worth another attempt, until that is made.
    pub(super) last_value: Option<T>,
}

/// A call that retry was told of and that is not over: dropped so, or by a panic, it is counted as abandoned.
pub(super) struct Open<'a>(Option<&'a RetryExecutor>);

impl<'a> Open<'a> {
    /// Goes on with what [`is_open`](Self::is_open) said.
    #[inline(always)]
    pub(super) fn again(parts: &'a Parts, is_open: bool) -> Self {
        Self(parts.retry.as_ref().filter(|_| is_open))
    }

    #[inline(always)]
    pub(super) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// The call is over, and retry knows it.
    #[inline]
    pub(super) fn close(&mut self) {
        self.0 = None;
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(retry) = self.0 {
            retry.abandon();
        }
    }
}

impl<T, E> Progress<T, E> {
    /// A call that has started so.
    #[inline]
    pub(super) fn of(started: Started) -> Self {
        Self {
            started,
            retry: RetryState::new(),
            last_error: None,
            last_value: None,
        }
    }
}

impl<'a, T, E> Call<'a, T, E> {
    /// Takes a call that is no future through the gates.
    pub(super) fn run_sync<F, R>(&mut self, operation: F, rules: &R) -> Result<T, PolicyError<E>>
    where
        F: FnOnce() -> Result<T, E>,
        R: Rules<T, E>,
    {
        if self.progress.started.is_late() {
            return Err(self.over());
        }
        if self.parts.config.rate_limit_per == RateLimitPer::Call {
            self.take_token()?;
        }
        if let Some(limit) = &self.parts.limit {
            let limited = limit.try_pass();
            limited.map_err(|refused| self.rejected(Layer::RateLimit, refused.retry_after))?;
        }
        let place = self
            .parts
            .try_place()
            .map_err(|()| self.rejected(Layer::Bulkhead, None))?;
        // A token of the dependency's quota is not spent for a call that finds no place.
        if self.parts.config.rate_limit_per == RateLimitPer::Attempt {
            self.take_token()?;
        }
        let permit = self.parts.try_permit(self.progress.started.now);
        let permit = permit.map_err(|refused| self.rejected(Layer::CircuitBreaker, refused.retry_after))?;
        self.progress.started.attempts = 1;
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

    /// Takes a token of the rate limit at once, if there is one.
    fn take_token(&mut self) -> Result<(), PolicyError<E>> {
        let Some(limiter) = &self.parts.rate_limit else {
            return Ok(());
        };
        let limited = limiter.try_acquire_at(self.progress.started.time(self.parts), 1);
        limited.map_err(|refused| self.rejected(Layer::RateLimit, refused.retry_after()))
    }

    /// Goes on with a call that retry was told of, if there is retry: with what it keeps, where it has begun.
    pub(super) fn open(&mut self, begun: Option<RetryState>) -> Open<'a> {
        let retry = self.retrying();
        if let Some(retry) = retry {
            self.progress.retry = begun.unwrap_or_else(|| retry.begin());
            self.progress.retry.stop_at(self.progress.started.end.at);
        }
        Open(retry)
    }

    fn retrying(&self) -> Option<&'a RetryExecutor> {
        self.progress.started.retry(self.parts)
    }

    /// The end of the call if its time is over, which a wait before this may have used up.
    pub(super) fn ended_waiting(&mut self) -> Option<PolicyError<E>> {
        let started = &mut self.progress.started;
        if !started.end.is_some() || started.now.is_some() {
            return None;
        }
        let now = self.parts.clock.now();
        started.now = Some(now);
        (now >= started.end.at).then(|| self.over())
    }

    /// An attempt begins: what the last one gave is not the call's value any more.
    pub(super) fn next_attempt(&mut self) -> Option<Tick> {
        self.progress.last_value = None;
        self.progress.started.next_attempt()
    }

    /// The value of an attempt that was worth another one, which is not made.
    pub(super) fn take_last_value(&mut self) -> Option<T> {
        self.progress.last_value.take()
    }

    /// Something takes time from here on.
    pub(super) fn time_passes(&mut self) {
        self.progress.started.now = None;
    }

    /// Takes a place, from a wait at `entrance` on.
    pub(super) async fn wait_in(
        &mut self,
        mut entrance: Entrance,
        place: &mut Option<Place<'a>>,
    ) -> Result<(), PolicyError<E>> {
        loop {
            self.time_passes();
            let next = match entrance {
                Entrance::RateLimit => {
                    self.wait_for_rate_limit().await?;
                    Entrance::Limit
                }
                Entrance::Limit => {
                    self.wait_for_limit().await?;
                    Entrance::Place
                }
                Entrance::Place => {
                    *place = self.wait_for_place().await?;
                    return Ok(());
                }
            };
            let came_in = self.progress.started.come_in(self.parts, next);
            match came_in.and_then(|()| self.parts.enter()) {
                Ok(taken) => {
                    *place = taken;
                    return Ok(());
                }
                Err(Halt::Wait(waits)) => entrance = waits,
                Err(Halt::Refused(layer, retry_after)) => return Err(self.rejected(layer, retry_after)),
            }
        }
    }

    async fn wait_for_rate_limit(&mut self) -> Result<(), PolicyError<E>> {
        let Some(limiter) = &self.parts.rate_limit else {
            return Ok(());
        };
        match within(self.parts, self.progress.started.end, limiter.acquire(1)).await {
            Ok(result) => result.map_err(|refused| self.rejected(Layer::RateLimit, refused.retry_after())),
            Err(Elapsed { .. }) => Err(self.over()),
        }
    }

    /// Passes the rate limit, where it counts attempts, and waits.
    pub(super) async fn wait_for_limit_of_attempts(&mut self) -> Result<(), PolicyError<E>> {
        match self.progress.started.pass_limit_of_attempts(self.parts) {
            Ok(()) => Ok(()),
            Err(Halt::Wait(_)) => {
                self.time_passes();
                self.wait_for_rate_limit().await
            }
            Err(Halt::Refused(layer, retry_after)) => Err(self.rejected(layer, retry_after)),
        }
    }

    async fn wait_for_limit(&mut self) -> Result<(), PolicyError<E>> {
        let Some(limit) = &self.parts.limit else {
            return Ok(());
        };
        match within(self.parts, self.progress.started.end, limit.pass()).await {
            Ok(passed) => passed.map_err(|refused| self.rejected(Layer::RateLimit, refused.retry_after)),
            Err(Elapsed { .. }) => Err(self.over()),
        }
    }

    async fn wait_for_place(&mut self) -> Result<Option<Place<'a>>, PolicyError<E>> {
        match until(self.parts, self.progress.started.end, self.parts.place()).await {
            Ok(place) => place.map_err(|()| self.rejected(Layer::Bulkhead, None)),
            Err(Elapsed { .. }) => Err(self.over()),
        }
    }

    /// After an attempt that gave no value: the pause before the next, or the end of the call.
    #[cold]
    pub(super) fn stopped(&mut self, stop: Stop<T, E>) -> ControlFlow<Result<T, PolicyError<E>>, Duration> {
        match self.decide(&stop) {
            Ok(pause) => {
                match stop {
                    Stop::Gave(Err(error), _) => self.progress.last_error = Some(error),
                    Stop::Gave(Ok(value), _) => self.progress.last_value = Some(value),
                    Stop::Cut(_) => {}
                }
                ControlFlow::Continue(pause)
            }
            Err(gave_up) => ControlFlow::Break(self.ended(stop, gave_up)),
        }
    }

    /// What to do after an attempt that gave no value: the pause before the next, or why there is none.
    fn decide(&mut self, stop: &Stop<T, E>) -> Result<Duration, Option<GiveUp>> {
        let Some(retry) = self.retrying() else {
            return Err(None);
        };
        let hint = match stop {
            Stop::Cut(Cut::Refused { .. }) => return Err(Some(GiveUp::NotRetryable)),
            Stop::Cut(Cut::TimedOut(limit)) if limit.is_the_calls() => return Err(Some(GiveUp::Deadline)),
            Stop::Gave(_, Verdict::Final) => return Err(Some(GiveUp::NotRetryable)),
            Stop::Gave(_, verdict) => verdict.hint(),
            Stop::Cut(Cut::TimedOut(_)) => None,
        };
        match retry.after_failure(&mut self.progress.retry, hint) {
            Decision::Wait(pause) => Ok(pause),
            Decision::GiveUp(reason) => Err(Some(reason)),
        }
    }

    /// Tells retry how the call ended: `None` if well.
    #[inline(always)]
    pub(super) fn finish(&self, gave_up: Option<GiveUp>) {
        if let Some(retry) = self.retrying() {
            retry.finish(&self.progress.retry, gave_up);
        }
    }

    fn ended(&mut self, stop: Stop<T, E>, gave_up: Option<GiveUp>) -> Result<T, PolicyError<E>> {
        self.finish(gave_up);
        match stop {
            // A value that would have been worth another attempt is still a value.
            Stop::Gave(Ok(value), _) => Ok(value),
            Stop::Gave(Err(error), _) => Err(PolicyError::Failed {
                error,
                attempts: self.progress.started.attempts,
                gave_up,
            }),
            // A value whose retry is refused, too.
            Stop::Cut(cut @ Cut::Refused { .. }) => self.take_last_value().ok_or_else(|| self.cut(cut)),
            Stop::Cut(cut) => Err(self.cut(cut)),
        }
    }

    pub(super) fn cut(&mut self, cut: Cut) -> PolicyError<E> {
        match cut {
            Cut::Refused { layer, retry_after, .. } => self.rejected(layer, retry_after),
            Cut::TimedOut(limit) => PolicyError::TimedOut {
                layer: if limit.is_the_calls() {
                    Layer::TotalTimeout
                } else {
                    Layer::AttemptTimeout
                },
                limit: limit.length(),
                attempts: self.progress.started.attempts,
                last_error: self.progress.last_error.take(),
            },
        }
    }

    pub(super) fn rejected(&mut self, layer: Layer, retry_after: Option<Duration>) -> PolicyError<E> {
        PolicyError::Rejected {
            layer,
            retry_after,
            attempts: self.progress.started.attempts,
            last_error: self.progress.last_error.take(),
        }
    }

    /// The call's time was over before, or while it waited.
    #[cold]
    pub(super) fn over(&mut self) -> PolicyError<E> {
        PolicyError::TimedOut {
            layer: Layer::TotalTimeout,
            limit: self.progress.started.end.limit(),
            attempts: self.progress.started.attempts,
            last_error: self.progress.last_error.take(),
        }
    }
}

/// Runs `future` until the call must end, with that as its deadline: what it knows to come later it does not wait for.
pub(super) async fn within<F: Future>(parts: &Parts, end: End, future: F) -> Result<F::Output, Elapsed> {
    if end.is_some() {
        let deadline = Deadline::at(&parts.clock, end.at);
        parts.clock.timeout_at(end.at, deadline.scope(future)).await
    } else {
        Ok(future.await)
    }
}

/// Runs `future` until the call must end.
async fn until<F: Future>(parts: &Parts, end: End, future: F) -> Result<F::Output, Elapsed> {
    if end.is_some() {
        parts.clock.timeout_at(end.at, future).await
    } else {
        Ok(future.await)
    }
}

/// Tells the adaptive limit what the end of a call says of the load: it was too much where time ran out. `failure` says
/// what a failure means of a call that took its place then.
pub(super) fn judged<T, E, R: Rules<T, E>>(
    rules: &R,
    permit: adaptive::Permit<'_>,
    result: Result<T, PolicyError<E>>,
    failure: impl FnOnce(Tick) -> Outcome,
) -> Result<T, PolicyError<E>> {
    let began = permit.began();
    let tell = |said| match said {
        Outcome::FAILURE => permit.record(failure(began)),
        said => permit.record(said),
    };
    let (given, attempts, gave_up) = match result {
        Ok(value) => (Ok(value), 0, None),
        Err(PolicyError::Failed {
            error,
            attempts,
            gave_up,
        }) => (Err(error), attempts, gave_up),
        Err(error) => {
            let timed_out = matches!(error, PolicyError::TimedOut { .. });
            tell(if timed_out { Outcome::FAILURE } else { Outcome::Ignored });
            return Err(error);
        }
    };
    tell(rules.outcome(&given));
    given.map_err(|error| PolicyError::Failed {
        error,
        attempts,
        gave_up,
    })
}
