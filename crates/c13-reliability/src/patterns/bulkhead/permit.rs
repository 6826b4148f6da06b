//! The right to run one call in a bulkhead.

use super::error::BulkheadRejected;
use crate::gate::places::{self, Place, Places};
use crate::gate::{self, Outcome};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The right to run one call in a bulkhead. Dropping it gives the place back, to the first in line if anybody is.
#[must_use = "a permit that is dropped gives its place back"]
pub struct Permit<'a> {
    place: Place<&'a Places>,
}

impl<'a> Permit<'a> {
    pub(super) fn new(place: Place<&'a Places>) -> Self {
        Self { place }
    }

    /// Leaves it to the caller to give the place back, with a permit that is made for it again.
    #[inline]
    pub(super) fn suspend(self) -> Suspended {
        self.place.keep();
        Suspended
    }
}

/// A permit that was put aside: its place is one like any other.
#[derive(Default)]
pub(crate) struct Suspended;

impl gate::Permit for Permit<'_> {
    /// A place is given back whatever came of the call.
    #[inline]
    fn record(self, _outcome: Outcome) {
        drop(self.place);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// A [`Permit`] that owns a share of its bulkhead, so that it can go wherever the call goes.
#[must_use = "a permit that is dropped gives its place back"]
pub struct OwnedPermit {
    place: Place<Arc<Places>>,
}

impl OwnedPermit {
    pub(super) fn new(place: Place<Arc<Places>>) -> Self {
        Self { place }
    }
}

impl gate::Permit for OwnedPermit {
    /// A place is given back whatever came of the call.
    fn record(self, _outcome: Outcome) {
        drop(self.place);
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").finish_non_exhaustive()
    }
}

pin_project! {
    /// A call that comes into a bulkhead, as a future; made by [`OwnedGate::admit_owned`](gate::OwnedGate::admit_owned).
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives up its place in line.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Admission {
        #[pin]
        admission: places::Admission<Arc<Places>>,
    }
}

impl Admission {
    pub(super) fn new(places: &Arc<Places>) -> Self {
        Self {
            admission: Places::admission(places.clone()),
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
