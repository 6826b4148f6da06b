//! What a gate is: it admits a call or refuses it, and hands out a permit.

use super::{Outcome, Refusal};
use std::future::Future;

/// Decides whether a call may run.
pub trait Gate: Send + Sync {
    /// The right to run one call.
    type Permit<'a>: Permit + Send
    where
        Self: 'a;
    /// Why a call may not run, and when to try again.
    type Rejection: Send;

    /// Admits a call at once or refuses it. Never waits.
    ///
    /// # Errors
    ///
    /// Why the call may not run.
    fn try_admit(&self) -> Result<Self::Permit<'_>, Self::Rejection>;

    /// As [`try_admit`](Gate::try_admit), for a caller that goes on to [`admit`](Gate::admit) if it is not admitted at once.
    /// A gate that counts refusals does not count this one, since the call is not refused yet.
    #[inline]
    fn try_admit_uncounted(&self) -> Option<Self::Permit<'_>> {
        self.try_admit().ok()
    }

    /// Admits a call, and may wait for its turn as long as the gate's settings say.
    ///
    /// # Errors
    ///
    /// Why the call may not run.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives back whatever it held: a position in the queue, or a permit that was not taken.
    fn admit(&self) -> impl Future<Output = Result<Self::Permit<'_>, Self::Rejection>> + Send;
}

/// A gate whose permits can be held apart from it, as tasks of their own and tower layers need.
///
/// Such a permit shares ownership of the gate, which costs an atomic addition each way.
pub trait OwnedGate: Gate + Clone {
    /// The right to run one call.
    type OwnedPermit: Permit + Send;
    /// The admission of one call, as a future. Dropping it gives back whatever it holds.
    type Admission: Future<Output = Result<Self::OwnedPermit, Self::Rejection>> + Send;
    /// Whether [`ask`](OwnedGate::ask) may let a call wait: [`MayWait`] or [`NeverWaits`].
    type Waiting;
    /// What a service behind the gate fails with, for a service whose own error is `E`.
    type Error<E>: From<Refusal<Self::Rejection, E>>;

    /// Admits a call, and may wait for its turn as long as the gate's settings say.
    fn admit_owned(&self) -> Self::Admission;

    /// Decides about a call at once, as far as it can be decided without waiting.
    fn ask(&self) -> Admittance<Self::OwnedPermit, Self::Rejection, Self::Admission>;

    /// Whether the gate refuses all calls now, so that a caller need not wait until a service behind it is ready.
    fn refuses_all(&self) -> bool {
        false
    }

    /// Refuses a call whose service is not ready, because the gate [refused all](OwnedGate::refuses_all) when it was asked
    /// whether the service is; `None` from a gate that never does.
    fn refuse_unready(&self) -> Option<Self::Rejection> {
        None
    }

    /// Records that the service behind the gate failed to become ready.
    fn record_unready(&self) {}
}

/// A gate's answer to a call.
#[derive(Debug)]
pub enum Admittance<P, R, A> {
    /// The call may run, under this permit.
    Admitted(P),
    /// The call may not run.
    Refused(R),
    /// The call has to wait.
    Waits(A),
}

impl<P, R, A> From<Result<P, R>> for Admittance<P, R, A> {
    fn from(result: Result<P, R>) -> Self {
        match result {
            Ok(permit) => Self::Admitted(permit),
            Err(rejection) => Self::Refused(rejection),
        }
    }
}

/// Marks a gate that may let calls wait. A service behind it has to be `Clone`: a call that waits takes the service with it
/// that was polled ready.
#[derive(Clone, Copy, Debug)]
pub struct MayWait;

/// Marks a gate that admits a call at once or refuses it.
#[derive(Clone, Copy, Debug)]
pub struct NeverWaits;

/// The right to run one call.
///
/// Dropping it without a record means that the call was abandoned, or, if the thread is panicking, that it failed.
pub trait Permit: Sized {
    /// Records the outcome of the call.
    fn record(self, outcome: Outcome);
}
