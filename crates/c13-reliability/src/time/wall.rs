//! The wall clock, for numbers that must grow across restarts and machines; never used to measure a duration.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970 by the machine's calendar clock, which jumps; 0 before 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a fence outlives the machine's uptime, which no other clock does"
)]
#[must_use]
pub fn wall_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
