//! Cache hits: 100,000 keys, asked for by Zipf's law, in a cache that has room for twice as many.

use super::drive::drive;
use crate::case::Cases;
use bytes::Bytes;
use c13_reliability::patterns::cache::{Cache, CacheConfig, RecommendationCache};
use c13_reliability::sync::Random;
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

const KEYS: usize = 100_000;
const READS: usize = 1 << 18;

pub(crate) fn add(cases: &mut Cases) {
    let bare = || quick_cache::sync::Cache::<u64, Bytes>::new(2 * KEYS);
    hits(
        cases,
        false,
        "cache/quick_cache",
        bare,
        |cache, key| cache.get(&key),
        |cache, key, value| {
            cache.insert(key, value);
        },
    );
    let setup = || RecommendationCache::from(Cache::new(CacheConfig::new().capacity(2 * KEYS as u64)));
    hits(
        cases,
        true,
        "cache/RecommendationCache",
        setup,
        |cache, key| cache.get(key),
        RecommendationCache::insert,
    );
    let hour = Duration::from_secs(3600);
    let with = |config: CacheConfig| Cache::<u64, Bytes>::new(config.capacity(2 * KEYS as u64));
    let timed = move || with(CacheConfig::new().ttl(hour));
    let full = move || with(CacheConfig::new().ttl(2 * hour).refresh_after(hour).idle(hour));
    let insert = |cache: &Cache<u64, Bytes>, key, value| cache.insert(key, value);
    hits(
        cases,
        true,
        "cache/ttl, get",
        timed,
        |cache, key| cache.get(&key),
        insert,
    );
    hits(
        cases,
        true,
        "cache/ttl, refresh and idle, get",
        full,
        |cache, key| cache.get(&key),
        insert,
    );
    let load =
        |cache: &Cache<u64, Bytes>, key| drive(cache.get_or_load(&key, || async { Ok::<_, Infallible>(value()) })).ok();
    hits(cases, true, "cache/ttl, get_or_load", timed, load, insert);
}

/// Adds a case of reads that all hit.
pub(super) fn hits<C: Send + Sync + 'static>(
    cases: &mut Cases,
    ours: bool,
    name: &str,
    setup: impl Fn() -> C + 'static,
    read: impl Fn(&C, u64) -> Option<Bytes> + Copy + Send + 'static,
    insert: impl Fn(&C, u64, Bytes) + 'static,
) {
    let setup = move || {
        let cache = setup();
        (0..KEYS as u64).for_each(|key| insert(&cache, key, value()));
        (Arc::new(cache), [zipf(1), zipf(2)])
    };
    let call = move |(cache, keys): &(Arc<C>, [Arc<Vec<u64>>; 2]), thread: usize| {
        let (cache, keys) = (cache.clone(), keys[thread % 2].clone());
        let mut next = 0;
        move || {
            let key = keys[next & (READS - 1)];
            next += 1;
            assert!(black_box(read(&cache, key)).is_some());
        }
    };
    let case = if ours {
        cases.ours(name, setup, call)
    } else {
        cases.other(name, setup, call)
    };
    case.uncounted();
}

/// 64 bytes that are shared already, so that a clone is one atomic increment.
fn value() -> Bytes {
    let bytes = Bytes::from(vec![7_u8; 64]);
    drop(black_box(bytes.clone()));
    bytes
}

/// Keys of which the n-th most popular is drawn in proportion to 1/n, neighbours in rank far apart in memory.
fn zipf(seed: u64) -> Arc<Vec<u64>> {
    let mut total = 0.0;
    let sums: Vec<f64> = (1..=KEYS)
        .map(|rank| {
            total += 1.0 / rank as f64;
            total
        })
        .collect();
    let random = Random::new(seed);
    let draw = |_| sums.partition_point(|sum| *sum < random.unit() * total) as u64 * 2_654_435_761 % KEYS as u64;
    Arc::new((0..READS).map(draw).collect())
}
