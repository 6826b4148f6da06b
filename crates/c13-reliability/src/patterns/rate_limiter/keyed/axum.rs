//! A quota for each key of HTTP requests, as a layer for axum and everything else that speaks `http`.

use super::super::error::RateLimitError;
use super::client_address::ClientAddress;
use super::config::WithoutKey;
use super::handle::KeyedRateLimiter;
use super::proxies::TrustedProxies;
use super::snapshot::QuotaStatus;
use super::without_key::Keyless;
use crate::error::{ConfigError, ConfigValue};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The largest number that a structured field may hold (RFC 9651, 3.3.1).
const LARGEST_INTEGER: u64 = 999_999_999_999_999;

/// Limits requests by key: by user, by address, by route.
///
/// A request beyond its key's quota is answered with 429 and `Retry-After`, and one whose key is
/// [too long](super::KeyedConfig::max_key_bytes) with 431; neither reaches the service. All responses
/// report the status of the key, in the fields `RateLimit-Policy` and `RateLimit` of the IETF's draft
/// (draft-ietf-httpapi-ratelimit-headers-10): `"default";q=100;w=60` is a quota of 100 in 60 seconds,
/// `"default";r=7;t=30` that 7 of them are left and that all are back in 30 seconds. A number of more than fifteen digits,
/// which such a field may not hold, is reported as the largest that it may.
///
/// Requests without a key share the quota of one key, unless [`without_key`](Self::without_key) says otherwise. There is an
/// event of the target `c13::rate_limiter` about them, at most one a minute, and
/// [`keyless`](Self::keyless) and the limiter's snapshot count them.
///
/// ```
/// use axum::http::HeaderName;
/// use axum::{Router, routing::get};
/// use c13_reliability::patterns::rate_limiter::{
///     ClientAddress, KeyedRateLimitLayer, KeyedRateLimiter, RateLimiterConfig, header_key,
/// };
///
/// let clients = KeyedRateLimiter::<ClientAddress>::new(RateLimiterConfig::new(100.0, 200), 100_000);
/// let users = KeyedRateLimiter::<String>::new(RateLimiterConfig::new(10.0, 20), 100_000);
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }))
///     .layer(KeyedRateLimitLayer::new(users, header_key(HeaderName::from_static("x-user"))))
///     .layer(KeyedRateLimitLayer::by_client(clients));
/// # let _ = app;
/// ```
pub struct KeyedRateLimitLayer<K, F> {
    limiter: KeyedRateLimiter<K>,
    key: F,
    policy: Arc<str>,
    keyless: Arc<Keyless>,
}

/// How a layer by clients finds its key.
type ByClient = fn(&Request<Body>) -> Option<ClientAddress>;

impl KeyedRateLimitLayer<ClientAddress, ByClient> {
    /// Limits requests by their client's address, for a server that gives it:
    /// [`serve`](crate::microservices::health::serve) does, and axum's own does with
    /// `into_make_service_with_connect_info::<SocketAddr>()`. Where it does not, requests are refused with 500 and an event
    /// says so, because a limit that finds no client would limit nobody. The policy is called `default`.
    #[must_use]
    pub fn by_client(limiter: KeyedRateLimiter<ClientAddress>) -> Self {
        Self::new(limiter, client_address as ByClient).without_key(WithoutKey::Refuse)
    }
}

impl KeyedRateLimitLayer<ClientAddress, ByClient> {
    /// As [`by_client`](Self::by_client), for a service behind these proxies: limits requests by the client that they
    /// forward for.
    ///
    /// ```
    /// use c13_reliability::patterns::rate_limiter::{
    ///     ClientAddress, KeyedRateLimitLayer, KeyedRateLimiter, RateLimiterConfig, TrustedProxies,
    /// };
    ///
    /// let clients = KeyedRateLimiter::<ClientAddress>::new(RateLimiterConfig::new(100.0, 200), 100_000);
    /// let proxies = TrustedProxies::x_forwarded_for(["10.0.0.0/8"])?;
    /// let app = axum::Router::<()>::new().layer(KeyedRateLimitLayer::by_client_behind(proxies, clients));
    /// # let _ = app;
    /// # Ok::<_, c13_reliability::ConfigError>(())
    /// ```
    #[must_use]
    pub fn by_client_behind(
        proxies: TrustedProxies,
        limiter: KeyedRateLimiter<ClientAddress>,
    ) -> KeyedRateLimitLayer<ClientAddress, impl Fn(&Request<Body>) -> Option<ClientAddress> + Clone + Send + Sync>
    {
        KeyedRateLimitLayer::new(limiter, client_behind(proxies)).without_key(WithoutKey::Refuse)
    }
}

/// Finds the client for whom trusted proxies have forwarded a request; none where the server gives no address.
pub fn client_behind<B>(
    proxies: TrustedProxies,
) -> impl Fn(&Request<B>) -> Option<ClientAddress> + Clone + Send + Sync + 'static {
    move |request| {
        let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
        let lines = request.headers().get_all(proxies.header().name());
        Some(proxies.client(peer.ip(), lines.iter().map(HeaderValue::as_bytes)))
    }
}

/// The address of a request's client, as the server found it.
#[must_use]
pub fn client_address<B>(request: &Request<B>) -> Option<ClientAddress> {
    let ConnectInfo(address) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    Some((*address).into())
}

/// How long a header may be that is taken for a key, in bytes.
pub const LONGEST_HEADER_KEY: usize = 256;

/// Finds the key in a header that names a user or a tenant: one value, of 1 to [`LONGEST_HEADER_KEY`] bytes of visible
/// ASCII. A header that is missing, empty, longer, or there more than once does not tell whose request it is: there is no
/// key.
pub fn header_key<B>(name: HeaderName) -> impl Fn(&Request<B>) -> Option<String> + Clone {
    move |request| {
        let mut values = request.headers().get_all(&name).iter();
        let value = values.next()?.to_str().ok()?;
        let is_fit = (1..=LONGEST_HEADER_KEY).contains(&value.len()) && values.next().is_none();
        is_fit.then(|| value.to_owned())
    }
}

impl<K, F> KeyedRateLimitLayer<K, F>
where
    K: Hash + Eq + Clone,
{
    /// Limits requests by what `key` finds in them. The policy is called `default`.
    #[must_use]
    pub fn new(limiter: KeyedRateLimiter<K>, key: F) -> Self {
        Self {
            keyless: Arc::new(Keyless::new(&limiter, WithoutKey::default())),
            limiter,
            key,
            policy: "default".into(),
        }
    }

    /// Sets what the layer does with requests without a key.
    #[must_use]
    pub fn without_key(mut self, choice: WithoutKey) -> Self {
        self.keyless = Arc::new(Keyless::new(&self.limiter, choice));
        self
    }

    /// How many requests had no key, in all layers over its limiter.
    #[must_use]
    pub fn keyless(&self) -> u64 {
        self.limiter.keyless()
    }

    /// Gives the policy another name, which responses show to callers.
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
            keyless: self.keyless.clone(),
        }
    }
}

impl<K, F> fmt::Debug for KeyedRateLimitLayer<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedRateLimitLayer")
            .field("limiter", &self.limiter)
            .field("policy", &self.policy)
            .field("without_key", &self.keyless.choice)
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
        let layer = &self.layer;
        let decision = match (layer.key)(&request) {
            Some(key) => Some(layer.limiter.decide(&key, 1)),
            None => {
                layer.keyless.record(&layer.limiter, &layer.policy);
                match layer.keyless.choice {
                    WithoutKey::Share => Some(layer.keyless.decide(&layer.limiter)),
                    WithoutKey::Allow => None,
                    WithoutKey::Refuse => {
                        return KeyedRateLimitFuture {
                            response: LimitedResponse::Keyless,
                            status: None,
                        };
                    }
                }
            }
        };
        let Some((result, status)) = decision else {
            return KeyedRateLimitFuture {
                response: LimitedResponse::Running {
                    response: self.inner.call(request),
                },
                status: None,
            };
        };
        let response = match result {
            Ok(()) => LimitedResponse::Running {
                response: self.inner.call(request),
            },
            // The service inside stays ready for the next request.
            Err(error) => LimitedResponse::Refused { error },
        };
        KeyedRateLimitFuture {
            response,
            status: Some((self.layer.policy.clone(), status)),
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
        response: LimitedResponse<F>,
        status: Option<(Arc<str>, QuotaStatus)>,
    }
}

pin_project! {
    #[project = LimitedResponseProjection]
    enum LimitedResponse<F> {
        Running { #[pin] response: F },
        Refused { error: RateLimitError },
        Keyless,
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
            LimitedResponseProjection::Running { response } => ready!(response.poll(cx))?,
            LimitedResponseProjection::Refused { error } => refusal(*error),
            LimitedResponseProjection::Keyless => {
                let mut response = Response::new(C::default());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        };
        if let Some((policy, status)) = this.status {
            add_quota_fields(response.headers_mut(), policy, status);
        }
        Poll::Ready(Ok(response))
    }
}

impl<F> fmt::Debug for KeyedRateLimitFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedRateLimitFuture")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// The answer to a request beyond its quota, or whose key is too long.
fn refusal<C: Default>(error: RateLimitError) -> Response<C> {
    let mut response = Response::new(C::default());
    *response.status_mut() = match error {
        RateLimitError::KeyTooLong { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        _ => StatusCode::TOO_MANY_REQUESTS,
    };
    if let Some(wait) = error.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, seconds(wait).into());
    }
    response
}

/// Adds the fields that report the status of the key.
pub(crate) fn add_quota_fields(headers: &mut HeaderMap, policy: &str, status: &QuotaStatus) {
    let [limit, window, remaining, reset] = [
        status.limit,
        seconds(status.window),
        status.remaining,
        seconds(status.reset_after),
    ]
    .map(|number| number.min(LARGEST_INTEGER));
    let fields = [
        (RATE_LIMIT_POLICY, format!("\"{policy}\";q={limit};w={window}")),
        (RATE_LIMIT, format!("\"{policy}\";r={remaining};t={reset}")),
    ];
    for (name, value) in fields {
        // Appended, because a request may pass more than one limit.
        headers.append(
            name,
            HeaderValue::try_from(value).expect("the policy's name was checked, the rest are digits"),
        );
    }
}

/// Whole seconds, rounded up, so that a caller who comes back then is not too early.
fn seconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0))
}

#[cfg(all(test, not(c13_loom)))]
mod fuzz;
#[cfg(all(test, not(c13_loom)))]
mod tests;
