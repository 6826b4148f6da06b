//! Fallback as a tower layer.

use super::error::FallbackError;
use super::handle::Fallback;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Answers for a service when it fails.
///
/// A service that fails to become ready is left to the caller: there is no call to answer for.
pub struct FallbackLayer<T, E> {
    fallback: Fallback<T, E>,
}

impl<T, E> FallbackLayer<T, E> {
    /// All services that it makes share the fallback's last good value and counts.
    #[must_use]
    pub fn new(fallback: Fallback<T, E>) -> Self {
        Self { fallback }
    }
}

impl<S, T, E> Layer<S> for FallbackLayer<T, E> {
    type Service = FallbackService<S, T, E>;

    fn layer(&self, inner: S) -> Self::Service {
        FallbackService {
            inner,
            fallback: self.fallback.clone(),
        }
    }
}

impl<T, E> Clone for FallbackLayer<T, E> {
    fn clone(&self) -> Self {
        Self {
            fallback: self.fallback.clone(),
        }
    }
}

impl<T, E> fmt::Debug for FallbackLayer<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer")
            .field("fallback", &self.fallback)
            .finish()
    }
}

/// A service that is answered for when it fails; made by [`FallbackLayer`].
pub struct FallbackService<S, T, E> {
    inner: S,
    fallback: Fallback<T, E>,
}

impl<S, R> Service<R> for FallbackService<S, S::Response, S::Error>
where
    S: Service<R>,
{
    type Response = S::Response;
    type Error = FallbackError<S::Error>;
    type Future = ResponseFuture<S::Future, S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(FallbackError::CallFailed)
    }

    fn call(&mut self, request: R) -> Self::Future {
        ResponseFuture {
            response: self.inner.call(request),
            fallback: self.fallback.clone(),
        }
    }
}

impl<S: Clone, T, E> Clone for FallbackService<S, T, E> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            fallback: self.fallback.clone(),
        }
    }
}

impl<S: fmt::Debug, T, E> fmt::Debug for FallbackService<S, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackService")
            .field("inner", &self.inner)
            .field("fallback", &self.fallback)
            .finish()
    }
}

pin_project! {
    /// The response of a service that is answered for when it fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the response inside; nothing is counted or kept.
    #[must_use = "futures do nothing unless awaited"]
    pub struct ResponseFuture<F, T, E> {
        #[pin]
        response: F,
        fallback: Fallback<T, E>,
    }
}

impl<F, T, E> Future for ResponseFuture<F, T, E>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, FallbackError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.response.poll(cx).map(|result| this.fallback.answer(result))
    }
}

impl<F, T, E> fmt::Debug for ResponseFuture<F, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
