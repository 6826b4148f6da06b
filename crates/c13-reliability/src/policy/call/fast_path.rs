//! The fast path: a call that every layer admits at once, and whose first attempt gives its value at its first poll.
//!
//! Everything here is inlined, whatever the compiler thinks of it, and nothing here passes a reference to what the call holds
//! to a function that is not inlined: so all of it stays in registers. A call that leaves the fast path hands over what it
//! holds as values, once. Values that are written in small pieces and read again at once in large ones, to be handed from
//! layer to layer, would stall the processor for longer than a layer takes.

use super::admission::{Blocked, CallStep, acquire_breaker, admit_call, take_attempt_token};
use super::attempt::{Unsettled, poll_attempt};
use super::held::{Held, Tickets};
use super::limit::AttemptLimit;
use super::outcome::{Next, PolledCall, Unfinished};
use super::progress::Progress;
use super::rules::Rules;
use crate::patterns::retry::{RetryState, Verdict};
use crate::policy::parts::Parts;
use crate::policy::telemetry::AttemptEnd;
use crate::time::Sleep;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A call that left the fast path.
pub(super) struct Left<T, E> {
    pub(super) state: Unfinished<T, E>,
    pub(super) tickets: Tickets,
    /// The limit of the first attempt, if that waits.
    pub(super) limit: AttemptLimit,
    /// What is next; pending while the first attempt waits.
    pub(super) next: Poll<Next<T, E>>,
}

/// Why a call left the fast path.
enum Exit<T, E> {
    /// A layer did not admit it at once.
    Blocked(Blocked<CallStep>),
    /// Its first attempt waits.
    Waits(AttemptLimit),
    /// Its first attempt ended, and that does not end the call here.
    Ended(Result<T, Unsettled<T, E>>),
}

/// Takes a call as far as it gets at once: to its value, or else as far as `left` says. `slots` are where its first attempt
/// and the attempt's timer are put.
#[inline(always)]
pub(super) fn run<F, Fut, T, E, R>(
    parts: &Parts,
    mut progress: Progress,
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
    let mut held = Held::nothing(parts);
    let mut begun = None;
    // A macro, because it returns from this function, and because a closure would borrow what the call holds.
    macro_rules! leave {
        ($exit:expr) => {{
            let exit = $exit;
            *left = Some(leave(parts, progress, held.take_tickets(), begun, exit, rules));
            return None;
        }};
    }
    if progress.limit.is_over_at_once() {
        leave!(Exit::Blocked(Blocked::Late));
    }
    if let Err(blocked) = admit_call(&mut held, &progress, CallStep::FIRST, Some) {
        leave!(Exit::Blocked(blocked));
    }
    if let Some(retry) = progress.retry(parts) {
        held.hold_retry();
        // A retry is plain if it has no limit in total and its budget, if any, reads the counts of this very retry.
        // Nothing needs the beginning of a call counted then before its end, so both are counted in one step.
        begun = retry.begin_unless_plain();
        if begun.is_some() {
            held.hold_begun_retry();
        }
    }
    // Attempts that may run at the same time are made by the slow path.
    if progress.hedge(parts).is_some() {
        leave!(Exit::Blocked(Blocked::Wait(CallStep::ATTEMPT)));
    }
    if let Err(blocked) = take_attempt_token(parts, &progress, Some) {
        leave!(Exit::Blocked(blocked));
    }
    if let Err(rejected) = acquire_breaker(&mut held, &progress) {
        leave!(Exit::Blocked(Blocked::Refused(rejected)));
    }
    let limit = progress.next_attempt(parts);
    first.set(Some(operation()));
    match poll_attempt(&mut held, &limit, (rules, None), (first, timer), cx) {
        // The adaptive limit must learn from the result, and permits that outlive the call must be kept: see `outcome`.
        Poll::Ready(Some((result, Verdict::Final)))
            if result.is_ok() && !held.has_adaptive() && rules.kept().is_none() =>
        {
            held.end_at_once();
            parts.count_at_once(|| rules.outcome(&result));
            result.ok()
        }
        Poll::Ready(ended) => leave!(Exit::Ended(Unsettled::or_value(ended, limit))),
        Poll::Pending => leave!(Exit::Waits(limit)),
    }
}

/// Turns a call that leaves the fast path into one of the slow path, and says what is next.
#[cold]
#[inline(never)]
fn leave<T, E, R>(
    parts: &Parts,
    progress: Progress,
    tickets: Tickets,
    begun: Option<RetryState>,
    exit: Exit<T, E>,
    rules: &R,
) -> Left<T, E>
where
    R: Rules<T, E>,
{
    let mut state = Unfinished::new(progress, parts);
    let has_retry = tickets.has_retry();
    let mut call = PolledCall {
        state: &mut state,
        held: Held::new(parts, tickets),
    };
    if has_retry {
        call.begin_retry(begun);
    }
    let mut limit = AttemptLimit::NONE;
    let next = match exit {
        Exit::Blocked(blocked) => Poll::Ready(match blocked.or_wait() {
            Ok(step) => ControlFlow::Continue(step),
            Err(blocked) => ControlFlow::Break(call.end_blocked(blocked, rules)),
        }),
        Exit::Waits(until) => {
            limit = until;
            Poll::Pending
        }
        Exit::Ended(ended) => {
            if parts.measures() {
                ended_at_once(parts, &ended);
            }
            Poll::Ready(call.after(ended, rules))
        }
    };
    let tickets = call.held.take_tickets();
    drop(call);
    Left {
        state,
        tickets,
        limit,
        next,
    }
}

/// Records a first attempt that ended at its first poll, and did not end the call on the fast path.
fn ended_at_once<T, E>(parts: &Parts, ended: &Result<T, Unsettled<T, E>>) {
    let (end, took) = match ended {
        Ok(_) => (AttemptEnd::Success, Duration::ZERO),
        Err(Unsettled::TimedOut(limit)) => (AttemptEnd::TimedOut, limit.length()),
        Err(_) => (AttemptEnd::Failure, Duration::ZERO),
    };
    parts.telemetry().attempt_ended(end, took);
}
