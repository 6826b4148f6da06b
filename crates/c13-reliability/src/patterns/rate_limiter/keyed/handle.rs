//! The keyed limiter's handle.

use super::super::counts::Counts;
use super::super::error::RateLimitError;
use super::super::sliding_window::approximate::ApproximateWindow;
use super::super::sliding_window::exact::ExactWindow;
use super::config::{KeyedConfig, PART, Quota, WhenFull};
use super::keys::{Decision, Found, Keys, Sums, decide_new};
use super::quota::{BucketQuota, KeyQuota, WindowQuota};
use super::snapshot::{KeyedSnapshot, QuotaStatus};
use crate::error::{ConfigError, ConfigValue};
use crate::keyed::Seeds;
use crate::snapshot::{Observed, Source};
use crate::sync::primitive::{AtomicU64, Mutex, Ordering};
use crate::time::{Clock, Env};
use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// A quota for each key: for each user, tenant, address or route.
///
/// Memory is bounded: it keeps at most `max_keys` keys of at most `max_key_bytes` of text each. It forgets keys bit by bit once
/// they are idle, that is, once they have all of their quota again. A key that is still limited is never forgotten; where all
/// of them are, new keys are refused, or pass untracked if [`WhenFull`] says so. Clones share the keys.
///
/// Keys are found by a fast hash with random seeds. A key's `Eq` runs under a lock, so it must not ask the limiter.
///
/// ```
/// use c13_reliability::patterns::rate_limiter::{KeyedRateLimiter, RateLimiterConfig};
///
/// let users = KeyedRateLimiter::<String>::new(RateLimiterConfig::new(10.0, 2), 100_000);
/// assert!(users.try_acquire("ann", 2).is_ok());
/// assert!(users.try_acquire("ann", 1).is_err());
/// assert!(users.try_acquire("bob", 1).is_ok());
/// assert_eq!(users.top_refused(1), [("ann".to_owned(), 1)]);
/// ```
pub struct KeyedRateLimiter<K> {
    shared: Arc<SharedKeys<K>>,
}

struct SharedKeys<K> {
    keys: Kind<K>,
    clock: Clock,
    counts: Counts,
    config: Mutex<KeyedConfig>,
    /// Requests of layers that had no key.
    keyless: AtomicU64,
}

/// The keys by kind of quota, so that each takes no more room than its kind needs.
enum Kind<K> {
    Buckets(Keys<K, BucketQuota>),
    Rings(Keys<K, WindowQuota<ExactWindow>>),
    Counters(Keys<K, WindowQuota<ApproximateWindow>>),
}

/// The same for every kind.
macro_rules! each_kind {
    ($kind:expr, $keys:ident => $body:expr) => {
        match $kind {
            Kind::Buckets($keys) => $body,
            Kind::Rings($keys) => $body,
            Kind::Counters($keys) => $body,
        }
    };
}

impl<K: Hash + Eq> KeyedRateLimiter<K> {
    /// `quota` for each of at most `max_keys` keys, on the system's clock; new keys beyond them are refused. For settings
    /// that are known when writing; others are for [`try_new`](Self::try_new).
    ///
    /// # Panics
    ///
    /// If the settings make no sense: see [`KeyedConfig`].
    #[must_use]
    #[track_caller]
    pub fn new(quota: impl Into<Quota>, max_keys: usize) -> Self {
        Self::try_new(quota, max_keys).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`new`](Self::new), for settings that come from elsewhere.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense: see [`KeyedConfig`].
    pub fn try_new(quota: impl Into<Quota>, max_keys: usize) -> Result<Self, ConfigError> {
        Self::with_config(KeyedConfig::new(quota.into(), max_keys), Clock::system())
    }

    /// A keyed limiter with these settings, by the clock of `env`.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense: see [`KeyedConfig`].
    pub fn with_config(config: KeyedConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        config.validate()?;
        let clock = env.into().clock;
        let (now, seeds) = (clock.now(), Seeds::from_entropy());
        let (max_keys, longest) = (config.max_keys, config.max_key_bytes);
        let keys = match config.quota {
            Quota::TokenBucket(quota) => {
                Kind::Buckets(Keys::new(&BucketQuota::new(&quota, now), max_keys, longest, seeds))
            }
            Quota::SlidingWindow(quota) if quota.approximate => {
                Kind::Counters(Keys::new(&WindowQuota::new(quota), max_keys, longest, seeds))
            }
            Quota::SlidingWindow(quota) => Kind::Rings(Keys::new(&WindowQuota::new(quota), max_keys, longest, seeds)),
        };
        Ok(Self {
            shared: Arc::new(SharedKeys {
                keys,
                clock,
                counts: Counts::new(config.quota.shadow()),
                config: Mutex::new(config),
                keyless: AtomicU64::new(0),
            }),
        })
    }

    /// Takes `n` from the quota of `key` if as much is available. Never waits; 0 is always available.
    ///
    /// # Errors
    ///
    /// [`RateLimitExceeded`](RateLimitError::RateLimitExceeded) if less is available, or if the key is new and there is no
    /// room for it; [`ExceedsCapacity`](RateLimitError::ExceedsCapacity) if the quota is smaller than `n`;
    /// [`KeyTooLong`](RateLimitError::KeyTooLong) if the key is new and longer than keys may be.
    // Not inlined, so that the result is written in place, whichever kind decides.
    #[inline(never)]
    pub fn try_acquire<Q>(&self, key: &Q, n: u64) -> Result<(), RateLimitError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        each_kind!(&self.shared.keys, keys => self.shared.try_acquire(keys, key, n))
    }

    /// As [`try_acquire`](Self::try_acquire), and returns the status of the key afterwards, for services that report it to their
    /// callers.
    pub fn decide<Q>(&self, key: &Q, n: u64) -> (Result<(), RateLimitError>, QuotaStatus)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let now = self.shared.clock.now();
        let (decision, status) = each_kind!(&self.shared.keys, keys => keys.decide(key, now, n, true));
        let status = status.unwrap_or_else(|| self.status(key));
        (self.shared.conclude(decision, n), status)
    }

    /// What [`try_acquire`](Self::try_acquire) would return now. Takes nothing, counts nothing, and keeps nothing of a new
    /// key.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    pub fn peek<Q>(&self, key: &Q, n: u64) -> Result<(), RateLimitError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.shared.clock.now();
        each_kind!(&self.shared.keys, keys => keys.look(key, now, n)).0
    }

    /// The status of `key` now.
    #[must_use]
    pub fn status<Q>(&self, key: &Q) -> QuotaStatus
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.shared.clock.now();
        each_kind!(&self.shared.keys, keys => keys.look(key, now, 0)).1
    }

    /// Gives back to `key` `n` that were taken and not used; it never has more than its quota.
    pub fn refund<Q>(&self, key: &Q, n: u64)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.shared.clock.now();
        each_kind!(&self.shared.keys, keys => keys.refund(key, now, n));
    }

    /// Forgets what `key` has used, so that it has its whole quota again. Returns whether the key was kept. A quota of its own
    /// stays.
    pub fn forget<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        each_kind!(&self.shared.keys, keys => keys.forget(key))
    }

    /// Gives `key` a quota of its own, of the same kind as that of all others. What it has used stays used. It stays until
    /// it is [cleared](Self::clear_quota), also while the key is idle.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense: see [`Quota::validate`]. Besides, the kind must be the same, and there may be no
    /// more quotas of this sort than keys.
    pub fn set_quota(&self, key: K, quota: impl Into<Quota>) -> Result<(), ConfigError> {
        let quota = quota.into();
        quota.validate()?;
        let now = self.shared.clock.now();
        let set = match (&self.shared.keys, quota) {
            (Kind::Buckets(keys), Quota::TokenBucket(quota)) => keys.set_own(key, now, BucketQuota::new(&quota, now)),
            (Kind::Counters(keys), Quota::SlidingWindow(quota)) if quota.approximate => {
                keys.set_own(key, now, WindowQuota::new(quota))
            }
            (Kind::Rings(keys), Quota::SlidingWindow(quota)) if !quota.approximate => {
                keys.set_own(key, now, WindowQuota::new(quota))
            }
            _ => return Err(other_kind(&quota)),
        };
        if set {
            return Ok(());
        }
        let value = ConfigValue::Count(self.shared.config.lock().max_keys as u64);
        let rule = "must be more than there are keys with a quota of their own";
        Err(ConfigError::new(PART, "max_keys", value, rule))
    }

    /// Removes the quota of its own from `key`, so that it has the quota of all others again. What it has used stays used.
    pub fn clear_quota<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.shared.clock.now();
        each_kind!(&self.shared.keys, keys => keys.clear_own(key, now));
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> KeyedConfig {
        *self.shared.config.lock()
    }

    /// Applies other settings from now on; what keys have used stays used. The quota must be of the same kind. If more keys are
    /// kept than may be, there is no room for new ones until enough are idle. Complexity: O(keys).
    ///
    /// # Errors
    ///
    /// The setting that makes no sense; nothing has changed then.
    pub fn reconfigure(&self, config: KeyedConfig) -> Result<(), ConfigError> {
        config.validate()?;
        let mut current = self.shared.config.lock();
        if current.quota.kind() != config.quota.kind() {
            return Err(other_kind(&config.quota));
        }
        let now = self.shared.clock.now();
        let (max_keys, longest) = (config.max_keys, config.max_key_bytes);
        match (&self.shared.keys, config.quota) {
            (Kind::Buckets(keys), Quota::TokenBucket(quota)) => {
                keys.change(now, &BucketQuota::new(&quota, now), max_keys, longest);
            }
            (Kind::Counters(keys), Quota::SlidingWindow(quota)) => {
                keys.change(now, &WindowQuota::new(quota), max_keys, longest);
            }
            (Kind::Rings(keys), Quota::SlidingWindow(quota)) => {
                keys.change(now, &WindowQuota::new(quota), max_keys, longest);
            }
            _ => return Err(other_kind(&config.quota)),
        }
        self.shared.counts.set_shadow(config.quota.shadow());
        *current = config;
        Ok(())
    }

    /// The keys that were refused most often, in that order, and how often since each was last forgotten. Complexity: O(keys).
    #[must_use]
    pub fn top_refused(&self, count: usize) -> Vec<(K, u64)>
    where
        K: Clone,
    {
        each_kind!(&self.shared.keys, keys => keys.top_refused(count))
    }

    /// Forgets all idle keys at once, frees their memory, and returns how many there were. Without this call they are forgotten
    /// bit by bit when new keys come. Complexity: O(keys).
    #[expect(clippy::must_use_candidate, reason = "most callers only want the memory back")]
    pub fn evict_idle(&self) -> usize {
        let now = self.shared.clock.now();
        each_kind!(&self.shared.keys, keys => keys.evict_idle(now))
    }

    /// How many keys it keeps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sums().keys as usize
    }

    /// Whether it keeps no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Its counters, and its state now. Complexity: O(1), and O(keys) for exact windows.
    #[must_use]
    pub fn snapshot(&self) -> KeyedSnapshot {
        let (counted, sums) = (self.shared.counts.snapshot(), self.sums());
        KeyedSnapshot {
            allowed: counted.allowed,
            rejected: counted.rejected,
            shadowed: counted.shadowed,
            untracked: sums.untracked,
            keyless: self.keyless(),
            evicted: sums.evicted,
            keys: sums.keys,
            bytes: sums.bytes,
        }
    }

    /// Requests in which a layer found no key.
    pub(super) fn keyless(&self) -> u64 {
        // Relaxed: a count.
        self.shared.keyless.load(Ordering::Relaxed)
    }

    #[cfg(feature = "axum")]
    pub(super) fn count_keyless(&self) {
        // Relaxed: a count.
        self.shared.keyless.fetch_add(1, Ordering::Relaxed);
    }

    fn sums(&self) -> Sums {
        each_kind!(&self.shared.keys, keys => keys.sums())
    }
}

impl<K: Hash + Eq + Send + Sync + 'static> Observed for KeyedRateLimiter<K> {
    fn source(&self) -> Source {
        Source::of(&self.shared, |shared| Self { shared }.snapshot().readings())
    }
}

impl<K: Hash + Eq> SharedKeys<K> {
    /// A function of its own for each kind of quota, so that none of them has to save the registers of all three.
    #[inline(never)]
    fn try_acquire<Q, R>(&self, keys: &Keys<K, R>, key: &Q, n: u64) -> Result<(), RateLimitError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        R: KeyQuota,
    {
        let now = self.clock.now();
        match keys.take_fast(key, now, n) {
            Found::Taken => {
                self.counts.admit();
                Ok(())
            }
            Found::Known(known) => self.conclude(known.decide(now, n), n),
            // The owned key is made outside the lock, and dropped outside it.
            Found::Nothing(shard, tag) => match keys.check_length(key) {
                Ok(()) => self.conclude(decide_new(shard, tag, key.to_owned(), now, n, false).0, n),
                Err(refused) => {
                    keys.count_too_long();
                    self.conclude(refused, n)
                }
            },
        }
    }
}

impl<K> SharedKeys<K> {
    /// Counts a decision, and applies shadow mode and the setting for a full table.
    fn conclude(&self, decision: Decision, n: u64) -> Result<(), RateLimitError> {
        let result = match decision {
            Decision::Decided(result) => result,
            Decision::Full(idle_after) => self.without_room(n, idle_after),
            Decision::TooLong { length, longest } => Err(RateLimitError::KeyTooLong { length, longest }),
        };
        self.counts.settle(result)
    }

    #[cold]
    fn without_room(&self, n: u64, idle_after: Duration) -> Result<(), RateLimitError> {
        if n == 0 || self.config.lock().when_full == WhenFull::Admit {
            return Ok(());
        }
        Err(RateLimitError::RateLimitExceeded {
            requested: n,
            available: 0,
            retry_after: idle_after,
        })
    }
}

fn other_kind(quota: &Quota) -> ConfigError {
    let rule = "must be of the kind that the limiter was made with";
    ConfigError::new(PART, "quota", ConfigValue::Text(quota.kind()), rule)
}

impl<K> Clone for KeyedRateLimiter<K> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<K> fmt::Debug for KeyedRateLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.shared.counts.snapshot();
        f.debug_struct("KeyedRateLimiter")
            .field("config", &*self.shared.config.lock())
            .field("allowed", &counted.allowed)
            .field("rejected", &counted.rejected)
            .finish_non_exhaustive()
    }
}
