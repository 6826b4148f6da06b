//! The smallest owner of a queue that there is, for the tests and the loom models.

use super::{Ahead, Kind, Owner, WaitQueue, Waiter};
use crate::sync::primitive::{AtomicU64, Ordering};
use std::ops::Deref;

const WAITING: u64 = 1 << 63;

/// Permits in the lower bits, whether anybody waits in the highest.
pub(in crate::sync) struct Semaphore {
    word: AtomicU64,
    now: AtomicU64,
    queue: WaitQueue,
}

impl Semaphore {
    pub(in crate::sync) fn new(permits: u64) -> Self {
        Self {
            word: AtomicU64::new(permits),
            now: AtomicU64::new(0),
            queue: WaitQueue::new(),
        }
    }

    pub(in crate::sync) fn try_acquire(&self, n: u64) -> bool {
        // AcqRel: pairs with `release`. Relaxed on failure: only a guess.
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
                (word & WAITING == 0).then(|| word.checked_sub(n)).flatten()
            })
            .is_ok()
    }

    pub(in crate::sync) fn acquire<P: Deref<Target = Self>>(this: P, n: u64, limit: usize) -> Result<Waiter<P>, Ahead> {
        Waiter::join(this, n, Kind::Present, |ahead| {
            if ahead.waiting < limit { Ok(()) } else { Err(ahead) }
        })
    }

    pub(in crate::sync) fn release(&self, n: u64) {
        // AcqRel: what was done under the permits is seen by their next holder.
        if self.word.fetch_add(n, Ordering::AcqRel) & WAITING != 0 {
            self.queue.settle(self);
        }
    }

    pub(in crate::sync) fn available(&self) -> u64 {
        // Acquire: pairs with `release`.
        self.word.load(Ordering::Acquire) & !WAITING
    }

    /// Lets time pass; loom's models let none.
    #[cfg(not(c13_loom))]
    pub(in crate::sync) fn pass(&self, nanos: u64) {
        // Relaxed: the tests that let time pass have one thread.
        self.now.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(in crate::sync) fn is_waited_for(&self) -> bool {
        // Acquire: pairs with `set_waiting`.
        self.word.load(Ordering::Acquire) & WAITING != 0
    }
}

impl Owner for Semaphore {
    const WAKES_FRONT: bool = false;

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn grant(&self, n: u64) -> bool {
        // AcqRel: pairs with `release`. Relaxed on failure: only a guess.
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
                (word & !WAITING >= n).then(|| word - n)
            })
            .is_ok()
    }

    fn give_back(&self, n: u64) {
        // AcqRel: as in `release`.
        self.word.fetch_add(n, Ordering::AcqRel);
    }

    fn dates_grants(&self) -> Option<u64> {
        // Relaxed: as in `pass`.
        Some(self.now.load(Ordering::Relaxed))
    }

    fn set_waiting(&self, waiting: bool) {
        if waiting {
            // AcqRel: what was released before is seen by the `grant` that follows.
            self.word.fetch_or(WAITING, Ordering::AcqRel);
        } else {
            // AcqRel: as above.
            self.word.fetch_and(!WAITING, Ordering::AcqRel);
        }
    }
}
