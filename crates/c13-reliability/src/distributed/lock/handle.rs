//! The handles of locks: a lock, a read/write lock and a semaphore, with their settings and their backend.

use super::attempt::{self, Patience};
use super::backend::{Backend, Mode, Status};
use super::config::LockConfig;
use super::error::{AcquireError, BackendError, BackendErrorKind, LockError};
use super::guard::{LockContext, LockGuard};
use super::holder::Holder;
use super::shared::SharedLock;
use super::snapshot::LockSnapshot;
use super::waiting::Waiting;
use crate::distributed::LONGEST_NAME;
use crate::error::{ConfigError, ConfigValue};
use crate::snapshot::{Observed, Source};
use crate::time::{Clock, Deadline, Env};
use std::fmt;
use std::future::Future;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// A lock of one name, or of several that are acquired together.
///
/// Clones share one queue: of all clones in a process only the first waiter contends for the lock, and the others wait for
/// that waiter. (Fair locks queue each waiter at the backend instead.)
#[derive(Clone)]
pub struct Lock {
    pub(super) shared: Arc<SharedLock>,
}

impl Lock {
    /// A lock of this name. The backend is not asked yet.
    ///
    /// # Panics
    ///
    /// If a setting makes no sense or the backend cannot keep this name; [`try_new`](Self::try_new) returns the error.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, name: impl Into<String>, config: LockConfig) -> Self {
        Self::try_new(backend, name, config).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A lock of this name. The backend is not asked yet.
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

    /// A lock of several names, which are acquired together or not at all. On a Redis cluster all must be of one hash slot.
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
        if let Some(long) = names.iter().find(|name| name.len() > LONGEST_NAME) {
            let length = ConfigValue::Count(long.len() as u64);
            return refuse(length, "must be at most 1,000 bytes long");
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
        if !config.min_hold.is_zero() && mode != Mode::Exclusive {
            let value = ConfigValue::Duration(config.min_hold);
            return Err(ConfigError::new(
                "lock",
                "min_hold",
                value,
                "must be zero where many may hold the lock",
            ));
        }
        for name in &names {
            backend.check_name(name)?;
        }
        Ok(Self {
            shared: Arc::new(SharedLock::new(backend, names.into(), mode, config)),
        })
    }

    /// The same lock, held in the name of this program, which [`Status::holders`] shows; by default it is the program of this
    /// process. A name only, without arguments, which may hold passwords: everybody who can read the lock can read the name.
    #[must_use]
    pub fn held_for(self, program: &str) -> Self {
        let shared = &self.shared;
        Self {
            shared: Arc::new(SharedLock {
                holder: Holder::describe(program),
                ..shared.anew(shared.clock.clone())
            }),
        }
    }

    /// The same lock by the clock and the random numbers of `env`. Default: the clock since boot.
    #[must_use]
    pub fn with_env(self, env: impl Into<Env>) -> Self {
        let Env { clock, random, .. } = env.into();
        Self {
            shared: Arc::new(SharedLock {
                random,
                ..self.shared.anew(clock)
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

    /// The counts of this process's acquisitions, by this handle and its clones.
    #[must_use]
    pub fn snapshot(&self) -> LockSnapshot {
        self.shared.tally.snapshot()
    }

    /// Acquires the lock if it is available at once.
    ///
    /// Must be called within a tokio runtime, whose task then renews the lock until the guard is released or dropped.
    ///
    /// # Errors
    ///
    /// [`AcquireError`]: another holder has it, or the backend could not be asked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future releases whatever the attempt gets, in the background.
    pub async fn try_acquire(&self) -> Result<LockGuard, AcquireError> {
        self.acquire(Duration::ZERO).await
    }

    /// Acquires the lock, waiting for it at most for `wait` (`Duration::MAX`: for ever), and no longer than the caller's
    /// [`Deadline`].
    ///
    /// The time of a request is part of the wait. An error of the backend that will not pass by waiting (a missing permission, a
    /// wrong address) ends the wait at once; one that may pass is waited for, at most for
    /// [`backend_wait`](LockConfig::backend_wait) if that is set.
    ///
    /// Must be called within a tokio runtime, whose task then renews the lock until the guard is released or dropped.
    ///
    /// # Errors
    ///
    /// [`AcquireError`]: another holder has it, or the backend could not be asked, whichever the last request found.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the queue and releases whatever the attempt gets, in the background. A future that is kept
    /// without being polled goes on waiting, in the background; if it gets the lock and is not polled within a second, the lock
    /// is released, and the future ends with [`NotAcquired`](AcquireError::NotAcquired) when it is polled.
    pub async fn acquire(&self, wait: Duration) -> Result<LockGuard, AcquireError> {
        let answer = self.contend(wait, None);
        received(answer.await)
    }

    /// Acquires the lock as [`acquire`](Self::acquire) does, and reports to `observe` what it waits for: a holder, with its
    /// status, or a backend that does not answer, with the cause.
    ///
    /// `observe` is called by the caller's own task while it waits: when the wait begins, when the reason changes, and
    /// again about every [`fallback_poll`](LockConfig::fallback_poll). It is not called if the lock is acquired, or
    /// refused, without a wait. Being observed costs the backend one request for the status per report of a holder.
    ///
    /// ```
    /// use c13_reliability::distributed::lock::{Lock, LockConfig, MemoryBackend, Waiting};
    /// use std::{sync::Arc, time::Duration};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let lock = Lock::new(Arc::new(MemoryBackend::new()), "invoices", LockConfig::DEFAULT);
    /// let holder = lock.try_acquire().await?;
    /// let mut waited_for = Vec::new();
    /// let refused = lock
    ///     .acquire_observed(Duration::from_millis(20), |waiting| match waiting {
    ///         Waiting::ForHolder { status } => waited_for = status.owners,
    ///         other => eprintln!("waiting: {other}"),
    ///     })
    ///     .await;
    /// assert!(refused.is_err());
    /// assert_eq!(waited_for.len(), 1);
    /// # drop(holder);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_observed(
        &self,
        wait: Duration,
        mut observe: impl FnMut(Waiting),
    ) -> Result<LockGuard, AcquireError> {
        let (reports, mut reported) = watch::channel(None);
        let mut answer = self.contend(wait, Some(reports));
        loop {
            tokio::select! {
                biased;
                acquired = &mut answer => return received(acquired),
                // Nothing is reported any more once the task has its result.
                Ok(()) = reported.changed() => {
                    let waiting = reported.borrow_and_update().clone();
                    waiting.into_iter().for_each(&mut observe);
                }
            }
        }
    }

    /// Starts the task of an acquisition.
    fn contend(
        &self,
        wait: Duration,
        reports: Option<watch::Sender<Option<Waiting>>>,
    ) -> oneshot::Receiver<Result<LockGuard, AcquireError>> {
        let (sender, receiver) = oneshot::channel();
        let left = left_of_deadline(&self.shared.clock);
        tokio::spawn(attempt::run(
            self.shared.clone(),
            Patience { wait, left },
            reports,
            sender,
        ));
        receiver
    }

    /// Runs `work` under the lock, waiting for the lock at most for `wait`; the work is dropped at the moment the lock can
    /// no longer be trusted.
    ///
    /// The work gets a [`LockContext`] with the fencing token. However the work ends, the lock is given back before this
    /// returns, which takes one request and its time limit at most. A release that is not confirmed does not spoil the
    /// result, because the work was done under the lock: it is tried again in the background until the lease is over. A
    /// panic in the work gives the lock back too, in the background.
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
        let result = guarded(&guard, work(context)).await;
        // Whatever the result of the work, and for the time of one request at most, so that a caller that tries again at once
        // is not blocked by its own old lock. An unconfirmed release goes on in the background.
        drop(guard.release().await);
        result?.map_err(LockError::OperationFailed)
    }

    /// The holders of the lock now; of several names, of the first one.
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

/// The result of an acquisition, for the caller that polls now.
fn received(
    answer: Result<Result<LockGuard, AcquireError>, oneshot::error::RecvError>,
) -> Result<LockGuard, AcquireError> {
    let guard = answer.unwrap_or_else(|_| Err(shutting_down()))?;
    guard.taken().ok_or(AcquireError::NotAcquired { retry_after: None })
}

fn shutting_down() -> AcquireError {
    BackendError::new(BackendErrorKind::Unanswered, "the runtime is shutting down").into()
}

/// How much time the deadline of the future that is being polled leaves; `None` without one.
///
/// Callers set deadlines on the clocks that their calls run on, which do not count while the machine is suspended, as a
/// lock's clock does.
fn left_of_deadline(clock: &Clock) -> Option<Duration> {
    [clock, &Clock::system(), &Clock::tokio()]
        .into_iter()
        .find_map(|clock| Some(Deadline::current(clock)?.remaining(clock)))
}

/// Runs `work` until it is done or the lock is lost, whichever comes first; a result that comes too late counts as lost.
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
        Source::of(&self.shared, |shared| shared.tally.snapshot().readings())
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

    /// The side that one may hold, without any reader.
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
