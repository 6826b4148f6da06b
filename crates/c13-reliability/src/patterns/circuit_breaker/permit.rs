//! The right to run one call, and the one place where its outcome is recorded.

use super::shared::{Shared, Ticket};
use crate::gate;
use crate::gate::{Cause, Outcome};
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

/// The right to run one call through a breaker.
///
/// Record the outcome of the call with [`success`](Self::success), [`failure`](Self::failure) or [`ignore`](Self::ignore). A
/// permit that is dropped without a record counts the call as abandoned, or, while the thread is panicking, as a failure. A
/// probe's permit is released either way.
#[must_use = "dropping a permit reports the call as abandoned"]
pub struct Permit<'a> {
    /// None once the outcome is recorded.
    shared: Option<&'a Shared>,
    ticket: Ticket,
}

/// A [`Permit`] that owns its part of the breaker, for calls that end on another task or thread. Taking and ending one
/// costs two updates of a shared reference count.
#[must_use = "dropping a permit reports the call as abandoned"]
pub struct OwnedPermit {
    /// None once the outcome is recorded.
    shared: Option<Arc<Shared>>,
    ticket: Ticket,
}

impl<'a> Permit<'a> {
    #[inline]
    pub(super) fn new(shared: &'a Shared, ticket: Ticket) -> Self {
        Self {
            shared: Some(shared),
            ticket,
        }
    }

    #[inline]
    fn end(self, outcome: Outcome) {
        self.record_with(outcome, Cause::default);
    }

    /// Records the outcome of the call, and the cause, which is asked for only if the call may have failed.
    #[inline]
    pub(crate) fn record_with(self, outcome: Outcome, cause: impl FnOnce() -> Cause) {
        // It owns nothing, and a permit that is never dropped can stay in registers.
        let mut permit = ManuallyDrop::new(self);
        if let Some(shared) = permit.shared.take() {
            shared.record(permit.ticket, outcome, cause);
        }
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(shared) = self.shared {
            end_unrecorded(shared, self.ticket);
        }
    }
}

impl Permit<'_> {
    /// The ticket without its breaker; nothing is recorded.
    #[inline]
    pub(super) fn suspend(self) -> Ticket {
        ManuallyDrop::new(self).ticket
    }
}

impl OwnedPermit {
    pub(super) fn new(shared: Arc<Shared>, ticket: Ticket) -> Self {
        Self {
            shared: Some(shared),
            ticket,
        }
    }

    fn end(mut self, outcome: Outcome) {
        if let Some(shared) = self.shared.take() {
            shared.record(self.ticket, outcome, Cause::default);
        }
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            end_unrecorded(&shared, self.ticket);
        }
    }
}

#[cold]
fn end_unrecorded(shared: &Shared, ticket: Ticket) {
    let (outcome, cause) = if std::thread::panicking() {
        (Outcome::FAILURE, Cause::Panicked)
    } else {
        (Outcome::of_dropped(), Cause::Unknown)
    };
    shared.record(ticket, outcome, || cause);
}

/// The methods that both permits have.
macro_rules! ends {
    ($permit:ty) => {
        impl $permit {
            /// The call did what it should.
            #[inline]
            pub fn success(self) {
                self.end(Outcome::Success);
            }

            /// The dependency failed the call.
            pub fn failure(self) {
                self.end(Outcome::FAILURE);
            }

            /// The dependency failed the call and asked to be left alone for this long: the circuit opens at once.
            ///
            /// The time is taken as it is. Where it comes from outside, cap it first.
            pub fn failure_open_for(self, open_for: Duration) {
                self.end(Outcome::Failure {
                    open_for: Some(open_for),
                });
            }

            /// The result says nothing about the dependency's health.
            pub fn ignore(self) {
                self.end(Outcome::Ignored);
            }
        }

        impl gate::Permit for $permit {
            #[inline]
            fn record(self, outcome: Outcome) {
                self.end(outcome);
            }
        }

        impl fmt::Debug for $permit {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($permit)).finish_non_exhaustive()
            }
        }
    };
}

ends!(Permit<'_>);
ends!(OwnedPermit);
