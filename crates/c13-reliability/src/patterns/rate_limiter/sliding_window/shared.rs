//! The state that clones of a sliding window share: the window, behind a mutex, the counts, and the queue of waiters.

use super::super::counts::Counts;
use super::super::error::{RateLimitError, Shortfall};
use super::super::waiting::{WaitLimits, Waitable, refusal};
use super::config::SlidingWindowConfig;
use super::state::WindowState;
use crate::sync::primitive::Mutex;
use crate::sync::wait_queue::{Ahead, Owner, WaitQueue};
use crate::time::{Clock, Tick};

#[derive(Debug)]
pub(crate) struct SharedWindow {
    state: Mutex<Guarded>,
    clock: Clock,
    counts: Counts,
    wait_limits: WaitLimits,
    queue: WaitQueue,
}

/// The window, and whether there are waiters, so that new callers have to queue.
#[derive(Debug)]
struct Guarded {
    window: WindowState,
    waiting: bool,
    config: SlidingWindowConfig,
}

impl SharedWindow {
    /// An empty window. The settings must be valid.
    pub(super) fn new(config: &SlidingWindowConfig, clock: Clock) -> Self {
        Self {
            state: Mutex::new(Guarded {
                window: WindowState::new(config, clock.now()),
                waiting: false,
                config: *config,
            }),
            clock,
            counts: Counts::new(config.shadow),
            wait_limits: WaitLimits::new(config.max_wait, config.max_waiters),
            queue: WaitQueue::new(),
        }
    }

    /// Admits a request at `now`, if there is room and nobody waits for it, and counts the outcome.
    #[inline]
    pub(super) fn try_take(&self, now: Tick) -> Result<(), RateLimitError> {
        self.counts.settle(self.admit(now))
    }

    #[inline]
    fn admit(&self, now: Tick) -> Result<(), RateLimitError> {
        let mut state = self.state.lock();
        if state.waiting {
            drop(state);
            return Err(refusal(self, now, 1));
        }
        state.window.admit(now).map_err(|opens_at| {
            let wait = opens_at - now;
            Shortfall { available: 0, wait }.refuse(1)
        })
    }

    pub(super) fn config(&self) -> SlidingWindowConfig {
        self.state.lock().config
    }

    /// Applies `config` from `now` on. The settings must be valid.
    pub(super) fn reconfigure(&self, now: Tick, config: &SlidingWindowConfig) {
        let mut state = self.state.lock();
        if (state.config.window, state.config.max_requests, state.config.approximate)
            != (config.window, config.max_requests, config.approximate)
        {
            state.window = state.window.changed(config, now);
        }
        state.config = *config;
        self.counts.set_shadow(config.shadow);
        self.wait_limits.set(config.max_wait, config.max_waiters);
        drop(state);
        self.queue.settle_anew(self);
    }
}

impl Owner for SharedWindow {
    const WAKES_FRONT: bool = true;

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn grant(&self, _n: u64) -> bool {
        let now = self.clock.now();
        self.state.lock().window.reserve(now)
    }

    fn give_back(&self, _n: u64) {
        self.state.lock().window.cancel();
    }

    fn dates_grants(&self) -> Option<u64> {
        // An approximate window counts a promise from when it was given, so the promise ends by itself.
        let promises = matches!(self.state.lock().window, WindowState::Exact(_));
        promises.then(|| self.clock.now().as_nanos())
    }

    fn set_waiting(&self, waiting: bool) {
        self.state.lock().waiting = waiting;
    }
}

impl Waitable for SharedWindow {
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
        self.state.lock().config.max_requests
    }

    fn available(&self, now: Tick) -> u64 {
        let state = self.state.lock();
        if state.waiting { 0 } else { state.window.available(now) }
    }

    fn take(&self, now: Tick, _n: u64) -> Result<(), RateLimitError> {
        self.admit(now)
    }

    fn collected(&self, now: Tick, _n: u64) {
        self.state.lock().window.redeem(now);
    }

    fn shortfall(&self, now: Tick, ahead: Ahead, _n: u64) -> Shortfall {
        let state = self.state.lock();
        Shortfall {
            available: if ahead.waiting == 0 {
                state.window.available(now)
            } else {
                0
            },
            wait: state.window.opens_at(now, ahead.waiting as u64) - now,
        }
    }
}
