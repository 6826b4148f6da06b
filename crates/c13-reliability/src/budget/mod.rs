//! The retry budget: how many extra attempts all calls together may make.
//!
//! A limit on retries per call does not stop a storm: with three retries each, a dependency that fails gets four times
//! its load at the worst moment. A budget bounds the extra load as a share of the calls. Retry and hedge use the
//! same budget; it sits below both, so that either can be used without the other.
//!
//! A call deposits when it begins, or at the end of its first poll where the budget is its executor's own; a retry or a
//! hedge withdraws when it is *decided*, so that those that still wait for their back-off count. Within the window at most
//! `ratio × calls + min_per_second × window` withdrawals are granted. A withdrawal is never refunded: it counts until the
//! window has passed.
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `ratio` | 0.2 | extra attempts per call, 0 to 1 |
//! | `min_per_second` | 10 | extra attempts that are always granted, so that a quiet client can retry at all |
//! | `window` | 10 s | how long calls and extra attempts are remembered, to a tenth of it |
//!
//! The figures are those of Finagle's and Linkerd's budgets.
//!
//! ```
//! use c13_reliability::budget::{RetryBudget, RetryBudgetConfig};
//!
//! let budget = RetryBudget::new(RetryBudgetConfig::new().min_per_second(0.0));
//! for _ in 0..10 {
//!     budget.deposit();
//! }
//! assert!(budget.try_withdraw());
//! assert!(budget.try_withdraw());
//! assert!(!budget.try_withdraw(), "two are a fifth of ten");
//! # Ok::<(), c13_reliability::ConfigError>(())
//! ```

mod config;
mod handle;
#[cfg(all(test, c13_loom))]
mod loom;
mod snapshot;
mod state;

pub use config::RetryBudgetConfig;
pub use handle::RetryBudget;
pub(crate) use handle::{CallCount, CallCounts, is_due};
pub use snapshot::RetryBudgetSnapshot;
