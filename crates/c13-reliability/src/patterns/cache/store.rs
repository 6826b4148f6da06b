//! The store of entries: a concurrent map with an eviction policy, from the crate `quick_cache`.

use super::config::CacheConfig;
use super::entry::{Bare, Dated, Entry, Form, View};
use super::state::Stamps;
use crate::time::Tick;
use quick_cache::{DefaultHashBuilder, Equivalent, Lifecycle, Weighter};
use std::cell::Cell;
use std::hash::{Hash, Hasher};

#[derive(Clone, Debug)]
pub(super) struct ByWeight;

impl<K, F: Form> Weighter<K, F> for ByWeight {
    fn weight(&self, _: &K, entry: &F) -> u64 {
        entry.view().weight
    }
}

/// Collects evicted entries, so that they are counted and dropped after the map's lock is released.
#[derive(Clone, Debug)]
pub(super) struct HandOver;

/// Evicted entries; the caller that evicted them counts and drops them.
pub(super) struct Evicted<K, V> {
    first: Option<(K, Entry<V>)>,
    rest: Vec<(K, Entry<V>)>,
}

impl<K, V> Default for Evicted<K, V> {
    fn default() -> Self {
        Self {
            first: None,
            rest: Vec::new(),
        }
    }
}

impl<K, V> Evicted<K, V> {
    /// How many entries.
    pub(super) fn count(&self) -> u64 {
        u64::from(self.first.is_some()) + self.rest.len() as u64
    }
}

impl<K, F: Form> Lifecycle<K, F> for HandOver {
    type RequestState = Evicted<K, F::Value>;

    fn on_evict(&self, evicted: &mut Self::RequestState, key: K, entry: F) {
        let gone = (key, entry.entry());
        if evicted.first.is_none() {
            evicted.first = Some(gone);
        } else {
            evicted.rest.push(gone);
        }
    }
}

/// A key that [`Cache::get`](super::Cache::get) looks for. A type of its own, so that the map's lookup is compiled for this one
/// caller and inlined into it; the lookup that the other reads share is a call, which passes its result through memory.
pub(super) struct Sought<'a, K>(pub(super) &'a K);

impl<K: Hash> Hash for Sought<'_, K> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K: Eq> Equivalent<K> for Sought<'_, K> {
    #[inline]
    fn equivalent(&self, key: &K) -> bool {
        self.0 == key
    }
}

pub(super) type Map<K, F> = quick_cache::sync::Cache<K, F, ByWeight, DefaultHashBuilder, HandOver>;

/// The entries of one cache, bounded by their number or their weight; in the smallest form that its settings allow.
pub(super) enum Store<K, V> {
    Bare(Map<K, Bare<V>>),
    Dated(Map<K, Dated<V>>),
    Whole(Map<K, Entry<V>>),
}

/// The same for the map of each form of entries.
macro_rules! with {
    ($store:expr, $map:ident => $what:expr) => {
        match $store {
            Store::Bare($map) => $what,
            Store::Dated($map) => $what,
            Store::Whole($map) => $what,
        }
    };
}

impl<K: Eq + Hash, V: Clone> Store<K, V> {
    /// A store for a cache of these settings, with room for as many entries as are expected.
    pub(super) fn new(config: &CacheConfig, weighed: bool, expected: u64) -> Self {
        let capacity = config.capacity;
        if weighed || config.idle.is_some() || config.refresh_after.is_some() {
            Self::Whole(map(capacity, expected))
        } else if config.ttl.is_some() {
            Self::Dated(map(capacity, expected))
        } else {
            Self::Bare(map(capacity, expected))
        }
    }

    /// The value under `key` if it is fresh `now` and a read need not know more.
    ///
    /// # Errors
    ///
    /// The entry under `key`, otherwise.
    #[inline]
    pub(super) fn fresh(&self, key: &K, now: impl FnOnce() -> Tick) -> Result<V, Option<Entry<V>>> {
        with!(self, map => map.get(key).ok_or(None)?.fresh(now).map_err(Some))
    }

    pub(super) fn read(&self, key: &K) -> Option<Entry<V>> {
        with!(self, map => map.get(key).map(Form::entry))
    }

    /// Inserts an entry; the entries that it evicted are to be dropped outside of any lock.
    #[must_use]
    pub(super) fn put(&self, key: K, entry: Entry<V>) -> Evicted<K, V> {
        let mut evicted = Evicted::default();
        with!(self, map => map.insert_with_lifecycle(key, Form::of(entry), &mut evicted));
        evicted
    }

    /// Changes an entry that is still there, without counting that as a read.
    pub(super) fn replace(&self, key: K, entry: Entry<V>) -> Evicted<K, V> {
        let mut evicted = Evicted::default();
        // Otherwise the entry is gone, and there is nothing to change.
        with!(self, map => drop(map.replace_with_lifecycle(key, Form::of(entry), true, &mut evicted)));
        evicted
    }

    /// Removes the entry if it still has these stamps; returns whether it had.
    pub(super) fn remove_expired(&self, key: &K, stamps: Stamps) -> bool {
        with!(self, map => map.remove_if(key, |entry| entry.view().stamps == stamps).is_some())
    }

    pub(super) fn remove(&self, key: &K) -> Option<V> {
        with!(self, map => map.remove(key)?.1.entry().value)
    }

    /// Keeps only the entries for which `keep` holds; returns how many were removed.
    pub(super) fn retain(&self, keep: impl Fn(View<'_>) -> bool) -> u64 {
        let gone = Cell::new(0);
        let keep = |view: View<'_>| {
            let stays = keep(view);
            gone.set(gone.get() + u64::from(!stays));
            stays
        };
        with!(self, map => map.retain(|_, entry| keep(entry.view())));
        gone.get()
    }

    pub(super) fn len(&self) -> u64 {
        with!(self, map => map.len() as u64)
    }

    pub(super) fn weight(&self) -> u64 {
        with!(self, map => map.weight())
    }
}

fn map<K: Eq + Hash, F: Form>(capacity: u64, expected: u64) -> Map<K, F> {
    let expected = usize::try_from(expected).unwrap_or(usize::MAX);
    Map::with(expected, capacity, ByWeight, DefaultHashBuilder::default(), HandOver)
}
