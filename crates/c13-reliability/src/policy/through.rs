//! A call through a policy, written from left to right.

use super::{Policy, PolicyError};
use std::future::Future;

/// What can be called through a policy: each closure and function without arguments that returns a future.
///
/// ```
/// use c13_reliability::prelude::*;
/// # use c13_reliability::time::Executor;
///
/// async fn fetch_quote() -> std::io::Result<u32> {
///     Ok(42)
/// }
///
/// let quotes = Policy::new(Profile::Standard.config())?;
/// # Executor::new().block_on(async {
/// assert_eq!(fetch_quote.through(&quotes).await.ok(), Some(42));
/// # });
/// # Ok::<_, c13_reliability::ConfigError>(())
/// ```
pub trait ThroughPolicy<Fut, T, E>: FnMut() -> Fut + Sized
where
    Fut: Future<Output = Result<T, E>>,
{
    /// Makes the call by [`Policy::call`]: it is run once for each attempt.
    fn through(self, policy: &Policy) -> impl Future<Output = Result<T, PolicyError<E>>> {
        policy.call(self)
    }
}

impl<F, Fut, T, E> ThroughPolicy<Fut, T, E> for F
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
}
