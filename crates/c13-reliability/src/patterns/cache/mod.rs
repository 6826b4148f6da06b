//! Cache: keeps answers in bounded memory, and loads a missing one once for all concurrent reads.
//!
//! When to use it: where reads outnumber changes and an answer may be a little old. It also carries a service through an
//! outage of its source: entries that are no longer fresh can be served while loads fail.
//!
//! # Quick start
//!
//! ```
//! use c13_reliability::patterns::cache::{Cache, CacheConfig, Loaded};
//! use c13_reliability::time::Executor;
//! use std::time::Duration;
//!
//! let config = CacheConfig::new()
//!     .ttl(Duration::from_secs(60))
//!     .stale_while_revalidate(Duration::from_secs(60))
//!     .stale_if_error(Duration::from_secs(3600))
//!     .negative_ttl(Duration::from_secs(5));
//! let products: Cache<u64, String> = Cache::new(config);
//! # Executor::new().block_on(async {
//! let found = products
//!     .find_or_load(&17, || async { Ok::<_, std::io::Error>(Loaded::found("a lamp".to_owned())) })
//!     .await;
//! # assert_eq!(found.ok().flatten().as_deref(), Some("a lamp"));
//! # });
//! ```
//!
//! # The life of an entry
//!
//! | age | a read | settings |
//! |---|---|---|
//! | fresh | is served | `ttl` |
//! | fresh, but due | is served; loaded again in the background | `refresh_after` |
//! | stale | is served; loaded again in the background | `stale_while_revalidate` |
//! | older | waits for a load; is served the stale value if that fails, and for a moment without another try | `stale_if_error`, `pause_after_error` |
//! | older still, or not read for long | waits for a load | `idle` |
//!
//! "Loaded" means that one read loads and all other reads of that key wait for it, or are served the stale value. If the read
//! that loads is dropped, one that waits takes over; if its loader panics, the reads that wait get an error and the next read
//! loads again. Removing or inserting while a load is under way keeps its result out of the cache.
//!
//! # Loads that do not end
//!
//! A load blocks its key for [`load_lease`](CacheConfig::load_lease) at most, 30 s by default: then one of the reads that
//! wait loads again, whether the first load hangs, is starved, or belongs to a future that was polled once and is kept
//! without being polled. The first load goes on; its own read gets its result, which is kept unless a newer one was. So a
//! loader that may hang still needs a time limit of its own, or its reads hang with it.
//!
//! A loader must not read its own key. A read that is polled within the loader, directly or through the loaders of other keys,
//! ends with [`LoadError::Recursive`]. A read in a task that the loader waits for, or two tasks that load what the other one
//! waits for, end with the lease.
//!
//! With the feature `tower`, `CacheLayer` puts a cache before a service, for HTTP GETs for example.
//!
//! # Bounds
//!
//! At most `capacity` entries are kept, or entries of that weight; which ones make room is decided by `quick_cache`'s
//! variant of CLOCK-Pro, which one scan over many keys does not empty. An expired entry goes when a read finds it, or to make
//! room ([`purge_expired`](Cache::purge_expired) sweeps at once). Keys count as one entry, however long they are: where
//! strangers choose them, weigh entries by the bytes of key and value with [`weighted`](Cache::weighted), and look at the
//! length of a key before it is loaded. Keys that are being loaded are kept as long as the load goes on.
//!
//! # Metrics
//!
//! What a cache in a [registry](crate::snapshot::Registry) reports. [`CacheSnapshot`] has the same counts.
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.cache.requests` | counter | {read} | `result`: hit, stale, negative, coalesced, miss | Reads, by result; coalesced: waited for the load of another read |
//! | `reliability.cache.rescues` | counter | {read} | | Reads that were served a stale value because the load failed |
//! | `reliability.cache.load.failures` | counter | {load} | `reason`: error, panic | Loads that failed, by reason |
//! | `reliability.cache.load.duration` | histogram | s | | How long loads took, including those that failed |
//! | `reliability.cache.evictions` | counter | {entry} | `reason`: size, expired, idle, explicit | Entries that were removed, by reason |
//! | `reliability.cache.entries` | gauge | {entry} | | Entries that are held |
//! | `reliability.cache.weight` | gauge | | | What the entries weigh; their number where nothing is weighed |
//!
//! # How it compares
//!
//! `moka` and `quick_cache` load once too, but know neither stale-if-error nor virtual time. Nanoseconds a hit, 100,000 keys by
//! Zipf's law, values that cost nothing to clone, on 2 processors of a quiet machine; ranges of three runs, in brackets how
//! many times `quick_cache` in the same run:
//!
//! | | one thread | two threads |
//! |---|---|---|
//! | `quick_cache` alone | 33 to 41 | 53 to 58 |
//! | [`RecommendationCache`], nothing timed | 36 to 47 (1.07 to 1.19) | 47 to 80 (0.9 to 1.4) |
//! | [`Cache`] with a `ttl` | 47 to 67 (1.4 to 1.6) | 62 to 80 (1.2 to 1.4) |
//! | the same, `get_or_load` | 64 to 97 (1.9 to 2.4) | 74 to 96 (1.4 to 1.6) |
//! | with `ttl`, `refresh_after` and `idle` | 143 to 192 (4.3 to 4.7) | 151 to 168 (2.9 to 3.0) |
//!
//! More than half of it is waiting for the entry to come from memory, so an entry lies there in the smallest form that the
//! settings allow: nothing but the value where nothing is timed or weighed, one time beside it where there is only a time to
//! live.
//!
//! `bench/run` measures reads that hit; `docs/adr/0008-quick-cache-under-the-cache.md` has the figures by which the crate was
//! chosen.

mod config;
mod entry;
mod error;
mod handle;
mod landing;
#[cfg(feature = "tower")]
mod layer;
mod load;
mod loaded;
#[cfg(all(test, c13_loom))]
mod loom;
mod recommendation;
mod snapshot;
mod state;
mod store;
#[cfg(test)]
mod tests;

pub use config::{CAPACITY, CacheConfig, LOAD_LEASE};
pub use error::LoadError;
pub use handle::{Background, Cache};
#[cfg(feature = "tower")]
pub use layer::{CacheLayer, CacheService};
pub use loaded::Loaded;
pub use recommendation::RecommendationCache;
pub use snapshot::CacheSnapshot;
