//! Timeout: a time limit around a call.
//!
//! Use it around everything that can hang: each attempt, and the whole of a call with its retries. The call is dropped
//! when the limit is over, which cancels it; work that was started as a task of its own goes on.
//!
//! # Quick start
//!
//! ```
//! use c13_reliability::patterns::timeout::{Timeout, TimeoutError};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let timeout = Timeout::new(Duration::from_millis(5));
//! assert_eq!(timeout.call(async { Ok::<_, &str>(42) }).await, Ok(42));
//! let result = timeout.call(std::future::pending::<Result<(), &str>>()).await;
//! assert_eq!(result, Err(TimeoutError::Elapsed { limit: Duration::from_millis(5) }));
//! # }
//! ```
//!
//! # Deadlines
//!
//! The limit is the [`Deadline`](crate::time::Deadline) of everything inside the call: a retry inside does not sleep
//! past it, a timeout inside is cut to it. Where a deadline is already set the earlier of the two counts. A call whose
//! deadline has passed is not started.
//!
//! A call that the deadline around it cuts short ends with [`TimeoutError::DeadlineExceeded`]. A circuit breaker or an
//! adaptive limit around the timeout takes it for a failure only if the call had half of the timeout's own limit until then,
//! and otherwise for abandoned: a caller with a short deadline says nothing about the dependency.
//!
//! To take a deadline to the next process, write what [is left](crate::time::Deadline::remaining) with [`grpc_timeout`]
//! or [`http_timeout`]; there read it with [`parse_grpc_timeout`] or [`parse_http_timeout`] and run the work in the
//! [scope](crate::time::Deadline::scope) of a deadline [after](crate::time::Deadline::after) it.
//!
//! # What it costs
//!
//! A call that is ready when it is first polled costs neither a timer nor, unless a deadline is set around it, a reading
//! of the clock. The limit therefore runs from the end of the first poll, not from before it.
//!
//! # How it compares
//!
//! The limits of tokio, Polly and resilience4j set a timer for every call and know nothing of the limit around them. Here
//! only a call that has to wait sets one, and limits inside one another are cut to the earliest. More in
//! `docs/patterns-compared.md`.
//!
//! # Settings
//!
//! | [`TimeoutConfig`] | default | |
//! |---|---|---|
//! | `limit` | none: it must be given | how long the call may take; [`Duration::MAX`](std::time::Duration::MAX) is no limit |
//!
//! # Metrics
//!
//! What a timeout in a [registry](crate::snapshot::Registry) reports. [`TimeoutSnapshot`] has the same counts.
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.timeout.expirations` | counter | {call} | `reason`: limit, deadline | Calls that were cut short, or attempts of a policy, by reason |
//! | `reliability.timeout.calls` | counter | {call} | `result`: limit, deadline, completed, abandoned | Calls, by result |

mod call;
mod config;
mod error;
mod handle;
mod header;
#[cfg(feature = "tower")]
mod layer;
mod snapshot;
#[cfg(all(test, not(c13_loom)))]
mod tests;

pub use call::TimeoutCall;
pub use config::TimeoutConfig;
pub use error::TimeoutError;
pub use handle::Timeout;
pub use header::{
    GRPC_TIMEOUT, HTTP_TIMEOUT, TimeoutHeaderError, grpc_timeout, http_timeout, parse_grpc_timeout, parse_http_timeout,
};
#[cfg(feature = "tower")]
pub use layer::{ResponseFuture, TimeoutLayer, TimeoutService};
pub use snapshot::TimeoutSnapshot;
