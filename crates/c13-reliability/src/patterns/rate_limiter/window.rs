//! The sliding window's shared state: what it holds, under a lock, and the queue of those who wait for it.

use super::config::SlidingWindowConfig;
use super::desk::{Desk, Terms};
use super::error::{RateLimitError, Shortfall};
use super::span::Span;
use super::supply::{Supply, refusal};
use crate::sync::primitive::Mutex;
use crate::sync::wait_queue::{Ahead, Owner, WaitQueue};
use crate::time::{Clock, Tick};

#[derive(Debug)]
pub(super) struct Window {
    state: Mutex<State>,
    clock: Clock,
    desk: Desk,
    queue: WaitQueue,
}

/// What the window holds, and whether somebody waits, so that newcomers have to queue.
#[derive(Debug)]
struct State {
    span: Span,
    waiting: bool,
    config: SlidingWindowConfig,
}

impl Window {
    /// An empty window. The settings must be valid.
    pub(super) fn new(config: &SlidingWindowConfig, clock: Clock) -> Self {
        Self {
            state: Mutex::new(State {
                span: Span::new(config, clock.now()),
                waiting: false,
                config: *config,
            }),
            clock,
            desk: Desk::new(terms(config)),
            queue: WaitQueue::new(),
        }
    }

    /// Admits a request at `now`, if there is room and nobody waits for it, and counts what came of it.
    #[inline]
    pub(super) fn try_take(&self, now: Tick) -> Result<(), RateLimitError> {
        self.desk.close(self.admit(now))
    }

    #[inline]
    fn admit(&self, now: Tick) -> Result<(), RateLimitError> {
        let mut state = self.state.lock();
        if state.waiting {
            drop(state);
            return Err(refusal(self, now, 1));
        }
        state.span.admit(now).map_err(|opens_at| {
            let wait = opens_at - now;
            Shortfall { available: 0, wait }.refuse(1)
        })
    }

    /// How many requests could be admitted at `now`.
    pub(super) fn available(&self, now: Tick) -> u64 {
        let state = self.state.lock();
        if state.waiting { 0 } else { state.span.available(now) }
    }

    pub(super) fn config(&self) -> SlidingWindowConfig {
        self.state.lock().config
    }

    /// Goes by `config` from `now` on. The settings must be valid.
    pub(super) fn reconfigure(&self, now: Tick, config: &SlidingWindowConfig) {
        let mut state = self.state.lock();
        if (state.config.window, state.config.max_requests, state.config.approximate)
            != (config.window, config.max_requests, config.approximate)
        {
            state.span = state.span.changed(config, now);
        }
        state.config = *config;
        self.desk.change(terms(config));
        drop(state);
        self.queue.settle_anew(self);
    }
}

fn terms(config: &SlidingWindowConfig) -> Terms {
    Terms {
        max_wait: config.max_wait,
        max_waiters: config.max_waiters,
        shadow: config.shadow,
    }
}

impl Owner for Window {
    const WAKES_FRONT: bool = true;

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn grant(&self, _n: u64) -> bool {
        let now = self.clock.now();
        self.state.lock().span.reserve(now)
    }

    fn give_back(&self, _n: u64) {
        self.state.lock().span.cancel();
    }

    fn dates_grants(&self) -> Option<u64> {
        // A promise of an approximate window counts from when it was given, and leaves the window with time.
        let promises = matches!(self.state.lock().span, Span::Exact(_));
        promises.then(|| self.clock.now().as_nanos())
    }

    fn set_waiting(&self, waiting: bool) {
        self.state.lock().waiting = waiting;
    }
}

impl Supply for Window {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn desk(&self) -> &Desk {
        &self.desk
    }

    fn capacity(&self) -> u64 {
        self.state.lock().config.max_requests
    }

    fn take(&self, now: Tick, _n: u64) -> Result<(), RateLimitError> {
        self.admit(now)
    }

    fn taken(&self, now: Tick, _n: u64) {
        self.state.lock().span.redeem(now);
    }

    fn shortfall(&self, now: Tick, ahead: Ahead, _n: u64) -> Shortfall {
        let state = self.state.lock();
        Shortfall {
            available: if ahead.waiting == 0 {
                state.span.available(now)
            } else {
                0
            },
            wait: state.span.opens_at(now, ahead.waiting as u64) - now,
        }
    }
}
