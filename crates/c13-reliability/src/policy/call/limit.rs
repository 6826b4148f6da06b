//! Time limits: how long a call and each of its attempts may take, and which timeouts count against the dependency.

use crate::error::Layer;
use crate::gate::{Outcome, cut_short};
use crate::policy::parts::Parts;
use crate::time::{Carried, Deadline, Elapsed, Sleep, Tick};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A configured time limit in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::policy) struct Length(u64);

impl Length {
    /// No limit.
    pub(in crate::policy) const NONE: Self = Self(u64::MAX);

    pub(in crate::policy) fn of(limit: Option<Duration>) -> Self {
        limit.map_or(Self::NONE, |limit| Self((Tick::ZERO + limit).as_nanos()))
    }

    #[inline(always)]
    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// The end of a limit that begins `now`: the far end of time where there is no limit.
    #[inline(always)]
    fn after(self, now: Tick) -> Tick {
        Tick::from_nanos(now.as_nanos().saturating_add(self.0))
    }
}

/// When a call started, and when it must end.
#[derive(Clone, Copy)]
pub(in crate::policy) struct CallLimit {
    /// When it must end: `Tick::MAX` if there is no limit.
    pub(in crate::policy) at: Tick,
    /// When it started.
    since: Tick,
}

impl CallLimit {
    /// No limit; the time of the start does not matter then.
    const NONE: Self = Self {
        at: Tick::MAX,
        since: Tick::ZERO,
    };

    /// The limit of a call that starts now: the policy's total timeout, the deadline given with the call, or the inherited
    /// deadline, whichever is first. Returns the time too, if anything needs it.
    #[inline(always)]
    pub(in crate::policy) fn from_now(parts: &Parts, given: Option<&Deadline>) -> (Option<Tick>, Self) {
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

    /// Whether there is a limit.
    #[inline(always)]
    pub(in crate::policy) fn is_some(self) -> bool {
        self.at < Tick::MAX
    }

    /// Whether the time was over when the call started.
    #[inline(always)]
    pub(super) fn is_over_at_once(self) -> bool {
        self.at <= self.since
    }

    /// When the call started, if it has a limit or the policy reads the clock for every call.
    pub(super) fn since(self) -> Tick {
        self.since
    }

    /// Whether it is the deadline of the caller, and not the policy's own limit.
    fn is_callers(self, parts: &Parts) -> bool {
        self.at < parts.total_limit.after(self.since)
    }

    /// How long the call may take from its start.
    pub(in crate::policy) fn length(self) -> Duration {
        self.at - self.since
    }

    /// What a timeout at this limit says about a dependency that was at work since `began`: it failed, if it had a fair share
    /// of the policy's own limit. Otherwise the timeout says nothing.
    #[cold]
    fn outcome_of_timeout(self, parts: &Parts, began: Tick) -> Outcome {
        if is_fair_share(parts, self.at - began) {
            return Outcome::FAILURE;
        }
        if self.is_callers(parts) {
            // The caller's deadline was the limit: no gate around this policy may count the timeout as a failure
            // either.
            cut_short::report();
        }
        Outcome::Abandoned
    }

    /// What a failure says about a dependency that was at work since `began`. A failure at or after the limit comes
    /// from something inside that has timed out at the same deadline, so it is judged as a timeout.
    #[cold]
    #[inline(never)]
    pub(super) fn outcome_of_failure(self, parts: &Parts, began: Tick) -> Outcome {
        if parts.clock.now() < self.at {
            return Outcome::FAILURE;
        }
        self.outcome_of_timeout(parts, began)
    }

    /// Runs `future` until the limit. The limit is also the future's deadline, so that it refuses at once to wait for what
    /// it knows will come too late.
    pub(super) async fn run_with_deadline<F: Future>(self, parts: &Parts, future: F) -> Result<F::Output, Elapsed> {
        if self.is_some() {
            let deadline = Deadline::at(&parts.clock, self.at);
            parts.clock.timeout_at(self.at, deadline.scope(future)).await
        } else {
            Ok(future.await)
        }
    }

    /// Runs `future` until the limit, without a deadline: for a wait that nobody can know to be too long.
    pub(super) async fn run<F: Future>(self, parts: &Parts, future: F) -> Result<F::Output, Elapsed> {
        if self.is_some() {
            parts.clock.timeout_at(self.at, future).await
        } else {
            Ok(future.await)
        }
    }
}

/// Whether `had` is a fair share of the policy's own limit: half of the attempt timeout, or, where there is none, half of the
/// total timeout. Without a limit of its own no share is fair.
fn is_fair_share(parts: &Parts, had: Duration) -> bool {
    let own = if parts.attempt_limit.is_none() {
        parts.total_limit
    } else {
        parts.attempt_limit
    };
    !own.is_none() && had.as_nanos() * 2 >= own.0.into()
}

/// The time limit of one attempt: its own, or that of the call.
#[derive(Clone, Copy)]
pub(super) struct AttemptLimit {
    /// When the attempt must end: `Tick::MAX` if there is no limit.
    at: Tick,
    /// When the attempt began.
    began: Tick,
    /// When the call began, if the call's limit is the one that comes first.
    call_began: Option<Tick>,
}

/// Whether the time of an attempt is over.
pub(super) enum TimeLeft {
    Some,
    /// No time is left, which says this about the dependency.
    None(Outcome),
}

impl AttemptLimit {
    pub(super) const NONE: Self = Self {
        at: Tick::MAX,
        began: Tick::ZERO,
        call_began: None,
    };

    /// The limit of a call, for an attempt that never began because the time of the call was over.
    pub(super) fn of_call(call: CallLimit) -> Self {
        Self {
            at: call.at,
            began: call.at,
            call_began: Some(call.since),
        }
    }

    /// The limit of an attempt that begins now, in a call that must end by `call`. `now` is the time, if it was read.
    #[inline(always)]
    pub(super) fn from_now(parts: &Parts, now: Option<Tick>, call: CallLimit) -> Self {
        let own = parts.attempt_limit;
        match now {
            Some(now) => Self::new(now, own, call),
            None if own.is_none() && !call.is_some() => Self::NONE,
            None => Self::new(parts.clock.now(), own, call),
        }
    }

    #[inline(always)]
    fn new(now: Tick, own: Length, call: CallLimit) -> Self {
        if own.is_none() {
            return Self {
                at: call.at,
                began: now,
                call_began: call.is_some().then_some(call.since),
            };
        }
        let own = own.after(now);
        Self {
            at: own.min(call.at),
            began: now,
            call_began: (call.at < own).then_some(call.since),
        }
    }

    /// Whether it is the limit of the call.
    pub(super) fn is_of_call(&self) -> bool {
        self.call_began.is_some()
    }

    /// Whether it is the deadline of the caller, and not a limit of the policy.
    pub(super) fn is_callers(&self, parts: &Parts) -> bool {
        self.call().is_some_and(|call| call.is_callers(parts))
    }

    /// The layer whose limit it is.
    pub(super) fn layer(&self) -> Layer {
        if self.is_of_call() {
            Layer::TotalTimeout
        } else {
            Layer::AttemptTimeout
        }
    }

    /// When the attempt began; `None` if it has no limit.
    pub(super) fn began(&self) -> Option<Tick> {
        (self.at < Tick::MAX).then_some(self.began)
    }

    /// How long it is: the attempt's own, or the call's.
    pub(super) fn length(&self) -> Duration {
        self.at - self.call_began.unwrap_or(self.began)
    }

    /// What an attempt whose result means `outcome` says about the dependency. An error at or after the call's limit
    /// comes from something inside that has timed out at the same deadline, so it is judged as a timeout.
    #[inline(always)]
    pub(super) fn outcome(&self, parts: &Parts, outcome: Outcome) -> Outcome {
        match self.call() {
            Some(call) if outcome == Outcome::FAILURE => call.outcome_of_failure(parts, self.began),
            _ => outcome,
        }
    }

    /// What a timeout at this limit says about the dependency. The attempt's own limit says that the dependency failed. The
    /// call's limit says so only if the attempt had a fair share of the policy's own limit: neither a caller with a short
    /// deadline nor earlier attempts of the same call may use up the time that the dependency is judged by.
    fn outcome_of_timeout(&self, parts: &Parts) -> Outcome {
        match self.call() {
            Some(call) => call.outcome_of_timeout(parts, self.began),
            None => Outcome::FAILURE,
        }
    }

    /// The call's limit, if it is the one that comes first.
    #[inline(always)]
    fn call(&self) -> Option<CallLimit> {
        let since = self.call_began?;
        Some(CallLimit { at: self.at, since })
    }

    /// Polls `future`, which inherits this limit as its deadline.
    #[inline(always)]
    pub(super) fn poll<F: Future>(&self, parts: &Parts, future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let is_limited = self.at < Tick::MAX;
        let _carried = is_limited.then(|| Carried::at(self.at, &parts.far_deadline));
        future.poll(cx)
    }

    /// Whether an attempt that is not ready has time left. The timer is registered here, so that an attempt which is ready
    /// at once needs none.
    pub(super) fn poll_time_left(
        &self,
        parts: &Parts,
        mut timer: Pin<&mut Option<Sleep>>,
        cx: &mut Context<'_>,
    ) -> TimeLeft {
        if self.at == Tick::MAX {
            return TimeLeft::Some;
        }
        if timer.is_none() {
            timer.set(Some(parts.clock.sleep_until(self.at)));
        }
        if timer.as_pin_mut().is_none_or(|timer| timer.poll(cx).is_pending()) {
            return TimeLeft::Some;
        }
        TimeLeft::None(self.outcome_of_timeout(parts))
    }
}
