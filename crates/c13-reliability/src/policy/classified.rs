//! A policy for calls whose errors know what they mean, whatever value the calls give.

use super::call::{Cautious, Rules, call, call_once, call_sync};
use super::{CallOptions, Policy, PolicyError};
use crate::gate::Outcome;
use crate::verdict::{Meaning, Retryable, Verdict};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

/// A [`Policy`] for calls that fail with `E`, an error that is [`Retryable`]; made by [`Policy::classify_errors`]. One view
/// serves calls of many result types. Clones share one state, and so do all views of one policy.
///
/// The error says what a failed call means to the circuit breaker, and whether it is worth another attempt. A call is made again
/// only after an attempt that certainly changed nothing, such as a connection that was refused or a transaction that was rolled
/// back. An attempt that was cut off, or that ran into its time limit, may have had its effect, so it is the last, and there
/// are no hedges. For calls that may have their effect twice, such as reads, say [`idempotent`](Self::idempotent): all
/// that may pass is worth another attempt then.
///
/// ```
/// use c13_reliability::policy::{Policy, Profile};
/// use std::io;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), c13_reliability::ConfigError> {
/// let store = Policy::new(Profile::Standard.config())?.classify_errors::<io::Error>();
/// let size = store.call(|| async { Ok(42_u64) }).await;
/// let name = store.call(|| async { Ok("a name") }).await;
/// assert_eq!((size.ok(), name.ok()), (Some(42), Some("a name")));
///
/// let reset = || async { Err::<(), _>(io::Error::from(io::ErrorKind::ConnectionReset)) };
/// assert_eq!(store.call(reset).await.expect_err("it always fails").attempts(), 1);
/// let reads = store.idempotent();
/// assert_eq!(reads.call(reset).await.expect_err("it always fails").attempts(), 3);
/// # Ok(())
/// # }
/// ```
pub struct ClassifiedPolicy<E> {
    policy: Policy,
    idempotent: bool,
    error: PhantomData<fn(&E)>,
}

impl<E> ClassifiedPolicy<E> {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            idempotent: false,
            error: PhantomData,
        }
    }

    /// The view for calls that may have their effect twice, such as reads: an attempt whose effect is unknown is worth another
    /// one too, and so is one that ran into its time limit.
    #[must_use]
    pub fn idempotent(&self) -> Self {
        Self {
            idempotent: true,
            ..self.clone()
        }
    }

    /// The policy without the type.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}

impl<E: Retryable> ClassifiedPolicy<E> {
    /// Makes a call through the policy: `operation` is run once for each attempt.
    ///
    /// # Errors
    ///
    /// A [`PolicyError`] that says which layer ended the call, and holds the caller's own error.
    ///
    /// # Cancel safety
    ///
    /// As for [`Policy::call`].
    pub async fn call<F, Fut, T>(&self, operation: F) -> Result<T, PolicyError<E>>
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
    pub async fn call_with<F, Fut, T>(&self, options: CallOptions, operation: F) -> Result<T, PolicyError<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        if self.idempotent {
            call(&self.policy, options, self, operation).await
        } else {
            call(&self.policy, options, Cautious(self), operation).await
        }
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
    pub async fn call_once<Fut, T>(&self, future: Fut) -> Result<T, PolicyError<E>>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        call_once(&self.policy, self, future).await
    }

    /// Makes a call that is a plain function, as [`Policy::call_sync`] does.
    ///
    /// # Errors
    ///
    /// A [`PolicyError`] that says which layer refused, or holds the caller's own error.
    pub fn call_sync<F, T>(&self, operation: F) -> Result<T, PolicyError<E>>
    where
        F: FnOnce() -> Result<T, E>,
    {
        call_sync(&self.policy.parts(), operation, &self)
    }
}

impl<T, E: Retryable> Rules<T, E> for &ClassifiedPolicy<E> {
    fn outcome(&self, result: &Result<T, E>) -> Outcome {
        Outcome::by_error(result)
    }

    fn verdict(&self, result: &Result<T, E>) -> Verdict {
        let meaning = Meaning::by_error(result);
        if self.idempotent || meaning.had_no_effect {
            meaning.verdict
        } else {
            Verdict::Final
        }
    }
}

impl<E> Clone for ClassifiedPolicy<E> {
    fn clone(&self) -> Self {
        Self {
            policy: self.policy.clone(),
            ..*self
        }
    }
}

impl<E> fmt::Debug for ClassifiedPolicy<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassifiedPolicy")
            .field("policy", &self.policy)
            .field("idempotent", &self.idempotent)
            .finish()
    }
}
