//! What a bulkhead reports.

use crate::sync::HistogramSnapshot;

/// What a bulkhead holds and what it did so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadSnapshot {
    /// Calls that run.
    pub in_flight: u32,
    /// Calls in line.
    pub queued: usize,
    /// Calls that may run at a time.
    pub max_concurrent: u32,
    /// Calls refused because everything was full.
    pub rejected: u64,
    /// Calls that were in line for as long as they may.
    pub wait_elapsed: u64,
    /// How long those in line waited who got in, in nanoseconds.
    pub waited: HistogramSnapshot,
}
