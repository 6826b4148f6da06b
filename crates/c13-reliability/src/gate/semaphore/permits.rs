//! The permits of a semaphore: the packed state, and permits that are lent to threads, so that threads which take and release
//! them at the same time do not fight over one word. Waiting is not known here: what releases a permit says whether the
//! queue must be served.
//!
//! Lending begins by itself when two threads contend for the packed state and most permits are available. It ends when a
//! call finds no permit. While permits are lent, a thread that releases one leaves it on a stripe of its own, and a thread
//! that needs one looks there first. To the packed state a permit on a stripe is taken. So the calls that run are the
//! permits taken less those that lie free; and as each call holds one permit and permits only move, there are never more
//! calls than permits, whatever the interleaving.
//!
//! No permit stays on a stripe where nobody looks for it. Permits lie there only while they are lent, nobody waits and no more
//! are taken than there are. A thread that ends lending, or joins the queue, takes back all that lie free afterwards; a thread
//! that leaves a permit on a stripe looks again afterwards, and takes one back if it may not lie there. One of the two sees
//! the other, as all four steps stand in one order (`SeqCst`). What lies there when the limit is lowered goes back to the
//! packed state with the next thread that takes it, or when a call finds no permit.
//!
//! No call is refused for a permit that lies free. A call that finds none while permits are lent ends lending, under a lock,
//! and looks at the packed state under that lock. A call that finds none while no permits are lent looks whether lending has
//! begun meanwhile. In both cases permits lie on stripes only if a thread is in the middle of releasing one, and that call is
//! as good as running. Right after the limit was lowered or somebody joined the queue, a permit can also be in the hands of a
//! thread that is acquiring it, and gives it back.

use super::lending::{Lending, LendingPhase, MOST_FREE};
use super::state::{HAS_WAITERS, ONE_PERMIT, PackedState};
use crate::sync::primitive::{MutexGuard, Ordering, load_in_order};
use crate::sync::{CacheLine, Slot, StripedPool, Stripes};

/// The permits of a semaphore.
pub(super) struct Permits {
    state: CacheLine,
    /// Whether permits may be lent at all.
    may_lend: bool,
    pub(super) lending: Lending,
}

/// Whether the queue has waiters that must be served now.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    Serve,
    Leave,
}

impl Queue {
    fn of(waiters: bool) -> Self {
        if waiters { Self::Serve } else { Self::Leave }
    }
}

impl Permits {
    /// How many words of a stripe it takes.
    pub(super) const WORDS: usize = Lending::WORDS;

    /// `limit` permits, below 2³¹.
    pub(super) fn new(limit: u32, stripes: &Stripes) -> Self {
        Self {
            state: CacheLine::new(PackedState::new(limit).bits()),
            may_lend: false,
            lending: Lending::on(stripes),
        }
    }

    /// The same permits, to be lent to threads where that pays.
    pub(super) fn lendable(self) -> Self {
        Self { may_lend: true, ..self }
    }

    #[inline]
    pub(super) fn state(&self) -> PackedState {
        // Acquire: a thread that reads that calls have ended also sees what they did.
        PackedState::from_bits(self.state.load(Ordering::Acquire))
    }

    /// Changes the state, if `next` says how.
    pub(super) fn change(&self, mut next: impl FnMut(PackedState) -> Option<PackedState>) -> bool {
        let next = |bits| next(PackedState::from_bits(bits)).map(PackedState::bits);
        // AcqRel: as in `release_to_state`. Acquire on failure: as said at `acquire_from_state`.
        self.state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next)
            .is_ok()
    }

    /// How many permits calls hold.
    ///
    /// Where permits are lent, it is exact as long as none changes hands and nobody joins the queue meanwhile.
    pub(super) fn in_flight(&self) -> u32 {
        // Held, so that what is lent does not go back to the state while it is counted.
        let _switch = (!self.lending.phase().is_idle()).then(|| self.lending.lock());
        self.state().taken().saturating_sub(self.lending.free())
    }

    /// Takes a permit at once, if one is available and nobody waits. `serve` serves the queue.
    #[inline]
    pub(super) fn acquire(&self, serve: impl FnOnce()) -> bool {
        let phase = self.lending.phase();
        phase.is_idle() && self.acquire_uncontended() || self.acquire_slowly(phase, serve)
    }

    /// Takes a permit even if none is available.
    pub(super) fn acquire_beyond_limit(&self) {
        // AcqRel: as in `release_to_state`.
        self.state.fetch_add(ONE_PERMIT, Ordering::AcqRel);
    }

    /// Takes a permit from the state, if one is available and no other thread changes the state meanwhile.
    #[inline]
    fn acquire_uncontended(&self) -> bool {
        let state = self.state();
        state.acquire().is_some_and(|next| {
            // AcqRel: as in `release_to_state`. Relaxed on failure: nothing is done with it.
            self.state
                .compare_exchange(state.bits(), next.bits(), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// Takes a permit from the state. What this thread reads after a refusal is not older than the state that refused.
    #[inline]
    pub(super) fn acquire_from_state(&self) -> bool {
        self.change(PackedState::acquire)
    }

    /// Takes a permit, where the first look at the state, in `phase`, gave none, or permits are lent. Not inlined, so that
    /// threads that are lent nothing and contend with nobody stay on a short path.
    #[inline(never)]
    pub(super) fn acquire_slowly(&self, phase: LendingPhase, serve: impl FnOnce()) -> bool {
        if phase.is_idle() {
            let state = self.state();
            if state.acquire().is_some() {
                self.contended(state);
            }
            // What was lent meanwhile is not in the state.
            if self.acquire_from_state() {
                return true;
            }
            if self.lending.phase() == phase {
                return false;
            }
        }
        let (acquired, queue) = self.acquire_lent(StripedPool::own());
        if queue == Queue::Serve {
            serve();
        }
        acquired
    }

    /// Two threads contended for the state, which one of them saw as `state`: lends permits from now on, if there are far more
    /// than threads can have at hand.
    #[cold]
    pub(super) fn contended(&self, state: PackedState) {
        // Those two at least, even if one of them has not been counted yet.
        let most_free = MOST_FREE.saturating_mul(StripedPool::owners().max(2));
        if self.may_lend && self.lending.phase().is_idle() && state.has_to_spare(most_free) {
            self.lending.begin();
        }
    }

    /// Takes a permit from a stripe, from the state, or from any other stripe, in this order.
    #[inline]
    pub(super) fn acquire_lent(&self, stripe: Slot) -> (bool, Queue) {
        let mut queue = Queue::Leave;
        if self.lending.take(stripe) {
            if self.state().may_lend() {
                return (true, queue);
            }
            queue = self.release_to_state();
        }
        if self.acquire_from_state() {
            return (true, queue);
        }
        match self.acquire_last() {
            (acquired, Queue::Leave) => (acquired, queue),
            serve => serve,
        }
    }

    /// Takes a permit if there is one anywhere, and ends lending for that.
    #[inline(never)]
    fn acquire_last(&self) -> (bool, Queue) {
        let switch = self.lending.lock();
        let queue = self.end_lending(&switch);
        let acquired = self.acquire_from_state();
        // A permit is acquired only while nobody waits: those who waited have been served, or have left.
        (acquired, if acquired { Queue::Leave } else { queue })
    }

    /// Ends lending: whether anybody waits for the permits that this gives back.
    pub(super) fn end_lending(&self, switch: &MutexGuard<'_, ()>) -> Queue {
        if !self.lending.begin_end(switch) {
            return Queue::Leave;
        }
        let queue = self.release_many(self.lending.take_all());
        self.lending.end(switch);
        queue
    }

    /// Gives a permit back.
    #[inline]
    pub(super) fn release(&self) -> Queue {
        if self.lending.phase().is_idle() {
            self.release_to_state()
        } else {
            self.release_to_own_stripe()
        }
    }

    /// Gives a permit back to the state.
    #[inline]
    pub(super) fn release_to_state(&self) -> Queue {
        self.release_many(1)
    }

    #[inline]
    pub(super) fn release_many(&self, n: u64) -> Queue {
        // AcqRel: what was done under a permit is seen by the thread that has it next.
        let before = self.state.fetch_sub(n * ONE_PERMIT, Ordering::AcqRel);
        Queue::of(PackedState::from_bits(before).has_waiters())
    }

    /// Not inlined, as `acquire_slowly`.
    #[inline(never)]
    fn release_to_own_stripe(&self) -> Queue {
        self.release_lent(StripedPool::own())
    }

    /// Gives a permit back to a stripe, if it may lie there, else to the state.
    #[inline]
    pub(super) fn release_lent(&self, stripe: Slot) -> Queue {
        if !self.lending.put(stripe) {
            return self.release_to_state();
        }
        let may_lend = || PackedState::from_bits(load_in_order(&self.state)).may_lend();
        if self.lending.is_lending_in_order() && may_lend() {
            return Queue::Leave;
        }
        self.take_back_one(stripe)
    }

    /// Gives a permit on a stripe back to the state, unless another thread has.
    #[cold]
    fn take_back_one(&self, stripe: Slot) -> Queue {
        if self.lending.take(stripe) {
            self.release_to_state()
        } else {
            Queue::Leave
        }
    }

    /// Notes whether the queue has waiters. Lent permits go back to the state first.
    pub(super) fn set_waiters(&self, has_waiters: bool) {
        if has_waiters {
            // SeqCst: a permit given back before this is seen by the `grant` that follows, one on a stripe by the sweep
            // below, and a thread that leaves one there later sees this. See the head of this file.
            self.state.fetch_or(HAS_WAITERS, Ordering::SeqCst);
            let lent = self.lending.take_all();
            if lent > 0 {
                // The queue is served by the caller.
                let _served = self.release_many(lent);
            }
        } else {
            // AcqRel: as in `release_many`.
            self.state.fetch_and(!HAS_WAITERS, Ordering::AcqRel);
        }
    }
}
