//! What many processes share: locks with fencing tokens, and rate limits.
//!
//! | module | what it holds |
//! |---|---|
//! | [`lock`] | locks that tell their holder when they are no longer safe; semaphores, read/write locks, elections |
//! | [`rate_limiter`] | rate limits that hold for all processes together, decided in memory |
//!
//! Everything works on one machine without a server, by backends inside the process or in a folder, and for a fleet on
//! Redis (feature `redis`).

#[cfg(any(feature = "tokio", test))]
mod fence;
#[cfg(feature = "tokio")]
mod file_name;
#[cfg(any(feature = "tokio", test))]
pub mod lock;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "tokio")]
pub mod rate_limiter;
#[cfg(feature = "redis")]
mod redis;
#[cfg(all(feature = "tokio", target_os = "linux"))]
mod state_folder;

#[cfg(any(feature = "tokio", test))]
pub use fence::Fence;
#[cfg(feature = "postgres")]
pub use postgres::{FenceError, PostgresFence};
#[cfg(feature = "redis")]
pub use redis::{Redis, RedisSettings};
#[cfg(all(feature = "tokio", target_os = "linux"))]
pub use state_folder::{FileLock, StateFolder, Turn};

/// The longest name of a lock and key of a limit, in bytes: they may come from a stranger, and are kept.
#[cfg(feature = "tokio")]
const LONGEST_NAME: usize = 1_000;
