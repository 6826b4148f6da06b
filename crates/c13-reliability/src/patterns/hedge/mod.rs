//! Hedge: a second attempt, concurrent with one that takes too long; the first good result wins.
//!
//! Use it against a long tail of latencies, for calls that may safely be made twice. A hundred calls of which each is slow
//! in one of a hundred cases make two requests out of three slow; a hedge after the 95th percentile costs a twentieth
//! more calls and cuts the tail.
//!
//! # Quick start
//!
//! ```
//! use c13_reliability::patterns::hedge::Hedge;
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let hedge = Hedge::new(Duration::from_millis(1));
//! let mut replicas = ["slow", "fast"].into_iter();
//! let answer = hedge
//!     .execute(|| {
//!         let replica = replicas.next();
//!         async move {
//!             if replica == Some("slow") {
//!                 std::future::pending::<()>().await;
//!             }
//!             Ok::<_, &str>(replica)
//!         }
//!     })
//!     .await;
//! assert_eq!(answer, Ok(Some("fast")));
//! assert_eq!(hedge.snapshot().hedge_wins, 1);
//! # }
//! ```
//!
//! # What happens
//!
//! | when | then |
//! |---|---|
//! | the first attempt gives a good result before the delay is over | that is the result, and no hedge was made |
//! | the delay passes after an attempt was started | the next attempt starts too, up to `max_extra` |
//! | an attempt fails | the next one starts at once |
//! | any attempt gives a good result | that is the result; the others are dropped |
//! | all have failed and none may be started | the first attempt's result is the result |
//!
//! A hedge uses a [budget](crate::budget), and is not made when that is exhausted or the caller's deadline has
//! passed. The others are dropped while they run, which releases their permits of every gate inside them. They record nothing
//! in a circuit breaker or an adaptive limit there, whatever those count an abandoned call as: no caller gave up. Attempts that
//! are dropped because the caller drops the whole call are abandoned, as any call is.
//!
//! # What surprises
//!
//! - An attempt that failed brings the next one forward, so a hedge retries too. Inside a retry it multiplies attempts;
//!   let both use one budget.
//! - With [`HedgeDelay::Percentile`] no hedge is made by time before `min_calls` calls were seen.
//!
//! # How it compares
//!
//! In resilience4j the first result wins, good or not, and the measured delay is a mean. Here the first good result wins,
//! the delay is a percentile as in failsafe-go and tower, and hedges use the budget of the retries. More in
//! `docs/patterns-compared.md`.
//!
//! # Settings
//!
//! | [`HedgeConfig`] | default | |
//! |---|---|---|
//! | `delay` | none: it must be given | fixed, an observed percentile, or only after failures |
//! | `max_extra` | 1 | attempts in addition to the first |
//! | `budget` | 20 % of the calls and 10 per second, over 10 s | shared by all calls of a hedge |
//!
//! [`reconfigure`](Hedge::reconfigure) changes them while calls run.
//!
//! # Metrics
//!
//! What a hedge in a [registry](crate::snapshot::Registry) reports. [`HedgeSnapshot`] has the same counts.
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.hedge.hedges` | counter | {attempt} | | Attempts started beside or after a first one |
//! | `reliability.hedge.abandoned_attempts` | counter | {attempt} | | Attempts dropped while they ran, because another won or the caller went away |
//! | `reliability.hedge.budget_exhausted` | counter | {attempt} | | Attempts not started because the budget was exhausted |
//! | `reliability.hedge.calls` | counter | {call} | `result`: first, primary, hedge, failed, abandoned | Calls, by result; first: without a hedge, primary or hedge: the attempt that won |
//! | `reliability.hedge.delay` | gauge | s | | When the next attempt would be started now |

mod config;
mod error;
mod execute;
mod handle;
mod latency;
#[cfg(feature = "tower")]
mod layer;
mod snapshot;
mod state;
#[cfg(all(test, not(c13_loom)))]
mod tests;

pub use crate::budget::{RetryBudget, RetryBudgetConfig, RetryBudgetSnapshot};
pub use config::{HedgeConfig, HedgeDelay};
pub use error::HedgeError;
pub use handle::Hedge;
#[cfg(feature = "tower")]
pub use layer::{HedgeLayer, HedgeService, ResponseFuture};
pub use snapshot::HedgeSnapshot;
