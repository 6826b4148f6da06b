//! A policy for each key, all with the settings of one template.

use super::{Policy, PolicyConfig};
use crate::error::ConfigError;
use crate::keyed::{KeySet, KeySetConfig, KeySetSnapshot, KeyedPart};
use crate::patterns::circuit_breaker::CircuitState;
use crate::snapshot::{Observed, Reading, Source};
use crate::sync::Random;
use crate::sync::primitive::Mutex;
use crate::time::{Clock, Env};
use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

/// A policy for each key: for each tenant, host, shard or partner that fails on its own. All of them have the same settings,
/// and are changed together.
///
/// Memory is bounded: it keeps at most [`max_keys`](KeySetConfig::max_keys) policies; one of the critical profile takes 4 KB.
/// When a new key finds no room, the set evicts a policy that is at rest: nobody holds it, its circuit is closed, and its
/// rate limit has all of its tokens. If there is none, and for keys that are [too long](KeySetConfig::max_key_bytes), the key
/// shares one policy with all others that have none of their own. So a stranger who invents keys can make no circuit
/// forget that it is open, and no limit start anew.
///
/// In a [registry](crate::snapshot::Registry) it reports as one set: the sums of what its policies have counted, those of
/// evicted ones included, how many keys it keeps, and how many of their circuits refuse calls. No metric has a key.
///
/// A policy of a set called `tenant` has the name `tenant[KEY]`.
///
/// ```
/// use c13_reliability::policy::{KeyedPolicies, Profile};
/// # use c13_reliability::time::Executor;
///
/// let tenants = KeyedPolicies::<String>::new("tenant", Profile::Standard.config())?;
/// # Executor::new().block_on(async {
/// let answer = tenants.get("acme").call(|| async { Ok::<_, std::io::Error>(42) }).await;
/// assert_eq!(answer.ok(), Some(42));
/// # });
/// tenants.get("acme").circuit_breaker().expect("the profile has one").force_open();
/// assert!(tenants.get("acme").call_sync(|| Ok::<_, std::io::Error>(42)).is_err());
/// assert!(tenants.get("other").call_sync(|| Ok::<_, std::io::Error>(42)).is_ok());
/// # Ok::<_, c13_reliability::ConfigError>(())
/// ```
pub struct KeyedPolicies<K> {
    set: Arc<Policies<K>>,
}

struct Policies<K> {
    name: String,
    config: Mutex<PolicyConfig>,
    clock: Clock,
    random: Random,
    keys: KeySet<K, KeyedPolicy>,
}

/// A policy that a set keeps, and its name.
#[derive(Clone)]
struct KeyedPolicy {
    policy: Policy,
    name_bytes: usize,
}

const PART: &str = "keyed policies";

impl<K: Hash + Eq + fmt::Display> KeyedPolicies<K> {
    /// A policy with these settings for each key, on the system's clock, with the defaults of [`KeySetConfig`].
    ///
    /// # Errors
    ///
    /// The first rule that the settings break.
    pub fn new(name: &str, config: PolicyConfig) -> Result<Self, ConfigError> {
        Self::with_config(config, KeySetConfig::DEFAULT, Env::default().name(name))
    }

    /// A policy with these settings for each key, by the clock of `env`. The set has the name of `env`.
    ///
    /// # Errors
    ///
    /// The first rule that the settings break.
    pub fn with_config(config: PolicyConfig, keys: KeySetConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        keys.check(PART)?;
        let Env { clock, random, name } = env.into();
        let name = name.unwrap_or_default();
        let overflow = make(&name, "others", config, &clock, &random)?;
        Ok(Self {
            set: Arc::new(Policies {
                keys: KeySet::new(keys, overflow),
                config: Mutex::new(config),
                name,
                clock,
                random,
            }),
        })
    }

    /// The policy of `key`: a new one if there is none, and the shared one if the key is too long or finds no room.
    /// Complexity: O(1), and one look-up where the key is known.
    pub fn get<Q>(&self, key: &Q) -> Policy
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let set = &*self.set;
        let kept = set
            .keys
            .get(key, set.clock.coarse(), |key| set.make(key), |kept| set.settle(kept));
        kept.policy
    }

    /// Forgets `key`; a caller that holds its policy keeps it.
    pub fn remove<Q>(&self, key: &Q) -> Option<Policy>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.set.keys.remove(key).map(|kept| kept.policy)
    }

    /// All keys with their policies, in no order. Complexity: O(keys).
    #[must_use]
    pub fn all(&self) -> Vec<(K, Policy)>
    where
        K: Clone,
    {
        let all = self.set.keys.all().into_iter();
        all.map(|(key, kept)| (key, kept.policy)).collect()
    }

    /// The settings of each policy.
    #[must_use]
    pub fn config(&self) -> PolicyConfig {
        *self.set.config.lock()
    }

    /// Changes the settings of all policies, those to come included, and keeps all their state: see
    /// [`Policy::reconfigure`]. Complexity: O(keys).
    ///
    /// # Errors
    ///
    /// The first rule that the settings break; nothing has changed then.
    pub fn reconfigure(&self, config: PolicyConfig) -> Result<(), ConfigError> {
        config.validate()?;
        *self.set.config.lock() = config;
        let mut result = Ok(());
        self.set.keys.for_each(|kept| {
            if let Err(error) = kept.policy.reconfigure(config) {
                result = Err(error);
            }
        });
        result
    }

    /// The set's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.set.name
    }

    /// The keys of the set, and its own counts. Complexity: O(keys).
    #[must_use]
    pub fn snapshot(&self) -> KeySetSnapshot {
        self.set.keys.snapshot()
    }
}

impl<K: fmt::Display> Policies<K> {
    /// Gives a new policy the settings that the set has by now.
    fn settle(&self, kept: &KeyedPolicy) {
        let config = *self.config.lock();
        if kept.policy.config() != config {
            let _checked = kept.policy.reconfigure(config);
        }
    }

    fn make(&self, key: &K) -> KeyedPolicy {
        let config = *self.config.lock();
        let made = make(&self.name, key, config, &self.clock, &self.random);
        made.expect("the settings were checked when they came in")
    }
}

/// A policy of a set: its random numbers are a stream of its own.
fn make(
    set: &str,
    key: impl fmt::Display,
    config: PolicyConfig,
    clock: &Clock,
    random: &Random,
) -> Result<KeyedPolicy, ConfigError> {
    let name = format!("{set}[{key}]");
    let name_bytes = name.len();
    let random = Random::stream(random.next_u64(), &name);
    let env = Env::new(clock.clone()).random(random).name(name);
    let policy = Policy::with_config(config, env)?;
    Ok(KeyedPolicy { policy, name_bytes })
}

impl KeyedPart for KeyedPolicy {
    fn text_bytes(&self) -> usize {
        self.name_bytes
    }

    fn is_held(&self) -> bool {
        self.policy.is_shared()
    }

    fn is_at_rest(&self) -> bool {
        let breaker = self.policy.circuit_breaker();
        breaker.is_none_or(|breaker| breaker.current_state() == CircuitState::Closed) && self.has_all_tokens()
    }

    fn may_be_forgotten(&self) -> bool {
        let breaker = self.policy.circuit_breaker();
        breaker.is_none_or(|breaker| KeyedPart::may_be_forgotten(&breaker)) && self.has_all_tokens()
    }

    fn is_open(&self) -> bool {
        let breaker = self.policy.circuit_breaker();
        breaker.is_some_and(|breaker| KeyedPart::is_open(&breaker))
    }

    fn readings(&self) -> Vec<Reading> {
        self.policy.readings()
    }
}

impl KeyedPolicy {
    fn has_all_tokens(&self) -> bool {
        let limiter = self.policy.rate_limiter();
        limiter.is_none_or(|limiter| limiter.available_tokens() >= limiter.capacity())
    }
}

impl<K: Hash + Eq + Send + Sync + 'static> Observed for KeyedPolicies<K> {
    fn source(&self) -> Source {
        Source::of(&self.set, |set| set.keys.readings())
    }
}

impl<K> Clone for KeyedPolicies<K> {
    fn clone(&self) -> Self {
        Self { set: self.set.clone() }
    }
}

impl<K> fmt::Debug for KeyedPolicies<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedPolicies")
            .field("name", &self.set.name)
            .field("keys", &self.set.keys.len())
            .finish_non_exhaustive()
    }
}
