//! Histograms of the registry, recorded anew into instruments of OpenTelemetry, which cannot take one that was recorded
//! elsewhere.

use super::feed::{Key, attributes, series_of};
use crate::snapshot::{Family, Kind, Metric, Value};
use crate::sync::HistogramSnapshot;
use opentelemetry::metrics::Histogram;
use std::collections::BTreeMap;

/// At most so many values of a series are recorded in one collection. The others follow in the next.
const MOST: u64 = 1_000_000;

/// The instruments, and what was recorded into them so far.
pub(super) struct Replay {
    instruments: Vec<(&'static Metric, Histogram<f64>)>,
    recorded: BTreeMap<Key, Recorded>,
}

/// What was recorded of one series.
#[derive(Clone, Default)]
struct Recorded {
    /// By bucket; the last is for values above all boundaries.
    counts: Vec<u64>,
    sum: f64,
}

impl Replay {
    pub(super) fn new(instruments: Vec<(&'static Metric, Histogram<f64>)>) -> Self {
        Self {
            instruments,
            recorded: BTreeMap::new(),
        }
    }

    /// Records what each series has counted since the last collection. Series that are gone are forgotten.
    pub(super) fn record(&mut self, families: &[Family]) {
        let mut kept = BTreeMap::new();
        for (metric, instrument) in &self.instruments {
            let Kind::Histogram { boundaries, per_unit } = metric.kind else {
                continue;
            };
            for series in series_of(families, metric.name) {
                let Value::Times(times) = &series.value else { continue };
                let key = (metric.name, series.name.clone(), series.labels.clone());
                let mut recorded = self.recorded.remove(&key).unwrap_or_default();
                let attributes = attributes(series);
                for (value, count) in recorded.catch_up(times, boundaries, per_unit) {
                    for _ in 0..count {
                        instrument.record(value, &attributes);
                    }
                }
                kept.insert(key, recorded);
            }
        }
        self.recorded = kept;
    }
}

impl Recorded {
    /// The values to record, each with how often, so that the buckets hold what `times` holds, and the sum comes as close as
    /// their bounds allow.
    fn catch_up(&mut self, times: &HistogramSnapshot, boundaries: &[f64], per_unit: f64) -> Vec<(f64, u64)> {
        let now = buckets(times, boundaries, per_unit);
        let before = |at: usize, counts: &[u64]| counts.get(at).copied().unwrap_or_default();
        if now
            .iter()
            .enumerate()
            .any(|(at, count)| *count < before(at, &self.counts))
        {
            // A new part under an old name.
            *self = Self::default();
        }
        self.counts.resize(now.len(), 0);
        let mut left = MOST;
        let grown: Vec<u64> = now
            .iter()
            .zip(&self.counts)
            .map(|(now, before)| {
                let count = (now - before).min(left);
                left -= count;
                count
            })
            .collect();
        let largest = (times.max() as f64 / per_unit).max(boundaries.last().copied().unwrap_or_default());
        let lows = [0.0].iter().chain(boundaries);
        let highs = boundaries.iter().chain([&largest]);
        let bounds: Vec<(f64, f64)> = lows.zip(highs).map(|(low, high)| (*low, *high)).collect();
        let total = |of: fn(&(f64, f64)) -> f64| -> f64 {
            grown
                .iter()
                .zip(&bounds)
                .map(|(count, bounds)| *count as f64 * of(bounds))
                .sum()
        };
        let missing = times.sum() as f64 / per_unit - self.sum - total(|(low, _)| *low);
        // How far into its bucket each value lies. Not at its lower end, which belongs to the bucket below.
        let depth = (missing / total(|(low, high)| high - low)).clamp(0.001, 1.0);
        let mut values = Vec::new();
        for ((count, (low, high)), recorded) in grown.into_iter().zip(bounds).zip(&mut self.counts) {
            if count > 0 {
                let value = low + (high - low) * depth;
                *recorded += count;
                self.sum += value * count as f64;
                values.push((value, count));
            }
        }
        values
    }
}

/// How many values lie in each bucket; the last is for those above all boundaries.
fn buckets(times: &HistogramSnapshot, boundaries: &[f64], per_unit: f64) -> Vec<u64> {
    let up_to = |boundary: &f64| times.count_at_most((boundary * per_unit).round() as u64);
    let mut below = 0;
    let ends = boundaries.iter().map(up_to).chain([times.count()]);
    ends.map(|count| count - std::mem::replace(&mut below, count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Random;

    const BOUNDARIES: [f64; 4] = [0.001, 0.01, 0.1, 1.0];

    #[test]
    fn buckets_are_exact_and_sums_follow_the_bounds() {
        let random = Random::new(3);
        let (mut times, mut recorded) = (HistogramSnapshot::new(), Recorded::default());
        let (mut counts, mut sum) = (vec![0; 5], 0.0);
        for _ in 0..20 {
            for _ in 0..random.below(200) {
                times.record(random.below(3_000_000_000) >> random.below(20));
            }
            for (value, count) in recorded.catch_up(&times, &BOUNDARIES, 1e9) {
                counts[BOUNDARIES.partition_point(|end| *end < value)] += count;
                sum += value * count as f64;
            }
            assert_eq!(counts, buckets(&times, &BOUNDARIES, 1e9));
        }
        let exact = times.sum() as f64 / 1e9;
        assert!((sum - exact).abs() < 0.02 * exact, "{sum} for {exact}");
    }

    #[test]
    fn a_part_that_was_replaced_is_recorded_from_its_start() {
        let mut recorded = Recorded::default();
        let (mut old, mut new) = (HistogramSnapshot::new(), HistogramSnapshot::new());
        old.record(5_000_000);
        old.record(5_000_000);
        new.record(5_000_000);
        for (times, count) in [(&old, 2), (&new, 1)] {
            let values = recorded.catch_up(times, &BOUNDARIES, 1e9);
            assert_eq!(values.iter().map(|(_, count)| count).sum::<u64>(), count);
        }
    }

    #[test]
    fn what_one_collection_does_not_record_the_next_one_does() {
        let ends = BOUNDARIES.map(|end| (end * 1e9) as u64);
        let times = HistogramSnapshot::of_buckets(&ends, &[MOST, 7, 0, 0, 0], 0, 2_000_000);
        let mut recorded = Recorded::default();
        let count = |values: Vec<(f64, u64)>| values.iter().map(|(_, count)| count).sum::<u64>();
        assert_eq!(count(recorded.catch_up(&times, &BOUNDARIES, 1e9)), MOST);
        assert_eq!(count(recorded.catch_up(&times, &BOUNDARIES, 1e9)), 7);
    }
}
