//! Metrics as Prometheus text and over OpenTelemetry, and spans around calls.
//!
//! Each part keeps the counts that it needs anyway. [`snapshot::Registry`](crate::snapshot::Registry) reads them on
//! request, so that a call costs the same with metrics and without. Prometheus text and OpenTelemetry show the same numbers
//! under the same names: `reliability.retry.failures` of OpenTelemetry is `reliability_retry_failures_total` in Prometheus
//! text. The label `name` is the part's name.
//!
//! A policy measures how long its calls and attempts take, by result and by the layer that ended them, unless
//! [`durations`](crate::policy::PolicyConfig::durations) is off. `PolicyRegistry::report_to` registers all policies of files,
//! those that a reload adds as well.
//!
//! [`catalogue`] lists every metric. With the feature `axum`, `metrics_router` serves `/metrics`.
//!
//! # Events and spans
//!
//! With the feature `tracing` (on by default) changes are reported as events, and `spanned` runs a call in a span. Targets
//! and fields are part of the interface. Without a subscriber they cost nothing. Connection strings and passwords are
//! removed from the text of an error before it becomes a field.
//!
//! | target | what | level | fields |
//! |---|---|---|---|
//! | `c13::circuit_breaker` | a transition of the circuit | WARN when it opens, else INFO | `breaker`, `from`, `to`, `reason`; when it opens also `bad_calls`, `calls`, `window`, `last` and `open_for`, where they are known |
//! | `c13::circuit_breaker` | a stage of its recovery began | INFO | `breaker`, `stage`, `share` |
//! | `c13::circuit_breaker` | the circuit would open, but its state is metrics only | WARN | `breaker`, `reason` |
//! | `c13::circuit_breaker` | a listener panicked | ERROR | |
//! | `c13::health` | the status of a check changed | WARN when it gets worse, else INFO | `check`, `from`, `to`, `cause` |
//! | `c13::health` | the span `check` around each run of a check | DEBUG | `check`, `status` |
//! | `c13::health` | the service begins to drain | INFO | |
//! | `c13::supervisor` | a child failed | WARN | `child`, `exit` |
//! | `c13::supervisor` | the supervisor gives up | ERROR | `child` |
//! | `c13::rate_limiter` | requests without a key reached a keyed layer; at most once a minute | WARN if they share a quota, ERROR if they are refused, DEBUG if they pass | `policy`, `requests` |
//! | `c13::lock` | a lease was lost before it was released | WARN | `names`, `reason` |
//! | `c13::lock` | a waiter cannot reach the backend of its lock | WARN | `names`, `cause` |
//! | `c13::lock` | a waiter gets no notice of releases, and polls | DEBUG | `names`, `cause` |
//! | `c13::shared_rate_limit` | the backend of a limit cannot be reached, and calls are decided without it; at most every 30 s | WARN | `keys`, `cause`, `instead` |
//! | `c13::shared_rate_limit` | the backend of a limit answers again | INFO | `keys` |
//! | `c13::call` | a layer refused a call of a policy | DEBUG | `policy`, `layer`, `attempts`, `delay` until another call can succeed, `reason` |
//! | `c13::call` | a time limit of a policy passed | DEBUG | `policy`, `layer`, `attempts`, `delay`: the limit, `reason`: `limit` or `deadline` |
//! | `c13::call` | a call of a policy is retried | DEBUG | `policy`, `layer`, `attempts` so far, `delay`, `reason` |
//! | `c13::call` | a hedge begins another attempt | DEBUG | `policy`, `layer`, `attempts` with it, `delay`, `reason` |
//! | `c13::call` | a layer of a policy refused a hundred calls within 10 s; at most once a minute | WARN | `policy`, `layer`, `refused` in all, `reason` |
//! | `c13::policy` | policy files were read again: what changed, or what is wrong | INFO, ERROR if they are wrong, WARN if a policy is gone | `policy`, `setting`, `before`, `after`, `changes`, `error` |
//! | `c13::redis` | a server evicts keys when its memory is full | WARN | `policy` |
//! | `c13::call` | the span `call` of `spanned` | DEBUG | `name`, `outcome` |
//! | `c13::call` | the span `call` of a call through a policy | DEBUG | `policy`, `outcome`: `success`, `failure`, `timed_out`, `rejected` or `abandoned` |
//! | `c13::call` | the span `attempt` in it | DEBUG | `attempt`: its number, from 1; `outcome`: `success`, `failure` or `abandoned`, as by a time limit |

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
