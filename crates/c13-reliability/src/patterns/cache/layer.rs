//! The cache as a tower layer: for HTTP GETs, and for any other request that has a key.

use super::error::LoadError;
use super::handle::Cache;
use super::loaded::Loaded;
use std::fmt;
use std::future::{Future, poll_fn};
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a cache before a service. `F` gives a request's key, or `None` for one that must reach the service, such as an HTTP
/// request that is no GET.
///
/// All services that it makes share the one cache that it was given. They are always ready: an answer from the cache does not
/// wait for the service, and stale answers are served while it is down. A request that does reach the service waits until
/// it is ready.
///
/// A response is cloned for each caller, so its body must be whole and cheap to clone: `http::Response<Bytes>`, not a
/// stream.
///
/// ```
/// use c13_reliability::patterns::cache::{Cache, CacheConfig, CacheLayer};
/// use c13_reliability::time::Executor;
/// use std::io;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// type Request = (&'static str, &'static str);
/// let cache: Cache<&'static str, String> = Cache::new(CacheConfig::new());
/// let key = |(method, path): &Request| (*method == "GET").then_some(*path);
/// let backend = service_fn(|(_, path): Request| async move { Ok::<_, io::Error>(format!("the page {path}")) });
/// let service = CacheLayer::new(cache.clone(), key).layer(backend);
/// for _ in 0..2 {
///     let page = Executor::new().block_on(service.clone().oneshot(("GET", "/lamps")));
///     assert_eq!(page.ok().as_deref(), Some("the page /lamps"));
/// }
/// assert_eq!((cache.snapshot().hits, cache.snapshot().loads), (1, 1));
/// ```
pub struct CacheLayer<K, V, F> {
    cache: Cache<K, V>,
    key: F,
    keep: Keeps<V>,
}

type Keeps<V> = Arc<dyn Fn(V) -> Loaded<V> + Send + Sync>;

impl<K, V: 'static, F> CacheLayer<K, V, F> {
    /// Keeps every response as the cache's settings say.
    #[must_use]
    pub fn new(cache: Cache<K, V>, key: F) -> Self {
        Self::keeping(cache, key, Loaded::found)
    }

    /// `keep` says how long to keep each response: by its `Cache-Control`, or not at all if it is no success.
    #[must_use]
    pub fn keeping(cache: Cache<K, V>, key: F, keep: impl Fn(V) -> Loaded<V> + Send + Sync + 'static) -> Self {
        Self {
            cache,
            key,
            keep: Arc::new(keep),
        }
    }
}

impl<K, V, F: Clone> Clone for CacheLayer<K, V, F> {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            key: self.key.clone(),
            keep: self.keep.clone(),
        }
    }
}

impl<S, K, V, F: Clone> Layer<S> for CacheLayer<K, V, F> {
    type Service = CacheService<S, K, V, F>;

    fn layer(&self, inner: S) -> Self::Service {
        CacheService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service behind a cache; made by [`CacheLayer`].
pub struct CacheService<S, K, V, F> {
    inner: S,
    layer: CacheLayer<K, V, F>,
}

impl<S, K, V, F, R> Service<R> for CacheService<S, K, V, F>
where
    S: Service<R, Response = V> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + Sync + 'static,
    R: Send + 'static,
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    F: Fn(&R) -> Option<K>,
{
    type Response = V;
    type Error = LoadError<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<V, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let inner = self.inner.clone();
        let Some(key) = (self.layer.key)(&request) else {
            return Box::pin(async move {
                let answer = call(inner, request).await;
                answer.map_err(|error| LoadError::Failed(Arc::new(error)))
            });
        };
        let (cache, keep) = (self.layer.cache.clone(), self.layer.keep.clone());
        Box::pin(async move {
            let load = || async move { call(inner, request).await.map(|answer| keep(answer)) };
            cache.find_or_load(&key, load).await?.ok_or(LoadError::Absent)
        })
    }
}

/// Calls the same service that became ready.
async fn call<S: Service<R>, R>(mut service: S, request: R) -> Result<S::Response, S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

impl<S: Clone, K, V, F: Clone> Clone for CacheService<S, K, V, F> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<K, V, F> fmt::Debug for CacheLayer<K, V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, K, V, F> fmt::Debug for CacheService<S, K, V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheService")
            .field("inner", &self.inner)
            .field("cache", &self.layer.cache)
            .finish_non_exhaustive()
    }
}
