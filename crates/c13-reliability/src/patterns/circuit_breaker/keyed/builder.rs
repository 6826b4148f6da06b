//! What can be set of a set of breakers.

use super::super::builder::CircuitBreakerBuilder;
use super::super::config::CircuitBreakerConfig;
use super::{Breakers, Each, KeyedBreakers, PART, check_bytes, start};
use crate::error::ConfigError;
use crate::keyed::{KeySet, KeySetConfig};
use crate::sync::primitive::Mutex;
use crate::time::Env;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The name of the breaker of all keys that have none of their own.
const OVERFLOW: &str = "keys without a breaker of their own";

/// Makes a set of breakers; started by [`KeyedBreakers::builder`].
#[must_use = "a builder makes nothing until `build`"]
pub struct KeyedBreakersBuilder<K> {
    config: CircuitBreakerConfig,
    keys: KeySetConfig,
    max_bytes: usize,
    env: Env,
    each: Option<Each<K>>,
}

impl<K> KeyedBreakersBuilder<K> {
    pub(super) fn new(config: CircuitBreakerConfig) -> Self {
        Self {
            config,
            keys: KeySetConfig::DEFAULT,
            max_bytes: 256 << 20,
            env: Env::default(),
            each: None,
        }
    }

    /// How many keys it holds at most; from 1 to 16,777,216.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.keys.max_keys = keys;
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
        self.keys.max_key_bytes = bytes;
        self
    }

    /// After how long without a request for it a key may be evicted when new ones come; above zero.
    pub fn idle_after(mut self, idle: Duration) -> Self {
        self.keys.idle_after = idle;
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
        self.keys.check(PART)?;
        check_bytes::<K>(&self.config, self.keys.max_keys, self.max_bytes)?;
        let Env { clock, random, .. } = self.env;
        let overflow = start(self.config, &clock, &random).name(OVERFLOW);
        Ok(KeyedBreakers {
            set: Arc::new(Breakers {
                keys: KeySet::new(self.keys, overflow.build()?),
                config: Mutex::new(self.config),
                max_bytes: self.max_bytes,
                clock,
                random,
                each: self.each,
            }),
        })
    }
}

impl<K> fmt::Debug for KeyedBreakersBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBreakersBuilder")
            .field("config", &self.config)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
