//! What a check is made of: a name, and a look at one part of the world.

use super::ComponentHealth;
use async_trait::async_trait;

/// Looks at one part and says how it is.
///
/// Write it with `#[async_trait]`. It needs no time limit, no cache and no protection against being called too often:
/// [`HealthCheckService`](super::HealthCheckService) has all of that.
///
/// ```
/// use async_trait::async_trait;
/// use c13_reliability::microservices::health::{ComponentHealth, HealthChecker};
///
/// struct Queue;
///
/// #[async_trait]
/// impl HealthChecker for Queue {
///     async fn check(&self) -> ComponentHealth {
///         ComponentHealth::healthy(self.name())
///     }
///
///     fn name(&self) -> &str {
///         "queue"
///     }
/// }
/// ```
#[async_trait]
pub trait HealthChecker {
    /// Looks once. An error is an answer too: [`ComponentHealth::unhealthy`].
    ///
    /// # Cancel safety
    ///
    /// It is dropped when its time limit is over and when nobody waits for it any more, so it must not leave anything
    /// half done.
    async fn check(&self) -> ComponentHealth;

    /// The name in reports. The name in a [`ComponentHealth`] that differs from it is not used.
    fn name(&self) -> &str;
}
