//! Calls that an inherited deadline cut short before they had a fair share of their own limit: a gate around them is not to
//! take that for the dependency's failure.
//!
//! The part that cuts a call short returns an error like any other, whose type a gate does not know. So it reports it on the
//! side, for the deadline that its caller carries, and the gate looks there when it is given a failure. A deadline has one
//! instant, so what was reported for another one means nothing.

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

/// What a call's result says of the dependency, which by itself means `said`: nothing if the call was cut short.
#[inline]
pub(crate) fn outcome(said: Outcome) -> Outcome {
    if said == Outcome::FAILURE && was_reported() {
        Outcome::Abandoned
    } else {
        said
    }
}

/// Whether the failure of a call with this deadline was reported. One report is for one failure.
#[cold]
#[inline(never)]
fn was_reported() -> bool {
    let (by, carried) = (CUT_SHORT_BY.replace(Tick::MAX), Deadline::carried());
    carried < Tick::MAX && by == carried
}
