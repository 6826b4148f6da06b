//! A policy for calls of one kind: with predicates, a fallback and a cache of their types.

use super::call::{Rules, call, call_once};
use super::{CachedPolicy, CallOptions, Policy, PolicyError};
use crate::gate::Outcome;
use crate::patterns::cache::Cache;
use crate::patterns::fallback::{Fallback, FallbackError};
use crate::patterns::retry::Verdict;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

/// A [`Policy`] for calls that give `T` or `E`; made by [`Policy::typed`]. Clones share one state, and so do all typed
/// views of one policy: the fallback and the predicates are the view's, everything else is the policy's.
///
/// ```
/// use c13_reliability::gate::Outcome;
/// use c13_reliability::patterns::fallback::Fallback;
/// use c13_reliability::policy::{Policy, PolicyError, Profile};
/// use std::io;
/// # use c13_reliability::time::Executor;
///
/// let quotes = Policy::new(Profile::Standard.config())?
///     .typed::<u32, io::Error>()
///     .classify(|result| match result {
///         Err(error) if error.kind() == io::ErrorKind::InvalidInput => Outcome::Ignored,
///         other => Outcome::of(other),
///     })
///     .retry_if(|error| error.kind() != io::ErrorKind::InvalidInput)
///     .fallback(Fallback::value(7).handles(|error: &PolicyError<io::Error>| error.is_circuit_open() || error.is_timeout()));
///
/// let wrong = || async { Err(io::Error::from(io::ErrorKind::InvalidInput)) };
/// # Executor::new().block_on(async {
/// let error = quotes.call(wrong).await.expect_err("the fallback is for other errors");
/// assert_eq!(error.attempts(), 1);
/// # });
/// # Ok::<_, c13_reliability::ConfigError>(())
/// ```
pub struct TypedPolicy<T, E> {
    policy: Policy,
    classify: Option<Arc<ClassifyFn<T, E>>>,
    verdict: Option<Arc<VerdictFn<T, E>>>,
    fallback: Option<Arc<AnswerFn<T, E>>>,
}

type AnswerFn<T, E> = dyn Fn(Result<T, PolicyError<E>>) -> Result<T, PolicyError<E>> + Send + Sync;
type ClassifyFn<T, E> = dyn Fn(&Result<T, E>) -> Outcome + Send + Sync;
type VerdictFn<T, E> = dyn Fn(&Result<T, E>) -> Verdict + Send + Sync;

impl<T, E> TypedPolicy<T, E> {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            classify: None,
            verdict: None,
            fallback: None,
        }
    }

    /// Sets what a result means to the circuit breaker: success, failure (and for how long to stay open), or nothing.
    #[must_use]
    pub fn classify(mut self, classify: impl Fn(&Result<T, E>) -> Outcome + Send + Sync + 'static) -> Self {
        self.classify = Some(Arc::new(classify));
        self
    }

    /// Sets whether a result is worth another attempt, and when. A value that is still worth one when there are no more is
    /// the result.
    #[must_use]
    pub fn verdict(mut self, verdict: impl Fn(&Result<T, E>) -> Verdict + Send + Sync + 'static) -> Self {
        self.verdict = Some(Arc::new(verdict));
        self
    }

    /// Sets which errors are worth another attempt.
    #[must_use]
    pub fn retry_if(self, retryable: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.verdict(move |result| match result {
            Err(error) if retryable(error) => Verdict::Retry,
            _ => Verdict::Final,
        })
    }

    /// Sets the answer for a call that fails as a whole. It stands outside all layers, so the breaker sees the failures that
    /// it hides.
    ///
    /// If the fallback fails too, its own error is that of the call.
    #[must_use]
    pub fn fallback(mut self, fallback: Fallback<T, PolicyError<E>>) -> Self
    where
        T: Send + Sync + 'static,
        E: Send + Sync + 'static,
    {
        self.fallback = Some(Arc::new(move |result| {
            fallback.answer(result).map_err(|failed| match failed {
                FallbackError::CallFailed(error) | FallbackError::FallbackFailed { error, .. } => error,
            })
        }));
        self
    }

    /// Reads through `cache`: it stands inside the total timeout and outside all other layers, so that a hit costs neither
    /// token nor permit, and concurrent calls for one key are one call.
    #[must_use]
    pub fn cached<K>(self, cache: Cache<K, T>) -> CachedPolicy<Cache<K, T>, Self>
    where
        K: Eq + Hash + Clone + Send + Sync + 'static,
        T: Clone + Send + Sync + 'static,
    {
        CachedPolicy::new(cache, self)
    }

    /// The policy without the types.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Makes a call through the policy: `operation` is run once for each attempt.
    ///
    /// # Errors
    ///
    /// A [`PolicyError`] that says which layer ended the call, and holds the caller's own error; the fallback's, if there
    /// is one and it failed too.
    ///
    /// # Cancel safety
    ///
    /// As for [`Policy::call`].
    pub async fn call<F, Fut>(&self, operation: F) -> Result<T, PolicyError<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.call_with(CallOptions::new(), operation).await
    }

    /// Like [`call`](Self::call), with what `options` say.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// As for [`Policy::call`].
    pub async fn call_with<F, Fut>(&self, options: CallOptions, operation: F) -> Result<T, PolicyError<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.or_fallback(self.call_inside(options, operation)).await
    }

    /// Makes a call that cannot be made twice: through all layers but retry and hedge.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call). A call that was refused is dropped without having been polled.
    ///
    /// # Cancel safety
    ///
    /// As for [`Policy::call`].
    pub async fn call_once<Fut>(&self, future: Fut) -> Result<T, PolicyError<E>>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        self.or_fallback(call_once(&self.policy, self, future)).await
    }

    /// The call without the fallback.
    pub(super) fn call_inside<F, Fut>(
        &self,
        options: CallOptions,
        operation: F,
    ) -> impl Future<Output = Result<T, PolicyError<E>>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        call(&self.policy, options, self, operation)
    }

    pub(super) async fn or_fallback<F>(&self, call: F) -> Result<T, PolicyError<E>>
    where
        F: Future<Output = Result<T, PolicyError<E>>>,
    {
        let result = call.await;
        match &self.fallback {
            Some(answer) => answer(result),
            None => result,
        }
    }
}

impl<T, E> Rules<T, E> for &TypedPolicy<T, E> {
    fn outcome(&self, result: &Result<T, E>) -> Outcome {
        match &self.classify {
            Some(classify) => classify(result),
            None => Outcome::of(result),
        }
    }

    fn verdict(&self, result: &Result<T, E>) -> Verdict {
        match &self.verdict {
            Some(verdict) => verdict(result),
            None => Verdict::of(result),
        }
    }
}

impl<T, E> Clone for TypedPolicy<T, E> {
    fn clone(&self) -> Self {
        Self {
            policy: self.policy.clone(),
            classify: self.classify.clone(),
            verdict: self.verdict.clone(),
            fallback: self.fallback.clone(),
        }
    }
}

impl<T, E> fmt::Debug for TypedPolicy<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedPolicy")
            .field("policy", &self.policy)
            .field("has_fallback", &self.fallback.is_some())
            .finish_non_exhaustive()
    }
}
