//! A rate limit that a fleet shares, at the speed of memory.
//!
//! # Purpose
//!
//! A dependency's quota holds for all processes together. Asking a server for each call is exact and costs a round trip;
//! a lease takes what the next moment needs in advance, so that a call costs one subtraction, and what is not used lapses,
//! so that the bound stays hard.
//!
//! [`KeyedSharedRateLimiter`] has a limit for each key: leased for the keys that are hot, exact for the others.
//!
//! | sharing | allowed within any time W | a call costs |
//! |---|---|---|
//! | [`Sharing::Exact`] | burst + rate × W | a round trip; refusals are remembered |
//! | [`Sharing::Leased`] | burst + rate × (W + 2 × horizon) | one subtraction; a round trip a batch |
//!
//! A backend that stops answering and comes back with nothing, as a restarted Redis does, acts as a second limit, and the local
//! shares of all processes together as a third, each with its own burst. Let K be the time when the backend dies and K' when
//! it answers again. Tokens that it gave before K are used until K + 2 × horizon at the latest; local shares are used between K
//! and K' + request timeout + 1.5 × `retry_backend`, when the last process has found the backend again; the backend gives
//! tokens again from K' on. Each of the three allows its burst and the rate for its own time, and these times overlap by no
//! more than that, so with [`OnFailure::LocalShare`] any time W sees at most
//! 3 × burst + rate × (W + 2 × horizon + request timeout + 1.5 × `retry_backend`), without the horizon where sharing is
//! exact, plus one call a process for the rounding up of small shares. For that the processes must know how many they are,
//! which they do ten seconds after the last one started.
//!
//! While the backend does not answer, calls are refused, allowed, or limited to the process's share
//! ([`OnFailure`]), and the result says how each was decided ([`DecidedBy`]). The cause is the source of the error of a refused
//! call, and the [snapshot](SharedLimitSnapshot) has it together with a count. An event of the target
//! `c13::shared_rate_limit` reports the beginning of an outage, and again every half minute of it. A process that is stopped
//! keeps no tokens: they lapse by the machine's clock.
//!
//! ```
//! use c13_reliability::distributed::rate_limiter::{Limit, MemoryQuota, SharedLimitConfig, SharedRateLimiter};
//! use std::sync::Arc;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let backend = Arc::new(MemoryQuota::new());
//! let limits = vec![Limit::new("payments", 100.0, 10)];
//! let limiter = SharedRateLimiter::try_new(backend, limits, SharedLimitConfig::DEFAULT)?;
//! limiter.acquire(1).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Defaults
//!
//! | setting | default |
//! |---|---|
//! | sharing | leased, horizon 50 ms |
//! | backend does not answer | the local share |
//! | one request | 50 ms |
//! | a failed backend is left alone | 200 to 300 ms |
//!
//! # Metrics
//!
//! What a shared limit in a [registry](crate::snapshot::Registry) reports. [`SharedLimitSnapshot`] has the same counts.
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.shared_rate_limit.requests` | counter | {request} | `result`: leased, exact, local, unchecked, exceeded, never_possible, unavailable, not_asked, key_too_long | Requests, by result; the first four were allowed, the others refused |
//! | `reliability.shared_rate_limit.keys` | gauge | {key} | | Keys that a keyed limit keeps in memory |
//! | `reliability.shared_rate_limit.processes` | gauge | {process} | | Processes that share the limit |
//! | `reliability.shared_rate_limit.backend_failures` | counter | {failure} | | Requests that the backend of the limit failed or did not answer |

mod asker;
mod backend;
mod config;
mod error;
#[cfg(target_os = "linux")]
mod file;
mod handle;
mod keyed;
mod outage;
#[cfg(feature = "redis")]
mod redis;
mod snapshot;
mod state;
#[cfg(test)]
#[cfg(not(c13_loom))]
mod tests;

pub use backend::{MemoryQuota, QuotaBackend, Taken};
pub use config::{Limit, OnFailure, SharedLimitConfig, Sharing};
pub use error::{DecidedBy, SharedLimitError};
#[cfg(target_os = "linux")]
pub use file::FileQuota;
pub use handle::{Pass, SharedRateLimiter};
pub use keyed::KeyedSharedRateLimiter;
#[cfg(feature = "redis")]
pub use redis::RedisQuota;
pub use snapshot::SharedLimitSnapshot;
