//! The reqwest client behind a policy.

use super::config::HttpConfig;
use super::errors::ByCauses;
use super::send::{Outgoing, Policies, send};
use crate::error::ConfigError;
use crate::policy::{Policy, PolicyError};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Client, Error, IntoUrl, Method, Request, RequestBuilder, Response, ResponseBuilderExt as _};
use std::fmt;
use std::sync::Arc;

impl Policy {
    /// A client whose requests go through this policy: see [`HttpClient`].
    #[must_use]
    pub fn http(&self, client: Client) -> HttpClient {
        HttpClient::new(client, Policies::One(self.clone()))
    }
}

/// A [`reqwest::Client`] whose requests go through a policy; made by [`Policy::http`]. Clones share the client and the policy.
///
/// ```no_run
/// use c13_reliability::policy::{Policy, Profile};
///
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let prices = Policy::new(Profile::Standard.config())?.http(reqwest::Client::new());
/// let today = prices.get("http://prices/today").send().await?.text().await?;
/// # Ok(())
/// # }
/// ```
///
/// | the request | to the breaker | another attempt |
/// |---|---|---|
/// | could not be sent: no connection | failure | yes, whatever the method |
/// | was sent, perhaps, and has no response | failure | if it may be repeated |
/// | cannot be built | ignored | no |
/// | is redirected in circles | failure | no |
/// | 408, 425, 429, and 500 to 599 but for 501 and 505 | failure | if it may be repeated, and not before `Retry-After` |
/// | 501, 505 | failure | no |
/// | any other status | success | no |
///
/// - A request may be repeated if its method is idempotent (GET, HEAD, OPTIONS, TRACE, PUT, DELETE), or if it has an
///   `Idempotency-Key`. One that may not is neither hedged nor made again after the attempt timeout, since it may have had its
///   effect: give the client a `connect_timeout`, after which it certainly had none.
/// - A body is kept for further attempts if it is not a stream and not longer than
///   [`replay_limit`](HttpConfig::replay_limit). Otherwise the request is sent once, and a debug event says so.
/// - **A response is returned as it is, whatever its status**, the last one when there are no more attempts, as reqwest does. An
///   error means that there is no response.
/// - The response's body counts: a body that breaks off, or is waited for longer than [`HttpConfig`] allows, is a failure to the
///   breaker, and the permit of the bulkhead is held to the end of the body, or until the response is dropped. The time limits
///   and the retries of the policy end with the head of the response. See [`PermitBody`](crate::policy::PermitBody).
/// - Each attempt has two headers: `x-request-timeout-ms`, the time that is left to it, and `x-attempt`, its number, 1 being the
///   first.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client,
    policies: Policies,
    config: HttpConfig,
}

impl HttpClient {
    fn new(client: Client, policies: Policies) -> Self {
        Self {
            client,
            policies,
            config: HttpConfig::new(),
        }
    }

    /// A client with a policy for each host, so that one that fails does not open the circuit for others. `policy` is given the
    /// host, with its port if the URL has one, and returns the same policy for the same host each time.
    ///
    /// Hosts that strangers name are without number: bound how many policies there are, as
    /// [`KeyedPolicies`](crate::policy::KeyedPolicies) does.
    ///
    /// ```
    /// use c13_reliability::policy::{HttpClient, KeyedPolicies, Profile};
    ///
    /// let hosts = KeyedPolicies::<String>::new("host", Profile::Standard.config())?;
    /// let client = HttpClient::by_host(reqwest::Client::new(), move |host| hosts.get(host));
    /// # let _ = client;
    /// # Ok::<_, c13_reliability::ConfigError>(())
    /// ```
    #[must_use]
    pub fn by_host(client: Client, policy: impl Fn(&str) -> Policy + Send + Sync + 'static) -> Self {
        Self::new(client, Policies::ByHost(Arc::new(policy)))
    }

    /// The same client with other settings.
    ///
    /// # Errors
    ///
    /// The first rule that the settings break.
    pub fn with_config(mut self, config: HttpConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        self.config = config;
        Ok(self)
    }

    /// Begins a request.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> HttpRequest {
        HttpRequest {
            http: self.clone(),
            request: self.client.request(method, url),
        }
    }

    /// Sends a request that was built before.
    ///
    /// # Errors
    ///
    /// A [`PolicyError`] that says which layer ended the call, and holds reqwest's own error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempt that runs. Permits and queue positions are given back.
    pub async fn execute(&self, request: Request) -> Result<Response, PolicyError<Error>> {
        let policy = self.policies.of(request.url().authority());
        let limit = self.config.replay_limit;
        let copy = |request: &Request| {
            let length = request.body().and_then(Body::as_bytes).map_or(0, <[u8]>::len);
            let is_short = u64::try_from(length).is_ok_and(|length| length <= limit);
            request.try_clone().filter(|_| is_short)
        };
        let execute = |request| async { self.client.execute(request).await.map(with_url) };
        let response = send(&policy, &self.config, request, (copy, execute), ByCauses).await?;
        Ok(response.map(Body::wrap).into())
    }
}

/// The methods that begin a request, a row each.
macro_rules! methods {
    ($($name:ident: $method:ident,)+) => {
        impl HttpClient {
            $(
                #[doc = concat!("Begins a request with the method ", stringify!($method), ".")]
                pub fn $name(&self, url: impl IntoUrl) -> HttpRequest {
                    self.request(Method::$method, url)
                }
            )+
        }
    };
}

methods! {
    get: GET,
    head: HEAD,
    put: PUT,
    delete: DELETE,
    post: POST,
    patch: PATCH,
}

/// A request that is built, and then sent through a policy; made by [`HttpClient`].
#[must_use = "a request is not sent until `send` is awaited"]
pub struct HttpRequest {
    http: HttpClient,
    request: RequestBuilder,
}

impl HttpRequest {
    /// Adds a header.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        HeaderName: TryFrom<N>,
        <HeaderName as TryFrom<N>>::Error: Into<http::Error>,
        HeaderValue: TryFrom<V>,
        <HeaderValue as TryFrom<V>>::Error: Into<http::Error>,
    {
        self.with(|request| request.header(name, value))
    }

    /// Adds the header `Idempotency-Key`, by which the server recognises a request that it has had already: so it may be
    /// repeated, whatever its method.
    pub fn idempotency_key(self, key: impl AsRef<str>) -> Self {
        self.header("idempotency-key", key.as_ref())
    }

    /// Sets the body. A stream is sent once.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.with(|request| request.body(body))
    }

    /// Sets the body to a value as JSON.
    pub fn json<T: serde::Serialize + ?Sized>(self, value: &T) -> Self {
        self.with(|request| request.json(value))
    }

    /// Does anything else that reqwest's own builder can.
    ///
    /// ```no_run
    /// # async fn f(prices: c13_reliability::policy::HttpClient) -> Result<(), Box<dyn std::error::Error>> {
    /// let request = prices.get("http://prices/today").with(|request| request.bearer_auth("token"));
    /// let response = request.send().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with(self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        Self {
            http: self.http,
            request: change(self.request),
        }
    }

    /// Sends the request through the policy.
    ///
    /// # Errors
    ///
    /// As for [`HttpClient::execute`]; a request that cannot be built is not sent.
    ///
    /// # Cancel safety
    ///
    /// As for [`HttpClient::execute`].
    pub async fn send(self) -> Result<Response, PolicyError<Error>> {
        match self.request.build() {
            Ok(request) => self.http.execute(request).await,
            Err(error) => Err(PolicyError::Failed {
                policy: self.http.policies.name(),
                error,
                attempts: 0,
                gave_up: None,
            }),
        }
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request.fmt(f)
    }
}

impl Outgoing for Request {
    fn method(&self) -> &Method {
        self.method()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
}

/// The response as the common type. Its URL goes along in the extensions, where reqwest looks for it.
fn with_url(response: Response) -> http::Response<Body> {
    let url = http::Response::builder().url(response.url().clone()).body(());
    let mut response = http::Response::from(response);
    if let Ok(holder) = url {
        response.extensions_mut().extend(holder.into_parts().0.extensions);
    }
    response
}
