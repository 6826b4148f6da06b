//! A call through a bulkhead, as a future.

use super::admission::Admission;
use super::error::{BulkheadError, BulkheadRejected};
use super::permit::Permit;
use super::shared::Shared;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// A call through a bulkhead; made by [`Bulkhead::call`](super::Bulkhead::call).
    #[must_use = "futures do nothing unless awaited"]
    pub struct BulkheadCall<'a, F> {
        shared: &'a Shared,
        permit: Option<Permit<'a>>,
        #[pin]
        admission: Option<Admission<'a>>,
        #[pin]
        future: F,
    }
}

impl<'a, F> BulkheadCall<'a, F> {
    pub(super) fn new(shared: &'a Shared, future: F) -> Self {
        Self {
            shared,
            permit: None,
            admission: None,
            future,
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
        // While the future is polled the permit lies on the stack, so that a panic gives the place back at once.
        let permit = match this.permit.take() {
            Some(permit) => permit,
            None if this.admission.is_none() && this.shared.enter() => Permit::new(this.shared),
            None => ready!(wait(this.shared, this.admission, cx))?,
        };
        let polled = this.future.poll(cx);
        if polled.is_pending() {
            *this.permit = Some(permit);
        }
        polled.map_err(BulkheadError::CallFailed)
    }
}

/// Comes in by the line, apart from the way of a call that comes in at once.
#[inline(never)]
fn wait<'a>(
    shared: &'a Shared,
    mut admission: Pin<&mut Option<Admission<'a>>>,
    cx: &mut Context<'_>,
) -> Poll<Result<Permit<'a>, BulkheadRejected>> {
    if admission.is_none() {
        admission.set(Some(Admission::new(shared)));
    }
    let Some(waiting) = admission.as_mut().as_pin_mut() else {
        return Poll::Pending;
    };
    let result = ready!(waiting.poll(cx));
    admission.set(None);
    Poll::Ready(result)
}

impl<F> fmt::Debug for BulkheadCall<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkheadCall")
            .field("running", &self.permit.is_some())
            .finish_non_exhaustive()
    }
}
