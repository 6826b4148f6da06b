//! A sliding window of either kind, as a plain value.

use super::approximate::ApproximateWindow;
use super::config::SlidingWindowConfig;
use super::exact::ExactWindow;
use super::window::SlidingWindow;
use crate::time::Tick;

/// A window of either kind.
#[derive(Clone, Debug)]
pub(super) enum WindowState {
    /// To the nanosecond.
    Exact(ExactWindow),
    /// By two counters.
    Approximate(ApproximateWindow),
}

/// The same for either kind.
macro_rules! either {
    ($state:expr, $window:ident => $body:expr) => {
        match $state {
            WindowState::Exact($window) => $body,
            WindowState::Approximate($window) => $body,
        }
    };
}

impl WindowState {
    /// An empty window at `now`. The settings must be valid.
    pub(super) fn new(config: &SlidingWindowConfig, now: Tick) -> Self {
        if config.approximate {
            Self::Approximate(ApproximateWindow::empty(config, now))
        } else {
            Self::Exact(ExactWindow::empty(config, now))
        }
    }

    /// Admits a request at `now`, or returns when there will be room for it.
    #[inline]
    pub(super) fn admit(&mut self, now: Tick) -> Result<(), Tick> {
        either!(self, window => window.admit(now))
    }

    /// Promises room to a waiter that has not collected it yet, if there is room at `now`.
    pub(super) fn reserve(&mut self, now: Tick) -> bool {
        match self {
            Self::Exact(window) => window.reserve(now),
            Self::Approximate(window) => window.admit(now).is_ok(),
        }
    }

    /// Admits a request that room was promised to.
    pub(super) fn redeem(&mut self, now: Tick) {
        match self {
            Self::Exact(window) => window.redeem(now),
            // It was counted when it was promised.
            Self::Approximate(_) => {}
        }
    }

    /// Takes a promise back.
    pub(super) fn cancel(&mut self) {
        match self {
            Self::Exact(window) => window.cancel(),
            Self::Approximate(window) => window.give_back(1),
        }
    }

    /// When there will be room for a request behind `ahead` others, if all of them come at `now` and wait for their turn.
    pub(super) fn opens_at(&self, now: Tick, ahead: u64) -> Tick {
        either!(self, window => window.opens_at(now, ahead))
    }

    /// How many requests could be admitted at `now`.
    pub(super) fn available(&self, now: Tick) -> u64 {
        either!(self, window => window.available(now))
    }

    /// The same window under other settings at `now`. It keeps what it holds as far as the new kind can know it, and never
    /// counts it for less.
    pub(super) fn changed(&self, config: &SlidingWindowConfig, now: Tick) -> Self {
        match (self, Self::new(config, now)) {
            (Self::Exact(old), Self::Exact(_)) => Self::Exact(ExactWindow::carry_over(config, old, now)),
            (Self::Approximate(old), Self::Approximate(_)) => {
                Self::Approximate(ApproximateWindow::carry_over(config, old, now))
            }
            (Self::Exact(old), Self::Approximate(mut new)) => {
                new.hold(old.held(now));
                Self::Approximate(new)
            }
            (Self::Approximate(old), Self::Exact(mut new)) => {
                new.hold(old.held(now), now);
                Self::Exact(new)
            }
        }
    }
}
