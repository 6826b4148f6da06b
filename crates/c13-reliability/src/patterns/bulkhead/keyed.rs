//! A bulkhead for each key, as many as there is room for.

use super::{Bulkhead, BulkheadConfig};
use crate::error::ConfigError;
use crate::keyed::{KeySet, KeySetConfig, KeySetSnapshot, KeyedPart};
use crate::snapshot::{Observed, Reading, Source};
use crate::sync::primitive::Mutex;
use crate::time::{Clock, Env};
use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

/// A bulkhead for each key, so that one tenant, user or host cannot take the permits of all others.
///
/// Memory is bounded: it keeps at most [`max_keys`](KeySetConfig::max_keys) bulkheads of 0.8 KB each. When a new key finds no
/// room, the set evicts a bulkhead that no call and no caller holds; if there is none, and for keys that are
/// [too long](KeySetConfig::max_key_bytes), the key shares one bulkhead with all others that have none of their own.
///
/// In a [registry](crate::snapshot::Registry) it reports as one set: the sums of what its bulkheads report, and how many
/// keys it keeps.
///
/// ```
/// use c13_reliability::patterns::bulkhead::{BulkheadConfig, KeyedBulkhead};
/// # use c13_reliability::time::Executor;
///
/// let tenants = KeyedBulkhead::<String>::try_new(BulkheadConfig::new(2), 1_000)?;
/// # Executor::new().block_on(async {
/// let orders = tenants.get("acme").call(async { Ok::<_, std::io::Error>(17) }).await;
/// assert_eq!(orders.ok(), Some(17));
/// # });
/// # Ok::<_, c13_reliability::ConfigError>(())
/// ```
pub struct KeyedBulkhead<K> {
    set: Arc<Bulkheads<K>>,
}

struct Bulkheads<K> {
    config: Mutex<BulkheadConfig>,
    clock: Clock,
    keys: KeySet<K, Bulkhead>,
}

const PART: &str = "keyed bulkhead";

impl<K: Hash + Eq> KeyedBulkhead<K> {
    /// A bulkhead with these settings for each of at most `max_keys` keys, on the system's clock.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub fn try_new(config: BulkheadConfig, max_keys: usize) -> Result<Self, ConfigError> {
        Self::with_config(config, KeySetConfig::DEFAULT.max_keys(max_keys), Env::default())
    }

    /// A bulkhead with these settings for each key, by the clock of `env`.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub fn with_config(config: BulkheadConfig, keys: KeySetConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        keys.check(PART)?;
        let clock = env.into().clock;
        let overflow = Bulkhead::with_config(config, clock.clone())?;
        Ok(Self {
            set: Arc::new(Bulkheads {
                config: Mutex::new(config),
                keys: KeySet::new(keys, overflow),
                clock,
            }),
        })
    }

    /// The bulkhead of `key`: a new one if there is none, and the shared one if the key is too long or finds no room.
    /// Complexity: O(1).
    pub fn get<Q>(&self, key: &Q) -> Bulkhead
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let set = &*self.set;
        set.keys
            .get(key, set.clock.coarse(), |_| set.make(), |bulkhead| set.settle(bulkhead))
    }

    /// Forgets `key`; a caller that holds its bulkhead keeps it.
    pub fn remove<Q>(&self, key: &Q) -> Option<Bulkhead>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.set.keys.remove(key)
    }

    /// All keys with their bulkheads, in no order. Complexity: O(keys).
    #[must_use]
    pub fn all(&self) -> Vec<(K, Bulkhead)>
    where
        K: Clone,
    {
        self.set.keys.all()
    }

    /// The settings of each bulkhead.
    #[must_use]
    pub fn config(&self) -> BulkheadConfig {
        *self.set.config.lock()
    }

    /// Changes the settings of all bulkheads, those to come included; see [`Bulkhead::reconfigure`]. Complexity: O(keys).
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule; nothing has changed then.
    pub fn reconfigure(&self, config: BulkheadConfig) -> Result<(), ConfigError> {
        config.validate()?;
        *self.set.config.lock() = config;
        let mut result = Ok(());
        self.set.keys.for_each(|bulkhead| {
            if let Err(error) = bulkhead.reconfigure(config) {
                result = Err(error);
            }
        });
        result
    }

    /// The keys of the set, and its own counts. Complexity: O(keys).
    #[must_use]
    pub fn snapshot(&self) -> KeySetSnapshot {
        self.set.keys.snapshot()
    }
}

impl<K> Bulkheads<K> {
    /// Gives a new bulkhead the settings that the set has by now.
    fn settle(&self, bulkhead: &Bulkhead) {
        let config = *self.config.lock();
        if bulkhead.config() != config {
            let _checked = bulkhead.reconfigure(config);
        }
    }

    fn make(&self) -> Bulkhead {
        let config = *self.config.lock();
        Bulkhead::with_config(config, self.clock.clone()).expect("the settings were checked when they came in")
    }
}

impl KeyedPart for Bulkhead {
    fn text_bytes(&self) -> usize {
        0
    }

    fn is_held(&self) -> bool {
        self.handles() > 1
    }

    /// A call that holds a permit holds its bulkhead.
    fn is_at_rest(&self) -> bool {
        true
    }

    fn may_be_forgotten(&self) -> bool {
        true
    }

    fn is_open(&self) -> bool {
        false
    }

    fn readings(&self) -> Vec<Reading> {
        self.snapshot().readings()
    }
}

impl<K: Hash + Eq + Send + Sync + 'static> Observed for KeyedBulkhead<K> {
    fn source(&self) -> Source {
        Source::of(&self.set, |set| set.keys.readings())
    }
}

impl<K> Clone for KeyedBulkhead<K> {
    fn clone(&self) -> Self {
        Self { set: self.set.clone() }
    }
}

impl<K> fmt::Debug for KeyedBulkhead<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBulkhead")
            .field("config", &*self.set.config.lock())
            .field("keys", &self.set.keys.len())
            .finish_non_exhaustive()
    }
}
