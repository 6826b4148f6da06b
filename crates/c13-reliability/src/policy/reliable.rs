//! What `#[reliable]` expands to: a call through the policy of a name.

use super::{Policy, PolicyError, installed};
use crate::verdict::Retryable;
use std::future::Future;

/// A call by [`Policy::call`].
///
/// # Errors
///
/// What the function's own error makes of a [`PolicyError`].
///
/// # Panics
///
/// If no policy of this name is [installed](super::install).
///
/// # Cancel safety
///
/// As for [`Policy::call`].
pub async fn call<F, Fut, T, E>(name: &str, operation: F) -> Result<T, E>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: From<PolicyError<E>>,
{
    find(name).call(operation).await.map_err(E::from)
}

/// A call by [`Policy::classify_errors`].
///
/// # Errors
///
/// As for [`call`].
///
/// # Panics
///
/// As for [`call`].
///
/// # Cancel safety
///
/// As for [`Policy::call`].
pub async fn call_classified<F, Fut, T, E>(name: &str, operation: F) -> Result<T, E>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: From<PolicyError<E>> + Retryable,
{
    find(name).classify_errors().call(operation).await.map_err(E::from)
}

/// The same, for a call that may have its effect twice.
///
/// # Errors
///
/// As for [`call`].
///
/// # Panics
///
/// As for [`call`].
///
/// # Cancel safety
///
/// As for [`Policy::call`].
pub async fn call_idempotent<F, Fut, T, E>(name: &str, operation: F) -> Result<T, E>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: From<PolicyError<E>> + Retryable,
{
    find(name)
        .classify_errors()
        .idempotent()
        .call(operation)
        .await
        .map_err(E::from)
}

fn find(name: &str) -> Policy {
    installed(name).unwrap_or_else(|| {
        panic!("no policy is called `{name}`; install it with `policy::install` or `PolicyRegistry::install` first")
    })
}
