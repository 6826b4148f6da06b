//! All of `c13 run`: the lock, the limit, the runs, and what comes of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use c13_reliability::distributed::Redis;
use c13_reliability::distributed::lock::{AcquireError, Backend, FileBackend, Lock, LockGuard, RedisBackend, Status};
use c13_reliability::distributed::rate_limiter::{
    FileQuota, Limit, OnFailure, QuotaBackend, RedisQuota, SharedLimitConfig, SharedLimitError, SharedRateLimiter,
    Sharing,
};
use c13_reliability::time::Clock;

use super::child::{self, Bounds, Ended, NotRun};
use super::plan::{LimitPlan, LockPlan, Plan};
use super::signals::Signals;

/// What came of it: the exit status, and a line for standard error where there is something to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) status: u8,
    pub(crate) message: Option<String>,
}

const NOT_ACQUIRED_MESSAGE: &str = "somebody else has the lock";
/// The lock was lost, and the command stopped.
const LOST: u8 = 76;
/// The command's time was over.
const TIMED_OUT: u8 = 124;
/// The fault is ours, or the backend's.
const FAILED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;
const SIGNALLED: u8 = 128;

impl Report {
    fn status(status: u8) -> Self {
        Self { status, message: None }
    }

    pub(crate) fn new(status: u8, message: impl Into<String>) -> Self {
        Self {
            status,
            message: Some(message.into()),
        }
    }
}

/// Does all of it.
pub(crate) async fn run(plan: Plan) -> Report {
    match attempt(&plan).await {
        Ok(report) | Err(report) => report,
    }
}

async fn attempt(plan: &Plan) -> Result<Report, Report> {
    // Before anything that takes time: a signal that comes while we wait for the lock must not be lost.
    let mut signals = Signals::listen().map_err(|error| Report::new(FAILED, format!("no signals: {error}")))?;
    let clock = Clock::since_boot();
    let guard = match &plan.lock {
        None => None,
        Some(lock) => Some(acquire(plan, lock, &mut signals).await?),
    };
    let result = runs(plan, guard.as_ref(), &mut signals, &clock).await;
    if let Some(guard) = guard {
        // Unconfirmed, it lapses by itself; the command's status is worth more than that.
        drop(guard.release().await);
    }
    result
}

async fn acquire(plan: &Plan, lock: &LockPlan, signals: &mut Signals) -> Result<LockGuard, Report> {
    let backend = lock_backend(plan.redis.as_deref())?;
    let made = Lock::try_new(backend, lock.key.clone(), lock.config);
    let lock = made.map_err(|error| Report::new(FAILED, error.to_string()))?;
    let acquired = tokio::select! {
        biased;
        signal = signals.stop() => {
            return Err(Report::status(SIGNALLED + u8::try_from(signal.as_raw()).unwrap_or(0)));
        }
        acquired = lock.acquire(plan.wait) => acquired,
    };
    acquired.map_err(|error| match error {
        AcquireError::NotAcquired { .. } => Report::new(plan.conflict, NOT_ACQUIRED_MESSAGE),
        error => Report::new(FAILED, error.to_string()),
    })
}

/// Runs the command until it need not be run again.
async fn runs(plan: &Plan, lock: Option<&LockGuard>, signals: &mut Signals, clock: &Clock) -> Result<Report, Report> {
    let limiter = plan.limit.as_ref().map(|limit| limiter(plan, limit)).transpose()?;
    let mut environment = Vec::new();
    if let (Some(lock), Some(planned)) = (lock, &plan.lock) {
        environment.push(("C13_LOCK_KEY", planned.key.clone()));
        environment.push(("C13_LOCK_FENCE", lock.fence().to_string()));
        environment.push(("C13_LOCK_TTL_MS", planned.config.lease.as_millis().to_string()));
    }
    let lease = plan.lock.as_ref().map_or(Duration::ZERO, |lock| lock.config.lease);
    let bounds = Bounds {
        timeout: plan.timeout,
        kill_after: plan.kill_after,
        lock,
        // Within the last third: until then renewals have had two chances.
        lock_grace: plan.kill_after.min(lease / 3),
    };
    let mut ran = 0;
    loop {
        if let Some(limiter) = &limiter {
            let waited = wait_for(limiter, plan.wait, clock);
            tokio::select! {
                biased;
                signal = signals.stop() => return Ok(signalled(signal)),
                waited = waited => waited?,
            }
        }
        let ended = child::run(&plan.command, &environment, &bounds, signals, clock).await;
        ran += 1;
        let status = match ended {
            Ok(Ended::Exited(status)) => status,
            Ok(Ended::Stopped(status)) => return Ok(Report::status(status)),
            Ok(Ended::TimedOut) => TIMED_OUT,
            Ok(Ended::LockLost) => return Ok(Report::new(LOST, "the lock was lost, and the command stopped")),
            Err(NotRun::NotFound(message)) => return Ok(Report::new(NOT_FOUND, message)),
            Err(NotRun::NotExecutable(message)) => return Ok(Report::new(NOT_EXECUTABLE, message)),
            Err(NotRun::Failed(message)) => return Ok(Report::new(FAILED, message)),
        };
        if !plan.runs_again(status, ran) {
            return Ok(match ended {
                Ok(Ended::TimedOut) => Report::new(status, "the command's time was over, and it was stopped"),
                _ => Report::status(status),
            });
        }
        tokio::select! {
            biased;
            signal = signals.stop() => return Ok(signalled(signal)),
            () = clock.sleep(plan.pause(ran)) => {}
        }
    }
}

fn signalled(signal: rustix::process::Signal) -> Report {
    Report::status(SIGNALLED + u8::try_from(signal.as_raw()).unwrap_or(0))
}

async fn wait_for(limiter: &SharedRateLimiter, wait: Duration, clock: &Clock) -> Result<(), Report> {
    let end = clock.now() + wait;
    loop {
        let retry_after = match limiter.acquire(1).await {
            Ok(_) => return Ok(()),
            Err(SharedLimitError::Exceeded { retry_after, .. }) => retry_after,
            Err(error) => return Err(Report::new(FAILED, error.to_string())),
        };
        if clock.now() + retry_after >= end {
            return Err(Report::new(
                75,
                format!("the rate limit is used up, for {retry_after:?}"),
            ));
        }
        clock.sleep(retry_after.max(Duration::from_millis(1))).await;
    }
}

fn limiter(plan: &Plan, limit: &LimitPlan) -> Result<SharedRateLimiter, Report> {
    let backend: Arc<dyn QuotaBackend> = match &plan.redis {
        Some(url) => Arc::new(RedisQuota::new(redis(url)?)),
        None => Arc::new(FileQuota::new(folder()).map_err(|error| Report::new(FAILED, error.to_string()))?),
    };
    let config = SharedLimitConfig::DEFAULT
        .sharing(Sharing::Exact)
        .on_failure(OnFailure::Deny)
        .request_timeout(Duration::from_secs(2));
    let limits = vec![Limit::new(limit.key.clone(), limit.rate, limit.burst)];
    SharedRateLimiter::try_new(backend, limits, config).map_err(|error| Report::new(FAILED, error.to_string()))
}

fn redis(url: &str) -> Result<Redis, Report> {
    // Not the URL itself: it may hold a password.
    Redis::open(url).map_err(|error| Report::new(FAILED, format!("the Redis URL makes no sense: {}", error.category())))
}

fn lock_backend(url: Option<&str>) -> Result<Arc<dyn Backend>, Report> {
    Ok(match url {
        Some(url) => Arc::new(RedisBackend::new(redis(url)?)),
        None => Arc::new(FileBackend::new(folder()).map_err(|error| Report::new(FAILED, error.to_string()))?),
    })
}

/// Where locks and limits of this machine are kept.
fn folder() -> PathBuf {
    std::env::var_os("C13_STATE_DIR").map_or_else(|| std::env::temp_dir().join("c13"), PathBuf::from)
}

/// Who has the lock `key`.
pub(crate) async fn status(key: &str, url: Option<&str>) -> Result<Status, Report> {
    let backend = lock_backend(url)?;
    backend
        .status(key)
        .await
        .map_err(|error| Report::new(FAILED, error.to_string()))
}
