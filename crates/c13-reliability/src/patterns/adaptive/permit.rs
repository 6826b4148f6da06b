//! The right to run one call within an adaptive limit.

use super::error::AdaptiveRejected;
use super::shared::{PlacesOf, Shared};
use super::state::{Ended, Sample};
use crate::gate::places::{self, Place, Places};
use crate::gate::{self, Outcome};
use crate::time::Tick;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A call that runs: a place, and when it began. Dropping it untold takes the call for abandoned.
struct Ticket<H>
where
    H: Deref<Target = Shared>,
{
    shared: H,
    part: Option<usize>,
    began: Tick,
    in_flight: u32,
    told: bool,
}

impl<H> Ticket<H>
where
    H: Deref<Target = Shared>,
{
    /// Takes over `place`, which is one of `shared`'s.
    fn new<P>(shared: H, place: Place<P>, part: Option<usize>) -> Self
    where
        P: Deref<Target = Places>,
    {
        place.keep();
        Self {
            part,
            began: shared.now(),
            in_flight: shared.places.in_flight(),
            told: false,
            shared,
        }
    }

    fn record(mut self, outcome: Outcome) {
        let ended = match outcome {
            Outcome::Success => Ended::Succeeded,
            Outcome::Failure { .. } => Ended::Dropped,
            Outcome::Ignored => Ended::Ignored,
            Outcome::Abandoned => self.abandoned(),
        };
        self.end(ended);
    }

    fn end(&mut self, ended: Ended) {
        self.told = true;
        // The place first: whoever waits for it need not wait for the measuring.
        if let Some(part) = self.part {
            self.shared.leave_part(part);
        }
        self.shared.places.leave();
        self.shared.record(Sample {
            began: self.began,
            in_flight: self.in_flight,
            ended,
        });
    }

    /// An abandoned call says nothing, unless it had run for so long that it counts as dropped anyway.
    fn abandoned(&self) -> Ended {
        if self.shared.is_overdue(self.began) {
            Ended::Dropped
        } else {
            Ended::Ignored
        }
    }
}

/// A permit that was put aside: all of it but the limit that it is of.
pub(crate) struct Suspended {
    part: Option<usize>,
    began: Tick,
    in_flight: u32,
}

impl<H> Drop for Ticket<H>
where
    H: Deref<Target = Shared>,
{
    fn drop(&mut self) {
        if !self.told {
            // Neither a panic nor a loser of a hedge says anything about the dependency's load.
            let nothing_is_said = std::thread::panicking() || Outcome::of_dropped() == Outcome::Ignored;
            let ended = if nothing_is_said {
                Ended::Ignored
            } else {
                self.abandoned()
            };
            self.end(ended);
        }
    }
}

/// The right to run one call within an adaptive limit.
///
/// Dropping it gives the place back and takes the call for abandoned.
#[must_use = "a permit that is dropped gives its place back"]
pub struct Permit<'a> {
    ticket: Ticket<&'a Shared>,
}

impl<'a> Permit<'a> {
    pub(super) fn new(shared: &'a Shared, place: Place<&'a Places>, part: Option<usize>) -> Self {
        Self {
            ticket: Ticket::new(shared, place, part),
        }
    }

    /// When it was given.
    pub(crate) fn began(&self) -> Tick {
        self.ticket.began
    }

    /// Nothing is told, and the place stays taken.
    pub(super) fn suspend(mut self) -> Suspended {
        self.ticket.told = true;
        Suspended {
            part: self.ticket.part,
            began: self.ticket.began,
            in_flight: self.ticket.in_flight,
        }
    }

    pub(super) fn resume(shared: &'a Shared, suspended: Suspended) -> Self {
        let Suspended { part, began, in_flight } = suspended;
        let ticket = Ticket {
            shared,
            part,
            began,
            in_flight,
            told: false,
        };
        Self { ticket }
    }
}

impl gate::Permit for Permit<'_> {
    fn record(self, outcome: Outcome) {
        self.ticket.record(outcome);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// A [`Permit`] that owns a share of its limit, so that it can go wherever the call goes.
#[must_use = "a permit that is dropped gives its place back"]
pub struct OwnedPermit {
    ticket: Ticket<Arc<Shared>>,
}

impl gate::Permit for OwnedPermit {
    fn record(self, outcome: Outcome) {
        self.ticket.record(outcome);
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").finish_non_exhaustive()
    }
}

pin_project! {
    /// A call that comes in, as a future; made by [`OwnedGate::admit_owned`](gate::OwnedGate::admit_owned).
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives up its place in line.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Admission {
        shared: Arc<Shared>,
        #[pin]
        admission: places::Admission<PlacesOf>,
    }
}

impl Admission {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: shared.clone(),
            admission: Places::admission(PlacesOf::new(shared)),
        }
    }
}

impl Future for Admission {
    type Output = Result<OwnedPermit, AdaptiveRejected>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let admitted = this.admission.poll(cx);
        admitted
            .map_ok(|place| OwnedPermit {
                ticket: Ticket::new(this.shared.clone(), place, None),
            })
            .map_err(AdaptiveRejected::from)
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

impl OwnedPermit {
    /// Takes a permit if one is available; counts no refusal.
    pub(super) fn enter(shared: &Arc<Shared>) -> Option<Self> {
        let place = Places::enter(PlacesOf::new(shared))?;
        Some(Self {
            ticket: Ticket::new(shared.clone(), place, None),
        })
    }

    /// For a call of a partition, which never waits.
    pub(super) fn of_part(shared: &Arc<Shared>, part: usize) -> Result<Self, AdaptiveRejected> {
        let place = shared.enter_part(part)?;
        Ok(Self {
            ticket: Ticket::new(shared.clone(), place, Some(part)),
        })
    }
}
