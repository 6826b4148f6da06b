//! A place of one call.

use super::shared::Places;

/// A place of one call. Dropping it gives it back, to the first in line if anybody is.
#[must_use = "a place that is dropped is given back"]
pub(crate) struct Place<'a> {
    places: &'a Places,
}

impl<'a> Place<'a> {
    /// For a place that was taken already.
    pub(super) fn new(places: &'a Places) -> Self {
        Self { places }
    }
}

impl Drop for Place<'_> {
    #[inline]
    fn drop(&mut self) {
        self.places.leave();
    }
}
