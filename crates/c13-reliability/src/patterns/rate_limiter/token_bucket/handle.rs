//! The token bucket's handle.

use super::super::error::RateLimitError;
use super::super::permit::RateLimitPermit;
use super::super::snapshot::RateLimiterSnapshot;
use super::super::waitable::waitable_limiter;
use super::super::waiting::{self, Waitable};
use super::config::RateLimiterConfig;
use super::reservation::Reservation;
use super::shared::SharedBucket;
use crate::error::ConfigError;
use crate::sync::Stripes;
use crate::time::{Clock, Env, Tick};
use std::sync::Arc;

/// A token bucket: it holds up to `capacity` tokens and refills by `rate` tokens a second. A request takes as many tokens as it
/// asks for, or is refused.
///
/// Over any time t it never admits more than `capacity + rate · t`, whatever the number of threads. A decision is one
/// reading of the clock and one exchange of a word; nothing is allocated. Clones share one bucket, which starts full.
///
/// ```
/// use c13_reliability::patterns::rate_limiter::{RateLimitError, TokenBucketRateLimiter};
///
/// let limiter = TokenBucketRateLimiter::new(2, 0.5);
/// assert!(limiter.try_acquire(2).is_ok());
/// match limiter.try_acquire(1) {
///     Err(RateLimitError::RateLimitExceeded { requested: 1, available: 0, retry_after }) => {
///         assert!(retry_after.as_secs_f64() > 1.9, "half a token a second");
///     }
///     other => panic!("{other:?}"),
/// }
/// assert_eq!(
///     limiter.try_acquire(3),
///     Err(RateLimitError::ExceedsCapacity { requested: 3, capacity: 2 })
/// );
/// ```
#[derive(Clone)]
pub struct TokenBucketRateLimiter {
    shared: Arc<SharedBucket>,
}

impl TokenBucketRateLimiter {
    /// A full bucket of `capacity` tokens that refills by `rate` tokens a second, on the system's clock. For settings
    /// that are known when writing; others are for [`try_new`](Self::try_new).
    ///
    /// # Panics
    ///
    /// If the settings make no sense: see [`RateLimiterConfig`].
    #[must_use]
    #[track_caller]
    pub fn new(capacity: u64, rate: f64) -> Self {
        Self::try_new(capacity, rate).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`new`](Self::new), for settings that come from elsewhere.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense: see [`RateLimiterConfig`].
    pub fn try_new(capacity: u64, rate: f64) -> Result<Self, ConfigError> {
        Self::with_config(RateLimiterConfig::new(rate, capacity), Clock::system())
    }

    /// A bucket with these settings, by the clock of `env`.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense: see [`RateLimiterConfig`].
    pub fn with_config(config: RateLimiterConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        Self::on(&Stripes::new(Self::WORDS), config, env.into().clock)
    }

    /// How many words of a stripe it takes.
    pub(crate) const WORDS: usize = SharedBucket::WORDS;

    /// As [`with_config`](Self::with_config), on stripes that others use too.
    pub(crate) fn on(stripes: &Stripes, config: RateLimiterConfig, clock: Clock) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            shared: Arc::new(SharedBucket::on(stripes, &config, clock)),
        })
    }

    /// Takes `n` tokens if they are available. Never waits; 0 tokens are always available.
    ///
    /// # Errors
    ///
    /// [`RateLimitExceeded`](RateLimitError::RateLimitExceeded) if fewer are available or others wait for them,
    /// [`ExceedsCapacity`](RateLimitError::ExceedsCapacity) if there will never be as many.
    #[inline]
    pub fn try_acquire(&self, n: u64) -> Result<(), RateLimitError> {
        let now = self.shared.clock().now();
        // Functions of their own: apart from the clock's, a decision calls nothing but at its end, and so needs no frame.
        // Most requests are for one token, which is a constant there.
        if n == 1 {
            self.take_one(now)
        } else {
            self.take_many(now, n)
        }
    }

    #[inline(never)]
    fn take_one(&self, now: Tick) -> Result<(), RateLimitError> {
        self.shared.try_take(now, 1)
    }

    #[inline(never)]
    fn take_many(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        self.shared.try_take(now, n)
    }

    /// As [`try_acquire`](Self::try_acquire), at a time that the caller has read already from the limiter's clock.
    #[inline]
    pub(crate) fn try_acquire_at(&self, now: Tick, n: u64) -> Result<(), RateLimitError> {
        self.shared.try_take(now, n)
    }

    /// As [`try_acquire_at`](Self::try_acquire_at) for a single token, for a caller that goes on to wait if there is none. Counts
    /// no refusal.
    pub(crate) fn take_or_wait_at(&self, now: Tick) -> bool {
        waiting::take_uncounted(&*self.shared, now, 1)
    }

    /// Takes `n` tokens, and waits for them as long as the limiter's `max_wait` allows: zero unless set, so that it refuses at
    /// once. It does not wait for tokens that come at the caller's [`Deadline`](crate::time::Deadline) or after it; tokens that
    /// are available at once it takes without a look at the deadline. Callers are served first come, first served; a small
    /// request does not overtake a large one.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire). A wait that would end too late is refused at its start.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the queue at once, and takes nothing from the bucket.
    pub async fn acquire(&self, n: u64) -> Result<(), RateLimitError> {
        waiting::acquire(&*self.shared, n).await
    }

    /// Reserves `n` tokens, for now or for when their time comes, which is before the limiter's `max_wait` is over. Nobody else
    /// can take reserved tokens; dropping the reservation gives them back. The caller's deadline has no effect, because a
    /// reservation may be meant for another task.
    ///
    /// ```
    /// use c13_reliability::patterns::rate_limiter::{RateLimiterConfig, TokenBucketRateLimiter};
    /// use c13_reliability::time::Clock;
    /// use std::time::Duration;
    ///
    /// let config = RateLimiterConfig::new(0.05, 2).max_wait(Duration::from_secs(60));
    /// let limiter = TokenBucketRateLimiter::with_config(config, Clock::system())?;
    /// let at_once = limiter.reserve(2).expect("the bucket is full");
    /// let later = limiter.reserve(1).expect("20 seconds are less than a minute");
    /// assert!(at_once.wait().is_zero() && later.wait() > Duration::from_secs(15));
    /// drop(at_once);
    /// assert!(later.try_redeem().is_ok(), "the tokens that were given back go to whoever is next");
    /// # Ok::<(), c13_reliability::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn reserve(&self, n: u64) -> Result<Reservation, RateLimitError> {
        Reservation::new(self.shared.clone(), n)
    }

    /// What [`try_acquire`](Self::try_acquire) would return now. Takes nothing and counts nothing.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    pub fn peek(&self, n: u64) -> Result<(), RateLimitError> {
        self.shared.peek(self.shared.clock().now(), n)
    }

    /// Gives back `n` tokens that were taken and not used; waiters get them first. The bucket never holds more than its
    /// capacity, so tokens given back to a full bucket are lost.
    ///
    /// Tokens count from when they are given back, so giving them back late moves admissions from then to now.
    pub fn refund(&self, n: u64) {
        self.shared.refund(self.shared.clock().now(), n);
    }

    /// Takes all whole tokens that are available, waiters or not, and returns how many: for a dependency that reports by itself
    /// that it gets too many requests.
    #[expect(clippy::must_use_candidate, reason = "most callers only want the bucket empty")]
    pub fn drain(&self) -> u64 {
        self.shared.drain(self.shared.clock().now())
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> RateLimiterConfig {
        self.shared.config()
    }

    /// Applies other settings from now on, and loses nothing: the bucket keeps its tokens as far as they fit, and waiters keep
    /// their places and the `max_wait` that they joined with, and are served at the new rate. A larger bucket fills with time. [`start_empty`](RateLimiterConfig::start_empty) has no effect any more.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense; nothing has changed then.
    pub fn reconfigure(&self, config: RateLimiterConfig) -> Result<(), ConfigError> {
        config.validate()?;
        self.shared.reconfigure(self.shared.clock().now(), &config);
        Ok(())
    }

    /// How many tokens [`try_acquire`](Self::try_acquire) could take now: whole tokens, and none while others wait. A paced
    /// limiter never has more than one.
    #[must_use]
    pub fn available_tokens(&self) -> u64 {
        self.shared.available(self.shared.clock().now())
    }

    /// How many tokens the bucket holds: the largest request that can be met.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.shared.capacity()
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.shared.clock()
    }

    /// How many handles to it there are.
    pub(crate) fn handles(&self) -> usize {
        Arc::strong_count(&self.shared)
    }

    /// Its counters, and its state now.
    #[must_use]
    pub fn snapshot(&self) -> RateLimiterSnapshot {
        waiting::snapshot(&*self.shared)
    }

    #[inline]
    fn try_one(&self) -> Result<(), RateLimitError> {
        self.try_acquire(1)
    }
}

waitable_limiter!(TokenBucketRateLimiter);
