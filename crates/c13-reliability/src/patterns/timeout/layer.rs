//! A time limit as a tower layer.

use super::call::TimeoutCall;
use super::error::TimeoutError;
use super::handle::Timeout;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a time limit around each call of a service.
///
/// The limit is for the response; waiting for the service to become ready is left to the caller. It is the deadline of
/// everything inside, see [`Deadline`](crate::time::Deadline).
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
    type Future = TimeoutCall<Timeout, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(TimeoutError::CallFailed)
    }

    fn call(&mut self, request: R) -> Self::Future {
        TimeoutCall::new(self.timeout.clone(), self.inner.call(request))
    }
}
