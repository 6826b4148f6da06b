//! The trait of a health check: a name, and a function that checks one part.

use super::ComponentHealth;
use async_trait::async_trait;

/// Checks one part of a service.
///
/// Write it with `#[async_trait]`. It needs no time limit, no cache and no rate limit:
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
    /// Checks once. Return an error as [`ComponentHealth::unhealthy`].
    ///
    /// # Cancel safety
    ///
    /// The service drops it when its time limit is over and when nobody waits for it any more, so it must leave nothing
    /// half done.
    async fn check(&self) -> ComponentHealth;

    /// The name in reports. The name in a [`ComponentHealth`] that differs from it is not used.
    fn name(&self) -> &str;
}
