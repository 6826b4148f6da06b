//! What all limiters have in common: somebody may wait for what they give out.

use super::error::{RateLimitError, Shortfall};
use crate::sync::wait_queue::{Ahead, Owner, Place, Turn};
use crate::time::{Clock, Sleep, Tick};
use pin_project_lite::pin_project;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long callers may wait, and how many of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) max_wait: Duration,
    pub(super) max_waiters: usize,
}

/// A limiter's shared state, as those who wait for it see it.
pub(super) trait Supply: Owner {
    fn clock(&self) -> &Clock;

    fn patience(&self) -> Patience;

    /// The largest request that can ever be met.
    fn capacity(&self) -> u64;

    /// Notes at `now` that a grant of `n` was taken.
    fn taken(&self, now: Tick, n: u64);

    /// What is missing for `n` at `now`, if those `ahead` are served first.
    fn shortfall(&self, now: Tick, ahead: Ahead, n: u64) -> Shortfall;
}

pin_project! {
    /// A wait for `n` from the limiter that `P` points to.
    ///
    /// The front of the queue waits until what it asks for is there, the others until they become the front; everybody
    /// at most until its own deadline.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives up the place in the queue, and what was granted and not yet taken.
    #[must_use = "futures do nothing unless awaited"]
    pub(super) struct Wait<P>
    where
        P: Deref,
        P::Target: Supply,
    {
        owner: P,
        place: Option<Place<P>>,
        n: u64,
        deadline: Tick,
        #[pin]
        sleep: Sleep,
    }
}

const NOBODY: Ahead = Ahead { waiting: 0, weight: 0 };

impl<P, S> Wait<P>
where
    P: Deref<Target = S> + Clone,
    S: Supply,
{
    /// Joins the queue at `now`, unless the queue is full or it is clear from the start that the wait would be too long.
    pub(super) fn join(owner: P, now: Tick, n: u64) -> Result<Self, RateLimitError> {
        let Patience { max_wait, max_waiters } = owner.patience();
        let supply = &*owner;
        let place = Place::join(owner.clone(), n, |ahead| {
            let short = supply.shortfall(now, ahead, n);
            if ahead.waiting < max_waiters && short.wait <= max_wait {
                Ok(())
            } else {
                Err(short.refuse(n))
            }
        })?;
        let deadline = now + max_wait;
        let sleep = owner.clock().sleep_until(deadline);
        Ok(Self {
            owner,
            place: Some(place),
            n,
            deadline,
            sleep,
        })
    }
}

impl<P, S> Future for Wait<P>
where
    P: Deref<Target = S>,
    S: Supply,
{
    type Output = Result<(), RateLimitError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let supply = &**this.owner;
        let n = *this.n;
        loop {
            let Some(place) = this.place else {
                panic!("a wait was polled after it was over");
            };
            let mut turn = place.poll(cx);
            let now = supply.clock().now();
            let ready_at = match turn {
                Turn::Front => now + supply.shortfall(now, NOBODY, n).wait,
                _ => *this.deadline,
            };
            if turn != Turn::Granted && ready_at <= now {
                // Its time has come, and maybe that of all before it, whose timers are late.
                place.settle();
                turn = place.poll(cx);
            }
            if turn == Turn::Granted {
                *this.place = None;
                supply.taken(now, n);
                return Poll::Ready(Ok(()));
            }
            // A change of the settings may have made it hopeless to wait on.
            if ready_at > *this.deadline || now >= *this.deadline || n > supply.capacity() {
                *this.place = None;
                return Poll::Ready(Err(refusal(supply, now, n)));
            }
            if this.sleep.deadline() != ready_at {
                this.sleep.as_mut().reset(ready_at);
            }
            ready!(this.sleep.as_mut().poll(cx));
        }
    }
}

/// Why `n` cannot be had at `now`, behind all who wait.
#[cold]
pub(super) fn refusal<S: Supply>(supply: &S, now: Tick, n: u64) -> RateLimitError {
    let capacity = supply.capacity();
    if n > capacity {
        return RateLimitError::ExceedsCapacity { requested: n, capacity };
    }
    supply.shortfall(now, supply.queue().ahead(), n).refuse(n)
}
