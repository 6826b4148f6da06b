//! A health check of the free space of a disk.

use super::{ComponentHealth, HealthChecker};
use crate::error::{ConfigError, ConfigValue};
use crate::sync::primitive::Mutex;
use async_trait::async_trait;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Checks the free space of the disk that holds a path.
///
/// In a tokio runtime the system call is made on a thread for blocking work, because a network file system may hang.
/// While one call hangs, no other is made. On systems other than Linux the check reports that it cannot tell.
#[derive(Clone, Debug)]
pub struct DiskSpaceChecker {
    path: PathBuf,
    degraded_below: u64,
    unhealthy_below: u64,
    asking: Arc<Mutex<bool>>,
}

impl DiskSpaceChecker {
    /// Watches the disk that holds `path`: `Degraded` with fewer free bytes than `degraded_below`, `Unhealthy` with
    /// fewer than `unhealthy_below`. Free is what those who are not root may use.
    ///
    /// # Panics
    ///
    /// If `unhealthy_below` is more than `degraded_below`; [`try_new`](Self::try_new) returns the error.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, degraded_below: u64, unhealthy_below: u64) -> Self {
        Self::try_new(path, degraded_below, unhealthy_below).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// If `unhealthy_below` is more than `degraded_below`.
    pub fn try_new(path: impl Into<PathBuf>, degraded_below: u64, unhealthy_below: u64) -> Result<Self, ConfigError> {
        if unhealthy_below > degraded_below {
            let value = ConfigValue::Count(unhealthy_below);
            return Err(ConfigError::new(
                "disk space checker",
                "unhealthy_below",
                value,
                "must be at most `degraded_below`",
            ));
        }
        Ok(Self {
            path: path.into(),
            degraded_below,
            unhealthy_below,
            asking: Arc::default(),
        })
    }

    async fn free(&self) -> Result<u64, String> {
        if std::mem::replace(&mut *self.asking.lock(), true) {
            return Err("the last look at it still hangs".to_owned());
        }
        let asking = Asking(self.asking.clone());
        let path = self.path.clone();
        let ask = move || {
            let _asking = asking;
            free_bytes(&path)
        };
        #[cfg(feature = "tokio")]
        if tokio::runtime::Handle::try_current().is_ok() {
            return tokio::task::spawn_blocking(ask)
                .await
                .unwrap_or_else(|_| Err("the runtime is shutting down".to_owned()));
        }
        ask()
    }
}

/// Marks the system call as done, even if nobody waits for its result any more.
struct Asking(Arc<Mutex<bool>>);

impl Drop for Asking {
    fn drop(&mut self) {
        *self.0.lock() = false;
    }
}

#[cfg(target_os = "linux")]
fn free_bytes(path: &Path) -> Result<u64, String> {
    let disk = rustix::fs::statvfs(path).map_err(|error| format!("cannot look at {}: {error}", path.display()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(target_os = "linux"))]
fn free_bytes(_path: &Path) -> Result<u64, String> {
    Err("free space is only known on Linux".to_owned())
}

#[async_trait]
impl HealthChecker for DiskSpaceChecker {
    async fn check(&self) -> ComponentHealth {
        let free = match self.free().await {
            Ok(free) => free,
            Err(message) => return ComponentHealth::unhealthy(self.name(), message),
        };
        let say = |limit: u64| format!("{} MiB free, wanted {} MiB", free >> 20, limit >> 20);
        if free < self.unhealthy_below {
            ComponentHealth::unhealthy(self.name(), say(self.unhealthy_below))
        } else if free < self.degraded_below {
            ComponentHealth::degraded(self.name(), say(self.degraded_below))
        } else {
            ComponentHealth::healthy(self.name())
        }
    }

    fn name(&self) -> &str {
        "disk_space"
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::HealthStatus;
    use super::*;
    use crate::time::Executor;

    #[test]
    fn the_status_follows_the_free_space() {
        let status = |path: &str, degraded, unhealthy| {
            let checker = DiskSpaceChecker::new(path, degraded, unhealthy);
            Executor::new().block_on(checker.check()).status
        };
        assert_eq!(status("/", 0, 0), HealthStatus::Healthy);
        assert_eq!(status("/", u64::MAX, 0), HealthStatus::Degraded);
        assert_eq!(status("/", u64::MAX, u64::MAX), HealthStatus::Unhealthy);
        assert_eq!(status("/no/such/path", 0, 0), HealthStatus::Unhealthy);
        assert!(DiskSpaceChecker::try_new("/", 1, 2).is_err());
    }

    #[test]
    fn while_one_look_hangs_no_other_is_begun() {
        let checker = DiskSpaceChecker::new("/", 0, 0);
        let executor = Executor::new();
        let hangs = Asking(checker.asking.clone());
        *checker.asking.lock() = true;
        assert_eq!(executor.block_on(checker.check()).status, HealthStatus::Unhealthy);
        drop(hangs);
        assert_eq!(executor.block_on(checker.check()).status, HealthStatus::Healthy);
    }
}
