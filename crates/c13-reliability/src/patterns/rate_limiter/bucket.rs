//! The token bucket's shared state: one word, and the queue of those who wait for it.

use super::config::RateLimiterConfig;
use super::error::{RateLimitError, Shortfall};
use super::gcra::{LATEST, Plan};
use super::supply::{Patience, Supply, refusal};
use crate::sync::StripedCounter;
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::sync::wait_queue::{Ahead, Owner, WaitQueue};
use crate::time::{Clock, Tick};

/// The bit of the word that says that somebody waits, so that newcomers have to queue. The bits of [`LATEST`] hold the
/// arrival time.
const WAITING: u64 = 1 << 63;

/// Counters, by their place in the stripes.
const ALLOWED: usize = 0;
const REJECTED: usize = 1;

#[derive(Debug)]
pub(super) struct Bucket {
    word: AtomicU64,
    plan: Plan,
    clock: Clock,
    patience: Patience,
    counts: StripedCounter<2>,
    queue: WaitQueue,
}

impl Bucket {
    /// A full bucket. The settings must be valid.
    pub(super) fn new(config: &RateLimiterConfig, clock: Clock) -> Self {
        Self {
            word: AtomicU64::new(0),
            plan: Plan::new(config, clock.now()),
            clock,
            patience: Patience {
                max_wait: config.max_wait,
                max_waiters: config.max_waiters,
            },
            counts: StripedCounter::new(),
            queue: WaitQueue::new(),
        }
    }

    /// Takes `n` tokens at `now`, if they are there and nobody waits for them.
    #[inline]
    pub(super) fn try_take(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        if n > self.plan.burst() {
            return Err(refusal(self, now, n));
        }
        let at = self.plan.units(now);
        // Relaxed: the word stands for nothing but itself.
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word & WAITING != 0 {
                return Err(refusal(self, now, n));
            }
            let Some(taken) = self.plan.take(word, at, n) else {
                return Err(self.plan.shortfall(word, now, 0, n).refuse(n));
            };
            // Relaxed: as above; whether anybody waits stands in the same word.
            match self
                .word
                .compare_exchange_weak(word, taken, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(other) => word = other,
            }
        }
    }

    /// Counts what a request came to.
    #[inline]
    pub(super) fn count(&self, result: &Result<(), RateLimitError>) {
        self.counts.add(if result.is_ok() { ALLOWED } else { REJECTED }, 1);
    }

    pub(super) fn allowed(&self) -> u64 {
        self.counts.sum(ALLOWED)
    }

    pub(super) fn rejected(&self) -> u64 {
        self.counts.sum(REJECTED)
    }

    /// How many tokens a request could have at `now`.
    pub(super) fn available(&self, now: Tick) -> u64 {
        // Relaxed: as in `try_take`.
        let word = self.word.load(Ordering::Relaxed);
        if word & WAITING != 0 {
            return 0;
        }
        self.plan.available(word, self.plan.units(now))
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }
}

impl Owner for Bucket {
    const WAKES_FRONT: bool = true;

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn grant(&self, n: u64) -> bool {
        if n > self.plan.burst() {
            return false;
        }
        let at = self.plan.units(self.clock.now());
        self.word
            // Relaxed: as in `try_take`.
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                let taken = self.plan.take(word & LATEST, at, n)?;
                Some(word & !LATEST | taken)
            })
            .is_ok()
    }

    fn give_back(&self, n: u64) {
        // Relaxed: as in `try_take`.
        let _ = self.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            Some(word & !LATEST | self.plan.give_back(word & LATEST, n))
        });
    }

    fn set_waiting(&self, waiting: bool) {
        if waiting {
            // Relaxed: as in `try_take`; the queue's lock orders the rest.
            self.word.fetch_or(WAITING, Ordering::Relaxed);
        } else {
            // Relaxed: as above.
            self.word.fetch_and(!WAITING, Ordering::Relaxed);
        }
    }
}

impl Supply for Bucket {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn patience(&self) -> Patience {
        self.patience
    }

    fn capacity(&self) -> u64 {
        self.plan.burst()
    }

    fn taken(&self, _now: Tick, _n: u64) {}

    fn shortfall(&self, now: Tick, ahead: Ahead, n: u64) -> Shortfall {
        // Relaxed: as in `try_take`.
        let word = self.word.load(Ordering::Relaxed);
        self.plan.shortfall(word & LATEST, now, ahead.weight, n)
    }
}
