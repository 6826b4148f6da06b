//! The backend of shared limits on Redis: one script a request, by the server's clock.

use super::backend::{QuotaBackend, Taken};
use super::config::Limit;
use crate::distributed::lock::{Answer, BackendError, BackendErrorKind};
use crate::distributed::redis::{Keys, Redis, Script};
use crate::error::ConfigError;
use redis::RedisError;
use std::time::Duration;

/// Keeps shared limits on a Redis. Limits that are used together must be of one hash slot of a cluster.
///
/// A key is a number that lapses once its limit is full again. A restart or failover that forgets it allows one more burst.
#[derive(Clone, Debug)]
pub struct RedisQuota {
    redis: Redis,
}

static TAKE: Script = Script::new(include_str!("take.lua"));

/// How long a process counts as one of those who share a limit.
const ACTIVE: Duration = Duration::from_secs(10);

impl RedisQuota {
    /// Keeps limits on this Redis. Give it a connection of its own, apart from that of locks, whose renewals must not wait.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    async fn take_now(&self, limits: &[Limit], want: u64, least: u64, process: &str) -> Result<Taken, BackendError> {
        let failed = |error: RedisError| BackendError::new(BackendErrorKind::Unanswered, error.to_string());
        let refused = |error: ConfigError| BackendError::new(BackendErrorKind::Refused, error.to_string());
        let mut keys: Vec<String> = limits.iter().map(|limit| limit.key.clone()).collect();
        let beside = Keys::beside("shared rate limit", &limits[0].key).map_err(refused)?;
        keys.push(beside.named("processes"));
        let active = ACTIVE.as_millis();
        let mut arguments = vec![
            want.to_string(),
            least.to_string(),
            process.to_owned(),
            active.to_string(),
        ];
        for limit in limits {
            arguments.extend([limit.rate.to_string(), limit.burst.to_string()]);
        }
        let (granted, wait, active): (u64, i64, u32) =
            TAKE.run(&self.redis, &keys, &arguments).await.map_err(failed)?;
        Ok(Taken {
            granted,
            retry_after: u64::try_from(wait)
                .ok()
                .filter(|_| granted == 0)
                .map(Duration::from_micros),
            active,
        })
    }
}

impl QuotaBackend for RedisQuota {
    fn check_key(&self, key: &str) -> Result<(), ConfigError> {
        Keys::beside("shared rate limit", key).map(drop)
    }

    fn take<'a>(&'a self, limits: &'a [Limit], want: u64, least: u64, process: &'a str) -> Answer<'a, Taken> {
        Box::pin(self.take_now(limits, want, least, process))
    }
}
