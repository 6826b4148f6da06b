//! The peers' caches and maps, read the way ours is.

use crate::case::Cases;
use crate::cases::cache::hits;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::RwLock;

const ROOM: u64 = 200_000;

pub(in crate::cases) fn add(cases: &mut Cases) {
    hits(
        cases,
        false,
        "cache/moka",
        || moka::sync::Cache::<u64, Bytes>::new(ROOM),
        |cache, key| cache.get(&key),
        |cache, key, value| cache.insert(key, value),
    );
    hits(
        cases,
        false,
        "cache/dashmap",
        || dashmap::DashMap::<u64, Bytes, ahash::RandomState>::with_hasher(ahash::RandomState::new()),
        |map, key| map.get(&key).map(|value| value.clone()),
        |map, key, value| drop(map.insert(key, value)),
    );
    hits(
        cases,
        false,
        "cache/HashMap under an RwLock",
        || RwLock::new(HashMap::<u64, Bytes>::new()),
        |map, key| map.read().expect("no panic").get(&key).cloned(),
        |map, key, value| drop(map.write().expect("no panic").insert(key, value)),
    );
}
