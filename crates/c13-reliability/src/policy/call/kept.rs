//! The permits of a call that outlive it, because its value is used up later: a response whose body is still to come.

use crate::gate::{self, Outcome, Permit as _, Suspend};
use crate::patterns::adaptive::AdaptiveLimit;
use crate::patterns::bulkhead::Bulkhead;
use crate::patterns::circuit_breaker::CircuitBreaker;
use std::fmt;
use std::mem;

/// The permits of a call that gave its value and goes on: those of the bulkhead or of the adaptive limit, and that of the
/// circuit breaker, if the value was a success so far.
///
/// [`record`](gate::Permit::record) the outcome when the value is used up. Dropped without a record, it counts the call as
/// abandoned, or, while the thread is panicking, as failed. All permits are released either way.
#[must_use = "dropping it counts the call as abandoned"]
#[derive(Default)]
pub struct CallPermit {
    breaker: Option<(CircuitBreaker, <CircuitBreaker as Suspend>::Ticket)>,
    bulkhead: Option<Bulkhead>,
    adaptive: Option<(AdaptiveLimit, <AdaptiveLimit as Suspend>::Ticket)>,
}

impl CallPermit {
    /// Holds the permit of an attempt that succeeded so far.
    pub(super) fn keep_breaker(&mut self, breaker: &CircuitBreaker, ticket: <CircuitBreaker as Suspend>::Ticket) {
        // An attempt before it, whose success was worth another attempt.
        self.end_breaker(Outcome::Success);
        self.breaker = Some((breaker.clone(), ticket));
    }

    pub(super) fn keep_bulkhead(&mut self, bulkhead: &Bulkhead) {
        self.bulkhead = Some(bulkhead.clone());
    }

    pub(super) fn keep_adaptive(&mut self, limit: &AdaptiveLimit, ticket: <AdaptiveLimit as Suspend>::Ticket) {
        self.adaptive = Some((limit.clone(), ticket));
    }

    /// Whether the call is a probe of a circuit that is half-open.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        let breaker = self.breaker.as_ref();
        breaker.is_some_and(|(_, ticket)| ticket.is_probe())
    }

    /// Reports the outcome to the circuit breaker alone, once; all other permits are held on.
    ///
    /// For a [probe](Self::is_probe) whose value takes long to use up: the circuit would wait for its outcome, and count the
    /// probe as failed.
    pub fn settle(&mut self, outcome: Outcome) {
        self.end_breaker(outcome);
    }

    fn end_breaker(&mut self, outcome: Outcome) {
        if let Some((breaker, ticket)) = self.breaker.take() {
            breaker.resume(ticket).record(outcome);
        }
    }

    fn end(&mut self, outcome: Outcome) {
        self.end_breaker(outcome);
        if let Some(bulkhead) = self.bulkhead.take() {
            drop(bulkhead.resume(Default::default()));
        }
        if let Some((limit, ticket)) = self.adaptive.take() {
            limit.resume(ticket).record(outcome);
        }
    }

    /// What is held here. Nothing is held here any more.
    pub(super) fn take(&mut self) -> Self {
        mem::take(self)
    }
}

impl gate::Permit for CallPermit {
    fn record(mut self, outcome: Outcome) {
        self.end(outcome);
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        self.end(if std::thread::panicking() {
            Outcome::FAILURE
        } else {
            Outcome::of_dropped()
        });
    }
}

impl fmt::Debug for CallPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallPermit").finish_non_exhaustive()
    }
}
