//! The state that clones of a token bucket share: the packed bucket, the counts, and the queue of waiters.

use super::super::cold_path::cold_path;
use super::super::counts::Counts;
use super::super::error::{RateLimitError, Shortfall};
use super::super::waiting::{WaitLimits, Waitable, refusal};
use super::config::RateLimiterConfig;
use super::packed::{FastTake, PackedBucket, Taker};
use crate::sync::Stripes;
use crate::sync::primitive::Mutex;
use crate::sync::wait_queue::{Ahead, Owner, WaitQueue};
use crate::time::{Clock, Tick};

#[derive(Debug)]
pub(crate) struct SharedBucket {
    packed: PackedBucket,
    clock: Clock,
    counts: Counts,
    wait_limits: WaitLimits,
    queue: WaitQueue,
    /// Locked while the settings change.
    config: Mutex<RateLimiterConfig>,
}

impl SharedBucket {
    /// How many words of a stripe it takes.
    pub(super) const WORDS: usize = Counts::WORDS;

    /// The settings must be valid.
    pub(super) fn on(stripes: &Stripes, config: &RateLimiterConfig, clock: Clock) -> Self {
        Self {
            packed: PackedBucket::new(config, clock.now()),
            clock,
            counts: Counts::on(stripes, config.shadow),
            wait_limits: WaitLimits::new(config.max_wait, config.max_waiters),
            queue: WaitQueue::new(),
            config: Mutex::new(*config),
        }
    }

    /// Takes `n` tokens at `now`, if they are available and nobody waits for them, and counts the outcome.
    // Inlined throughout, because a call that returns a whole refusal costs as much again as the decision.
    #[inline(always)]
    pub(super) fn try_take(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        match self.packed.take_once(now, n) {
            Some(taken) => self.conclude(taken, now, n),
            None => self.try_take_again(now, n),
        }
    }

    /// As [`try_take`](Self::try_take), after another thread has changed the word. Not a loop there, which would keep in
    /// registers what only its next round needs.
    #[cold]
    #[inline(never)]
    fn try_take_again(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        self.conclude(self.packed.take(now, n), now, n)
    }

    /// Counts the outcome of the fast path, and finds out what is missing.
    #[inline(always)]
    fn conclude(&self, taken: FastTake, now: Tick, n: u64) -> Result<(), RateLimitError> {
        match taken {
            FastTake::Taken => {
                self.counts.admit();
                Ok(())
            }
            FastTake::Short(shortage) => match self.packed.shortfall(&shortage) {
                Some(short) => {
                    self.counts.reject();
                    Err(short.refuse(n))
                }
                None => {
                    cold_path();
                    self.try_take_slowly(now, n)
                }
            },
            FastTake::NeedsLock => self.try_take_slowly(now, n),
        }
    }

    #[cold]
    #[inline(never)]
    fn try_take_slowly(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        self.counts.settle(self.take_slowly(now, n))
    }

    #[inline(never)]
    fn take_slowly(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        if n == 0 {
            return Ok(());
        }
        loop {
            let mut view = self.packed.view(now);
            if view.waiting {
                // A waiter's turn may have come unnoticed, if none of them is being polled.
                self.queue.settle(self);
                view = self.packed.view(now);
            }
            if view.waiting || n > view.plan.burst {
                return Err(refusal(self, now, n));
            }
            let short = view.plan.shortfall(view.arrival, now, 0, view.cost(now, n));
            if !short.wait.is_zero() {
                return Err(short.refuse(n));
            }
            // The word was locked, the plan outlived, or there are more tokens than a moment ago.
            if self.packed.take_slowly(now, n, Taker::Newcomer) {
                return Ok(());
            }
        }
    }

    /// The decision that a request for `n` would get at `now`.
    pub(super) fn peek(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        let refusal = refusal(self, now, n);
        match refusal.retry_after() {
            Some(wait) if wait.is_zero() => Ok(()),
            _ if n == 0 => Ok(()),
            _ => Err(refusal),
        }
    }

    /// Gives `n` tokens back, to the waiters first.
    pub(super) fn refund(&self, now: Tick, n: u64) {
        self.packed.give_back(now, n);
        if self.packed.is_waited_for() {
            self.queue.settle_anew(self);
        }
    }

    /// Takes all tokens that are available at `now`.
    pub(super) fn drain(&self, now: Tick) -> u64 {
        let drained = self.packed.drain(now, u64::MAX);
        if self.packed.is_waited_for() {
            self.queue.settle_anew(self);
        }
        drained
    }

    pub(super) fn config(&self) -> RateLimiterConfig {
        *self.config.lock()
    }

    /// Applies `config` from `now` on. The settings must be valid.
    pub(super) fn reconfigure(&self, now: Tick, config: &RateLimiterConfig) {
        let mut current = self.config.lock();
        if self.packed.is_waited_for() {
            // Reservations whose time has come are paid at the old rate.
            self.queue.settle(self);
        }
        self.packed.change(now, config);
        self.counts.set_shadow(config.shadow);
        self.wait_limits.set(config.max_wait, config.max_waiters);
        *current = *config;
        drop(current);
        // Waiters keep their places and deadlines, and recompute when their turn will come.
        self.queue.settle_anew(self);
    }
}

impl Owner for SharedBucket {
    const WAKES_FRONT: bool = true;

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn grant(&self, n: u64) -> bool {
        self.packed.take_slowly(self.clock.now(), n, Taker::Waiter)
    }

    fn grant_reserved(&self, n: u64) -> bool {
        self.packed.take_slowly(self.clock.now(), n, Taker::Reservation)
    }

    fn give_back(&self, n: u64) {
        self.packed.give_back(self.clock.now(), n);
    }

    fn set_waiting(&self, waiting: bool) {
        self.packed.set_waiting(self.clock.now(), waiting);
    }
}

impl Waitable for SharedBucket {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn counts(&self) -> &Counts {
        &self.counts
    }

    fn wait_limits(&self) -> &WaitLimits {
        &self.wait_limits
    }

    fn capacity(&self) -> u64 {
        self.packed.view(self.clock.now()).plan.burst
    }

    fn available(&self, now: Tick) -> u64 {
        let mut view = self.packed.view(now);
        if view.waiting {
            self.queue.settle(self);
            view = self.packed.view(now);
        }
        if view.waiting {
            return 0;
        }
        view.plan.available(view.arrival, view.plan.units(now))
    }

    #[inline]
    fn take(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        match self.packed.take(now, n) {
            FastTake::Taken => Ok(()),
            FastTake::Short(_) | FastTake::NeedsLock => self.take_slowly(now, n),
        }
    }

    fn collected(&self, _now: Tick, _n: u64) {}

    fn shortfall(&self, now: Tick, ahead: Ahead, n: u64) -> Shortfall {
        let view = self.packed.view(now);
        view.plan.shortfall(view.arrival, now, ahead.weight, view.cost(now, n))
    }
}
