//! The token bucket: [`TokenBucketRateLimiter`], and [`ShardedRateLimiter`] for many threads.
//!
//! - `config`: what can be set.
//! - `gcra`: what is decided, as pure functions of a number, the time and the request.
//! - `warm_up`: what a token costs while a limiter warms up, as a plain value.
//! - `packed`: that number in one atomic word, with the settings by which it is read, which may change.
//! - `shared`: the packed bucket with its counts and its queue.
//! - `handle`, `sharded`: what users hold.
//! - `reservation`: tokens that are set aside for a later request.

mod config;
pub(super) mod gcra;
mod handle;
mod packed;
mod reservation;
mod sharded;
pub(super) mod shared;
mod warm_up;

#[cfg(all(test, c13_loom))]
mod loom;

pub use config::{RateLimiterConfig, WarmUp};
pub use handle::TokenBucketRateLimiter;
pub use reservation::Reservation;
pub use sharded::ShardedRateLimiter;
