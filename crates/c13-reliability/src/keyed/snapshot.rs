//! What a keyed set reports about itself, besides the sums of what its parts report.

use crate::snapshot::{Metric, Reported, Row};

/// The keys of a set at one moment, and its cumulative counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeySetSnapshot {
    /// Keys that it keeps.
    pub keys: u64,
    /// Keys whose circuit refuses calls.
    pub open: u64,
    /// Keys that were forgotten, to make room or because they were idle.
    pub evictions: u64,
    /// Requests for keys that share one part because they are too long.
    pub too_long: u64,
    /// Requests for new keys that share one part because there was no room.
    pub without_room: u64,
}

impl Reported for KeySetSnapshot {
    const METRICS: &'static [Row<Self>] = &[
        Row::level(
            Metric::gauge("reliability.keyed.keys", "{key}", "Keys that a keyed set keeps"),
            |s| s.keys as f64,
        ),
        Row::level(
            Metric::gauge("reliability.keyed.open", "{key}", "Keys whose circuit refuses calls"),
            |s| s.open as f64,
        ),
        Row::count(
            Metric::counter("reliability.keyed.evictions", "{key}", "Keys that a keyed set forgot"),
            |s| s.evictions,
        ),
        Row::counts(
            Metric::counter(
                "reliability.keyed.shared",
                "{request}",
                "Requests for keys that share one part, by reason; full: no room for a new key",
            )
            .by(&["reason"]),
            &[("too_long", |s| s.too_long), ("full", |s| s.without_room)],
        ),
    ];
}
