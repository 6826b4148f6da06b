//! One attempt: what admits it, how long it may take, and what came of it.

use super::call::within;
use super::config::RateLimitPer;
use super::parts::{Length, Parts};
use super::rules::Rules;
use super::started::{End, Started};
use crate::error::{Layer, Rejected};
use crate::gate::{Outcome, Permit as _};
use crate::patterns::circuit_breaker;
use crate::patterns::retry::Verdict;
use crate::sync::primitive::Mutex;
use crate::time::{Carried, Elapsed, Sleep, Tick};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
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

impl Cut {
    /// Not let through by the breaker, with no other beside it.
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self::Refused {
            layer: Layer::CircuitBreaker,
            retry_after: rejected.retry_after,
            alone: true,
        }
    }
}

/// The time limit of one attempt: its own, or the end of the call.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    at: Tick,
    /// When the attempt began.
    attempt: Tick,
    /// When the call began, where it is the call's end that comes first.
    call: Option<Tick>,
}

impl Limit {
    pub(super) const NONE: Self = Self {
        at: Tick::MAX,
        attempt: Tick::ZERO,
        call: None,
    };

    /// The end of the call, for an attempt that was not made before it.
    pub(super) fn of_call(end: End) -> Self {
        Self {
            at: end.at,
            attempt: end.at,
            call: Some(end.since),
        }
    }

    /// The attempt's own limit from now, or the end of the call where that is sooner.
    #[inline(always)]
    fn from(now: Tick, own: Length, end: End) -> Self {
        if own.is_none() {
            return Self {
                at: end.at,
                attempt: now,
                call: end.is_some().then_some(end.since),
            };
        }
        let own = own.after(now);
        Self {
            at: own.min(end.at),
            attempt: now,
            call: (end.at < own).then_some(end.since),
        }
    }

    /// Whether the end of the call set it.
    pub(super) fn is_the_calls(&self) -> bool {
        self.call.is_some()
    }

    /// How long it is: the attempt's own, or the call's.
    pub(super) fn length(&self) -> Duration {
        self.at - self.call.unwrap_or(self.attempt)
    }

    /// What an attempt that it cut short says of the dependency. The attempt's own limit says that the dependency failed.
    /// The end of the call says so only if the attempt had a fair share of the policy's own limit: neither a caller with a
    /// short deadline nor attempts that failed before may use up what the dependency is judged by.
    fn blames(&self, parts: &Parts) -> Outcome {
        let Some(call) = self.call else {
            return Outcome::FAILURE;
        };
        let end = End {
            at: self.at,
            since: call,
        };
        end.blames(parts, self.attempt)
    }

    /// What an attempt says of the dependency whose result means `said`. An error that comes when the end of the call has
    /// come is that of a part inside, which ends at the same deadline.
    #[inline(always)]
    pub(super) fn outcome(&self, parts: &Parts, said: Outcome) -> Outcome {
        if self.is_the_calls() && said == Outcome::FAILURE {
            return self.outcome_of_failure(parts);
        }
        said
    }

    #[cold]
    #[inline(never)]
    fn outcome_of_failure(&self, parts: &Parts) -> Outcome {
        if parts.clock.now() < self.at {
            return Outcome::FAILURE;
        }
        self.blames(parts)
    }

    /// Looks whether it is over, for an attempt that has to wait. No timer is registered before.
    pub(super) fn poll_end(&self, parts: &Parts, mut timer: Pin<&mut Option<Sleep>>, cx: &mut Context<'_>) -> Ending {
        if self.at == Tick::MAX {
            return Ending::NotYet;
        }
        if timer.is_none() {
            timer.set(Some(parts.clock.sleep_until(self.at)));
        }
        if timer.as_pin_mut().is_none_or(|timer| timer.poll(cx).is_pending()) {
            return Ending::NotYet;
        }
        Ending::Over(self.blames(parts))
    }
}

impl Parts {
    /// The time limit of an attempt that begins now, of a call that must end by `end`; `now` is the time, if it was read.
    #[inline(always)]
    pub(super) fn limit_of_attempt(&self, now: Option<Tick>, end: End) -> Limit {
        let own = self.attempt_limit;
        match now {
            Some(now) => Limit::from(now, own, end),
            None if own.is_none() && !end.is_some() => Limit::NONE,
            None => Limit::from(self.clock.now(), own, end),
        }
    }
}

/// The attempts that may be made beside each other.
pub(super) struct Attempts<'a, 'c, 'r, F, R, T> {
    parts: &'a Parts,
    end: End,
    rules: &'r R,
    /// What makes them, and counts them. Lent to an attempt only while it is made, so that nothing of the caller's runs under
    /// the lock.
    maker: Mutex<Option<Maker<'c, F, T>>>,
}

/// What makes the attempts of a call.
pub(super) struct Maker<'c, F, T> {
    pub(super) operation: &'c mut F,
    pub(super) started: &'c mut Started,
    /// What the attempt before gave; dropped when the next one begins.
    pub(super) last_value: &'c mut Option<T>,
    /// Whether none was made yet.
    pub(super) is_first: bool,
}

impl<'a, 'c, 'r, F, R, T> Attempts<'a, 'c, 'r, F, R, T> {
    pub(super) fn of(parts: &'a Parts, rules: &'r R, maker: Maker<'c, F, T>) -> Self {
        Self {
            parts,
            end: maker.started.end,
            rules,
            maker: Mutex::new(Some(maker)),
        }
    }

    pub(super) fn end(&self) -> End {
        self.end
    }

    /// The next attempt, which asks for admission when it is polled. The first has passed the rate limit already.
    pub(super) async fn next<Fut, E>(&self) -> Result<T, Stop<T, E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        R: Rules<T, E>,
    {
        let alone = self.lend(|maker| std::mem::replace(&mut maker.is_first, false));
        let attempt = self.admit(alone).await.map_err(Stop::Cut)?;
        attempt.await
    }

    /// Lets an attempt begin, as soon as the limits of attempts let it.
    async fn admit<Fut, E>(&self, alone: bool) -> Result<Attempt<'a, 'r, Fut, R>, Cut>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        R: Rules<T, E>,
    {
        if !alone {
            self.take_token().await?;
        }
        self.lend(|maker| {
            let permit = self
                .parts
                .try_permit(maker.started.now)
                .map_err(|refused| Cut::Refused {
                    layer: Layer::CircuitBreaker,
                    retry_after: refused.retry_after,
                    alone,
                })?;
            *maker.last_value = None;
            let limit = self.parts.limit_of_attempt(maker.started.next_attempt(), self.end);
            Ok(Attempt::new(self.parts, limit, permit, (maker.operation)(), self.rules))
        })
    }

    /// Passes the rate limit, where it counts attempts: waits as long as its settings and the end of the call say.
    async fn take_token(&self) -> Result<(), Cut> {
        let Some(limiter) = &self.parts.rate_limit else {
            return Ok(());
        };
        if self.parts.config.rate_limit_per == RateLimitPer::Call {
            return Ok(());
        }
        match within(self.parts, self.end, limiter.acquire(1)).await {
            Ok(taken) => taken.map_err(|refused| Cut::Refused {
                layer: Layer::RateLimit,
                retry_after: refused.retry_after(),
                alone: false,
            }),
            Err(Elapsed { .. }) => Err(Cut::TimedOut(Limit::of_call(self.end))),
        }
    }

    fn lend<M>(&self, make: impl FnOnce(&mut Maker<'c, F, T>) -> M) -> M {
        let lent = self.maker.lock().take();
        let mut maker =
            lent.expect("an attempt is made by the only task that polls them, and gives back what it is lent");
        let made = make(&mut maker);
        *self.maker.lock() = Some(maker);
        made
    }
}

/// What the end of an attempt's time came to.
pub(super) enum Ending {
    /// It is over, which says this of the dependency.
    Over(Outcome),
    /// There is time left.
    NotYet,
}

/// Polls an attempt, which sees its deadline.
#[inline(always)]
pub(super) fn poll_within<F: Future>(
    parts: &Parts,
    limit: &Limit,
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    let is_limited = limit.at < Tick::MAX;
    let _carried = is_limited.then(|| Carried::at(limit.at, &parts.far_deadline));
    future.poll(cx)
}

/// What an attempt's result comes to.
pub(super) fn judge<T, E>(verdict: Verdict, result: Result<T, E>) -> Result<T, Stop<T, E>> {
    match (verdict, result) {
        (Verdict::Final, Ok(value)) => Ok(value),
        (verdict, result) => Err(Stop::Gave(result, verdict)),
    }
}

pin_project! {
    /// An attempt that was let through.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside, and the breaker takes the attempt for abandoned.
    #[must_use = "futures do nothing unless awaited"]
    pub(super) struct Attempt<'a, 'r, F, R> {
        // Dropped first: until it is gone it runs, and no other probe may have its place.
        #[pin]
        future: F,
        #[pin]
        timer: Option<Sleep>,
        held: Held<'a>,
        limit: Limit,
        parts: &'a Parts,
        rules: &'r R,
    }
}

/// The permit between two polls. None while the attempt is polled, and once it is over.
struct Held<'a>(Option<circuit_breaker::Permit<'a>>);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Not left to the permit's own drop: unwinding may drop the attempt for a panic that was not the call's.
        if let Some(permit) = self.0.take() {
            permit.record(Outcome::of_dropped());
        }
    }
}

impl<'a, 'r, F, R> Attempt<'a, 'r, F, R> {
    /// One that begins.
    pub(super) fn new(
        parts: &'a Parts,
        limit: Limit,
        permit: Option<circuit_breaker::Permit<'a>>,
        future: F,
        rules: &'r R,
    ) -> Self {
        Self {
            future,
            timer: None,
            held: Held(permit),
            limit,
            parts,
            rules,
        }
    }
}

impl<F, R, T, E> Future for Attempt<'_, '_, F, R>
where
    F: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
{
    type Output = Result<T, Stop<T, E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (limit, parts) = (*this.limit, *this.parts);
        // While the attempt is polled its permit lies on the stack, so that a panic drops it during unwinding and counts as a
        // failure, whoever catches the panic later.
        let permit = this.held.0.take();
        if let Poll::Ready(result) = poll_within(parts, &limit, this.future, cx) {
            if let Some(permit) = permit {
                permit.record(limit.outcome(parts, this.rules.outcome(&result)));
            }
            return Poll::Ready(judge(this.rules.verdict(&result), result));
        }
        match limit.poll_end(parts, this.timer, cx) {
            Ending::Over(outcome) => {
                if let Some(permit) = permit {
                    permit.record(outcome);
                }
                Poll::Ready(Err(Stop::Cut(Cut::TimedOut(limit))))
            }
            Ending::NotYet => {
                this.held.0 = permit;
                Poll::Pending
            }
        }
    }
}
