//! Waiting for a limiter: callers that it cannot admit at once form a bounded first-in, first-out queue.

use super::counts::Counts;
use super::error::{RateLimitError, Shortfall};
use super::permit::RateLimitPermit;
use super::snapshot::RateLimiterSnapshot;
use crate::gate::Admittance;
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::sync::wait_queue::{Ahead, Kind, Owner, Turn, Waiter};
use crate::time::{Clock, Deadline, Sleep, Tick, nanos};
use pin_project_lite::pin_project;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The shared state of a limiter that callers can wait for.
pub(super) trait Waitable: Owner {
    fn clock(&self) -> &Clock;

    fn counts(&self) -> &Counts;

    fn wait_limits(&self) -> &WaitLimits;

    /// The largest request that can ever be met.
    fn capacity(&self) -> u64;

    /// How much a request could take at `now`; 0 while others wait.
    fn available(&self, now: Tick) -> u64;

    /// Takes `n` at `now`, if it is available and nobody waits. Counts nothing.
    fn take(&self, now: Tick, n: u64) -> Result<(), RateLimitError>;

    /// Notes at `now` that a waiter has collected the `n` that the queue granted it.
    fn collected(&self, now: Tick, n: u64);

    /// What is missing for `n` at `now`, if those `ahead` are served first.
    fn shortfall(&self, now: Tick, ahead: Ahead, n: u64) -> Shortfall;

    /// Whether a request that cannot be met at once may wait. In shadow mode it is admitted instead.
    fn lets_callers_wait(&self) -> bool {
        !self.wait_limits().max_wait().is_zero() && !self.counts().is_shadow()
    }
}

/// For how long callers may wait, and how many of them at one time. Both may change while the limiter runs.
#[derive(Debug)]
pub(super) struct WaitLimits {
    max_wait: AtomicU64,
    max_waiters: AtomicU64,
}

impl WaitLimits {
    pub(super) fn new(max_wait: Duration, max_waiters: usize) -> Self {
        Self {
            max_wait: AtomicU64::new(nanos(max_wait)),
            max_waiters: AtomicU64::new(max_waiters as u64),
        }
    }

    pub(super) fn set(&self, max_wait: Duration, max_waiters: usize) {
        // Relaxed: each is a setting by itself, for decisions yet to come.
        self.max_wait.store(nanos(max_wait), Ordering::Relaxed);
        self.max_waiters.store(max_waiters as u64, Ordering::Relaxed);
    }

    pub(super) fn max_wait(&self) -> Duration {
        // Relaxed: as above.
        Duration::from_nanos(self.max_wait.load(Ordering::Relaxed))
    }

    fn max_waiters(&self) -> usize {
        // Relaxed: as above.
        self.max_waiters.load(Ordering::Relaxed) as usize
    }
}

/// Takes `n` at `now`, if it is available and nobody waits. Counts an admission, but no refusal, because the caller goes on
/// to wait.
#[inline]
pub(super) fn take_uncounted<S: Waitable>(limiter: &S, now: Tick, n: u64) -> bool {
    let taken = limiter.take(now, n).is_ok();
    if taken {
        limiter.counts().admit();
    }
    taken
}

/// Takes `n`, waiting for it as long as the limiter allows, and counts the outcome.
pub(super) async fn acquire<S: Waitable>(limiter: &S, n: u64) -> Result<(), RateLimitError> {
    let now = limiter.clock().now();
    // Most calls need not wait, and do not even touch what a wait is made of.
    let Err(refused) = limiter.take(now, n) else {
        limiter.counts().admit();
        return Ok(());
    };
    match wait_or_refuse(limiter, now, n, refused)? {
        None => Ok(()),
        Some(wait) => {
            let result = wait.await;
            limiter.counts().settle(result)
        }
    }
}

/// The admission of one call that has to wait, boxed to have a name; most calls need none.
pub(super) type Admission = Pin<Box<dyn Future<Output = Result<RateLimitPermit, RateLimitError>> + Send>>;

/// Admits one call, waiting as long as the limiter allows.
pub(super) fn admit_owned<S: Waitable + Send + Sync + 'static>(limiter: &Arc<S>) -> Admission {
    let limiter = limiter.clone();
    Box::pin(async move { acquire(&*limiter, 1).await.map(|()| RateLimitPermit::new()) })
}

/// Decides about one call at once, or lets it join the queue.
pub(super) fn ask<S>(limiter: &Arc<S>) -> Admittance<RateLimitPermit, RateLimitError, Admission>
where
    S: Waitable + Send + Sync + 'static,
{
    let now = limiter.clock().now();
    let Err(refused) = limiter.take(now, 1) else {
        limiter.counts().admit();
        return Admittance::Admitted(RateLimitPermit::new());
    };
    match wait_or_refuse(limiter.clone(), now, 1, refused) {
        Ok(None) => Admittance::Admitted(RateLimitPermit::new()),
        Err(refused) => Admittance::Refused(refused),
        Ok(Some(wait)) => {
            let limiter = limiter.clone();
            Admittance::Waits(Box::pin(async move {
                let result = match wait.in_time() {
                    Ok(wait) => wait.await,
                    Err(refused) => Err(refused),
                };
                limiter.counts().settle(result).map(|()| RateLimitPermit::new())
            }))
        }
    }
}

/// Joins the queue for `n` that was `refused` at `now`, if the limiter lets callers wait. A decision is counted.
#[inline(never)]
fn wait_or_refuse<P, S>(
    limiter: P,
    now: Tick,
    n: u64,
    refused: RateLimitError,
) -> Result<Option<Wait<P>>, RateLimitError>
where
    P: Deref<Target = S> + Clone,
    S: Waitable,
{
    let mut result = Err(refused);
    if matches!(refused, RateLimitError::RateLimitExceeded { .. }) && limiter.lets_callers_wait() {
        match Wait::join(limiter.clone(), now, n) {
            Ok(wait) => return Ok(Some(wait)),
            Err(refused) => result = Err(refused),
        }
    }
    limiter.counts().settle(result).map(|()| None)
}

/// Joins the queue for `n` at `now`, unless the queue is full or the wait would clearly be longer than `max_wait`.
pub(super) fn join<P, S>(
    limiter: P,
    now: Tick,
    n: u64,
    kind: Kind,
    max_wait: Duration,
) -> Result<Waiter<P>, RateLimitError>
where
    P: Deref<Target = S> + Clone,
    S: Waitable,
{
    let shared = &*limiter;
    Waiter::join(limiter.clone(), n, kind, |ahead| {
        let short = shared.shortfall(now, ahead, n);
        if ahead.waiting < shared.wait_limits().max_waiters() && short.wait <= max_wait {
            Ok(())
        } else {
            Err(short.refuse(n))
        }
    })
}

/// The counters of a limiter, and its state now.
pub(super) fn snapshot<S: Waitable>(limiter: &S) -> RateLimiterSnapshot {
    RateLimiterSnapshot {
        available: limiter.available(limiter.clock().now()),
        capacity: limiter.capacity(),
        waiting: limiter.queue().ahead().waiting as u64,
        ..limiter.counts().snapshot()
    }
}

/// The last tick before the caller's deadline: what becomes available at the deadline comes too late. `Tick::MAX` if the
/// caller has no deadline.
fn last_before_deadline(clock: &Clock) -> Tick {
    let deadline = Deadline::current(clock).map(Deadline::tick);
    deadline.map_or(Tick::MAX, |deadline| deadline - Duration::from_nanos(1))
}

/// The refusal of a request for `n` at `now`, whose `retry_after` counts in all who wait.
pub(super) fn refusal<S: Waitable>(limiter: &S, now: Tick, n: u64) -> RateLimitError {
    let capacity = limiter.capacity();
    if n > capacity {
        return RateLimitError::ExceedsCapacity { requested: n, capacity };
    }
    limiter.shortfall(now, limiter.queue().ahead(), n).refuse(n)
}

pin_project! {
    /// A wait for `n` from the limiter that `P` points to.
    ///
    /// The first waiter sets a timer for when its request can be met. All others set one for the end of their own wait, and
    /// look every second.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the queue, and gives back what was granted and not yet collected.
    #[must_use = "futures do nothing unless awaited"]
    pub(super) struct Wait<P>
    where
        P: Deref,
        P::Target: Waitable,
    {
        limiter: P,
        place: Option<Waiter<P>>,
        n: u64,
        // `None`: it waits as long as it takes, because a reservation has been promised its tokens.
        deadline: Option<Tick>,
        #[pin]
        sleep: Sleep,
    }
}

impl<P, S> Wait<P>
where
    P: Deref<Target = S> + Clone,
    S: Waitable,
{
    /// Joins the queue at `now`, to wait as long as the limiter and the caller's deadline allow.
    pub(super) fn join(limiter: P, now: Tick, n: u64) -> Result<Self, RateLimitError> {
        let end = (now + limiter.wait_limits().max_wait()).min(last_before_deadline(limiter.clock()));
        let place = join(limiter.clone(), now, n, Kind::Present, end - now)?;
        Ok(Self::new(limiter, place, n, Some(end)))
    }

    /// Applies the deadline of the future that is being polled, which need not be the one that joined the queue.
    fn in_time(mut self) -> Result<Self, RateLimitError> {
        let last = last_before_deadline(self.limiter.clock());
        if last < self.deadline.unwrap_or(Tick::MAX) {
            let now = self.limiter.clock().now();
            let short = self.place.as_ref().and_then(Waiter::ahead);
            let short = short.map(|ahead| self.limiter.shortfall(now, ahead, self.n));
            if let Some(short) = short.filter(|short| now + short.wait > last) {
                return Err(short.refuse(self.n));
            }
            self.deadline = Some(last);
        }
        Ok(self)
    }

    /// Waits in a place that was taken for `n` before, however long it takes.
    pub(super) fn in_place(limiter: P, place: Waiter<P>, n: u64) -> Self {
        Self::new(limiter, place, n, None)
    }

    fn new(limiter: P, place: Waiter<P>, n: u64, deadline: Option<Tick>) -> Self {
        let sleep = limiter.clock().sleep_until(deadline.unwrap_or(Tick::MAX));
        Self {
            limiter,
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
    S: Waitable,
{
    type Output = Result<(), RateLimitError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let limiter = &**this.limiter;
        let n = *this.n;
        loop {
            let Some(place) = this.place else {
                panic!("a wait was polled after it was over");
            };
            let mut turn = place.poll(cx);
            let now = limiter.clock().now();
            let outlook = outlook(limiter, place, turn, now, n, *this.deadline);
            if turn != Turn::Granted && outlook.wakes_at.min(this.sleep.deadline()) <= now {
                // The first request can be met by now, and maybe more, whose timers are late. Or it could be met a while
                // ago and its caller did not collect it: the queue takes that back in the end.
                place.settle();
                turn = place.poll(cx);
            }
            if turn == Turn::Granted {
                *this.place = None;
                limiter.collected(now, n);
                return Poll::Ready(Ok(()));
            }
            if outlook.is_over {
                *this.place = None;
                return Poll::Ready(Err(refusal(limiter, now, n)));
            }
            if this.sleep.deadline() != outlook.wakes_at {
                this.sleep.as_mut().reset(outlook.wakes_at);
            }
            ready!(this.sleep.as_mut().poll(cx));
        }
    }
}

/// How often a waiter that is not the first looks whether the first ones can be served. As long as those are polled they see
/// to it themselves, each when its time comes.
const UNATTENDED: Duration = Duration::from_secs(1);

/// Until when a waiter may sleep, and whether waiting on makes sense.
struct Outlook {
    wakes_at: Tick,
    is_over: bool,
}

fn outlook<P, S>(limiter: &S, place: &Waiter<P>, turn: Turn, now: Tick, n: u64, deadline: Option<Tick>) -> Outlook
where
    P: Deref<Target = S>,
    S: Waitable,
{
    let end = deadline.unwrap_or(Tick::MAX);
    // A change of the settings may have made the wait pointless.
    let hopeless = |ready_at: Tick| deadline.is_some() && (ready_at > end || n > limiter.capacity());
    if turn != Turn::Front {
        return Outlook {
            // The first waiter may be kept without being polled, and then serves nobody.
            wakes_at: end.min(now + UNATTENDED),
            is_over: now >= end || hopeless(now),
        };
    }
    let nobody = Ahead { waiting: 0, weight: 0 };
    let ahead = place.ahead().unwrap_or(nobody);
    let ready_at = now + limiter.shortfall(now, ahead, n).wait;
    let front_at = match limiter.queue().front() {
        Some(first) if ahead != nobody => now + limiter.shortfall(now, nobody, first).wait,
        _ => ready_at,
    };
    Outlook {
        wakes_at: front_at.min(end),
        is_over: now >= end || hopeless(ready_at),
    }
}
