//! Whether a Redis answers.

use super::{ComponentHealth, HealthChecker};
use crate::distributed::Redis;
use async_trait::async_trait;

/// Asks a Redis for a `PING`.
///
/// Give it a clone of the [`Redis`] that the service's locks and limits use: then it asks over their connection, and a
/// connection that broke is made anew by whoever needs it first, so that the service is well again as soon as the
/// server is. No task waits for a server that hangs: what is asked is dropped when the time limit is over.
///
/// ```
/// use c13_reliability::distributed::Redis;
/// use c13_reliability::microservices::health::{CheckSettings, HealthCheckService, RedisChecker};
/// use std::time::Duration;
///
/// let redis = Redis::open("redis://127.0.0.1:6379")?;
/// let health = HealthCheckService::new("1.4.0".to_owned());
/// health.add(
///     Box::new(RedisChecker::new(redis)),
///     CheckSettings::new().optional().every(Duration::from_secs(1)),
/// )?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RedisChecker {
    name: String,
    redis: Redis,
}

impl RedisChecker {
    /// A check named `redis` of this Redis.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self::named("redis", redis)
    }

    /// A check of this name, for services with several of them.
    #[must_use]
    pub fn named(name: impl Into<String>, redis: Redis) -> Self {
        Self {
            name: name.into(),
            redis,
        }
    }
}

#[async_trait]
impl HealthChecker for RedisChecker {
    async fn check(&self) -> ComponentHealth {
        match self.redis.request(&redis::cmd("PING")).await {
            Ok(_) => ComponentHealth::healthy(self.name()),
            Err(error) => ComponentHealth::unhealthy(self.name(), error.to_string()),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }
}
