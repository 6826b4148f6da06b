//! The semaphore: permits with a queue in front of them, settings that can be changed while calls run, and what is counted.

use super::permits::{Permits, Queue};
use super::snapshot::{ConcurrentCalls, PermitCount};
use super::state::PackedState;
use crate::gate::cut_short;
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::sync::wait_queue::{Owner, WaitQueue};
use crate::sync::{Count as _, Histogram, Stripes, Tally};
use crate::time::{Clock, Deadline, Tick, nanos};
use std::time::Duration;

/// A number of permits, and a bounded queue in front of them, first come, first served.
pub(crate) struct Semaphore {
    pub(super) permits: Permits,
    queue: WaitQueue,
    max_queue: AtomicU64,
    /// In nanoseconds; `u64::MAX` is no limit.
    max_wait: AtomicU64,
    clock: Clock,
    counts: Tally<PermitCount>,
    /// How long calls waited that got a permit, in nanoseconds.
    waited: Histogram,
}

/// Why a call gets no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcquireError {
    /// All permits are taken, and the queue is full.
    Full { limit: u32 },
    /// The call waited for as long as it may, or until its deadline.
    WaitElapsed { waited: Duration },
    /// The call's deadline had passed before it asked.
    DeadlinePassed,
}

impl Semaphore {
    /// `limit` permits, up to [`MAX_PERMITS`](super::MAX_PERMITS), and a queue for `max_queue` calls that wait for `max_wait`
    /// each.
    pub(crate) fn new(limit: u32, max_queue: u32, max_wait: Duration, clock: Clock) -> Self {
        Self::on(&Stripes::new(Self::WORDS), limit, max_queue, max_wait, clock)
    }

    /// How many words of a stripe it takes.
    pub(crate) const WORDS: usize = PermitCount::ALL.len() + Permits::WORDS;

    /// As [`new`](Self::new), on stripes that others use too.
    pub(crate) fn on(stripes: &Stripes, limit: u32, max_queue: u32, max_wait: Duration, clock: Clock) -> Self {
        Self {
            permits: Permits::new(limit, stripes),
            queue: WaitQueue::new(),
            max_queue: AtomicU64::new(max_queue.into()),
            max_wait: AtomicU64::new(nanos(max_wait)),
            clock,
            counts: Tally::on(stripes),
            waited: Histogram::new(),
        }
    }

    /// The same, with permits that are lent to threads where that pays.
    pub(crate) fn lendable(self) -> Self {
        Self {
            permits: self.permits.lendable(),
            ..self
        }
    }

    /// Changes the number of permits. New ones go to waiters at once; if there are fewer, calls that run keep theirs.
    pub(crate) fn resize(&self, limit: u32) {
        self.permits.change(|state| Some(state.resize(limit)));
        if self.permits.state().has_waiters() {
            self.serve_queue();
        }
    }

    /// Changes the queue: `max_queue` newcomers may wait, for `max_wait` each.
    pub(crate) fn set_queue(&self, max_queue: u32, max_wait: Duration) {
        // Relaxed: each is a setting of its own, read by the next newcomer.
        self.max_queue.store(max_queue.into(), Ordering::Relaxed);
        self.max_wait.store(nanos(max_wait), Ordering::Relaxed);
    }

    /// How many calls hold a permit.
    ///
    /// Where permits are lent, it is exact as long as none changes hands and nobody joins the queue meanwhile.
    pub(crate) fn in_flight(&self) -> u32 {
        self.permits.in_flight()
    }

    /// How many permits there are.
    pub(crate) fn limit(&self) -> u32 {
        self.permits.state().limit()
    }

    /// How many more calls could get a permit now; none while anybody waits.
    pub(crate) fn available(&self) -> u32 {
        if self.permits.state().has_waiters() {
            0
        } else {
            self.limit().saturating_sub(self.in_flight())
        }
    }

    /// How many newcomers may wait.
    pub(crate) fn max_queue(&self) -> u32 {
        // Relaxed: as in `set_queue`. It was stored from as small a number.
        self.max_queue.load(Ordering::Relaxed) as u32
    }

    /// How long they may wait; `None` if there is no limit.
    pub(crate) fn max_wait(&self) -> Option<Duration> {
        // Relaxed: as in `set_queue`.
        let nanos = self.max_wait.load(Ordering::Relaxed);
        (nanos < u64::MAX).then(|| Duration::from_nanos(nanos))
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The calls now, and what was counted of them.
    pub(crate) fn calls(&self) -> ConcurrentCalls {
        ConcurrentCalls {
            in_flight: self.in_flight(),
            queued: self.queue.ahead().waiting,
            waited: self.waited.snapshot(),
            ..ConcurrentCalls::counted(&self.counts)
        }
    }

    /// Takes a permit at once, if one is available and nobody waits. The caller answers for it.
    #[inline]
    pub(super) fn take_permit(&self) -> bool {
        let taken = self.permits.acquire(|| self.serve_queue());
        if taken {
            self.counts.add_one(PermitCount::Admitted);
        }
        taken
    }

    /// Takes a permit even if none is available. The caller answers for it.
    pub(super) fn take_permit_beyond_limit(&self) {
        self.permits.acquire_beyond_limit();
        self.counts.add_one(PermitCount::Admitted);
    }

    /// Gives a permit back, to the first waiter if anybody waits.
    #[inline]
    pub(crate) fn release(&self) {
        if self.permits.release() == Queue::Serve {
            self.serve_queue();
        }
    }

    /// Gives waiters the permits that are available. Not inlined, so that releasing a permit stays short where nobody waits.
    #[inline(never)]
    pub(super) fn serve_queue(&self) {
        self.queue.settle(self);
    }

    /// Refuses a call, and counts that. Takes back, for the next call, a permit that a waiter was granted and did not take.
    #[cold]
    pub(crate) fn refuse(&self) -> AcquireError {
        if self.max_queue() > 0 {
            self.serve_queue();
        }
        self.refuse_full()
    }

    /// Refuses a call because everything is full, and counts that.
    #[cold]
    pub(super) fn refuse_full(&self) -> AcquireError {
        self.counts.add_one(PermitCount::Rejected);
        AcquireError::Full { limit: self.limit() }
    }

    /// Refuses a call that has waited too long, and counts that.
    pub(super) fn refuse_waited(&self, since: Tick) -> AcquireError {
        self.counts.add_one(PermitCount::WaitElapsed);
        AcquireError::WaitElapsed {
            waited: self.clock.now() - since,
        }
    }

    /// Refuses a call whose deadline has passed, and counts that: nobody waits for its result.
    #[inline]
    pub(crate) fn refuse_late(&self) -> Option<AcquireError> {
        if !Deadline::is_over(&self.clock) {
            return None;
        }
        self.count_late();
        Some(AcquireError::DeadlinePassed)
    }

    #[cold]
    #[inline(never)]
    fn count_late(&self) {
        cut_short::report();
        self.counts.add_one(PermitCount::WaitElapsed);
    }

    /// Counts a call that was dropped while it waited.
    pub(super) fn count_abandoned(&self) {
        self.counts.add_one(PermitCount::Abandoned);
    }

    /// Counts and measures a wait that ended with a permit.
    pub(super) fn count_waited(&self, since: Tick) {
        self.counts.add_one(PermitCount::Admitted);
        self.waited.record(nanos(self.clock.now() - since));
    }
}

impl Owner for Semaphore {
    const WAKES_FRONT: bool = false;

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn grant(&self, _one: u64) -> bool {
        self.permits.change(PackedState::grant)
    }

    fn give_back(&self, n: u64) {
        // The queue serves the next waiter by itself.
        let _served = self.permits.release_many(n);
    }

    fn dates_grants(&self) -> Option<u64> {
        Some(self.clock.now().as_nanos())
    }

    fn set_waiting(&self, waiting: bool) {
        self.permits.set_waiters(waiting);
    }
}
