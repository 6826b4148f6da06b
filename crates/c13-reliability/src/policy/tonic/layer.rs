//! A policy around the calls of a gRPC channel: outcome and permits end with the trailers.

use super::status;
use crate::patterns::timeout::{GRPC_TIMEOUT, grpc_timeout};
use crate::policy::{BodyLimits, PermitBody, Policy};
use crate::time::{Clock, Deadline};
use crate::verdict::Retryable as _;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::Status;
use tower_layer::Layer;
use tower_service::Service;

/// Takes the calls of a gRPC channel through a policy, streams included. All services that it makes share the one policy.
///
/// A gRPC call says how it ended in its trailers, after the last message. So the call holds its permits until then, and that is
/// what the circuit breaker and the adaptive limit count: a stream that fails after a thousand messages is a failure. A stream
/// that ends without a status, or breaks off, is a failure too; one that its reader drops is what it was so far.
///
/// - Time limits of the policy end with the head of the response, since a stream may go on for hours;
///   [`body_limits`](Self::body_limits) bound the rest.
/// - Retry and hedge of the policy are not used, since the messages of a request are gone once they are sent. Put
///   [`Policy::classify_errors`] with [`Status`] around the calls of a client to make them again. A call that is refused ends
///   with a status that says when, or, for an open circuit, not to try again, and such a retry obeys.
/// - The deadline that the caller's task carries goes with the call, in the header `grpc-timeout`, unless the request has one.
///
/// ```
/// use c13_reliability::policy::{GrpcLayer, Policy, Profile};
/// use tower::ServiceBuilder;
///
/// # fn wrap<C>(channel: C) -> Result<(), c13_reliability::ConfigError> {
/// let prices = Policy::new(Profile::Standard.config())?;
/// let channel = ServiceBuilder::new().layer(GrpcLayer::new(prices)).service(channel);
/// // PricesClient::new(channel)
/// # let _ = channel;
/// # Ok(())
/// # }
/// # wrap(()).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct GrpcLayer {
    policy: Policy,
    limits: BodyLimits,
}

impl GrpcLayer {
    /// Calls go through `policy`; their bodies have no time limits.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let limits = BodyLimits::NONE;
        Self { policy, limits }
    }

    /// Sets how long the messages of a response may take.
    #[must_use]
    pub fn body_limits(mut self, limits: BodyLimits) -> Self {
        self.limits = limits;
        self
    }
}

impl<S> Layer<S> for GrpcLayer {
    type Service = GrpcService<S>;

    fn layer(&self, inner: S) -> GrpcService<S> {
        GrpcService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A channel whose calls go through a policy; made by [`GrpcLayer`]. It is always ready: a channel that is not is waited for
/// within the policy's time limits.
#[derive(Clone, Debug)]
pub struct GrpcService<S> {
    inner: S,
    layer: GrpcLayer,
}

impl<S, B, R> Service<Request<B>> for GrpcService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
    B: Send + 'static,
    R: Body + Send + 'static,
{
    type Response = Response<PermitBody<R>>;
    type Error = Status;
    type Future = GrpcFuture<R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> GrpcFuture<R> {
        // Readiness is not kept between polls, so any clone will do.
        let (service, layer) = (self.inner.clone(), self.layer.clone());
        let clock = layer.policy.clock();
        send_deadline(request.headers_mut(), &clock);
        GrpcFuture {
            response: Box::pin(async move {
                let outcome = |result: &Result<Response<R>, Status>| match result {
                    Ok(response) => status::outcome_of_head(response.status(), response.headers()),
                    Err(status) => status.outcome(),
                };
                let respond = respond(service, request);
                let called = layer.policy.call_once_held(respond, outcome).await;
                let (response, permit) = called.map_err(status::of_error)?;
                let ended = !response.status().is_success() || status::outcome_of(response.headers()).is_some();
                Ok(response.map(|body| {
                    if ended {
                        PermitBody::new(body, permit, layer.limits, clock)
                    } else {
                        PermitBody::classified(body, permit, layer.limits, clock, status::outcome_of_end)
                    }
                }))
            }),
        }
    }
}

/// The response, as soon as the channel is ready and has it.
async fn respond<S, B, R>(mut service: S, request: Request<B>) -> Result<Response<R>, Status>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let failed = |error: S::Error| Status::from_error(error.into());
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(failed)?;
    service.call(request).await.map_err(failed)
}

/// Writes the deadline that the caller's task carries into the request, unless that has one.
fn send_deadline(headers: &mut HeaderMap, clock: &Clock) {
    if let Some(deadline) = Deadline::current(clock)
        && !headers.contains_key(GRPC_TIMEOUT)
        && let Ok(left) = HeaderValue::try_from(grpc_timeout(deadline.remaining(clock)))
    {
        headers.insert(GRPC_TIMEOUT, left);
    }
}

type Called<R> = Result<Response<PermitBody<R>>, Status>;

/// The response of a channel whose calls go through a policy.
///
/// # Cancel safety
///
/// Dropping it drops the call, which counts as abandoned. What it held is given back.
#[must_use = "futures do nothing unless awaited"]
pub struct GrpcFuture<R> {
    response: Pin<Box<dyn Future<Output = Called<R>> + Send>>,
}

impl<R> Future for GrpcFuture<R> {
    type Output = Called<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Called<R>> {
        self.response.as_mut().poll(cx)
    }
}

impl<R> fmt::Debug for GrpcFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcFuture").finish_non_exhaustive()
    }
}
