//! Fallback: what a call returns when it fails.
//!
//! Use it outermost, where something is better than nothing: a constant, what a function makes of the error, or the last
//! good answer. It never hides the failure from what runs inside: breaker, retry and limiter have recorded theirs
//! before the fallback is asked.
//!
//! # Quick start
//!
//! ```
//! use c13_reliability::patterns::fallback::Fallback;
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let prices = Fallback::<u32, &str>::last_good(Duration::from_secs(60)).or_value(0);
//! assert_eq!(prices.call(async { Err("down") }).await, Ok(0), "nothing good was seen yet");
//! assert_eq!(prices.call(async { Ok(42) }).await, Ok(42));
//! assert_eq!(prices.call(async { Err("down") }).await, Ok(42));
//! # }
//! ```
//!
//! # What happens to a failed call
//!
//! | first that applies | the answer |
//! |---|---|
//! | the error is not handled | the error, as [`CallFailed`](FallbackError::CallFailed) |
//! | there is a last good value, not older than allowed | a clone of it |
//! | there is a value | a clone of it |
//! | there is a function | what it makes of the error; if it fails as well, [`FallbackFailed`](FallbackError::FallbackFailed) with both errors |
//! | nothing | the error, as [`CallFailed`](FallbackError::CallFailed) |
//!
//! # What surprises
//!
//! - [`last_good`](Fallback::last_good) clones each good value, and allocates once to keep it: make it cheap to clone, an
//!   `Arc` or `Bytes`.
//! - A fallback that calls another service is a call like any other. Give it limits of its own, with
//!   [`call_or_else`](Fallback::call_or_else).
//!
//! # How it compares
//!
//! As in Polly and failsafe-go, and also with the last good value, which they leave to a cache. More in
//! `docs/patterns-compared.md`.
//!
//! # Metrics
//!
//! What a fallback in a [registry](crate::snapshot::Registry) reports. [`FallbackSnapshot`] has the same counts.
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.fallback.calls` | counter | {call} | `result`: success, value, last_good, function, fallback_failed, failed | Calls, by result; value, last_good, function: what answered for a failed call |

mod error;
mod handle;
#[cfg(feature = "tower")]
mod layer;
mod snapshot;
#[cfg(all(test, not(c13_loom)))]
mod tests;

pub use error::FallbackError;
pub use handle::Fallback;
#[cfg(feature = "tower")]
pub use layer::{FallbackLayer, FallbackService, ResponseFuture};
pub use snapshot::FallbackSnapshot;
