//! The guard of a held lock: it can be checked, it notifies its holder of a loss, and it releases the lock.

use super::backend::Released;
use super::error::{BackendError, BackendErrorKind, Lost};
use super::state::Loss;
use super::validity::Validity;
use crate::distributed::fence::Fence;
use crate::time::{Clock, Elapsed, Tick};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// The state of the holding, as the background task knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Granted, and not taken yet by the future that asked for it.
    Offered,
    Held,
    Lost(Loss),
    Ended,
}

/// For how long a lock is kept for a future that asked for it and is not polled any more: far longer than a task takes from
/// being woken to being polled. Then it is released for others.
const OFFER: Duration = Duration::from_secs(1);
const OFFER_STEPS: u32 = 4;

/// The request to the background task to release the lock; dropping it requests the same.
pub(super) type ReleaseCall = oneshot::Sender<Result<Released, BackendError>>;

/// The state that the guard, contexts and the background task share.
pub(super) struct Held {
    pub(super) validity: Validity,
    pub(super) clock: Clock,
    pub(super) fence: Fence,
    /// When it has been held for as long as it may be.
    pub(super) ends_at: Tick,
    pub(super) names: Arc<[String]>,
    pub(super) phase: watch::Sender<Phase>,
}

impl Held {
    /// Changes the phase from `from` to `to`; false if it is another one by now.
    fn goes(&self, from: Phase, to: Phase) -> bool {
        self.phase.send_if_modified(|phase| {
            let goes = *phase == from;
            if goes {
                *phase = to;
            }
            goes
        })
    }

    /// The future that asked for the lock has it from now on; false if it was withdrawn or lost before.
    pub(super) fn take(&self) -> bool {
        self.goes(Phase::Offered, Phase::Held)
    }

    /// Takes the lock back from a future that has not taken it; false if it has by now.
    pub(super) fn withdraw(&self) -> bool {
        self.goes(Phase::Offered, Phase::Ended)
    }

    /// Ends when the lock was offered for [`OFFER`] and not taken.
    pub(super) async fn unclaimed(&self) {
        // In steps: where the whole program stood still, only the one that was under way is over at once.
        for _ in 0..OFFER_STEPS {
            self.clock.sleep(OFFER / OFFER_STEPS).await;
        }
    }

    fn check(&self) -> Result<Tick, Lost> {
        let now = self.clock.now();
        self.validity.check(now).ok_or_else(|| {
            Lost::new(match *self.phase.borrow() {
                Phase::Lost(loss) => loss,
                _ if now >= self.ends_at => Loss::HeldTooLong,
                _ => Loss::Expired,
            })
        })
    }

    /// Waits until the lock is lost, by a report of the background task or by the end of the lease; `None` if it was released
    /// instead.
    async fn ended(&self) -> Option<Lost> {
        let mut phase = self.phase.subscribe();
        loop {
            match *phase.borrow_and_update() {
                Phase::Offered | Phase::Held => {}
                Phase::Lost(loss) => return Some(Lost::new(loss)),
                Phase::Ended => return None,
            }
            let until = match self.check() {
                Err(lost) => return Some(lost),
                Ok(until) => until,
            };
            // A renewal, a loss or a release: the next round finds out which.
            let _: Result<_, Elapsed> = self.clock.timeout_at(until, phase.changed()).await;
        }
    }
}

/// A lock that is held. A task in the background renews it until the guard is released or dropped.
///
/// A loss is final: once [`check`](Self::check) has reported that the lock is lost, it always does, even if a late renewal
/// succeeds.
///
/// # Cancel safety
///
/// Dropping it releases the lock in the background; so does a panic. If the runtime shuts down first, the lock lapses
/// with its lease.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct LockGuard {
    held: Arc<Held>,
    release: Option<oneshot::Sender<ReleaseCall>>,
}

impl LockGuard {
    /// The guard for the future that asked for it; `None` if it asked too late, see [`OFFER`].
    pub(super) fn taken(self) -> Option<Self> {
        self.held.take().then_some(self)
    }

    pub(super) fn new(held: Arc<Held>, release: oneshot::Sender<ReleaseCall>) -> Self {
        Self {
            held,
            release: Some(release),
        }
    }

    /// The fencing token of this holding: hand it to the resource with every write.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.held.fence
    }

    /// Whether the lock is still safe, by one atomic read and one of the clock (about 30 ns); needs no timer and no I/O.
    ///
    /// Call it before each step that must not run without the lock.
    ///
    /// # Errors
    ///
    /// [`Lost`], now and ever after.
    pub fn check(&self) -> Result<(), Lost> {
        self.held.check().map(drop)
    }

    /// How long the lock is safe if no renewal succeeds; zero if it is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        let until = self.held.check();
        until.map_or(Duration::ZERO, |until| until - self.held.clock.now())
    }

    /// Until when the lock is safe if no renewal succeeds, by the clock since boot.
    ///
    /// # Errors
    ///
    /// [`Lost`], now and ever after.
    pub fn valid_until(&self) -> Result<Tick, Lost> {
        self.held.check()
    }

    /// Waits until the lock is lost. Ends at the end of the lease at the latest, whether or not the backend answers.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn lost(&self) -> Lost {
        // A released lock has no guard any more.
        self.held.ended().await.unwrap_or(Lost::new(Loss::Expired))
    }

    /// The context for the work under the lock, which can be cloned and passed along.
    #[must_use]
    pub fn context(&self) -> LockContext {
        LockContext {
            held: self.held.clone(),
        }
    }

    /// Releases the lock and returns what was found.
    ///
    /// # Errors
    ///
    /// The release was not confirmed; it is tried again in the background until the lease is over.
    ///
    /// # Cancel safety
    ///
    /// The lock is released even if the future is dropped.
    pub async fn release(mut self) -> Result<Released, BackendError> {
        let gone = || BackendError::new(BackendErrorKind::Unanswered, "the runtime is shutting down");
        let (answer, receiver) = oneshot::channel();
        match self.release.take() {
            Some(release) => match release.send(answer) {
                Ok(()) => receiver.await.unwrap_or_else(|_| Err(gone())),
                // The task that kept the lock has ended already: the lock was lost, and released then.
                Err(_) => Ok(Released::NotHeld),
            },
            None => Err(gone()),
        }
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.context().fmt(f)
    }
}

/// The context of the work under a lock: the fencing token, and whether the lock is still safe.
///
/// It does not hold the lock, which is released with its guard.
#[derive(Clone)]
pub struct LockContext {
    held: Arc<Held>,
}

impl LockContext {
    /// The fencing token: hand it to the resource with every write.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.held.fence
    }

    /// The names of the lock.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.held.names
    }

    /// Whether the lock is still safe; see [`LockGuard::check`].
    ///
    /// # Errors
    ///
    /// [`Lost`], now and ever after; also when the lock was released.
    pub fn check(&self) -> Result<(), Lost> {
        self.held.check().map(drop)
    }

    /// Waits until the lock is lost; `None` if it was released instead.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn lost(&self) -> Option<Lost> {
        self.held.ended().await
    }
}

impl fmt::Debug for LockContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("names", &self.held.names)
            .field("fence", &self.held.fence)
            .field("phase", &*self.held.phase.borrow())
            .finish_non_exhaustive()
    }
}
