//! A breaker for each key, as many as there is room for.

mod builder;

use super::builder::CircuitBreakerBuilder;
use super::config::CircuitBreakerConfig;
use super::handle::CircuitBreaker;
use super::snapshot::CircuitState;
use crate::error::{ConfigError, ConfigValue};
use crate::keyed::{Entry, Shard, Shards, Table, Tag};
use crate::sync::primitive::{AtomicU64, Mutex, Ordering};
use crate::sync::{Random, length_of};
use crate::time::{Clock, Env, Tick};
use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

pub use builder::KeyedBreakersBuilder;

/// A breaker for each key: for each host, shard, tenant or partner that fails on its own.
///
/// It never holds more than `max_keys`. When a new key finds no room, the set evicts a circuit that is closed and that nobody
/// holds: of sixteen such, the one that was asked for longest ago. A circuit that is not closed is never evicted to make
/// room, because its key would start anew; a new key that finds nothing to evict shares one breaker with all others that have
/// none of their own. A key that nobody has asked for during `idle_after` goes when new ones come, unless its circuit refuses
/// calls, its state was forced, or somebody holds it. Breakers are [compact](CircuitBreakerBuilder::compact).
///
/// Nothing is kept of a key that holds more text than [`max_key_bytes`](KeyedBreakersBuilder::max_key_bytes), because
/// strangers may choose keys: such keys share that one breaker too, so that their calls are guarded as well.
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
    shards: Shards<Circuits<K>>,
    evictions: AtomicU64,
    /// The breaker of all keys that have none of their own.
    overflow: CircuitBreaker,
    /// How often a key got the shared breaker because it was too long.
    too_long: AtomicU64,
    /// How often a key got the shared breaker because there was no room.
    without_room: AtomicU64,
}

/// The circuits of one shard.
struct Circuits<K> {
    table: Table<K, Circuit>,
    room: usize,
    /// How many bytes the texts of keys and the names of breakers take.
    text_bytes: usize,
}

struct Circuit {
    breaker: CircuitBreaker,
    used: Tick,
}

/// What a breaker takes besides its windows over calls and its times of failures: about so many bytes.
const BREAKER_BYTES: usize = 2_048;
/// How many slots a new key sweeps for idle circuits.
const SWEPT: usize = 8;
/// Of how many circuits that may be evicted the least recently used goes, and how many are looked at to find them.
const COMPARED: usize = 16;
const SEARCHED: usize = 64;

impl<K> KeyedBreakers<K> {
    /// Starts a set whose breakers have these settings. Default: at most 10,000 keys, idle after an hour.
    pub fn builder(config: CircuitBreakerConfig) -> KeyedBreakersBuilder<K> {
        KeyedBreakersBuilder::new(config)
    }

    /// How many keys it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.set.shards.iter().map(|shard| shard.lock().table.len()).sum()
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
        for shard in self.set.shards.iter() {
            let circuits = shard.lock();
            keys += circuits.table.len();
            texts += circuits.text_bytes;
        }
        // And the shared breaker.
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

    /// How often it gave the shared breaker for a key that is too long.
    #[must_use]
    pub fn too_long(&self) -> u64 {
        // Relaxed: a count orders nothing.
        self.set.too_long.load(Ordering::Relaxed)
    }

    /// How often it gave the shared breaker for a new key that found no room.
    #[must_use]
    pub fn without_room(&self) -> u64 {
        // Relaxed: a count orders nothing.
        self.set.without_room.load(Ordering::Relaxed)
    }
}

impl<K: Hash + Eq + Clone> KeyedBreakers<K> {
    /// The breaker of `key`; a new one if there is none, and the shared one if the key is too long or finds no room.
    /// Complexity: O(1).
    pub fn get<Q>(&self, key: &Q) -> CircuitBreaker
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let set = &*self.set;
        let now = set.clock.coarse();
        let (shard, tag) = set.shards.locate(key);
        if let Some(breaker) = shard.lock().find(tag, key, now) {
            return breaker;
        }
        if length_of(key) > set.max_key_bytes {
            return set.overflow(&set.too_long);
        }
        if !set.make_room(shard, now) {
            return set.overflow(&set.without_room);
        }
        // Made outside the lock: keys and hooks are the user's code.
        let key = key.to_owned();
        let breaker = set.make(&key);
        let mut circuits = shard.lock();
        if let Some(breaker) = circuits.find(tag, key.borrow(), now) {
            return breaker;
        }
        if circuits.has_room() {
            circuits.insert(tag, key, breaker.clone(), now);
            return breaker;
        }
        drop(circuits);
        // Other threads have taken the room meanwhile.
        set.overflow(&set.without_room)
    }

    /// Drops the breaker of `key`; whoever holds it keeps it for itself.
    pub fn remove<Q>(&self, key: &Q) -> Option<CircuitBreaker>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (shard, tag) = self.set.shards.locate(key);
        let mut circuits = shard.lock();
        let at = circuits.table.find(tag, |other| other.borrow() == key)?;
        let entry = circuits.remove(at)?;
        drop(circuits);
        Some(entry.state.breaker)
    }

    /// All keys with their breakers, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<(K, CircuitBreaker)> {
        let mut all = Vec::new();
        for shard in self.set.shards.iter() {
            let circuits = shard.lock();
            let entries = circuits.table.entries();
            all.extend(entries.map(|entry| (entry.key.clone(), entry.state.breaker.clone())));
        }
        all
    }

    /// Changes the settings of all breakers, those to come included; see [`CircuitBreaker::reconfigure`].
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense; nothing has changed then.
    pub fn reconfigure(&self, config: CircuitBreakerConfig) -> Result<(), ConfigError> {
        config.validate()?;
        check_bytes::<K>(&config, self.set.max_keys, self.set.max_bytes)?;
        *self.set.config.lock() = config;
        for (_, breaker) in self.all() {
            breaker.reconfigure(config)?;
        }
        self.set.overflow.reconfigure(config)
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
    // At least half of a table is used once it has grown.
    config.window_bytes() + BREAKER_BYTES + 2 * (size_of::<Option<Entry<K, Circuit>>>() + 1)
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
    fn make(&self, key: &K) -> CircuitBreaker {
        let builder = start(*self.config.lock(), &self.clock, &self.random);
        let builder = match &self.each {
            Some(each) => each(key, builder),
            None => builder,
        };
        builder.build().expect("the settings were checked when they came in")
    }

    /// Evicts circuits that may go: whether there is room for one more key now.
    fn make_room(&self, shard: &Shard<Circuits<K>>, now: Tick) -> bool
    where
        K: Hash + Eq,
    {
        let mut circuits = shard.lock();
        let evicted = circuits.make_room(now, self.idle_after);
        let has_room = circuits.has_room();
        drop(circuits);
        // Relaxed: a count orders nothing.
        self.evictions.fetch_add(evicted.len() as u64, Ordering::Relaxed);
        has_room
    }

    /// The shared breaker, for a reason that is counted.
    #[cold]
    fn overflow(&self, reason: &AtomicU64) -> CircuitBreaker {
        // Relaxed: a count orders nothing.
        reason.fetch_add(1, Ordering::Relaxed);
        self.overflow.clone()
    }
}

/// Starts a breaker of a set.
fn start(config: CircuitBreakerConfig, clock: &Clock, random: &Random) -> CircuitBreakerBuilder {
    CircuitBreaker::builder(config)
        .env(Env::new(clock.clone()).random(Random::new(random.next_u64())))
        .compact()
}

impl<K> Circuits<K> {
    const fn new(room: usize) -> Self {
        Self {
            table: Table::new(),
            room,
            text_bytes: 0,
        }
    }

    fn has_room(&self) -> bool {
        self.table.len() < self.room
    }
}

impl<K: Hash + Eq> Circuits<K> {
    fn find<Q>(&mut self, tag: Tag, key: &Q, now: Tick) -> Option<CircuitBreaker>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let at = self.table.find(tag, |other| other.borrow() == key)?;
        let circuit = &mut self.table.entry(at).state;
        circuit.used = now;
        Some(circuit.breaker.clone())
    }

    fn insert(&mut self, tag: Tag, key: K, breaker: CircuitBreaker, used: Tick) {
        self.text_bytes += text_bytes(&key, &breaker);
        self.table.insert(tag, key, Circuit { breaker, used });
    }

    fn remove(&mut self, at: usize) -> Option<Entry<K, Circuit>> {
        let entry = self.table.remove(at)?;
        self.text_bytes -= text_bytes(&entry.key, &entry.state.breaker);
        Some(entry)
    }

    /// Evicts what is idle where it looks, and another circuit if there is no room for one more and one may go. What it
    /// returns is to be dropped outside the lock.
    fn make_room(&mut self, now: Tick, idle_after: Duration) -> Vec<Entry<K, Circuit>> {
        let mut evicted = Vec::new();
        let is_idle = |entry: &Entry<K, Circuit>| entry.state.is_idle(now, idle_after);
        self.table.sweep(SWEPT, is_idle, |entry| evicted.push(entry));
        for entry in &evicted {
            self.text_bytes -= text_bytes(&entry.key, &entry.state.breaker);
        }
        if !self.has_room()
            && let Some(at) = self.least_recently_used()
        {
            evicted.extend(self.remove(at));
        }
        evicted
    }

    /// Of the next circuits that may be evicted, the one that was asked for longest ago.
    fn least_recently_used(&mut self) -> Option<usize> {
        let (mut found, mut compared) = (None, 0);
        for _ in 0..SEARCHED.min(self.table.len()) {
            let at = self.table.next_entry()?;
            let circuit = &self.table.entry(at).state;
            if !circuit.may_be_evicted() {
                continue;
            }
            if found.is_none_or(|(used, _)| circuit.used < used) {
                found = Some((circuit.used, at));
            }
            compared += 1;
            if compared == COMPARED {
                break;
            }
        }
        found.map(|(_, at)| at)
    }
}

/// How many bytes a key's text and its breaker's name take.
fn text_bytes<K: Hash>(key: &K, breaker: &CircuitBreaker) -> usize {
    length_of(key) + breaker.name().len()
}

impl Circuit {
    fn is_held(&self) -> bool {
        self.breaker.handles() > 1
    }

    fn may_be_evicted(&self) -> bool {
        self.breaker.current_state() == CircuitState::Closed && !self.is_held()
    }

    /// Whether nobody has asked for it for a while, and its key may start anew.
    fn is_idle(&self, now: Tick, idle_after: Duration) -> bool {
        let is_forced = || {
            matches!(
                self.breaker.current_state(),
                CircuitState::ForcedOpen | CircuitState::ForcedClosed | CircuitState::MetricsOnly
            )
        };
        now - self.used >= idle_after && !self.is_held() && !is_forced() && !self.breaker.refuses()
    }
}
