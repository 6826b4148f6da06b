//! The short way of a call through a policy: as far as it comes at once.
//!
//! Everything on it is inlined, whatever the compiler thinks of it, and nothing on it hands a reference to what the call holds
//! to anybody out of line: so that can stay in registers. Where a call leaves the short way, what it holds is handed over as
//! values, once. Values that are written in small pieces and read again at once in large ones, to hand them on from layer to
//! layer, would stall the processor for longer than a layer takes.

use super::attempt::{Cut, Ending, Limit, Stop, judge, poll_within};
use super::call::Progress;
use super::flight::{Flight, Held, Rest, Step};
use super::parts::{Parts, Place, PlaceTicket};
use super::rules::Rules;
use super::started::{Entrance, Halt, Started};
use crate::error::Rejected;
use crate::gate::{Outcome, Permit as _, Suspend};
use crate::patterns::adaptive;
use crate::patterns::bulkhead::Bulkhead;
use crate::patterns::circuit_breaker::CircuitBreaker;
use crate::patterns::retry::{RetryState, Verdict};
use crate::time::Sleep;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A call that left the short way.
pub(super) struct Left<T, E> {
    pub(super) progress: Progress<T, E>,
    pub(super) step: Step<T, E>,
}

/// Why it left.
enum Exit<T, E> {
    /// Its time was over before it began.
    Late,
    /// It does not go on at once; so much is left of it after a wait.
    Halt(Halt, fn(Entrance) -> Rest),
    /// It may have attempts beside each other.
    Hedged,
    /// The breaker does not let it through.
    Refused(Rejected),
    /// Its attempt waits.
    Waits(Limit),
    /// Its attempt ended with something else than a value that is simply handed on.
    Ended(Result<T, Stop<T, E>>),
}

/// What a call on the short way holds, but for a permit of the adaptive limit. Dropped there, by a panic, it gives that
/// back and counts as failed.
struct Holds<'a> {
    parts: &'a Parts,
    what: u8,
    /// Means something with [`PERMIT`] only.
    permit: <CircuitBreaker as Suspend>::Ticket,
}

const PLACE: u8 = 1;
const PERMIT: u8 = 2;
/// Retry knows of the call, or will when it leaves the short way.
const OPENED: u8 = 4;
/// Retry knows of the call.
const BEGUN: u8 = 8;

impl<'a> Holds<'a> {
    #[inline(always)]
    fn nothing(parts: &'a Parts) -> Self {
        Self {
            parts,
            what: 0,
            permit: Default::default(),
        }
    }

    /// Whether it held that; it does not any more.
    #[inline(always)]
    fn take(&mut self, what: u8) -> bool {
        let held = self.what & what != 0;
        self.what &= !what;
        held
    }

    /// Tells the breaker what came of the call.
    #[inline(always)]
    fn tell(&mut self, outcome: Outcome) {
        if self.take(PERMIT)
            && let Some(breaker) = &self.parts.circuit_breaker
        {
            breaker.resume(self.permit).record(outcome);
        }
    }

    /// Gives the place in the bulkhead back.
    #[inline(always)]
    fn leave_place(&mut self) {
        if self.take(PLACE)
            && let Some(bulkhead) = &self.parts.bulkhead
        {
            drop(bulkhead.resume(Default::default()));
        }
    }
}

// As little as can be, so that it is inlined wherever a panic may come from.
impl Drop for Holds<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.what != 0 {
            give_back(self.parts, self.what, self.permit);
        }
    }
}

/// The place and the permit, as they are put aside.
fn put_aside(what: u8, permit: <CircuitBreaker as Suspend>::Ticket) -> Held {
    let place = (what & PLACE != 0).then(|| PlaceTicket::Bulkhead(Default::default()));
    Held::of((what & PERMIT != 0).then_some(permit), place)
}

#[cold]
#[inline(never)]
fn give_back(parts: &Parts, what: u8, permit: <CircuitBreaker as Suspend>::Ticket) {
    if what & PERMIT != 0
        && let Some(breaker) = &parts.circuit_breaker
    {
        drop(breaker.resume(permit));
    }
    if what & PLACE != 0
        && let Some(bulkhead) = &parts.bulkhead
    {
        drop(bulkhead.resume(Default::default()));
    }
    if what & OPENED != 0
        && let Some(retry) = &parts.retry
    {
        retry.leave(what & BEGUN != 0);
    }
}

/// Takes a call as far as it comes at once: to its value, or else as far as `left` then says. `first` is where its first
/// attempt is put.
#[inline(always)]
pub(super) fn start<F, Fut, T, E, R>(
    parts: &Parts,
    mut started: Started,
    (operation, rules): (&mut F, &R),
    (mut first, timer): (Pin<&mut Option<Fut>>, Pin<&mut Option<Sleep>>),
    cx: &mut Context<'_>,
    left: &mut Option<Left<T, E>>,
) -> Option<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
{
    let (mut adaptive, mut begun) = (None, None);
    let mut holds = Holds::nothing(parts);
    macro_rules! leave {
        ($exit:expr) => {{
            let exit = $exit;
            let what = mem::take(&mut holds.what);
            *left = Some(leave(
                parts,
                started,
                (what, holds.permit),
                adaptive,
                begun,
                exit,
                rules,
            ));
            return None;
        }};
    }
    if started.is_late() {
        leave!(Exit::Late);
    }
    if let Err(halt) = started.come_in(parts, Entrance::FIRST) {
        leave!(Exit::Halt(halt, Rest::Entrance));
    }
    if let Some(bulkhead) = &parts.bulkhead {
        match parts.enter_bulkhead(bulkhead) {
            Ok(place) => {
                let _place = Bulkhead::suspend(place);
                holds.what |= PLACE;
            }
            Err(halt) => leave!(Exit::Halt(halt, Rest::Entrance)),
        }
    } else if let Some(limit) = &parts.adaptive {
        match parts.enter_adaptive(limit) {
            Ok(place) => adaptive = Some(place),
            Err(halt) => leave!(Exit::Halt(halt, Rest::Entrance)),
        }
    }
    if let Some(retry) = started.retry(parts) {
        holds.what |= OPENED;
        if !retry.is_plain() {
            retry.begin_late(&mut begun);
            holds.what |= BEGUN;
        }
    }
    if started.hedge(parts).is_some() {
        leave!(Exit::Hedged);
    }
    if let Err(halt) = started.pass_limit_of_attempts(parts) {
        leave!(Exit::Halt(halt, |_| Rest::Attempts));
    }
    match parts.try_permit(started.now) {
        Ok(None) => {}
        Ok(Some(permit)) => {
            holds.permit = CircuitBreaker::suspend(permit);
            holds.what |= PERMIT;
        }
        Err(rejected) => leave!(Exit::Refused(rejected)),
    }
    let now = started.next_attempt();
    let limit = parts.limit_of_attempt(now, started.end);
    first.set(Some(operation()));
    let future = first.as_mut().as_pin_mut().expect("it was just put there");
    let Poll::Ready(result) = poll_within(parts, &limit, future, cx) else {
        match limit.poll_end(parts, timer, cx) {
            Ending::NotYet => leave!(Exit::Waits(limit)),
            Ending::Over(outcome) => {
                holds.tell(outcome);
                first.set(None);
                leave!(Exit::Ended(Err(Stop::Cut(Cut::TimedOut(limit)))));
            }
        }
    };
    holds.tell(limit.outcome(parts, rules.outcome(&result)));
    // What is over is dropped before its place is given back, and before anything else begins.
    first.set(None);
    let verdict = rules.verdict(&result);
    match result {
        Ok(value) if verdict == Verdict::Final && adaptive.is_none() => {
            holds.leave_place();
            if holds.take(OPENED | BEGUN)
                && let Some(retry) = &parts.retry
            {
                retry.at_once();
            }
            Some(value)
        }
        result => leave!(Exit::Ended(judge(verdict, result))),
    }
}

/// Goes on with a call that leaves the short way, and says what comes next.
#[cold]
#[inline(never)]
fn leave<T, E, R>(
    parts: &Parts,
    started: Started,
    (what, permit): (u8, <CircuitBreaker as Suspend>::Ticket),
    adaptive: Option<adaptive::Permit<'_>>,
    begun: Option<RetryState>,
    exit: Exit<T, E>,
    rules: &R,
) -> Left<T, E>
where
    R: Rules<T, E>,
{
    let mut progress = Progress::of(started);
    let mut flight = Flight::resumed(parts, &mut progress, put_aside(what, permit));
    if let Some(place) = adaptive {
        flight.stay(Place::Adaptive(place));
    }
    if what & OPENED != 0 {
        flight.open(begun);
    }
    let step = match exit {
        Exit::Late => flight.late(),
        Exit::Halt(halt, rest) => flight.halt(halt, rest, rules),
        Exit::Hedged => flight.rest(Rest::Attempts),
        Exit::Refused(rejected) => flight.step(Err(Stop::Cut(Cut::refused(rejected))), rules),
        Exit::Waits(limit) => flight.wait(limit),
        Exit::Ended(ended) => flight.step(ended, rules),
    };
    drop(flight);
    Left { progress, step }
}
