//! A breaker for each key, as many as there is room for.

mod builder;

use super::builder::CircuitBreakerBuilder;
use super::config::CircuitBreakerConfig;
use super::handle::CircuitBreaker;
use super::snapshot::CircuitState;
use crate::error::{ConfigError, ConfigValue};
use crate::sync::primitive::{AtomicU64, Mutex, MutexGuard, Ordering};
use crate::sync::{Random, length_of};
use crate::time::{Clock, Tick};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

pub use builder::KeyedBreakersBuilder;

/// A breaker for each key: for each host, shard, tenant or partner that fails on its own.
///
/// It never holds more than `max_keys`. A new key beyond them takes the place of the one that, among sixteen looked at,
/// is missed least: a closed circuit that nobody holds, then any other, a forced one last; and of those the one that
/// was asked for longest ago. A key that was not asked for in `idle_after` goes as well, when new ones come, unless its
/// state was forced or somebody holds it. Breakers are [compact](CircuitBreakerBuilder::compact).
///
/// Nothing is kept of a key that holds more text than [`max_key_bytes`](KeyedBreakersBuilder::max_key_bytes): all such keys
/// share one breaker, so that their calls are guarded too, whoever chooses them.
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

type Each<K> = Box<dyn Fn(&K, CircuitBreakerBuilder) -> CircuitBreakerBuilder + Send + Sync>;

struct Set<K> {
    config: Mutex<CircuitBreakerConfig>,
    max_keys: usize,
    max_bytes: usize,
    max_key_bytes: usize,
    clock: Clock,
    random: Random,
    each: Option<Each<K>>,
    idle_after: Duration,
    hasher: RandomState,
    shards: Box<[Shard<K>]>,
    evictions: AtomicU64,
    /// The breaker of all keys that are too long.
    of_long_keys: CircuitBreaker,
    /// Requests whose key was too long.
    too_long: AtomicU64,
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
    /// How many bytes the texts of all entries take.
    text_bytes: usize,
}

struct Entry<K> {
    key: K,
    breaker: CircuitBreaker,
    used: Tick,
}

/// What a breaker takes besides its windows over calls and its times of failures: about so many bytes.
const BREAKER_BYTES: usize = 2_048;
/// How many entries are looked at to find one to drop, and how many to find idle ones.
const LOOKED_AT: usize = 16;
const SWEPT: usize = 2;

impl<K> KeyedBreakers<K> {
    /// Starts a set whose breakers have these settings. Default: at most 10,000 keys, idle after an hour.
    pub fn builder(config: CircuitBreakerConfig) -> KeyedBreakersBuilder<K> {
        KeyedBreakersBuilder::new(config)
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

    /// How many bytes its breakers may take at the most, were each of their windows full, with the texts of keys and the
    /// breakers' names. What listeners hold is not counted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let (mut keys, mut texts) = (0_usize, 0_usize);
        for shard in &self.set.shards {
            let kept = shard.kept.lock();
            keys += kept.entries.len();
            texts += kept.text_bytes;
        }
        // And the breaker of keys that are too long.
        (keys + 1)
            .saturating_mul(bytes_a_key::<K>(&self.set.config.lock()))
            .saturating_add(texts)
    }

    /// How many keys it dropped to make room or because they were idle.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        // Relaxed: a count orders nothing.
        self.set.evictions.load(Ordering::Relaxed)
    }

    /// How often it was asked for a key that is too long, and gave the breaker that all such keys share.
    #[must_use]
    pub fn too_long(&self) -> u64 {
        // Relaxed: a count orders nothing.
        self.set.too_long.load(Ordering::Relaxed)
    }
}

impl<K: Hash + Eq + Clone> KeyedBreakers<K> {
    /// The breaker of `key`; a new one if there is none, and the shared one if the key is too long. Complexity: O(1).
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
        if length_of(key) > self.set.max_key_bytes {
            return self.set.long_key();
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
        self.set.of_long_keys.change(config)
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

impl<K> Set<K> {
    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> &Shard<K> {
        let hash = self.hasher.hash_one(key);
        &self.shards[(hash % self.shards.len() as u64) as usize]
    }

    fn make(&self, key: &K) -> CircuitBreaker {
        let builder = start(*self.config.lock(), &self.clock, &self.random);
        let builder = match &self.each {
            Some(each) => each(key, builder),
            None => builder,
        };
        builder.build().expect("the settings were checked when they came in")
    }

    #[cold]
    fn long_key(&self) -> CircuitBreaker {
        // Relaxed: a count orders nothing.
        self.too_long.fetch_add(1, Ordering::Relaxed);
        self.of_long_keys.clone()
    }
}

/// Starts a breaker of a set.
fn start(config: CircuitBreakerConfig, clock: &Clock, random: &Random) -> CircuitBreakerBuilder {
    CircuitBreaker::builder(config)
        .clock(clock.clone())
        .random(Random::new(random.next_u64()))
        .compact()
}

impl<K> Shard<K> {
    fn new(room: usize) -> Self {
        Self {
            room,
            kept: Mutex::new(Kept {
                places: HashMap::new(),
                entries: Vec::new(),
                hand: 0,
                text_bytes: 0,
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
        let entry = Entry {
            key,
            breaker,
            used: now,
        };
        self.text_bytes += entry.text_bytes();
        self.entries.push(entry);
    }

    fn remove(&mut self, place: usize) -> Entry<K> {
        let entry = self.entries.swap_remove(place);
        self.places.remove(&entry.key);
        self.text_bytes -= entry.text_bytes();
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

impl<K: Hash> Entry<K> {
    /// How many bytes its key's text, which is kept twice, and its breaker's name take.
    fn text_bytes(&self) -> usize {
        2 * length_of(&self.key) + self.breaker.name().len()
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
