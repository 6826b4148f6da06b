//! The token bucket for many threads: it lends tokens to them in batches.
//!
//! Lending admits nothing beyond the bound: a thread borrows only when it holds less than is asked for, so its stock is at most
//! a batch less one, and all stocks together are below what was taken off the capacity.

use super::super::counts::Counts;
use super::super::error::RateLimitError;
use super::super::permit::RateLimitPermit;
use super::super::snapshot::RateLimiterSnapshot;
use super::config::RateLimiterConfig;
use super::packed::{FastTake, PackedBucket, Taker};
use crate::error::{ConfigError, ConfigValue};
use crate::gate::{Admittance, Gate, NeverWaits, OwnedGate, Refusal};
use crate::snapshot::{Observed, Source};
use crate::sync::primitive::Mutex;
use crate::sync::{STOCKS, StripedStock, Stripes};
use crate::time::{Clock, Env, Tick};
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;

/// A token bucket for hundreds of millions of requests a second from many threads.
///
/// It lends batches of tokens to threads, and takes what it may have lent off its own capacity, so that the bound of a
/// [`TokenBucketRateLimiter`](super::TokenBucketRateLimiter) still holds: over any time t no more than `capacity + rate ·
/// t`. Most decisions are then one subtraction on the thread's own cache line, without a reading of the clock.
///
/// The price: up to half of the capacity may lie with threads that do not use it, so that others are refused early; and
/// callers cannot wait. It needs a large capacity, of 1,040 at least. Memory: 1 KB, and 256 bytes
/// for each further thread that uses it. Clones share one bucket.
///
/// ```
/// use c13_reliability::patterns::rate_limiter::ShardedRateLimiter;
///
/// let limiter = ShardedRateLimiter::new(100_000, 1e6);
/// assert!(limiter.try_acquire(1).is_ok());
/// assert!(limiter.try_acquire(1_000_000).is_err(), "more than it ever holds");
/// ```
#[derive(Clone)]
pub struct ShardedRateLimiter {
    shared: Arc<ShardedBucket>,
}

struct ShardedBucket {
    packed: PackedBucket,
    clock: Clock,
    stock: StripedStock,
    batch: u64,
    counts: Counts,
    /// Locked while the settings change.
    config: Mutex<RateLimiterConfig>,
}

const PART: &str = "sharded token bucket";
/// The largest batch, and the smallest worth lending.
const LARGEST_BATCH: u64 = 64;
const SMALLEST_BATCH: u64 = 8;
/// At most half of the capacity is lent.
const LEAST_CAPACITY: u64 = 2 * STOCKS * SMALLEST_BATCH;

impl ShardedRateLimiter {
    /// A full bucket of `capacity` tokens that refills by `rate` tokens a second, on the system's clock. For settings
    /// that are known when writing; others are for [`try_new`](Self::try_new).
    ///
    /// # Panics
    ///
    /// If the settings make no sense: see [`with_config`](Self::with_config).
    #[must_use]
    #[track_caller]
    pub fn new(capacity: u64, rate: f64) -> Self {
        Self::try_new(capacity, rate).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`new`](Self::new), for settings that come from elsewhere.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense: see [`with_config`](Self::with_config).
    pub fn try_new(capacity: u64, rate: f64) -> Result<Self, ConfigError> {
        Self::with_config(RateLimiterConfig::new(rate, capacity), Clock::system())
    }

    /// A bucket with these settings, by the clock of `env`.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense: see [`RateLimiterConfig`]. Besides, the burst must be at least 1,040, and waiting,
    /// pacing and warming up are not supported.
    pub fn with_config(config: RateLimiterConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        check(&config)?;
        let clock = env.into().clock;
        let batch = (config.burst / (2 * STOCKS)).min(LARGEST_BATCH);
        Ok(Self {
            shared: Arc::new(ShardedBucket {
                packed: PackedBucket::new(&central(config, batch), clock.now()),
                clock,
                stock: StripedStock::on(&Stripes::new(StripedStock::WORDS)),
                batch,
                counts: Counts::new(config.shadow),
                config: Mutex::new(config),
            }),
        })
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> RateLimiterConfig {
        *self.shared.config.lock()
    }

    /// Applies other settings from now on, and loses nothing: the bucket keeps its tokens as far as they fit, and threads keep
    /// what they were lent. The size of a batch stays as the first burst made it.
    /// [`start_empty`](RateLimiterConfig::start_empty) has no effect any more.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense, as in [`with_config`](Self::with_config). Besides, the burst must be at least
    /// twice what may be lent: 130 times the batch, which is a 130th of the first burst, at most 64. Nothing has changed
    /// then.
    pub fn reconfigure(&self, config: RateLimiterConfig) -> Result<(), ConfigError> {
        check(&config)?;
        if config.burst / (2 * STOCKS) < self.shared.batch {
            let rule = "must be at least twice what may be lent, which the first burst has fixed";
            return Err(ConfigError::new(PART, "burst", ConfigValue::Count(config.burst), rule));
        }
        let mut current = self.shared.config.lock();
        let now = self.shared.clock.now();
        self.shared.packed.change(now, &central(config, self.shared.batch));
        self.shared.counts.set_shadow(config.shadow);
        *current = config;
        Ok(())
    }

    /// Takes `n` tokens if they are available. Never waits; 0 tokens are always available.
    ///
    /// # Errors
    ///
    /// [`RateLimitExceeded`](RateLimitError::RateLimitExceeded) if neither this thread nor the bucket holds as many,
    /// [`ExceedsCapacity`](RateLimitError::ExceedsCapacity) if the bucket never will: that is, for more than half of the
    /// capacity at the least.
    #[inline]
    pub fn try_acquire(&self, n: u64) -> Result<(), RateLimitError> {
        if self.shared.stock.take(n) {
            Ok(())
        } else {
            self.shared.take(n)
        }
    }

    /// How many tokens are available in the bucket and in the stocks of all threads. A request may find fewer.
    #[must_use]
    pub fn available_tokens(&self) -> u64 {
        self.shared.central() + self.shared.stock.total()
    }

    /// How many tokens it holds at most, those that are lent included.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.config().burst
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Its counters, and its state now.
    #[must_use]
    pub fn snapshot(&self) -> RateLimiterSnapshot {
        let counted = self.shared.counts.snapshot();
        RateLimiterSnapshot {
            allowed: self.shared.stock.served() + counted.allowed,
            available: self.available_tokens(),
            capacity: self.capacity(),
            ..counted
        }
    }
}

impl Observed for ShardedRateLimiter {
    fn source(&self) -> Source {
        Source::of(&self.shared, |shared| Self { shared }.snapshot().readings())
    }
}

impl ShardedBucket {
    /// Takes `n` tokens where this thread's stock does not suffice.
    #[inline(never)]
    fn take(&self, n: u64) -> Result<(), RateLimitError> {
        let now = self.clock.now();
        if self.take_uncounted(now, n) {
            return Ok(());
        }
        self.counts.settle(Err(self.refusal(now, n)))
    }

    /// As [`take`](Self::take), but counts no refusal.
    #[inline(never)]
    fn take_uncounted(&self, now: Tick, n: u64) -> bool {
        if n <= self.batch {
            let lent = self.packed.lend(now, self.batch);
            return lent > 0 && self.stock.put_and_take(lent, n);
        }
        let taken = self.take_whole(now, n);
        if taken {
            self.counts.admit();
        }
        taken
    }

    /// Takes more than a batch, past the stocks.
    fn take_whole(&self, now: Tick, n: u64) -> bool {
        matches!(self.packed.take(now, n), FastTake::Taken) || self.packed.take_slowly(now, n, Taker::Newcomer)
    }

    fn refusal(&self, now: Tick, n: u64) -> RateLimitError {
        let view = self.packed.view(now);
        if n > view.plan.burst {
            return RateLimitError::ExceedsCapacity {
                requested: n,
                capacity: view.plan.burst,
            };
        }
        let stock = if n <= self.batch { self.stock.stock() } else { 0 };
        let mut short = view
            .plan
            .shortfall(view.arrival, now, 0, view.cost(now, n.saturating_sub(stock)));
        short.available += stock;
        short.refuse(n)
    }

    fn central(&self) -> u64 {
        let now = self.clock.now();
        let view = self.packed.view(now);
        view.plan.available(view.arrival, view.plan.units(now))
    }
}

/// The settings of the bucket that lends: all that may be lent is taken off its capacity.
fn central(config: RateLimiterConfig, batch: u64) -> RateLimiterConfig {
    RateLimiterConfig {
        burst: config.burst - batch * STOCKS,
        ..config
    }
}

fn check(config: &RateLimiterConfig) -> Result<(), ConfigError> {
    config.validate()?;
    if config.burst < LEAST_CAPACITY {
        let rule = "must be at least 1,040, to be worth lending from";
        return Err(ConfigError::new(PART, "burst", ConfigValue::Count(config.burst), rule));
    }
    if !config.max_wait.is_zero() {
        let value = ConfigValue::Duration(config.max_wait);
        return Err(ConfigError::new(
            PART,
            "max_wait",
            value,
            "must be zero: nobody can wait",
        ));
    }
    for (setting, is_set) in [("paced", config.paced), ("warm_up", config.warm_up.is_some())] {
        if is_set {
            let rule = "must not be set: what is lent is spent at once";
            return Err(ConfigError::new(PART, setting, ConfigValue::Text("set"), rule));
        }
    }
    Ok(())
}

impl Gate for ShardedRateLimiter {
    type Permit<'a> = RateLimitPermit;
    type Rejection = RateLimitError;

    fn try_admit(&self) -> Result<RateLimitPermit, RateLimitError> {
        self.try_acquire(1).map(|()| RateLimitPermit::new())
    }

    fn try_admit_uncounted(&self) -> Option<RateLimitPermit> {
        let taken = self.shared.stock.take(1) || self.shared.take_uncounted(self.shared.clock.now(), 1);
        taken.then(RateLimitPermit::new)
    }

    async fn admit(&self) -> Result<RateLimitPermit, RateLimitError> {
        self.try_admit()
    }
}

impl OwnedGate for ShardedRateLimiter {
    type OwnedPermit = RateLimitPermit;
    type Admission = Ready<Result<RateLimitPermit, RateLimitError>>;
    type Waiting = NeverWaits;
    type Error<E> = Refusal<RateLimitError, E>;

    fn admit_owned(&self) -> Self::Admission {
        ready(self.try_admit())
    }

    fn ask(&self) -> Admittance<RateLimitPermit, RateLimitError, Self::Admission> {
        self.try_admit().into()
    }
}

impl fmt::Debug for ShardedRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.snapshot();
        f.debug_struct("ShardedRateLimiter")
            .field("available", &snapshot.available)
            .field("capacity", &snapshot.capacity)
            .finish_non_exhaustive()
    }
}
