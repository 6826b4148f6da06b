//! The stores of locks, limits and journals: a Redis, or a folder of this machine.

use std::cell::OnceCell;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use c13_reliability::distributed::lock::{Backend, FileBackend, RedisBackend};
use c13_reliability::distributed::rate_limiter::{
    FileQuota, Limit, OnFailure, QuotaBackend, RedisQuota, SharedLimitConfig, SharedRateLimiter, Sharing,
};
use c13_reliability::distributed::{Redis, StateFolder};

use super::journal_store::JournalStore;
use super::key::Key;
use super::plan::LimitPlan;
use super::report::ExitReport;
use super::state_dir;
use crate::output;

/// The stores.
#[derive(Debug)]
pub(crate) enum Stores {
    Redis {
        locks: Redis,
        /// Apart from the locks' connection, whose renewals must not wait.
        others: Redis,
    },
    /// Opened when something is to be kept in it.
    Folder(OnceCell<Local>),
}

/// The folder of this machine.
#[derive(Debug)]
pub(crate) struct Local {
    folder: StateFolder,
    /// One for all locks.
    locks: FileBackend,
}

/// How long Redis may take for a decision.
const LIMIT: Duration = Duration::from_secs(2);
/// How long others may take turns with a file before one of ours comes.
const TURNS: Duration = Duration::from_secs(10);

impl Stores {
    /// The Redis at this URL, or this machine's folder.
    pub(crate) fn of(url: Option<&str>) -> Result<Self, ExitReport> {
        let Some(url) = url else {
            return Ok(Self::Folder(OnceCell::new()));
        };
        // Not the URL itself: it may hold a password.
        let redis = Redis::open(url)
            .map_err(|error| ExitReport::wrong(format!("the URL of Redis makes no sense: {}", error.category())))?;
        Ok(Self::Redis {
            others: redis.another_connection(),
            locks: redis,
        })
    }

    /// How long one request may take: Redis has a second, and a file on which many processes work at once longer.
    pub(crate) fn request_limit(is_redis: bool) -> Duration {
        if is_redis { Duration::from_secs(1) } else { TURNS }
    }

    pub(crate) fn locks(&self) -> Result<Arc<dyn Backend>, ExitReport> {
        Ok(match self {
            Self::Redis { locks, .. } => Arc::new(RedisBackend::new(locks.clone())),
            Self::Folder(local) => Arc::new(opened(local)?.locks.clone()),
        })
    }

    /// Duplicates of the files of all locks that are held here: a process that has them holds the locks too. None on a Redis.
    pub(crate) fn held_files(&self) -> std::io::Result<Vec<File>> {
        match self {
            Self::Redis { .. } => Ok(Vec::new()),
            Self::Folder(local) => local
                .get()
                .map_or_else(|| Ok(Vec::new()), |local| local.locks.held_files()),
        }
    }

    /// By which policy the Redis that was asked evicts keys, if it does.
    pub(crate) fn evicts(&self) -> Option<Arc<str>> {
        match self {
            Self::Redis { locks, others } => locks.evicts().or_else(|| others.evicts()),
            Self::Folder { .. } => None,
        }
    }

    pub(crate) fn limiter(&self, limit: &LimitPlan) -> Result<SharedRateLimiter, ExitReport> {
        let (backend, request): (Arc<dyn QuotaBackend>, _) = match self {
            Self::Redis { others, .. } => (Arc::new(RedisQuota::new(others.clone())), LIMIT),
            Self::Folder(local) => (Arc::new(FileQuota::within(opened(local)?.folder.clone())), TURNS),
        };
        let config = SharedLimitConfig::DEFAULT
            .sharing(Sharing::Exact)
            .on_failure(OnFailure::Deny)
            .request_timeout(request);
        let limits = vec![Limit::new(limit.key.limit(), limit.rate, limit.burst)];
        SharedRateLimiter::try_new(backend, limits, config)
            .map_err(|error| ExitReport::wrong(format!("--limit: {error}")))
    }

    /// The journal of the circuit breaker of this key.
    pub(crate) fn cell(&self, key: &Key) -> Result<JournalStore, ExitReport> {
        let key = key.breaker();
        Ok(match self {
            Self::Redis { others, .. } => JournalStore::Redis {
                redis: others.clone(),
                key,
            },
            Self::Folder(local) => JournalStore::File {
                folder: opened(local)?.folder.clone(),
                name: FileBackend::file_name(&key),
            },
        })
    }
}

fn opened(local: &OnceCell<Local>) -> Result<&Local, ExitReport> {
    if let Some(local) = local.get() {
        return Ok(local);
    }
    let folder = state_dir::open(output::say).map_err(ExitReport::failed)?;
    let locks = FileBackend::within(folder.clone());
    Ok(local.get_or_init(|| Local { folder, locks }))
}
