//! Virtual time: a clock that is advanced by hand, and the timers that wait on it.

use super::clock::Source;
use super::{Clock, Tick};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A clock that moves only when it is advanced.
///
/// Clones advance the same clock, from any thread. To run futures on it, use an [`Executor`](super::Executor), which
/// advances its clock by itself; for code that only reads the time, advance it here.
///
/// ```
/// use c13_reliability::time::VirtualTime;
/// use std::time::Duration;
///
/// let time = VirtualTime::new();
/// let clock = time.clock();
/// let start = clock.now();
/// time.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now() - start, Duration::from_secs(3600));
/// ```
#[derive(Clone, Default)]
pub struct VirtualTime {
    shared: Arc<SharedTime>,
}

#[derive(Default)]
struct SharedTime {
    now: AtomicU64,
    timers: Mutex<Timers>,
}

impl VirtualTime {
    /// A clock that stands at its origin.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A clock for the parts under test; all clocks of this time show the same.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock {
            source: Source::Virtual(self.clone()),
        }
    }

    /// The time it shows.
    #[must_use]
    pub fn now(&self) -> Tick {
        // Relaxed: the time stands for nothing but itself; what a timer's firing publishes goes through the wakers.
        Tick::from_nanos(self.shared.now.load(Ordering::Relaxed))
    }

    /// Moves the time on by `step` and wakes what is due on the way, in the order of the deadlines.
    ///
    /// Complexity: O(log n) a timer.
    pub fn advance(&self, step: Duration) {
        self.advance_to(self.now() + step);
    }

    /// Moves the time on to `target` and wakes what is due on the way; does nothing if the time is past it.
    pub fn advance_to(&self, target: Tick) {
        while let Some((at, waker)) = self.pop_due(target) {
            self.set(at);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        self.set(target);
    }

    /// The earliest deadline that something waits for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        self.timers().next_deadline()
    }

    /// How many timers are waiting: zero when everything that was started has ended or was dropped.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.timers().live()
    }

    /// The identity of this virtual time, which differs from that of every other.
    pub(super) fn address(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    fn set(&self, to: Tick) {
        // Relaxed: as in `now`; `fetch_max` keeps the time from going back when two threads advance it.
        self.shared.now.fetch_max(to.as_nanos(), Ordering::Relaxed);
    }

    fn timers(&self) -> MutexGuard<'_, Timers> {
        // No user code runs under this lock, so a poisoned one still holds a whole value.
        self.shared.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop_due(&self, target: Tick) -> Option<(Tick, Option<Waker>)> {
        self.timers().pop_due(target)
    }
}

impl fmt::Debug for VirtualTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VirtualTime({:?})", self.now())
    }
}

/// The waiting timers: a heap of deadlines over a slab of wakers. A cancelled timer's heap entry stays until it comes
/// up or until half of the heap is such entries.
#[derive(Default)]
struct Timers {
    heap: BinaryHeap<Reverse<(Tick, u64, usize)>>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    next_number: u64,
}

#[derive(Default)]
struct Slot {
    /// The timer that holds the slot, 0 for none. Heap entries with another number are obsolete.
    number: u64,
    waker: Option<Waker>,
}

impl Timers {
    fn live(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn insert(&mut self, at: Tick, waker: Waker) -> (u64, usize) {
        self.next_number += 1;
        let number = self.next_number;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        self.slots[slot] = Slot {
            number,
            waker: Some(waker),
        };
        self.heap.push(Reverse((at, number, slot)));
        (number, slot)
    }

    fn update(&mut self, number: u64, slot: usize, waker: &Waker) {
        let slot = &mut self.slots[slot];
        if slot.number == number && !slot.waker.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            slot.waker = Some(waker.clone());
        }
    }

    /// Gives the slot back and returns its waker, to be dropped outside the lock.
    fn remove(&mut self, number: u64, slot: usize) -> Option<Waker> {
        if self.slots[slot].number != number {
            return None;
        }
        let waker = self.vacate(slot);
        if self.heap.len() > 64 && self.heap.len() > 2 * self.live() {
            let slots = &self.slots;
            self.heap
                .retain(|Reverse((_, number, slot))| slots[*slot].number == *number);
        }
        waker
    }

    fn vacate(&mut self, slot: usize) -> Option<Waker> {
        self.free.push(slot);
        std::mem::take(&mut self.slots[slot]).waker
    }

    fn next_deadline(&mut self) -> Option<Tick> {
        while let Some(Reverse((at, number, slot))) = self.heap.peek() {
            if self.slots[*slot].number == *number {
                return Some(*at);
            }
            self.heap.pop();
        }
        None
    }

    fn pop_due(&mut self, target: Tick) -> Option<(Tick, Option<Waker>)> {
        let at = self.next_deadline().filter(|at| *at <= target)?;
        let Reverse((_, _, slot)) = self.heap.pop()?;
        Some((at, self.vacate(slot)))
    }
}

/// One wait on a virtual clock. Dropping it removes its timer.
pub(super) struct VirtualTimer {
    time: VirtualTime,
    deadline: Tick,
    place: Option<(u64, usize)>,
}

impl VirtualTimer {
    pub(super) fn new(time: VirtualTime, deadline: Tick) -> Self {
        Self {
            time,
            deadline,
            place: None,
        }
    }
}

impl Future for VirtualTimer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.time.now() >= self.deadline {
            return Poll::Ready(());
        }
        let this = &mut *self;
        let mut timers = this.time.timers();
        match this.place {
            Some((number, slot)) => timers.update(number, slot, cx.waker()),
            None => this.place = Some(timers.insert(this.deadline, cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for VirtualTimer {
    fn drop(&mut self) {
        if let Some((number, slot)) = self.place {
            let waker = self.time.timers().remove(number, slot);
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Wake;

    struct Count(AtomicU64);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_timer_fires_at_its_instant_and_once() {
        let time = VirtualTime::new();
        let count = Arc::new(Count(AtomicU64::new(0)));
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let mut sleep = Box::pin(time.clock().sleep(Duration::from_nanos(10)));
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        time.advance(Duration::from_nanos(9));
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        time.advance(Duration::from_nanos(1));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(sleep.as_mut().poll(&mut cx).is_ready());
        time.advance(Duration::from_secs(1));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn cancelled_timers_leave_nothing_behind() {
        let time = VirtualTime::new();
        let clock = time.clock();
        let mut cx = Context::from_waker(Waker::noop());
        let mut keep: Vec<Pin<Box<_>>> = Vec::new();
        for n in 0..10_000_u64 {
            let mut sleep = Box::pin(clock.sleep(Duration::from_secs(1 + n % 7)));
            assert!(sleep.as_mut().poll(&mut cx).is_pending());
            if n % 100 == 0 {
                keep.push(sleep);
            }
        }
        assert_eq!(time.waiting(), keep.len());
        assert!(time.timers().heap.len() <= 2 * keep.len() + 65, "the heap is compacted");
        drop(keep);
        assert_eq!(time.waiting(), 0);
        assert_eq!(time.next_deadline(), None);
    }

    #[test]
    fn the_far_end_of_time_never_comes_and_takes_no_timer() {
        let time = VirtualTime::new();
        let mut sleep = Box::pin(time.clock().sleep_until(Tick::MAX));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        assert_eq!(time.waiting(), 0);
        time.advance_to(Tick::MAX);
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
    }

    #[test]
    fn a_wait_can_be_moved() {
        let time = VirtualTime::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut sleep = Box::pin(time.clock().sleep(Duration::from_secs(5)));
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        sleep.as_mut().reset(Tick::from_nanos(7));
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        assert_eq!(time.next_deadline(), Some(Tick::from_nanos(7)));
        time.advance(Duration::from_nanos(7));
        assert!(sleep.as_mut().poll(&mut cx).is_ready());
    }
}
