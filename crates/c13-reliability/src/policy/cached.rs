//! A policy whose calls are read through a cache.

use super::call::CallLimit;
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
/// A hit passes no other layer. Of several calls for one key that is not cached, one goes through the policy, and all get its
/// result; its error is cloned for them. Each of them waits until its own total timeout or deadline. If the call failed
/// because its time was over, by a short deadline for instance, a call that has more time left than that one had does not
/// share its error: it makes the call itself, or waits for another that does.
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
/// assert_eq!(prices.call(&7, || async { Err("down".to_owned()) }).await, Ok(42), "no call was made");
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
    /// Returns what is cached under `key`, or makes a call through the policy and caches its value.
    ///
    /// # Errors
    ///
    /// As for [`TypedPolicy::call`]. [`Layer::Cache`] refuses if the call that this one waited for panicked, if the cache was
    /// set to have no value under the key, and if an operation makes a call for its own key, which would wait for
    /// itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends its wait. If others wait for the same call, one of them makes it then.
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
            let (_, limit) = CallLimit::from_now(&policy.policy().parts(), None);
            let result = policy.call_inside(CallOptions::new(), operation).await;
            result
                .map(Loaded::found)
                .map_err(|error| Failure::of(error, limit, &clock))
        };
        let (clock, limit) = {
            let parts = self.policy.policy().parts();
            let (_, limit) = CallLimit::from_now(&parts, options.deadline.as_ref());
            (parts.clock.clone(), limit)
        };
        let read = self.cache.find_or_load_if(key, load, |failure: &Failure<E>| {
            failure.is_for(|| limit.at - clock.now())
        });
        let result = if limit.is_some() {
            let read = Deadline::at(&clock, limit.at).scope(read);
            let Ok(result) = clock.timeout_at(limit.at, read).await else {
                return Err(PolicyError::TimedOut {
                    policy: self.policy.policy().name(),
                    layer: Layer::TotalTimeout,
                    limit: limit.length(),
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
            Err(LoadError::DeadlinePassed) => Err(PolicyError::TimedOut {
                policy: self.policy.policy().name(),
                layer: Layer::TotalTimeout,
                limit: limit.length(),
                attempts: 0,
                last_error: None,
            }),
            Ok(None) | Err(_) => Err(PolicyError::Rejected {
                policy: self.policy.policy().name(),
                layer: Layer::Cache,
                retry_after: None,
                opening: None,
                attempts: 0,
                last_error: None,
            }),
        }
    }
}

/// Why a call failed, for the calls that waited for its result.
#[derive(Clone)]
struct Failure<E> {
    error: PolicyError<E>,
    /// How much time it had, where more might have helped.
    had: Option<Duration>,
}

impl<E> Failure<E> {
    /// The failure of a call that had to end by `limit`, and just ended.
    fn of(error: PolicyError<E>, limit: CallLimit, clock: &Clock) -> Self {
        let left = limit.at - clock.now();
        // No call waits for a token that comes too late for it.
        let token_is_late = || error.is_rate_limited() && error.retry_after().is_some_and(|wait| wait >= left);
        let is_short = error.layer() == Some(Layer::TotalTimeout) || left.is_zero() || token_is_late();
        let had = is_short.then(|| limit.length());
        Self { error, had }
    }

    /// Whether a call with so much time `left` would have failed in the same way.
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
