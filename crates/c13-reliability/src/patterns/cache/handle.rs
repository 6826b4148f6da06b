//! The cache's handle: reading, writing, removing.

use super::config::CacheConfig;
use super::entry::{Bare, Entry, Form, LastUse, Slot, View, whole};
use super::landing::Landing;
use super::snapshot::{CacheCount, CacheSnapshot};
use super::state::{Freshness, Keep, Stamps, idle_limit};
use super::store::{Evicted, Map, Sought, Store};
use crate::error::{ConfigError, ConfigValue};
use crate::single_flight::Flights;
use crate::snapshot::{Observed, Source};
use crate::sync::{Histogram, Random, Tally};
use crate::time::{Clock, Env, Tick};
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// How many locks the loads that are under way share.
const FLIGHT_SHARDS: usize = 16;

/// A load in the background.
pub type Background = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A bounded cache. Cheap to clone; clones share the entries.
///
/// A read clones the value, so use values whose clones are cheap, such as `Bytes` or an `Arc`.
///
/// ```
/// use c13_reliability::patterns::cache::{Cache, CacheConfig};
///
/// let cache: Cache<u32, &str> = Cache::new(CacheConfig::new().capacity(1_000));
/// cache.insert(7, "seven");
/// assert_eq!(cache.get(&7), Some("seven"));
/// assert_eq!(cache.get(&8), None);
/// assert_eq!(cache.snapshot().hits, 1);
/// ```
pub struct Cache<K, V> {
    pub(super) shared: Arc<SharedCache<K, V>>,
}

type Weigh<K, V> = Box<dyn Fn(&K, &V) -> u64 + Send + Sync>;
type Spawn = Box<dyn Fn(Background) + Send + Sync>;

pub(super) struct SharedCache<K, V> {
    pub(super) config: CacheConfig,
    pub(super) clock: Clock,
    store: Store<K, V>,
    pub(super) flights: Arc<Flights<K, Landing<V>>>,
    pub(super) counts: Tally<CacheCount>,
    pub(super) load_time: Histogram,
    random: Random,
    weigh: Option<Weigh<K, V>>,
    spawn: Option<Spawn>,
}

impl<K, V> Cache<K, V>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A cache that holds up to [`CacheConfig::capacity`] entries.
    ///
    /// # Panics
    ///
    /// If a setting makes no sense. For settings that are not known when writing there is [`try_new`](Cache::try_new).
    #[must_use]
    pub fn new(config: CacheConfig) -> Self {
        Self::try_new(config).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same as [`new`](Cache::new), for settings that are only known at run time.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense.
    pub fn try_new(config: CacheConfig) -> Result<Self, ConfigError> {
        Self::with_config(config, Env::default())
    }

    /// A cache with these settings. Ages are measured by the clock of `env`, and jitter is drawn from its random numbers.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense.
    pub fn with_config(config: CacheConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self::build(config, env.into(), config.capacity, None))
    }

    /// A cache whose entries together weigh at most [`CacheConfig::capacity`], bytes for example. `typical` is what an
    /// entry is expected to weigh; it sizes the tables. An entry that `weigh` says weighs nothing counts as 1.
    ///
    /// The entries are spread over a few shards with a share of the capacity each, four for each processor where there are
    /// many entries. An entry heavier than a shard's share is not kept, and counted as evicted.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense.
    pub fn weighted(
        config: CacheConfig,
        env: impl Into<Env>,
        typical: u64,
        weigh: impl Fn(&K, &V) -> u64 + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        if typical == 0 || typical > config.capacity {
            let rule = "must be from 1 to the capacity";
            return Err(ConfigError::new("cache", "typical", ConfigValue::Count(typical), rule));
        }
        let expected = config.capacity / typical;
        Ok(Self::build(config, env.into(), expected, Some(Box::new(weigh))))
    }

    fn build(config: CacheConfig, env: Env, expected: u64, weigh: Option<Weigh<K, V>>) -> Self {
        let Env { clock, random, .. } = env;
        Self {
            shared: Arc::new(SharedCache {
                config,
                clock,
                store: Store::new(&config, weigh.is_some(), expected),
                flights: Arc::new(Flights::new(FLIGHT_SHARDS, config.load_lease)),
                counts: Tally::new(),
                load_time: Histogram::new(),
                random,
                weigh,
                spawn: None,
            }),
        }
    }

    /// Sets how loads in the background are run. Unless it is set they run as tasks of the tokio runtime that the read is
    /// in; where there is none, the read that finds an entry due runs the load itself before it returns.
    ///
    /// # Panics
    ///
    /// If the cache was cloned already.
    #[must_use]
    pub fn with_spawner(mut self, spawn: impl Fn(Background) + Send + Sync + 'static) -> Self {
        let shared = Arc::get_mut(&mut self.shared).expect("a cache is set up before it is cloned");
        shared.spawn = Some(Box::new(spawn));
        self
    }

    /// The fresh value under `key`, without loading anything.
    #[must_use]
    #[inline]
    pub fn get(&self, key: &K) -> Option<V> {
        let shared = &*self.shared;
        // A hit waits for memory. Meanwhile the processor goes on to the next reads, as far as its window of instructions and
        // stores reaches, and moving a value about fills that window. So the value of a plain hit stays in registers from where
        // the map cloned it. The other cases return their count with the value, because a bare `Option<V>` would be written
        // to the place of the result, which would keep the result in memory for a hit as well.
        let (value, count) = match &shared.store {
            Store::Bare(map) => match map.get(&Sought(key)) {
                Some(Bare(Slot::Value(value))) => {
                    shared.counts.add_one(CacheCount::Hit);
                    return Some(value);
                }
                Some(Bare(Slot::Whole(entry))) => shared.get_anyway(key, whole(entry)),
                None => (None, CacheCount::Miss),
            },
            Store::Dated(map) => shared.get_in(map, key),
            Store::Whole(map) => shared.get_in(map, key),
        };
        shared.counts.add_one(count);
        value
    }

    /// The value under `key`, fresh or not, as long as the entry is kept; for a fallback. It is not counted as a read.
    #[must_use]
    pub fn last_known(&self, key: &K) -> Option<V> {
        self.shared.store.read(key)?.value
    }

    /// Inserts a value. A load of the key that is under way serves the reads that wait for it, and is not kept.
    pub fn insert(&self, key: K, value: V) {
        self.put(key, value, Keep::AsSet);
    }

    /// Inserts a value that is fresh for exactly this long.
    pub fn insert_for(&self, key: K, value: V, ttl: Duration) {
        self.put(key, value, Keep::For(ttl));
    }

    fn put(&self, key: K, value: V, keep: Keep) {
        let shared = &self.shared;
        shared.flights.detach(&key);
        if let Some(entry) = shared.entry(&key, Some(value), keep) {
            drop(shared.counted(shared.store.put(key, entry)));
        }
    }

    /// Removes the entry and returns its value, fresh or not. A load of the key that is under way serves the reads that wait for
    /// it, and is not kept, so that no read from now on sees the old value.
    pub fn invalidate(&self, key: &K) -> Option<V> {
        self.shared.flights.detach(key);
        let value = self.shared.store.remove(key)?;
        self.shared.counts.add_one(CacheCount::Invalidated);
        Some(value)
    }

    /// Removes all entries, as [`invalidate`](Cache::invalidate) does. Complexity: O(entries).
    pub fn invalidate_all(&self) {
        self.shared.flights.detach_all();
        let gone = self.shared.store.retain(|_| false);
        self.shared.counts.add(CacheCount::Invalidated, gone);
    }

    /// Removes all expired entries at once. Otherwise they go when a read finds them, or to make room for others. Complexity:
    /// O(entries).
    pub fn purge_expired(&self) {
        let (shared, now) = (&self.shared, self.shared.clock.coarse());
        let idle = Cell::new(0);
        let gone = shared.store.retain(|entry| {
            if shared.judged(&entry, now) == Freshness::Expired {
                return false;
            }
            let left = entry.used.is_some_and(|used| used.is_left(now));
            idle.set(idle.get() + u64::from(left));
            !left
        });
        shared.counts.add(CacheCount::Expired, gone - idle.get());
        shared.counts.add(CacheCount::Idle, idle.get());
    }

    /// Its counters, and what it holds. Complexity: O(threads that ever used it).
    #[must_use]
    pub fn snapshot(&self) -> CacheSnapshot {
        let shared = &self.shared;
        CacheSnapshot {
            load_time: shared.load_time.snapshot(),
            entries: shared.store.len(),
            weight: shared.store.weight(),
            ..CacheSnapshot::counted(&shared.counts)
        }
    }

    /// How many keys are being loaded.
    #[must_use]
    pub fn loading(&self) -> usize {
        self.shared.flights.len()
    }

    /// Runs a load in the background; returns it if there is no runtime to run it.
    pub(super) fn spawn(&self, load: Background) -> Option<Background> {
        if let Some(spawn) = &self.shared.spawn {
            spawn(load);
            return None;
        }
        #[cfg(feature = "tokio")]
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(load);
            return None;
        }
        Some(load)
    }
}

impl<K, V> SharedCache<K, V>
where
    K: Eq + Hash + Clone,
    V: Clone,
{
    /// The fast path: the value under `key` if it is fresh and a read need not know more, counted as a hit.
    ///
    /// # Errors
    ///
    /// The entry under `key`, otherwise.
    #[inline]
    pub(super) fn hit(&self, key: &K) -> Result<V, Option<Entry<V>>> {
        let value = self.store.fresh(key, || self.clock.coarse())?;
        self.counts.add_one(CacheCount::Hit);
        Ok(value)
    }

    /// The entry under `key` and its freshness; an expired entry is removed.
    pub(super) fn read(&self, key: &K) -> Option<(Entry<V>, Freshness)> {
        self.judge(key, self.store.read(key))
    }

    /// The result of a read of entries in this form, and how it is counted.
    #[inline(never)]
    fn get_in<F: Form<Value = V>>(&self, map: &Map<K, F>, key: &K) -> (Option<V>, CacheCount) {
        let Some(found) = map.get(&Sought(key)) else {
            return (None, CacheCount::Miss);
        };
        match found.fresh(|| self.clock.coarse()) {
            Ok(value) => (Some(value), CacheCount::Hit),
            Err(entry) => self.get_anyway(key, entry),
        }
    }

    /// The result of a read that is no plain hit, and how it is counted.
    #[inline(never)]
    fn get_anyway(&self, key: &K, entry: Entry<V>) -> (Option<V>, CacheCount) {
        match self.judge(key, Some(entry)) {
            Some((entry, Freshness::Fresh | Freshness::Reload { stale: false })) => {
                let count = hit_count(&entry, false);
                (entry.value, count)
            }
            _ => (None, CacheCount::Miss),
        }
    }

    pub(super) fn judge(&self, key: &K, entry: Option<Entry<V>>) -> Option<(Entry<V>, Freshness)> {
        let entry = entry?;
        let view = entry.view();
        let freshness = if view.lasts() {
            Freshness::Fresh
        } else {
            self.use_of(key, view)?
        };
        Some((entry, freshness))
    }

    /// The freshness now of an entry that time matters to.
    fn use_of(&self, key: &K, entry: View<'_>) -> Option<Freshness> {
        let now = self.clock.coarse();
        let freshness = self.judged(&entry, now);
        let gone = if freshness == Freshness::Expired {
            CacheCount::Expired
        } else if entry.used.is_some_and(|used| !used.touch(now)) {
            CacheCount::Idle
        } else {
            return Some(freshness);
        };
        if self.store.remove_expired(key, entry.stamps) {
            self.counts.add_one(gone);
        }
        None
    }

    /// An entry as it is written now, `None` if it is not to be kept.
    pub(super) fn entry(&self, key: &K, value: Option<V>, keep: Keep) -> Option<Entry<V>> {
        let timed = self.config.is_timed() || keep != Keep::AsSet;
        let (now, random) = if timed {
            (self.clock.coarse(), self.random.unit())
        } else {
            (Tick::ZERO, 0.0)
        };
        let stamps = Stamps::new(&self.config, keep, value.is_none(), now, random)?;
        let weight = match (&self.weigh, &value) {
            (Some(weigh), Some(value)) => weigh(key, value),
            _ => 1,
        };
        let used = idle_limit(&self.config, random).map(|limit| LastUse::new(now, limit));
        Some(Entry::new(value, stamps, weight, used))
    }

    /// The entry under `key` if it need not be loaded. It is called under a lock, so it changes nothing.
    pub(super) fn fresh(&self, key: &K) -> Option<Entry<V>> {
        let is_fresh = |entry: &Entry<V>| self.judged(&entry.view(), self.clock.coarse()) == Freshness::Fresh;
        self.store.read(key).filter(is_fresh)
    }

    /// Whether the entry under `key` may be served and is due to be loaded again; as [`fresh`](SharedCache::fresh).
    pub(super) fn is_due(&self, key: &K) -> bool {
        let due = |entry: Entry<V>| {
            matches!(
                self.judged(&entry.view(), self.clock.coarse()),
                Freshness::Reload { .. }
            )
        };
        self.store.read(key).is_some_and(due)
    }

    fn judged(&self, entry: &View<'_>, now: Tick) -> Freshness {
        entry.stamps.judge(&self.config, entry.absent, now)
    }

    /// Keeps a loaded entry in place of the old one; `None` removes the old one.
    pub(super) fn keep(&self, key: K, entry: Option<Entry<V>>) -> (Evicted<K, V>, Option<V>) {
        match entry {
            Some(entry) => (self.counted(self.store.put(key, entry)), None),
            None => (Evicted::default(), self.store.remove(&key)),
        }
    }

    /// Records at an entry that loading it has just failed.
    pub(super) fn pause(&self, key: K, mut entry: Entry<V>) -> Evicted<K, V> {
        entry.stamps = entry.stamps.paused(&self.config, self.clock.coarse());
        self.counted(self.store.replace(key, entry))
    }

    /// Counts what was evicted.
    fn counted(&self, evicted: Evicted<K, V>) -> Evicted<K, V> {
        self.counts.add(CacheCount::Evicted, evicted.count());
        evicted
    }

    pub(super) fn count_hit(&self, entry: &Entry<V>, stale: bool) {
        self.counts.add_one(hit_count(entry, stale));
    }
}

/// How a read that is served from this entry is counted.
fn hit_count<V>(entry: &Entry<V>, stale: bool) -> CacheCount {
    match (entry.value.is_none(), stale) {
        (true, _) => CacheCount::NegativeHit,
        (false, true) => CacheCount::StaleHit,
        (false, false) => CacheCount::Hit,
    }
}

impl<K, V> Observed for Cache<K, V>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn source(&self) -> Source {
        Source::of(&self.shared, |shared| Self { shared }.snapshot().readings())
    }
}

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}
