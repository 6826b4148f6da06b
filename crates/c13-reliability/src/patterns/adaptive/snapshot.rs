//! What an adaptive limit reports.

use std::time::Duration;

/// What an adaptive limit holds and what it did so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdaptiveSnapshot {
    /// Calls that may run at a time now.
    pub limit: u32,
    /// Calls that run.
    pub in_flight: u32,
    /// Calls in line.
    pub queued: usize,
    /// The latency without load, where it is known and the algorithm needs it.
    pub baseline: Option<Duration>,
    /// Calls refused because everything was full.
    pub rejected: u64,
    /// Calls that were in line for as long as they may.
    pub wait_elapsed: u64,
    /// Calls that counted as dropped.
    pub dropped: u64,
}
