//! The snapshot of a cache, and its metrics.

use crate::snapshot::{Metric, Reading, Reported, Row, SECONDS, readings};
use crate::sync::HistogramSnapshot;
use crate::sync::counted;

counted! {
    /// The counters of a cache, and what it holds. Counts are exact; concurrent ones may be missing.
    #[derive(Clone, Debug, Default)]
    #[non_exhaustive]
    pub struct CacheSnapshot by CacheCount {
        /// Reads served from a fresh entry.
        pub hits: u64 = Hit,
        /// Reads served from an entry that was no longer fresh.
        pub stale_hits: u64 = StaleHit,
        /// Reads served from a negative entry: there is nothing under the key.
        pub negative_hits: u64 = NegativeHit,
        /// Reads that had to load, or to wait for a load.
        pub misses: u64 = Miss,
        /// Of the misses, those that waited for a load that another read had begun.
        pub coalesced: u64 = Coalesced,
        /// Of the misses, those served from an entry that was no longer fresh because the load failed.
        pub rescued: u64 = Rescued,
        /// Loads that were begun, those in the background among them.
        pub loads: u64 = Load,
        /// Loads that gave an error.
        pub load_failures: u64 = LoadFailure,
        /// Loads that panicked.
        pub load_panics: u64 = LoadPanic,
        /// Loads begun in the background, for an entry that could still be served.
        pub refreshes: u64 = Refresh,
        /// Entries that made room for others, or were too heavy to be kept.
        pub evicted: u64 = Evicted,
        /// Entries that were found to have expired.
        pub expired: u64 = Expired,
        /// Entries that were found not to have been read for too long.
        pub idle: u64 = Idle,
        /// Entries that were removed by hand.
        pub invalidated: u64 = Invalidated,
        /// How long loads took, those that failed among them, in nanoseconds.
        pub load_time: HistogramSnapshot,
        /// Entries that are held, including expired ones that no read has found yet.
        pub entries: u64,
        /// Their weight; if nothing is weighed, each has the weight 1.
        pub weight: u64,
    }
}

impl Reported for CacheSnapshot {
    const METRICS: &'static [Row<Self>] = &[
        Row::counts(
            Metric::counter(
                "reliability.cache.requests",
                "{read}",
                "Reads, by result; coalesced: waited for the load of another read",
            )
            .by(&["result"]),
            &[
                ("hit", |s| s.hits),
                ("stale", |s| s.stale_hits),
                ("negative", |s| s.negative_hits),
                ("coalesced", |s| s.coalesced),
                // Counted one after the other, so for a moment the part may be more than the whole.
                ("miss", |s| s.misses.saturating_sub(s.coalesced)),
            ],
        ),
        Row::count(
            Metric::counter(
                "reliability.cache.rescues",
                "{read}",
                "Reads that were served a stale value because the load failed",
            ),
            |s| s.rescued,
        ),
        Row::counts(
            Metric::counter(
                "reliability.cache.load.failures",
                "{load}",
                "Loads that failed, by reason",
            )
            .by(&["reason"]),
            &[("error", |s| s.load_failures), ("panic", |s| s.load_panics)],
        ),
        Row::times(
            Metric::seconds(
                "reliability.cache.load.duration",
                SECONDS,
                "How long loads took, including those that failed",
            ),
            |s| &s.load_time,
        ),
        Row::counts(
            Metric::counter(
                "reliability.cache.evictions",
                "{entry}",
                "Entries that were removed, by reason",
            )
            .by(&["reason"]),
            &[
                ("size", |s| s.evicted),
                ("expired", |s| s.expired),
                ("idle", |s| s.idle),
                ("explicit", |s| s.invalidated),
            ],
        ),
        Row::level(
            Metric::gauge("reliability.cache.entries", "{entry}", "Entries that are held"),
            |s| s.entries as f64,
        ),
        Row::level(
            Metric::gauge(
                "reliability.cache.weight",
                "",
                "What the entries weigh; their number where nothing is weighed",
            ),
            |s| s.weight as f64,
        ),
    ];
}

impl CacheSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        readings(self)
    }

    /// The share of reads that did not have to wait for a load, from 0 to 1; `None` before the first read.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        let served = self.hits + self.stale_hits + self.negative_hits;
        let reads = served + self.misses;
        (reads > 0).then(|| served as f64 / reads as f64)
    }
}
