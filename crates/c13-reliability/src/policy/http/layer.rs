//! A policy around a tower service of HTTP requests: hyper's client, tonic's channel, or any other.

use super::body::PermitBody;
use super::config::HttpConfig;
use super::errors::{ByCauses, ErrorMeaning};
use super::send::{Outgoing, Policies, send};
use crate::error::ConfigError;
use crate::policy::layer::attempt;
use crate::policy::{Policy, PolicyError};
use crate::verdict::Meaning;
use http::{HeaderMap, Method, Request, Response};
use http_body::Body;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Takes the requests of an HTTP client that is a tower service through a policy, by the rules of HTTP: a status of 500 is a
/// failure, `Retry-After` is a floor under the delay, only what may be repeated is, and permits are held to the end of the
/// response's body. Those rules are the same for every client; they are listed at `HttpClient` and in the guide.
///
/// Bodies of requests are cloned for further attempts, or [copied](Self::copying) as you say; one that cannot be is sent once.
///
/// ```no_run
/// use c13_reliability::policy::{HttpLayer, Policy, Profile};
/// use tower::{Layer, Service, ServiceExt};
/// # async fn f<C>(client: C) -> Result<(), Box<dyn std::error::Error>>
/// # where
/// #     C: Service<http::Request<String>, Response = http::Response<String>, Error = std::io::Error> + Clone + Send + 'static,
/// #     C::Future: Send,
/// # {
/// let policy = Policy::new(Profile::Standard.config())?;
/// // `client` is hyper-util's, say.
/// let prices = HttpLayer::new(policy).layer(client);
/// let response = prices.oneshot(http::Request::get("http://prices/today").body(String::new())?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HttpLayer<D = CloneBody, R = ByCauses> {
    policies: Policies,
    config: HttpConfig,
    copy: D,
    errors: R,
}

impl HttpLayer {
    /// All services that it makes share the one policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self::of(Policies::One(policy))
    }

    /// A policy for each host, so that one that fails does not open the circuit for others. `policy` is given the host, with
    /// its port if the URI has one, and returns the same policy for the same host each time.
    ///
    /// Hosts that strangers name are without number: bound how many policies there are, as
    /// [`KeyedPolicies`](crate::policy::KeyedPolicies) does.
    #[must_use]
    pub fn by_host(policy: impl Fn(&str) -> Policy + Send + Sync + 'static) -> Self {
        Self::of(Policies::ByHost(Arc::new(policy)))
    }

    fn of(policies: Policies) -> Self {
        Self {
            policies,
            config: HttpConfig::new(),
            copy: CloneBody,
            errors: ByCauses,
        }
    }
}

impl<D, R> HttpLayer<D, R> {
    /// The same layer with other settings.
    ///
    /// # Errors
    ///
    /// The first rule that the settings break.
    pub fn with_config(mut self, config: HttpConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        self.config = config;
        Ok(self)
    }

    /// `copy` makes the body for another attempt, or returns `None` if it cannot, as for a stream.
    #[must_use]
    pub fn copying<B, C>(self, copy: C) -> HttpLayer<C, R>
    where
        C: Fn(&B) -> Option<B>,
    {
        HttpLayer {
            policies: self.policies,
            config: self.config,
            copy,
            errors: self.errors,
        }
    }

    /// `errors` says what an error of the client means, for one that is no [`Error`](std::error::Error) or that
    /// [`ByCauses`] does not know.
    #[must_use]
    pub fn errors<E, F>(self, errors: F) -> HttpLayer<D, F>
    where
        F: Fn(&E) -> Meaning,
    {
        HttpLayer {
            policies: self.policies,
            config: self.config,
            copy: self.copy,
            errors,
        }
    }
}

/// Makes the body of another attempt. Every closure from a body to such a body, or to `None`, does.
pub trait CopyBody<B> {
    /// The body once more; `None` if it can be sent only once.
    fn copy(&self, body: &B) -> Option<B>;
}

/// The default: the body is cloned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloneBody;

impl<B: Clone> CopyBody<B> for CloneBody {
    fn copy(&self, body: &B) -> Option<B> {
        Some(body.clone())
    }
}

impl<B, F: Fn(&B) -> Option<B>> CopyBody<B> for F {
    fn copy(&self, body: &B) -> Option<B> {
        self(body)
    }
}

impl<S, D: Clone, R: Clone> Layer<S> for HttpLayer<D, R> {
    type Service = HttpService<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service whose HTTP requests go through a policy; made by [`HttpLayer`].
///
/// Each attempt goes to a clone of the service inside and waits until that is ready, within the attempt's time limit.
#[derive(Clone, Debug)]
pub struct HttpService<S, L = HttpLayer> {
    inner: S,
    layer: L,
}

impl<S, D, R, B, T> Service<Request<B>> for HttpService<S, HttpLayer<D, R>>
where
    S: Service<Request<B>, Response = Response<T>> + Clone + Send + 'static,
    S::Error: Send + 'static,
    S::Future: Send,
    T: Body + Send + 'static,
    B: Body + Send + 'static,
    D: CopyBody<B> + Clone + Send + 'static,
    R: ErrorMeaning<S::Error> + Clone + Send + Sync + 'static,
{
    type Response = Response<PermitBody<T>>;
    type Error = PolicyError<S::Error>;
    type Future = HttpFuture<T, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (service, layer) = (self.inner.clone(), self.layer.clone());
        let response = Box::pin(async move {
            let policy = layer
                .policies
                .of(request.uri().authority().map_or("", |authority| authority.as_str()));
            let (limit, copy) = (layer.config.replay_limit, layer.copy);
            let copy = move |request: &Request<B>| copy_request(request, limit, &copy);
            let execute = move |request| attempt(service, request);
            send(&policy, &layer.config, request, (copy, execute), layer.errors).await
        });
        HttpFuture { response }
    }
}

/// The request once more, if its body is known to be within the limit and can be copied.
fn copy_request<B: Body>(request: &Request<B>, limit: u64, copy: &impl CopyBody<B>) -> Option<Request<B>> {
    request.body().size_hint().upper().filter(|upper| *upper <= limit)?;
    let mut again = Request::new(copy.copy(request.body())?);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.version_mut() = request.version();
    *again.headers_mut() = request.headers().clone();
    *again.extensions_mut() = request.extensions().clone();
    Some(again)
}

impl<B> Outgoing for Request<B> {
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

type Sent<T, E> = Pin<Box<dyn Future<Output = Result<Response<PermitBody<T>>, PolicyError<E>>> + Send>>;

/// The response of a service whose HTTP requests go through a policy.
///
/// # Cancel safety
///
/// Dropping it drops the attempts that run. Permits and queue positions are given back.
#[must_use = "futures do nothing unless awaited"]
pub struct HttpFuture<T, E> {
    response: Sent<T, E>,
}

impl<T, E> Future for HttpFuture<T, E> {
    type Output = Result<Response<PermitBody<T>>, PolicyError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.response.as_mut().poll(cx)
    }
}

impl<T, E> fmt::Debug for HttpFuture<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpFuture").finish_non_exhaustive()
    }
}
