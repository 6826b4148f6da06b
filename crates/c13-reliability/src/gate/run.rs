//! A future that runs under a permit and records its outcome, once.

use super::{Classify, Outcome, Permit, cut_short};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// Runs a future under a permit.
    ///
    /// The permit records the outcome that the classifier names. While the future is polled the permit lies on the stack, so
    /// that a panic drops it during unwinding and it counts as a failure, whoever catches the panic later.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside and then the permit, which counts the call as abandoned.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Run<P, F, C>
    where
        P: Permit,
    {
        // Dropped first: until it is gone the call runs, and no other call may have its permit.
        #[pin]
        future: F,
        aside: PermitAside<P, C>,
    }
}

/// The permit between two polls, with the classifier. None while the future is polled, and once it is over.
struct PermitAside<P: Permit, C>(Option<(P, C)>);

impl<P: Permit, C> Drop for PermitAside<P, C> {
    fn drop(&mut self) {
        if self.0.is_some() {
            self.abandon();
        }
    }
}

impl<P: Permit, C> PermitAside<P, C> {
    /// Not left to the permit's own drop: unwinding may drop the call for a panic that was not its own.
    #[cold]
    fn abandon(&mut self) {
        if let Some((permit, _)) = self.0.take() {
            permit.record(Outcome::of_dropped());
        }
    }
}

impl<P: Permit, F, C> Run<P, F, C> {
    /// Runs `future` under `permit`; `classify` says what its result means.
    pub fn new(permit: P, future: F, classify: C) -> Self {
        Self {
            future,
            aside: PermitAside(Some((permit, classify))),
        }
    }

    /// Runs `future` under a permit that comes with the first [`poll_under`](Self::poll_under).
    #[inline]
    pub(super) fn unadmitted(future: F) -> Self {
        Self {
            future,
            aside: PermitAside(None),
        }
    }
}

impl<P, F, C> Run<P, F, C>
where
    P: Permit,
    F: Future,
    C: Classify<F::Output>,
{
    /// Polls the future under a permit that it keeps only if the future is not ready.
    ///
    /// Always inlined: the permit then never leaves the registers of a call that is ready at once.
    #[inline(always)]
    pub(super) fn poll_under(self: Pin<&mut Self>, cx: &mut Context<'_>, permit: P, classify: C) -> Poll<F::Output> {
        let this = self.project();
        match this.future.poll(cx) {
            Poll::Pending => {
                this.aside.0 = Some((permit, classify));
                Poll::Pending
            }
            Poll::Ready(output) => {
                match classify.classify(&output) {
                    Outcome::FAILURE => record_failure(permit),
                    outcome => permit.record(outcome),
                }
                Poll::Ready(output)
            }
        }
    }
}

/// Records a failure. Not inlined, so that a call that succeeds needs not look whether it was cut short.
#[cold]
#[inline(never)]
fn record_failure<P: Permit>(permit: P) {
    permit.record(cut_short::outcome(Outcome::FAILURE));
}

impl<P, F, C> Future for Run<P, F, C>
where
    P: Permit,
    F: Future,
    C: Classify<F::Output>,
{
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.as_mut().project().aside.0.take() {
            Some((permit, classify)) => self.poll_under(cx, permit, classify),
            // It is over, and was polled again.
            None => self.project().future.poll(cx),
        }
    }
}

impl<P: Permit, F, C> fmt::Debug for Run<P, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("running", &self.aside.0.is_some())
            .finish_non_exhaustive()
    }
}
