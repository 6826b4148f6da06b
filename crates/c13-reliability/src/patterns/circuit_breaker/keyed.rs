//! A breaker for each key, as many as there is room for.

use super::builder::CircuitBreakerBuilder;
use super::config::CircuitBreakerConfig;
use super::handle::CircuitBreaker;
use super::snapshot::CircuitState;
use crate::error::{ConfigError, ConfigValue};
use crate::sync::Random;
use crate::sync::primitive::{AtomicU64, Mutex, MutexGuard, Ordering};
use crate::time::{Clock, Tick};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

/// A breaker for each key: for each host, shard, tenant or partner that fails on its own.
///
/// It never holds more than `max_keys`. A new key beyond them takes the place of the one that, among sixteen looked at,
/// is missed least: a closed circuit that nobody holds, then any other, a forced one last; and of those the one that
/// was asked for longest ago. A key that was not asked for in `idle_after` goes as well, when new ones come, unless its
/// state was forced or somebody holds it. Breakers are [compact](CircuitBreakerBuilder::compact).
///
/// ```
/// use c13_reliability::patterns::circuit_breaker::{CircuitBreakerConfig, CircuitState, KeyedBreakers};
///
/// let hosts = KeyedBreakers::<String>::builder(CircuitBreakerConfig::default())
///     .max_keys(1_000)
///     .each(|host, breaker| breaker.name(host))
///     .build()?;
/// hosts.get("db-1").force_open();
/// assert_eq!(hosts.get("db-1").current_state(), CircuitState::ForcedOpen);
/// assert_eq!(hosts.get("db-2").current_state(), CircuitState::Closed);
/// # Ok::<(), c13_reliability::ConfigError>(())
/// ```
pub struct KeyedBreakers<K> {
    set: Arc<Set<K>>,
}

/// Makes a set of breakers; started by [`KeyedBreakers::builder`].
#[must_use = "a builder makes nothing until `build`"]
pub struct KeyedBreakersBuilder<K> {
    config: CircuitBreakerConfig,
    max_keys: usize,
    max_bytes: usize,
    idle_after: Duration,
    clock: Option<Clock>,
    random: Option<Random>,
    each: Option<Each<K>>,
}

type Each<K> = Box<dyn Fn(&K, CircuitBreakerBuilder) -> CircuitBreakerBuilder + Send + Sync>;

struct Set<K> {
    config: Mutex<CircuitBreakerConfig>,
    max_keys: usize,
    max_bytes: usize,
    clock: Clock,
    random: Random,
    each: Option<Each<K>>,
    idle_after: Duration,
    hasher: RandomState,
    shards: Box<[Shard<K>]>,
    evictions: AtomicU64,
}

struct Shard<K> {
    room: usize,
    kept: Mutex<Kept<K>>,
}

struct Kept<K> {
    places: HashMap<K, usize>,
    entries: Vec<Entry<K>>,
    /// Where the next look for something to drop begins.
    hand: usize,
}

struct Entry<K> {
    key: K,
    breaker: CircuitBreaker,
    used: Tick,
}

const MOST_KEYS: usize = 1 << 24;
/// What a breaker takes besides its windows over calls and its times of failures: about so many bytes.
const BREAKER_BYTES: usize = 2_048;
/// Sets of this size and more are cut into shards, so that threads seldom wait for each other.
const SHARDED_FROM: usize = 1024;
const SHARDS: usize = 16;
/// How many entries are looked at to find one to drop, and how many to find idle ones.
const LOOKED_AT: usize = 16;
const SWEPT: usize = 2;

impl<K> KeyedBreakers<K> {
    /// Starts a set whose breakers have these settings. Default: at most 10,000 keys, idle after an hour.
    pub fn builder(config: CircuitBreakerConfig) -> KeyedBreakersBuilder<K> {
        KeyedBreakersBuilder {
            config,
            max_keys: 10_000,
            max_bytes: 256 << 20,
            idle_after: Duration::from_secs(3600),
            clock: None,
            random: None,
            each: None,
        }
    }

    /// How many keys it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.set
            .shards
            .iter()
            .map(|shard| shard.kept.lock().entries.len())
            .sum()
    }

    /// Whether it holds no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes its breakers may take at the most, were each of their windows full; what keys hold on the heap and
    /// what listeners hold is not counted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.len().saturating_mul(bytes_a_key::<K>(&self.set.config.lock()))
    }

    /// How many keys it dropped to make room or because they were idle.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        // Relaxed: a count orders nothing.
        self.set.evictions.load(Ordering::Relaxed)
    }
}

impl<K: Hash + Eq + Clone> KeyedBreakers<K> {
    /// The breaker of `key`; a new one if there is none. Complexity: O(1).
    pub fn get<Q>(&self, key: &Q) -> CircuitBreaker
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let now = self.set.clock.coarse();
        let shard = self.set.shard(key);
        if let Some(breaker) = shard.kept.lock().find(key, now) {
            return breaker;
        }
        // Made outside the lock: keys and hooks are somebody else's code.
        let key = key.to_owned();
        let breaker = self.set.make(&key);
        let mut kept = shard.kept.lock();
        if let Some(breaker) = kept.find(key.borrow(), now) {
            return breaker;
        }
        let dropped = kept.make_room(shard.room, now, self.set.idle_after);
        kept.insert(key, breaker.clone(), now);
        drop(kept);
        // Relaxed: a count orders nothing.
        self.set.evictions.fetch_add(dropped.len() as u64, Ordering::Relaxed);
        breaker
    }

    /// Drops the breaker of `key`; whoever holds it keeps it for itself.
    pub fn remove<Q>(&self, key: &Q) -> Option<CircuitBreaker>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut kept = self.set.shard(key).kept.lock();
        let place = *kept.places.get(key)?;
        let entry = kept.remove(place);
        drop(kept);
        Some(entry.breaker)
    }

    /// All keys with their breakers, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<(K, CircuitBreaker)> {
        let list = |kept: MutexGuard<'_, Kept<K>>| -> Vec<_> {
            kept.entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.breaker.clone()))
                .collect()
        };
        self.set
            .shards
            .iter()
            .flat_map(|shard| list(shard.kept.lock()))
            .collect()
    }

    /// Changes the settings of all breakers, those to come included; see [`CircuitBreaker::change`].
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense; nothing has changed then.
    pub fn change(&self, config: CircuitBreakerConfig) -> Result<(), ConfigError> {
        config.validate()?;
        check_bytes::<K>(&config, self.set.max_keys, self.set.max_bytes)?;
        *self.set.config.lock() = config;
        for (_, breaker) in self.all() {
            breaker.change(config)?;
        }
        Ok(())
    }
}

impl<K> Clone for KeyedBreakers<K> {
    fn clone(&self) -> Self {
        Self { set: self.set.clone() }
    }
}

impl<K> fmt::Debug for KeyedBreakers<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBreakers")
            .field("keys", &self.len())
            .finish_non_exhaustive()
    }
}

impl<K> KeyedBreakersBuilder<K> {
    /// How many keys it holds at most; from 1 to 16,777,216.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// How many bytes all breakers may take, were each of their windows full. Settings with windows so large that `max_keys`
    /// of them take more are refused. Default: 256 MiB.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long a key must not have been asked for to be dropped when new ones come; above zero.
    pub fn idle_after(mut self, idle: Duration) -> Self {
        self.idle_after = idle;
        self
    }

    /// The clock its breakers go by. Default: the system's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// What its breakers' random numbers are seeded from. Default: the system's randomness.
    pub fn random(mut self, random: Random) -> Self {
        self.random = Some(random);
        self
    }

    /// What to do with each breaker's builder before it is made, such as to give it its key's name, or a listener. Its
    /// settings, clock and source of random numbers are set already.
    pub fn each(
        mut self,
        each: impl Fn(&K, CircuitBreakerBuilder) -> CircuitBreakerBuilder + Send + Sync + 'static,
    ) -> Self {
        self.each = Some(Box::new(each));
        self
    }

    /// Makes the set.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense, of the breakers or of the set.
    pub fn build(self) -> Result<KeyedBreakers<K>, ConfigError> {
        self.config.validate()?;
        let refused = |setting, value, rule| Err(ConfigError::new("keyed circuit breakers", setting, value, rule));
        if self.max_keys == 0 || self.max_keys > MOST_KEYS {
            let value = ConfigValue::Count(self.max_keys as u64);
            return refused("max_keys", value, "must be from 1 to 16777216");
        }
        if self.idle_after.is_zero() {
            let value = ConfigValue::Duration(self.idle_after);
            return refused("idle_after", value, "must be above zero");
        }
        check_bytes::<K>(&self.config, self.max_keys, self.max_bytes)?;
        let shards = if self.max_keys < SHARDED_FROM { 1 } else { SHARDS };
        let room = |shard| self.max_keys / shards + usize::from(shard < self.max_keys % shards);
        Ok(KeyedBreakers {
            set: Arc::new(Set {
                shards: (0..shards).map(|shard| Shard::new(room(shard))).collect(),
                config: Mutex::new(self.config),
                max_keys: self.max_keys,
                max_bytes: self.max_bytes,
                clock: self.clock.unwrap_or_default(),
                random: self.random.unwrap_or_else(Random::from_entropy),
                each: self.each,
                idle_after: self.idle_after,
                hasher: RandomState::new(),
                evictions: AtomicU64::new(0),
            }),
        })
    }
}

/// How many bytes a key takes with its breaker, were each of its windows full.
fn bytes_a_key<K>(config: &CircuitBreakerConfig) -> usize {
    config.window_bytes() + BREAKER_BYTES + 2 * (size_of::<K>() + size_of::<Entry<K>>())
}

fn check_bytes<K>(config: &CircuitBreakerConfig, max_keys: usize, max_bytes: usize) -> Result<(), ConfigError> {
    let each = bytes_a_key::<K>(config);
    if max_keys.saturating_mul(each) <= max_bytes {
        return Ok(());
    }
    let value = ConfigValue::Count(max_keys as u64);
    let rule =
        "must be fewer, or the windows of the breakers smaller, or `max_bytes` more: all windows must fit into it";
    Err(ConfigError::new("keyed circuit breakers", "max_keys", value, rule))
}

impl<K> fmt::Debug for KeyedBreakersBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBreakersBuilder")
            .field("config", &self.config)
            .field("max_keys", &self.max_keys)
            .field("idle_after", &self.idle_after)
            .finish_non_exhaustive()
    }
}

impl<K> Set<K> {
    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> &Shard<K> {
        let hash = self.hasher.hash_one(key);
        &self.shards[(hash % self.shards.len() as u64) as usize]
    }

    fn make(&self, key: &K) -> CircuitBreaker {
        let config = *self.config.lock();
        let builder = CircuitBreaker::builder(config)
            .clock(self.clock.clone())
            .random(Random::new(self.random.next_u64()))
            .compact();
        let builder = match &self.each {
            Some(each) => each(key, builder),
            None => builder,
        };
        builder.build().expect("the settings were checked when they came in")
    }
}

impl<K> Shard<K> {
    fn new(room: usize) -> Self {
        Self {
            room,
            kept: Mutex::new(Kept {
                places: HashMap::new(),
                entries: Vec::new(),
                hand: 0,
            }),
        }
    }
}

impl<K: Hash + Eq + Clone> Kept<K> {
    fn find<Q>(&mut self, key: &Q, now: Tick) -> Option<CircuitBreaker>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entry = &mut self.entries[*self.places.get(key)?];
        entry.used = now;
        Some(entry.breaker.clone())
    }

    fn insert(&mut self, key: K, breaker: CircuitBreaker, now: Tick) {
        self.places.insert(key.clone(), self.entries.len());
        self.entries.push(Entry {
            key,
            breaker,
            used: now,
        });
    }

    fn remove(&mut self, place: usize) -> Entry<K> {
        let entry = self.entries.swap_remove(place);
        self.places.remove(&entry.key);
        if let Some(moved) = self.entries.get(place) {
            self.places.insert(moved.key.clone(), place);
        }
        entry
    }

    /// Drops what is idle where it looks, and something in any case if there is no room for one more. What it returns
    /// is to be dropped outside the lock.
    fn make_room(&mut self, room: usize, now: Tick, idle_after: Duration) -> Vec<Entry<K>> {
        let mut dropped = Vec::new();
        for _ in 0..SWEPT.min(self.entries.len()) {
            let place = self.turn_hand();
            let entry = &self.entries[place];
            let idle = now - entry.used >= idle_after;
            if idle && !entry.is_held() && !entry.is_forced() {
                dropped.push(self.remove(place));
            }
        }
        if self.entries.len() >= room {
            let looked_at: Vec<usize> = (0..LOOKED_AT.min(self.entries.len()))
                .map(|_| self.turn_hand())
                .collect();
            let least = looked_at.into_iter().min_by_key(|place| self.entries[*place].rank());
            dropped.extend(least.map(|place| self.remove(place)));
        }
        dropped
    }

    fn turn_hand(&mut self) -> usize {
        self.hand = (self.hand + 1) % self.entries.len().max(1);
        self.hand
    }
}

impl<K> Entry<K> {
    fn is_held(&self) -> bool {
        self.breaker.handles() > 1
    }

    fn is_forced(&self) -> bool {
        matches!(
            self.breaker.current_state(),
            CircuitState::ForcedOpen | CircuitState::ForcedClosed | CircuitState::MetricsOnly
        )
    }

    /// How much it would be missed: the lower, the less.
    fn rank(&self) -> (u8, Tick) {
        let class = if self.is_forced() {
            2
        } else {
            u8::from(self.is_held() || self.breaker.current_state() != CircuitState::Closed)
        };
        (class, self.used)
    }
}
