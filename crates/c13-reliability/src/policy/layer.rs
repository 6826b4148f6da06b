//! A policy as a tower layer.

use super::{PolicyError, TypedPolicy};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Takes the calls of a service through a policy. All services that it makes share the one policy.
///
/// Each attempt goes to a clone of the service and waits until that is ready. So a service that cannot become ready is a
/// failure like any other, and one that takes too long runs into the attempt timeout. The layer itself is always ready. A call
/// allocates once, for its future.
///
/// ```
/// use c13_reliability::policy::{Policy, PolicyLayer, Profile};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let policy = Policy::new(Profile::Standard.config())?;
/// let service = ServiceBuilder::new()
///     .layer(PolicyLayer::new(policy.typed()))
///     .service(service_fn(|n: u32| async move { Ok::<_, std::io::Error>(n + 1) }));
/// assert_eq!(service.oneshot(1).await?, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PolicyLayer<P, D> {
    policy: P,
    clone: D,
}

impl<T, E, R: Clone> PolicyLayer<TypedPolicy<T, E>, fn(&R) -> Option<R>> {
    /// Requests are cloned for each attempt.
    #[must_use]
    pub fn new(policy: TypedPolicy<T, E>) -> Self {
        Self::cloning(policy, |request| Some(request.clone()))
    }
}

impl<T, E, D> PolicyLayer<TypedPolicy<T, E>, D> {
    /// `clone` makes the request for another attempt, or returns `None` if it cannot, as for a body that is a stream. Such a
    /// call is neither retried nor hedged.
    #[must_use]
    pub fn cloning<R>(policy: TypedPolicy<T, E>, clone: D) -> Self
    where
        D: Fn(&R) -> Option<R> + Clone,
    {
        Self { policy, clone }
    }
}

impl<S, P: Clone, D: Clone> Layer<S> for PolicyLayer<P, D> {
    type Service = PolicyService<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        PolicyService {
            inner,
            layer: self.clone(),
        }
    }
}

impl<P: fmt::Debug, D> fmt::Debug for PolicyLayer<P, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyLayer")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// A service whose calls go through a policy; made by [`PolicyLayer`].
#[derive(Clone, Debug)]
pub struct PolicyService<S, L> {
    inner: S,
    layer: L,
}

impl<S, D, R> Service<R> for PolicyService<S, PolicyLayer<TypedPolicy<S::Response, S::Error>, D>>
where
    S: Service<R> + Clone + Send + 'static,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
    S::Future: Send,
    R: Send + 'static,
    D: Fn(&R) -> Option<R> + Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = PolicyError<S::Error>;
    type Future = ResponseFuture<S::Response, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        // Readiness is not kept between polls, so any clone will do.
        let (service, policy) = (self.inner.clone(), self.layer.policy.clone());
        let repeats = policy.policy().repeats();
        let copy = if repeats { (self.layer.clone)(&request) } else { None };
        let Some(copy) = copy else {
            return ResponseFuture::new(async move { policy.call_once(attempt(service, request)).await });
        };
        let clone = self.layer.clone.clone();
        ResponseFuture::new(async move {
            let mut first = Some(copy);
            let next = move || {
                let copy = first.take().or_else(|| clone(&request));
                let copy = copy.expect("a request that could be cloned once can be cloned again");
                attempt(service.clone(), copy)
            };
            policy.call(next).await
        })
    }
}

/// One attempt: as soon as the service is ready.
pub(in crate::policy) async fn attempt<S: Service<R>, R>(mut service: S, request: R) -> Result<S::Response, S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

type Response<T, E> = Pin<Box<dyn Future<Output = Result<T, PolicyError<E>>> + Send>>;

pin_project! {
    /// The response of a service whose calls go through a policy.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the attempts that run. Permits and queue positions are given back.
    #[must_use = "futures do nothing unless awaited"]
    pub struct ResponseFuture<T, E> {
        response: Response<T, E>,
    }
}

impl<T, E> ResponseFuture<T, E> {
    fn new(response: impl Future<Output = Result<T, PolicyError<E>>> + Send + 'static) -> Self {
        Self {
            response: Box::pin(response),
        }
    }
}

impl<T, E> Future for ResponseFuture<T, E> {
    type Output = Result<T, PolicyError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().response.as_mut().poll(cx)
    }
}

impl<T, E> fmt::Debug for ResponseFuture<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
