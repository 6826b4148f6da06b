//! A policy whose calls are read through a cache.

use super::started::End;
use super::{CallOptions, PolicyError, TypedPolicy};
use crate::error::Layer;
use crate::patterns::cache::{Cache, LoadError, Loaded};
use crate::time::{Clock, Deadline};
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// A policy whose calls are read through a cache; made by [`TypedPolicy::cached`].
///
/// A hit passes no other layer. Of several calls for one key that is not there, one goes through the policy, and all get
/// what it gives; its error is cloned for them. Waiting for it ends with the total timeout or the deadline of who waits.
/// Where a call failed for want of time, by a deadline of its own for instance, one that has more time left than that call
/// had does not share its error: it makes the call itself, or waits for another that does.
///
/// ```
/// use c13_reliability::patterns::cache::{Cache, CacheConfig};
/// use c13_reliability::policy::{Policy, Profile};
/// # use c13_reliability::time::Executor;
///
/// let prices = Policy::new(Profile::Standard.config())?
///     .typed::<u32, String>()
///     .cached(Cache::<u64, u32>::new(CacheConfig::new().capacity(1_000)));
/// # Executor::new().block_on(async {
/// assert_eq!(prices.call(&7, || async { Ok(42) }).await, Ok(42));
/// assert_eq!(prices.call(&7, || async { Err("down".to_owned()) }).await, Ok(42), "nobody was asked");
/// # });
/// # Ok::<_, c13_reliability::ConfigError>(())
/// ```
pub struct CachedPolicy<C, P> {
    cache: C,
    policy: P,
}

impl<K, T, E> CachedPolicy<Cache<K, T>, TypedPolicy<T, E>>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    pub(super) fn new(cache: Cache<K, T>, policy: TypedPolicy<T, E>) -> Self {
        Self { cache, policy }
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache<K, T> {
        &self.cache
    }

    /// The policy around the calls.
    #[must_use]
    pub fn policy(&self) -> &TypedPolicy<T, E> {
        &self.policy
    }
}

impl<K, T, E> CachedPolicy<Cache<K, T>, TypedPolicy<T, E>>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Gives what is cached under `key`, or makes a call through the policy and keeps what it gives.
    ///
    /// # Errors
    ///
    /// As for [`TypedPolicy::call`]. [`Layer::Cache`] refused where a call that this one waited for panicked, where somebody
    /// has told the cache that there is nothing under the key, and where an operation makes a call for its own key, which
    /// would wait for itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends its wait; a call that others wait for too is then made by one of them.
    pub async fn call<F, Fut>(&self, key: &K, operation: F) -> Result<T, PolicyError<E>>
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.call_with(key, CallOptions::new(), operation).await
    }

    /// Like [`call`](Self::call), with what `options` say.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// As for [`call`](Self::call).
    pub async fn call_with<F, Fut>(&self, key: &K, options: CallOptions, operation: F) -> Result<T, PolicyError<E>>
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.policy.or_fallback(self.read(key, options, operation)).await
    }

    async fn read<F, Fut>(&self, key: &K, options: CallOptions, operation: F) -> Result<T, PolicyError<E>>
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let policy = self.policy.clone();
        // A refresh in the background has the policy's time limit, and not this call's deadline.
        let load = move || async move {
            let clock = policy.policy().clock();
            let (_, end) = End::from_now(&policy.policy().parts(), None);
            let result = policy.call_inside(CallOptions::new(), operation).await;
            result
                .map(Loaded::found)
                .map_err(|error| Failure::of(error, end, &clock))
        };
        let (clock, end) = {
            let parts = self.policy.policy().parts();
            let (_, end) = End::from_now(&parts, options.deadline.as_ref());
            (parts.clock.clone(), end)
        };
        let read = self.cache.find_or_load_if(key, load, |failure: &Failure<E>| {
            failure.is_for(|| end.at - clock.now())
        });
        let result = if end.is_some() {
            let read = Deadline::at(&clock, end.at).scope(read);
            let Ok(result) = clock.timeout_at(end.at, read).await else {
                return Err(PolicyError::TimedOut {
                    layer: Layer::TotalTimeout,
                    limit: end.limit(),
                    attempts: 0,
                    last_error: None,
                });
            };
            result
        } else {
            read.await
        };
        match result {
            Ok(Some(value)) => Ok(value),
            Err(LoadError::Failed(failure)) => Err(Arc::unwrap_or_clone(failure).error),
            Ok(None) | Err(_) => Err(PolicyError::Rejected {
                layer: Layer::Cache,
                retry_after: None,
                attempts: 0,
                last_error: None,
            }),
        }
    }
}

/// Why a call failed that others may wait for.
#[derive(Clone)]
struct Failure<E> {
    error: PolicyError<E>,
    /// How much time it had, where more might have helped.
    had: Option<Duration>,
}

impl<E> Failure<E> {
    /// That of a call which was to end by `end`, and just did.
    fn of(error: PolicyError<E>, end: End, clock: &Clock) -> Self {
        let left = end.at - clock.now();
        // No call waits for a token that comes too late for it.
        let token_is_late = || error.is_rate_limited() && error.retry_after().is_some_and(|wait| wait >= left);
        let is_short = error.layer() == Some(Layer::TotalTimeout) || left.is_zero() || token_is_late();
        let had = is_short.then(|| end.limit());
        Self { error, had }
    }

    /// Whether it would have been that of a call with so much time `left` as well.
    fn is_for(&self, left: impl FnOnce() -> Duration) -> bool {
        self.had.is_none_or(|had| left() <= had)
    }
}

impl<C: Clone, P: Clone> Clone for CachedPolicy<C, P> {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            policy: self.policy.clone(),
        }
    }
}

impl<C: fmt::Debug, P: fmt::Debug> fmt::Debug for CachedPolicy<C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedPolicy")
            .field("cache", &self.cache)
            .field("policy", &self.policy)
            .finish()
    }
}
