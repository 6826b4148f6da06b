//! Log-linear histograms: every `u64` in a bucket no wider than a fixed share of its value.

// Of std in loom models too: a thousand counts that order nothing would only make the models slow.
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A histogram that many threads record into; to record is one atomic addition to a bucket and two to the totals.
///
/// Each power of two is cut into `2^BITS` buckets of equal width, so a value is known to a relative error of at most
/// `2^-BITS` (6.25 % by default) over the whole range of `u64`. Memory: 32 bytes, and from the first value on
/// `(65 - BITS) · 2^BITS · 8` bytes more, 7.8 KB by default.
#[derive(Debug)]
pub struct Histogram<const BITS: u32 = 4> {
    /// Allocated with the first value: many a histogram never gets one.
    buckets: OnceLock<Box<[AtomicU64]>>,
    sum: AtomicU64,
    max: AtomicU64,
}

impl<const BITS: u32> Histogram<BITS> {
    /// An empty histogram.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buckets: OnceLock::new(),
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }

    /// Records one value. Complexity: O(1).
    pub fn record(&self, value: u64) {
        // Relaxed: counts order nothing; a snapshot may see one of the three before the others.
        self.buckets()[bucket::<BITS>(value)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
        self.max.fetch_max(value, Ordering::Relaxed);
    }

    /// What was recorded so far. Complexity: O(buckets).
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot<BITS> {
        let Some(buckets) = self.buckets.get() else {
            return HistogramSnapshot::new();
        };
        // Relaxed: as in `record`.
        let counts: Box<[u64]> = buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        HistogramSnapshot {
            count: counts.iter().sum(),
            counts,
            // Relaxed: as in `record`.
            sum: self.sum.load(Ordering::Relaxed).into(),
            max: self.max.load(Ordering::Relaxed),
        }
    }

    fn buckets(&self) -> &[AtomicU64] {
        self.buckets
            .get_or_init(|| (0..buckets::<BITS>()).map(|_| AtomicU64::new(0)).collect())
    }
}

impl<const BITS: u32> Default for Histogram<BITS> {
    fn default() -> Self {
        Self::new()
    }
}

/// A histogram as a plain value: for one thread to record into, to merge and to read.
///
/// ```
/// use c13_reliability::sync::HistogramSnapshot;
///
/// let mut latency = HistogramSnapshot::<4>::new();
/// for ms in 1..=100 {
///     latency.record(ms);
/// }
/// let median = latency.quantile(0.5).unwrap();
/// assert!((47..=53).contains(&median));
/// assert_eq!(latency.quantile(1.0), Some(100));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot<const BITS: u32 = 4> {
    counts: Box<[u64]>,
    count: u64,
    sum: u128,
    max: u64,
}

impl<const BITS: u32> HistogramSnapshot<BITS> {
    /// An empty histogram.
    #[must_use]
    pub fn new() -> Self {
        Self {
            counts: vec![0; buckets::<BITS>()].into(),
            count: 0,
            sum: 0,
            max: 0,
        }
    }

    /// A histogram of values that were counted in other buckets: `counts` has one for the values up to each of `ends`, which
    /// ascend and differ by more than a bucket of this, and one for those above. Each value counts as the end of its bucket,
    /// or, above all ends, as the largest.
    pub(crate) fn of_buckets(ends: &[u64], counts: &[u64], sum: u128, max: u64) -> Self {
        let mut snapshot = Self::new();
        let values = ends
            .iter()
            .map(|end| Self::last_within(*end))
            .chain([bucket::<BITS>(max)]);
        for (bucket, count) in values.zip(counts) {
            snapshot.counts[bucket] += count;
        }
        snapshot.count = counts.iter().sum();
        snapshot.sum = sum;
        snapshot.max = max;
        snapshot
    }

    /// The last bucket that does not reach above `limit`.
    fn last_within(limit: u64) -> usize {
        let last = bucket::<BITS>(limit);
        if bounds::<BITS>(last).1 == limit {
            last
        } else {
            last.saturating_sub(1)
        }
    }

    /// Records one value. Complexity: O(1).
    pub fn record(&mut self, value: u64) {
        self.counts[bucket::<BITS>(value)] += 1;
        self.count += 1;
        self.sum += u128::from(value);
        self.max = self.max.max(value);
    }

    /// Adds everything that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// How many values were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum of all values, exact.
    #[must_use]
    pub fn sum(&self) -> u128 {
        self.sum
    }

    /// The largest value, exact; 0 if there is none.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The smallest value that at least the share `q` of all values does not exceed, to within half a bucket; `None` if
    /// nothing was recorded or `q` is no number from 0 to 1.
    ///
    /// Complexity: O(buckets).
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<u64> {
        self.quantile_bounds(q).map(|(low, high)| low + (high - low) / 2)
    }

    /// A value that at least the share `q` of all values does not exceed, for certain, and less than a bucket above the
    /// smallest such; `None` as for [`quantile`](Self::quantile).
    ///
    /// Complexity: O(buckets).
    #[must_use]
    pub fn quantile_at_most(&self, q: f64) -> Option<u64> {
        self.quantile_bounds(q).map(|(_, high)| high)
    }

    /// What the quantile is not below and not above.
    fn quantile_bounds(&self, q: f64) -> Option<(u64, u64)> {
        if self.count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = ((q * self.count as f64).ceil() as u64).clamp(1, self.count);
        // The largest value is known exactly, and no quantile lies above it.
        if rank == self.count {
            return Some((self.max, self.max));
        }
        let mut below = 0;
        for (index, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                let (low, high) = bounds::<BITS>(index);
                return Some((low, high.min(self.max)));
            }
        }
        Some((self.max, self.max))
    }

    /// How many values lie in buckets that do not reach above `limit`: exact where `limit` ends a bucket, else too few
    /// by at most one bucket's count.
    #[must_use]
    pub fn count_at_most(&self, limit: u64) -> u64 {
        let whole = if bounds::<BITS>(bucket::<BITS>(limit)).1 == limit {
            bucket::<BITS>(limit) + 1
        } else {
            bucket::<BITS>(limit)
        };
        self.counts[..whole].iter().sum()
    }
}

impl<const BITS: u32> Default for HistogramSnapshot<BITS> {
    fn default() -> Self {
        Self::new()
    }
}

/// How many buckets cover all of `u64`.
const fn buckets<const BITS: u32>() -> usize {
    assert!(BITS >= 1 && BITS <= 12, "1 to 12 bits of a value are kept");
    ((65 - BITS) as usize) << BITS
}

/// The bucket of `value`: below `2^BITS` each value has its own, above it `BITS` bits after the leading one count.
const fn bucket<const BITS: u32>(value: u64) -> usize {
    if value < 1 << BITS {
        return value as usize;
    }
    let shift = 63 - value.leading_zeros() - BITS;
    ((shift as usize) << BITS) + (value >> shift) as usize
}

/// The least and the greatest value of bucket `index`.
const fn bounds<const BITS: u32>(index: usize) -> (u64, u64) {
    if index < 1 << BITS {
        return (index as u64, index as u64);
    }
    let shift = (index >> BITS) as u32 - 1;
    let lead = (index - ((shift as usize) << BITS)) as u64;
    let low = lead << shift;
    (low, low + ((1 << shift) - 1))
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use crate::sync::Random;

    fn each_value_lies_in_its_bucket<const BITS: u32>() {
        let random = Random::new(11);
        let mut values: Vec<u64> = (0..200_000).map(|_| random.next_u64() >> random.below(64)).collect();
        values.extend([
            0,
            1,
            (1 << BITS) - 1,
            1 << BITS,
            (1 << BITS) + 1,
            u64::MAX - 1,
            u64::MAX,
        ]);
        for value in values {
            let index = bucket::<BITS>(value);
            let (low, high) = bounds::<BITS>(index);
            assert!(
                index < buckets::<BITS>() && low <= value && value <= high,
                "{value} in {index}: {low}..={high}"
            );
            assert!(
                (high - low) as f64 <= low as f64 / f64::from(1_u32 << BITS),
                "{value}: {low}..={high}"
            );
        }
        let last = buckets::<BITS>() - 1;
        assert_eq!(bounds::<BITS>(last).1, u64::MAX);
        for index in 0..last {
            assert_eq!(
                bounds::<BITS>(index).1 + 1,
                bounds::<BITS>(index + 1).0,
                "no gap after bucket {index}"
            );
        }
    }

    #[test]
    fn the_buckets_cover_every_value_once_within_the_stated_error() {
        each_value_lies_in_its_bucket::<1>();
        each_value_lies_in_its_bucket::<4>();
        each_value_lies_in_its_bucket::<7>();
    }

    #[test]
    fn quantiles_agree_with_a_sorted_list_to_half_a_bucket() {
        let random = Random::new(5);
        let mut values: Vec<u64> = (0..10_001).map(|_| random.below(1 << 30)).collect();
        let shared = Histogram::<6>::new();
        let mut plain = HistogramSnapshot::<6>::new();
        for value in &values {
            shared.record(*value);
            plain.record(*value);
        }
        assert_eq!(shared.snapshot(), plain);
        values.sort_unstable();
        for q in [0.0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let rank = ((q * 10_001.0_f64).ceil() as usize).max(1);
            let (exact, read) = (values[rank - 1] as f64, plain.quantile(q).unwrap() as f64);
            assert!((read - exact).abs() <= exact / 64.0, "q {q}: {read} for {exact}");
            let at_most = plain.quantile_at_most(q).unwrap() as f64;
            assert!(
                at_most >= exact && at_most <= exact * (1.0 + 1.0 / 64.0),
                "q {q}: {at_most} for {exact}"
            );
        }
        assert_eq!(plain.sum(), values.iter().map(|value| u128::from(*value)).sum::<u128>());
        assert_eq!(plain.count_at_most(u64::MAX), 10_001);
        assert_eq!(plain.quantile(1.5), None);
    }

    #[test]
    fn counts_of_other_buckets_are_kept_at_their_ends() {
        let ends = [1_000_000, 2_500_000, 10_000_000_000];
        let counts = [3, 0, 2, 1];
        let snapshot = HistogramSnapshot::<4>::of_buckets(&ends, &counts, 77, 12_000_000_000);
        assert_eq!(ends.map(|end| snapshot.count_at_most(end)), [3, 3, 5]);
        assert_eq!(
            (snapshot.count(), snapshot.sum(), snapshot.max()),
            (6, 77, 12_000_000_000)
        );
        assert_eq!(snapshot.count_at_most(999_999_999), 3);
    }

    #[test]
    fn merged_histograms_hold_both() {
        let (mut one, mut other) = (HistogramSnapshot::<4>::new(), HistogramSnapshot::<4>::new());
        one.record(5);
        other.record(500);
        one.merge(&other);
        assert_eq!((one.count(), one.sum(), one.max()), (2, 505, 500));
        assert_eq!(one.quantile(0.5), Some(5));
    }
}
