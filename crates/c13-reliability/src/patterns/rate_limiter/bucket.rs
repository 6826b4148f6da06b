//! The token bucket's shared state: the metered word, and the queue of those who wait for it.

use super::config::RateLimiterConfig;
use super::error::{RateLimitError, Shortfall};
use super::supply::{Patience, Supply};
use super::word::{Meter, Taken};
use crate::sync::StripedCounter;
use crate::sync::primitive::{AtomicU64, Mutex, Ordering};
use crate::sync::wait_queue::{Ahead, Owner, WaitQueue};
use crate::time::{Clock, Tick};
use std::time::Duration;

/// Counters, by their place in the stripes.
const ALLOWED: usize = 0;
const REJECTED: usize = 1;
const SHADOWED: usize = 2;

#[derive(Debug)]
pub(super) struct Bucket {
    meter: Meter,
    clock: Clock,
    counts: StripedCounter<3>,
    queue: WaitQueue,
    max_wait_nanos: AtomicU64,
    max_waiters: AtomicU64,
    shadow: AtomicU64,
    /// Locked while the settings change.
    config: Mutex<RateLimiterConfig>,
}

impl Bucket {
    /// The settings must be valid.
    pub(super) fn new(config: &RateLimiterConfig, clock: Clock) -> Self {
        Self {
            meter: Meter::new(config, clock.now()),
            clock,
            counts: StripedCounter::new(),
            queue: WaitQueue::new(),
            max_wait_nanos: AtomicU64::new(nanos(config.max_wait)),
            max_waiters: AtomicU64::new(config.max_waiters as u64),
            shadow: AtomicU64::new(config.shadow.into()),
            config: Mutex::new(*config),
        }
    }

    /// Takes `n` tokens at `now`, if they are there and nobody waits for them, and counts what came of it.
    #[inline(always)]
    pub(super) fn try_take(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        match self.meter.take(now, n) {
            Taken::Yes => {
                self.admit();
                Ok(())
            }
            Taken::No(word, plan) => match self.meter.missing(now, n, word, &plan) {
                Some(short) if !self.is_shadow() => {
                    self.counts.add(REJECTED, 1);
                    Err(short.refuse(n))
                }
                _ => self.try_take_slowly(now, n),
            },
        }
    }

    #[cold]
    #[inline(never)]
    fn try_take_slowly(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        match self.take_slowly(now, n) {
            Err(error) => self.refuse(error),
            Ok(()) => {
                self.admit();
                Ok(())
            }
        }
    }

    /// Takes `n` tokens at `now`, if they are there and nobody waits for them.
    pub(super) fn take(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        match self.meter.take(now, n) {
            Taken::Yes => Ok(()),
            Taken::No(..) => self.take_slowly(now, n),
        }
    }

    fn take_slowly(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        if n == 0 {
            return Ok(());
        }
        loop {
            let mut view = self.meter.view(now);
            if n > view.plan.burst {
                return Err(RateLimitError::ExceedsCapacity {
                    requested: n,
                    capacity: view.plan.burst,
                });
            }
            if view.waiting {
                // Their turn may have come without anybody noticing, if none of them awaits it.
                self.queue.settle(self);
                view = self.meter.view(now);
                if view.waiting {
                    let ahead = self.queue.ahead();
                    return Err(self.shortfall(now, ahead, n).refuse(n));
                }
            }
            let short = view.plan.shortfall(view.arrival, now, 0, view.cost(now, n));
            if !short.wait.is_zero() {
                return Err(short.refuse(n));
            }
            // The lock was held, the plan outlived, or there is more now than a moment ago.
            if self.meter.take_slowly(now, n, false) {
                return Ok(());
            }
        }
    }

    /// Counts a refusal, unless the limiter only counts what it would refuse.
    pub(super) fn refuse(&self, error: RateLimitError) -> Result<(), RateLimitError> {
        if self.is_shadow() {
            self.counts.add(SHADOWED, 1);
            return Ok(());
        }
        self.counts.add(REJECTED, 1);
        Err(error)
    }

    /// Counts an admission.
    #[inline]
    pub(super) fn admit(&self) {
        self.counts.add(ALLOWED, 1);
    }

    pub(super) fn allowed(&self) -> u64 {
        self.counts.sum(ALLOWED)
    }

    pub(super) fn rejected(&self) -> u64 {
        self.counts.sum(REJECTED)
    }

    pub(super) fn shadowed(&self) -> u64 {
        self.counts.sum(SHADOWED)
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
        let capacity = self.capacity();
        if n > capacity {
            return Err(RateLimitError::ExceedsCapacity { requested: n, capacity });
        }
        let short = self.shortfall(now, self.queue.ahead(), n);
        if n == 0 || short.wait.is_zero() {
            Ok(())
        } else {
            Err(short.refuse(n))
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
        self.meter.change(now, config);
        // Relaxed: each stands for itself, and for decisions yet to come.
        self.max_wait_nanos.store(nanos(config.max_wait), Ordering::Relaxed);
        self.max_waiters.store(config.max_waiters as u64, Ordering::Relaxed);
        self.shadow.store(config.shadow.into(), Ordering::Relaxed);
        *current = *config;
        drop(current);
        // Who waits keeps its place and its deadline, and looks anew at when its turn will come.
        self.queue.settle_anew(self);
    }

    /// Whether a request that cannot be met at once may wait. In a shadow nobody does.
    pub(super) fn waits(&self) -> bool {
        !self.patience().max_wait.is_zero() && !self.is_shadow()
    }

    fn is_shadow(&self) -> bool {
        // Relaxed: a setting, which stands for itself.
        self.shadow.load(Ordering::Relaxed) != 0
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }
}

/// At most a hundred years, as the settings were found valid.
fn nanos(duration: Duration) -> u64 {
    (Tick::ZERO + duration).as_nanos()
}

impl Owner for Bucket {
    const WAKES_FRONT: bool = true;

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn grant(&self, n: u64) -> bool {
        self.meter.take_slowly(self.clock.now(), n, true)
    }

    fn give_back(&self, n: u64) {
        self.meter.give_back(self.clock.now(), n);
    }

    fn set_waiting(&self, waiting: bool) {
        self.meter.set_waiting(waiting);
    }
}

impl Supply for Bucket {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn patience(&self) -> Patience {
        Patience {
            // Relaxed: settings, which stand for themselves.
            max_wait: Duration::from_nanos(self.max_wait_nanos.load(Ordering::Relaxed)),
            max_waiters: self.max_waiters.load(Ordering::Relaxed) as usize,
        }
    }

    fn capacity(&self) -> u64 {
        self.meter.view(self.clock.now()).plan.burst
    }

    fn taken(&self, _now: Tick, _n: u64) {}

    fn shortfall(&self, now: Tick, ahead: Ahead, n: u64) -> Shortfall {
        let view = self.meter.view(now);
        view.plan.shortfall(view.arrival, now, ahead.weight, view.cost(now, n))
    }
}
