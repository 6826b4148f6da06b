//! A future that runs under a permit and records what came of it, once.

use super::{Classify, Outcome, Permit};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// Runs a future under a permit.
    ///
    /// The permit is told what the classifier says of the result. While the future is polled the permit lies on the
    /// stack, so that a panic drops it during unwinding and it counts as a failure, whoever catches the panic later.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside and then the permit, which takes the call for abandoned.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Run<P, F, C>
    where
        P: Permit,
    {
        #[pin]
        future: F,
        permit: Option<P>,
        classify: Option<C>,
    }

    impl<P, F, C> PinnedDrop for Run<P, F, C>
    where
        P: Permit,
    {
        fn drop(this: Pin<&mut Self>) {
            // Not left to the permit's own drop: unwinding may drop this future for a panic that was not the call's.
            if let Some(permit) = this.project().permit.take() {
                permit.record(Outcome::Abandoned);
            }
        }
    }
}

impl<P: Permit, F, C> Run<P, F, C> {
    /// Runs `future` under `permit`; `classify` says what its result means.
    pub fn new(permit: P, future: F, classify: C) -> Self {
        Self {
            future,
            permit: Some(permit),
            classify: Some(classify),
        }
    }

    /// The same before anybody was asked for a permit; it comes by [`admit`](Self::admit).
    pub(super) fn unadmitted(future: F, classify: C) -> Self {
        Self {
            future,
            permit: None,
            classify: Some(classify),
        }
    }

    pub(super) fn admit(self: Pin<&mut Self>, permit: P) {
        *self.project().permit = Some(permit);
    }
}

impl<P, F, C> Future for Run<P, F, C>
where
    P: Permit,
    F: Future,
    C: Classify<F::Output>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let permit = this.permit.take();
        match this.future.poll(cx) {
            Poll::Pending => {
                *this.permit = permit;
                Poll::Pending
            }
            Poll::Ready(output) => {
                if let (Some(permit), Some(classify)) = (permit, this.classify.take()) {
                    permit.record(classify.classify(&output));
                }
                Poll::Ready(output)
            }
        }
    }
}

impl<P: Permit, F, C> fmt::Debug for Run<P, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("running", &self.permit.is_some())
            .finish_non_exhaustive()
    }
}
