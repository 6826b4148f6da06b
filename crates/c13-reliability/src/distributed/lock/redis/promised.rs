//! The lock by the name that users were promised, over a connection of their own.

use super::backend::RedisBackend;
use crate::distributed::fence::Fence;
use crate::distributed::lock::backend::{Attempted, Backend, Claim, Mode, Released};
use crate::distributed::lock::config::LockConfig;
use crate::distributed::lock::error::LockError;
use crate::distributed::lock::handle::{Lock, guarded};
use crate::distributed::lock::state::{Lease, Step, Terms};
use crate::distributed::redis::{Keys, Redis};
use crate::error::ConfigError;
use crate::time::Clock;
use redis::RedisError;
use redis::aio::MultiplexedConnection;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// A lock on Redis that is acquired, renewed and released by hand; [`with_distributed_lock`] does it all.
///
/// It never waits for another holder. For waiting, for a guard that renews itself and for connections that come back by
/// themselves use [`Lock`] over a [`RedisBackend`].
///
/// # Cancel safety
///
/// A lock that is dropped while it is held is released in the background if there is a tokio runtime, and lapses otherwise.
///
/// ```no_run
/// use c13_reliability::distributed::lock::{RedisDistributedLock, with_distributed_lock};
/// use std::time::Duration;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let connection = redis::Client::open("redis://127.0.0.1/")?.get_multiplexed_async_connection().await?;
/// let mut lock = RedisDistributedLock::new(connection, "invoices".into(), Duration::from_secs(30)).await;
/// with_distributed_lock(&mut lock, async { Ok::<_, std::io::Error>(()) }).await?;
/// # Ok(())
/// # }
/// ```
pub struct RedisDistributedLock {
    backend: RedisBackend,
    lock: Lock,
    clock: Clock,
    terms: Terms,
    held: Option<Held>,
}

struct Held {
    claim: Claim,
    lease: Lease,
    fence: Fence,
}

impl RedisDistributedLock {
    /// A lock of this key, with leases of this length, over this connection. It is not asked for yet.
    ///
    /// # Panics
    ///
    /// If the lease is shorter than 20 ms or longer than 24 hours, or the braces of the key would part it from its record;
    /// [`try_new`](Self::try_new) returns the error.
    ///
    /// # Cancel safety
    ///
    /// It does not wait for anything.
    #[expect(clippy::unused_async, reason = "users were promised an async constructor")]
    pub async fn new(conn: MultiplexedConnection, key: String, ttl: Duration) -> Self {
        Self::try_new(conn, key, ttl).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A lock of this key, with leases of this length, over this connection. It is not asked for yet.
    ///
    /// # Errors
    ///
    /// The lease is shorter than 20 ms or longer than 24 hours, or the braces of the key would part it from its record.
    pub fn try_new(conn: MultiplexedConnection, key: String, ttl: Duration) -> Result<Self, ConfigError> {
        Keys::beside("lock", &key)?;
        let config = LockConfig::new(ttl);
        let backend = RedisBackend::new(Redis::of_connection(conn));
        Ok(Self {
            lock: Lock::try_new(Arc::new(backend.clone()), key, config)?,
            backend,
            clock: Clock::since_boot(),
            terms: Terms::of(&config, None),
            held: None,
        })
    }

    /// Acquires the lock if it is available at once; returns whether. Also true if this object holds it already: it is then
    /// renewed.
    ///
    /// # Errors
    ///
    /// Redis could not be asked. A grant that the attempt may have got is released in the background.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future releases, in the background, what it may have got.
    pub async fn acquire(&mut self) -> Result<bool, RedisError> {
        if self.held.is_some() && self.renew().await? {
            return Ok(true);
        }
        let claim = Claim::new(self.lock.shared.names.clone(), Mode::Exclusive, self.lock.config());
        let sent = self.clock.now();
        let attempt = Unsettled {
            backend: &self.backend,
            claim,
            settled: false,
        };
        let attempted = self.backend.acquire_raw(&attempt.claim).await?;
        let lease = Lease::granted(self.terms, sent, self.clock.now());
        match (attempted, lease) {
            (Attempted::Granted { fence }, Some(lease)) => {
                let claim = attempt.settle();
                self.held = Some(Held { claim, lease, fence });
                Ok(true)
            }
            // Granted, but too late to be of use: dropped unsettled, it is released.
            (Attempted::Granted { .. }, None) => Ok(false),
            _ => {
                attempt.settle();
                Ok(false)
            }
        }
    }

    /// Releases the lock; returns whether this object still held it.
    ///
    /// # Errors
    ///
    /// Redis could not be asked; the release is tried again in the background, and otherwise the lock lapses.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future releases the lock in the background.
    pub async fn release(&mut self) -> Result<bool, RedisError> {
        let Some(held) = self.held.take() else {
            return Ok(false);
        };
        let attempt = Unsettled {
            backend: &self.backend,
            claim: held.claim,
            settled: false,
        };
        let released = self.backend.release_raw(&attempt.claim, false).await?;
        attempt.settle();
        Ok(released == Released::Released)
    }

    /// Renews the lease; returns whether this object still holds the lock. Once it has returned `false`, the lock is lost for good.
    ///
    /// # Errors
    ///
    /// Redis could not be asked. The lease is not extended, and the lock is not lost before it is over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether the lease was extended; the lock's own view is the shorter one.
    pub async fn renew(&mut self) -> Result<bool, RedisError> {
        let sent = self.clock.now();
        let Some(held) = &mut self.held else {
            return Ok(false);
        };
        if let Step::Lost(_) = held.lease.step(sent) {
            self.held = None;
            return Ok(false);
        }
        let renewed = self.backend.renew_raw(&held.claim).await?;
        let kept = renewed && held.lease.renewed(sent, self.clock.now()).is_ok();
        if !kept {
            self.held = None;
        }
        Ok(kept)
    }

    /// The fencing token, while the lock is held and its lease is not over.
    #[must_use]
    pub fn fence(&self) -> Option<Fence> {
        let held = self.held.as_ref()?;
        (self.clock.now() < held.lease.valid_until()).then_some(held.fence)
    }
}

/// A claim whose outcome is not known: dropped in this state, it is released and buried in the background.
struct Unsettled<'a> {
    backend: &'a RedisBackend,
    claim: Claim,
    settled: bool,
}

impl Unsettled<'_> {
    fn settle(mut self) -> Claim {
        self.settled = true;
        self.claim.clone()
    }
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        if !self.settled {
            give_back(self.backend, self.claim.clone(), true);
        }
    }
}

fn give_back(backend: &RedisBackend, claim: Claim, bury: bool) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        let backend = backend.clone();
        // Unconfirmed, it lapses with its lease.
        runtime.spawn(async move { drop(backend.release(&claim, bury).await) });
    }
}

impl Drop for RedisDistributedLock {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            give_back(&self.backend, held.claim, false);
        }
    }
}

impl fmt::Debug for RedisDistributedLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisDistributedLock")
            .field("names", &self.lock.names())
            .field("fence", &self.fence())
            .finish_non_exhaustive()
    }
}

/// Runs `f` under the lock: acquires it, renews it meanwhile, drops `f` at the moment the lock can no longer be trusted,
/// and releases the lock, also when `f` fails, panics or is dropped. Where `f` ends, the lock is free when this returns,
/// unless Redis does not answer.
///
/// It does not wait for another holder, and a lock that `lock` holds already is another holder: release it first.
///
/// # Errors
///
/// See [`LockError`]. After [`Lost`](LockError::Lost) the work may have been done in part; after
/// [`ReleaseFailed`](LockError::ReleaseFailed) it was done, under the lock.
///
/// # Cancel safety
///
/// Dropping the future drops `f` and releases the lock in the background.
pub async fn with_distributed_lock<F, T, E>(lock: &mut RedisDistributedLock, f: F) -> Result<T, LockError<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let guard = lock.lock.try_acquire().await?;
    let result = guarded(&guard, f).await;
    // Whatever the outcome of `f`, and for the time of one request at most: a caller that tries again at once must not be
    // kept out by its own previous lock.
    let released = guard.release().await;
    let value = result?.map_err(LockError::OperationFailed)?;
    match released {
        Ok(_) => Ok(value),
        Err(error) => Err(LockError::ReleaseFailed(error.message)),
    }
}
