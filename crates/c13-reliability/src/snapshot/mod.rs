//! What the parts report of themselves, and the registry that all readers read.
//!
//! A part keeps the counts that it needs anyway. It is registered under a name of its own, weakly: the registry keeps
//! nothing alive. A reader (Prometheus text, the OpenTelemetry bridge, a status page) asks the registry, which asks the
//! parts; calls pay nothing for it.
//!
//! ```
//! use c13_reliability::patterns::circuit_breaker::CircuitBreaker;
//! use c13_reliability::snapshot::Registry;
//! use std::time::Duration;
//!
//! let registry = Registry::new();
//! let breaker = CircuitBreaker::new(5, 2, Duration::from_secs(30));
//! registry.register("payments", &breaker)?;
//! assert_eq!(registry.snapshots()[0].name, "payments");
//! drop(breaker);
//! assert!(registry.snapshots().is_empty());
//! # Ok::<_, c13_reliability::error::NameTaken>(())
//! ```
//!
//! A part of your own takes part by [`Observed`]: a [`Source`] that reads it as long as it lives, and a few
//! [`Metric`]s as constants.

mod family;
mod metric;
mod registry;

pub use family::{Family, MAX_NAMES, OTHER, Series};
pub use metric::{Kind, Labels, Metric, Reading, Value};
pub use registry::{Observed, Registry, Snapshot, Source};
