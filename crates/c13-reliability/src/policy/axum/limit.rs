//! Limits of a file before a service: by client, by header or of all requests, in this process or shared.

use super::answer;
use crate::patterns::rate_limiter::{add_quota_fields, client_behind, header_key};
use crate::policy::limit::{LimitKey, LimitReason, LimitRefused, RequestKey, RequestLimit, acquire_all};
use axum::body::Body;
use axum::http::{HeaderName, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Limits requests by the limits of a policy file, or by others; by one or by several at once.
///
/// A request takes its part of each limit, or of none. One that is refused does not reach the service: it is answered with
/// 429, `Retry-After`, and in the field `RateLimit` the name of the limit that refused it; of several in this process the
/// one that lets it pass last. A request whose key is too long gets 431, one that has none and must have one 500, and one
/// whose shared limit cannot be asked, where that is set to refuse, 503. gRPC gets 8 (resource exhausted), 14 (unavailable)
/// or 13 (internal) instead.
///
/// Responses have the fields `RateLimit-Policy` and `RateLimit` of each limit that is counted in this process.
///
/// The client's address comes from the server: [`serve`](crate::microservices::health::serve) gives it, and axum's own does
/// with `into_make_service_with_connect_info::<SocketAddr>()`.
///
/// ```
/// use c13_reliability::policy::{LimitLayer, PolicyRegistry};
/// use c13_reliability::policy::file::PolicyFiles;
///
/// # let file = std::env::temp_dir().join(format!("c13-limit-doc-{}.toml", std::process::id()));
/// std::fs::write(&file, r#"
/// [limit.clients]
/// rate = "100/s"
/// key = "ip"
/// proxies = ["10.0.0.0/8"]
/// "#)?;
/// let registry = PolicyRegistry::open(PolicyFiles::new(), [&file])?;
/// let app = axum::Router::<()>::new().layer(LimitLayer::new([registry.limit("clients")?]));
/// # let _ = app;
/// # std::fs::remove_file(&file)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LimitLayer {
    limits: Arc<[RequestLimit]>,
}

impl LimitLayer {
    /// A layer of these limits.
    pub fn new(limits: impl IntoIterator<Item = RequestLimit>) -> Self {
        Self {
            limits: limits.into_iter().collect(),
        }
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = LimitService<S>;

    fn layer(&self, inner: S) -> LimitService<S> {
        LimitService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service behind limits; made by [`LimitLayer`].
#[derive(Clone, Debug)]
pub struct LimitService<S> {
    inner: S,
    layer: LimitLayer,
}

impl<S> Service<Request<Body>> for LimitService<S>
where
    S: Service<Request<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = LimitFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> LimitFuture {
        let clone = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, clone);
        let limits = self.layer.limits.clone();
        let is_grpc = answer::is_grpc(request.headers());
        let answer = async move {
            let keyed = limits
                .iter()
                .map(|limit| (limit, key(&limit.config().key, limit, &request)));
            let passed = match acquire_all(keyed.collect()).await {
                Ok(passed) => passed,
                Err(refused) => return answer_to(&refused, is_grpc),
            };
            let Ok(response) = ready.call(request).await;
            let mut response = response.into_response();
            for passed in passed {
                if let Some(status) = passed.status {
                    add_quota_fields(response.headers_mut(), passed.limit.name(), &status);
                }
            }
            response
        };
        LimitFuture {
            answer: Box::pin(answer),
        }
    }
}

/// The key of a request for a limit.
fn key<B>(key: &LimitKey, limit: &RequestLimit, request: &Request<B>) -> Option<RequestKey> {
    match key {
        LimitKey::All => Some(RequestKey::All),
        LimitKey::Client => client_behind(limit.config().trusted())(request).map(RequestKey::Client),
        LimitKey::Header(name) => {
            let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
            header_key(name)(request).map(RequestKey::Header)
        }
    }
}

fn answer_to(refused: &LimitRefused, is_grpc: bool) -> Response {
    let (status, code) = match refused.reason {
        LimitReason::Exceeded => (StatusCode::TOO_MANY_REQUESTS, 8),
        LimitReason::KeyTooLong => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, 8),
        LimitReason::NoKey => (StatusCode::INTERNAL_SERVER_ERROR, 13),
        LimitReason::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, 14),
    };
    let mut response = answer::limited(status, code, refused.retry_after, is_grpc);
    if let Some(status) = refused.status {
        add_quota_fields(response.headers_mut(), &refused.limit, &status);
    }
    response.extensions_mut().insert(refused.clone());
    response
}

/// The answer of a service behind limits.
///
/// # Cancel safety
///
/// Dropping it drops the answer inside; the request has had its part of each limit that was asked.
#[must_use = "futures do nothing unless awaited"]
pub struct LimitFuture {
    answer: Pin<Box<dyn Future<Output = Response> + Send>>,
}

impl Future for LimitFuture {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for LimitFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitFuture").finish_non_exhaustive()
    }
}
