//! A quota for each key of HTTP requests, as a layer for axum and everything else that speaks `http`.

use super::error::RateLimitError;
use super::keyed::{KeyedRateLimiter, QuotaStatus};
use crate::error::{ConfigError, ConfigValue};
use axum::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Limits requests by key: by user, by address, by route.
///
/// A request beyond its key's quota is answered with 429 and `Retry-After`, and never reaches the service. All responses
/// say how the key stands, in the fields `RateLimit-Policy` and `RateLimit` of the IETF's draft
/// (draft-ietf-httpapi-ratelimit-headers-10): `"default";q=100;w=60` is a quota of 100 in 60 seconds,
/// `"default";r=7;t=30` that 7 of them are left and that all are back in 30 seconds. Requests without a key pass, and say
/// nothing.
///
/// Mind what you take for a key: an address behind a proxy is the proxy's, and an IPv6 customer has 2⁶⁴ of them, so take
/// the first half.
///
/// ```
/// use axum::{Router, http::Request, routing::get};
/// use c13_reliability::patterns::rate_limiter::{KeyedRateLimitLayer, KeyedRateLimiter, RateLimiterConfig};
///
/// let users = KeyedRateLimiter::<String>::new(RateLimiterConfig::new(10.0, 20), 100_000);
/// let by_user = KeyedRateLimitLayer::new(users, |request: &Request<_>| {
///     request.headers().get("x-user")?.to_str().ok().map(str::to_owned)
/// });
/// let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(by_user);
/// # let _ = app;
/// ```
pub struct KeyedRateLimitLayer<K, F> {
    limiter: KeyedRateLimiter<K>,
    key: F,
    policy: Arc<str>,
}

impl<K, F> KeyedRateLimitLayer<K, F>
where
    K: Hash + Eq + Clone,
{
    /// Limits requests by what `key` finds in them. The policy is called `default`.
    #[must_use]
    pub fn new(limiter: KeyedRateLimiter<K>, key: F) -> Self {
        Self {
            limiter,
            key,
            policy: "default".into(),
        }
    }

    /// Calls the policy by another name, which callers are told.
    ///
    /// # Errors
    ///
    /// If the name is empty, or is not of printable ASCII characters without quotes and backslashes.
    pub fn policy(mut self, name: &str) -> Result<Self, ConfigError> {
        let is_fit = |byte: u8| (0x20..0x7F).contains(&byte) && byte != b'"' && byte != b'\\';
        if name.is_empty() || !name.bytes().all(is_fit) {
            let rule = "must be of printable ASCII characters without quotes and backslashes";
            let value = ConfigValue::Text(if name.is_empty() { "empty" } else { "another text" });
            return Err(ConfigError::new("keyed rate limit layer", "policy", value, rule));
        }
        self.policy = name.into();
        Ok(self)
    }
}

impl<K, F: Clone> Clone for KeyedRateLimitLayer<K, F> {
    fn clone(&self) -> Self {
        Self {
            limiter: self.limiter.clone(),
            key: self.key.clone(),
            policy: self.policy.clone(),
        }
    }
}

impl<K, F> fmt::Debug for KeyedRateLimitLayer<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedRateLimitLayer")
            .field("limiter", &self.limiter)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl<S, K, F: Clone> Layer<S> for KeyedRateLimitLayer<K, F> {
    type Service = KeyedRateLimitService<S, K, F>;

    fn layer(&self, inner: S) -> Self::Service {
        KeyedRateLimitService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service whose requests are limited by key; made by [`KeyedRateLimitLayer`].
#[derive(Debug)]
pub struct KeyedRateLimitService<S, K, F> {
    inner: S,
    layer: KeyedRateLimitLayer<K, F>,
}

impl<S: Clone, K, F: Clone> Clone for KeyedRateLimitService<S, K, F> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<S, K, F, B, C> Service<Request<B>> for KeyedRateLimitService<S, K, F>
where
    S: Service<Request<B>, Response = Response<C>>,
    K: Hash + Eq + Clone,
    F: Fn(&Request<B>) -> Option<K>,
    C: Default,
{
    type Response = Response<C>;
    type Error = S::Error;
    type Future = KeyedRateLimitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(key) = (self.layer.key)(&request) else {
            return KeyedRateLimitFuture {
                response: State::Running {
                    response: self.inner.call(request),
                },
                told: None,
            };
        };
        let (result, status) = self.layer.limiter.decide(&key, 1);
        let response = match result {
            Ok(()) => State::Running {
                response: self.inner.call(request),
            },
            // The service inside stays ready for the next request.
            Err(error) => State::Refused { error },
        };
        KeyedRateLimitFuture {
            response,
            told: Some((self.layer.policy.clone(), status)),
        }
    }
}

pin_project! {
    /// The response of a service whose requests are limited by key.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the response inside; the request has had its part of the quota.
    #[must_use = "futures do nothing unless awaited"]
    pub struct KeyedRateLimitFuture<F> {
        #[pin]
        response: State<F>,
        told: Option<(Arc<str>, QuotaStatus)>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Running { #[pin] response: F },
        Refused { error: RateLimitError },
    }
}

impl<F, C, E> Future for KeyedRateLimitFuture<F>
where
    F: Future<Output = Result<Response<C>, E>>,
    C: Default,
{
    type Output = Result<Response<C>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.response.project() {
            StateProjection::Running { response } => ready!(response.poll(cx))?,
            StateProjection::Refused { error } => refusal(*error),
        };
        if let Some((policy, status)) = this.told {
            tell(response.headers_mut(), policy, status);
        }
        Poll::Ready(Ok(response))
    }
}

impl<F> fmt::Debug for KeyedRateLimitFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedRateLimitFuture")
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}

/// The answer to a request beyond its quota.
fn refusal<C: Default>(error: RateLimitError) -> Response<C> {
    let mut response = Response::new(C::default());
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    if let Some(wait) = error.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, seconds(wait).into());
    }
    response
}

/// Says how the key stands.
fn tell(headers: &mut HeaderMap, policy: &str, status: &QuotaStatus) {
    let (window, reset) = (seconds(status.window), seconds(status.reset_after));
    let fields = [
        (RATE_LIMIT_POLICY, format!("\"{policy}\";q={};w={window}", status.limit)),
        (RATE_LIMIT, format!("\"{policy}\";r={};t={reset}", status.remaining)),
    ];
    for (name, value) in fields {
        // Appended, because a request may pass through more than one limit.
        headers.append(
            name,
            HeaderValue::try_from(value).expect("the policy's name was checked, the rest are digits"),
        );
    }
}

/// Whole seconds, rounded up: who comes back after so many is not too early.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::super::RateLimiterConfig;
    use super::super::keyed::KeyedConfig;
    use super::*;
    use crate::time::Executor;
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    fn by_user(request: &Request<Body>) -> Option<String> {
        request.headers().get("x-user")?.to_str().ok().map(str::to_owned)
    }

    fn request(user: Option<&str>) -> Request<Body> {
        let request = Request::get("/");
        let request = match user {
            Some(user) => request.header("x-user", user),
            None => request,
        };
        request.body(Body::empty()).expect("the request is in order")
    }

    fn field<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
        response
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap_or("not text"))
    }

    #[test]
    fn a_request_beyond_its_quota_is_answered_with_429_and_when_to_come_back() {
        let executor = Executor::new();
        let config = KeyedConfig::new(RateLimiterConfig::new(0.1, 2).into(), 100);
        let limiter = KeyedRateLimiter::with_config(config, executor.clock()).unwrap();
        let layer = KeyedRateLimitLayer::new(limiter, by_user).policy("per user").unwrap();
        let app = Router::new().route("/", get(|| async { "hello" })).layer(layer);
        let call = |user| executor.block_on(app.clone().oneshot(request(user))).unwrap();

        let first = call(Some("ann"));
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(field(&first, "ratelimit-policy"), "\"per user\";q=2;w=20");
        assert_eq!(field(&first, "ratelimit"), "\"per user\";r=1;t=10");
        assert_eq!(field(&first, "retry-after"), "");
        assert_eq!(call(Some("ann")).status(), StatusCode::OK);

        executor.run_for(Duration::from_millis(4_500));
        let refused = call(Some("ann"));
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(field(&refused, "retry-after"), "6");
        assert_eq!(field(&refused, "ratelimit"), "\"per user\";r=0;t=16");

        assert_eq!(call(Some("bob")).status(), StatusCode::OK);
        for _ in 0..5 {
            let without = call(None);
            assert_eq!((without.status(), field(&without, "ratelimit")), (StatusCode::OK, ""));
        }
        executor.run_for(Duration::from_secs(6));
        assert_eq!(call(Some("ann")).status(), StatusCode::OK);
    }

    #[test]
    fn a_name_that_would_break_the_fields_is_refused() {
        let limiter = || KeyedRateLimiter::<String>::new(RateLimiterConfig::new(1.0, 1), 10);
        for name in ["", "a\"b", "a\\b", "a\nb", "ä"] {
            let layer = KeyedRateLimitLayer::new(limiter(), by_user).policy(name);
            assert_eq!(layer.unwrap_err().setting, "policy", "{name:?}");
        }
    }
}
