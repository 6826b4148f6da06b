//! Attempts of one call that run at the same time: a hedge starts another one beside an attempt that is late.

use super::admission::{Blocked, acquire_breaker, wait_for_token};
use super::attempt::{AttemptFuture, Unsettled};
use super::events;
use super::held::{Held, Suspended};
use super::limit::AttemptLimit;
use super::progress::Progress;
use super::rules::Rules;
use crate::patterns::hedge::{Hedge, HedgeError};
use crate::patterns::retry::Verdict;
use crate::policy::config::RateLimitPer;
use crate::policy::parts::Parts;
use crate::sync::primitive::Mutex;
use std::future::Future;
use std::mem;

/// Makes the attempts of a call.
pub(super) struct Maker<'c, F, T> {
    pub(super) operation: &'c mut F,
    pub(super) progress: &'c mut Progress,
    /// The value of the attempt before. It is dropped when the next one begins.
    pub(super) last_value: &'c mut Option<T>,
}

/// Makes an attempt, and others beside it where it takes long. The first one has its token already.
pub(super) async fn race<F, Fut, T, E, R>(
    parts: &Parts,
    hedge: &Hedge,
    rules: &R,
    maker: Maker<'_, F, T>,
) -> Result<T, Unsettled<T, E>>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
{
    let call_limit = AttemptLimit::of_call(maker.progress.limit);
    let shared = Mutex::new(Some(maker));
    // The first attempt asks for admission before any other is started: it is alone then.
    let mut is_first = true;
    let race = hedge.execute_with(
        || next(parts, rules, &shared, mem::replace(&mut is_first, false)),
        // Whether the result ends the race, although other attempts may still run.
        |result| match result {
            Ok(_) => true,
            Err(Unsettled::Gave(_, verdict)) => *verdict == Verdict::Final,
            Err(Unsettled::Refused { is_alone, .. }) => *is_alone,
            Err(Unsettled::TimedOut(limit)) => limit.is_of_call(),
        },
    );
    race.await.map_err(|error| match error {
        HedgeError::CallFailed(unsettled) => unsettled,
        HedgeError::DeadlinePassed => Unsettled::TimedOut(call_limit),
    })
}

/// The next attempt. It asks for admission when it is polled.
async fn next<F, Fut, T, E, R>(
    parts: &Parts,
    rules: &R,
    shared: &Mutex<Option<Maker<'_, F, T>>>,
    is_alone: bool,
) -> Result<T, Unsettled<T, E>>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
{
    if !is_alone && parts.config.rate_limit_per == RateLimitPer::Attempt {
        let progress = lend(shared, |maker| *maker.progress);
        let taken = wait_for_token(parts, &progress).await;
        taken.map_err(|blocked| match blocked {
            Blocked::Late => Unsettled::TimedOut(AttemptLimit::of_call(progress.limit)),
            Blocked::Refused(rejected) => Unsettled::Refused { rejected, is_alone },
        })?;
    }
    let attempt = lend(shared, |maker| {
        let mut held = Held::nothing(parts);
        acquire_breaker(&mut held, maker.progress).map_err(|rejected| Unsettled::Refused { rejected, is_alone })?;
        *maker.last_value = None;
        let limit = maker.progress.next_attempt(parts);
        if !is_alone {
            events::hedges(parts, maker.progress.attempts);
        }
        let future = (maker.operation)();
        let held = Suspended::new(parts, held.take_tickets());
        Ok(AttemptFuture::new(held, limit, future, rules))
    });
    attempt?.await
}

/// Lends the maker to one attempt, so that none of the caller's code runs under the lock.
fn lend<'c, F, T, M>(shared: &Mutex<Option<Maker<'c, F, T>>>, make: impl FnOnce(&mut Maker<'c, F, T>) -> M) -> M {
    let lent = shared.lock().take();
    let mut maker = lent.expect("one task polls all attempts, and each of them gives back what it was lent");
    let made = make(&mut maker);
    *shared.lock() = Some(maker);
    made
}
