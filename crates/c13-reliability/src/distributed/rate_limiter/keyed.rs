//! A limit for each key that a fleet shares: leased for hot keys, exact for cold ones.

mod leases;

use super::asker::{Asker, Unasked};
use super::backend::QuotaBackend;
use super::config::{Limit, SharedLimitConfig};
use super::error::{DecidedBy, SharedLimitError, count_of};
use super::handle::LONGEST_MEMORY;
use super::snapshot::{DecisionCount, SharedLimitSnapshot};
use super::state::BatchPlan;
use crate::error::{ConfigError, ConfigValue};
use crate::keyed::KeySetConfig;
use crate::patterns::rate_limiter::{KeyedConfig, KeyedRateLimiter, RateLimitError, RateLimiterConfig};
use crate::snapshot::{Observed, Source};
use crate::sync::Tally;
use crate::sync::primitive::Mutex;
use crate::time::Env;
use leases::{InMemory, Leases};
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// A rate limit for each key, such as each client or tenant, that all processes with the same backend share.
///
/// A **hot** key, one that this process is asked for four times within two horizons, is leased: the backend gives tokens in
/// advance, as many as the key has used lately, and calls are decided in memory. A **cold** key is exact: the backend is
/// asked for each call. So a million clients that come once cost a round trip each and no lease that would lapse unused, and
/// the few that come a thousand times cost a round trip a batch. A refusal is remembered for up to 100 ms, so that a client
/// that ignores it costs no round trips either. The bounds are those of [`Sharing::Leased`](super::Sharing::Leased), for each key.
///
/// Local memory is bounded: leases of at most [`max_keys`](KeySetConfig::max_keys) keys are kept, some 200 bytes each with the
/// texts of short keys. A key that finds no room is exact. While the backend does not answer, as many keys have a local share
/// each.
///
/// Clones are one process. A call is refused or allowed at once; nothing queues.
///
/// ```
/// use c13_reliability::distributed::rate_limiter::{KeyedSharedRateLimiter, Limit, MemoryQuota, SharedLimitConfig};
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let backend = Arc::new(MemoryQuota::new());
/// // 100 calls a second for each key; the name comes before the keys at the backend.
/// let clients = KeyedSharedRateLimiter::try_new(backend, Limit::new("clients", 100.0, 10), SharedLimitConfig::DEFAULT)?;
/// clients.acquire("192.0.2.1", 1).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeyedSharedRateLimiter {
    shared: Arc<KeyedFleet>,
}

struct KeyedFleet {
    asker: Asker,
    /// The rate and burst of each key, and the name that stands before the keys.
    limit: Limit,
    keys: KeySetConfig,
    plan: Option<BatchPlan>,
    leases: Leases,
    /// Each key has one of these, and others have it too. Taken by the call that refills a hot key.
    refills: Box<[tokio::sync::Mutex<()>]>,
    /// The shares of this process while the backend does not answer; made when they are first needed.
    shares: Mutex<Option<KeyedRateLimiter<String>>>,
    decided: Tally<DecisionCount>,
}

/// How many hot keys can be refilled at one time.
const REFILLS: usize = 256;

const PART: &str = "keyed shared rate limit";

impl KeyedSharedRateLimiter {
    /// A limiter of this limit for each key. The key of `limit` is a name, which stands before the keys at the backend.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense, or a name that the backend cannot keep.
    pub fn try_new(
        backend: Arc<dyn QuotaBackend>,
        limit: Limit,
        config: SharedLimitConfig,
    ) -> Result<Self, ConfigError> {
        Self::with_config(
            backend,
            limit,
            config,
            KeySetConfig::DEFAULT.max_key_bytes(LONGEST_KEY),
            Env::default(),
        )
    }

    /// As [`try_new`](Self::try_new), with bounds on the keys, and by the clock and the random numbers of `env`. Keys have at
    /// most 256 bytes.
    ///
    /// # Errors
    ///
    /// As [`try_new`](Self::try_new).
    pub fn with_config(
        backend: Arc<dyn QuotaBackend>,
        limit: Limit,
        config: SharedLimitConfig,
        keys: KeySetConfig,
        env: impl Into<Env>,
    ) -> Result<Self, ConfigError> {
        config.validate(std::slice::from_ref(&limit))?;
        keys.check(PART)?;
        let refused = |setting, length: usize, rule| {
            Err(ConfigError::new(PART, setting, ConfigValue::Count(length as u64), rule))
        };
        if keys.max_key_bytes > LONGEST_KEY {
            return refused("max_key_bytes", keys.max_key_bytes, "must be at most 256");
        }
        if limit.key.len() > LONGEST_NAME {
            return refused(
                "key",
                limit.key.len(),
                "must be at most 200 bytes long: keys come after it",
            );
        }
        backend.check_key(&with_key(&limit.key, "key"))?;
        let plan = BatchPlan::of(std::slice::from_ref(&limit), config.sharing);
        let period = plan.map_or(Duration::from_millis(50), |plan| plan.lasts / 2);
        Ok(Self {
            shared: Arc::new(KeyedFleet {
                asker: Asker::new(backend, config, vec![limit.key.clone()], env.into()),
                leases: Leases::new(keys.max_keys, period),
                refills: std::iter::repeat_with(tokio::sync::Mutex::default)
                    .take(REFILLS)
                    .collect(),
                shares: Mutex::new(None),
                decided: Tally::new(),
                plan,
                limit,
                keys,
            }),
        })
    }

    /// Decides about a call of this cost for `key` in memory.
    ///
    /// # Errors
    ///
    /// [`NotAsked`](SharedLimitError::NotAsked) where the backend would have to be asked, a refusal that is still remembered,
    /// or [`KeyTooLong`](SharedLimitError::KeyTooLong).
    pub fn try_acquire(&self, key: &str, cost: u64) -> Result<DecidedBy, SharedLimitError> {
        let shared = &*self.shared;
        let decided = shared.decide(key, cost).unwrap_or(Err(SharedLimitError::NotAsked));
        shared.decided.add_one(count_of(&decided));
        decided
    }

    /// Decides about a call of this cost for `key`, by the backend if memory does not suffice.
    ///
    /// # Errors
    ///
    /// [`SharedLimitError`]: the limit of the key is used up, the key is too long, or the backend does not answer and the
    /// setting is to deny.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may lose the tokens that were asked for; they lapse.
    ///
    /// It waits for the backend no longer than until the caller's [`Deadline`](crate::time::Deadline), as
    /// [`SharedRateLimiter::acquire`](super::SharedRateLimiter::acquire) does.
    pub async fn acquire(&self, key: &str, cost: u64) -> Result<DecidedBy, SharedLimitError> {
        let decided = self.shared.acquire(key, cost).await;
        self.shared.decided.add_one(count_of(&decided));
        decided
    }

    /// Gives back tokens of a call that was allowed `by` this limiter and then not made. They are for the next calls of the
    /// same key in this process, and lapse within a horizon if none comes; those of a limiter that leases nothing are lost.
    pub fn give_back(&self, key: &str, cost: u64, by: DecidedBy) {
        let shared = &*self.shared;
        match (by, shared.plan) {
            (DecidedBy::Exact | DecidedBy::Lease, Some(plan)) => {
                let now = shared.asker.clock.coarse();
                shared.leases.give_back(key, cost, now, now + plan.usable() / 2);
            }
            (DecidedBy::Local, _) => {
                if let Some(shares) = &*shared.shares.lock() {
                    shares.refund(key, cost);
                }
            }
            _ => {}
        }
    }

    /// For how long calls for `key` are refused still without asking the backend. Counts nothing.
    #[must_use]
    pub fn refused_for(&self, key: &str) -> Option<Duration> {
        let shared = &*self.shared;
        shared.leases.empty_for(key, shared.asker.clock.coarse())
    }

    /// How this process's calls were decided so far, by this handle and its clones. Complexity: O(1).
    #[must_use]
    pub fn snapshot(&self) -> SharedLimitSnapshot {
        self.shared.snapshot()
    }

    /// The limit of each key; its key is the name that stands before them.
    #[must_use]
    pub fn limit(&self) -> &Limit {
        &self.shared.limit
    }
}

/// How long a key may be at most, in bytes; at the backend each may take three.
const LONGEST_KEY: usize = 256;
const LONGEST_NAME: usize = 200;

/// The key at the backend. A stranger may choose the end of it, so what could be a hash tag or a separator is written as
/// in a URL.
fn with_key(name: &str, key: &str) -> String {
    let mut text = String::with_capacity(name.len() + 1 + key.len());
    text.push_str(name);
    text.push('/');
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b".:/_-@+".contains(&byte) {
            text.push(byte.into());
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

impl KeyedFleet {
    /// Decides in memory; `Err` says what the leases know of a key about which they cannot decide.
    fn decide(&self, key: &str, cost: u64) -> Result<Result<DecidedBy, SharedLimitError>, InMemory> {
        let longest = self.keys.max_key_bytes;
        if key.len() > longest {
            let length = key.len();
            return Ok(Err(SharedLimitError::KeyTooLong { length, longest }));
        }
        match self.leases.take(key, self.asker.clock.coarse(), cost) {
            InMemory::Taken => Ok(Ok(DecidedBy::Lease)),
            InMemory::Empty(retry_after) => Ok(Err(SharedLimitError::Exceeded {
                retry_after,
                by: self.by(),
            })),
            unknown => Err(unknown),
        }
    }

    fn by(&self) -> DecidedBy {
        match self.plan {
            Some(_) => DecidedBy::Lease,
            None => DecidedBy::Exact,
        }
    }

    async fn acquire(&self, key: &str, cost: u64) -> Result<DecidedBy, SharedLimitError> {
        let hot = match self.decide(key, cost) {
            Ok(decided) => return decided,
            Err(InMemory::Hot(lately)) => self.plan.map(|plan| (plan, lately)),
            Err(_) => None,
        };
        let Some((plan, lately)) = hot else {
            let asked = self.ask(key, cost, cost).await;
            return self.settle(key, cost, asked, Duration::ZERO);
        };
        let _refilling = self.refills[self.leases.part_of(key) % REFILLS].lock().await;
        // Another call may have refilled meanwhile.
        if let Ok(decided) = self.decide(key, cost) {
            return decided;
        }
        let sent = self.asker.clock.coarse();
        let wanted = plan.tokens.min(u64::from(lately).saturating_mul(2)).max(cost);
        let asked = self.ask(key, wanted, cost).await;
        let granted = match asked {
            Ok(granted) => granted,
            // Meanwhile the tokens of a part of a batch come together, so that a key beyond its limit does not cost a round trip
            // a token.
            refused => return self.settle(key, cost, refused, plan.lasts / 8),
        };
        self.leases.refill(key, granted - cost, sent + plan.usable());
        Ok(DecidedBy::Lease)
    }

    async fn ask(&self, key: &str, want: u64, least: u64) -> Result<u64, Unasked> {
        let limit = Limit {
            key: with_key(&self.limit.key, key),
            ..self.limit
        };
        self.asker.ask(&[limit], want, least).await
    }

    /// Remembers a refusal, for at least so long, and decides without a backend that does not answer.
    fn settle(
        &self,
        key: &str,
        cost: u64,
        asked: Result<u64, Unasked>,
        least: Duration,
    ) -> Result<DecidedBy, SharedLimitError> {
        let error = match asked {
            Ok(_) => return Ok(DecidedBy::Exact),
            Err(error) => error,
        };
        if let Unasked::Exceeded { retry_after } = error
            && cost == 1
        {
            // Until then calls for one token are refused without asking; calls for more could be met only later anyway.
            let until = self.asker.clock.coarse() + retry_after.max(least).min(LONGEST_MEMORY);
            self.leases.remember_empty(key, until);
        }
        self.asker
            .decide_without(error, self.by(), || self.take_locally(key, cost))
    }

    /// Asks this process's share of the key.
    fn take_locally(&self, key: &str, cost: u64) -> Result<DecidedBy, SharedLimitError> {
        let shares = self.shares()?;
        shares
            .try_acquire(key, cost)
            .map(|()| DecidedBy::Local)
            .map_err(|error| match error {
                RateLimitError::RateLimitExceeded { retry_after, .. } => SharedLimitError::Exceeded {
                    retry_after,
                    by: DecidedBy::Local,
                },
                _ => SharedLimitError::NeverPossible,
            })
    }

    /// The shares of this process, for as many processes as were active last.
    fn shares(&self) -> Result<KeyedRateLimiter<String>, SharedLimitError> {
        let processes = self.asker.active();
        let burst = (self.limit.burst / u64::from(processes)).max(1);
        let quota = RateLimiterConfig::new(self.limit.rate / f64::from(processes), burst);
        let config = KeyedConfig::new(quota.into(), self.keys.max_keys).max_key_bytes(self.keys.max_key_bytes);
        let mut shares = self.shares.lock();
        let known = match &*shares {
            Some(known) if known.config() == config => Ok(known.clone()),
            Some(known) => known.reconfigure(config).map(|()| known.clone()),
            None => KeyedRateLimiter::with_config(config, self.asker.clock.clone()),
        };
        // A share can be too small for a bucket.
        let known = known.map_err(|_| SharedLimitError::NeverPossible)?;
        *shares = Some(known.clone());
        Ok(known)
    }

    fn snapshot(&self) -> SharedLimitSnapshot {
        let counted = SharedLimitSnapshot {
            keys: self.leases.len() as u64,
            ..SharedLimitSnapshot::counted(&self.decided)
        };
        self.asker.snapshot(counted)
    }
}

impl Observed for KeyedSharedRateLimiter {
    fn source(&self) -> Source {
        Source::of(&self.shared, |shared| shared.snapshot().readings())
    }
}

impl fmt::Debug for KeyedSharedRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedSharedRateLimiter")
            .field("limit", &self.shared.limit)
            .field("backend", &self.shared.asker.backend)
            .finish_non_exhaustive()
    }
}
