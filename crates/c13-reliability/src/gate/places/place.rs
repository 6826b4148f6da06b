//! A place of one call.

use super::shared::Places;
use std::ops::Deref;

/// A place of one call. Dropping it gives it back, to the first in line if anybody is.
#[must_use = "a place that is dropped is given back"]
pub(crate) struct Place<P>
where
    P: Deref<Target = Places>,
{
    /// `None` once somebody else answers for it.
    places: Option<P>,
}

impl<P> Place<P>
where
    P: Deref<Target = Places>,
{
    /// For a place that was taken already.
    #[inline]
    pub(crate) fn new(places: P) -> Self {
        Self { places: Some(places) }
    }

    /// Leaves it to the caller to give the place back, with [`Places::leave`].
    pub(crate) fn keep(mut self) {
        self.places = None;
    }
}

impl<P> Drop for Place<P>
where
    P: Deref<Target = Places>,
{
    #[inline]
    fn drop(&mut self) {
        if let Some(places) = &self.places {
            places.leave();
        }
    }
}
