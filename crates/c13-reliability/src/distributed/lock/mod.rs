//! A lock that notifies its holder at the moment it is no longer safe.
//!
//! # Purpose
//!
//! One holder at a time (or one writer, or N), across processes and machines, for work that should not run twice: a cron
//! job, a migration, a consumer of an account. A holder has a lease that is renewed in the background; when the lease can
//! no longer be trusted, because the backend, the network or the process itself stood still, the holder is notified at that
//! moment, and [`Lock::run`] drops the work.
//!
//! # What is promised, and what is not
//!
//! 1. **Efficiency.** At most one holder at a time, except within the failures that a lease cannot cover: a backend that
//!    forgets an acknowledged grant (failover without replication, restart without persistence), and a holder that was
//!    paused between its last check and its write.
//! 2. **Correctness** comes from the [`Fence`](super::Fence) alone: a number that grows with every grant, even across
//!    those failures, and that the resource itself compares. Where work writes to a database, claim the resource with the
//!    fence before reading, and write with it.
//!
//! # Quick start
//!
//! ```
//! use c13_reliability::distributed::lock::{Lock, LockConfig, LockError, MemoryBackend};
//! use std::{sync::Arc, time::Duration};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), LockError<std::io::Error>> {
//! let lock = Lock::new(Arc::new(MemoryBackend::new()), "invoices", LockConfig::DEFAULT);
//! let fence = lock
//!     .run(Duration::from_secs(5), |context| async move {
//!         // … the work, which hands `context.fence()` to what it writes to …
//!         Ok::<_, std::io::Error>(context.fence())
//!     })
//!     .await?;
//! assert!(fence.number() > 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Parts
//!
//! | want | use |
//! |---|---|
//! | a lock, held until a guard is dropped | [`Lock::acquire`] → [`LockGuard`] |
//! | to know what it waits for | [`Lock::acquire_observed`] → [`Waiting`] |
//! | work that is dropped when the lock is lost | [`Lock::run`] |
//! | many readers or one writer | [`RwLock`] |
//! | at most N at a time | [`Semaphore`] |
//! | several locks together | [`Lock::try_of_all`] |
//! | to know whether this process leads | [`Election`] |
//! | locks of this process | [`MemoryBackend`] |
//! | locks of this machine, without a server | [`FileBackend`] (Linux) |
//! | locks of a fleet | `RedisBackend` (feature `redis`): one Redis, Sentinel or Cluster |
//! | a majority of independent servers | [`Quorum`] |
//!
//! # Defaults
//!
//! | setting | default |
//! |---|---|
//! | lease | 30 s |
//! | renewal | every third of the lease |
//! | one request | a sixth of the lease, at most 1 s |
//! | margin | 1 % of the lease and 2 ms |
//! | a waiter polls | every 1 to 1.25 s, and when the holder's lease is over |
//! | the longest that a lock is held | for as long as it is renewed |
//! | a backend that does not answer is asked again | for as long as the waiter waits |
//! | order of waiters | the first to ask after a release |
//!
//! # States
//!
//! `asked → granted → (renewed …) → released | lost`. A lost lock never comes back: its attempt is over, and acquiring
//! again is another attempt with a greater fence. An attempt whose caller has gone is released, and *buried* if one of its
//! requests may still be under way, so that it cannot take the lock later without a holder.
//!
//! # Metrics
//!
//! What a lock in a [registry](crate::snapshot::Registry) reports. [`LockSnapshot`] has the same counts.
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.lock.acquisitions` | counter | {acquisition} | `result`: acquired, not_acquired, error, abandoned | Attempts to acquire the lock, by result |
//! | `reliability.lock.renewals` | counter | {renewal} | `result`: ok, failed | Renewals of the lock, by result |
//! | `reliability.lock.losses` | counter | {loss} | | Leases that were lost before they were released |
//! | `reliability.lock.held` | gauge | {lock} | | Leases that this process holds |
//! | `reliability.lock.wait.duration` | histogram | s | | How long acquisitions waited that got the lock |

#[cfg(feature = "tokio")]
mod attempt;
#[cfg(feature = "tokio")]
mod backend;
mod config;
#[cfg(feature = "tokio")]
mod election;
#[cfg(feature = "tokio")]
mod error;
#[cfg(all(feature = "tokio", target_os = "linux"))]
mod file;
#[cfg(feature = "tokio")]
mod guard;
#[cfg(feature = "tokio")]
mod handle;
#[cfg(feature = "tokio")]
mod holder;
#[cfg(all(test, c13_loom))]
mod loom;
#[cfg(feature = "tokio")]
mod memory;
#[cfg(feature = "tokio")]
mod quorum;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "tokio")]
mod shared;
#[cfg(feature = "tokio")]
mod snapshot;
mod state;
#[cfg(feature = "tokio")]
mod tally;
#[cfg(test)]
#[cfg(all(feature = "tokio", not(c13_loom)))]
mod tests;
mod validity;
#[cfg(feature = "tokio")]
mod waiting;

#[cfg(feature = "tokio")]
pub use backend::{Answer, Attempted, Backend, Claim, Mode, Released, Status, Watch};
pub use config::LockConfig;
#[cfg(feature = "tokio")]
pub use election::{Election, Role};
#[cfg(feature = "tokio")]
pub use error::{AcquireError, BackendError, BackendErrorKind, LockError, Lost};
#[cfg(all(feature = "tokio", target_os = "linux"))]
pub use file::FileBackend;
#[cfg(feature = "tokio")]
pub use guard::{LockContext, LockGuard};
#[cfg(feature = "tokio")]
pub use handle::{Lock, RwLock, Semaphore};
#[cfg(feature = "tokio")]
pub use holder::Holder;
#[cfg(feature = "tokio")]
pub use memory::MemoryBackend;
#[cfg(feature = "tokio")]
pub use quorum::Quorum;
#[cfg(feature = "redis")]
pub use redis::{RedisBackend, RedisDistributedLock, with_distributed_lock};
#[cfg(feature = "tokio")]
pub use snapshot::LockSnapshot;
#[cfg(feature = "tokio")]
pub use state::Loss;
#[cfg(feature = "tokio")]
pub use waiting::Waiting;
