//! The backend of locks: the trait that every backend implements, and its requests and answers.

use super::config::LockConfig;
use super::error::BackendError;
use super::holder::Holder;
use crate::distributed::fence::Fence;
use crate::error::ConfigError;
use crate::sync::Random;
use crate::time::Clock;
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// A backend's answer, as a future.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, BackendError>> + Send + 'a>>;

/// The store of locks: a Redis, a majority of several, this process, a folder of this machine.
///
/// Every request names its [`Claim`], that is one attempt to acquire a lock, and carrying a request out twice is the same as
/// once. Dropping an answer does not take the request back.
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Whether this backend can keep a lock of this name.
    ///
    /// # Errors
    ///
    /// Which rule the name breaks.
    fn check_name(&self, name: &str) -> Result<(), ConfigError>;

    /// Whether this backend keeps a queue, which fair locks need.
    fn has_queue(&self) -> bool;

    /// How often a waiter has to poll, if it is not notified of releases by other processes.
    fn poll_interval(&self) -> Option<Duration>;

    /// How often a holder has to check that it still has its lock, if locks last as long as their process and have no lease;
    /// `None` if they have one.
    fn look_interval(&self) -> Option<Duration> {
        None
    }

    /// Gives the claim its lock if that is available now. Never waits for another holder.
    fn acquire<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Attempted>;

    /// Renews the claim's lease if it still has the lock; returns whether it has. Never acquires.
    fn renew<'a>(&'a self, claim: &'a Claim) -> Answer<'a, bool>;

    /// Releases the lock if the claim has it, and the claim's place in the queue.
    ///
    /// With `bury`, the claim is refused from now on, however late a copy of its request arrives.
    fn release<'a>(&'a self, claim: &'a Claim, bury: bool) -> Answer<'a, Released>;

    /// Releases the claim's lock at once, without waiting, if that takes no request. It is called when the task that kept the
    /// lock is dropped with its runtime; with other backends the lock lapses with its lease.
    fn release_unattended(&self, _claim: &Claim) {}

    /// Raises the fence of a held lock above `floor` and returns the new one, or `None` if the claim does not have the lock.
    fn raise_fence<'a>(&'a self, claim: &'a Claim, floor: Fence) -> Answer<'a, Option<Fence>>;

    /// Watches for releases. After the answer no release is missed.
    fn watch<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Watch>;

    /// Who has the lock of this name now.
    fn status<'a>(&'a self, name: &'a str) -> Answer<'a, Status>;
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// By one holder at a time.
    Exclusive,
    /// Together with other holders of this mode, at most so many if a number is given, but never with an exclusive one.
    Shared {
        /// The most holders at a time.
        slots: Option<NonZeroU32>,
    },
}

/// One attempt to acquire a lock, and the terms that it asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Claim {
    /// The names of the lock: several are acquired together or not at all.
    pub names: Arc<[String]>,
    /// The owner's name, which no other attempt has anywhere.
    pub owner: Arc<str>,
    /// How it is held.
    pub mode: Mode,
    /// How long a grant lasts.
    pub lease: Duration,
    /// How long the attempt is refused once it is buried.
    pub tombstone: Duration,
    /// How long the record of an idle lock is kept.
    pub record: Duration,
    /// How long a place in the queue lasts without a renewal; `None` for a claim that does not queue.
    pub queue: Option<Duration>,
    /// The greatest fence that the caller has seen.
    pub floor: Fence,
    /// How long a grant or a renewal keeps the lock taken at least, whatever happens to the holder; zero for no longer than the
    /// lease.
    pub hold: Duration,
    /// How long a release leaves the lock taken; zero to free it at once. A release that buries frees it in any case.
    pub keep: Duration,
    /// How the holder describes itself, for [`Status::holders`]: `PROCESS HOST PROGRAM`.
    pub holder: Arc<str>,
}

impl Claim {
    /// An attempt of a new owner.
    #[must_use]
    pub fn new(names: Arc<[String]>, mode: Mode, config: &LockConfig) -> Self {
        Self {
            names,
            owner: owner(),
            mode,
            lease: config.lease,
            tombstone: config.tombstone(),
            record: config.record(),
            // Four polls: a waiter that missed three is taken for dead.
            queue: config.fair.then_some(config.fallback_poll.saturating_mul(4)),
            floor: Fence::from_number(0),
            hold: config.min_hold,
            keep: Duration::ZERO,
            holder: Holder::this_process(),
        }
    }

    /// How long the lock is taken after a grant or a renewal.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        self.lease.max(self.hold)
    }

    /// The same request, by a new owner.
    pub(crate) fn renamed(&self) -> Self {
        Self {
            owner: owner(),
            ..self.clone()
        }
    }
}

/// A name that no two attempts share: 128 bits from the system's randomness.
fn owner() -> Arc<str> {
    let (high, low) = (Random::from_entropy(), Random::from_entropy());
    let time = Clock::since_boot().now().as_nanos();
    format!("{:016x}{:016x}", high.next_u64() ^ time, low.next_u64()).into()
}

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attempted {
    /// The claim has the lock, from now on or already.
    Granted {
        /// The fencing token of the grant.
        fence: Fence,
    },
    /// Others have it, or are before it in the queue.
    Held {
        /// When it lapses if nobody renews it, as far as the backend knows.
        lapses_in: Option<Duration>,
        /// Whether a part of the request may still be under way, so that the claim must be buried.
        unsettled: bool,
    },
    /// The claim was buried before.
    Buried,
}

/// The outcome of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Released {
    /// The claim had the lock, which is free now.
    Released,
    /// The lock was free.
    NotHeld,
    /// Another holder has the lock, and keeps it.
    HeldByOther,
}

/// The holders of a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The owners; none where the lock is free. On a Redis they may be of any client: at most 256 of them, of each at most
    /// 256 bytes, and they may hold any characters.
    pub owners: Vec<String>,
    /// When it lapses if nobody renews it.
    pub lapses_in: Option<Duration>,
    /// The fencing token of the most recent grant that is still remembered.
    pub fence: Option<Fence>,
    /// How many waiters are in the queue.
    pub queued: usize,
    /// The descriptions of those owners that have given one, in no order.
    pub holders: Vec<Holder>,
}

/// A watch that is notified of releases, from the moment it was made.
pub struct Watch {
    wakes: broadcast::Receiver<Arc<str>>,
    _kept: Box<dyn Any + Send>,
}

impl Watch {
    /// A watch over what is sent to `wakes`; `kept` is dropped with it.
    ///
    /// A message is the owner whose turn it is, or empty if the first to ask gets the lock.
    #[must_use]
    pub fn new(wakes: broadcast::Receiver<Arc<str>>, kept: Box<dyn Any + Send>) -> Self {
        Self { wakes, _kept: kept }
    }

    /// Waits for a release that concerns `owner`. It never ends if the backend is gone, so poll as well.
    ///
    /// # Cancel safety
    ///
    /// Dropping it misses nothing.
    pub async fn woken(&mut self, owner: &str) {
        loop {
            match self.wakes.recv().await {
                Ok(turn) if turn.is_empty() || &*turn == owner => return,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => return std::future::pending().await,
            }
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_attempts_have_one_name() {
        let names: HashSet<_> = (0..10_000).map(|_| owner()).collect();
        assert_eq!(names.len(), 10_000);
        assert!(names.iter().all(|name| name.len() == 32));
    }
}
