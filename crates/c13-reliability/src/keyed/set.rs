//! A part for each key, such as a breaker, as many as there is room for.

use super::config::KeySetConfig;
use super::hasher::Seeds;
use super::shards::{Shard, Shards};
use super::snapshot::KeySetSnapshot;
use super::table::{Entry, Table, Tag};
use crate::snapshot::{Reading, Sum, readings};
use crate::sync::length_of;
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::time::Tick;
use std::borrow::Borrow;
use std::hash::Hash;
use std::time::Duration;

/// How many slots a new key sweeps for idle parts.
const SWEPT: usize = 8;
/// Of how many parts that may be evicted the least recently used goes, and how many are looked at to find them.
const COMPARED: usize = 16;
const SEARCHED: usize = 64;

/// A part that a set keeps for a key. Clones are handles to one part.
pub(crate) trait KeyedPart: Clone {
    /// How many bytes of text it holds besides its key.
    fn text_bytes(&self) -> usize;

    /// Whether a caller holds it, besides the set.
    fn is_held(&self) -> bool;

    /// Whether it refuses no call and remembers nothing that will make it refuse one, so that a new one may stand in for it.
    fn is_at_rest(&self) -> bool;

    /// Whether a key that nobody has asked for in a long time may start anew.
    fn may_be_forgotten(&self) -> bool;

    /// Whether its circuit refuses calls.
    fn is_open(&self) -> bool;

    /// What it reports.
    fn readings(&self) -> Vec<Reading>;
}

/// A part for each key, in bounded memory. A key that is too long or finds no room gets the part that all such keys share.
///
/// A part that a caller holds is never evicted, nor is one that is not at rest to make room for another key. A key that
/// nobody has asked for in a long time is forgotten when new ones come, if it may be.
pub(crate) struct KeySet<K, V> {
    config: KeySetConfig,
    shards: Shards<Parts<K, V>>,
    overflow: V,
    evictions: AtomicU64,
    too_long: AtomicU64,
    without_room: AtomicU64,
}

/// The parts of one shard.
struct Parts<K, V> {
    table: Table<K, Used<V>>,
    room: usize,
    /// How many bytes the texts of keys and parts take.
    text_bytes: usize,
    /// What parts had counted that are gone. Under the same lock as the parts, so that no sum goes backwards.
    retired: Sum,
}

pub(crate) struct Used<V> {
    part: V,
    at: Tick,
}

impl<K, V> KeySet<K, V> {
    /// An empty set. `overflow` is the part of all keys that have none of their own.
    pub(crate) fn new(config: KeySetConfig, overflow: V) -> Self {
        Self {
            config,
            shards: Shards::new(config.max_keys, Seeds::from_entropy(), Parts::new),
            overflow,
            evictions: AtomicU64::new(0),
            too_long: AtomicU64::new(0),
            without_room: AtomicU64::new(0),
        }
    }

    /// How many bytes a key takes in the table besides its text: at least half of a table is used once it has grown.
    pub(crate) const BYTES_A_KEY: usize = 2 * (size_of::<Option<Entry<K, Used<V>>>>() + 1);

    pub(crate) const fn config(&self) -> &KeySetConfig {
        &self.config
    }

    pub(crate) const fn overflow(&self) -> &V {
        &self.overflow
    }

    /// How many keys it keeps, and how many bytes their texts take, with those of their parts.
    pub(crate) fn size(&self) -> (usize, usize) {
        let sizes = self.shards.iter().map(|shard| {
            let parts = shard.lock();
            (parts.table.len(), parts.text_bytes)
        });
        sizes.fold((0, 0), |(keys, bytes), (more, texts)| (keys + more, bytes + texts))
    }

    pub(crate) fn len(&self) -> usize {
        self.size().0
    }

    /// How many keys were forgotten, to make room or because they were idle.
    pub(crate) fn evictions(&self) -> u64 {
        // Relaxed: a count orders nothing.
        self.evictions.load(Ordering::Relaxed)
    }

    /// How often a key got the shared part because it was too long.
    pub(crate) fn too_long(&self) -> u64 {
        // Relaxed: a count orders nothing.
        self.too_long.load(Ordering::Relaxed)
    }

    /// How often a new key got the shared part because there was no room.
    pub(crate) fn without_room(&self) -> u64 {
        // Relaxed: a count orders nothing.
        self.without_room.load(Ordering::Relaxed)
    }
}

impl<K: Hash + Eq, V: KeyedPart> KeySet<K, V> {
    /// The part of `key`: a new one of `make` if there is none, and the shared one if the key is too long or finds no room.
    ///
    /// `settle` is shown a new part when it is in the set, so that it can have settings that were changed meanwhile.
    pub(crate) fn get<Q>(&self, key: &Q, now: Tick, make: impl FnOnce(&K) -> V, settle: impl FnOnce(&V)) -> V
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let (shard, tag) = self.shards.locate(key);
        if let Some(part) = shard.lock().find(tag, key, now) {
            return part;
        }
        if length_of(key) > self.config.max_key_bytes {
            return self.shared_by(&self.too_long);
        }
        if !self.make_room(shard, now) {
            return self.shared_by(&self.without_room);
        }
        // Made outside the lock: keys and hooks are the user's code.
        let key = key.to_owned();
        let part = make(&key);
        let mut parts = shard.lock();
        if let Some(part) = parts.find(tag, key.borrow(), now) {
            return part;
        }
        if parts.table.len() < parts.room {
            parts.insert(tag, key, part.clone(), now);
            drop(parts);
            settle(&part);
            return part;
        }
        drop(parts);
        // Other threads have taken the room meanwhile.
        self.shared_by(&self.without_room)
    }

    /// Forgets a key, and returns its part.
    pub(crate) fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (shard, tag) = self.shards.locate(key);
        let mut parts = shard.lock();
        let at = parts.table.find(tag, |other| other.borrow() == key)?;
        let entry = parts.remove(at)?;
        drop(parts);
        Some(entry.state.part)
    }

    /// All keys with their parts, in no order.
    pub(crate) fn all(&self) -> Vec<(K, V)>
    where
        K: Clone,
    {
        let mut all = Vec::new();
        for shard in self.shards.iter() {
            let parts = shard.lock();
            let entries = parts.table.entries();
            all.extend(entries.map(|entry| (entry.key.clone(), entry.state.part.clone())));
        }
        all
    }

    /// Shows `each` every part, that of the keys without one of their own included. It holds few of them at a time, and no
    /// lock while `each` runs.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&V)) {
        for shard in self.shards.iter() {
            let parts = shard.lock().handles();
            parts.iter().for_each(&mut each);
        }
        each(&self.overflow);
    }

    /// The set's own counts. Complexity: O(keys).
    pub(crate) fn snapshot(&self) -> KeySetSnapshot {
        let mut open = 0;
        self.for_each(|part| open += u64::from(part.is_open()));
        self.counted(open)
    }

    fn counted(&self, open: u64) -> KeySetSnapshot {
        KeySetSnapshot {
            keys: self.len() as u64,
            open,
            evictions: self.evictions(),
            too_long: self.too_long(),
            without_room: self.without_room(),
        }
    }

    /// What the set reports: its own counts, and the sums of what its parts report and of what those had counted that are
    /// gone. Complexity: O(keys).
    pub(crate) fn readings(&self) -> Vec<Reading> {
        let (mut sum, mut open) = (Sum::new(), 0);
        let mut add = |part: &V| {
            open += u64::from(part.is_open());
            sum.add(part.readings());
        };
        let mut retired = Sum::new();
        for shard in self.shards.iter() {
            let shard = shard.lock();
            let (parts, gone) = (shard.handles(), shard.retired.clone());
            drop(shard);
            parts.iter().for_each(&mut add);
            retired.add_cumulative(gone.into_readings());
        }
        add(&self.overflow);
        sum.add_cumulative(retired.into_readings());
        let mut all = readings(&self.counted(open));
        all.extend(sum.into_readings());
        all
    }

    /// Evicts parts that may go: whether there is room for one more key now.
    fn make_room(&self, shard: &Shard<Parts<K, V>>, now: Tick) -> bool {
        let mut parts = shard.lock();
        let evicted = parts.make_room(now, self.config.idle_after);
        let has_room = parts.table.len() < parts.room;
        drop(parts);
        // Relaxed: a count orders nothing.
        self.evictions.fetch_add(evicted.len() as u64, Ordering::Relaxed);
        has_room
    }

    /// The shared part, for a reason that is counted.
    #[cold]
    fn shared_by(&self, reason: &AtomicU64) -> V {
        // Relaxed: a count orders nothing.
        reason.fetch_add(1, Ordering::Relaxed);
        self.overflow.clone()
    }
}

impl<K, V> Parts<K, V> {
    const fn new(room: usize) -> Self {
        Self {
            table: Table::new(),
            room,
            text_bytes: 0,
            retired: Sum::new(),
        }
    }
}

impl<K: Hash + Eq, V: KeyedPart> Parts<K, V> {
    fn find<Q>(&mut self, tag: Tag, key: &Q, now: Tick) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let at = self.table.find(tag, |other| other.borrow() == key)?;
        let used = &mut self.table.entry(at).state;
        used.at = now;
        Some(used.part.clone())
    }

    fn handles(&self) -> Vec<V> {
        self.table.entries().map(|entry| entry.state.part.clone()).collect()
    }

    fn insert(&mut self, tag: Tag, key: K, part: V, now: Tick) {
        self.text_bytes += length_of(&key) + part.text_bytes();
        self.table.insert(tag, key, Used { part, at: now });
    }

    fn remove(&mut self, at: usize) -> Option<Entry<K, Used<V>>> {
        let entry = self.table.remove(at)?;
        self.retire(&entry);
        Some(entry)
    }

    /// Keeps what the part of a removed key has counted.
    fn retire(&mut self, entry: &Entry<K, Used<V>>) {
        self.text_bytes -= text_bytes(entry);
        self.retired.add_cumulative(entry.state.part.readings());
    }

    /// Evicts what is idle where it looks, and another part if there is no room for one more and one may go. What it
    /// returns is to be dropped outside the lock.
    fn make_room(&mut self, now: Tick, idle_after: Duration) -> Vec<Entry<K, Used<V>>> {
        let mut evicted = Vec::new();
        let is_idle = |entry: &Entry<K, Used<V>>| {
            let Used { part, at } = &entry.state;
            now - *at >= idle_after && !part.is_held() && part.may_be_forgotten()
        };
        self.table.sweep(SWEPT, is_idle, |entry| evicted.push(entry));
        evicted.iter().for_each(|entry| self.retire(entry));
        if self.table.len() >= self.room
            && let Some(at) = self.least_recently_used()
        {
            evicted.extend(self.remove(at));
        }
        evicted
    }

    /// Of the next parts that may be evicted, the one that was asked for longest ago.
    fn least_recently_used(&mut self) -> Option<usize> {
        let (mut found, mut compared) = (None, 0);
        for _ in 0..SEARCHED.min(self.table.len()) {
            let at = self.table.next_entry()?;
            let used = &self.table.entry(at).state;
            if used.part.is_held() || !used.part.is_at_rest() {
                continue;
            }
            if found.is_none_or(|(earliest, _)| used.at < earliest) {
                found = Some((used.at, at));
            }
            compared += 1;
            if compared == COMPARED {
                break;
            }
        }
        found.map(|(_, at)| at)
    }
}

/// How many bytes the texts of a key and its part take.
fn text_bytes<K: Hash, V: KeyedPart>(entry: &Entry<K, Used<V>>) -> usize {
    length_of(&entry.key) + entry.state.part.text_bytes()
}
