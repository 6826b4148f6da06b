//! The right to run one call in a bulkhead.

use crate::gate::places::Place;
use crate::gate::{self, Outcome};
use std::fmt;

/// The right to run one call in a bulkhead. Dropping it gives the place back, to the first in line if anybody is.
#[must_use = "a permit that is dropped gives its place back"]
pub struct Permit<'a> {
    place: Place<'a>,
}

impl<'a> Permit<'a> {
    pub(super) fn new(place: Place<'a>) -> Self {
        Self { place }
    }
}

impl gate::Permit for Permit<'_> {
    /// A place is given back whatever came of the call.
    #[inline]
    fn record(self, _outcome: Outcome) {
        drop(self.place);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
