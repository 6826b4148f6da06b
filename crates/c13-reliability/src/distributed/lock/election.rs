//! Leader election: the holder of the lock leads, its fence is the term, and a holder that loses the lock stops leading at
//! that moment.

use super::error::{AcquireError, LockError};
use super::guard::LockContext;
use super::handle::{Lock, guarded};
use crate::distributed::fence::Fence;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Whether this process leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Another process leads, or none.
    Follower,
    /// This process leads.
    Leader {
        /// The term: greater than that of every leader before.
        term: Fence,
    },
}

/// An election by a lock. Clones are one candidate.
///
/// A leader stops, because its work is dropped, before another can be elected: the margin of the lock's lease lies between the
/// two.
#[derive(Clone)]
pub struct Election {
    lock: Lock,
    role: Arc<watch::Sender<Role>>,
}

impl Election {
    /// An election by `lock`.
    #[must_use]
    pub fn new(lock: Lock) -> Self {
        Self {
            lock,
            role: Arc::new(watch::Sender::new(Role::Follower)),
        }
    }

    /// Whether this process leads now, as its own clock sees it.
    #[must_use]
    pub fn role(&self) -> Role {
        *self.role.borrow()
    }

    /// A receiver that is notified of each change of role.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Role> {
        self.role.subscribe()
    }

    /// Stands for election until elected, and leads by `work`; when leadership is lost, the work is dropped and this
    /// process stands again. Ends when the work does, which is stepping down.
    ///
    /// # Errors
    ///
    /// The backend refuses the lock for good. A backend that does not answer is asked again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the work and steps down in the background.
    pub async fn lead<T, F>(&self, mut work: impl FnMut(LockContext) -> F) -> Result<T, AcquireError>
    where
        F: Future<Output = T>,
    {
        loop {
            let guard = self.lock.acquire(Duration::MAX).await?;
            let leading = Leading::begin(&self.role, guard.fence());
            let done: Result<T, LockError<()>> = guarded(&guard, work(guard.context())).await;
            drop(leading);
            // Unconfirmed, the release goes on in the background.
            drop(guard.release().await);
            if let Ok(value) = done {
                return Ok(value);
            }
        }
    }
}

/// While it exists, this process leads.
struct Leading<'a> {
    role: &'a watch::Sender<Role>,
}

impl<'a> Leading<'a> {
    fn begin(role: &'a watch::Sender<Role>, term: Fence) -> Self {
        role.send_replace(Role::Leader { term });
        Self { role }
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.role.send_replace(Role::Follower);
    }
}

impl fmt::Debug for Election {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Election")
            .field("lock", &self.lock)
            .field("role", &self.role())
            .finish()
    }
}
