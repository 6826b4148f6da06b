//! A call through a bulkhead, as a future.

use super::error::{BulkheadError, BulkheadRejected};
use crate::gate::semaphore::{Acquire, Semaphore, SemaphorePermit};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// A call through a bulkhead; made by [`Bulkhead::call`](super::Bulkhead::call).
    #[must_use = "futures do nothing unless awaited"]
    pub struct BulkheadCall<'a, F> {
        semaphore: &'a Semaphore,
        // Dropped before the permit: until it is gone the call runs, and no other call may have its permit.
        #[pin]
        future: F,
        permit: Option<SemaphorePermit<&'a Semaphore>>,
        #[pin]
        admission: Option<Acquire<&'a Semaphore>>,
    }
}

impl<'a, F> BulkheadCall<'a, F> {
    pub(super) fn new(semaphore: &'a Semaphore, future: F) -> Self {
        Self {
            semaphore,
            future,
            permit: None,
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
        // While the future is polled the permit lies on the stack, so that a panic releases it at once.
        let permit = match this.permit.take() {
            Some(permit) => permit,
            None if this.admission.is_some() => ready!(wait(this.semaphore, this.admission, cx))?,
            None => {
                if let Some(late) = this.semaphore.refuse_late() {
                    return Poll::Ready(Err(BulkheadRejected::from(late).into()));
                }
                match Semaphore::try_acquire_uncounted(*this.semaphore) {
                    Some(permit) => permit,
                    None => ready!(wait(this.semaphore, this.admission, cx))?,
                }
            }
        };
        let polled = this.future.poll(cx);
        if polled.is_pending() {
            *this.permit = Some(permit);
        }
        polled.map_err(BulkheadError::CallFailed)
    }
}

/// Waits in the queue for a permit. Not inlined, so that a call that gets one at once stays on the fast path.
#[inline(never)]
fn wait<'a>(
    semaphore: &'a Semaphore,
    mut admission: Pin<&mut Option<Acquire<&'a Semaphore>>>,
    cx: &mut Context<'_>,
) -> Poll<Result<SemaphorePermit<&'a Semaphore>, BulkheadRejected>> {
    if admission.is_none() {
        admission.set(Some(Semaphore::acquire(semaphore)));
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
            .field("running", &self.permit.is_some())
            .finish_non_exhaustive()
    }
}
