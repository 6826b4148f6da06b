//! A deadline that travels with the call: carried by the task, seen by everything below, shortened but never lengthened.

use super::clock::Origin;
use super::{Clock, Tick};
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// When the caller stops waiting.
///
/// A deadline that is set around a future with [`scope`](Deadline::scope) is seen by everything that runs inside it:
/// a retry does not sleep past it, a time limit is cut to it, and work whose deadline has passed is not started. Inside
/// another deadline the earlier one counts, so a deadline is shortened on the way down and never lengthened.
///
/// It belongs to the future, not to the thread: a task that is started inside does not have it, unless what it runs is
/// wrapped by [`inherit`](Deadline::inherit) first. Parts that run on another [`Clock`] do not see it, because ticks of
/// two clocks cannot be compared; two clocks that both follow the system's time, or both tokio's, count as one.
///
/// ```
/// use c13_reliability::time::{Deadline, Executor};
/// use std::time::Duration;
///
/// let executor = Executor::new();
/// let clock = executor.clock();
/// let left = executor.block_on(Deadline::after(&clock, Duration::from_millis(300)).scope(async {
///     clock.sleep(Duration::from_millis(100)).await;
///     Deadline::current(&clock).map(|deadline| deadline.remaining(&clock))
/// }));
/// assert_eq!(left, Some(Duration::from_millis(200)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    at: Tick,
    origin: Origin,
}

impl Deadline {
    /// The deadline at `at` of `clock`.
    #[must_use]
    pub fn at(clock: &Clock, at: Tick) -> Self {
        Self {
            at,
            origin: clock.origin(),
        }
    }

    /// The deadline `limit` from now.
    #[must_use]
    pub fn after(clock: &Clock, limit: Duration) -> Self {
        Self::at(clock, clock.now() + limit)
    }

    /// The deadline of the future that is being polled, on `clock`; `None` if it has none there.
    ///
    /// Costs two reads of thread-locals. Inside the very first poll of a time limit it reads the clock too.
    #[must_use]
    #[inline]
    pub fn current(clock: &Clock) -> Option<Self> {
        match (CARRIED_AT.get(), WITHIN.get()) {
            (Tick::MAX, UNLIMITED) => None,
            (_, within) => Self::earliest(clock, within),
        }
    }

    /// On `clock`, the earlier of the deadline that is carried and of a limit that begins now.
    #[inline(never)]
    fn earliest(clock: &Clock, within: u64) -> Option<Self> {
        let carried = Carried::now().and_then(|deadline| deadline.on(clock));
        match within {
            UNLIMITED => carried,
            nanos => Some(Self::after(clock, Duration::from_nanos(nanos)).or_earlier(carried)),
        }
    }

    /// Whether the deadline of the future that is being polled has passed, on `clock`: then no caller waits for its result.
    ///
    /// Reads the clock only if there is a deadline.
    #[must_use]
    // Always inlined: calls that carry no deadline, most of them, pay for one comparison only.
    #[inline]
    pub fn is_over(clock: &Clock) -> bool {
        // A limit that began with this poll is not over.
        CARRIED_AT.get() < Tick::MAX && Self::carried_has_passed(clock)
    }

    #[cold]
    #[inline(never)]
    fn carried_has_passed(clock: &Clock) -> bool {
        let deadline = Carried::now().and_then(|deadline| deadline.on(clock));
        deadline.is_some_and(|deadline| clock.now() >= deadline.at)
    }

    /// The tick of the deadline that is carried, whatever its clock; the far end of time if there is none.
    pub(crate) fn carried() -> Tick {
        CARRIED_AT.get()
    }

    /// Its tick, on the clock it was made for.
    #[must_use]
    pub fn tick(self) -> Tick {
        self.at
    }

    /// How long until it passes, by `clock`; zero if it has, or if it belongs to another clock.
    #[must_use]
    pub fn remaining(self, clock: &Clock) -> Duration {
        self.on(clock)
            .map_or(Duration::ZERO, |deadline| deadline.at - clock.now())
    }

    /// The same deadline on `clock`; `None` if its ticks cannot be compared with that clock's.
    #[must_use]
    pub fn on(self, clock: &Clock) -> Option<Self> {
        self.from(clock.origin())
    }

    /// Runs `future` with this deadline, or with the one already set where that is earlier.
    ///
    /// It carries the deadline and does not enforce it; a time limit does that.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside.
    pub fn scope<F: Future>(self, future: F) -> WithDeadline<F> {
        WithDeadline {
            future,
            deadline: Some(self),
        }
    }

    /// Gives `future` the deadline of the future that is being polled now, so that it keeps it in a task of its own.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside.
    pub fn inherit<F: Future>(clock: &Clock, future: F) -> WithDeadline<F> {
        WithDeadline {
            future,
            deadline: Self::current(clock),
        }
    }

    /// Seen from another origin, where that is possible.
    fn from(self, origin: Origin) -> Option<Self> {
        let at = match (self.origin, origin) {
            (own, other) if own == other => self.at,
            #[cfg(feature = "tokio")]
            (Origin::Tokio(own), Origin::Tokio(other)) => {
                self.at + own.saturating_duration_since(other) - other.saturating_duration_since(own)
            }
            #[cfg(any(target_os = "linux", test, feature = "test-util", feature = "tokio"))]
            _ => return None,
            #[cfg(not(any(target_os = "linux", test, feature = "test-util", feature = "tokio")))]
            _ => self.at,
        };
        Some(Self { at, origin })
    }

    fn carry(&self) {
        CARRIED_AT.set(self.at);
        CARRIED_ORIGIN.set(self.origin);
    }

    /// The earlier of the two; itself where they cannot be compared.
    fn or_earlier(self, other: Option<Self>) -> Self {
        match other.and_then(|other| other.from(self.origin)) {
            Some(other) if other.at < self.at => other,
            _ => self,
        }
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Deadline").field(&self.at).finish()
    }
}

/// Stands for no limit in nanoseconds.
const UNLIMITED: u64 = u64::MAX;

thread_local! {
    /// The deadline of the future that is being polled: the far end of time if it has none, and of which clock it is. Two
    /// cells, so that where there is none nothing is read or put back but one number.
    static CARRIED_AT: Cell<Tick> = const { Cell::new(Tick::MAX) };
    static CARRIED_ORIGIN: Cell<Origin> = const { Cell::new(Origin::System) };
    /// The least of the limits that began with this very poll and have not read their clock yet, in nanoseconds.
    static WITHIN: Cell<u64> = const { Cell::new(UNLIMITED) };
}

/// A deadline while a future is polled under it; dropping it puts back the one before.
#[must_use = "the deadline holds while this lives"]
pub(crate) struct Carried {
    before: Option<Deadline>,
}

impl Carried {
    /// `deadline`, or the one already set where that is earlier.
    #[inline]
    pub(crate) fn until(deadline: Deadline) -> Self {
        Self::at(deadline.at, &deadline)
    }

    /// The same, for the deadline at `at` on the clock that `other` is of.
    #[inline]
    pub(crate) fn at(at: Tick, other: &Deadline) -> Self {
        if CARRIED_AT.get() < Tick::MAX {
            return Self::inside(Deadline { at, ..*other });
        }
        CARRIED_AT.set(at);
        CARRIED_ORIGIN.set(other.origin);
        Self { before: None }
    }

    #[inline(never)]
    fn inside(deadline: Deadline) -> Self {
        let before = Self::now();
        deadline.or_earlier(before).carry();
        Self { before }
    }

    /// What is carried now.
    fn now() -> Option<Deadline> {
        let at = CARRIED_AT.get();
        let origin = CARRIED_ORIGIN.get();
        (at < Tick::MAX).then_some(Deadline { at, origin })
    }
}

impl Drop for Carried {
    #[inline]
    fn drop(&mut self) {
        match &self.before {
            None => CARRIED_AT.set(Tick::MAX),
            Some(before) => before.carry(),
        }
    }
}

/// A limit that begins with the poll it is set in, and that reads the clock only if the deadline is asked for;
/// dropping it puts back the one before.
#[must_use = "the limit holds while this lives"]
pub(crate) struct Within {
    before: u64,
}

impl Within {
    /// `nanos` from now, or the limit already set where that is less.
    #[inline]
    pub(crate) fn nanos(nanos: u64) -> Self {
        let before = WITHIN.get();
        WITHIN.set(nanos.min(before));
        Self { before }
    }
}

impl Drop for Within {
    #[inline]
    fn drop(&mut self) {
        WITHIN.set(self.before);
    }
}

pin_project! {
    /// A future with a deadline; made by [`Deadline::scope`] and [`Deadline::inherit`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct WithDeadline<F> {
        #[pin]
        future: F,
        deadline: Option<Deadline>,
    }
}

impl<F: Future> Future for WithDeadline<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _carried = this.deadline.map(Carried::until);
        this.future.poll(cx)
    }
}

impl<F> fmt::Debug for WithDeadline<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithDeadline")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Executor, VirtualTime};
    use super::*;
    use std::future::poll_fn;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::task::Waker;

    const SECOND: Duration = Duration::from_secs(1);

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// The deadline that a future sees when it asks, in nanoseconds.
    async fn seen(clock: &Clock) -> Option<u64> {
        Deadline::current(clock).map(|deadline| deadline.tick().as_nanos())
    }

    fn at(clock: &Clock, nanos: u64) -> Deadline {
        Deadline::at(clock, Tick::from_nanos(nanos))
    }

    #[test]
    fn a_deadline_is_shortened_on_the_way_down_and_never_lengthened() {
        let executor = Executor::new();
        let clock = executor.clock();
        let told = executor.block_on(at(&clock, 100).scope(async {
            let longer = at(&clock, 500).scope(seen(&clock)).await;
            let shorter = at(&clock, 50).scope(seen(&clock)).await;
            [longer, shorter, seen(&clock).await]
        }));
        assert_eq!(told, [Some(100), Some(50), Some(100)]);
        assert_eq!(executor.block_on(seen(&clock)), None);
    }

    #[test]
    fn a_deadline_belongs_to_its_future_and_not_to_the_thread() {
        let executor = Executor::new();
        let clock = executor.clock();
        let (mine, inner) = (clock.clone(), clock.clone());
        let task = executor.spawn(at(&clock, 5_000_000_000).scope(async move {
            mine.sleep(SECOND).await;
            seen(&mine).await
        }));
        let other = executor.spawn(async move {
            inner.sleep(SECOND / 2).await;
            seen(&inner).await
        });
        let told = executor.block_on(async { (other.await, task.await) });
        assert_eq!(told, (None, Some(5_000_000_000)));
    }

    #[test]
    fn a_task_of_its_own_keeps_the_deadline_it_inherits() {
        let executor = Executor::new();
        let clock = executor.clock();
        let spawner = executor.spawner();
        let told = executor.block_on(at(&clock, 70).scope(async {
            let asker = clock.clone();
            let kept = Deadline::inherit(&clock, async move { seen(&asker).await });
            let asker = clock.clone();
            let lost = async move { seen(&asker).await };
            (spawner.spawn(kept).await, spawner.spawn(lost).await)
        }));
        assert_eq!(told, (Some(70), None));
    }

    const SECOND_NANOS: u64 = 1_000_000_000;

    #[test]
    fn a_limit_in_its_first_poll_is_a_deadline_for_whoever_asks() {
        let time = VirtualTime::new();
        let clock = time.clock();
        time.advance(SECOND);
        let _limit = Within::nanos(SECOND_NANOS);
        {
            let _longer = Within::nanos(3 * SECOND_NANOS);
            assert_eq!(poll(pin!(seen(&clock))), Poll::Ready(Some(2 * SECOND_NANOS)));
        }
        {
            let _shorter = Within::nanos(SECOND_NANOS / 2);
            assert_eq!(poll(pin!(seen(&clock))), Poll::Ready(Some(1_500_000_000)));
        }
        {
            let _deadline = Carried::until(at(&clock, 1_200_000_000));
            assert_eq!(poll(pin!(seen(&clock))), Poll::Ready(Some(1_200_000_000)));
        }
        assert_eq!(poll(pin!(seen(&clock))), Poll::Ready(Some(2 * SECOND_NANOS)));
    }

    #[test]
    fn a_limit_inside_a_deadline_is_cut_to_it() {
        let time = VirtualTime::new();
        let clock = time.clock();
        let _outer = Carried::until(at(&clock, 10));
        let _inner = Within::nanos(SECOND_NANOS);
        assert_eq!(poll(pin!(seen(&clock))), Poll::Ready(Some(10)));
    }

    #[test]
    fn a_deadline_is_over_from_its_instant_on() {
        let time = VirtualTime::new();
        let clock = time.clock();
        assert!(!Deadline::is_over(&clock));
        let _until = Carried::until(at(&clock, 10));
        let _within = Within::nanos(SECOND_NANOS);
        time.advance(Duration::from_nanos(9));
        assert!(!Deadline::is_over(&clock));
        time.advance(Duration::from_nanos(1));
        assert!(Deadline::is_over(&clock));
        assert!(!Deadline::is_over(&VirtualTime::new().clock()), "not another clock's");
    }

    #[test]
    fn a_panic_takes_the_deadline_with_it() {
        let time = VirtualTime::new();
        let clock = time.clock();
        let mut future = pin!(at(&clock, 10).scope(poll_fn(|_| -> Poll<()> { panic!("boom") })));
        assert!(catch_unwind(AssertUnwindSafe(|| poll(future.as_mut()))).is_err());
        assert_eq!(poll(pin!(seen(&clock))), Poll::Ready(None));
    }

    #[test]
    fn another_clock_does_not_see_the_deadline() {
        let (one, other) = (VirtualTime::new().clock(), VirtualTime::new());
        let deadline = at(&one, 10);
        assert_eq!(
            poll(pin!(deadline.scope(seen(&Clock::system())))),
            Poll::Ready(None),
            "a virtual deadline says nothing about real time"
        );
        assert_eq!(deadline.on(&other.clock()), None);
        assert_eq!(deadline.remaining(&other.clock()), Duration::ZERO);
    }

    #[test]
    fn all_system_clocks_see_the_same_deadline() {
        let deadline = Deadline::after(&Clock::system(), 60 * SECOND);
        let told = poll(pin!(deadline.scope(async { Deadline::current(&Clock::system()) })));
        assert_eq!(told, Poll::Ready(Some(deadline)));
        assert!(deadline.remaining(&Clock::system()) > 59 * SECOND);
    }

    #[cfg(feature = "tokio")]
    #[tokio::test(start_paused = true)]
    async fn two_clocks_on_tokio_time_count_as_one() {
        let early = Clock::tokio();
        tokio::time::advance(3 * SECOND).await;
        let late = Clock::tokio();
        let deadline = Deadline::after(&early, SECOND);
        assert_eq!(deadline.tick(), Tick::ZERO + 4 * SECOND);
        assert_eq!(deadline.on(&late).map(Deadline::tick), Some(Tick::ZERO + SECOND));
        assert_eq!(
            deadline.on(&late).and_then(|deadline| deadline.on(&early)),
            Some(deadline)
        );
    }
}
