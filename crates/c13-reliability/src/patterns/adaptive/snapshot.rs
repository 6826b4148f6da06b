//! What an adaptive limit reports.

use crate::gate::ConcurrentCalls;
use crate::snapshot::{Metric, Reading, Reported, Row, readings};
use std::time::Duration;

/// The present state of an adaptive limit, and its cumulative counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdaptiveSnapshot {
    /// Calls that may run concurrently now.
    pub limit: u32,
    /// The latency without load, where it is known and the algorithm needs it.
    pub baseline: Option<Duration>,
    /// Its calls: those that run or are queued now, and the counts of all.
    pub calls: ConcurrentCalls,
    /// Calls that counted as dropped.
    pub dropped: u64,
}

impl Reported for AdaptiveSnapshot {
    const METRICS: &'static [Row<Self>] = &[
        Row::counts(
            Metric::counter(
                "reliability.adaptive.calls",
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
        Row::count(
            Metric::counter(
                "reliability.adaptive.dropped",
                "{call}",
                "Calls that ended in a way that is taken for overload",
            ),
            |s| s.dropped,
        ),
        Row::level(
            Metric::gauge(
                "reliability.adaptive.limit",
                "{call}",
                "Calls that may run at a time now",
            ),
            |s| s.limit.into(),
        ),
        Row::level(
            Metric::gauge("reliability.adaptive.usage", "{call}", "Calls that run"),
            |s| s.calls.in_flight.into(),
        ),
        Row::level(
            Metric::gauge("reliability.adaptive.queue.size", "{call}", "Queued calls"),
            |s| s.calls.queued as f64,
        ),
        Row::times(
            Metric::seconds(
                "reliability.adaptive.wait.duration",
                &[
                    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0,
                ],
                "How long calls were queued that then ran",
            ),
            |s| &s.calls.waited,
        ),
        Row::known_level(
            Metric::gauge("reliability.adaptive.baseline", "s", "The latency without load"),
            |s| s.baseline.map(|baseline| baseline.as_secs_f64()),
        ),
    ];
}

impl AdaptiveSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        readings(self)
    }
}
