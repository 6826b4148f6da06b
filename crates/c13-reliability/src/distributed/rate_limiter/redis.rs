//! The backend of shared limits on Redis: one script a request, by the server's clock.

use super::backend::{QuotaBackend, Taken};
use super::config::Limit;
use crate::distributed::lock::{Answer, BackendError, BackendErrorKind};
use crate::distributed::redis::{Keys, Redis, Script};
use crate::error::ConfigError;
use std::time::Duration;

/// Keeps shared limits on a Redis. Limits that are used together must be of one hash slot of a cluster.
///
/// A limit is a number under the key `{KEY}:c13:limit`, which expires once the limit is full again; no lock can have that
/// name. A restart or failover that forgets it allows one more burst, and so does a server that evicts
/// ([`Redis::evicts`]).
#[derive(Clone, Debug)]
pub struct RedisQuota {
    redis: Redis,
}

static TAKE: Script = Script::new(include_str!("take.lua"));

/// For how long after a request a process counts as one that shares the limit.
const ACTIVE: Duration = Duration::from_secs(10);

impl RedisQuota {
    /// Keeps limits on this Redis. Give it a connection of its own, apart from that of locks, whose renewals must not wait.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    async fn take_now(&self, limits: &[Limit], want: u64, least: u64, process: &str) -> Result<Taken, BackendError> {
        let refused = |error: ConfigError| BackendError::new(BackendErrorKind::Refused, error.to_string());
        let mut keys = Vec::new();
        for limit in limits {
            keys.push(beside(&limit.key).map_err(refused)?.named("limit"));
        }
        keys.push(beside(&limits[0].key).map_err(refused)?.named("processes"));
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
        let (granted, wait, active): (u64, i64, u32) = TAKE
            .run(&self.redis, &keys, &arguments)
            .await
            .map_err(|error| self.redis.failure(error))?;
        let taken = if granted > 0 {
            Taken::granted(granted)
        } else {
            Taken::refused(u64::try_from(wait).ok().map(Duration::from_micros))
        };
        Ok(taken.active(active))
    }
}

fn beside(key: &str) -> Result<Keys, ConfigError> {
    Keys::beside("shared rate limit", key)
}

impl QuotaBackend for RedisQuota {
    fn check_key(&self, key: &str) -> Result<(), ConfigError> {
        beside(key).map(drop)
    }

    fn take<'a>(&'a self, limits: &'a [Limit], want: u64, least: u64, process: &'a str) -> Answer<'a, Taken> {
        Box::pin(self.take_now(limits, want, least, process))
    }
}
