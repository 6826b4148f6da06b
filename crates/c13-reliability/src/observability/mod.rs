//! What goes out: metrics as Prometheus text and over OpenTelemetry, from one registry of snapshots.
//!
//! Parts keep the counts they need anyway; [`snapshot::Registry`](crate::snapshot::Registry) reads them when somebody
//! asks. Prometheus text and OpenTelemetry show the same numbers under the same names: `reliability.retry.failures` of
//! OpenTelemetry is `reliability_retry_failures_total` in Prometheus text. The part's name is the label `name`.
//!
//! [`catalogue`] tells every metric there is.

mod catalogue;
#[cfg(feature = "otel")]
pub mod otel;
pub mod prometheus;

pub use catalogue::catalogue;
#[cfg(feature = "otel")]
pub use otel::metrics;
