//! What a cache reports.

use crate::snapshot::{Metric, Reading};
use crate::sync::HistogramSnapshot;

/// What a cache did so far, and what it holds. Counts are exact; those made meanwhile may be missing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CacheSnapshot {
    /// Reads served from a fresh entry.
    pub hits: u64,
    /// Reads served from an entry that was no longer fresh.
    pub stale_hits: u64,
    /// Reads that were told from memory that there is nothing.
    pub negative_hits: u64,
    /// Reads that had to wait for a load, or had none to wait for.
    pub misses: u64,
    /// Of the misses, those that waited for a load that another read had begun.
    pub coalesced: u64,
    /// Of the misses, those served from an entry that was no longer fresh because the load failed.
    pub rescued: u64,
    /// Loads that were begun, those in the background among them.
    pub loads: u64,
    /// Loads that gave an error.
    pub load_failures: u64,
    /// Loads that panicked.
    pub load_panics: u64,
    /// Loads begun in the background, for an entry that could still be served.
    pub refreshes: u64,
    /// Entries that made room for others, or were too heavy to be kept.
    pub evicted: u64,
    /// Entries that were found to have expired.
    pub expired: u64,
    /// Entries that were found not to have been read for too long.
    pub idle: u64,
    /// Entries that were removed by hand.
    pub invalidated: u64,
    /// How long loads took, those that failed among them, in nanoseconds.
    pub load_time: HistogramSnapshot,
    /// Entries that are held, expired ones that nobody has come upon among them.
    pub entries: u64,
    /// What they weigh; where nothing is weighed, each weighs 1.
    pub weight: u64,
}

static REQUESTS: Metric = Metric::counter(
    "reliability.cache.requests",
    "{read}",
    "Reads by result: hit, stale, negative, coalesced where another read loaded, or miss",
);
static RESCUES: Metric = Metric::counter(
    "reliability.cache.rescues",
    "{read}",
    "Reads that were served a stale value because the load failed",
);
static LOAD_FAILURES: Metric = Metric::counter(
    "reliability.cache.load.failures",
    "{load}",
    "Loads that failed, by reason: error or panic",
);
static LOAD_DURATION: Metric = Metric::seconds(
    "reliability.cache.load.duration",
    &[
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0,
    ],
    "How long loads took, those that failed among them",
);
static EVICTIONS: Metric = Metric::counter(
    "reliability.cache.evictions",
    "{entry}",
    "Entries that went, by reason: size, expired, idle or explicit",
);
static ENTRIES: Metric = Metric::gauge("reliability.cache.entries", "{entry}", "Entries that are held");
static WEIGHT: Metric = Metric::gauge(
    "reliability.cache.weight",
    "",
    "What the entries weigh; their number where nothing is weighed",
);

/// Everything that a cache reports.
pub(crate) static METRICS: &[&Metric] = &[
    &REQUESTS,
    &RESCUES,
    &LOAD_FAILURES,
    &LOAD_DURATION,
    &EVICTIONS,
    &ENTRIES,
    &WEIGHT,
];

impl CacheSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let requests = [
            ("hit", self.hits),
            ("stale", self.stale_hits),
            ("negative", self.negative_hits),
            ("coalesced", self.coalesced),
            // Counted one after the other, so for a moment the part may be more than the whole.
            ("miss", self.misses.saturating_sub(self.coalesced)),
        ];
        let evictions = [
            ("size", self.evicted),
            ("expired", self.expired),
            ("idle", self.idle),
            ("explicit", self.invalidated),
        ];
        let failures = [("error", self.load_failures), ("panic", self.load_panics)];
        let mut readings = vec![
            Reading::count(&RESCUES, self.rescued),
            Reading::times(&LOAD_DURATION, self.load_time.clone()),
            Reading::level(&ENTRIES, self.entries as f64),
            Reading::level(&WEIGHT, self.weight as f64),
        ];
        readings.extend(requests.map(|(result, count)| Reading::count(&REQUESTS, count).label("result", result)));
        readings.extend(evictions.map(|(reason, count)| Reading::count(&EVICTIONS, count).label("reason", reason)));
        readings.extend(failures.map(|(reason, count)| Reading::count(&LOAD_FAILURES, count).label("reason", reason)));
        readings
    }

    /// The share of reads that did not have to wait for a load, from 0 to 1; `None` before the first read.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        let served = self.hits + self.stale_hits + self.negative_hits;
        let reads = served + self.misses;
        (reads > 0).then(|| served as f64 / reads as f64)
    }
}
