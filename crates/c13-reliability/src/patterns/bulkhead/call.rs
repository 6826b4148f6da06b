//! A call through a bulkhead, as a future.

use super::error::{BulkheadError, BulkheadRejected};
use crate::gate::places::{Admission, Place, Places};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// A call through a bulkhead; made by [`Bulkhead::call`](super::Bulkhead::call).
    #[must_use = "futures do nothing unless awaited"]
    pub struct BulkheadCall<'a, F> {
        places: &'a Places,
        // Dropped before the place: until it is gone it runs, and nobody else may come in.
        #[pin]
        future: F,
        place: Option<Place<&'a Places>>,
        #[pin]
        admission: Option<Admission<&'a Places>>,
    }
}

impl<'a, F> BulkheadCall<'a, F> {
    pub(super) fn new(places: &'a Places, future: F) -> Self {
        Self {
            places,
            future,
            place: None,
            admission: None,
        }
    }
}

impl<F, T, E> Future for BulkheadCall<'_, F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, BulkheadError<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // While the future is polled the place lies on the stack, so that a panic gives it back at once.
        let place = match this.place.take() {
            Some(place) => place,
            None if this.admission.is_some() => ready!(wait(this.places, this.admission, cx))?,
            None => {
                if let Some(late) = this.places.late() {
                    return Poll::Ready(Err(BulkheadRejected::from(late).into()));
                }
                match Places::enter(*this.places) {
                    Some(place) => place,
                    None => ready!(wait(this.places, this.admission, cx))?,
                }
            }
        };
        let polled = this.future.poll(cx);
        if polled.is_pending() {
            *this.place = Some(place);
        }
        polled.map_err(BulkheadError::CallFailed)
    }
}

/// Comes in by the line, apart from the way of a call that comes in at once.
#[inline(never)]
fn wait<'a>(
    places: &'a Places,
    mut admission: Pin<&mut Option<Admission<&'a Places>>>,
    cx: &mut Context<'_>,
) -> Poll<Result<Place<&'a Places>, BulkheadRejected>> {
    if admission.is_none() {
        admission.set(Some(Places::admission(places)));
    }
    let Some(waiting) = admission.as_mut().as_pin_mut() else {
        return Poll::Pending;
    };
    let result = ready!(waiting.poll(cx));
    admission.set(None);
    Poll::Ready(result.map_err(BulkheadRejected::from))
}

impl<F> fmt::Debug for BulkheadCall<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkheadCall")
            .field("running", &self.place.is_some())
            .finish_non_exhaustive()
    }
}
