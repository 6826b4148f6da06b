//! A call through a breaker, as a future.

use super::error::CircuitBreakerError;
use super::handle::CircuitBreaker;
use crate::gate::{self, Classify};
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
    /// Dropping it drops the future inside; the call counts as abandoned, and a probe's place is free again.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Call<'a, F, C> {
        #[pin]
        inner: gate::Call<'a, CircuitBreaker, F, C>,
    }
}

impl<'a, F, C> Call<'a, F, C> {
    pub(super) fn new(inner: gate::Call<'a, CircuitBreaker, F, C>) -> Self {
        Self { inner }
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
        self.project()
            .inner
            .poll(cx)
            .map(|result| result.map_err(CircuitBreakerError::from))
    }
}

impl<F, C> fmt::Debug for Call<'_, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}
