//! A policy in front of a service: refused requests get the time to try again, and requests that run have a deadline.

use super::answer::{self, GRPC_STATUS};
use crate::error;
use crate::gate::Outcome;
use crate::patterns::timeout::{GRPC_TIMEOUT, HTTP_TIMEOUT, parse_grpc_timeout, parse_http_timeout};
use crate::policy::{BodyLimits, PermitBody, Policy, PolicyError};
use crate::time::Deadline;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

/// Protects a service from more requests than it can take: each passes rate limit, bulkhead or adaptive limit, breaker and
/// time limits of a policy. Its retry and hedge are not used, since a request cannot be made again here.
///
/// | ended by | HTTP | gRPC |
/// |---|---|---|
/// | rate limit | 429 | 8, resource exhausted |
/// | bulkhead, adaptive limit, circuit breaker | 503 | 14, unavailable |
/// | a time limit, the caller's deadline | 504 | 4, deadline exceeded |
///
/// With `Retry-After`, rounded up to seconds and 1 where no layer knows better, or with `grpc-retry-pushback-ms` where one
/// does. An answer of 500 and above, or a gRPC status that
/// is the server's fault, is a failure to the breaker and to the adaptive limit. The caller's deadline comes from its
/// header `grpc-timeout` or `x-request-timeout-ms`, and everything below sees it; a header that says no time is answered
/// with 400 or 3 (invalid argument). A deadline comes from a stranger: less than [the floor](Self::deadline_floor) is answered
/// with 504 at once, more than [the ceiling](Self::deadline_ceiling) is the ceiling, and a request that its deadline cut short counts against the service only if it had half of the policy's
/// own limit. Set a time limit in the policy: without one no deadline is long enough to blame the service for.
///
/// A request holds its permits to the end of its response's body: a stream of events counts against the bulkhead until the
/// client has gone or the stream ends. Time limits end with the head of the response. A body that breaks off is a failure, and
/// so is a gRPC status of that kind in its trailers.
///
/// It stands before axum's routers, and before tonic's as a layer of its server.
///
/// ```
/// use axum::{Router, routing::get};
/// use c13_reliability::patterns::bulkhead::BulkheadConfig;
/// use c13_reliability::policy::{InboundLayer, Policy, PolicyConfig};
///
/// let inbound = Policy::new(PolicyConfig::NONE.bulkhead(BulkheadConfig::new(100)))?;
/// let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(InboundLayer::new(inbound));
/// # let _ = app;
/// # Ok::<_, c13_reliability::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct InboundLayer {
    policy: Policy,
    deadline_floor: Duration,
    deadline_ceiling: Duration,
}

impl InboundLayer {
    /// Unless set otherwise, a request must leave so much time: 1 ms, the least that the header of plain HTTP can say.
    pub const DEADLINE_FLOOR: Duration = Duration::from_millis(1);

    /// Unless set otherwise, a request gets no more time by its header than this: an hour.
    pub const DEADLINE_CEILING: Duration = Duration::from_secs(3_600);

    /// All services that it makes share the one policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            deadline_floor: Self::DEADLINE_FLOOR,
            deadline_ceiling: Self::DEADLINE_CEILING,
        }
    }

    /// Sets how much time a request must leave by its header. One that leaves less is refused before anything is done for it,
    /// since the client would not wait for the answer; it is not given more time than it asks for. A floor of zero refuses only what
    /// is late already.
    ///
    /// Set it to the time below which the service cannot answer.
    #[must_use]
    pub const fn deadline_floor(mut self, least: Duration) -> Self {
        self.deadline_floor = least;
        self
    }

    /// Sets how much time a request gets at most by its header, because what a stranger asks for travels on to every
    /// dependency. One that asks for more gets this much, or what the policy's total timeout leaves if that is less.
    #[must_use]
    pub const fn deadline_ceiling(mut self, most: Duration) -> Self {
        self.deadline_ceiling = most;
        self
    }
}

impl<S> Layer<S> for InboundLayer {
    type Service = InboundService<S>;

    fn layer(&self, inner: S) -> InboundService<S> {
        InboundService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service behind a policy; made by [`InboundLayer`].
#[derive(Clone, Debug)]
pub struct InboundService<S> {
    inner: S,
    pub(super) layer: InboundLayer,
}

impl<S, B> Service<Request<B>> for InboundService<S>
where
    S: Service<Request<B>, Error = Infallible> + Clone,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = InboundFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> InboundFuture {
        let clone = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, clone);
        let policy = self.layer.policy.clone();
        let is_grpc = answer::is_grpc(request.headers());
        let left = match time_left(request.headers()) {
            Ok(left) => left,
            Err(rule) => return InboundFuture::new(async move { answer::bad_request(rule, is_grpc) }),
        };
        if let Some(limit) = left.filter(|left| *left < self.layer.deadline_floor) {
            let too_late = too_late(&policy, limit);
            return InboundFuture::new(async move { answer::inbound(&too_late, is_grpc) });
        }
        let left = left.map(|left| left.min(self.layer.deadline_ceiling));
        let deadline = left.map(|left| Deadline::after(&policy.clock(), left));
        let call = ready.call(request);
        InboundFuture::new(async move {
            let respond = async { call.await.map(IntoResponse::into_response) };
            let through = policy.call_once_held(respond, outcome);
            let result = match deadline {
                Some(deadline) => deadline.scope(through).await,
                None => through.await,
            };
            match result {
                Ok((response, permit)) => response.map(|body| {
                    let (limits, clock) = (BodyLimits::NONE, policy.clock());
                    Body::new(PermitBody::classified(body, permit, limits, clock, outcome_of_trailers))
                }),
                Err(error) => answer::inbound(&error, is_grpc),
            }
        })
    }
}

fn outcome(result: &Result<Response, Infallible>) -> Outcome {
    match result {
        Ok(response) if response.status().is_server_error() || is_failed_call(response.headers()) => Outcome::FAILURE,
        Ok(_) => Outcome::Success,
        Err(never) => match *never {},
    }
}

fn outcome_of_trailers(trailers: Option<&HeaderMap>) -> Outcome {
    if trailers.is_some_and(is_failed_call) {
        Outcome::FAILURE
    } else {
        Outcome::Success
    }
}

/// Whether gRPC's status says that the server failed: unknown, deadline exceeded, internal, unavailable, data loss.
fn is_failed_call(headers: &HeaderMap) -> bool {
    let status = headers.get(GRPC_STATUS).map(HeaderValue::as_bytes);
    matches!(status, Some(b"2" | b"4" | b"13" | b"14" | b"15"))
}

/// The error of a request that leaves less time than it must.
fn too_late(policy: &Policy, limit: Duration) -> PolicyError<Infallible> {
    PolicyError::TimedOut {
        policy: policy.name(),
        layer: error::Layer::TotalTimeout,
        limit,
        attempts: 0,
        last_error: None,
    }
}

/// How long the caller waits, if it says so; the rule that the header breaks, if it says so wrongly.
fn time_left(headers: &HeaderMap) -> Result<Option<Duration>, String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let limit = if let Some(value) = headers.get(GRPC_TIMEOUT) {
        parse_grpc_timeout(&text(value)).map_err(|error| format!("{GRPC_TIMEOUT}: {error}"))?
    } else if let Some(value) = headers.get(HTTP_TIMEOUT) {
        parse_http_timeout(&text(value)).map_err(|error| format!("{HTTP_TIMEOUT}: {error}"))?
    } else {
        return Ok(None);
    };
    Ok(Some(limit))
}

/// The answer of a service behind a policy.
///
/// # Cancel safety
///
/// Dropping it drops the answer inside, and takes the call for abandoned.
#[must_use = "futures do nothing unless awaited"]
pub struct InboundFuture {
    answer: Pin<Box<dyn Future<Output = Response> + Send>>,
}

impl InboundFuture {
    fn new(answer: impl Future<Output = Response> + Send + 'static) -> Self {
        Self {
            answer: Box::pin(answer),
        }
    }
}

impl Future for InboundFuture {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for InboundFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundFuture").finish_non_exhaustive()
    }
}
