//! The parts: gates, drivers, and compositions of them.

mod composed;
mod drivers;
mod gates;

pub(crate) use composed::{Exclusion, Reloaded};
pub(crate) use drivers::{Fallbacks, Hedges, Limits, Reads, Retries};
pub(crate) use gates::{Adaptive, Breaker, Permits, limiters};
