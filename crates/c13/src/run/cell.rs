//! The text of a journal that several processes change one after the other: in a file of this machine, or on a Redis.

use std::time::Duration;

use c13_reliability::distributed::lock::{BackendError, BackendErrorKind};
use c13_reliability::distributed::{Redis, StateFolder};
use c13_reliability::time::{Clock, wall_micros};

use super::journal::Journal;
use crate::output;

/// Where the text is.
#[derive(Debug)]
pub(crate) enum Cell {
    File { folder: StateFolder, name: String },
    Redis { redis: Redis, key: String },
}

/// How often others may be quicker before it is given up.
const TRIES: u32 = 64;
/// How long Redis may take for all of it.
const LIMIT: Duration = Duration::from_secs(2);
/// How long a text on Redis is kept without a change.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// Reads the text and the server's time in one step.
const READ: &str = "local time = redis.call('TIME')
return {redis.call('GET', KEYS[1]) or '', time[1], time[2]}";
/// Writes the text if nobody was quicker.
const WRITE: &str = "if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1";

impl Cell {
    /// Replaces the text by what `change` makes of it and of the time in microseconds since 1970, as if alone. `change`
    /// may be asked more than once. A damaged text is taken for empty, and that is said.
    pub(crate) async fn update<T>(&self, mut change: impl FnMut(&str, u64) -> (String, T)) -> Result<T, BackendError> {
        match self {
            Self::File { folder, name } => {
                let _turn = folder.turn(&format!("{name}.cell-lock")).await?;
                let name = format!("{name}.cell");
                let whole = |text: &str| Journal::read(text).map(|_| text.to_owned());
                let text = folder.read(&name, whole)?.unwrap_or_default();
                let (changed, value) = change(&text, wall_micros());
                if changed != text {
                    folder.replace(&name, &changed)?;
                }
                Ok(value)
            }
            Self::Redis { redis, key } => {
                let changing = async {
                    for _ in 0..TRIES {
                        let (stored, seconds, micros): (Vec<u8>, u64, u64) =
                            ask(redis, redis::cmd("EVAL").arg(READ).arg(1).arg(key)).await?;
                        let text = std::str::from_utf8(&stored).ok();
                        let whole = text.filter(|text| Journal::read(text).is_some());
                        let (changed, value) = change(whole.unwrap_or_default(), seconds * 1_000_000 + micros);
                        let mut write = redis::cmd("EVAL");
                        write.arg(WRITE).arg(1).arg(key).arg(&stored).arg(changed);
                        let written: u8 = ask(redis, write.arg(KEEP.as_millis() as u64)).await?;
                        if written == 1 {
                            if whole.is_none() {
                                output::say(&format!("{key} on Redis: damaged, and taken for empty"));
                            }
                            return Ok(value);
                        }
                    }
                    Err(BackendError::new(
                        BackendErrorKind::Unable,
                        format!("others were quicker {TRIES} times"),
                    ))
                };
                let changed = Clock::system().timeout(LIMIT, changing).await;
                changed.unwrap_or_else(|_| {
                    Err(BackendError::new(
                        BackendErrorKind::Unanswered,
                        format!("no answer within {LIMIT:?}"),
                    ))
                })
            }
        }
    }
}

async fn ask<T: redis::FromRedisValue>(redis: &Redis, command: &redis::Cmd) -> Result<T, BackendError> {
    let failed = |error: redis::RedisError| redis.failure(error);
    let value = redis.request(command).await.map_err(failed)?;
    redis::from_redis_value(value).map_err(|error| failed(error.into()))
}
