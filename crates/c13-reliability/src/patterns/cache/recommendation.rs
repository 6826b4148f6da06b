//! Recommendations by user or item number, as bytes.

use super::config::CacheConfig;
use super::handle::Cache;
use super::snapshot::CacheSnapshot;
use crate::error::ConfigError;
use crate::snapshot::{Observed, Source};
use crate::time::Env;
use bytes::Bytes;

/// A cache of encoded recommendations by number: a [`Cache`] from `u64` to [`Bytes`] of 100,000 entries.
///
/// A read does not copy: the returned bytes share the memory of those that were inserted.
///
/// ```
/// use bytes::Bytes;
/// use c13_reliability::patterns::cache::RecommendationCache;
///
/// let cache = RecommendationCache::new();
/// let encoded = Bytes::from(vec![1, 2, 3]);
/// cache.insert(42, encoded.clone());
/// let read = cache.get(42).expect("it was put in");
/// assert_eq!(read.as_ptr(), encoded.as_ptr());
/// ```
#[derive(Clone, Debug)]
pub struct RecommendationCache {
    cache: Cache<u64, Bytes>,
}

impl RecommendationCache {
    /// A cache of 100,000 entries that stay fresh for ever.
    #[must_use]
    pub fn new() -> Self {
        Self::from(Cache::new(CacheConfig::new()))
    }

    /// A cache with these settings, by the clock and the random numbers of `env`.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense.
    pub fn with_config(config: CacheConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        Ok(Self::from(Cache::with_config(config, env)?))
    }

    /// The fresh bytes under `key`.
    #[must_use]
    #[inline]
    pub fn get(&self, key: u64) -> Option<Bytes> {
        self.cache.get(&key)
    }

    /// Inserts bytes.
    pub fn insert(&self, key: u64, value: Bytes) {
        self.cache.insert(key, value);
    }

    /// The general cache, which also loads, invalidates and keeps negative entries.
    #[must_use]
    pub fn cache(&self) -> &Cache<u64, Bytes> {
        &self.cache
    }

    /// Its counters, and what it holds.
    #[must_use]
    pub fn snapshot(&self) -> CacheSnapshot {
        self.cache.snapshot()
    }
}

impl Observed for RecommendationCache {
    fn source(&self) -> Source {
        self.cache.source()
    }
}

impl Default for RecommendationCache {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Cache<u64, Bytes>> for RecommendationCache {
    fn from(cache: Cache<u64, Bytes>) -> Self {
        Self { cache }
    }
}
