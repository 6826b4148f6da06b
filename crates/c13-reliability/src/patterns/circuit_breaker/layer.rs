//! The breaker as a tower layer.

use super::error::CircuitBreakerError;
use super::handle::CircuitBreaker;
use super::permit::OwnedPermit;
use crate::error::Rejected;
use crate::gate::{ByResult, Classify, Outcome, Run};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a breaker around a service.
///
/// All services that it makes share the one breaker it was given: the state never lives in the service.
///
/// While the circuit refuses, the service is ready at once and refuses the call, whether the service inside is ready or
/// not. Else the call goes to the very service that was polled ready. A service inside that fails to become ready
/// counts as a failed call.
#[derive(Clone, Debug)]
pub struct CircuitBreakerLayer<C = ByResult> {
    breaker: CircuitBreaker,
    classify: C,
}

impl CircuitBreakerLayer {
    /// `Ok` is a success, `Err` a failure.
    #[must_use]
    pub fn new(breaker: CircuitBreaker) -> Self {
        Self {
            breaker,
            classify: ByResult,
        }
    }
}

impl<C> CircuitBreakerLayer<C> {
    /// `classify` says what a result means.
    #[must_use]
    pub fn classified<T, E>(breaker: CircuitBreaker, classify: C) -> Self
    where
        C: Fn(&Result<T, E>) -> Outcome + Clone,
    {
        Self { breaker, classify }
    }
}

impl<S, C: Clone> Layer<S> for CircuitBreakerLayer<C> {
    type Service = CircuitBreakerService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreakerService {
            inner,
            breaker: self.breaker.clone(),
            classify: self.classify.clone(),
            inner_is_ready: false,
        }
    }
}

/// A service behind a breaker; made by [`CircuitBreakerLayer`].
#[derive(Debug)]
pub struct CircuitBreakerService<S, C = ByResult> {
    inner: S,
    breaker: CircuitBreaker,
    classify: C,
    inner_is_ready: bool,
}

impl<S: Clone, C: Clone> Clone for CircuitBreakerService<S, C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            breaker: self.breaker.clone(),
            classify: self.classify.clone(),
            // A clone of a ready service need not be ready.
            inner_is_ready: false,
        }
    }
}

impl<S, C, R> Service<R> for CircuitBreakerService<S, C>
where
    S: Service<R>,
    C: Classify<Result<S::Response, S::Error>> + Clone,
{
    type Response = S::Response;
    type Error = CircuitBreakerError<S::Error>;
    type Future = ResponseFuture<S::Future, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if !self.inner_is_ready && self.breaker.refuses() {
            return Poll::Ready(Ok(()));
        }
        match self.inner.poll_ready(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => {
                self.inner_is_ready = true;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                if let Ok(permit) = self.breaker.try_acquire() {
                    permit.failure();
                }
                Poll::Ready(Err(CircuitBreakerError::CallFailed(error)))
            }
        }
    }

    fn call(&mut self, request: R) -> Self::Future {
        if !self.inner_is_ready {
            return ResponseFuture::refused(self.breaker.refuse());
        }
        let permit = match self.breaker.try_acquire_owned() {
            Ok(permit) => permit,
            // The service inside stays ready for the next call.
            Err(rejected) => return ResponseFuture::refused(rejected),
        };
        self.inner_is_ready = false;
        ResponseFuture {
            state: State::Running {
                run: Run::new(permit, self.inner.call(request), self.classify.clone()),
            },
        }
    }
}

pin_project! {
    /// The response of a service behind a breaker.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the response inside; the call counts as abandoned, and a probe's place is free again.
    #[must_use = "futures do nothing unless awaited"]
    pub struct ResponseFuture<F, C> {
        #[pin]
        state: State<F, C>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, C> {
        Running { #[pin] run: Run<OwnedPermit, F, C> },
        Refused { rejected: Rejected },
    }
}

impl<F, C> ResponseFuture<F, C> {
    fn refused(rejected: Rejected) -> Self {
        Self {
            state: State::Refused { rejected },
        }
    }
}

impl<F, C, T, E> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<T, E>>,
    C: Classify<Result<T, E>>,
{
    type Output = Result<T, CircuitBreakerError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Running { run } => run
                .poll(cx)
                .map(|result| result.map_err(CircuitBreakerError::CallFailed)),
            StateProjection::Refused { rejected } => Poll::Ready(Err((*rejected).into())),
        }
    }
}

impl<F, C> fmt::Debug for ResponseFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
