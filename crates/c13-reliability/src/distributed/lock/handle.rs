//! What users hold: a lock that can be acquired, with its settings and its backend.

use super::attempt;
use super::backend::{Backend, Claim, Mode, Status};
use super::config::LockConfig;
use super::error::{AcquireError, BackendError, LockError};
use super::guard::{LockContext, LockGuard};
use super::snapshot::LockSnapshot;
use super::state::Terms;
use super::tally::Tally;
use crate::error::{ConfigError, ConfigValue};
use crate::snapshot::{Observed, Source};
use crate::sync::Random;
use crate::time::Clock;
use std::fmt;
use std::future::Future;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore as Turns, oneshot};

/// A lock of one name, or of several that are had together.
///
/// Clones share their place: of all clones in a process only the first waiter contends for the lock, the others wait for
/// it in line. (Fair locks queue each waiter at the backend instead.)
#[derive(Clone)]
pub struct Lock {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) names: Arc<[String]>,
    pub(super) mode: Mode,
    pub(super) config: LockConfig,
    pub(super) terms: Terms,
    pub(super) clock: Clock,
    pub(super) random: Random,
    /// Whose turn it is, among the waiters of this process, to contend.
    pub(super) turns: Arc<Turns>,
    pub(super) tally: Tally,
}

impl Lock {
    /// A lock of this name. It is not asked for yet.
    ///
    /// # Panics
    ///
    /// If a setting makes no sense or the backend cannot keep this name; [`try_new`](Self::try_new) returns the error.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, name: impl Into<String>, config: LockConfig) -> Self {
        Self::try_new(backend, name, config).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A lock of this name. It is not asked for yet.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense, or a name that the backend cannot keep.
    pub fn try_new(
        backend: Arc<dyn Backend>,
        name: impl Into<String>,
        config: LockConfig,
    ) -> Result<Self, ConfigError> {
        Self::assemble(backend, vec![name.into()], Mode::Exclusive, config)
    }

    /// A lock of several names, which are had together or not at all. On a Redis cluster all must be of one hash slot.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense, a name that the backend cannot keep, no name, a name given twice, or a fair lock
    /// (several queues have no one order).
    pub fn try_of_all(
        backend: Arc<dyn Backend>,
        names: impl IntoIterator<Item = impl Into<String>>,
        config: LockConfig,
    ) -> Result<Self, ConfigError> {
        Self::assemble(
            backend,
            names.into_iter().map(Into::into).collect(),
            Mode::Exclusive,
            config,
        )
    }

    pub(super) fn assemble(
        backend: Arc<dyn Backend>,
        names: Vec<String>,
        mode: Mode,
        config: LockConfig,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let refuse = |value, rule| Err(ConfigError::new("lock", "names", value, rule));
        if names.is_empty() || names.iter().any(String::is_empty) {
            return refuse(ConfigValue::Text("empty"), "must be at least one name, and none empty");
        }
        if (1..names.len()).any(|n| names[..n].contains(&names[n])) {
            return refuse(ConfigValue::Text("not distinct"), "must hold each name once");
        }
        if config.fair && names.len() > 1 {
            return refuse(
                ConfigValue::Count(names.len() as u64),
                "must be one name where the lock is fair",
            );
        }
        if config.fair && !backend.has_queue() {
            let value = ConfigValue::Text("true");
            return Err(ConfigError::new(
                "lock",
                "fair",
                value,
                "must be false where the backend keeps no queue",
            ));
        }
        for name in &names {
            backend.check_name(name)?;
        }
        Ok(Self {
            shared: Arc::new(Shared {
                backend,
                names: names.into(),
                mode,
                config,
                terms: Terms::of(&config),
                clock: Clock::since_boot(),
                random: Random::from_entropy(),
                turns: Arc::new(Turns::new(1)),
                tally: Tally::new(),
            }),
        })
    }

    /// The same lock by another clock, for tests in virtual time.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        let shared = &self.shared;
        Self {
            shared: Arc::new(Shared {
                backend: shared.backend.clone(),
                names: shared.names.clone(),
                mode: shared.mode,
                config: shared.config,
                terms: shared.terms,
                clock,
                random: Random::from_entropy(),
                turns: Arc::new(Turns::new(1)),
                tally: Tally::new(),
            }),
        }
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &LockConfig {
        &self.shared.config
    }

    /// Its names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.shared.names
    }

    /// What became of this process's acquisitions so far, by this handle and its clones.
    #[must_use]
    pub fn snapshot(&self) -> LockSnapshot {
        self.shared.tally.snapshot()
    }

    /// Has the lock if it can be had at once.
    ///
    /// Must be called within a tokio runtime, whose task then renews the lock until the guard is released or dropped.
    ///
    /// # Errors
    ///
    /// [`AcquireError`]: somebody else has it, or the backend could not be asked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives back whatever the attempt gets, in the background.
    pub async fn try_acquire(&self) -> Result<LockGuard, AcquireError> {
        self.acquire(Duration::ZERO).await
    }

    /// Has the lock, waiting for it at most for `wait` (`Duration::MAX`: for ever).
    ///
    /// Must be called within a tokio runtime, whose task then renews the lock until the guard is released or dropped.
    ///
    /// # Errors
    ///
    /// [`AcquireError`]: somebody else had it all the time, or the backend could not be asked. A waiter goes on asking a
    /// backend that does not answer until its time is over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives back whatever the attempt gets, in the background, and its place in the queue.
    pub async fn acquire(&self, wait: Duration) -> Result<LockGuard, AcquireError> {
        let (sender, receiver) = oneshot::channel();
        tokio::spawn(attempt::run(self.shared.clone(), wait, sender));
        receiver.await.unwrap_or_else(|_| {
            Err(BackendError::new(
                super::error::BackendErrorKind::Unanswered,
                "the runtime is shutting down",
            )
            .into())
        })
    }

    /// Runs `work` under the lock, waiting for the lock at most for `wait`; the work is dropped at the moment the lock can
    /// no longer be trusted.
    ///
    /// The work gets a [`LockContext`] with the fencing token. When the work is done the lock is given back; a release
    /// that is not confirmed does not spoil the result, because the work was done under the lock: it is tried again in
    /// the background until the lease is over. A panic in the work gives the lock back too.
    ///
    /// # Errors
    ///
    /// [`LockError`]: no lock, the work's own error, or [`Lost`](LockError::Lost).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the work and gives the lock back in the background.
    pub async fn run<T, E, F>(&self, wait: Duration, work: impl FnOnce(LockContext) -> F) -> Result<T, LockError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let guard = self.acquire(wait).await?;
        let context = guard.context();
        let result = guarded(&guard, work(context)).await?;
        // Unconfirmed, it goes on in the background; refused, the check after the work has said what matters.
        drop(guard.release().await);
        result.map_err(LockError::OperationFailed)
    }

    /// Who has the lock now; of several names, the first one's.
    ///
    /// # Errors
    ///
    /// The backend could not be asked.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn status(&self) -> Result<Status, BackendError> {
        self.shared.backend.status(&self.shared.names[0]).await
    }
}

impl Shared {
    pub(super) fn claim(&self) -> Claim {
        Claim::new(self.names.clone(), self.mode, &self.config)
    }
}

/// Runs `work` until it is done or the lock is lost, whichever comes first; a result that comes too late is lost too.
pub(super) async fn guarded<T, E>(guard: &LockGuard, work: impl Future<Output = T>) -> Result<T, LockError<E>> {
    let mut work = pin!(work);
    let result = tokio::select! {
        biased;
        _ = guard.lost() => return Err(LockError::Lost),
        result = &mut work => result,
    };
    guard.check().map_err(|_| LockError::Lost)?;
    Ok(result)
}

/// It is observed for as long as the lock is: by a handle, an acquisition under way, or a guard.
impl Observed for Lock {
    fn source(&self) -> Source {
        let shared = Arc::downgrade(&self.shared);
        Source::new(move || Some(shared.upgrade()?.tally.snapshot().readings()))
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("names", &self.shared.names)
            .field("mode", &self.shared.mode)
            .field("backend", &self.shared.backend)
            .finish_non_exhaustive()
    }
}

/// A lock that many may hold for reading, or one for writing. First come, first served, so that writers do not starve.
///
/// The writer's side is an ordinary lock of this name, also for clients in other languages.
#[derive(Clone, Debug)]
pub struct RwLock {
    read: Lock,
    write: Lock,
}

impl RwLock {
    /// A read/write lock of this name; it is fair, whatever `config` says, wherever the backend keeps a queue.
    ///
    /// # Errors
    ///
    /// As [`Lock::try_new`].
    pub fn try_new(
        backend: Arc<dyn Backend>,
        name: impl Into<String>,
        config: LockConfig,
    ) -> Result<Self, ConfigError> {
        let (name, config) = (name.into(), config.fair(backend.has_queue()));
        let shared = Mode::Shared { slots: None };
        Ok(Self {
            read: Lock::assemble(backend.clone(), vec![name.clone()], shared, config)?,
            write: Lock::assemble(backend, vec![name], Mode::Exclusive, config)?,
        })
    }

    /// The side that many may hold.
    #[must_use]
    pub fn read(&self) -> &Lock {
        &self.read
    }

    /// The side that one may hold, and no reader beside it.
    #[must_use]
    pub fn write(&self) -> &Lock {
        &self.write
    }
}

/// So many slots across all processes; each acquisition takes one.
#[derive(Clone, Debug)]
pub struct Semaphore {
    slots: Lock,
}

impl Semaphore {
    /// A semaphore of this name. All who use it must agree on the number of slots.
    ///
    /// # Errors
    ///
    /// As [`Lock::try_new`].
    pub fn try_new(
        backend: Arc<dyn Backend>,
        name: impl Into<String>,
        slots: NonZeroU32,
        config: LockConfig,
    ) -> Result<Self, ConfigError> {
        let mode = Mode::Shared { slots: Some(slots) };
        Ok(Self {
            slots: Lock::assemble(backend, vec![name.into()], mode, config)?,
        })
    }

    /// One slot, to be acquired like a lock.
    #[must_use]
    pub fn slot(&self) -> &Lock {
        &self.slots
    }
}
