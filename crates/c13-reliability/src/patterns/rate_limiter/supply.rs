//! What all limiters have in common: somebody may wait for what they give out.

use super::desk::Desk;
use super::error::{RateLimitError, Shortfall};
use crate::sync::wait_queue::{Ahead, Kind, Owner, Place, Turn};
use crate::time::{Clock, Deadline, Sleep, Tick};
use pin_project_lite::pin_project;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A limiter's shared state, as those who ask it see it.
pub(super) trait Supply: Owner {
    fn clock(&self) -> &Clock;

    fn desk(&self) -> &Desk;

    /// The largest request that can ever be met.
    fn capacity(&self) -> u64;

    /// Takes `n` at `now`, if it is there and nobody waits.
    fn take(&self, now: Tick, n: u64) -> Result<(), RateLimitError>;

    /// Notes at `now` that a grant of `n` was taken.
    fn taken(&self, now: Tick, n: u64);

    /// What is missing for `n` at `now`, if those `ahead` are served first.
    fn shortfall(&self, now: Tick, ahead: Ahead, n: u64) -> Shortfall;
}

/// Takes `n` at `now`, if it is there and nobody waits: whether it was. Counts no refusal, for who waits then.
#[inline]
pub(super) fn take_or_wait<S: Supply>(supply: &S, now: Tick, n: u64) -> bool {
    let taken = supply.take(now, n).is_ok();
    if taken {
        supply.desk().admit();
    }
    taken
}

/// Takes `n`, waits for it as long as the limiter lets callers wait, and counts what came of it.
pub(super) async fn acquire<S: Supply>(supply: &S, n: u64) -> Result<(), RateLimitError> {
    let now = supply.clock().now();
    // Most need not wait; what a wait is made of is not even touched for them.
    let Err(refused) = supply.take(now, n) else {
        supply.desk().admit();
        return Ok(());
    };
    match ask_again(supply, now, n, refused)? {
        None => Ok(()),
        Some(wait) => {
            let result = wait.await;
            supply.desk().close(result)
        }
    }
}

/// Takes `n`, or joins the queue for it if the limiter lets callers wait. What is decided is counted.
#[cfg(feature = "tower")]
pub(super) fn ask<P, S>(owner: P, n: u64) -> Result<Option<Wait<P>>, RateLimitError>
where
    P: Deref<Target = S> + Clone,
    S: Supply,
{
    let now = owner.clock().now();
    match owner.take(now, n) {
        Ok(()) => {
            owner.desk().admit();
            Ok(None)
        }
        Err(refused) => ask_again(owner, now, n, refused),
    }
}

/// Joins the queue for `n` that was `refused` at `now`, if the limiter lets callers wait. What is decided is counted.
#[inline(never)]
fn ask_again<P, S>(owner: P, now: Tick, n: u64, refused: RateLimitError) -> Result<Option<Wait<P>>, RateLimitError>
where
    P: Deref<Target = S> + Clone,
    S: Supply,
{
    let mut result = Err(refused);
    if matches!(refused, RateLimitError::RateLimitExceeded { .. }) && owner.desk().waits() {
        match Wait::join(owner.clone(), now, n) {
            Ok(wait) => return Ok(Some(wait)),
            Err(refused) => result = Err(refused),
        }
    }
    owner.desk().close(result).map(|()| None)
}

/// Joins the queue for `n` at `now`, unless the queue is full or it is clear from the start that the wait would be longer
/// than `max_wait`.
pub(super) fn join<P, S>(
    owner: P,
    now: Tick,
    n: u64,
    kind: Kind,
    max_wait: Duration,
) -> Result<Place<P>, RateLimitError>
where
    P: Deref<Target = S> + Clone,
    S: Supply,
{
    let supply = &*owner;
    Place::join(owner.clone(), n, kind, |ahead| {
        let short = supply.shortfall(now, ahead, n);
        if ahead.waiting < supply.desk().max_waiters() && short.wait <= max_wait {
            Ok(())
        } else {
            Err(short.refuse(n))
        }
    })
}

/// The last tick at which what the caller waits for is of use to it: the far end of time, if it has no deadline. What comes
/// at a deadline comes too late.
fn last_of_use(clock: &Clock) -> Tick {
    let deadline = Deadline::current(clock).map(Deadline::tick);
    deadline.map_or(Tick::MAX, |deadline| deadline - Duration::from_nanos(1))
}

/// What came of a request for `n` at `now` that others were before: it is refused, behind all who wait.
pub(super) fn refusal<S: Supply>(supply: &S, now: Tick, n: u64) -> RateLimitError {
    let capacity = supply.capacity();
    if n > capacity {
        return RateLimitError::ExceedsCapacity { requested: n, capacity };
    }
    supply.shortfall(now, supply.queue().ahead(), n).refuse(n)
}

pin_project! {
    /// A wait for `n` from the limiter that `P` points to.
    ///
    /// The first who waits sets a timer for when what is asked for at the front is there, the others for their own
    /// deadlines, and for every second.
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
        // `None`: it waits as long as it takes, and was told so.
        deadline: Option<Tick>,
        #[pin]
        sleep: Sleep,
    }
}

impl<P, S> Wait<P>
where
    P: Deref<Target = S> + Clone,
    S: Supply,
{
    /// Joins the queue at `now` and waits as long as the limiter and the caller's deadline allow.
    pub(super) fn join(owner: P, now: Tick, n: u64) -> Result<Self, RateLimitError> {
        let end = (now + owner.desk().max_wait()).min(last_of_use(owner.clock()));
        let place = join(owner.clone(), now, n, Kind::Present, end - now)?;
        Ok(Self::new(owner, place, n, Some(end)))
    }

    /// Heeds the deadline of the future that is being polled too, which need not be the one it was joined in.
    #[cfg(feature = "tower")]
    pub(super) fn in_time(mut self) -> Result<Self, RateLimitError> {
        let last = last_of_use(self.owner.clock());
        if last < self.deadline.unwrap_or(Tick::MAX) {
            let now = self.owner.clock().now();
            let short = self.place.as_ref().and_then(Place::ahead);
            let short = short.map(|ahead| self.owner.shortfall(now, ahead, self.n));
            if let Some(short) = short.filter(|short| now + short.wait > last) {
                return Err(short.refuse(self.n));
            }
            self.deadline = Some(last);
        }
        Ok(self)
    }

    /// Waits in a place that was taken for `n` before, however long it takes.
    pub(super) fn in_place(owner: P, place: Place<P>, n: u64) -> Self {
        Self::new(owner, place, n, None)
    }

    fn new(owner: P, place: Place<P>, n: u64, deadline: Option<Tick>) -> Self {
        let sleep = owner.clock().sleep_until(deadline.unwrap_or(Tick::MAX));
        Self {
            owner,
            place: Some(place),
            n,
            deadline,
            sleep,
        }
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
            let plan = plan(supply, place, turn, now, n, *this.deadline);
            if turn != Turn::Granted && plan.wakes_at.min(this.sleep.deadline()) <= now {
                // The time of the front has come, and maybe that of more, whose timers are late. Or it has come and gone,
                // because somebody was promised a place and did not come for it: that is over after a while.
                place.settle();
                turn = place.poll(cx);
            }
            if turn == Turn::Granted {
                *this.place = None;
                supply.taken(now, n);
                return Poll::Ready(Ok(()));
            }
            if plan.is_over {
                *this.place = None;
                return Poll::Ready(Err(refusal(supply, now, n)));
            }
            if this.sleep.deadline() != plan.wakes_at {
                this.sleep.as_mut().reset(plan.wakes_at);
            }
            ready!(this.sleep.as_mut().poll(cx));
        }
    }
}

/// How often a waiter that is not the first looks whether the first ones can be served. While they are polled they see to
/// that themselves, each when its time comes.
const UNATTENDED: Duration = Duration::from_secs(1);

/// How long a waiter may sleep, and whether there is any use in waiting on.
struct Outlook {
    wakes_at: Tick,
    is_over: bool,
}

fn plan<P, S>(supply: &S, place: &Place<P>, turn: Turn, now: Tick, n: u64, deadline: Option<Tick>) -> Outlook
where
    P: Deref<Target = S>,
    S: Supply,
{
    let end = deadline.unwrap_or(Tick::MAX);
    // A change of the settings may have made it hopeless.
    let hopeless = |ready_at: Tick| deadline.is_some() && (ready_at > end || n > supply.capacity());
    if turn != Turn::Front {
        return Outlook {
            // Whoever is first may be kept without being polled, and then serves nobody.
            wakes_at: end.min(now + UNATTENDED),
            is_over: now >= end || hopeless(now),
        };
    }
    let nobody = Ahead { waiting: 0, weight: 0 };
    let ahead = place.ahead().unwrap_or(nobody);
    let ready_at = now + supply.shortfall(now, ahead, n).wait;
    let front_at = match supply.queue().front() {
        Some(first) if ahead != nobody => now + supply.shortfall(now, nobody, first).wait,
        _ => ready_at,
    };
    Outlook {
        wakes_at: front_at.min(end),
        is_over: now >= end || hopeless(ready_at),
    }
}
