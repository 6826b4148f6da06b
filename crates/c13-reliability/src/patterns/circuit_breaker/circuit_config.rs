//! The default settings, checked while compiling.

use std::time::Duration;

/// How many failures in a row open the circuit.
pub const FAILURE_THRESHOLD: u64 = 5;
/// How many successful probes close it.
pub const SUCCESS_THRESHOLD: u64 = 2;
/// How long it stays open, in milliseconds.
pub const TIMEOUT_MS: u64 = 30_000;
/// How long it stays open.
pub const TIMEOUT: Duration = Duration::from_millis(TIMEOUT_MS);
/// How long a half-open circuit waits for its probes.
pub const HALF_OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the defaults make sense together.
#[must_use]
pub const fn validate() -> bool {
    super::CircuitBreakerConfig::new()
        .consecutive_failures(FAILURE_THRESHOLD)
        .validate()
        .is_ok()
        && SUCCESS_THRESHOLD <= FAILURE_THRESHOLD
        && HALF_OPEN_TIMEOUT.as_millis() <= TIMEOUT.as_millis()
}

const _: () = assert!(validate(), "the default settings contradict each other");
