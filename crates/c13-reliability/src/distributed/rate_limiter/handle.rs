//! What users hold: a limit that is decided in memory where it is leased, and by the backend where it is not.

use super::backend::QuotaBackend;
use super::config::{Limit, OnFailure, SharedLimitConfig};
use super::snapshot::SharedLimitSnapshot;
use super::state::{Batch, BatchPlan, Cell};
use crate::error::{ConfigError, Layer, Rejected};
use crate::gate::{Gate, Outcome, Permit};
use crate::snapshot::{Observed, Source};
use crate::sync::primitive::{AtomicU64, Mutex, Ordering};
use crate::sync::{Random, StripedCounter};
use crate::time::{Clock, Tick};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A rate limit that all processes with the same keys and backend share.
///
/// Clones are one process. A call is refused or allowed at once; nothing queues.
#[derive(Clone)]
pub struct SharedRateLimiter {
    shared: Arc<Shared>,
}

struct Shared {
    backend: Arc<dyn QuotaBackend>,
    limits: Vec<Limit>,
    config: SharedLimitConfig,
    plan: Option<BatchPlan>,
    clock: Clock,
    random: Random,
    process: String,
    /// The [`Batch`] that calls take from.
    batch: AtomicU64,
    /// Until when nothing is to be had, in nanoseconds of the coarse clock: who asks before is refused without asking.
    empty_until: AtomicU64,
    /// Who refills, one at a time.
    refill: tokio::sync::Mutex<()>,
    rest: Mutex<Rest>,
    /// Calls by how they were decided.
    decided: StripedCounter<8>,
}

/// Where a call is counted.
const fn count_of(decided: Result<DecidedBy, SharedLimitError>) -> usize {
    match decided {
        Ok(DecidedBy::Lease) => 0,
        Ok(DecidedBy::Exact) => 1,
        Ok(DecidedBy::Local) => 2,
        Ok(DecidedBy::Nobody) => 3,
        Err(SharedLimitError::Exceeded { .. }) => 4,
        Err(SharedLimitError::NeverPossible) => 5,
        Err(SharedLimitError::Unavailable { .. }) => 6,
        Err(SharedLimitError::NotAsked) => 7,
    }
}

struct Rest {
    /// Until when the backend is left alone.
    failed_until: Tick,
    active: u32,
    /// This process's share, one cell a limit.
    local: Vec<Cell>,
}

/// Which way a call was decided, so that an outage is not mistaken for a limit that has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecidedBy {
    /// The backend, for this call alone.
    Exact,
    /// Tokens that the backend gave in advance.
    Lease,
    /// This process's share, while the backend does not answer.
    Local,
    /// Nobody: the backend does not answer, and the setting is to allow.
    Nobody,
}

/// Why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SharedLimitError {
    /// The limit is used up.
    Exceeded {
        /// How long until so much can be had, unless others are quicker.
        retry_after: Duration,
        /// Which way that was decided.
        by: DecidedBy,
    },
    /// More than the limit ever has at once.
    NeverPossible,
    /// The backend does not answer, and the setting is to deny.
    Unavailable {
        /// When the backend is asked again.
        retry_after: Duration,
    },
    /// There is nothing in memory to decide by, and this call must not wait for the backend.
    NotAsked,
}

impl fmt::Display for SharedLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exceeded { retry_after, .. } => {
                write!(f, "the shared rate limit is used up, retry after {retry_after:?}")
            }
            Self::NeverPossible => f.write_str("more than the shared rate limit ever has at once"),
            Self::Unavailable { retry_after } => {
                write!(
                    f,
                    "the backend of the shared rate limit does not answer, retry after {retry_after:?}"
                )
            }
            Self::NotAsked => f.write_str("nothing of the shared rate limit is in memory, and it was not asked for"),
        }
    }
}

impl std::error::Error for SharedLimitError {}

impl From<SharedLimitError> for Rejected {
    fn from(error: SharedLimitError) -> Self {
        Self::new(
            Layer::RateLimit,
            match error {
                SharedLimitError::Exceeded { retry_after, .. } | SharedLimitError::Unavailable { retry_after } => {
                    Some(retry_after)
                }
                SharedLimitError::NeverPossible | SharedLimitError::NotAsked => None,
            },
        )
    }
}

/// Taken off each batch's time: the coarse clock lags by up to 10 ms.
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
        let random = Random::from_entropy();
        Ok(Self {
            shared: Arc::new(Shared {
                backend,
                plan: BatchPlan::of(&limits, config.sharing),
                process: format!("{:016x}", random.next_u64()),
                batch: AtomicU64::new(Batch::EMPTY.0),
                empty_until: AtomicU64::new(0),
                refill: tokio::sync::Mutex::default(),
                rest: Mutex::new(Rest {
                    failed_until: Tick::ZERO,
                    active: config.processes.get(),
                    local: vec![Cell::default(); limits.len()],
                }),
                limits,
                config,
                clock: Clock::system(),
                random,
                decided: StripedCounter::new(),
            }),
        })
    }

    /// Decides about a call of this cost by what is in memory: one reading of the coarse clock and one subtraction.
    ///
    /// # Errors
    ///
    /// [`NotAsked`](SharedLimitError::NotAsked) where the backend would have to be asked, or a refusal that is still
    /// remembered.
    #[inline]
    pub fn try_acquire(&self, cost: u64) -> Result<DecidedBy, SharedLimitError> {
        let decided = self.shared.decide(cost);
        self.shared.decided.add(count_of(decided), 1);
        decided
    }

    /// Decides about a call of this cost, by the backend where nothing in memory can.
    ///
    /// # Errors
    ///
    /// [`SharedLimitError`]: the limit is used up, or the backend does not answer and the setting is to deny.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may lose the tokens that were asked for; they lapse.
    pub async fn acquire(&self, cost: u64) -> Result<DecidedBy, SharedLimitError> {
        let decided = self.shared.acquire(cost).await;
        self.shared.decided.add(count_of(decided), 1);
        decided
    }

    /// How this process's calls were decided so far, by this handle and its clones.
    #[must_use]
    pub fn snapshot(&self) -> SharedLimitSnapshot {
        self.shared.snapshot()
    }

    /// How many processes share the limit, as far as the backend has told.
    #[must_use]
    pub fn active_processes(&self) -> u32 {
        self.shared.rest.lock().active
    }
}

/// Why the backend gave nothing.
enum Unasked {
    Refused(SharedLimitError),
    /// It did not answer, or is left alone for so long.
    Failed {
        retry_after: Duration,
    },
}

impl Shared {
    /// Decides by what is in memory.
    #[inline]
    fn decide(&self, cost: u64) -> Result<DecidedBy, SharedLimitError> {
        let now = self.clock.coarse().as_nanos();
        let now_ms = now / 1_000_000;
        // Relaxed: the word is the whole of the state; nothing else is published by it.
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
        // Somebody may have refilled meanwhile.
        match self.decide(cost) {
            Err(SharedLimitError::NotAsked) => {}
            decided => return decided,
        }
        let sent = self.clock.coarse();
        match self.ask(plan.tokens.max(cost), cost).await {
            Ok(granted) => {
                let lapses = sent + plan.lasts.saturating_sub(COARSE.min(plan.lasts / 4));
                let batch = Batch::new(granted - cost, lapses.as_nanos() / 1_000_000);
                // Relaxed: as in `try_acquire`. What is left of the batch before is given up: it was taken there already.
                self.batch.store(batch.0, Ordering::Relaxed);
                Ok(DecidedBy::Lease)
            }
            Err(error) => self.failed(cost, error),
        }
    }

    fn snapshot(&self) -> SharedLimitSnapshot {
        let sum = |counter| self.decided.sum(counter);
        SharedLimitSnapshot {
            leased: sum(0),
            exact: sum(1),
            local: sum(2),
            unchecked: sum(3),
            exceeded: sum(4),
            never_possible: sum(5),
            unavailable: sum(6),
            not_asked: sum(7),
            active_processes: self.rest.lock().active,
        }
    }

    fn remembered(&self, now: u64) -> Result<DecidedBy, SharedLimitError> {
        // Relaxed: a hint; who reads it late asks once more.
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
        let now = self.clock.now();
        let failed_until = self.rest.lock().failed_until;
        if now < failed_until {
            return Err(Unasked::Failed {
                retry_after: failed_until - now,
            });
        }
        let taken = self.backend.take(&self.limits, want, least, &self.process);
        let Ok(Ok(taken)) = self.clock.timeout(self.config.request_timeout, taken).await else {
            let pause = self.config.retry_backend;
            let pause = pause + Duration::from_nanos(self.random.below(pause.as_nanos() as u64 / 2 + 1));
            self.rest.lock().failed_until = self.clock.now() + pause;
            return Err(Unasked::Failed { retry_after: pause });
        };
        self.rest.lock().active = taken.active.max(1);
        if taken.granted > 0 {
            return Ok(taken.granted);
        }
        let Some(retry_after) = taken.retry_after else {
            return Err(Unasked::Refused(SharedLimitError::NeverPossible));
        };
        if least == 1 {
            // Whoever asks for one is refused until then, without asking; who asks for more has a later time anyway.
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

    fn failed(&self, cost: u64, error: Unasked) -> Result<DecidedBy, SharedLimitError> {
        let retry_after = match error {
            Unasked::Refused(error) => return Err(error),
            Unasked::Failed { retry_after } => retry_after,
        };
        match self.config.on_failure {
            OnFailure::Deny => Err(SharedLimitError::Unavailable { retry_after }),
            OnFailure::Allow => Ok(DecidedBy::Nobody),
            OnFailure::LocalShare => self.take_locally(cost),
        }
    }

    fn take_locally(&self, cost: u64) -> Result<DecidedBy, SharedLimitError> {
        let now = self.clock.now().as_nanos() as f64 / 1e3;
        let mut rest = self.rest.lock();
        let share = f64::from(rest.active);
        let mut cells = rest.local.clone();
        for (limit, cell) in self.limits.iter().zip(&mut cells) {
            // At least one call at once, or a small share would never allow any.
            let burst = (limit.burst as f64 / share).max(1.0);
            let decision = cell.take(limit.rate / share, burst, now, cost, cost);
            if decision.granted == 0 {
                return Err(match decision.retry_after {
                    Some(retry_after) => SharedLimitError::Exceeded {
                        retry_after,
                        by: DecidedBy::Local,
                    },
                    None => SharedLimitError::NeverPossible,
                });
            }
        }
        rest.local = cells;
        Ok(DecidedBy::Local)
    }
}

/// A call that was allowed. There is nothing to give back: what was taken stays taken.
#[derive(Debug)]
#[must_use = "the call was counted"]
pub struct Pass(DecidedBy);

impl Pass {
    /// Which way the call was decided.
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
        self.shared.decided.add(count_of(Ok(decided)), 1);
        Some(Pass(decided))
    }

    async fn admit(&self) -> Result<Pass, SharedLimitError> {
        self.acquire(1).await.map(Pass)
    }
}

impl Observed for SharedRateLimiter {
    fn source(&self) -> Source {
        let shared = Arc::downgrade(&self.shared);
        Source::new(move || Some(shared.upgrade()?.snapshot().readings()))
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
