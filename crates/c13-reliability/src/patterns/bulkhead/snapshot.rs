//! What a bulkhead reports.

use crate::gate::ConcurrentCalls;
use crate::snapshot::{MILLISECONDS, Metric, Reading, Reported, Row, readings};

/// The present state of a bulkhead, and its cumulative counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadSnapshot {
    /// Calls that may run concurrently.
    pub max_concurrent: u32,
    /// Its calls: those that run or are queued now, and the counts of all.
    pub calls: ConcurrentCalls,
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
                ("admitted", |s| s.calls.admitted),
                ("full", |s| s.calls.rejected),
                ("wait", |s| s.calls.wait_elapsed),
                ("abandoned", |s| s.calls.abandoned),
            ],
        ),
        Row::counts(
            Metric::counter(
                "reliability.bulkhead.rejections",
                "{call}",
                "Calls that were refused, by reason; wait: queued for too long",
            )
            .by(&["reason"]),
            &[("full", |s| s.calls.rejected), ("wait", |s| s.calls.wait_elapsed)],
        ),
        Row::level(
            Metric::gauge("reliability.bulkhead.usage", "{call}", "Calls that run"),
            |s| s.calls.in_flight.into(),
        ),
        Row::level(
            Metric::gauge("reliability.bulkhead.limit", "{call}", "Calls that may run at a time"),
            |s| s.max_concurrent.into(),
        ),
        Row::level(
            Metric::gauge("reliability.bulkhead.queue.size", "{call}", "Queued calls"),
            |s| s.calls.queued as f64,
        ),
        Row::times(Self::WAIT, |s| &s.calls.waited),
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
