//! The layers that admit a call and each of its attempts, in their order.
//!
//! | | layer | admits |
//! |--:|---|---|
//! | 1 | the rate limit, if it counts calls | the call |
//! | 2 | the extra rate limit, if one was added | the call |
//! | 3 | the bulkhead or the adaptive limit | the call |
//! | 4 | the rate limit, if it counts attempts | each attempt |
//! | 5 | the circuit breaker | each attempt |
//!
//! A rate limit that counts attempts stands for a quota that the dependency grants. It is asked after the bulkhead, so that
//! a call which the bulkhead refuses spends no token of the quota.

use super::held::Held;
use super::progress::Progress;
use crate::error::{Layer, Rejected};
use crate::gate::Gate;
use crate::policy::config::RateLimitPer;
use crate::policy::parts::Parts;
use crate::time::Elapsed;
use std::convert::Infallible;
use std::time::Duration;

/// A step of a call: where it waits for admission, or that it makes an attempt. A call takes them in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CallStep {
    /// It waits for a token of the rate limit, which counts calls.
    RateLimit,
    /// It waits for the extra rate limit.
    ExtraLimit,
    /// It waits for a permit of the bulkhead or of the adaptive limit.
    Concurrency,
    /// It makes an attempt after a delay, which may be zero.
    Attempt(Duration),
}

impl CallStep {
    pub(super) const FIRST: Self = Self::RateLimit;
    /// It makes an attempt without a delay.
    pub(super) const ATTEMPT: Self = Self::Attempt(Duration::ZERO);
}

/// Why a call cannot go on at once. `W` is the step at which it has to wait. A call that cannot wait, or has waited
/// already, is never at `Wait`: its `W` has no value.
pub(super) enum Blocked<W = Infallible> {
    /// The time of the call is over.
    Late,
    /// A layer refused it.
    Refused(Rejected),
    /// It has to wait.
    Wait(W),
}

impl Blocked<CallStep> {
    /// The step at which the call has to wait, or why it does not go on.
    pub(super) fn or_wait(self) -> Result<CallStep, Blocked> {
        match self {
            Self::Wait(step) => Ok(step),
            Self::Late => Err(Blocked::Late),
            Self::Refused(rejected) => Err(Blocked::Refused(rejected)),
        }
    }
}

/// For calls that are no futures, and are refused where others wait.
pub(super) fn never_wait(_: CallStep) -> Option<Infallible> {
    None
}

/// Takes a call past the layers that admit calls, from `step` on, as far as it gets without waiting. `wait` says where the
/// call may wait: `Some` for a future, [`never_wait`] for a function.
#[inline(always)]
pub(super) fn admit_call<W>(
    held: &mut Held<&Parts>,
    progress: &Progress,
    step: CallStep,
    wait: impl Fn(CallStep) -> Option<W>,
) -> Result<(), Blocked<W>> {
    let parts = held.parts;
    if step == CallStep::RateLimit && parts.config.rate_limit_per == RateLimitPer::Call {
        take_token(parts, progress, wait(CallStep::RateLimit))?;
    }
    if step <= CallStep::ExtraLimit {
        pass_extra_limit(parts, wait(CallStep::ExtraLimit))?;
    }
    acquire_concurrency(held, wait(CallStep::Concurrency))
}

/// Takes a token for an attempt, if the rate limit counts attempts.
#[inline(always)]
pub(super) fn take_attempt_token<W>(
    parts: &Parts,
    progress: &Progress,
    wait: impl Fn(CallStep) -> Option<W>,
) -> Result<(), Blocked<W>> {
    if parts.config.rate_limit_per == RateLimitPer::Call {
        return Ok(());
    }
    take_token(parts, progress, wait(CallStep::ATTEMPT))
}

/// Takes a permit of the circuit breaker for an attempt.
#[inline(always)]
pub(super) fn acquire_breaker(held: &mut Held<&Parts>, progress: &Progress) -> Result<(), Rejected> {
    let Some(breaker) = &held.parts.circuit_breaker else {
        return Ok(());
    };
    let permit = match progress.known_time() {
        Some(now) => breaker.try_acquire_at(now)?,
        None => breaker.try_acquire()?,
    };
    held.hold_breaker(permit);
    Ok(())
}

/// Takes a token of the rate limit, if there is one.
#[inline(always)]
fn take_token<W>(parts: &Parts, progress: &Progress, wait: Option<W>) -> Result<(), Blocked<W>> {
    let Some(limiter) = &parts.rate_limit else {
        return Ok(());
    };
    let now = progress.time(parts);
    if parts.rate_limit_waits
        && let Some(wait) = wait
    {
        let taken = limiter.take_or_wait_at(now);
        return taken.then_some(()).ok_or(Blocked::Wait(wait));
    }
    match limiter.try_acquire_at(now, 1) {
        Ok(()) => Ok(()),
        Err(refused) => Err(Blocked::Refused(no_token(refused.retry_after()))),
    }
}

fn no_token(retry_after: Option<Duration>) -> Rejected {
    Rejected::new(Layer::RateLimit, retry_after)
}

/// Passes the extra rate limit, if there is one. Whether it lets calls wait is unknown, so a call that is not admitted
/// at once, and may wait, goes on to [`wait_for_extra_limit`], which may still refuse it.
#[inline(always)]
fn pass_extra_limit<W>(parts: &Parts, wait: Option<W>) -> Result<(), Blocked<W>> {
    let Some(limit) = &parts.extra_limit else {
        return Ok(());
    };
    match wait {
        Some(wait) => limit.passes().then_some(()).ok_or(Blocked::Wait(wait)),
        None => limit
            .try_pass()
            .map_err(|refused| Blocked::Refused(no_token(refused.retry_after))),
    }
}

/// Takes a permit of the bulkhead or of the adaptive limit, if there is either. A refusal is not counted before it is
/// known that the call does not wait.
#[inline(always)]
fn acquire_concurrency<W>(held: &mut Held<&Parts>, wait: Option<W>) -> Result<(), Blocked<W>> {
    let parts = held.parts;
    if let Some(bulkhead) = &parts.bulkhead {
        match bulkhead.try_admit_uncounted() {
            Some(permit) => held.hold_bulkhead(permit),
            None => return Err(without_permit(parts, wait, || _ = bulkhead.refuse())),
        }
    } else if let Some(limit) = &parts.adaptive {
        match limit.try_admit_uncounted() {
            Some(permit) => held.hold_adaptive(permit),
            None => return Err(without_permit(parts, wait, || _ = limit.refuse())),
        }
    }
    Ok(())
}

/// A call that gets no permit at once waits for one, or is refused; `refuse` counts the refusal. Refusals of the
/// adaptive limit name the bulkhead too, in whose place it stands.
#[cold]
fn without_permit<W>(parts: &Parts, wait: Option<W>, refuse: impl FnOnce()) -> Blocked<W> {
    match wait {
        Some(wait) if parts.concurrency_waits => Blocked::Wait(wait),
        _ => {
            refuse();
            Blocked::Refused(Rejected::new(Layer::Bulkhead, None))
        }
    }
}

/// Waits for a token of the rate limit, if there is one.
pub(super) async fn wait_for_token(parts: &Parts, progress: &Progress) -> Result<(), Blocked> {
    let Some(limiter) = &parts.rate_limit else {
        return Ok(());
    };
    match progress.limit.run_with_deadline(parts, limiter.acquire(1)).await {
        Ok(taken) => taken.map_err(|refused| Blocked::Refused(no_token(refused.retry_after()))),
        Err(Elapsed { .. }) => Err(Blocked::Late),
    }
}

/// Waits for the extra rate limit, if there is one.
pub(super) async fn wait_for_extra_limit(parts: &Parts, progress: &Progress) -> Result<(), Blocked> {
    let Some(limit) = &parts.extra_limit else {
        return Ok(());
    };
    match progress.limit.run_with_deadline(parts, limit.pass()).await {
        Ok(passed) => passed.map_err(|refused| Blocked::Refused(no_token(refused.retry_after))),
        Err(Elapsed { .. }) => Err(Blocked::Late),
    }
}

/// Waits for a permit of the bulkhead or of the adaptive limit, if there is either.
pub(super) async fn wait_for_concurrency(held: &mut Held<&Parts>, progress: &Progress) -> Result<(), Blocked> {
    let parts = held.parts;
    let acquired = if let Some(bulkhead) = &parts.bulkhead {
        let acquired = progress.limit.run(parts, bulkhead.admit()).await;
        acquired.map(|permit| permit.map(|permit| held.hold_bulkhead(permit)).map_err(drop))
    } else if let Some(limit) = &parts.adaptive {
        let acquired = progress.limit.run(parts, limit.admit()).await;
        acquired.map(|permit| permit.map(|permit| held.hold_adaptive(permit)).map_err(drop))
    } else {
        Ok(Ok(()))
    };
    match acquired {
        Ok(Ok(())) => Ok(()),
        Ok(Err(())) => Err(Blocked::Refused(Rejected::new(Layer::Bulkhead, None))),
        Err(Elapsed { .. }) => Err(Blocked::Late),
    }
}
