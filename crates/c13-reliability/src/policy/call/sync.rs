//! A call that is a plain function: it passes the layers that admit calls, never waits, and is made once.

use super::admission::{Blocked, CallStep, acquire_breaker, admit_call, never_wait, take_attempt_token};
use super::held::Held;
use super::outcome::Unfinished;
use super::progress::Progress;
use super::rules::{Repeats, Rules};
use super::span::Slot;
use crate::gate::Cause;
use crate::policy::PolicyError;
use crate::policy::parts::Parts;
use crate::policy::telemetry::call_end;

/// Makes a call that is a function.
pub(in crate::policy) fn call_sync<F, T, E, R>(parts: &Parts, operation: F, rules: &R) -> Result<T, PolicyError<E>>
where
    F: FnOnce() -> Result<T, E>,
    R: Rules<T, E>,
{
    let mut span = Slot::call(|| parts.name.clone());
    let result = span.enter(|| run(parts, operation, rules));
    span.end(call_end(&result));
    result
}

fn run<F, T, E, R>(parts: &Parts, operation: F, rules: &R) -> Result<T, PolicyError<E>>
where
    F: FnOnce() -> Result<T, E>,
    R: Rules<T, E>,
{
    let progress = Progress::start(parts, None, Repeats::Never);
    let mut held = Held::nothing(parts);
    let mut state = Unfinished::<T, E>::new(progress, parts);
    if let Err(blocked) = admit(&mut held, &progress) {
        let refused = Err(state.blocked(parts, blocked));
        state.ended(parts, &refused);
        return refused;
    }
    let result = operation();
    let outcome = rules.outcome(&result);
    held.record(outcome, || Cause::of(&result));
    held.release(outcome);
    let result = result.map_err(|error| PolicyError::Failed {
        policy: parts.name.clone(),
        error,
        attempts: 1,
        gave_up: None,
    });
    state.ended_once(parts, &result, outcome);
    result
}

/// Takes the call and its one attempt past all layers.
fn admit(held: &mut Held<&Parts>, progress: &Progress) -> Result<(), Blocked> {
    if progress.limit.is_over_at_once() {
        return Err(Blocked::Late);
    }
    admit_call(held, progress, CallStep::FIRST, never_wait)?;
    take_attempt_token(held.parts, progress, never_wait)?;
    acquire_breaker(held, progress).map_err(Blocked::Refused)
}
