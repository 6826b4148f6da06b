//! Locks over the backends that need no server: what every backend promises, and what files add to it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "lock/conformance.rs"]
mod conformance;

use c13_reliability::distributed::lock::{Backend, FileBackend, Lock, LockConfig, MemoryBackend};
use std::sync::Arc;
use std::time::Duration;

/// A folder of its own for one test, gone afterwards.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("c13-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        Self(folder)
    }

    fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(FileBackend::new(&self.0).unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[tokio::test]
async fn the_backend_in_memory_keeps_what_every_backend_promises() {
    conformance::check(Arc::new(MemoryBackend::new()), "memory").await;
}

#[tokio::test]
async fn the_backend_in_files_keeps_what_every_backend_promises() {
    let folder = Folder::new("conformance");
    conformance::check(folder.backend(), "a name / with {odd} characters").await;
}

#[tokio::test]
async fn two_processes_share_lock_files_and_fences_go_on_growing() {
    let folder = Folder::new("shared");
    // Two backends stand for two processes: each opens the files by itself.
    let config = LockConfig::new(Duration::from_secs(2));
    let (one, other) = (
        Lock::new(folder.backend(), "key", config),
        Lock::new(folder.backend(), "key", config),
    );
    let guard = one.try_acquire().await.unwrap();
    assert!(other.try_acquire().await.is_err());
    let fence = guard.fence();
    let waiter = tokio::spawn(async move { other.acquire(Duration::from_secs(5)).await });
    guard.release().await.unwrap();
    let guard = waiter.await.unwrap().unwrap();
    assert!(guard.fence() > fence);
    assert_eq!(one.status().await.unwrap().fence, Some(guard.fence()));
}

#[tokio::test]
async fn a_lock_file_that_somebody_removes_is_a_lost_lock() {
    let folder = Folder::new("removed");
    let lock = Lock::new(folder.backend(), "key", LockConfig::new(Duration::from_millis(60)));
    let guard = lock.try_acquire().await.unwrap();
    std::fs::remove_file(folder.0.join("key.lock")).unwrap();
    guard.lost().await;
    assert!(guard.check().is_err());
}
