//! The right to run one call in a bulkhead.

use super::shared::Shared;
use crate::gate::{self, Outcome};
use std::fmt;

/// The right to run one call in a bulkhead. Dropping it gives the place back, to the first in line if anybody is.
#[must_use = "a permit that is dropped gives its place back"]
pub struct Permit<'a> {
    shared: &'a Shared,
}

impl<'a> Permit<'a> {
    /// For a place that was taken already.
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self { shared }
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.shared.leave();
    }
}

impl gate::Permit for Permit<'_> {
    /// A place is given back whatever came of the call.
    #[inline]
    fn record(self, _outcome: Outcome) {}
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
