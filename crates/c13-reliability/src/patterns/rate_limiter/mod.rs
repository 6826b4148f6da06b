//! Rate limiters: how many requests a time may bring.
//!
//! # Quick start
//!
//! ```
//! use c13_reliability::patterns::rate_limiter::{RateLimiterConfig, TokenBucketRateLimiter};
//! use c13_reliability::time::Clock;
//! use std::time::Duration;
//!
//! // 100 requests a second, 20 at once, and a caller waits at most 50 ms for its turn.
//! let config = RateLimiterConfig::new(100.0, 20).max_wait(Duration::from_millis(50));
//! let limiter = TokenBucketRateLimiter::with_config(config, Clock::system())?;
//! if let Err(refused) = limiter.try_acquire(1) {
//!     println!("try again in {:?}", refused.retry_after());
//! }
//! # Ok::<(), c13_reliability::ConfigError>(())
//! ```
//!
//! # Which one
//!
//! | limiter | bound | memory |
//! |---|---|---|
//! | [`TokenBucketRateLimiter`] | `capacity + rate · t` over any time t | one word |
//! | [`SlidingWindowRateLimiter`] | `max_requests` in any window | 8 bytes a request of the window |
//!
//! # Waiting
//!
//! [`try_acquire`](TokenBucketRateLimiter::try_acquire) never waits. [`acquire`](TokenBucketRateLimiter::acquire) waits
//! at most the limiter's `max_wait`, first come first served; a caller whose turn would come too late is refused at once
//! instead of at the end of its patience. A dropped caller takes nothing and holds nobody up.
//!
//! # Defaults
//!
//! | setting | default |
//! |---|---|
//! | `max_wait` | zero: `acquire` refuses at once |
//! | `max_waiters` | [`DEFAULT_MAX_WAITERS`] |

#[cfg(feature = "axum")]
mod axum;
mod bucket;
mod config;
mod counter;
mod desk;
mod error;
mod gcra;
mod keyed;
#[cfg(feature = "tower")]
mod layer;
#[cfg(all(test, c13_loom))]
mod loom;
mod permit;
mod reservation;
mod ring;
mod sharded;
mod sliding_window;
mod snapshot;
mod span;
mod supply;
#[cfg(all(test, not(c13_loom)))]
mod tests;
mod token_bucket;
mod warm_up;
mod window;
mod word;

#[cfg(feature = "axum")]
pub use axum::{KeyedRateLimitFuture, KeyedRateLimitLayer, KeyedRateLimitService};
pub use config::{DEFAULT_MAX_WAITERS, RateLimiterConfig, SlidingWindowConfig, WarmUp};
pub use error::RateLimitError;
pub use keyed::{KeyedConfig, KeyedRateLimiter, KeyedSnapshot, Quota, QuotaStatus, WhenFull};
#[cfg(feature = "tower")]
pub use layer::{Limiter, RateLimitFuture, RateLimitLayer, RateLimitService};
pub use permit::RateLimitPermit;
pub use reservation::Reservation;
pub use sharded::ShardedRateLimiter;
pub use sliding_window::SlidingWindowRateLimiter;
pub(crate) use snapshot::METRICS;
pub use snapshot::RateLimiterSnapshot;
pub use token_bucket::TokenBucketRateLimiter;
