//! A breaker for each key, as many as there is room for.

mod builder;

use super::builder::CircuitBreakerBuilder;
use super::config::CircuitBreakerConfig;
use super::handle::CircuitBreaker;
use super::snapshot::CircuitState;
use crate::error::{ConfigError, ConfigValue};
use crate::keyed::{KeySet, KeySetSnapshot, KeyedPart};
use crate::snapshot::{Observed, Reading, Source};
use crate::sync::Random;
use crate::sync::primitive::Mutex;
use crate::time::{Clock, Env};
use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

pub use builder::KeyedBreakersBuilder;

/// A breaker for each key: for each host, shard, tenant or partner that fails on its own.
///
/// It never holds more than `max_keys`. When a new key finds no room, the set evicts a circuit that is closed and that nobody
/// holds: of sixteen such, the one that was asked for longest ago. A circuit that is not closed is never evicted to make
/// room, because its key would start anew; a new key that finds nothing to evict shares one breaker with all others that have
/// none of their own. A key that nobody has asked for during `idle_after` goes when new ones come, unless its circuit refuses
/// calls, its state was forced, or somebody holds it. Breakers are [compact](CircuitBreakerBuilder::compact).
///
/// Nothing is kept of a key that holds more text than [`max_key_bytes`](KeyedBreakersBuilder::max_key_bytes), because
/// strangers may choose keys: such keys share that one breaker too, so that their calls are guarded as well.
///
/// In a [registry](crate::snapshot::Registry) it reports as one set: the sums of what its breakers have counted, those of
/// evicted ones included, how many keys it keeps, and how many of their circuits refuse calls.
///
/// ```
/// use c13_reliability::patterns::circuit_breaker::{CircuitBreakerConfig, CircuitState, KeyedBreakers};
///
/// let hosts = KeyedBreakers::<String>::builder(CircuitBreakerConfig::default())
///     .max_keys(1_000)
///     .each(|host, breaker| breaker.name(host))
///     .build()?;
/// hosts.get("db-1").force_open();
/// assert_eq!(hosts.get("db-1").current_state(), CircuitState::ForcedOpen);
/// assert_eq!(hosts.get("db-2").current_state(), CircuitState::Closed);
/// # Ok::<(), c13_reliability::ConfigError>(())
/// ```
pub struct KeyedBreakers<K> {
    set: Arc<Breakers<K>>,
}

type Each<K> = Box<dyn Fn(&K, CircuitBreakerBuilder) -> CircuitBreakerBuilder + Send + Sync>;

struct Breakers<K> {
    config: Mutex<CircuitBreakerConfig>,
    max_bytes: usize,
    clock: Clock,
    random: Random,
    each: Option<Each<K>>,
    keys: KeySet<K, CircuitBreaker>,
}

/// What a breaker takes besides its windows over calls and its times of failures: about so many bytes.
const BREAKER_BYTES: usize = 2_048;

impl<K> KeyedBreakers<K> {
    /// Starts a set whose breakers have these settings. Default: at most 10,000 keys, idle after an hour.
    pub fn builder(config: CircuitBreakerConfig) -> KeyedBreakersBuilder<K> {
        KeyedBreakersBuilder::new(config)
    }

    /// How many keys it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.set.keys.len()
    }

    /// Whether it holds no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes its breakers may take at the most, were each of their windows full, with the texts of keys and the
    /// breakers' names. What listeners hold is not counted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let (keys, texts) = self.set.keys.size();
        // And the shared breaker.
        (keys + 1)
            .saturating_mul(bytes_a_key::<K>(&self.set.config.lock()))
            .saturating_add(texts)
    }

    /// How many keys it dropped to make room or because they were idle.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.set.keys.evictions()
    }

    /// How often it gave the shared breaker for a key that is too long.
    #[must_use]
    pub fn too_long(&self) -> u64 {
        self.set.keys.too_long()
    }

    /// How often it gave the shared breaker for a new key that found no room.
    #[must_use]
    pub fn without_room(&self) -> u64 {
        self.set.keys.without_room()
    }
}

impl<K: Hash + Eq + Clone> KeyedBreakers<K> {
    /// The breaker of `key`; a new one if there is none, and the shared one if the key is too long or finds no room.
    /// Complexity: O(1).
    pub fn get<Q>(&self, key: &Q) -> CircuitBreaker
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let set = &*self.set;
        set.keys.get(
            key,
            set.clock.coarse(),
            |key| set.make(key),
            |breaker| set.settle(breaker),
        )
    }

    /// Drops the breaker of `key`; whoever holds it keeps it for itself.
    pub fn remove<Q>(&self, key: &Q) -> Option<CircuitBreaker>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.set.keys.remove(key)
    }

    /// All keys with their breakers, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<(K, CircuitBreaker)> {
        self.set.keys.all()
    }

    /// The keys of the set, and its own counts. Complexity: O(keys).
    #[must_use]
    pub fn snapshot(&self) -> KeySetSnapshot {
        self.set.keys.snapshot()
    }

    /// Changes the settings of all breakers, those to come included; see [`CircuitBreaker::reconfigure`].
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense; nothing has changed then.
    pub fn reconfigure(&self, config: CircuitBreakerConfig) -> Result<(), ConfigError> {
        config.validate()?;
        check_bytes::<K>(&config, self.set.keys.config().max_keys, self.set.max_bytes)?;
        *self.set.config.lock() = config;
        for (_, breaker) in self.all() {
            breaker.reconfigure(config)?;
        }
        self.set.keys.overflow().reconfigure(config)
    }
}

impl<K: Hash + Eq + Send + Sync + 'static> Observed for KeyedBreakers<K> {
    fn source(&self) -> Source {
        Source::of(&self.set, |set| set.keys.readings())
    }
}

impl<K> Clone for KeyedBreakers<K> {
    fn clone(&self) -> Self {
        Self { set: self.set.clone() }
    }
}

impl<K> fmt::Debug for KeyedBreakers<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBreakers")
            .field("keys", &self.len())
            .finish_non_exhaustive()
    }
}

/// How many bytes a key takes with its breaker, were each of its windows full.
fn bytes_a_key<K>(config: &CircuitBreakerConfig) -> usize {
    config.window_bytes() + BREAKER_BYTES + KeySet::<K, CircuitBreaker>::BYTES_A_KEY
}

fn check_bytes<K>(config: &CircuitBreakerConfig, max_keys: usize, max_bytes: usize) -> Result<(), ConfigError> {
    let each = bytes_a_key::<K>(config);
    if max_keys.saturating_mul(each) <= max_bytes {
        return Ok(());
    }
    let value = ConfigValue::Count(max_keys as u64);
    let rule =
        "must be fewer, or the windows of the breakers smaller, or `max_bytes` more: all windows must fit into it";
    Err(ConfigError::new(PART, "max_keys", value, rule))
}

const PART: &str = "keyed circuit breakers";

impl<K> Breakers<K> {
    /// Gives a new breaker the settings that the set has by now. The hook may have given it others.
    fn settle(&self, breaker: &CircuitBreaker) {
        let config = *self.config.lock();
        if self.each.is_none() && breaker.config() != config {
            let _checked = breaker.reconfigure(config);
        }
    }

    fn make(&self, key: &K) -> CircuitBreaker {
        let builder = start(*self.config.lock(), &self.clock, &self.random);
        let builder = match &self.each {
            Some(each) => each(key, builder),
            None => builder,
        };
        builder.build().expect("the settings were checked when they came in")
    }
}

/// Starts a breaker of a set.
fn start(config: CircuitBreakerConfig, clock: &Clock, random: &Random) -> CircuitBreakerBuilder {
    CircuitBreaker::builder(config)
        .env(Env::new(clock.clone()).random(Random::new(random.next_u64())))
        .compact()
}

impl KeyedPart for CircuitBreaker {
    fn text_bytes(&self) -> usize {
        self.name().len()
    }

    fn is_held(&self) -> bool {
        self.handles() > 1
    }

    /// Only a closed circuit is: the key of another one would start anew.
    fn is_at_rest(&self) -> bool {
        self.current_state() == CircuitState::Closed
    }

    fn may_be_forgotten(&self) -> bool {
        let state = self.current_state();
        let is_forced = [
            CircuitState::ForcedOpen,
            CircuitState::ForcedClosed,
            CircuitState::MetricsOnly,
        ]
        .contains(&state);
        !is_forced && !self.refuses()
    }

    fn is_open(&self) -> bool {
        self.refuses()
    }

    fn readings(&self) -> Vec<Reading> {
        self.snapshot().readings()
    }
}
