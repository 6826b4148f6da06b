//! The shared limiter's handle: decides in memory if tokens are leased, and by the backend if not.

use super::backend::QuotaBackend;
use super::config::{Limit, OnFailure, SharedLimitConfig};
use super::outage::Outage;
use super::snapshot::{DecisionCount, SharedLimitSnapshot};
use super::state::{Batch, BatchPlan, Cell, Rate, take_all};
use crate::distributed::lock::BackendError;
use crate::error::{ConfigError, Layer, Rejected};
use crate::gate::{Gate, Outcome, Permit};
use crate::snapshot::{Observed, Source};
use crate::sync::primitive::{AtomicU64, Mutex, Ordering};
use crate::sync::{Random, Tally};
use crate::time::{Clock, Deadline, Env, Rounded};
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
    backend: Arc<dyn QuotaBackend>,
    limits: Vec<Limit>,
    config: SharedLimitConfig,
    plan: Option<BatchPlan>,
    clock: Clock,
    random: Random,
    process: String,
    /// The [`Batch`] that calls take from.
    batch: AtomicU64,
    /// Until when the backend has nothing, in nanoseconds of the coarse clock: calls before then are refused without asking
    /// it.
    empty_until: AtomicU64,
    /// Taken by the call that refills; one at a time.
    refill: tokio::sync::Mutex<()>,
    rest: Mutex<Rest>,
    /// Calls by how they were decided.
    decided: Tally<DecisionCount>,
}

/// Where a decision is counted.
const fn count_of(decided: &Result<DecidedBy, SharedLimitError>) -> DecisionCount {
    match decided {
        Ok(DecidedBy::Lease) => DecisionCount::Leased,
        Ok(DecidedBy::Exact) => DecisionCount::Exact,
        Ok(DecidedBy::Local) => DecisionCount::Local,
        Ok(DecidedBy::Nobody) => DecisionCount::Unchecked,
        Err(SharedLimitError::Exceeded { .. }) => DecisionCount::Exceeded,
        Err(SharedLimitError::NeverPossible) => DecisionCount::NeverPossible,
        Err(SharedLimitError::Unavailable { .. }) => DecisionCount::Unavailable,
        Err(SharedLimitError::NotAsked) => DecisionCount::NotAsked,
    }
}

struct Rest {
    outage: Outage,
    active: u32,
    /// This process's share, one cell a limit.
    local: Vec<Cell>,
}

/// How a call was decided, so that an outage is not mistaken for a limit with room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecidedBy {
    /// By the backend, for this call alone.
    Exact,
    /// By tokens that the backend gave in advance.
    Lease,
    /// By this process's share, while the backend does not answer.
    Local,
    /// Without a decision: the backend does not answer, and the setting is to allow.
    Nobody,
}

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SharedLimitError {
    /// The limit is used up.
    Exceeded {
        /// How long until as much is available, unless others take it first.
        retry_after: Duration,
        /// How that was decided.
        by: DecidedBy,
    },
    /// More than the limit ever has at once.
    NeverPossible,
    /// The backend does not answer, and the setting is to deny.
    Unavailable {
        /// When the backend is asked again.
        retry_after: Duration,
        /// What the backend failed with last. Of the kind
        /// [`Refused`](crate::distributed::lock::BackendErrorKind::Refused) it does not pass by waiting.
        cause: Arc<BackendError>,
    },
    /// There is nothing in memory to decide by, and this call must not wait for the backend.
    NotAsked,
}

impl fmt::Display for SharedLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exceeded { retry_after, .. } => {
                write!(
                    f,
                    "the shared rate limit is used up, retry in {}",
                    Rounded(*retry_after)
                )
            }
            Self::NeverPossible => f.write_str("more than the shared rate limit ever has at once"),
            Self::Unavailable { retry_after, cause } => {
                write!(
                    f,
                    "the backend of the shared rate limit cannot be asked, retry in {}: {cause}",
                    Rounded(*retry_after)
                )
            }
            Self::NotAsked => f.write_str("nothing of the shared rate limit is in memory, and it was not asked for"),
        }
    }
}

impl std::error::Error for SharedLimitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // The display includes it.
            Self::Unavailable { cause, .. } => cause.source(),
            Self::Exceeded { .. } | Self::NeverPossible | Self::NotAsked => None,
        }
    }
}

impl From<SharedLimitError> for Rejected {
    fn from(error: SharedLimitError) -> Self {
        Self::new(
            Layer::RateLimit,
            match error {
                SharedLimitError::Exceeded { retry_after, .. } | SharedLimitError::Unavailable { retry_after, .. } => {
                    Some(retry_after)
                }
                SharedLimitError::NeverPossible | SharedLimitError::NotAsked => None,
            },
        )
    }
}

#[cfg(feature = "tracing")]
const TARGET: &str = "c13::shared_rate_limit";
/// Subtracted from each batch's time, because the coarse clock lags by up to 10 ms.
const COARSE: Duration = Duration::from_millis(10);
/// How long a refusal by the backend is remembered at most.
const LONGEST_MEMORY: Duration = Duration::from_millis(100);

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
                shared.backend.clone(),
                shared.limits.clone(),
                shared.config,
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
    /// It waits for the backend no longer than until the caller's [`Deadline`]. A request that the deadline cuts short says nothing
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
        self.shared.rest.lock().active
    }
}

/// Why the backend granted nothing.
enum Unasked {
    Refused(SharedLimitError),
    /// It could not be asked, or is left alone for so long.
    Failed {
        retry_after: Duration,
        cause: Arc<BackendError>,
    },
}

impl FleetLimiter {
    fn new(backend: Arc<dyn QuotaBackend>, limits: Vec<Limit>, config: SharedLimitConfig, env: Env) -> Self {
        let Env { clock, random, .. } = env;
        Self {
            backend,
            plan: BatchPlan::of(&limits, config.sharing),
            process: format!("{:016x}", random.next_u64()),
            batch: AtomicU64::new(Batch::EMPTY.0),
            empty_until: AtomicU64::new(0),
            refill: tokio::sync::Mutex::default(),
            rest: Mutex::new(Rest {
                outage: Outage::NONE,
                active: config.processes.get(),
                local: vec![Cell::default(); limits.len()],
            }),
            limits,
            config,
            clock,
            random,
            decided: Tally::new(),
        }
    }

    /// Decides in memory.
    #[inline]
    fn decide(&self, cost: u64) -> Result<DecidedBy, SharedLimitError> {
        let now = self.clock.coarse().as_nanos();
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
        let sent = self.clock.coarse();
        match self.ask(plan.tokens.max(cost), cost).await {
            Ok(granted) => {
                let lapses = sent + plan.lasts.saturating_sub(COARSE.min(plan.lasts / 4));
                let batch = Batch::new(granted - cost, lapses.as_nanos() / 1_000_000);
                // Relaxed: as in `try_acquire`. The rest of the previous batch is dropped: the backend has counted it.
                self.batch.store(batch.0, Ordering::Relaxed);
                Ok(DecidedBy::Lease)
            }
            Err(error) => self.failed(cost, error),
        }
    }

    fn snapshot(&self) -> SharedLimitSnapshot {
        let rest = self.rest.lock();
        SharedLimitSnapshot {
            active_processes: rest.active,
            backend_failures: rest.outage.failures(),
            backend_failing: rest.outage.is_standing(),
            last_failure: rest.outage.last(),
            ..SharedLimitSnapshot::counted(&self.decided)
        }
    }

    fn remembered(&self, now: u64) -> Result<DecidedBy, SharedLimitError> {
        // Relaxed: a hint; a call that reads it late asks the backend once more.
        let until = self.empty_until.load(Ordering::Relaxed);
        if now < until {
            let by = if self.plan.is_some() {
                DecidedBy::Lease
            } else {
                DecidedBy::Exact
            };
            return Err(SharedLimitError::Exceeded {
                retry_after: Duration::from_nanos(until - now),
                by,
            });
        }
        Err(SharedLimitError::NotAsked)
    }

    async fn ask(&self, want: u64, least: u64) -> Result<u64, Unasked> {
        if let Some((retry_after, cause)) = self.rest.lock().outage.standing(self.clock.now()) {
            return Err(Unasked::Failed { retry_after, cause });
        }
        let own = self.config.request_timeout;
        let left = Deadline::current(&self.clock).map(|deadline| deadline.remaining(&self.clock));
        let limit = left.map_or(own, |left| left.min(own));
        let taken = self.backend.take(&self.limits, want, least, &self.process);
        let taken = match self.clock.timeout(limit, taken).await {
            Ok(Ok(taken)) => taken,
            Ok(Err(error)) => return Err(self.note_failure(error)),
            Err(_) if limit < own => {
                return Err(Unasked::Failed {
                    retry_after: Duration::ZERO,
                    cause: Arc::new(BackendError::unanswered(limit)),
                });
            }
            Err(_) => return Err(self.note_failure(BackendError::unanswered(limit))),
        };
        self.note_answer();
        self.rest.lock().active = taken.active.max(1);
        if taken.granted > 0 {
            return Ok(taken.granted);
        }
        let Some(retry_after) = taken.retry_after else {
            return Err(Unasked::Refused(SharedLimitError::NeverPossible));
        };
        if least == 1 {
            // Until then calls for one token are refused without asking; calls for more could be met only later anyway.
            let until = self.clock.coarse() + retry_after.min(LONGEST_MEMORY);
            // Relaxed: a hint, as in `remembered`.
            self.empty_until.store(until.as_nanos(), Ordering::Relaxed);
        }
        let by = if self.plan.is_some() {
            DecidedBy::Lease
        } else {
            DecidedBy::Exact
        };
        Err(Unasked::Refused(SharedLimitError::Exceeded { retry_after, by }))
    }

    /// Leaves a backend that failed alone for a while.
    #[cold]
    fn note_failure(&self, error: BackendError) -> Unasked {
        let pause = self.config.retry_backend;
        let pause = pause + Duration::from_nanos(self.random.below(pause.as_nanos() as u64 / 2 + 1));
        let (now, cause) = (self.clock.now(), Arc::new(error));
        let is_news = self.rest.lock().outage.failed(cause.clone(), now, now + pause);
        #[cfg(feature = "tracing")]
        if is_news {
            let keys: Vec<&str> = self.limits.iter().map(|limit| &*limit.key).collect();
            let instead = self.config.on_failure.name();
            tracing::warn!(target: TARGET, ?keys, %cause, instead, "the backend of a shared rate limit cannot be asked");
        }
        #[cfg(not(feature = "tracing"))]
        let _ = is_news;
        Unasked::Failed {
            retry_after: pause,
            cause,
        }
    }

    fn note_answer(&self) {
        let _was_out = self.rest.lock().outage.answered();
        #[cfg(feature = "tracing")]
        if _was_out {
            let keys: Vec<&str> = self.limits.iter().map(|limit| &*limit.key).collect();
            tracing::info!(target: TARGET, ?keys, "the backend of a shared rate limit answers again");
        }
    }

    fn failed(&self, cost: u64, error: Unasked) -> Result<DecidedBy, SharedLimitError> {
        let (retry_after, cause) = match error {
            Unasked::Refused(error) => return Err(error),
            Unasked::Failed { retry_after, cause } => (retry_after, cause),
        };
        match self.config.on_failure {
            OnFailure::Deny => Err(SharedLimitError::Unavailable { retry_after, cause }),
            OnFailure::Allow => Ok(DecidedBy::Nobody),
            OnFailure::LocalShare => self.take_locally(cost),
        }
    }

    fn take_locally(&self, cost: u64) -> Result<DecidedBy, SharedLimitError> {
        let now = self.clock.now().as_nanos() as f64 / 1e3;
        let mut rest = self.rest.lock();
        let processes = f64::from(rest.active);
        let shares = self.limits.iter().map(|limit| Rate::share(limit, processes));
        let mut shares: Vec<(Rate, Cell)> = shares.zip(rest.local.iter().copied()).collect();
        let decision = take_all(&mut shares, now, cost, cost);
        rest.local = shares.into_iter().map(|(_, cell)| cell).collect();
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
            .field("backend", &self.shared.backend)
            .finish_non_exhaustive()
    }
}
