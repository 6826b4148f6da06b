//! A piece of text that several processes change one after the other: in a file of this machine, or on a Redis.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use c13_reliability::distributed::Redis;
use c13_reliability::time::{Clock, wall_micros};

/// Where the text is.
#[derive(Debug)]
pub(crate) enum Cell {
    File(PathBuf),
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
    /// may be asked more than once.
    pub(crate) async fn update<T>(&self, mut change: impl FnMut(&str, u64) -> (String, T)) -> Result<T, String> {
        match self {
            Self::File(path) => in_file(path, change).map_err(|error| format!("{}: {error}", path.display())),
            Self::Redis { redis, key } => {
                let changing = async {
                    for _ in 0..TRIES {
                        let (text, seconds, micros): (String, u64, u64) =
                            ask(redis, redis::cmd("EVAL").arg(READ).arg(1).arg(key)).await?;
                        let (changed, value) = change(&text, seconds * 1_000_000 + micros);
                        let mut write = redis::cmd("EVAL");
                        write.arg(WRITE).arg(1).arg(key).arg(&text).arg(changed);
                        let written: u8 = ask(redis, write.arg(KEEP.as_millis() as u64)).await?;
                        if written == 1 {
                            return Ok(value);
                        }
                    }
                    Err(format!("others were quicker {TRIES} times"))
                };
                let changed = Clock::system().timeout(LIMIT, changing).await;
                changed.unwrap_or_else(|_| Err(format!("no answer within {LIMIT:?}")))
            }
        }
    }
}

async fn ask<T: redis::FromRedisValue>(redis: &Redis, command: &redis::Cmd) -> Result<T, String> {
    let value = redis.request(command).await.map_err(|error| error.to_string())?;
    redis::from_redis_value(value).map_err(|error| error.to_string())
}

fn in_file<T>(path: &PathBuf, mut change: impl FnMut(&str, u64) -> (String, T)) -> io::Result<T> {
    let mut file: File = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    file.lock()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let (changed, value) = change(&text, wall_micros());
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(changed.as_bytes())?;
    Ok(value)
}
