//! What all clones of a bulkhead share: the word, the queue, and what can be changed while it runs.

use super::config::BulkheadConfig;
use super::state::{ONE, WAITING, Word};
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::sync::wait_queue::{Owner, WaitQueue};
use crate::sync::{Histogram, StripedCounter};
use crate::time::Clock;
use std::time::Duration;

pub(super) struct Shared {
    word: AtomicU64,
    queue: WaitQueue,
    max_queue: AtomicU64,
    /// In nanoseconds; `u64::MAX` is no limit.
    max_wait: AtomicU64,
    pub(super) clock: Clock,
    pub(super) counters: StripedCounter<2>,
    /// How long those in line waited who got in, in nanoseconds.
    pub(super) waited: Histogram,
}

pub(super) const REJECTED: usize = 0;
pub(super) const WAIT_ELAPSED: usize = 1;

impl Shared {
    pub(super) fn new(config: &BulkheadConfig, clock: Clock) -> Self {
        Self {
            word: AtomicU64::new(Word::new(config.max_concurrent).bits()),
            queue: WaitQueue::new(),
            max_queue: AtomicU64::new(config.max_queue.into()),
            max_wait: AtomicU64::new(nanos(config.max_wait)),
            clock,
            counters: StripedCounter::compact(),
            waited: Histogram::new(),
        }
    }

    pub(super) fn word(&self) -> Word {
        // Acquire: who reads that calls have ended also sees what they did.
        Word::from_bits(self.word.load(Ordering::Acquire))
    }

    /// Takes a place for a newcomer, if there is room and nobody is in line.
    #[inline]
    pub(super) fn enter(&self) -> bool {
        self.step(Word::admit)
    }

    /// Gives a place back, and lets the first in line have it.
    #[inline]
    pub(super) fn leave(&self) {
        // AcqRel: what was done in this place is seen by who has it next.
        let before = Word::from_bits(self.word.fetch_sub(ONE, Ordering::AcqRel));
        if before.is_waited_for() {
            self.queue.settle(self);
        }
    }

    pub(super) fn resize(&self, limit: u32) {
        self.step(|word| Some(word.resize(limit)));
        if self.word().is_waited_for() {
            self.queue.settle(self);
        }
    }

    pub(super) fn set_queue(&self, max_queue: u32, max_wait: Duration) {
        // Relaxed: each is a setting of its own, read by whoever comes next.
        self.max_queue.store(max_queue.into(), Ordering::Relaxed);
        self.max_wait.store(nanos(max_wait), Ordering::Relaxed);
    }

    pub(super) fn max_queue(&self) -> u64 {
        // Relaxed: as in `set_queue`.
        self.max_queue.load(Ordering::Relaxed)
    }

    /// How long a call may stay in line; nothing where there is no limit.
    pub(super) fn max_wait(&self) -> Option<Duration> {
        // Relaxed: as in `set_queue`.
        let nanos = self.max_wait.load(Ordering::Relaxed);
        (nanos < u64::MAX).then(|| Duration::from_nanos(nanos))
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.ahead().waiting
    }

    fn step(&self, next: impl Fn(Word) -> Option<Word>) -> bool {
        let next = |bits| next(Word::from_bits(bits)).map(Word::bits);
        // AcqRel: as in `leave`. Relaxed on failure: only another guess.
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, next)
            .is_ok()
    }
}

/// A duration's nanoseconds, and `u64::MAX`, which is no limit, from 584 years on.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Owner for Shared {
    const WAKES_FRONT: bool = false;

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn grant(&self, _one: u64) -> bool {
        self.step(Word::grant)
    }

    fn give_back(&self, n: u64) {
        // AcqRel: as in `leave`. The queue serves the next by itself.
        self.word.fetch_sub(n * ONE, Ordering::AcqRel);
    }

    fn set_waiting(&self, waiting: bool) {
        if waiting {
            // AcqRel: a place given back before this is seen by the `grant` that follows.
            self.word.fetch_or(WAITING, Ordering::AcqRel);
        } else {
            // AcqRel: as above.
            self.word.fetch_and(!WAITING, Ordering::AcqRel);
        }
    }
}
