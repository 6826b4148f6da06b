//! A script that is sent by its hash, and whole where the server does not know it.

use super::connection::Redis;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind, Value};
use std::fmt;
use std::sync::OnceLock;

/// One Lua script. It runs as a whole or, by an error before its first write, not at all.
pub(crate) struct Script {
    code: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    pub(crate) const fn new(code: &'static str) -> Self {
        Self {
            code,
            hash: OnceLock::new(),
        }
    }

    /// Runs it on the server that has `keys`.
    ///
    /// A server that has forgotten it, after a restart, a failover or a flush, is sent the whole of it: one server, one
    /// more round trip, and nothing asked of any other.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        redis: &Redis,
        keys: &[impl AsRef<str>],
        arguments: &[String],
    ) -> RedisResult<T> {
        let hash = self
            .hash
            .get_or_init(|| redis::Script::new(self.code).get_hash().to_owned());
        let value = match redis.request(&command("EVALSHA", hash, keys, arguments)).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                redis.request(&command("EVAL", self.code, keys, arguments)).await?
            }
            value => value?,
        };
        Ok(redis::from_redis_value(value)?)
    }

    /// Runs it and waits, on the same connection, until `replicas` have what it wrote, at most for `timeout_ms`.
    ///
    /// Gives what the script returned and how many replicas have it. The connection does nothing else meanwhile.
    pub(crate) async fn run_and_wait<T: FromRedisValue>(
        &self,
        redis: &Redis,
        keys: &[impl AsRef<str>],
        arguments: &[String],
        replicas: u32,
        timeout_ms: u64,
    ) -> RedisResult<(T, u32)> {
        let mut pipeline = redis::pipe();
        // Whole, because a pipeline cannot stop in the middle to send it again.
        pipeline.add_command(command("EVAL", self.code, keys, arguments));
        pipeline.cmd("WAIT").arg(replicas).arg(timeout_ms);
        let values: Vec<Value> = redis.pipeline(&pipeline).await?;
        let [value, waited] = <[Value; 2]>::try_from(values)
            .map_err(|_| RedisError::from((ErrorKind::UnexpectedReturnType, "two commands, but not two replies")))?;
        Ok((redis::from_redis_value(value)?, redis::from_redis_value(waited)?))
    }
}

fn command(name: &str, script: &str, keys: &[impl AsRef<str>], arguments: &[String]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(keys.len());
    for key in keys {
        command.arg(key.as_ref());
    }
    command.arg(arguments);
    command
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").finish_non_exhaustive()
    }
}
