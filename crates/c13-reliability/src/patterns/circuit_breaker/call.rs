//! Calls through a breaker as futures, and a breaker that knows what results mean.

use super::error::{CircuitBreakerError, too_late};
use super::handle::CircuitBreaker;
use crate::gate::{self, Classify, Outcome};
use crate::time::Deadline;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// A call through a breaker; made by [`CircuitBreaker::call`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside; the call counts as abandoned, and a probe's permit is released.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Call<'a, F, C> {
        #[pin]
        inner: gate::Call<'a, CircuitBreaker, F, C>,
    }
}

impl<'a, F, C> Call<'a, F, C> {
    #[inline]
    pub(super) fn new(breaker: &'a CircuitBreaker, future: F, classify: C) -> Self {
        Self {
            inner: gate::Call::new(breaker, future, classify),
        }
    }
}

impl<F, C, T, E> Future for Call<'_, F, C>
where
    F: Future<Output = Result<T, E>>,
    C: Classify<Result<T, E>>,
{
    type Output = Result<T, CircuitBreakerError<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = self.project().inner;
        if let Some(breaker) = inner.unasked()
            && Deadline::is_over(breaker.clock())
        {
            return Poll::Ready(Err(too_late().into()));
        }
        inner.poll(cx).map(|result| result.map_err(CircuitBreakerError::from))
    }
}

impl<F, C> fmt::Debug for Call<'_, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

pin_project! {
    /// A future that is made when it is first polled; made by [`CircuitBreaker::call_with`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Lazy<M, F> {
        make: Option<M>,
        #[pin]
        future: Option<F>,
    }
}

impl<M, F> Lazy<M, F> {
    pub(super) fn new(make: M) -> Self {
        Self {
            make: Some(make),
            future: None,
        }
    }
}

impl<M: FnOnce() -> F, F: Future> Future for Lazy<M, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Some(make) = this.make.take() {
            this.future.set(Some(make()));
        }
        match this.future.as_pin_mut() {
            Some(future) => future.poll(cx),
            // The function panicked when it was called, and its caller polls on.
            None => panic!("a future that could not be made was polled"),
        }
    }
}

impl<M, F> fmt::Debug for Lazy<M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lazy")
            .field("made", &self.future.is_some())
            .finish_non_exhaustive()
    }
}

/// A breaker that knows what the results of its calls mean; made by [`CircuitBreaker::classified`].
///
/// It is a view: the circuit behind it is the same, for all its views and handles.
#[derive(Clone)]
pub struct ClassifiedBreaker<C> {
    breaker: CircuitBreaker,
    classify: C,
}

impl<C> ClassifiedBreaker<C> {
    pub(super) fn new(breaker: CircuitBreaker, classify: C) -> Self {
        Self { breaker, classify }
    }

    /// The breaker behind the view.
    #[must_use]
    pub fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }

    /// Runs `future` if the circuit admits it; this view's classifier says what the result means.
    ///
    /// # Errors
    ///
    /// As for [`CircuitBreaker::call`].
    ///
    /// # Cancel safety
    ///
    /// As for [`CircuitBreaker::call`].
    pub fn call<F, T, E>(&self, future: F) -> Call<'_, F, &C>
    where
        F: Future<Output = Result<T, E>>,
        C: Fn(&Result<T, E>) -> Outcome,
    {
        Call::new(&self.breaker, future, &self.classify)
    }
}

impl<C> fmt::Debug for ClassifiedBreaker<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassifiedBreaker")
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}
