//! What a call has taken from the layers of its policy, and how it is given back.

use super::kept::CallPermit;
use crate::gate::{Cause, Outcome, Permit as _, Suspend};
use crate::patterns::adaptive::{self, AdaptiveLimit};
use crate::patterns::bulkhead::{self, Bulkhead};
use crate::patterns::circuit_breaker::{self, CircuitBreaker};
use crate::policy::parts::Parts;
use crate::sync::primitive::Mutex;
use std::mem;
use std::ops::Deref;

/// What a call, or one of its attempts, has taken from the layers.
///
/// It lies on the stack while the call is polled, and is a [`Suspended`] between two polls. Either gives everything
/// back when it is dropped. The difference is what the breaker counts: this one is dropped by a panic of the call, so
/// the attempt has failed, no matter who catches the panic later.
///
/// On the slow path the call's own `Held` lives in the future between two polls too. It never has the breaker's permit
/// then: each attempt holds that in a [`Suspended`] of its own.
///
/// `P` is a reference to the parts, or, while the first attempt waits, what keeps them alive.
pub(super) struct Held<P>
where
    P: Deref<Target = Parts>,
{
    pub(super) parts: P,
    tickets: Tickets,
}

/// What was taken, without a reference to the layers. To be given back it must be made a [`Held`] of the same parts again.
///
/// Plain numbers, so that the fast path keeps them in registers.
#[must_use = "what was taken must be given back"]
#[derive(Default)]
pub(super) struct Tickets {
    /// What is held: the bits below.
    taken: u8,
    /// The breaker's permit. It means something only with [`BREAKER`].
    breaker: <CircuitBreaker as Suspend>::Ticket,
    /// The adaptive limit's permit, with [`ADAPTIVE`].
    adaptive: Option<<AdaptiveLimit as Suspend>::Ticket>,
}

/// A permit of the bulkhead. All of them are alike, so no ticket is kept.
const BULKHEAD: u8 = 1;
/// A permit of the adaptive limit.
const ADAPTIVE: u8 = 2;
/// A permit of the circuit breaker, for the attempt that runs.
const BREAKER: u8 = 4;
/// Retry must count the end of the call.
const RETRY: u8 = 8;
/// Retry has counted the beginning of the call too.
const RETRY_BEGUN: u8 = 16;

impl Tickets {
    /// Whether retry must count the end of the call.
    pub(super) fn has_retry(&self) -> bool {
        self.taken & RETRY != 0
    }
}

impl<P> Held<P>
where
    P: Deref<Target = Parts>,
{
    /// Holds `tickets` of `parts`.
    #[inline(always)]
    pub(super) fn new(parts: P, tickets: Tickets) -> Self {
        Self { parts, tickets }
    }

    /// Holds nothing yet.
    #[inline(always)]
    pub(super) fn nothing(parts: P) -> Self {
        Self::new(parts, Tickets::default())
    }

    /// Everything that is held. Nothing is held here any more.
    #[inline(always)]
    pub(super) fn take_tickets(&mut self) -> Tickets {
        mem::take(&mut self.tickets)
    }

    #[inline(always)]
    pub(super) fn hold_bulkhead(&mut self, permit: bulkhead::Permit<'_>) {
        let _all_are_alike = Bulkhead::suspend(permit);
        self.tickets.taken |= BULKHEAD;
    }

    #[inline(always)]
    pub(super) fn hold_adaptive(&mut self, permit: adaptive::Permit<'_>) {
        self.tickets.adaptive = Some(AdaptiveLimit::suspend(permit));
        self.tickets.taken |= ADAPTIVE;
    }

    #[inline(always)]
    pub(super) fn hold_breaker(&mut self, permit: circuit_breaker::Permit<'_>) {
        self.tickets.breaker = CircuitBreaker::suspend(permit);
        self.tickets.taken |= BREAKER;
    }

    /// Retry must count the end of the call from now on.
    #[inline(always)]
    pub(super) fn hold_retry(&mut self) {
        self.tickets.taken |= RETRY;
    }

    /// Retry has counted the beginning of the call.
    #[inline(always)]
    pub(super) fn hold_begun_retry(&mut self) {
        self.tickets.taken |= RETRY | RETRY_BEGUN;
    }

    #[inline(always)]
    pub(super) fn has_adaptive(&self) -> bool {
        self.tickets.taken & ADAPTIVE != 0
    }

    /// Reports the outcome of the attempt to the circuit breaker, whose permit ends with that, and the cause of a failure.
    #[inline(always)]
    pub(super) fn record(&mut self, outcome: Outcome, cause: impl FnOnce() -> Cause) {
        if self.take(BREAKER)
            && let Some(breaker) = &self.parts.circuit_breaker
        {
            breaker.resume(self.tickets.breaker).record_with(outcome, cause);
        }
    }

    /// Gives the permit of the bulkhead back.
    #[inline(always)]
    pub(super) fn release_bulkhead(&mut self) {
        if self.take(BULKHEAD)
            && let Some(bulkhead) = &self.parts.bulkhead
        {
            drop(bulkhead.resume(Default::default()));
        }
    }

    /// Whether retry had to count the end of the call. The caller counts it now.
    #[inline(always)]
    pub(super) fn take_retry(&mut self) -> bool {
        self.take(RETRY | RETRY_BEGUN)
    }

    /// Ends a call that got its value on the fast path, where the adaptive limit has nothing to learn.
    #[inline(always)]
    pub(super) fn end_at_once(&mut self) {
        self.release_bulkhead();
        let has_begun = self.tickets.taken & RETRY_BEGUN != 0;
        if self.take_retry()
            && let Some(retry) = &self.parts.retry
        {
            retry.at_once(has_begun);
        }
        // It is zero already. Writing it lets the compiler leave out the comparison in `Drop`.
        self.tickets.taken = 0;
    }

    /// Whether any of `what` was held. It is not held any more.
    #[inline(always)]
    fn take(&mut self, what: u8) -> bool {
        let held = self.tickets.taken & what != 0;
        self.tickets.taken &= !what;
        held
    }
}

impl<'a> Held<&'a Parts> {
    /// Moves the permit of the circuit breaker into `kept`, where it outlives the attempt.
    #[inline(never)]
    pub(super) fn keep_breaker(&mut self, kept: &Mutex<CallPermit>) {
        if self.take(BREAKER)
            && let Some(breaker) = &self.parts.circuit_breaker
        {
            kept.lock().keep_breaker(breaker, self.tickets.breaker);
        }
    }

    /// Moves the permit of the bulkhead into `kept`, where it outlives the call.
    pub(super) fn keep_bulkhead(&mut self, kept: &Mutex<CallPermit>) {
        if self.take(BULKHEAD)
            && let Some(bulkhead) = &self.parts.bulkhead
        {
            kept.lock().keep_bulkhead(bulkhead);
        }
    }

    /// Moves the permit of the adaptive limit into `kept`, where it outlives the call.
    pub(super) fn keep_adaptive(&mut self, kept: &Mutex<CallPermit>) {
        if self.take(ADAPTIVE)
            && let (Some(limit), Some(ticket)) = (&self.parts.adaptive, self.tickets.adaptive.take())
        {
            kept.lock().keep_adaptive(limit, ticket);
        }
    }

    /// Gives the permit of the bulkhead or of the adaptive limit back. Only the adaptive limit learns from the outcome.
    pub(super) fn release(&mut self, outcome: Outcome) {
        self.release_bulkhead();
        if let Some(permit) = self.take_adaptive() {
            permit.record(outcome);
        }
    }

    /// Takes the permit of the adaptive limit, which learns from the outcome that the permit is given.
    pub(super) fn take_adaptive(&mut self) -> Option<adaptive::Permit<'a>> {
        if !self.take(ADAPTIVE) {
            return None;
        }
        let (limit, ticket) = (self.parts.adaptive.as_ref()?, self.tickets.adaptive.take()?);
        Some(limit.resume(ticket))
    }
}

// As little as possible, so that it is inlined wherever a panic may come from.
impl<P> Drop for Held<P>
where
    P: Deref<Target = Parts>,
{
    #[inline(always)]
    fn drop(&mut self) {
        if self.tickets.taken != 0 {
            give_back(&self.parts, mem::take(&mut self.tickets));
        }
    }
}

/// Gives back everything, for a call that did not come to its end.
#[cold]
#[inline(never)]
fn give_back(parts: &Parts, tickets: Tickets) {
    let Tickets {
        taken,
        breaker,
        adaptive,
    } = tickets;
    if taken & BREAKER != 0
        && let Some(circuit_breaker) = &parts.circuit_breaker
    {
        drop(circuit_breaker.resume(breaker));
    }
    if taken & BULKHEAD != 0
        && let Some(bulkhead) = &parts.bulkhead
    {
        drop(bulkhead.resume(Default::default()));
    }
    if let Some(ticket) = adaptive
        && let Some(limit) = &parts.adaptive
    {
        drop(limit.resume(ticket));
    }
    if taken & RETRY != 0
        && let Some(retry) = &parts.retry
    {
        retry.leave(taken & RETRY_BEGUN != 0);
    }
}

/// What a call, or one of its attempts, holds between two polls. If it is dropped then, the attempt counts as
/// abandoned, and everything is given back.
pub(super) struct Suspended<P>(Held<P>)
where
    P: Deref<Target = Parts>;

impl<P> Suspended<P>
where
    P: Deref<Target = Parts>,
{
    pub(super) fn new(parts: P, tickets: Tickets) -> Self {
        Self(Held::new(parts, tickets))
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.0.parts
    }

    /// What is held, for the time of a poll. Nothing is held here meanwhile.
    pub(super) fn resume(&mut self) -> Held<&Parts> {
        let tickets = self.0.take_tickets();
        Held::new(&self.0.parts, tickets)
    }

    /// Holds these again.
    pub(super) fn suspend(&mut self, tickets: Tickets) {
        self.0.tickets = tickets;
    }
}

impl<P> Drop for Suspended<P>
where
    P: Deref<Target = Parts>,
{
    fn drop(&mut self) {
        // Recorded here, because the permit's own drop would record a failure if the thread is panicking, and that
        // panic need not be the call's. `Held` then gives back the rest.
        self.0.record(Outcome::of_dropped(), Cause::default);
    }
}
