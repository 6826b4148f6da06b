//! What can be set of a set of breakers.

use super::super::builder::CircuitBreakerBuilder;
use super::super::config::CircuitBreakerConfig;
use super::{Circuits, Each, KeyedBreakers, Set, check_bytes, start};
use crate::error::{ConfigError, ConfigValue};
use crate::keyed::{Seeds, Shards};
use crate::sync::primitive::{AtomicU64, Mutex};
use crate::time::Env;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const MOST_KEYS: usize = 1 << 24;
const LONGEST_KEY: usize = 1 << 20;
/// The name of the breaker of all keys that have none of their own.
const OVERFLOW: &str = "keys without a breaker of their own";

/// Makes a set of breakers; started by [`KeyedBreakers::builder`].
#[must_use = "a builder makes nothing until `build`"]
pub struct KeyedBreakersBuilder<K> {
    config: CircuitBreakerConfig,
    max_keys: usize,
    max_bytes: usize,
    max_key_bytes: usize,
    idle_after: Duration,
    env: Env,
    each: Option<Each<K>>,
}

impl<K> KeyedBreakersBuilder<K> {
    pub(super) fn new(config: CircuitBreakerConfig) -> Self {
        Self {
            config,
            max_keys: 10_000,
            max_bytes: 256 << 20,
            max_key_bytes: 1_024,
            idle_after: Duration::from_secs(3600),
            env: Env::default(),
            each: None,
        }
    }

    /// How many keys it holds at most; from 1 to 16,777,216.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// How many bytes all breakers may take, were each of their windows full. Settings with windows so large that `max_keys`
    /// of them take more are refused. The texts of keys come on top. Default: 256 MiB.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How many bytes of text a key may hold to get a breaker of its own, by what its `Hash` reads; from 1 to 2²⁰. All longer
    /// keys share one breaker, as keys do that find no room. It has the set's settings but is not passed to
    /// [`each`](Self::each); nothing else is kept of such keys. Default: 1,024.
    pub fn max_key_bytes(mut self, bytes: usize) -> Self {
        self.max_key_bytes = bytes;
        self
    }

    /// After how long without a request for it a key may be evicted when new ones come; above zero.
    pub fn idle_after(mut self, idle: Duration) -> Self {
        self.idle_after = idle;
        self
    }

    /// The clock that its breakers go by, and what their random numbers are seeded from. Default: [`Env::default`].
    pub fn env(mut self, env: impl Into<Env>) -> Self {
        self.env = env.into();
        self
    }

    /// What to do with each breaker's builder before it is made, such as to give it its key's name, or a listener. Its
    /// settings, clock and source of random numbers are set already.
    pub fn each(
        mut self,
        each: impl Fn(&K, CircuitBreakerBuilder) -> CircuitBreakerBuilder + Send + Sync + 'static,
    ) -> Self {
        self.each = Some(Box::new(each));
        self
    }

    /// Makes the set.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense, of the breakers or of the set.
    pub fn build(self) -> Result<KeyedBreakers<K>, ConfigError> {
        self.config.validate()?;
        let refused = |setting, value, rule| Err(ConfigError::new("keyed circuit breakers", setting, value, rule));
        if self.max_keys == 0 || self.max_keys > MOST_KEYS {
            let value = ConfigValue::Count(self.max_keys as u64);
            return refused("max_keys", value, "must be from 1 to 16777216");
        }
        if self.max_key_bytes == 0 || self.max_key_bytes > LONGEST_KEY {
            let value = ConfigValue::Count(self.max_key_bytes as u64);
            return refused("max_key_bytes", value, "must be from 1 to 2^20");
        }
        if self.idle_after.is_zero() {
            let value = ConfigValue::Duration(self.idle_after);
            return refused("idle_after", value, "must be above zero");
        }
        check_bytes::<K>(&self.config, self.max_keys, self.max_bytes)?;
        let Env { clock, random, .. } = self.env;
        let overflow = start(self.config, &clock, &random).name(OVERFLOW);
        Ok(KeyedBreakers {
            set: Arc::new(Set {
                shards: Shards::new(self.max_keys, Seeds::from_entropy(), Circuits::new),
                config: Mutex::new(self.config),
                max_keys: self.max_keys,
                max_bytes: self.max_bytes,
                max_key_bytes: self.max_key_bytes,
                overflow: overflow.build()?,
                too_long: AtomicU64::new(0),
                without_room: AtomicU64::new(0),
                clock,
                random,
                each: self.each,
                idle_after: self.idle_after,
                evictions: AtomicU64::new(0),
            }),
        })
    }
}

impl<K> fmt::Debug for KeyedBreakersBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBreakersBuilder")
            .field("config", &self.config)
            .field("max_keys", &self.max_keys)
            .field("max_key_bytes", &self.max_key_bytes)
            .field("idle_after", &self.idle_after)
            .finish_non_exhaustive()
    }
}
