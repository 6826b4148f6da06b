//! The shards of a keyed set: a lock for each, on a cache line of its own.

use super::hasher::Seeds;
use super::table::Tag;
use crate::sync::primitive::{Mutex, MutexGuard};
use std::hash::{BuildHasher, Hash};

/// A large set has a shard for so many keys, up to the largest number of shards. A small one has shards of fewer keys, so
/// that threads seldom meet.
const KEYS_A_SHARD: usize = 1_024;
const MOST_SHARDS: usize = 256;
const KEYS_A_SMALL_SHARD: usize = 128;
const MOST_SMALL_SHARDS: usize = 16;

/// The shards of a set; a key's hash tells which one it belongs to.
#[derive(Debug)]
pub(crate) struct Shards<T> {
    shards: Box<[Shard<T>]>,
    seeds: Seeds,
    /// How many of a hash's highest bits tell the shard.
    bits: u32,
}

#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Shard<T>(Mutex<T>);

impl<T> Shard<T> {
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock()
    }
}

impl<T> Shards<T> {
    /// Shards for `max_keys`, made by `make`, which is given the room for keys in one shard.
    pub(crate) fn new(max_keys: usize, seeds: Seeds, mut make: impl FnMut(usize) -> T) -> Self {
        let count = (max_keys / KEYS_A_SHARD)
            .max((max_keys / KEYS_A_SMALL_SHARD).min(MOST_SMALL_SHARDS))
            .clamp(1, MOST_SHARDS)
            .next_power_of_two()
            .min(MOST_SHARDS);
        let shard = || Shard(Mutex::new(make(max_keys / count)));
        Self {
            shards: std::iter::repeat_with(shard).take(count).collect(),
            seeds,
            bits: count.trailing_zeros(),
        }
    }

    /// The room for keys in one shard, of a set for `max_keys`.
    pub(crate) fn room(&self, max_keys: usize) -> usize {
        max_keys / self.shards.len()
    }

    /// The shard of a key, and its tag there.
    #[inline]
    pub(crate) fn locate<Q: Hash + ?Sized>(&self, key: &Q) -> (&Shard<T>, Tag) {
        let hash = self.seeds.hash_one(key);
        // Shifted in two steps, because there may be one shard only.
        let shard = (hash >> 1 >> (63 - self.bits)) as usize;
        (&self.shards[shard], Tag::new(hash))
    }

    /// The hash of a key.
    #[cfg(feature = "tokio")]
    pub(crate) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.seeds.hash_one(key)
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Shard<T>> {
        self.shards.iter()
    }
}
