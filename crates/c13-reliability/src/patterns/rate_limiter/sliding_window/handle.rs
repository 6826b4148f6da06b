//! The sliding window's handle.

use super::super::error::RateLimitError;
use super::super::permit::RateLimitPermit;
use super::super::snapshot::RateLimiterSnapshot;
use super::super::waitable::waitable_limiter;
use super::super::waiting::{self, Waitable};
use super::config::SlidingWindowConfig;
use super::shared::SharedWindow;
use crate::error::ConfigError;
use crate::time::{Clock, Env, Tick};
use std::sync::Arc;
use std::time::Duration;

/// A sliding window: no `window` of time, wherever it starts, holds more than `max_requests`.
///
/// It is exact unless it is set to be [approximate](SlidingWindowConfig::approximate), which takes constant memory. It
/// keeps the times of the last `max_requests` requests, 8 bytes each, in a ring that grows with use; a decision is
/// O(1) under a lock. A request counts from its own instant until just before `window` later. Clones share one window.
///
/// For a long-term rate with bursts, take a
/// [`TokenBucketRateLimiter`](crate::patterns::rate_limiter::TokenBucketRateLimiter): it is smaller and faster.
///
/// ```
/// use c13_reliability::patterns::rate_limiter::SlidingWindowRateLimiter;
/// use std::time::Duration;
///
/// let limiter = SlidingWindowRateLimiter::new(Duration::from_secs(60), 2);
/// assert!(limiter.try_acquire().is_ok());
/// assert!(limiter.try_acquire().is_ok());
/// assert!(limiter.try_acquire().is_err());
/// ```
#[derive(Clone)]
pub struct SlidingWindowRateLimiter {
    shared: Arc<SharedWindow>,
}

impl SlidingWindowRateLimiter {
    /// At most `max_requests` in any `window`, on the system's clock. For settings that are known when writing; others
    /// are for [`try_new`](Self::try_new).
    ///
    /// # Panics
    ///
    /// If the settings make no sense: see [`SlidingWindowConfig`].
    #[must_use]
    #[track_caller]
    pub fn new(window: Duration, max_requests: u64) -> Self {
        Self::try_new(window, max_requests).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`new`](Self::new), for settings that come from elsewhere.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense: see [`SlidingWindowConfig`].
    pub fn try_new(window: Duration, max_requests: u64) -> Result<Self, ConfigError> {
        Self::with_config(SlidingWindowConfig::new(window, max_requests), Clock::system())
    }

    /// A window with these settings, by the clock of `env`.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense: see [`SlidingWindowConfig`].
    pub fn with_config(config: SlidingWindowConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            shared: Arc::new(SharedWindow::new(&config, env.into().clock)),
        })
    }

    /// Admits a request if the window has room. Never waits.
    ///
    /// # Errors
    ///
    /// [`RateLimitExceeded`](RateLimitError::RateLimitExceeded) if the window is full or others wait.
    #[inline]
    pub fn try_acquire(&self) -> Result<(), RateLimitError> {
        self.try_acquire_at(self.shared.clock().now())
    }

    /// As [`try_acquire`](Self::try_acquire), at a time that the caller has read already from the limiter's clock.
    #[inline]
    pub(crate) fn try_acquire_at(&self, now: Tick) -> Result<(), RateLimitError> {
        self.shared.try_take(now)
    }

    /// Admits a request, and waits for room as long as the limiter's `max_wait` allows: zero unless set, so that it
    /// refuses at once. It does not wait for room that comes at the caller's [`Deadline`](crate::time::Deadline) or
    /// after it; room that is there at once it takes without a look at the deadline. Callers are served first come, first
    /// served.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire). A wait that would end too late is refused at its start.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the queue at once, and takes no room in the window.
    pub async fn acquire(&self) -> Result<(), RateLimitError> {
        waiting::acquire(&*self.shared, 1).await
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> SlidingWindowConfig {
        self.shared.config()
    }

    /// Applies other settings from now on. The window keeps what it holds, and waiters keep their places and the `max_wait` that
    /// they joined with. A window that becomes smaller may hold more than it should until requests leave it; one that becomes
    /// approximate, or exact, counts what it holds as if it had just come. Complexity: O(`max_requests`).
    ///
    /// # Errors
    ///
    /// The setting that makes no sense; nothing has changed then.
    pub fn reconfigure(&self, config: SlidingWindowConfig) -> Result<(), ConfigError> {
        config.validate()?;
        self.shared.reconfigure(self.shared.clock().now(), &config);
        Ok(())
    }

    /// How many requests could be admitted now; none while others wait. Complexity: O(log `max_requests`).
    #[must_use]
    pub fn available_requests(&self) -> u64 {
        self.shared.available(self.shared.clock().now())
    }

    /// How many requests any window may hold.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.shared.capacity()
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.shared.clock()
    }

    /// Its counters, and its state now.
    #[must_use]
    pub fn snapshot(&self) -> RateLimiterSnapshot {
        waiting::snapshot(&*self.shared)
    }

    #[inline]
    fn try_one(&self) -> Result<(), RateLimitError> {
        self.try_acquire()
    }
}

waitable_limiter!(SlidingWindowRateLimiter);
