//! Rate limiters: how many requests are admitted in a given time.
//!
//! When to use it: to keep the load on a dependency, or on your own service, below what it can bear, and to share capacity
//! fairly between users.
//!
//! # Quick start
//!
//! ```
//! use c13_reliability::patterns::rate_limiter::{RateLimiterConfig, TokenBucketRateLimiter};
//! use c13_reliability::time::Clock;
//! use std::time::Duration;
//!
//! // 100 requests a second, 20 of them at once, and a caller waits at most 50 ms for its turn.
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
//! | [`ShardedRateLimiter`] | the same, for many threads and a large capacity; callers cannot wait | 1 KB, and 256 bytes a further thread |
//! | [`SlidingWindowRateLimiter`] | `max_requests` in any window | 8 bytes a request of the window |
//! | the same, [approximate](SlidingWindowConfig::approximate) | exact to within two where requests come evenly, at worst below `2 · max_requests` | two counters |
//! | [`KeyedRateLimiter`] | any of them (except the sharded one) for each key | 25 bytes a key of 8 bytes, twice that at worst, `max_keys` at most |
//!
//! # Waiting
//!
//! [`try_acquire`](TokenBucketRateLimiter::try_acquire) never waits. [`acquire`](TokenBucketRateLimiter::acquire) waits
//! at most the limiter's `max_wait`, and the queue is first come, first served. A caller whose turn would come too late is
//! refused at once instead of at the end of its wait; too late is after `max_wait`, or at the caller's
//! [`Deadline`](crate::time::Deadline) or after it. A waiter that is dropped takes nothing and delays nobody.
//! [`reserve`](TokenBucketRateLimiter::reserve) sets tokens aside for later.
//!
//! # Defaults
//!
//! | setting | default |
//! |---|---|
//! | `max_wait` | zero: `acquire` refuses at once |
//! | `max_waiters` | [`DEFAULT_MAX_WAITERS`] |
//! | `start_empty`, `paced`, `warm_up`, `shadow`, `approximate` | not set |
//! | [`when_full`](KeyedConfig::when_full) of a keyed limiter | new keys are refused |
//!
//! All settings can be changed while the limiter runs, by `reconfigure`; tokens that are used stay used.
//!
//! # What surprises
//!
//! - The burst is a setting of its own: a bucket of 100 that refills by 10 a second admits 100 at once. Where that is too
//!   many, make the burst small, or space requests evenly with [`paced`](RateLimiterConfig::paced).
//! - Over any time t a bucket admits `capacity + rate · t`, so a full one admits up to twice its capacity in the time that it
//!   takes to refill. Where no window of time may hold more than a fixed number, take a [`SlidingWindowRateLimiter`].
//! - A request above the capacity is [its own error](RateLimitError::ExceedsCapacity): no wait would help.
//! - A small request does not overtake a large one that waits.
//! - A future that waits for its turn must be polled or dropped. One that is kept without being polled is served in its turn,
//!   at most 1 s late, and those behind it after it. The tokens that it was granted are spent; only an exact sliding window,
//!   whose room it would keep, takes them back after 1 s.
//! - Idle keys of a keyed limiter are forgotten when new keys come, or by [`evict_idle`](KeyedRateLimiter::evict_idle):
//!   nothing runs in the background.
//!
//! # Metrics
//!
//! What a limiter in a [registry](crate::snapshot::Registry) reports. [`RateLimiterSnapshot`] and [`KeyedSnapshot`]
//! have the same counts.
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.rate_limit.allowed` | counter | {request} | | Requests that were admitted |
//! | `reliability.rate_limit.rejected` | counter | {request} | | Requests that were refused, at once or after a wait |
//! | `reliability.rate_limit.available` | gauge | {request} | | Requests that could be admitted at once |
//! | `reliability.rate_limit.capacity` | gauge | {request} | | Requests that could be admitted at once at most |
//! | `reliability.rate_limit.waiting` | gauge | {request} | | Callers that wait |
//! | `reliability.rate_limit.keys` | gauge | {key} | | Keys that a keyed limiter keeps |
//! | `reliability.rate_limit.untracked` | counter | {request} | | Requests of new keys that a keyed limiter had no room for, allowed or rejected |
//! | `reliability.rate_limit.keyless` | counter | {request} | | Requests in which a layer found no key |
//! | `reliability.rate_limit.evictions` | counter | {key} | | Idle keys that a keyed limiter forgot |
//!
//! # How it compares
//!
//! `docs/rate-limiter-compared.md` compares it with other limiters, row by row.

mod cold_path;
mod config;
mod counts;
mod error;
mod keyed;
#[cfg(feature = "tower")]
mod layer;
mod permit;
mod sliding_window;
mod snapshot;
#[cfg(all(test, not(c13_loom)))]
mod tests;
mod token_bucket;
mod waitable;
mod waiting;

pub use config::DEFAULT_MAX_WAITERS;
pub use error::RateLimitError;
pub use keyed::{
    ClientAddress, KeyedConfig, KeyedRateLimiter, KeyedSnapshot, Network, Networks, ProxyHeader, Quota, QuotaStatus,
    TrustedProxies, WhenFull, WithoutKey,
};
#[cfg(feature = "axum")]
pub use keyed::{
    KeyedRateLimitFuture, KeyedRateLimitLayer, KeyedRateLimitService, LONGEST_HEADER_KEY, client_address,
    client_behind, header_key,
};
#[cfg(feature = "axum")]
pub(crate) use keyed::{KeylessEvents, add_quota_fields};
#[cfg(feature = "tower")]
pub use layer::{RateLimitFuture, RateLimitLayer, RateLimitService};
pub use permit::RateLimitPermit;
pub use sliding_window::{SlidingWindowConfig, SlidingWindowRateLimiter};
pub use snapshot::RateLimiterSnapshot;
pub use token_bucket::{RateLimiterConfig, Reservation, ShardedRateLimiter, TokenBucketRateLimiter, WarmUp};
