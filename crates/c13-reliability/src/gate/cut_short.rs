//! Calls that an inherited deadline cut short before they had a fair share of their own limit. A gate around them must not
//! count that as a failure of the dependency.
//!
//! The part that cuts a call short returns an error like any other, of a type that a gate does not know. So it also reports
//! the deadline of the call in a thread-local cell, and a gate that gets a failure looks there. A report for another deadline
//! than that of the gate's own call means nothing.

use super::Outcome;
use crate::time::{Deadline, Tick};
use std::cell::Cell;

thread_local! {
    /// The deadline for which a call on this thread was last cut short.
    static CUT_SHORT_BY: Cell<Tick> = const { Cell::new(Tick::MAX) };
}

/// Reports that the deadline of the future that is being polled has cut short what that future called.
#[cold]
pub(crate) fn report() {
    CUT_SHORT_BY.set(Deadline::carried());
}

/// The outcome of a call whose result means `said`: abandoned, if it failed because it was cut short.
#[inline]
pub(crate) fn outcome(said: Outcome) -> Outcome {
    if said == Outcome::FAILURE && was_reported() {
        Outcome::Abandoned
    } else {
        said
    }
}

/// Whether a call with the current deadline was reported to be cut short. One report is for one failure.
#[cold]
#[inline(never)]
fn was_reported() -> bool {
    let (by, carried) = (CUT_SHORT_BY.replace(Tick::MAX), Deadline::carried());
    carried < Tick::MAX && by == carried
}
