//! The token bucket: [`TokenBucketRateLimiter`], and [`ShardedRateLimiter`] for many threads.

pub(super) mod gcra;
mod handle;
mod packed;
mod reservation;
mod sharded;
pub(super) mod shared;
mod warm_up;

#[cfg(all(test, c13_loom))]
mod loom;

pub use handle::TokenBucketRateLimiter;
pub use reservation::Reservation;
pub use sharded::ShardedRateLimiter;
