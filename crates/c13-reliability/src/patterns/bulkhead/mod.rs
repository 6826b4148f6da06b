//! Bulkhead: at most so many calls at a time, and so many in line.
//!
//! Use it so that one slow dependency cannot take all threads, connections or memory. What does not fit waits its turn,
//! first come first served, if there is a queue, and is refused at once if not.
//!
//! # Quick start
//!
//! ```
//! use c13_reliability::gate::Gate;
//! use c13_reliability::patterns::bulkhead::{Bulkhead, BulkheadError};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let bulkhead = Bulkhead::new(1);
//! let held = bulkhead.try_admit();
//! assert!(held.is_ok());
//! let refused = bulkhead.call(async { Ok::<_, &str>("never runs") }).await;
//! assert!(matches!(refused, Err(BulkheadError::Full { .. })));
//! drop(held);
//! assert_eq!(bulkhead.call(async { Ok::<_, &str>("runs") }).await, Ok("runs"));
//! # }
//! ```
//!
//! # What happens to a call
//!
//! | running | in line | it |
//! |---|---|---|
//! | fewer than `max_concurrent` | nobody | runs at once |
//! | | somebody, but fewer than `max_queue` | waits behind them: nobody overtakes |
//! | `max_concurrent` | fewer than `max_queue` | waits, for `max_wait` and until its deadline at most |
//! | `max_concurrent` | `max_queue` | is refused |
//!
//! A bulkhead can be [resized](Bulkhead::resize) while calls run: up wakes waiters at once, down takes effect as running
//! calls end.
//!
//! # Many threads
//!
//! All threads that come and go change one word, which moves from processor to processor. A
//! [leased](BulkheadConfig::leased) bulkhead lends free places to threads instead, four at a time, and each thread comes and
//! goes on a line of its own. It is as exact: never more run than may, and a thread that finds no place looks at those of
//! all others before its call waits or is refused. Only a place that is in another thread's hands at that very moment, on
//! its way from here to there, can be missed; a batch of four at most for each thread. While anybody is in line nothing is
//! lent, so that nobody overtakes.
//!
//! It is for limits that are seldom reached, far above four for each thread: near the limit, threads take places from one
//! another and it is no faster than without. Counting those inside looks at up to 65 lines.
//!
//! # How it compares
//!
//! resilience4j and failsafe-go bound how long a call waits and not how many do; Polly the other way round. Here both are
//! bounded, and the limits can be changed while calls wait. More in `docs/patterns-compared.md`.
//!
//! # Settings
//!
//! | [`BulkheadConfig`] | default | |
//! |---|---|---|
//! | `max_concurrent` | none: it must be given | calls that run at a time |
//! | `max_queue` | 0 | calls in line |
//! | `max_wait` | 0 | how long a call may stay in line; [`Duration::MAX`](std::time::Duration::MAX) is no limit |
//! | `leased` | no | whether free places are lent to threads |
//!
//! # Counts
//!
//! [`BulkheadSnapshot`]: `in_flight`, `queued`, `max_concurrent`, `entered`, `rejected`, `wait_elapsed`, `left_line`,
//! `waited`.
//!
//! # What it costs
//!
//! Without anybody in line, coming in is one compare-and-swap and going out one subtraction on the same word. In
//! a leased bulkhead they are the same on a line of the thread's own.

mod call;
mod config;
mod error;
mod handle;
mod permit;
mod snapshot;
#[cfg(all(test, not(c13_loom)))]
mod tests;

pub use call::BulkheadCall;
pub use config::BulkheadConfig;
pub use error::{BulkheadError, BulkheadRejected};
pub use handle::Bulkhead;
pub use permit::{Admission, OwnedPermit, Permit};
pub use snapshot::BulkheadSnapshot;
pub(crate) use snapshot::METRICS;
