//! A part of an adaptive limit with a guaranteed share.

use super::shared::SharedLimit;
use super::{AdaptiveRejected, OwnedPermit, Permit};
use crate::gate::{Admittance, Gate, NeverWaits, OwnedGate, Refusal};
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;

/// A part of an adaptive limit with a guaranteed share; made by [`AdaptiveLimit::partition`](super::AdaptiveLimit::partition).
///
/// It never waits: a call is admitted at once or refused. Run calls through it with [`gate::call`](crate::gate::call).
#[derive(Clone)]
pub struct Partition {
    shared: Arc<SharedLimit>,
    index: usize,
}

impl Partition {
    pub(super) fn new(shared: Arc<SharedLimit>, index: usize) -> Self {
        Self { shared, index }
    }

    /// How many of its calls run.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.shared.with_shares(|shares| shares.busy(self.index)).unwrap_or(0)
    }

    /// How many of its calls are guaranteed a permit now.
    #[must_use]
    pub fn guaranteed(&self) -> u32 {
        let limit = self.shared.semaphore.limit();
        let guaranteed = self.shared.with_shares(|shares| shares.guaranteed(self.index, limit));
        guaranteed.unwrap_or(0)
    }
}

impl Gate for Partition {
    type Permit<'a> = Permit<'a>;
    type Rejection = AdaptiveRejected;

    fn try_admit(&self) -> Result<Permit<'_>, AdaptiveRejected> {
        let permit = self.shared.acquire_for_part(self.index)?;
        Ok(Permit::new(&self.shared, permit, Some(self.index)))
    }

    async fn admit(&self) -> Result<Permit<'_>, AdaptiveRejected> {
        self.try_admit()
    }
}

impl OwnedGate for Partition {
    type OwnedPermit = OwnedPermit;
    type Admission = Ready<Result<OwnedPermit, AdaptiveRejected>>;
    type Waiting = NeverWaits;
    type Error<E> = Refusal<AdaptiveRejected, E>;

    fn admit_owned(&self) -> Self::Admission {
        ready(OwnedPermit::of_part(&self.shared, self.index))
    }

    fn ask(&self) -> Admittance<OwnedPermit, AdaptiveRejected, Self::Admission> {
        OwnedPermit::of_part(&self.shared, self.index).into()
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partition")
            .field("in_flight", &self.in_flight())
            .field("guaranteed", &self.guaranteed())
            .finish_non_exhaustive()
    }
}
