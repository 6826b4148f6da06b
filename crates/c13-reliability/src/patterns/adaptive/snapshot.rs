//! What an adaptive limit reports.

use crate::snapshot::{Metric, Reading};
use crate::sync::HistogramSnapshot;
use std::time::Duration;

/// What an adaptive limit holds and what it did so far. Each call that came ends in one of `entered`, `rejected`,
/// `wait_elapsed` and `left_line`.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Calls that counted as dropped.
    pub dropped: u64,
}

static CALLS: Metric = Metric::counter(
    "reliability.adaptive.calls",
    "{call}",
    "Calls by result: entered, full, wait where the time in line was over, or abandoned in line",
);
static DROPPED: Metric = Metric::counter(
    "reliability.adaptive.dropped",
    "{call}",
    "Calls that ended in a way that is taken for overload",
);
static LIMIT: Metric = Metric::gauge(
    "reliability.adaptive.limit",
    "{call}",
    "Calls that may run at a time now",
);
static USAGE: Metric = Metric::gauge("reliability.adaptive.usage", "{call}", "Calls that run");
static QUEUE_SIZE: Metric = Metric::gauge("reliability.adaptive.queue.size", "{call}", "Calls in line");
static BASELINE: Metric = Metric::gauge("reliability.adaptive.baseline", "s", "The latency without load");
static WAIT: Metric = Metric::seconds(
    "reliability.adaptive.wait.duration",
    &[
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0,
    ],
    "How long calls were in line that got in",
);

/// Everything that an adaptive limit reports.
pub(crate) static METRICS: &[&Metric] = &[&CALLS, &DROPPED, &LIMIT, &USAGE, &QUEUE_SIZE, &BASELINE, &WAIT];

impl AdaptiveSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let call = |result, count| Reading::count(&CALLS, count).label("result", result);
        let mut readings = vec![
            call("entered", self.entered),
            call("full", self.rejected),
            call("wait", self.wait_elapsed),
            call("abandoned", self.left_line),
            Reading::count(&DROPPED, self.dropped),
            Reading::level(&LIMIT, f64::from(self.limit)),
            Reading::level(&USAGE, f64::from(self.in_flight)),
            Reading::level(&QUEUE_SIZE, self.queued as f64),
            Reading::times(&WAIT, self.waited.clone()),
        ];
        let baseline = self
            .baseline
            .map(|baseline| Reading::level(&BASELINE, baseline.as_secs_f64()));
        readings.extend(baseline);
        readings
    }
}
