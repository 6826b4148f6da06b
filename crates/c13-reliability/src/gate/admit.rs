//! What a gate is: it admits a call or refuses it, and hands out a permit.

use super::Outcome;
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

    /// As [`try_admit`](Gate::try_admit), for a caller that goes on to [`admit`](Gate::admit) where there is nothing at once.
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
    /// Dropping the future gives back whatever it held: a place in the queue, or a permit nobody took.
    fn admit(&self) -> impl Future<Output = Result<Self::Permit<'_>, Self::Rejection>> + Send;
}

/// A gate whose permits can be held apart from it, as tasks of their own and tower layers need.
///
/// Such a permit shares ownership of the gate, which costs an atomic addition each way.
pub trait OwnedGate: Gate + Clone {
    /// The right to run one call.
    type OwnedPermit: Permit + Send;
    /// A call that comes in, as a future. Dropping it gives back whatever it holds.
    type Admission: Future<Output = Result<Self::OwnedPermit, Self::Rejection>> + Send;

    /// Admits a call, and may wait for its turn as long as the gate's settings say.
    fn admit_owned(&self) -> Self::Admission;
}

/// The right to run one call.
///
/// Dropping it without a word means that the call was abandoned, or, if the thread is panicking, that it failed.
pub trait Permit: Sized {
    /// Says what came of the call.
    fn record(self, outcome: Outcome);
}
