//! The right to run one call in a bulkhead.

use super::error::BulkheadRejected;
use crate::gate::semaphore::{self, Semaphore, SemaphorePermit};
use crate::gate::{self, Outcome};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The right to run one call in a bulkhead. Dropping it releases it, to the first waiter if there is one.
#[must_use = "a permit that is dropped is released"]
pub struct Permit<'a> {
    permit: SemaphorePermit<&'a Semaphore>,
}

impl<'a> Permit<'a> {
    pub(super) fn new(permit: SemaphorePermit<&'a Semaphore>) -> Self {
        Self { permit }
    }

    /// Makes a ticket of it. The permit is not released until a permit is made of the ticket again.
    #[inline]
    pub(super) fn suspend(self) -> BulkheadTicket {
        self.permit.keep();
        BulkheadTicket
    }
}

/// The ticket of a permit of the bulkhead. All of them are alike.
#[derive(Default)]
pub(crate) struct BulkheadTicket;

impl gate::Permit for Permit<'_> {
    /// The permit is released whatever the outcome.
    #[inline]
    fn record(self, _outcome: Outcome) {
        drop(self.permit);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// A [`Permit`] that owns a share of its bulkhead, so that it can move with the call.
#[must_use = "a permit that is dropped is released"]
pub struct OwnedPermit {
    permit: SemaphorePermit<Arc<Semaphore>>,
}

impl OwnedPermit {
    pub(super) fn new(permit: SemaphorePermit<Arc<Semaphore>>) -> Self {
        Self { permit }
    }
}

impl gate::Permit for OwnedPermit {
    /// The permit is released whatever the outcome.
    fn record(self, _outcome: Outcome) {
        drop(self.permit);
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").finish_non_exhaustive()
    }
}

pin_project! {
    /// Acquires a permit of a bulkhead; made by [`OwnedGate::admit_owned`](gate::OwnedGate::admit_owned).
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the queue.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Admission {
        #[pin]
        admission: semaphore::Acquire<Arc<Semaphore>>,
    }
}

impl Admission {
    pub(super) fn new(semaphore: &Arc<Semaphore>) -> Self {
        Self {
            admission: Semaphore::acquire(semaphore.clone()),
        }
    }
}

impl Future for Admission {
    type Output = Result<OwnedPermit, BulkheadRejected>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let admitted = self.project().admission.poll(cx);
        admitted.map_ok(OwnedPermit::new).map_err(BulkheadRejected::from)
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}
