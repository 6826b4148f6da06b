//! OpenTelemetry: the API crate only, so that the application chooses exporter and SDK.
//!
//! [`metrics::ReliabilityMetrics`] has the ten instruments by which services usually watch their calls. [`bridge`] adds
//! everything else that the registry's parts report. Both show the counts that the parts keep anyway: nothing is counted
//! twice, and no call costs more for it.

mod bridge;
mod feed;
pub mod metrics;
mod replay;

pub use bridge::{bridge, bridge_with};
