//! A sliding window of either kind, as a plain value.

use super::super::config::SlidingWindowConfig;
use super::approximate::ApproximateWindow;
use super::exact::ExactWindow;
use crate::time::Tick;

/// What has been admitted within the window.
#[derive(Clone, Debug)]
pub(super) enum WindowState {
    /// To the nanosecond.
    Exact(ExactWindow),
    /// By two counters.
    Approximate(ApproximateWindow),
}

impl WindowState {
    /// An empty window at `now`. The settings must be valid.
    pub(super) fn new(config: &SlidingWindowConfig, now: Tick) -> Self {
        if config.approximate {
            Self::Approximate(ApproximateWindow::new(config.max_requests, config.window, now))
        } else {
            Self::Exact(ExactWindow::new(config.max_requests as usize, config.window))
        }
    }

    /// Admits a request at `now`, or says when there will be room for it.
    #[inline]
    pub(super) fn admit(&mut self, now: Tick) -> Result<(), Tick> {
        match self {
            Self::Exact(ring) => ring.admit(now),
            Self::Approximate(counter) => counter.admit(now),
        }
    }

    /// Promises a place to a request that is about to come, if there is room at `now`.
    pub(super) fn reserve(&mut self, now: Tick) -> bool {
        match self {
            Self::Exact(ring) => ring.reserve(now),
            Self::Approximate(counter) => counter.admit(now).is_ok(),
        }
    }

    /// Admits a request that was promised a place.
    pub(super) fn redeem(&mut self, now: Tick) {
        match self {
            Self::Exact(ring) => ring.redeem(now),
            // It was counted when it was promised.
            Self::Approximate(_) => {}
        }
    }

    /// Takes a promise back.
    pub(super) fn cancel(&mut self) {
        match self {
            Self::Exact(ring) => ring.cancel(),
            Self::Approximate(counter) => counter.give_back(1),
        }
    }

    /// When there is room for a request after `ahead` others, if all of them come at `now` and wait their turn.
    pub(super) fn opens_at(&self, now: Tick, ahead: u64) -> Tick {
        match self {
            Self::Exact(ring) => ring.opens_at(now, ahead),
            Self::Approximate(counter) => counter.opens_at(now, ahead),
        }
    }

    /// How many requests could be admitted at `now`.
    pub(super) fn available(&self, now: Tick) -> u64 {
        match self {
            Self::Exact(ring) => ring.available(now),
            Self::Approximate(counter) => counter.available(now),
        }
    }

    /// The same window under other settings at `now`. What it holds stays as far as the new kind can know it, and never
    /// counts for less than it did.
    pub(super) fn changed(&self, config: &SlidingWindowConfig, now: Tick) -> Self {
        match (self, Self::new(config, now)) {
            (Self::Exact(old), Self::Exact(mut ring)) => {
                ring.take_over(old);
                Self::Exact(ring)
            }
            (Self::Exact(old), Self::Approximate(mut counter)) => {
                counter.hold(old.held(now));
                Self::Approximate(counter)
            }
            (Self::Approximate(old), Self::Approximate(mut counter)) => {
                counter.hold(old.held(now));
                Self::Approximate(counter)
            }
            (Self::Approximate(old), Self::Exact(mut ring)) => {
                ring.hold(old.held(now), now);
                Self::Exact(ring)
            }
        }
    }
}
