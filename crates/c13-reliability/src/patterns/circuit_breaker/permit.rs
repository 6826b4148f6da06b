//! The right to run one call, and the one place where its end is reported.

use super::shared::{Shared, Ticket};
use crate::gate;
use crate::gate::Outcome;
use std::fmt;
use std::time::Duration;

/// The right to run one call through a breaker.
///
/// Say what came of the call with [`success`](Self::success), [`failure`](Self::failure) or [`ignore`](Self::ignore).
/// Dropped without a word it counts as abandoned, or, while the thread is panicking, as a failure; a probe's place is
/// given back either way.
#[must_use = "dropping a permit reports the call as abandoned"]
pub struct Permit<'a> {
    /// None once the call's end is reported.
    shared: Option<&'a Shared>,
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
    pub fn failure_open_for(self, open_for: Duration) {
        self.end(Outcome::Failure {
            open_for: Some(open_for),
        });
    }

    /// The result says nothing about the dependency's health.
    pub fn ignore(self) {
        self.end(Outcome::Ignored);
    }

    #[inline]
    fn end(mut self, outcome: Outcome) {
        if let Some(shared) = self.shared.take() {
            shared.record(self.ticket, outcome);
        }
    }
}

impl gate::Permit for Permit<'_> {
    #[inline]
    fn record(self, outcome: Outcome) {
        self.end(outcome);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            let outcome = if std::thread::panicking() {
                Outcome::FAILURE
            } else {
                Outcome::Abandoned
            };
            shared.record(self.ticket, outcome);
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
