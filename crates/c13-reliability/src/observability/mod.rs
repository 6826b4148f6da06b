//! What goes out: metrics as Prometheus text and over OpenTelemetry, from one registry of snapshots.
//!
//! Parts keep the counts they need anyway; [`snapshot::Registry`](crate::snapshot::Registry) reads them when somebody
//! asks. Prometheus text and OpenTelemetry show the same numbers under the same names: `reliability.retry.failures` of
//! OpenTelemetry is `reliability_retry_failures_total` in Prometheus text. The part's name is the label `name`.
//!
//! [`catalogue`] tells every metric there is. With the feature `axum`, `metrics_router` serves `/metrics`.
//!
//! # Events and spans
//!
//! With the feature `tracing` (on by default) changes are told as events, and calls that ask for it run in spans. Targets
//! and fields are part of the interface; where nobody listens they cost nothing, and no field holds an error's text that
//! has not been rid of connection strings and passwords.
//!
//! | target | what | level | fields |
//! |---|---|---|---|
//! | `c13::circuit_breaker` | the circuit changed its state | WARN when it opens, else INFO | `breaker`, `from`, `to`, `reason` |
//! | `c13::circuit_breaker` | a stage of its recovery began | INFO | `breaker`, `stage`, `share` |
//! | `c13::circuit_breaker` | it would open if it were not only watching | WARN | `breaker`, `reason` |
//! | `c13::circuit_breaker` | a listener panicked | ERROR | |
//! | `c13::health` | a check reports another status | WARN when it gets worse, else INFO | `check`, `from`, `to`, `cause` |
//! | `c13::health` | the span `check` around each run of a check | DEBUG | `check`, `status` |
//! | `c13::health` | the service begins to drain | INFO | |
//! | `c13::supervisor` | a child failed | WARN | `child`, `exit` |
//! | `c13::supervisor` | the supervisor gives up | ERROR | `child` |
//! | `c13::rate_limiter` | a keyed layer found requests without a key; at most one a minute | WARN where they share a quota, ERROR where they are refused, DEBUG where they pass | `policy`, `requests` |
//! | `c13::lock` | a lock that was held is lost | WARN | `names`, `reason` |
//! | `c13::lock` | the backend of a lock that is waited for cannot be asked | WARN | `names`, `cause` |
//! | `c13::lock` | a waiter hears of no releases, and looks by itself | DEBUG | `names`, `cause` |
//! | `c13::shared_rate_limit` | the backend of a limit cannot be asked, and calls are decided without it; at most every 30 s | WARN | `keys`, `cause`, `instead` |
//! | `c13::shared_rate_limit` | the backend of a limit answers again | INFO | `keys` |
//! | `c13::redis` | a server evicts keys when its memory is full | WARN | `policy` |
//! | `c13::call` | the span `call` of `spanned` | DEBUG | `name`, `outcome` |

#[cfg(feature = "axum")]
mod axum;
mod catalogue;
#[cfg(feature = "otel")]
pub mod otel;
pub mod prometheus;
#[cfg(feature = "tracing")]
mod spans;

#[cfg(feature = "axum")]
pub use axum::metrics_router;
pub use catalogue::catalogue;
#[cfg(feature = "otel")]
pub use otel::metrics;
#[cfg(feature = "tracing")]
pub use spans::spanned;
