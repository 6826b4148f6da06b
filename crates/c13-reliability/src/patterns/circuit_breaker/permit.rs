//! The right to run one call, and the one place where its end is reported.

use super::shared::{Shared, Ticket};
use crate::gate;
use crate::gate::Outcome;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// The right to run one call through a breaker.
///
/// Say what came of the call with [`success`](Self::success), [`failure`](Self::failure) or [`ignore`](Self::ignore).
/// Dropped without a word it counts as abandoned, or, while the thread is panicking, as a failure; a probe's place is
/// given back either way.
#[must_use = "dropping a permit reports the call as abandoned"]
pub struct Permit<'a>(Held<&'a Shared>);

/// A [`Permit`] that owns its part of the breaker, for calls that end on another task or thread. Taking and ending one
/// costs two updates of a shared reference count.
#[must_use = "dropping a permit reports the call as abandoned"]
pub struct OwnedPermit(Held<Arc<Shared>>);

/// An admission that must end exactly once.
struct Held<S: Deref<Target = Shared>> {
    /// None once the call's end is reported.
    shared: Option<S>,
    ticket: Ticket,
}

impl<S: Deref<Target = Shared>> Held<S> {
    #[inline]
    fn end(&mut self, outcome: Outcome) {
        if let Some(shared) = self.shared.take() {
            shared.record(self.ticket, outcome);
        }
    }
}

impl<S: Deref<Target = Shared>> Drop for Held<S> {
    #[inline]
    fn drop(&mut self) {
        if self.shared.is_some() {
            let outcome = if std::thread::panicking() {
                Outcome::FAILURE
            } else {
                Outcome::Abandoned
            };
            self.end(outcome);
        }
    }
}

impl<'a> Permit<'a> {
    #[inline]
    pub(super) fn new(shared: &'a Shared, ticket: Ticket) -> Self {
        Self(Held {
            shared: Some(shared),
            ticket,
        })
    }
}

impl Permit<'_> {
    /// Says what came of the call, once; a permit that was told has nothing to say when it is dropped.
    #[inline]
    pub(crate) fn tell(&mut self, outcome: Outcome) {
        self.0.end(outcome);
    }

    /// What is left of it without its breaker; nothing is reported.
    #[inline]
    pub(super) fn suspend(mut self) -> Ticket {
        self.0.shared = None;
        self.0.ticket
    }
}

impl OwnedPermit {
    pub(super) fn new(shared: Arc<Shared>, ticket: Ticket) -> Self {
        Self(Held {
            shared: Some(shared),
            ticket,
        })
    }
}

/// The words that both permits know.
macro_rules! ends {
    ($permit:ty) => {
        impl $permit {
            /// The call did what it should.
            #[inline]
            pub fn success(mut self) {
                self.0.end(Outcome::Success);
            }

            /// The dependency failed the call.
            pub fn failure(mut self) {
                self.0.end(Outcome::FAILURE);
            }

            /// The dependency failed the call and asked to be left alone for this long: the circuit opens at once.
            ///
            /// The time is taken as it is. Where it comes from outside, cap it first.
            pub fn failure_open_for(mut self, open_for: Duration) {
                self.0.end(Outcome::Failure {
                    open_for: Some(open_for),
                });
            }

            /// The result says nothing about the dependency's health.
            pub fn ignore(mut self) {
                self.0.end(Outcome::Ignored);
            }
        }

        impl gate::Permit for $permit {
            #[inline]
            fn record(mut self, outcome: Outcome) {
                self.0.end(outcome);
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
