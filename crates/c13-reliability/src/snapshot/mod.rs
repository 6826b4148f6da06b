//! What parts report, and the registry through which all readers read it.
//!
//! A part keeps the counts that it needs anyway. It is registered under a unique name. The registry holds it weakly, so it
//! keeps nothing alive. A reader (Prometheus text, the OpenTelemetry bridge, a status page) reads the registry, which reads
//! the parts; a call costs the same with readers and without.
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
//! Your own part takes part by implementing [`Observed`]: a [`Source`] that reads the part as long as it lives, and a few
//! [`Metric`]s as constants.

mod family;
mod metric;
mod registry;
mod row;
mod sum;

pub use family::{Family, MAX_NAMES, OTHER, Series};
pub use metric::{Kind, Labels, Metric, Reading, Value};
pub(crate) use metric::{MILLISECONDS, SECONDS};
pub use registry::{Observed, Registry, Snapshot, Source};
pub(crate) use row::{Described, Reported, Row, describe, readings, readings_of};
pub(crate) use sum::Sum;
