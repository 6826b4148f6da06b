//! The token bucket's shared state: the metered word, and the queue of those who wait for it.

use super::super::cold_path::cold_path;
use super::super::config::RateLimiterConfig;
use super::super::counts::Counts;
use super::super::error::{RateLimitError, Shortfall};
use super::super::waiting::{WaitLimits, Waitable, refusal};
use super::packed::{PackedBucket, Taken, Taker};
use crate::sync::primitive::Mutex;
use crate::sync::wait_queue::{Ahead, Owner, WaitQueue};
use crate::time::{Clock, Tick};

#[derive(Debug)]
pub(crate) struct SharedBucket {
    meter: PackedBucket,
    clock: Clock,
    counts: Counts,
    wait_limits: WaitLimits,
    queue: WaitQueue,
    /// Locked while the settings change.
    config: Mutex<RateLimiterConfig>,
}

impl SharedBucket {
    /// The settings must be valid.
    pub(super) fn new(config: &RateLimiterConfig, clock: Clock) -> Self {
        Self {
            meter: PackedBucket::new(config, clock.now()),
            clock,
            counts: Counts::new(config.shadow),
            wait_limits: WaitLimits::new(config.max_wait, config.max_waiters),
            queue: WaitQueue::new(),
            config: Mutex::new(*config),
        }
    }

    /// Takes `n` tokens at `now`, if they are there and nobody waits for them, and counts what came of it.
    // Inlined throughout, because a call with all that a refusal says costs as much again as the decision.
    #[inline(always)]
    pub(super) fn try_take(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        match self.meter.take_once(now, n) {
            Some(taken) => self.conclude(taken, now, n),
            None => self.try_take_again(now, n),
        }
    }

    /// As [`try_take`](Self::try_take), after somebody else was faster. Not a loop there, which would keep at hand what
    /// only its next round needs.
    #[cold]
    #[inline(never)]
    fn try_take_again(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        self.conclude(self.meter.take(now, n), now, n)
    }

    /// Counts what came of an attempt, and finds out what is missing.
    #[inline(always)]
    fn conclude(&self, taken: Taken, now: Tick, n: u64) -> Result<(), RateLimitError> {
        match taken {
            Taken::Yes => {
                self.counts.admit();
                Ok(())
            }
            Taken::No(untaken) => match self.meter.shortfall(&untaken) {
                Some(short) => {
                    self.counts.reject();
                    Err(short.refuse(n))
                }
                None => {
                    cold_path();
                    self.try_take_slowly(now, n)
                }
            },
            Taken::Unknown => self.try_take_slowly(now, n),
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
            let mut view = self.meter.view(now);
            if view.waiting {
                // Their turn may have come without anybody noticing, if none of them awaits it.
                self.queue.settle(self);
                view = self.meter.view(now);
            }
            if view.waiting || n > view.plan.burst {
                return Err(refusal(self, now, n));
            }
            let short = view.plan.shortfall(view.arrival, now, 0, view.cost(now, n));
            if !short.wait.is_zero() {
                return Err(short.refuse(n));
            }
            // The lock was held, the plan outlived, or there is more now than a moment ago.
            if self.meter.take_slowly(now, n, Taker::Newcomer) {
                return Ok(());
            }
        }
    }

    /// How many tokens a request could have at `now`.
    pub(super) fn available(&self, now: Tick) -> u64 {
        let mut view = self.meter.view(now);
        if view.waiting {
            self.queue.settle(self);
            view = self.meter.view(now);
        }
        if view.waiting {
            return 0;
        }
        view.plan.available(view.arrival, view.plan.units(now))
    }

    /// What a request for `n` would come to at `now`.
    pub(super) fn peek(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        let refusal = refusal(self, now, n);
        match refusal.retry_after() {
            Some(wait) if wait.is_zero() => Ok(()),
            _ if n == 0 => Ok(()),
            _ => Err(refusal),
        }
    }

    /// Gives `n` tokens back, to those who wait first.
    pub(super) fn refund(&self, now: Tick, n: u64) {
        self.meter.give_back(now, n);
        if self.meter.is_waited_for() {
            self.queue.settle_anew(self);
        }
    }

    /// Takes all tokens that are there at `now`.
    pub(super) fn drain(&self, now: Tick) -> u64 {
        let drained = self.meter.drain(now, u64::MAX);
        if self.meter.is_waited_for() {
            self.queue.settle_anew(self);
        }
        drained
    }

    pub(super) fn config(&self) -> RateLimiterConfig {
        *self.config.lock()
    }

    /// Goes by `config` from `now` on. The settings must be valid.
    pub(super) fn reconfigure(&self, now: Tick, config: &RateLimiterConfig) {
        let mut current = self.config.lock();
        if self.meter.is_waited_for() {
            // What was reserved and has come is paid at the old rate.
            self.queue.settle(self);
        }
        self.meter.change(now, config);
        self.counts.set_shadow(config.shadow);
        self.wait_limits.set(config.max_wait, config.max_waiters);
        *current = *config;
        drop(current);
        // Who waits keeps its place and its deadline, and looks anew at when its turn will come.
        self.queue.settle_anew(self);
    }
}

impl Owner for SharedBucket {
    const WAKES_FRONT: bool = true;

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn grant(&self, n: u64) -> bool {
        self.meter.take_slowly(self.clock.now(), n, Taker::Waiter)
    }

    fn grant_reserved(&self, n: u64) -> bool {
        self.meter.take_slowly(self.clock.now(), n, Taker::Reservation)
    }

    fn give_back(&self, n: u64) {
        self.meter.give_back(self.clock.now(), n);
    }

    fn set_waiting(&self, waiting: bool) {
        self.meter.set_waiting(self.clock.now(), waiting);
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
        self.meter.view(self.clock.now()).plan.burst
    }

    #[inline]
    fn take(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        match self.meter.take(now, n) {
            Taken::Yes => Ok(()),
            Taken::No(_) | Taken::Unknown => self.take_slowly(now, n),
        }
    }

    fn collected(&self, _now: Tick, _n: u64) {}

    fn shortfall(&self, now: Tick, ahead: Ahead, n: u64) -> Shortfall {
        let view = self.meter.view(now);
        view.plan.shortfall(view.arrival, now, ahead.weight, view.cost(now, n))
    }
}
