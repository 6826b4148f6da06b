//! Where entries lie: a concurrent map with an eviction policy, by the crate `quick_cache`.

use super::state::Stamps;
use crate::sync::StripedCounter;
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::time::Tick;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// The numbers of the cache's counters.
pub(super) mod count {
    pub(crate) const HIT: usize = 0;
    pub(crate) const STALE: usize = 1;
    pub(crate) const NEGATIVE: usize = 2;
    pub(crate) const MISS: usize = 3;
    pub(crate) const COALESCED: usize = 4;
    pub(crate) const LOAD: usize = 5;
    pub(crate) const FAILED: usize = 6;
    pub(crate) const PANICKED: usize = 7;
    pub(crate) const REFRESH: usize = 8;
    pub(crate) const EVICTED: usize = 9;
    pub(crate) const EXPIRED: usize = 10;
    pub(crate) const IDLE: usize = 11;
    pub(crate) const INVALIDATED: usize = 12;
    pub(crate) const RESCUED: usize = 13;
    pub(crate) const ALL: usize = 14;
}

pub(super) type Counters = StripedCounter<{ count::ALL }>;

/// An entry as it lies in the map. A read clones it, so it is small and its value cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Entry<V> {
    /// `None` says that there is nothing under the key.
    pub(super) value: Option<V>,
    pub(super) stamps: Stamps,
    aside: Option<Arc<Aside>>,
}

/// What not every entry has, kept beside it so that those without stay small. All clones share it.
#[derive(Debug)]
struct Aside {
    weight: u64,
    used: Option<LastUse>,
}

impl<V> Entry<V> {
    /// An entry of this weight, at least 1: the map never evicts what weighs nothing. `used` where it matters when it was
    /// last read.
    pub(super) fn new(value: Option<V>, stamps: Stamps, weight: u64, used: Option<LastUse>) -> Self {
        let weight = weight.max(1);
        let aside = (weight > 1 || used.is_some()).then(|| Arc::new(Aside { weight, used }));
        Self { value, stamps, aside }
    }

    fn weight(&self) -> u64 {
        self.aside.as_ref().map_or(1, |aside| aside.weight)
    }

    /// When it was last read, where that matters.
    #[inline]
    pub(super) fn used(&self) -> Option<&LastUse> {
        self.aside.as_ref()?.used.as_ref()
    }
}

/// When an entry was last read, and for how long it may go unread.
#[derive(Debug)]
pub(super) struct LastUse {
    at: AtomicU64,
    limit: Duration,
}

impl LastUse {
    pub(super) fn new(now: Tick, limit: Duration) -> Self {
        Self {
            at: AtomicU64::new(now.as_nanos()),
            limit,
        }
    }

    /// Whether the last read was too long ago.
    pub(super) fn is_left(&self, now: Tick) -> bool {
        // Relaxed: the time stands for nothing but itself.
        now - Tick::from_nanos(self.at.load(Ordering::Relaxed)) >= self.limit
    }

    /// Notes a read, unless the last one was too long ago; says whether it was not.
    pub(super) fn touch(&self, now: Tick) -> bool {
        // Relaxed: the time stands for nothing but itself.
        let last = Tick::from_nanos(self.at.load(Ordering::Relaxed));
        if now - last >= self.limit {
            return false;
        }
        // The coarse clock stands still for milliseconds, and a write would fight for the line with other readers.
        if now > last {
            // Relaxed: as above. The greatest, because a read that was held up must not undo a later one.
            self.at.fetch_max(now.as_nanos(), Ordering::Relaxed);
        }
        true
    }
}

#[derive(Clone, Debug)]
struct ByWeight;

impl<K, V> Weighter<K, Entry<V>> for ByWeight {
    fn weight(&self, _: &K, entry: &Entry<V>) -> u64 {
        entry.weight()
    }
}

#[derive(Clone, Debug)]
struct CountEvictions(Arc<Counters>);

/// What was evicted: dropped by whoever evicted it, after the map's lock.
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

impl<K, V> Lifecycle<K, Entry<V>> for CountEvictions {
    type RequestState = Evicted<K, V>;

    fn on_evict(&self, evicted: &mut Evicted<K, V>, key: K, entry: Entry<V>) {
        self.0.add(count::EVICTED, 1);
        if evicted.first.is_none() {
            evicted.first = Some((key, entry));
        } else {
            evicted.rest.push((key, entry));
        }
    }
}

type Map<K, V> = quick_cache::sync::Cache<K, Entry<V>, ByWeight, DefaultHashBuilder, CountEvictions>;

/// The entries of one cache, bounded by their number or their weight.
pub(super) struct Store<K, V> {
    map: Map<K, V>,
}

impl<K: Eq + Hash, V: Clone> Store<K, V> {
    /// A store of at most this weight, with room for as many entries as are expected.
    pub(super) fn new(capacity: u64, expected: u64, counters: Arc<Counters>) -> Self {
        let expected = usize::try_from(expected).unwrap_or(usize::MAX);
        let (hasher, evictions) = (DefaultHashBuilder::default(), CountEvictions(counters));
        Self {
            map: Map::with(expected, capacity, ByWeight, hasher, evictions),
        }
    }

    #[inline]
    pub(super) fn read(&self, key: &K) -> Option<Entry<V>> {
        self.map.get(key)
    }

    /// Puts an entry in; what it pushed out is to be dropped outside of any lock.
    #[must_use]
    pub(super) fn put(&self, key: K, entry: Entry<V>) -> Evicted<K, V> {
        let mut evicted = Evicted::default();
        self.map.insert_with_lifecycle(key, entry, &mut evicted);
        evicted
    }

    /// Changes an entry that is still there, without making it count as read.
    pub(super) fn replace(&self, key: K, entry: Entry<V>) -> Evicted<K, V> {
        let mut evicted = Evicted::default();
        // It is no longer there otherwise, and then there is nothing to change.
        let _ = self.map.replace_with_lifecycle(key, entry, true, &mut evicted);
        evicted
    }

    /// Removes the entry if it is still the one with these stamps; says whether it was.
    pub(super) fn remove_expired(&self, key: &K, stamps: &Stamps) -> bool {
        self.map.remove_if(key, |entry| entry.stamps == *stamps).is_some()
    }

    pub(super) fn remove(&self, key: &K) -> Option<V> {
        self.map.remove(key)?.1.value
    }

    /// Keeps only the entries for which `keep` holds; gives how many went.
    pub(super) fn retain(&self, keep: impl Fn(&K, &Entry<V>) -> bool) -> u64 {
        let gone = std::cell::Cell::new(0);
        self.map.retain(|key, entry| {
            let stays = keep(key, entry);
            gone.set(gone.get() + u64::from(!stays));
            stays
        });
        gone.get()
    }

    pub(super) fn len(&self) -> u64 {
        self.map.len() as u64
    }

    pub(super) fn weight(&self) -> u64 {
        self.map.weight()
    }
}
