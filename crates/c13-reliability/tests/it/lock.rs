//! Locks over the backends that need no server: what every backend promises, and what files add to it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "lock/conformance.rs"]
mod conformance;
#[path = "lock/own_backend.rs"]
mod own_backend;

use c13_reliability::distributed::lock::{
    Backend, Claim, Election, FileBackend, Lock, LockConfig, Loss, MemoryBackend, Mode, Quorum, Role,
};
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
        Arc::new(FileBackend::open(&self.0).unwrap())
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
async fn a_duplicate_of_a_locked_file_holds_the_lock_until_it_is_released() {
    let folder = Folder::new("duplicates");
    let config = LockConfig::new(Duration::from_secs(2));
    let (one, other) = (FileBackend::open(&folder.0).unwrap(), folder.backend());
    let other = Lock::new(other, "key", config);
    assert!(one.held_files().unwrap().is_empty());
    // Whoever held it is gone without a release; a duplicate is left.
    let claim = Claim::new(["key".to_owned()].into(), Mode::Exclusive, &config);
    one.acquire(&claim).await.unwrap();
    let duplicates = one.held_files().unwrap();
    assert_eq!(duplicates.len(), 1);
    drop(one);
    assert!(other.try_acquire().await.is_err());
    drop(duplicates);
    drop(other.try_acquire().await.unwrap().release().await);
    // A release is one for all duplicates.
    let one = FileBackend::open(&folder.0).unwrap();
    one.acquire(&claim).await.unwrap();
    let _duplicates = one.held_files().unwrap();
    one.release(&claim, false).await.unwrap();
    assert!(other.try_acquire().await.is_ok());
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

#[test]
fn a_runtime_that_is_dropped_under_a_held_lock_gives_it_back_and_tells_the_holder() {
    let folder = Folder::new("dropped-runtime");
    let runtime = || {
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    // The backend outlives the runtime, and so does the guard.
    let lock = Lock::new(folder.backend(), "key", LockConfig::new(Duration::from_secs(30)));
    let first = runtime();
    let guard = first.block_on(lock.try_acquire()).unwrap();
    assert!(guard.check().is_ok());
    drop(first);
    assert!(guard.check().is_err(), "nobody keeps it any more");
    let other = Lock::new(folder.backend(), "key", LockConfig::new(Duration::from_secs(30)));
    let second = runtime();
    let next = second.block_on(other.try_acquire()).unwrap();
    assert!(next.fence() > guard.fence());
    assert_eq!(second.block_on(guard.lost()).loss, Loss::Unattended);
}

#[tokio::test]
async fn a_majority_of_backends_keeps_what_every_backend_promises() {
    let nodes = (0..3)
        .map(|_| Arc::new(MemoryBackend::new()) as Arc<dyn Backend>)
        .collect();
    conformance::check(Arc::new(Quorum::try_new(nodes).unwrap()), "quorum").await;
}

#[tokio::test]
async fn one_leads_at_a_time_and_terms_grow() {
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let config = LockConfig::new(Duration::from_secs(30));
    let election = || Election::new(Lock::new(backend.clone(), "leader", config));
    let (one, other) = (election(), election());
    let (go, mut gone) = tokio::sync::watch::channel(false);
    let leading = tokio::spawn({
        let (one, gone) = (one.clone(), gone.clone());
        async move {
            one.lead(move |context| {
                let mut gone = gone.clone();
                async move {
                    gone.wait_for(|gone| *gone).await.unwrap();
                    context.fence()
                }
            })
            .await
        }
    });
    one.subscribe().wait_for(|role| *role != Role::Follower).await.unwrap();
    let waiting = tokio::spawn({
        let other = other.clone();
        async move { other.lead(|context| async move { context.fence() }).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(other.role(), Role::Follower);
    go.send_replace(true);
    gone.changed().await.unwrap();
    let (first, second) = (leading.await.unwrap().unwrap(), waiting.await.unwrap().unwrap());
    assert!(second > first);
    assert_eq!((one.role(), other.role()), (Role::Follower, Role::Follower));
}

#[tokio::test]
async fn a_leader_that_loses_the_lock_follows() {
    let folder = Folder::new("leader");
    let lock = Lock::new(folder.backend(), "key", LockConfig::new(Duration::from_millis(60)));
    let election = Election::new(lock);
    let mut role = election.subscribe();
    let candidate = election.clone();
    let leading = tokio::spawn(async move { candidate.lead(|_| std::future::pending::<()>()).await });
    let first = *role.wait_for(|role| *role != Role::Follower).await.unwrap();
    std::fs::remove_file(folder.0.join("key.lock")).unwrap();
    // In between it follows, for too short a time to be seen here for sure.
    let is_later =
        |role: &Role| matches!((first, *role), (Role::Leader { term: a }, Role::Leader { term: b }) if b > a);
    role.wait_for(is_later).await.unwrap();
    leading.abort();
}
