//! What a bulkhead reports.

use crate::snapshot::{Kind, Metric, Reading};
use crate::sync::HistogramSnapshot;

/// What a bulkhead holds and what it did so far. Each call that came ends in one of `entered`, `rejected`, `wait_elapsed`
/// and `left_line`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadSnapshot {
    /// Calls that run.
    pub in_flight: u32,
    /// Calls in line.
    pub queued: usize,
    /// Calls that may run at a time.
    pub max_concurrent: u32,
    /// Calls that got a place, at once or after a wait in line.
    pub entered: u64,
    /// Calls refused because everything was full.
    pub rejected: u64,
    /// Calls that were in line for as long as they may.
    pub wait_elapsed: u64,
    /// Calls that were dropped while they were in line.
    pub left_line: u64,
    /// How long those in line waited who got in, in nanoseconds.
    pub waited: HistogramSnapshot,
}

static CALLS: Metric = Metric::counter(
    "reliability.bulkhead.calls",
    "{call}",
    "Calls by result: entered, full, wait where the time in line was over, or abandoned in line",
);
static REJECTIONS: Metric = Metric::counter(
    "reliability.bulkhead.rejections",
    "{call}",
    "Calls that were refused, by reason: full, or wait where the time in line was over",
);
static USAGE: Metric = Metric::gauge("reliability.bulkhead.usage", "{call}", "Calls that run");
static LIMIT: Metric = Metric::gauge("reliability.bulkhead.limit", "{call}", "Calls that may run at a time");
static QUEUE_SIZE: Metric = Metric::gauge("reliability.bulkhead.queue.size", "{call}", "Calls in line");
static WAIT: Metric = Metric::times(
    "reliability.queue.wait_time",
    Kind::Histogram {
        boundaries: &[
            1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 10000.0,
        ],
        per_unit: 1e6,
    },
    "ms",
    "How long calls were in line that got in",
);

/// Everything that a bulkhead reports.
pub(crate) static METRICS: &[&Metric] = &[&CALLS, &REJECTIONS, &USAGE, &LIMIT, &QUEUE_SIZE, &WAIT];

impl BulkheadSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let call = |result, count| Reading::count(&CALLS, count).label("result", result);
        vec![
            call("entered", self.entered),
            call("full", self.rejected),
            call("wait", self.wait_elapsed),
            call("abandoned", self.left_line),
            Reading::count(&REJECTIONS, self.rejected).label("reason", "full"),
            Reading::count(&REJECTIONS, self.wait_elapsed).label("reason", "wait"),
            Reading::level(&USAGE, f64::from(self.in_flight)),
            Reading::level(&LIMIT, f64::from(self.max_concurrent)),
            Reading::level(&QUEUE_SIZE, self.queued as f64),
            Reading::times(&WAIT, self.waited.clone()),
        ]
    }
}
