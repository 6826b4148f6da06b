//! What many processes share: locks with fencing tokens, and rate limits.
//!
//! | module | what it holds |
//! |---|---|
//! | [`lock`] | locks that tell their holder when they are no longer safe; semaphores, read/write locks, elections |
//!
//! Everything works on one machine without a server, by backends inside the process or in a folder, and for a fleet on
//! Redis (feature `redis`).

mod fence;
pub mod lock;

pub use fence::Fence;
