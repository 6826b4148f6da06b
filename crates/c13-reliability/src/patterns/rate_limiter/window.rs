//! The sliding window's shared state: a ring of times under a lock, and the queue of those who wait for it.

use super::config::SlidingWindowConfig;
use super::error::{RateLimitError, Shortfall};
use super::ring::Ring;
use super::supply::{Patience, Supply, refusal};
use crate::sync::StripedCounter;
use crate::sync::primitive::Mutex;
use crate::sync::wait_queue::{Ahead, Owner, WaitQueue};
use crate::time::{Clock, Tick};

/// Counters, by their place in the stripes.
const ALLOWED: usize = 0;
const REJECTED: usize = 1;

#[derive(Debug)]
pub(super) struct Window {
    state: Mutex<State>,
    clock: Clock,
    capacity: u64,
    patience: Patience,
    counts: StripedCounter<2>,
    queue: WaitQueue,
}

/// The times, and whether somebody waits, so that newcomers have to queue.
#[derive(Debug)]
struct State {
    ring: Ring,
    waiting: bool,
}

impl Window {
    /// An empty window. The settings must be valid.
    pub(super) fn new(config: &SlidingWindowConfig, clock: Clock) -> Self {
        Self {
            state: Mutex::new(State {
                ring: Ring::new(config.max_requests as usize, config.window),
                waiting: false,
            }),
            clock,
            capacity: config.max_requests,
            patience: Patience {
                max_wait: config.max_wait,
                max_waiters: config.max_waiters,
            },
            counts: StripedCounter::new(),
            queue: WaitQueue::new(),
        }
    }

    /// Admits a request at `now`, if there is room and nobody waits for it.
    #[inline]
    pub(super) fn try_take(&self, now: Tick) -> Result<(), RateLimitError> {
        let mut state = self.state.lock();
        if state.waiting {
            drop(state);
            return Err(refusal(self, now, 1));
        }
        state.ring.admit(now).map_err(|opens_at| {
            let wait = opens_at - now;
            Shortfall { available: 0, wait }.refuse(1)
        })
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

    /// How many requests could be admitted at `now`.
    pub(super) fn available(&self, now: Tick) -> u64 {
        let state = self.state.lock();
        if state.waiting { 0 } else { state.ring.available(now) }
    }
}

impl Owner for Window {
    const WAKES_FRONT: bool = true;

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn grant(&self, _n: u64) -> bool {
        let now = self.clock.now();
        self.state.lock().ring.reserve(now)
    }

    fn give_back(&self, _n: u64) {
        self.state.lock().ring.cancel();
    }

    fn set_waiting(&self, waiting: bool) {
        self.state.lock().waiting = waiting;
    }
}

impl Supply for Window {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn patience(&self) -> Patience {
        self.patience
    }

    fn capacity(&self) -> u64 {
        self.capacity
    }

    fn taken(&self, now: Tick, _n: u64) {
        self.state.lock().ring.redeem(now);
    }

    fn shortfall(&self, now: Tick, ahead: Ahead, _n: u64) -> Shortfall {
        let state = self.state.lock();
        Shortfall {
            available: if ahead.waiting == 0 {
                state.ring.available(now)
            } else {
                0
            },
            wait: state.ring.opens_at(now, ahead.waiting as u64) - now,
        }
    }
}
