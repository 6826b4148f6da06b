//! One call on its way through a policy: the layers in their order, each given only the time that is left.

use super::PolicyError;
use super::attempt::{Cut, Stop};
use super::config::RateLimitPer;
use super::parts::{Parts, Place};
use super::rules::Rules;
use crate::error::Layer;
use crate::gate::{Outcome, Permit as _};
use crate::patterns::adaptive;
use crate::patterns::hedge::Hedge;
use crate::patterns::retry::{Decision, GiveUp, RetryExecutor, RetryState, Verdict};
use crate::time::{Deadline, Elapsed, Tick};
use std::future::Future;
use std::ops::ControlFlow;
use std::time::Duration;

/// One call on its way through the parts of a policy.
pub(super) struct Call<'a, E> {
    pub(super) parts: &'a Parts,
    pub(super) progress: &'a mut Progress<E>,
}

/// What a call knows of itself.
pub(super) struct Progress<E> {
    pub(super) end: End,
    /// When it started, if that was read, and until something takes time.
    pub(super) now: Option<Tick>,
    retry: RetryState,
    pub(super) attempts: u32,
    /// Whether it can be made once only: no retry, no hedge.
    pub(super) once: bool,
    last_error: Option<E>,
}

/// A call that retry was told of and that is not over: dropped so, or by a panic, it is counted as abandoned.
pub(super) struct Open<'a>(Option<&'a RetryExecutor>);

impl<'a> Open<'a> {
    /// Retry does not know of the call yet.
    pub(super) const NOT_YET: Self = Self(None);

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

/// What a call waits for on its way in, in order.
#[derive(Clone, Copy)]
pub(super) enum Entrance {
    RateLimit,
    /// The limit beside the policy's own.
    Limit,
    Place,
}

impl Entrance {
    pub(super) const FIRST: Self = Self::RateLimit;
}

/// Why a call does not go on at once.
pub(super) enum Halt {
    /// It has to wait here, and may.
    Wait(Entrance),
    /// A layer turned it away, and says when to come back.
    Refused(Layer, Option<Duration>),
}

/// When a call started, and when it must end.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) at: Tick,
    pub(super) since: Tick,
}

impl End {
    /// No end; the time of the start does not matter then.
    const NONE: Self = Self {
        at: Tick::MAX,
        since: Tick::ZERO,
    };

    /// The end of a call that starts now: its own limit, or the deadline it is given or inherits, whichever is first. And
    /// the time, where anything asks for it.
    #[inline(always)]
    pub(super) fn from_now(parts: &Parts, given: Option<&Deadline>) -> (Option<Tick>, Self) {
        let mut callers = Deadline::current(&parts.clock).map_or(Tick::MAX, Deadline::tick);
        if let Some(given) = given.and_then(|deadline| deadline.on(&parts.clock)) {
            callers = callers.min(given.tick());
        }
        if !parts.is_timed && callers == Tick::MAX {
            return (None, Self::NONE);
        }
        let now = parts.clock.now();
        let at = parts.total_limit.after(now).min(callers);
        (Some(now), Self { at, since: now })
    }

    /// Whether there is an end.
    #[inline(always)]
    pub(super) fn is_some(self) -> bool {
        self.at < Tick::MAX
    }

    /// How long the call has from its start.
    pub(super) fn limit(self) -> Duration {
        self.at - self.since
    }
}

impl<E> Progress<E> {
    /// A call that begins: looks at the clock once for all layers, if any of them needs the time. A call that can be made
    /// `once` only has no retry and no hedge.
    #[inline(always)]
    pub(super) fn begin(parts: &Parts, deadline: Option<&Deadline>, once: bool) -> Self {
        let (now, end) = End::from_now(parts, deadline);
        Self {
            end,
            now,
            retry: RetryState::new(),
            attempts: 0,
            once,
            last_error: None,
        }
    }
}

impl<'a, E> Call<'a, E> {
    /// Whether its time was over before it began.
    #[inline(always)]
    pub(super) fn is_late(&self) -> bool {
        self.progress.end.at <= self.progress.end.since
    }

    /// Takes a call that is no future through the gates.
    pub(super) fn run_sync<F, T, R>(&mut self, operation: F, rules: &R) -> Result<T, PolicyError<E>>
    where
        F: FnOnce() -> Result<T, E>,
        R: Rules<T, E>,
    {
        if self.is_late() {
            return Err(self.over());
        }
        if let Some(limiter) = &self.parts.rate_limit {
            let limited = limiter.try_acquire_at(self.now(), 1);
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
        let permit = self.parts.try_permit(self.progress.now);
        let permit = permit.map_err(|refused| self.rejected(Layer::CircuitBreaker, refused.retry_after))?;
        self.progress.attempts = 1;
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

    /// Tells retry of the call, if there is retry: once, before the first attempt.
    #[inline(always)]
    pub(super) fn open(&mut self) -> Open<'a> {
        let retry = self.retrying();
        if let Some(retry) = retry {
            retry.begin_at(&mut self.progress.retry);
            self.progress.retry.stop_at(self.progress.end.at);
        }
        Open(retry)
    }

    #[inline(always)]
    fn retrying(&self) -> Option<&'a RetryExecutor> {
        self.parts.retry.as_ref().filter(|_| !self.progress.once)
    }

    /// The time: the one that was read for all layers as long as nothing has taken any.
    #[inline(always)]
    pub(super) fn now(&self) -> Tick {
        self.progress.now.unwrap_or_else(|| self.parts.clock.now())
    }

    /// Something takes time from here on.
    pub(super) fn time_passes(&mut self) {
        self.progress.now = None;
    }

    /// Takes a place as far as it can come at once, from `entrance` on.
    #[inline(always)]
    pub(super) fn come_in(&mut self, entrance: Entrance, place: &mut Option<Place<'a>>) -> Result<(), Halt> {
        let parts = self.parts;
        if let Entrance::RateLimit = entrance
            && parts.config.rate_limit_per == RateLimitPer::Call
        {
            self.pass_rate_limit()?;
        }
        if let Entrance::RateLimit | Entrance::Limit = entrance
            && let Some(limit) = &parts.limit
            && limit.try_pass().is_err()
        {
            return Err(Halt::Wait(Entrance::Limit));
        }
        if parts.must_wait() {
            return Err(Halt::Wait(Entrance::Place));
        }
        match parts.try_place() {
            Ok(taken) => *place = taken,
            Err(()) => return Err(Halt::Refused(Layer::Bulkhead, None)),
        }
        Ok(())
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
            match self.come_in(next, place) {
                Ok(()) => return Ok(()),
                Err(Halt::Wait(waits)) => entrance = waits,
                Err(Halt::Refused(layer, retry_after)) => return Err(self.rejected(layer, retry_after)),
            }
        }
    }

    /// Passes the rate limit at once, if there is one.
    #[inline(always)]
    fn pass_rate_limit(&mut self) -> Result<(), Halt> {
        let parts = self.parts;
        let Some(limiter) = &parts.rate_limit else {
            return Ok(());
        };
        if parts.rate_limit_waits && limiter.peek(1).is_err() {
            return Err(Halt::Wait(Entrance::RateLimit));
        }
        match limiter.try_acquire_at(self.now(), 1) {
            Ok(()) => Ok(()),
            Err(refused) => Err(Halt::Refused(Layer::RateLimit, refused.retry_after())),
        }
    }

    async fn wait_for_rate_limit(&mut self) -> Result<(), PolicyError<E>> {
        let Some(limiter) = &self.parts.rate_limit else {
            return Ok(());
        };
        match until(self.parts, self.progress.end, limiter.acquire(1)).await {
            Ok(result) => result.map_err(|refused| self.rejected(Layer::RateLimit, refused.retry_after())),
            Err(Elapsed { .. }) => Err(self.over()),
        }
    }

    /// Passes the rate limit, where it counts attempts, at once.
    #[inline(always)]
    pub(super) fn pass_limit_of_attempts(&mut self) -> Result<(), Halt> {
        if self.parts.config.rate_limit_per == RateLimitPer::Call {
            return Ok(());
        }
        self.pass_rate_limit()
    }

    /// The same, and waits.
    pub(super) async fn wait_for_limit_of_attempts(&mut self) -> Result<(), PolicyError<E>> {
        match self.pass_limit_of_attempts() {
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
        match until(self.parts, self.progress.end, limit.pass()).await {
            Ok(passed) => passed.map_err(|refused| self.rejected(Layer::RateLimit, refused.retry_after)),
            Err(Elapsed { .. }) => Err(self.over()),
        }
    }

    async fn wait_for_place(&mut self) -> Result<Option<Place<'a>>, PolicyError<E>> {
        match until(self.parts, self.progress.end, self.parts.place()).await {
            Ok(place) => place.map_err(|()| self.rejected(Layer::Bulkhead, None)),
            Err(Elapsed { .. }) => Err(self.over()),
        }
    }

    /// The hedge, if there is one and the call can be made twice.
    #[inline(always)]
    pub(super) fn hedge(&self) -> Option<&'a Hedge> {
        self.parts.hedge.as_ref().filter(|_| !self.progress.once)
    }

    /// Counts the next attempt, which takes time; returns the time until then, if it was read.
    #[inline(always)]
    pub(super) fn next_attempt(&mut self) -> Option<Tick> {
        self.progress.attempts += 1;
        self.progress.now.take()
    }

    /// After an attempt that gave no value: the pause before the next, or the end of the call.
    #[cold]
    pub(super) fn stopped<T>(&mut self, stop: Stop<T, E>) -> ControlFlow<Result<T, PolicyError<E>>, Duration> {
        match self.decide(&stop) {
            Ok(pause) => {
                if let Stop::Gave(Err(error), _) = stop {
                    self.progress.last_error = Some(error);
                }
                ControlFlow::Continue(pause)
            }
            Err(gave_up) => ControlFlow::Break(self.ended(stop, gave_up)),
        }
    }

    /// What to do after an attempt that gave no value: the pause before the next, or why there is none.
    fn decide<T>(&mut self, stop: &Stop<T, E>) -> Result<Duration, Option<GiveUp>> {
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

    fn ended<T>(&mut self, stop: Stop<T, E>, gave_up: Option<GiveUp>) -> Result<T, PolicyError<E>> {
        self.finish(gave_up);
        match stop {
            // A value that would have been worth another attempt is still a value.
            Stop::Gave(Ok(value), _) => Ok(value),
            Stop::Gave(Err(error), _) => Err(PolicyError::Failed {
                error,
                attempts: self.progress.attempts,
                gave_up,
            }),
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
                attempts: self.progress.attempts,
                last_error: self.progress.last_error.take(),
            },
        }
    }

    pub(super) fn rejected(&mut self, layer: Layer, retry_after: Option<Duration>) -> PolicyError<E> {
        PolicyError::Rejected {
            layer,
            retry_after,
            attempts: self.progress.attempts,
            last_error: self.progress.last_error.take(),
        }
    }

    /// The call's time was over before, or while it waited.
    #[cold]
    pub(super) fn over(&mut self) -> PolicyError<E> {
        PolicyError::TimedOut {
            layer: Layer::TotalTimeout,
            limit: self.progress.end.limit(),
            attempts: self.progress.attempts,
            last_error: self.progress.last_error.take(),
        }
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

/// Tells the adaptive limit what the end of a call says of the load: it was too much where time ran out.
pub(super) fn judged<T, E, R: Rules<T, E>>(
    rules: &R,
    permit: adaptive::Permit<'_>,
    result: Result<T, PolicyError<E>>,
) -> Result<T, PolicyError<E>> {
    let (given, attempts, gave_up) = match result {
        Ok(value) => (Ok(value), 0, None),
        Err(PolicyError::Failed {
            error,
            attempts,
            gave_up,
        }) => (Err(error), attempts, gave_up),
        Err(error) => {
            let timed_out = matches!(error, PolicyError::TimedOut { .. });
            permit.record(if timed_out { Outcome::FAILURE } else { Outcome::Ignored });
            return Err(error);
        }
    };
    permit.record(rules.outcome(&given));
    given.map_err(|error| PolicyError::Failed {
        error,
        attempts,
        gave_up,
    })
}
