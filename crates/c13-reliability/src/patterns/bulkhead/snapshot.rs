//! What a bulkhead reports.

use crate::snapshot::{MILLISECONDS, Metric, Reading, Reported, Row, readings};
use crate::sync::HistogramSnapshot;

/// The present state of a bulkhead, and its cumulative counts. Each call is counted once, in `entered`, `rejected`,
/// `wait_elapsed` or `left_line`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadSnapshot {
    /// Calls that run.
    pub in_flight: u32,
    /// Calls that are queued.
    pub queued: usize,
    /// Calls that may run concurrently.
    pub max_concurrent: u32,
    /// Calls that acquired a permit, at once or after a wait in the queue.
    pub entered: u64,
    /// Calls refused because all permits were taken and the queue was full.
    pub rejected: u64,
    /// Calls whose wait in the queue took longer than allowed.
    pub wait_elapsed: u64,
    /// Calls that were dropped while they were queued.
    pub left_line: u64,
    /// How long queued calls waited that then acquired a permit, in nanoseconds.
    pub waited: HistogramSnapshot,
}

impl Reported for BulkheadSnapshot {
    const METRICS: &'static [Row<Self>] = &[
        Row::counts(
            Metric::counter(
                "reliability.bulkhead.calls",
                "{call}",
                "Calls, by result; wait: queued for too long, abandoned: dropped while queued",
            )
            .by(&["result"]),
            &[
                ("entered", |s| s.entered),
                ("full", |s| s.rejected),
                ("wait", |s| s.wait_elapsed),
                ("abandoned", |s| s.left_line),
            ],
        ),
        Row::counts(
            Metric::counter(
                "reliability.bulkhead.rejections",
                "{call}",
                "Calls that were refused, by reason; wait: queued for too long",
            )
            .by(&["reason"]),
            &[("full", |s| s.rejected), ("wait", |s| s.wait_elapsed)],
        ),
        Row::level(
            Metric::gauge("reliability.bulkhead.usage", "{call}", "Calls that run"),
            |s| s.in_flight.into(),
        ),
        Row::level(
            Metric::gauge("reliability.bulkhead.limit", "{call}", "Calls that may run at a time"),
            |s| s.max_concurrent.into(),
        ),
        Row::level(
            Metric::gauge("reliability.bulkhead.queue.size", "{call}", "Queued calls"),
            |s| s.queued as f64,
        ),
        Row::times(Self::WAIT, |s| &s.waited),
    ];
}

impl BulkheadSnapshot {
    /// Also an instrument of OpenTelemetry.
    pub(crate) const WAIT: Metric = Metric::milliseconds(
        "reliability.queue.wait_time",
        MILLISECONDS,
        "How long calls were queued that then ran",
    );

    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        readings(self)
    }
}
