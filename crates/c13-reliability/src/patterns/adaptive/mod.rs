//! Adaptive limit: bounds concurrent calls to what the dependency can handle, found by measuring latencies.
//!
//! Use it in place of a bulkhead where the right number is not known, or where it changes: with deployments, with the time
//! of day, with noisy neighbours. The limit follows latency: while calls take no longer than without load, more may run;
//! when they queue in the dependency, fewer should.
//!
//! # Quick start
//!
//! ```
//! use c13_reliability::patterns::adaptive::AdaptiveLimit;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let limit = AdaptiveLimit::new();
//! assert_eq!(limit.call(async { Ok::<_, &str>(42) }).await, Ok(42));
//! assert_eq!(limit.limit(), 20, "one call is not enough to learn from");
//! # }
//! ```
//!
//! # How it learns
//!
//! Calls are gathered in windows of 100 ms and at least 10 calls. At the end of each the [`Algorithm`] sets the next
//! limit from the mean latency, the most calls that ran concurrently, and whether too many were dropped:
//!
//! | a call | counts as |
//! |---|---|
//! | succeeded within `timeout` | a latency |
//! | failed, or took longer than `timeout` | dropped |
//! | ignored by the classifier, or panicked | nothing |
//! | abandoned by its caller | dropped if it had run for `timeout`, else nothing |
//!
//! The limit grows only while it binds, that is, while at least half of its permits are held: an idle service learns nothing.
//!
//! Vegas and gradient compare latencies with a baseline, that without load. A better latency moves it, and so does that of
//! any window in which the limit does not bind. And it ages: after `baseline_age`, and whenever the limit has fallen
//! far, half of the limit is used for one window of 100 calls to measure it anew, so that a dependency that has become
//! slower for good is not throttled for ever.
//!
//! # Partitions
//!
//! [`partitioned`](AdaptiveLimit::partitioned) gives kinds of calls guaranteed shares. What one does not use is lent to
//! the others. A partition below its share always gets a permit, even while others still hold what was lent to them, so
//! that for a moment more calls may run than the limit says.
//!
//! # What surprises
//!
//! - Every error counts as overload unless a classifier says otherwise; up to 5 % of errors do not lower the limit.
//! - Calls that must never be limited should not go through it.
//! - A waiter that is granted a permit and is not polled for 1 s loses the permit to the next one; a call that was polled
//!   while it held its permit keeps it until its future is finished or dropped.
//!
//! # How it compares
//!
//! The algorithms are those of Netflix concurrency-limits and Envoy. Envoy measures its baseline with a few concurrent
//! calls, which refuses most of a busy service's calls meanwhile; here half of the limit is used. Queued calls are served
//! first come, first served. More in `docs/patterns-compared.md`.
//!
//! # Settings
//!
//! | [`AdaptiveConfig`] | default | |
//! |---|---|---|
//! | `algorithm` | gradient, buffer 0.25 | how the limit follows what is measured |
//! | `initial_limit`, `min_limit`, `max_limit` | 20, 1, 1000 | |
//! | `window`, `min_calls` | 100 ms, 10 | how often the limit is set anew |
//! | `timeout`, `drop_ratio` | 5 s, 0.05 | what counts as dropped, and what share of drops does not lower the limit |
//! | `baseline_age` | 30 s | how old a baseline may become |
//! | `max_queue`, `max_wait` | 0, 0 | calls that may queue, and for how long |
//!
//! [`reconfigure`](AdaptiveLimit::reconfigure) changes them while calls run.
//!
//! # Metrics
//!
//! What an adaptive limit in a [registry](crate::snapshot::Registry) reports. [`AdaptiveSnapshot`] has the same counts.
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.adaptive.calls` | counter | {call} | `result`: admitted, full, wait, abandoned | Calls, by result; wait: queued for too long, abandoned: dropped while queued |
//! | `reliability.adaptive.dropped` | counter | {call} | | Calls that ended in a way that is taken for overload |
//! | `reliability.adaptive.limit` | gauge | {call} | | Calls that may run at a time now |
//! | `reliability.adaptive.usage` | gauge | {call} | | Calls that run |
//! | `reliability.adaptive.queue.size` | gauge | {call} | | Queued calls |
//! | `reliability.adaptive.wait.duration` | histogram | s | | How long calls were queued that then ran |
//! | `reliability.adaptive.baseline` | gauge | s | | The latency without load |

mod algorithm;
mod baseline;
mod config;
mod error;
mod handle;
#[cfg(all(test, c13_loom))]
mod loom;
mod partition;
mod permit;
mod share;
mod shared;
mod snapshot;
mod state;
#[cfg(all(test, not(c13_loom)))]
mod tests;

pub use config::{AdaptiveConfig, Algorithm};
pub use error::AdaptiveRejected;
pub use handle::AdaptiveLimit;
pub use partition::Partition;
pub use permit::{Admission, OwnedPermit, Permit};
pub use snapshot::AdaptiveSnapshot;
