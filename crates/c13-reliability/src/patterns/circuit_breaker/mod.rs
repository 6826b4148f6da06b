//! Circuit breaker: stops calls to a dependency that fails, and lets them through again when it has recovered.
//!
//! When to use it: around every call to something that can fail or hang on its own, one breaker for each thing that
//! fails as a whole (a host, a shard, a partner), inside retries.
//!
//! # Quick start
//!
//! ```
//! use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, FailureRate, Window};
//! use c13_reliability::time::Clock;
//! use std::time::Duration;
//!
//! # c13_reliability::time::Executor::new().block_on(async {
//! let config = CircuitBreakerConfig::new()
//!     .failure_rate(FailureRate::new(0.5, Window::Time(Duration::from_secs(10)), 20))
//!     .open_for(Duration::from_secs(1))
//!     .open_for_growth(2.0, Duration::from_secs(30));
//! let breaker = CircuitBreaker::with_config(config, Clock::system())?;
//! let answer = breaker.call(async { Ok::<_, std::io::Error>("42") }).await;
//! assert_eq!(answer?, "42");
//! assert_eq!(breaker.metrics().success_count, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # States
//!
//! | state | calls | leaves it when |
//! |---|---|---|
//! | `Closed` | run | a rule is met by a failure or a slow call: `Open` |
//! | `Open` | are refused | the open time is over and a call comes: `HalfOpen` |
//! | `HalfOpen` | a few run as probes, all others are refused | enough succeed: `Closed`; one fails, or none ends in time: `Open` |
//! | `ForcedOpen`, `ForcedClosed`, `MetricsOnly` | are refused; run; run, and the rules are evaluated | it is set by hand |
//!
//! # Defaults
//!
//! | setting | default |
//! |---|---|
//! | `consecutive_failures` | 5 |
//! | `failures`, `failure_rate`, `slow_call` | not set |
//! | `slow_rate` | 1 |
//! | `min_calls` | all calls of the window, where it is a number of calls |
//! | `success_threshold` | 2 |
//! | `half_open_calls` | `success_threshold` |
//! | `half_open_timeout` | 5 s; in a policy the attempt's time limit, where that is longer |
//! | `open_for` | 30 s, not growing, without jitter |
//! | `abandoned` | ignored |
//!
//! # What surprises
//!
//! - A success never opens a circuit, not even one that brings a window to its minimum of calls.
//! - A call belongs to the state that admitted it. Its result, if it comes after any transition, is only counted in the
//!   cumulative counts.
//! - Nothing runs in the background: an open circuit becomes half-open when a call comes after its time.
//! - A call whose future is dropped counts neither as a success nor as a failure by default. Where callers give up on slow calls by dropping them, put
//!   their time limit inside the breaker, or set [`Abandoned::Failure`].
//!
//! # Metrics
//!
//! What a breaker in a [registry](crate::snapshot::Registry) reports. [`Snapshot`] has the same counts.
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.circuit_breaker.state` | gauge | | | State of the circuit: 0 closed, 1 open, 2 half-open, 3 forced open, 4 forced closed, 5 metrics only |
//! | `reliability.circuit_breaker.transitions` | counter | {transition} | | Changes of state |
//! | `reliability.circuit_breaker.rejections` | counter | {call} | | Calls that were refused |
//! | `reliability.circuit_breaker.calls` | counter | {call} | `result`: success, failure, ignored, abandoned, rejected | Calls that ended or were refused, by result |
//! | `reliability.circuit_breaker.failure_ratio` | gauge | | | Share of failures in the window of the failure rate, once the window holds enough calls |
//! | `reliability.circuit_breaker.slow_ratio` | gauge | | | Share of slow calls in the window of the slow calls, once the window holds enough calls |
//!
//! # How it compares
//!
//! Different from most others on purpose: a success never opens it; reaching a threshold is enough (`>=`); it is half-open
//! at exactly the end of the open time; the first failed probe opens it again. `docs/circuit-breaker-compared.md` has the
//! reasons, and what resilience4j, Polly, Sentinel, Hystrix, gobreaker and failsafe-go do, row by row, each with a test.

mod builder;
mod call;
mod check;
pub mod circuit_config;
mod config;
mod error;
mod events;
mod handle;
mod health_probe;
mod keyed;
#[cfg(feature = "tower")]
mod layer;
#[cfg(all(test, c13_loom))]
mod loom;
mod opening;
mod permit;
mod recovery;
mod rules;
mod shared;
mod snapshot;
mod state;
#[cfg(all(test, not(c13_loom)))]
mod tests;
mod word;

pub use builder::CircuitBreakerBuilder;
pub use call::{Call, ClassifiedBreaker, Lazy};
pub use config::{
    Abandoned, CircuitBreakerConfig, FailureRate, FailuresWithin, Shares, SlowCalls, StagedRecovery, Window,
};
pub use error::CircuitBreakerError;
pub use events::CircuitEvents;
pub use handle::CircuitBreaker;
pub use health_probe::HealthProbe;
pub use keyed::{KeyedBreakers, KeyedBreakersBuilder};
#[cfg(feature = "tower")]
pub use layer::{CircuitBreakerLayer, CircuitBreakerService, ResponseFuture};
pub use opening::Opening;
pub use permit::{OwnedPermit, Permit};
pub use snapshot::{CircuitEvent, CircuitMetrics, CircuitState, Snapshot, Transition, TransitionReason};
