//! The shared limiter's handle: decides in memory if tokens are leased, and by the backend if not.

use super::asker::{Asker, Unasked};
use super::backend::QuotaBackend;
use super::config::{Limit, SharedLimitConfig};
use super::error::{DecidedBy, SharedLimitError, count_of};
use super::snapshot::{DecisionCount, SharedLimitSnapshot};
use super::state::{Batch, BatchPlan, Cell, Rate, take_all};
use crate::error::ConfigError;
use crate::gate::{Gate, Outcome, Permit};
use crate::snapshot::{Observed, Source};
use crate::sync::Tally;
use crate::sync::primitive::{AtomicU64, Mutex, Ordering};
use crate::time::Env;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A rate limit that all processes with the same keys and backend share.
///
/// Clones are one process. A call is refused or allowed at once; nothing queues.
#[derive(Clone)]
pub struct SharedRateLimiter {
    shared: Arc<FleetLimiter>,
}

struct FleetLimiter {
    asker: Asker,
    limits: Vec<Limit>,
    plan: Option<BatchPlan>,
    /// The [`Batch`] that calls take from.
    batch: AtomicU64,
    /// Until when the backend has nothing, in nanoseconds of the coarse clock: calls before then are refused without asking
    /// it.
    empty_until: AtomicU64,
    /// Taken by the call that refills; one at a time.
    refill: tokio::sync::Mutex<()>,
    /// This process's share while the backend does not answer, one cell a limit.
    local: Mutex<Vec<Cell>>,
    /// Calls by how they were decided.
    decided: Tally<DecisionCount>,
}

/// How long a refusal by the backend is remembered at most.
pub(super) const LONGEST_MEMORY: Duration = Duration::from_millis(100);

impl SharedRateLimiter {
    /// A limiter of these limits, all of which a call counts against.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense, or a key that the backend cannot keep.
    pub fn try_new(
        backend: Arc<dyn QuotaBackend>,
        limits: Vec<Limit>,
        config: SharedLimitConfig,
    ) -> Result<Self, ConfigError> {
        config.validate(&limits)?;
        for limit in &limits {
            backend.check_key(&limit.key)?;
        }
        Ok(Self {
            shared: Arc::new(FleetLimiter::new(backend, limits, config, Env::default())),
        })
    }

    /// The same limiter by the clock and the random numbers of `env`; it starts anew.
    #[must_use]
    pub fn with_env(self, env: impl Into<Env>) -> Self {
        let shared = &self.shared;
        Self {
            shared: Arc::new(FleetLimiter::new(
                shared.asker.backend.clone(),
                shared.limits.clone(),
                shared.asker.config,
                env.into(),
            )),
        }
    }

    /// Decides about a call of this cost in memory: one reading of the coarse clock and one subtraction.
    ///
    /// # Errors
    ///
    /// [`NotAsked`](SharedLimitError::NotAsked) where the backend would have to be asked, or a refusal that is still
    /// remembered.
    #[inline]
    pub fn try_acquire(&self, cost: u64) -> Result<DecidedBy, SharedLimitError> {
        let decided = self.shared.decide(cost);
        self.shared.decided.add_one(count_of(&decided));
        decided
    }

    /// Decides about a call of this cost, by the backend if memory does not suffice.
    ///
    /// # Errors
    ///
    /// [`SharedLimitError`]: the limit is used up, or the backend does not answer and the setting is to deny.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may lose the tokens that were asked for; they lapse.
    ///
    /// It waits for the backend no longer than until the caller's [`Deadline`](crate::time::Deadline). A request that the deadline cuts short says nothing
    /// about the backend: the call is decided as if the backend had failed, and the next call asks again.
    pub async fn acquire(&self, cost: u64) -> Result<DecidedBy, SharedLimitError> {
        let decided = self.shared.acquire(cost).await;
        self.shared.decided.add_one(count_of(&decided));
        decided
    }

    /// How this process's calls were decided so far, by this handle and its clones.
    #[must_use]
    pub fn snapshot(&self) -> SharedLimitSnapshot {
        self.shared.snapshot()
    }

    /// How many processes share the limit, as last reported by the backend.
    #[must_use]
    pub fn active_processes(&self) -> u32 {
        self.shared.asker.active()
    }
}

impl FleetLimiter {
    fn new(backend: Arc<dyn QuotaBackend>, limits: Vec<Limit>, config: SharedLimitConfig, env: Env) -> Self {
        let keys = limits.iter().map(|limit| limit.key.clone()).collect();
        Self {
            plan: BatchPlan::of(&limits, config.sharing),
            asker: Asker::new(backend, config, keys, env),
            batch: AtomicU64::new(Batch::EMPTY.0),
            empty_until: AtomicU64::new(0),
            refill: tokio::sync::Mutex::default(),
            local: Mutex::new(vec![Cell::default(); limits.len()]),
            limits,
            decided: Tally::new(),
        }
    }

    /// Decides in memory.
    #[inline]
    fn decide(&self, cost: u64) -> Result<DecidedBy, SharedLimitError> {
        let now = self.asker.clock.coarse().as_nanos();
        let now_ms = now / 1_000_000;
        // Relaxed: the word is the whole state and publishes nothing else.
        let mut word = self.batch.load(Ordering::Relaxed);
        while let Some(left) = Batch(word).take(now_ms, cost) {
            let batch = &self.batch;
            // Relaxed: as above, on success and on failure.
            match batch.compare_exchange_weak(word, left.0, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(DecidedBy::Lease),
                Err(newer) => word = newer,
            }
        }
        self.remembered(now)
    }

    async fn acquire(&self, cost: u64) -> Result<DecidedBy, SharedLimitError> {
        match self.decide(cost) {
            Err(SharedLimitError::NotAsked) => {}
            decided => return decided,
        }
        let Some(plan) = self.plan else {
            return self
                .ask(cost, cost)
                .await
                .map(|_| DecidedBy::Exact)
                .or_else(|error| self.failed(cost, error));
        };
        let _refilling = self.refill.lock().await;
        // Another call may have refilled meanwhile.
        match self.decide(cost) {
            Err(SharedLimitError::NotAsked) => {}
            decided => return decided,
        }
        let sent = self.asker.clock.coarse();
        match self.ask(plan.tokens.max(cost), cost).await {
            Ok(granted) => {
                let lapses = sent + plan.usable();
                let batch = Batch::new(granted - cost, lapses.as_nanos() / 1_000_000);
                // Relaxed: as in `try_acquire`. The rest of the previous batch is dropped: the backend has counted it.
                self.batch.store(batch.0, Ordering::Relaxed);
                Ok(DecidedBy::Lease)
            }
            Err(error) => self.failed(cost, error),
        }
    }

    fn snapshot(&self) -> SharedLimitSnapshot {
        self.asker.snapshot(SharedLimitSnapshot::counted(&self.decided))
    }

    fn remembered(&self, now: u64) -> Result<DecidedBy, SharedLimitError> {
        // Relaxed: a hint; a call that reads it late asks the backend once more.
        let until = self.empty_until.load(Ordering::Relaxed);
        if now < until {
            return Err(SharedLimitError::Exceeded {
                retry_after: Duration::from_nanos(until - now),
                by: self.by(),
            });
        }
        Err(SharedLimitError::NotAsked)
    }

    async fn ask(&self, want: u64, least: u64) -> Result<u64, Unasked> {
        match self.asker.ask(&self.limits, want, least).await {
            Ok(granted) => Ok(granted),
            Err(Unasked::Exceeded { retry_after }) => {
                if least == 1 {
                    // Until then calls for one token are refused without asking; calls for more could be met only later anyway.
                    let until = self.asker.clock.coarse() + retry_after.min(LONGEST_MEMORY);
                    // Relaxed: a hint, as in `remembered`.
                    self.empty_until.store(until.as_nanos(), Ordering::Relaxed);
                }
                Err(Unasked::Exceeded { retry_after })
            }
            Err(other) => Err(other),
        }
    }

    fn failed(&self, cost: u64, error: Unasked) -> Result<DecidedBy, SharedLimitError> {
        self.asker.decide_without(error, self.by(), || self.take_locally(cost))
    }

    /// How the backend's answers decide here.
    fn by(&self) -> DecidedBy {
        match self.plan {
            Some(_) => DecidedBy::Lease,
            None => DecidedBy::Exact,
        }
    }

    fn take_locally(&self, cost: u64) -> Result<DecidedBy, SharedLimitError> {
        let now = self.asker.clock.now().as_nanos() as f64 / 1e3;
        let processes = f64::from(self.asker.active());
        let mut local = self.local.lock();
        let shares = self.limits.iter().map(|limit| Rate::share(limit, processes));
        let mut shares: Vec<(Rate, Cell)> = shares.zip(local.iter().copied()).collect();
        let decision = take_all(&mut shares, now, cost, cost);
        *local = shares.into_iter().map(|(_, cell)| cell).collect();
        match decision.retry_after {
            _ if decision.granted > 0 => Ok(DecidedBy::Local),
            Some(retry_after) => Err(SharedLimitError::Exceeded {
                retry_after,
                by: DecidedBy::Local,
            }),
            None => Err(SharedLimitError::NeverPossible),
        }
    }
}

/// A call that was allowed. It gives nothing back: its tokens stay used.
#[derive(Debug)]
#[must_use = "the call was counted"]
pub struct Pass(DecidedBy);

impl Pass {
    /// How the call was decided.
    #[must_use]
    pub fn decided_by(&self) -> DecidedBy {
        self.0
    }
}

impl Permit for Pass {
    fn record(self, _outcome: Outcome) {}
}

impl Gate for SharedRateLimiter {
    type Permit<'a> = Pass;
    type Rejection = SharedLimitError;

    fn try_admit(&self) -> Result<Pass, SharedLimitError> {
        self.try_acquire(1).map(Pass)
    }

    fn try_admit_uncounted(&self) -> Option<Pass> {
        let decided = self.shared.decide(1).ok()?;
        self.shared.decided.add_one(count_of(&Ok(decided)));
        Some(Pass(decided))
    }

    async fn admit(&self) -> Result<Pass, SharedLimitError> {
        self.acquire(1).await.map(Pass)
    }
}

impl Observed for SharedRateLimiter {
    fn source(&self) -> Source {
        Source::of(&self.shared, |shared| shared.snapshot().readings())
    }
}

impl fmt::Debug for SharedRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRateLimiter")
            .field("limits", &self.shared.limits)
            .field("backend", &self.shared.asker.backend)
            .finish_non_exhaustive()
    }
}
