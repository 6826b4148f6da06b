//! A time limit as a tower layer.

use super::call::{Late, TimeoutCall};
use super::error::TimeoutError;
use super::handle::Timeout;
use crate::time::{Deadline, Within};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a time limit around each call of a service.
///
/// The limit is for the response; waiting for the service to become ready is left to the caller. It is the deadline of
/// everything inside, see [`Deadline`]. A service is not called after the caller's deadline.
#[derive(Clone, Debug)]
pub struct TimeoutLayer {
    timeout: Timeout,
}

impl TimeoutLayer {
    /// All services that it makes share the limit's counts.
    #[must_use]
    pub fn new(timeout: Timeout) -> Self {
        Self { timeout }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = TimeoutService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TimeoutService {
            inner,
            timeout: self.timeout.clone(),
        }
    }
}

/// A service whose calls have a time limit; made by [`TimeoutLayer`].
#[derive(Clone, Debug)]
pub struct TimeoutService<S> {
    inner: S,
    timeout: Timeout,
}

impl<S, R> Service<R> for TimeoutService<S>
where
    S: Service<R>,
{
    type Response = S::Response;
    type Error = TimeoutError<S::Error>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(TimeoutError::CallFailed)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let timeout = self.timeout.clone();
        if Deadline::is_over(timeout.clock()) {
            return ResponseFuture {
                stage: Stage::Late { timeout },
            };
        }
        // What the service does before its future is polled, such as writing a header, is under the limit as well.
        let within = Within::nanos(timeout.limit_nanos());
        let response = self.inner.call(request);
        drop(within);
        ResponseFuture {
            stage: Stage::Called {
                call: TimeoutCall::new(timeout, response),
            },
        }
    }
}

pin_project! {
    /// The response of a service whose calls have a time limit, which begins with its first poll.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the response inside and frees the timer.
    #[must_use = "futures do nothing unless awaited"]
    pub struct ResponseFuture<F> {
        #[pin]
        stage: Stage<F>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F> {
        // The service was not called.
        Late { timeout: Timeout },
        Called { #[pin] call: TimeoutCall<Timeout, F> },
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, TimeoutError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().stage.project() {
            StageProjection::Late { timeout } => Poll::Ready(Err(timeout.late(Late::BEFORE))),
            StageProjection::Called { call } => call.poll(cx),
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
