//! The right to run one call within an adaptive limit.

use super::error::AdaptiveRejected;
use super::shared::{SemaphoreOf, SharedLimit};
use super::state::{Ended, Sample};
use crate::gate::semaphore::{self, Semaphore, SemaphorePermit};
use crate::gate::{self, Outcome};
use crate::time::Tick;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A call that runs: its permit of the semaphore, and when it began. Dropped without a record, it counts the call as
/// abandoned.
struct RunningCall<H>
where
    H: Deref<Target = SharedLimit>,
{
    shared: H,
    part: Option<usize>,
    began: Tick,
    in_flight: u32,
    recorded: bool,
}

impl<H> RunningCall<H>
where
    H: Deref<Target = SharedLimit>,
{
    /// Takes over `permit`, which is one of `shared`'s.
    fn new<P>(shared: H, permit: SemaphorePermit<P>, part: Option<usize>) -> Self
    where
        P: Deref<Target = Semaphore>,
    {
        permit.keep();
        Self {
            part,
            began: shared.now(),
            in_flight: shared.semaphore.in_flight(),
            recorded: false,
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
        self.recorded = true;
        // The permit first, so that a waiter need not wait until the call is measured.
        if let Some(part) = self.part {
            self.shared.release_for_part(part);
        }
        self.shared.semaphore.release();
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

/// The ticket of a permit of the adaptive limit: all of it but the limit.
pub(crate) struct AdaptiveTicket {
    part: Option<usize>,
    began: Tick,
    in_flight: u32,
}

impl<H> Drop for RunningCall<H>
where
    H: Deref<Target = SharedLimit>,
{
    fn drop(&mut self) {
        if !self.recorded {
            // Neither a panic nor a loser of a hedge says anything about the load of the dependency.
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
/// Dropping it releases it and counts the call as abandoned.
#[must_use = "a permit that is dropped is released"]
pub struct Permit<'a> {
    running: RunningCall<&'a SharedLimit>,
}

impl<'a> Permit<'a> {
    pub(super) fn new(shared: &'a SharedLimit, permit: SemaphorePermit<&'a Semaphore>, part: Option<usize>) -> Self {
        Self {
            running: RunningCall::new(shared, permit, part),
        }
    }

    /// When it was acquired.
    pub(crate) fn began(&self) -> Tick {
        self.running.began
    }

    /// Makes a ticket of it. Nothing is recorded, and the permit is not released.
    pub(super) fn suspend(mut self) -> AdaptiveTicket {
        self.running.recorded = true;
        AdaptiveTicket {
            part: self.running.part,
            began: self.running.began,
            in_flight: self.running.in_flight,
        }
    }

    pub(super) fn resume(shared: &'a SharedLimit, ticket: AdaptiveTicket) -> Self {
        let AdaptiveTicket { part, began, in_flight } = ticket;
        let running = RunningCall {
            shared,
            part,
            began,
            in_flight,
            recorded: false,
        };
        Self { running }
    }
}

impl gate::Permit for Permit<'_> {
    fn record(self, outcome: Outcome) {
        self.running.record(outcome);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// A [`Permit`] that owns a share of its limit, so that it can move with the call.
#[must_use = "a permit that is dropped is released"]
pub struct OwnedPermit {
    running: RunningCall<Arc<SharedLimit>>,
}

impl gate::Permit for OwnedPermit {
    fn record(self, outcome: Outcome) {
        self.running.record(outcome);
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").finish_non_exhaustive()
    }
}

pin_project! {
    /// Acquires a permit; made by [`OwnedGate::admit_owned`](gate::OwnedGate::admit_owned).
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the queue.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Admission {
        shared: Arc<SharedLimit>,
        #[pin]
        admission: semaphore::Acquire<SemaphoreOf>,
    }
}

impl Admission {
    pub(super) fn new(shared: &Arc<SharedLimit>) -> Self {
        Self {
            shared: shared.clone(),
            admission: Semaphore::acquire(SemaphoreOf::new(shared)),
        }
    }
}

impl Future for Admission {
    type Output = Result<OwnedPermit, AdaptiveRejected>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let admitted = this.admission.poll(cx);
        admitted
            .map_ok(|permit| OwnedPermit {
                running: RunningCall::new(this.shared.clone(), permit, None),
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
    pub(super) fn try_acquire(shared: &Arc<SharedLimit>) -> Option<Self> {
        let permit = Semaphore::try_acquire_uncounted(SemaphoreOf::new(shared))?;
        Some(Self {
            running: RunningCall::new(shared.clone(), permit, None),
        })
    }

    /// For a call of a partition, which never waits.
    pub(super) fn of_part(shared: &Arc<SharedLimit>, part: usize) -> Result<Self, AdaptiveRejected> {
        let permit = shared.acquire_for_part(part)?;
        Ok(Self {
            running: RunningCall::new(shared.clone(), permit, Some(part)),
        })
    }
}
