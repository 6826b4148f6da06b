//! The store of a journal that several processes change one after the other: a file of this machine, or a Redis.

use std::time::Duration;

use c13_reliability::ConfigError;
use c13_reliability::distributed::lock::{BackendError, BackendErrorKind};
use c13_reliability::distributed::{FileLock, Redis, StateFolder};
use c13_reliability::patterns::circuit_breaker::CircuitBreakerConfig;
use c13_reliability::time::{Clock, wall_micros};
use tokio::task::AbortHandle;

use super::journal::{CircuitAnswer, Journal, LEASE};
use crate::output;

/// The place of the journal.
#[derive(Debug)]
pub(crate) enum JournalStore {
    File { folder: StateFolder, name: String },
    Redis { redis: Redis, key: String },
}

/// How often others may be quicker before it is given up.
const TRIES: u32 = 64;
/// How long Redis may take for all of it.
const LIMIT: Duration = Duration::from_secs(2);
/// How long a journal on Redis is kept without a change.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// Reads the text and the server's time in one step.
const READ: &str = "local time = redis.call('TIME')
return {redis.call('GET', KEYS[1]) or '', time[1], time[2]}";
/// Writes the text if no other process was quicker.
const WRITE: &str = "if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1";

/// As long as this is there, others see that the run's process lives.
#[derive(Debug)]
pub(crate) enum Alive {
    /// A file that is locked, and that the kernel unlocks when the process dies.
    File { _lock: Option<FileLock> },
    /// A task that renews the run's lease.
    Redis(AbortHandle),
}

impl Drop for Alive {
    fn drop(&mut self) {
        if let Self::Redis(renewing) = self {
            renewing.abort();
        }
    }
}

impl JournalStore {
    /// Asks the journal for another run of the circuit `key`. Runs whose process has died are forgotten first.
    ///
    /// A damaged journal is taken for empty, and that is said.
    pub(crate) async fn admit(
        &self,
        key: &str,
        config: CircuitBreakerConfig,
    ) -> Result<Result<(CircuitAnswer, Option<Alive>), ConfigError>, BackendError> {
        match self {
            Self::File { folder, name } => {
                let admitted = in_file(folder, name, |journal, now| {
                    for number in journal.running() {
                        let file = run_file(name, number);
                        // Its process has it locked as long as it lives.
                        if let Some(_dead) = folder.try_lock(&file)? {
                            journal.forget(number);
                            folder.remove(&file)?;
                        }
                    }
                    let answer = journal.admit(key, config, now);
                    let alive = match answer {
                        Ok(CircuitAnswer::Admitted(number)) => Some(Alive::File {
                            _lock: folder.try_lock(&run_file(name, number))?,
                        }),
                        _ => None,
                    };
                    Ok(answer.map(|answer| (answer, alive)))
                });
                admitted.await
            }
            Self::Redis { redis, key: at } => {
                let answer = on_redis(redis, at, |journal, now| {
                    let answer = journal.admit(key, config, now);
                    if let Ok(CircuitAnswer::Admitted(number)) = answer {
                        journal.keep(number, now);
                    }
                    answer
                });
                let answer = answer.await?;
                let alive = match answer {
                    Ok(CircuitAnswer::Admitted(number)) => {
                        let renewing = renew(redis.clone(), at.clone(), number);
                        Some(Alive::Redis(tokio::spawn(renewing).abort_handle()))
                    }
                    _ => None,
                };
                Ok(answer.map(|answer| (answer, alive)))
            }
        }
    }

    /// Writes down how a run ended; `None` if that says nothing.
    pub(crate) async fn record(&self, number: u64, ok: Option<bool>) -> Result<(), BackendError> {
        match self {
            Self::File { folder, name } => {
                let recorded = in_file(folder, name, |journal, now| {
                    journal.record(number, now, ok);
                    folder.remove(&run_file(name, number))
                });
                recorded.await
            }
            Self::Redis { redis, key } => on_redis(redis, key, |journal, now| journal.record(number, now, ok)).await,
        }
    }
}

/// The file that the process of a run has locked.
fn run_file(name: &str, number: u64) -> String {
    format!("{name}.run-{number}")
}

/// Changes the journal in a file, at a time in microseconds since 1970, as if alone.
async fn in_file<T>(
    folder: &StateFolder,
    name: &str,
    change: impl FnOnce(&mut Journal, u64) -> Result<T, BackendError>,
) -> Result<T, BackendError> {
    let _turn = folder.turn(&format!("{name}.cell-lock")).await?;
    let file = format!("{name}.cell");
    let before = folder.read(&file, Journal::read)?.unwrap_or_default();
    let mut journal = before.clone();
    let value = change(&mut journal, wall_micros())?;
    if journal != before {
        folder.replace(&file, &journal.text())?;
    }
    Ok(value)
}

/// Changes the journal on Redis, at the server's time, as if alone. `change` may be asked more than once.
async fn on_redis<T>(
    redis: &Redis,
    key: &str,
    mut change: impl FnMut(&mut Journal, u64) -> T,
) -> Result<T, BackendError> {
    let changing = async {
        for _ in 0..TRIES {
            let (stored, seconds, micros): (Vec<u8>, u64, u64) =
                ask(redis, redis::cmd("EVAL").arg(READ).arg(1).arg(key)).await?;
            let whole = std::str::from_utf8(&stored).ok().and_then(Journal::read);
            let is_damaged = whole.is_none();
            let mut journal = whole.unwrap_or_default();
            let value = change(&mut journal, seconds * 1_000_000 + micros);
            let mut write = redis::cmd("EVAL");
            write.arg(WRITE).arg(1).arg(key).arg(&stored).arg(journal.text());
            let written: u8 = ask(redis, write.arg(KEEP.as_millis() as u64)).await?;
            if written == 1 {
                if is_damaged {
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

/// Renews the lease of a run for ever.
async fn renew(redis: Redis, key: String, number: u64) {
    loop {
        Clock::since_boot().sleep(LEASE / 3).await;
        // Unanswered, the next one may be in time.
        drop(on_redis(&redis, &key, |journal, now| journal.keep(number, now)).await);
    }
}

async fn ask<T: redis::FromRedisValue>(redis: &Redis, command: &redis::Cmd) -> Result<T, BackendError> {
    let failed = |error: redis::RedisError| redis.failure(error);
    let value = redis.request(command).await.map_err(failed)?;
    redis::from_redis_value(value).map_err(|error| failed(error.into()))
}
