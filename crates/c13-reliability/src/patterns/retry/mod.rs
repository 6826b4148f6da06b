//! Retry: makes a call again while it fails, within bounds.
//!
//! Use it where a failure is likely to pass and the call may safely be made twice. Retry at one layer only: three layers
//! of four attempts each are sixty-four.
//!
//! # Quick start
//!
//! ```
//! use c13_reliability::patterns::retry::{RetryExecutor, RetryStrategy, Verdict};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let retry = RetryExecutor::new(
//!     3, // retries: four attempts in all
//!     RetryStrategy::ExponentialBackoff {
//!         initial: Duration::from_millis(100),
//!         max: Duration::from_secs(10),
//!         multiplier: 2.0,
//!     },
//! );
//! let result = retry
//!     .execute_with(
//!         || async { Err::<(), _>("no such user") },
//!         |result| match result {
//!             Err(error) if error.contains("timed out") => Verdict::Retry,
//!             _ => Verdict::Final,
//!         },
//!     )
//!     .await;
//! let error = result.unwrap_err();
//! assert_eq!((error.attempts(), error.last_error()), (1, Some(&"no such user")));
//! # }
//! ```
//!
//! # What a failed attempt leads to
//!
//! The first that applies:
//!
//! | the attempt's result | what happens |
//! |---|---|
//! | a classifier calls it [`Final`](Verdict::Final) | it is returned, an error as [`NotRetryable`](RetryError::NotRetryable) |
//! | all retries were made | [`MaxRetriesExceeded`](RetryError::MaxRetriesExceeded) |
//! | the wait would end at the deadline, at the total limit, or later | [`DeadlineExceeded`](RetryError::DeadlineExceeded), at once |
//! | the budget has nothing left | [`BudgetExhausted`](RetryError::BudgetExhausted), at once |
//! | anything else | the attempt is dropped, the wait passes, the next attempt is made |
//!
//! A value that a classifier wants to be retried is returned as it is where an error would be wrapped.
//!
//! # Errors that are classified by themselves
//!
//! [`Verdict::by_error`] asks the error, which has to be [`Retryable`]: those of `std::io` are, with their features those
//! of `redis`, `reqwest`, `sqlx` (feature `postgres`) and `tonic`, and what the other patterns wrap around them. A circuit
//! that is open is not worth a retry, a limiter's error has the time of the next token. [`Verdict::of_http_status`],
//! [`Verdict::of_grpc_code`], [`Verdict::of_sqlstate`] and, with the feature `reqwest`, `Verdict::of_reqwest` classify what
//! protocols say. [`Outcome`](crate::gate::Outcome) has the same functions for breakers, from the same [table](crate::verdict::Meaning).
//!
//! # What surprises
//!
//! - `max_retries` excludes the first attempt.
//! - Executors have a [budget](crate::budget) unless it is taken away. A test in which hundreds of calls fail within
//!   seconds exhausts it.
//! - Growing delays have full jitter, so a single delay may be next to nothing; the strategy's delay is the upper end.
//!
//! # How it compares
//!
//! resilience4j, Polly and backon have no budget over all calls, tower-resilience has one to ask for, and Envoy's counts
//! the retries in flight; here one is on from the start, and counts those that still wait. In Polly a limit in total is a
//! timeout around the retry, which cuts a wait off; here the wait is not begun. `docs/patterns-compared.md` goes through
//! the tests of the peers, for this and the other patterns.
//!
//! # Settings
//!
//! | [`RetryConfig`] | default | |
//! |---|---|---|
//! | `max_retries` | 3 | retries after the first attempt |
//! | `strategy` | exponential, 100 ms by 2 up to 10 s | delay before jitter |
//! | `jitter` | full; none for a fixed delay | |
//! | `budget` | 20 % of the calls and 10 per second, over 10 s | shared by all calls of an executor |
//! | `total_limit` | none | no retry begins later than this after the call began |
//! | `max_hint` | 5 min | a failure's own hint is used up to this, and ignored beyond |
//!
//! [`reconfigure`](RetryExecutor::reconfigure) changes them while calls run.
//!
//! # Metrics
//!
//! What a retry executor in a [registry](crate::snapshot::Registry) reports. [`RetrySnapshot`] has the same counts.
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.retry.retries` | counter | {attempt} | | Attempts after the first |
//! | `reliability.retry.successes` | counter | {call} | | Calls that succeeded after at least one retry |
//! | `reliability.retry.failures` | counter | {call} | `reason`: exhausted, not_retryable, budget, deadline | Calls that gave up, by reason |
//! | `reliability.retry.calls` | counter | {call} | `result`: first_try, retried, abandoned, exhausted, not_retryable, budget, deadline | Calls, by result |
//! | `reliability.retry.budget.available` | gauge | {attempt} | | Extra attempts that the budget would grant now |

mod config;
mod counts;
mod error;
mod event;
mod execute;
mod handle;
mod jitter;
#[cfg(feature = "tower")]
mod layer;
mod snapshot;
mod state;
mod strategy;
#[cfg(all(test, not(c13_loom)))]
mod tests;

pub use crate::budget::{RetryBudget, RetryBudgetConfig, RetryBudgetSnapshot};
pub use crate::verdict::{Retryable, Verdict};
pub use config::{RetryConfig, retry_config};
pub use error::RetryError;
pub use event::RetryEvent;
pub(crate) use handle::RetryListener;
pub use handle::{RetryExecutor, retry_with_exponential_backoff};
pub use jitter::Jitter;
#[cfg(feature = "tower")]
pub use layer::{ResponseFuture, RetryLayer, RetryService};
pub use snapshot::RetrySnapshot;
pub use state::{Decision, GiveUp, RetryState};
pub use strategy::RetryStrategy;
