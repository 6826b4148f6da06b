//! A health check of Redis.

use super::{ComponentHealth, HealthChecker, words};
use crate::distributed::Redis;
use async_trait::async_trait;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use std::error::Error;
use std::io;

/// Sends `PING` to a Redis.
///
/// Pass a clone of the [`Redis`] that the service's locks and limits use. Then the check uses their connection, and the
/// first user of a broken connection opens a new one, so that the service is healthy again as soon as the server is. No
/// task waits for a server that hangs: the request is dropped when the time limit is over.
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
///     CheckSettings::shared().every(Duration::from_secs(1)),
/// )?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RedisChecker {
    name: String,
    redis: Redis,
}

impl RedisChecker {
    /// A check of this Redis, under the name `redis`.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self::named("redis", redis)
    }

    /// A check of this Redis under this name, for services with several.
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
            Err(error) => ComponentHealth::unhealthy(self.name(), kind(&error)),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// The kind of an error. The server's own text may contain requests and settings, so it is not shown.
fn kind(error: &RedisError) -> &'static str {
    if error.is_timeout() {
        return "timed out";
    }
    match error.kind() {
        ErrorKind::Io => match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
            Some(source) => words::of_io(source),
            None if error.is_connection_refusal() => "connection refused",
            None if error.is_connection_dropped() => "connection broken off",
            None => "cannot reach the host or find its address",
        },
        ErrorKind::AuthenticationFailed => "authentication failed",
        ErrorKind::InvalidClientConfig | ErrorKind::EmptySentinelList => "wrong settings of the connection",
        ErrorKind::MasterNameNotFoundBySentinel | ErrorKind::NoValidReplicasFoundBySentinel => {
            "the sentinels know no server of this name"
        }
        ErrorKind::ClusterConnectionNotFound => "no node of the cluster can be reached",
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType | ErrorKind::RESP3NotSupported => "protocol error",
        ErrorKind::Server(ServerErrorKind::BusyLoading) => "the server is still loading its data",
        ErrorKind::Server(ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown) => "the cluster is down",
        ErrorKind::Server(ServerErrorKind::NoPerm) => "permission denied",
        _ => match error.code() {
            Some("NOAUTH" | "WRONGPASS") => "authentication failed",
            Some("MISCONF") => "the server cannot save its data",
            Some("OOM") => "the server is out of memory",
            _ => "the server answered with an error",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_by_their_kind_and_never_by_their_text() {
        let refused: RedisError = io::Error::new(io::ErrorKind::ConnectionRefused, "s3cret").into();
        let late: RedisError = io::Error::new(io::ErrorKind::TimedOut, "s3cret").into();
        let of = |kind: ErrorKind| RedisError::from((kind, "s3cret", "s3cret".to_owned()));
        for (error, words) in [
            (refused, "connection refused"),
            (late, "timed out"),
            (of(ErrorKind::AuthenticationFailed), "authentication failed"),
            (of(ErrorKind::InvalidClientConfig), "wrong settings of the connection"),
            (of(ErrorKind::Parse), "protocol error"),
            (of(ErrorKind::Server(ServerErrorKind::NoPerm)), "permission denied"),
            (
                of(ErrorKind::Server(ServerErrorKind::ResponseError)),
                "the server answered with an error",
            ),
        ] {
            assert_eq!(kind(&error), words, "{error}");
        }
    }
}
