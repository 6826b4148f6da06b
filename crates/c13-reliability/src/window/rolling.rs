//! Counts over the last T of time, in a ring of buckets of which the oldest leave as time passes.

use crate::time::{Tick, nanos};
use std::time::Duration;

/// Counts of `K` kinds over the last `length` of time, cut into `B` buckets, to the precision of one bucket.
///
/// It holds what was recorded in the current bucket and in the whole buckets before it, so it reaches back at least
/// `length − length / B` and at most `length`. Recording and reading are O(1): each bucket is taken off the totals
/// once when it leaves, and a pause of any length costs one pass over the ring. A tick earlier than the last one counts
/// as the last one.
///
/// ```
/// use c13_reliability::{time::Tick, window::RollingWindow};
/// use std::time::Duration;
///
/// let mut calls = RollingWindow::<1, 10>::new(Duration::from_secs(10));
/// let start = Tick::ZERO;
/// calls.add(start, 0, 3);
/// assert_eq!(calls.totals(start + Duration::from_secs(9)), [3]);
/// assert_eq!(calls.totals(start + Duration::from_secs(10)), [0]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollingWindow<const K: usize, const B: usize> {
    buckets: [[u64; K]; B],
    bucket_nanos: u64,
    /// The number of the current bucket, counted from the clock's origin.
    current: u64,
    totals: [u64; K],
}

impl<const K: usize, const B: usize> RollingWindow<K, B> {
    /// An empty window of `length`, whose buckets are at least 1 ns long. With no bucket at all it does not compile.
    #[must_use]
    pub const fn new(length: Duration) -> Self {
        const { assert!(B > 0, "a window has at least one bucket") };
        let nanos = nanos(length).div_ceil(B as u64);
        Self {
            buckets: [[0; K]; B],
            bucket_nanos: if nanos == 0 { 1 } else { nanos },
            current: 0,
            totals: [0; K],
        }
    }

    /// How long one bucket is: the precision of the window.
    #[must_use]
    pub fn bucket_length(&self) -> Duration {
        Duration::from_nanos(self.bucket_nanos)
    }

    /// Adds `n` to the counts of `kind` at `now`.
    ///
    /// # Panics
    ///
    /// If there is no such kind.
    pub fn add(&mut self, now: Tick, kind: usize, n: u64) {
        self.roll(now);
        let index = self.index(self.current);
        self.buckets[index][kind] += n;
        self.totals[kind] += n;
    }

    /// The counts of all kinds in the window that ends at `now`.
    pub fn totals(&mut self, now: Tick) -> [u64; K] {
        self.roll(now);
        self.totals
    }

    /// The counts of each bucket in the window that ends at `now`, with the bucket's beginning, oldest first.
    pub fn buckets(&mut self, now: Tick) -> impl DoubleEndedIterator<Item = (Tick, [u64; K])> {
        self.roll(now);
        let first = (self.current + 1).saturating_sub(B as u64);
        (first..=self.current).map(|bucket| {
            let beginning = Tick::from_nanos(bucket.saturating_mul(self.bucket_nanos));
            (beginning, self.buckets[self.index(bucket)])
        })
    }

    /// Forgets all counts.
    pub fn clear(&mut self) {
        self.buckets = [[0; K]; B];
        self.totals = [0; K];
    }

    fn index(&self, bucket: u64) -> usize {
        (bucket % B as u64) as usize
    }

    /// Subtracts the buckets that have left the window by `now`.
    fn roll(&mut self, now: Tick) {
        let target = now.as_nanos() / self.bucket_nanos;
        if target <= self.current {
            return;
        }
        if target - self.current >= B as u64 {
            self.clear();
        } else {
            for bucket in self.current + 1..=target {
                let index = self.index(bucket);
                let left = std::mem::replace(&mut self.buckets[index], [0; K]);
                for (total, count) in self.totals.iter_mut().zip(left) {
                    *total -= count;
                }
            }
        }
        self.current = target;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Random;

    #[test]
    fn it_agrees_with_a_naive_log_over_random_times() {
        agrees_with_a_naive_log::<1>();
        agrees_with_a_naive_log::<2>();
        agrees_with_a_naive_log::<3>();
        agrees_with_a_naive_log::<7>();
        agrees_with_a_naive_log::<10>();
        agrees_with_a_naive_log::<12>();
    }

    fn agrees_with_a_naive_log<const B: usize>() {
        for seed in 0..50 {
            let random = Random::new(seed);
            let (buckets, bucket) = (B as u64, 1 + random.below(50));
            let mut window = RollingWindow::<2, B>::new(Duration::from_nanos(buckets * bucket));
            let mut log: Vec<(u64, usize, u64)> = Vec::new();
            let mut now = random.below(1_000);
            for step in 0..300 {
                now += if random.below(20) == 0 {
                    random.below(2_000)
                } else {
                    random.below(bucket)
                };
                let (kind, n) = (random.below(2) as usize, random.below(5));
                window.add(Tick::from_nanos(now), kind, n);
                log.push((now, kind, n));
                let oldest = (now / bucket + 1).saturating_sub(buckets) * bucket;
                let naive = [0, 1].map(|kind| {
                    log.iter()
                        .filter(|(at, of, _)| *of == kind && *at >= oldest)
                        .map(|(_, _, n)| n)
                        .sum::<u64>()
                });
                assert_eq!(window.totals(Tick::from_nanos(now)), naive, "seed {seed}, step {step}");
            }
        }
    }

    #[test]
    fn what_is_older_than_the_window_is_gone_and_what_is_younger_by_a_bucket_is_there() {
        let mut window = RollingWindow::<1, 10>::new(Duration::from_secs(10));
        let at = |seconds: f64| Tick::ZERO + Duration::from_secs_f64(seconds);
        window.add(at(0.5), 0, 1);
        assert_eq!(window.totals(at(9.999)), [1]);
        assert_eq!(window.totals(at(10.0)), [0]);
    }

    #[test]
    fn time_that_seems_to_go_back_changes_nothing() {
        let mut window = RollingWindow::<1, 10>::new(Duration::from_secs(10));
        window.add(Tick::from_nanos(50_000_000_000), 0, 1);
        window.add(Tick::from_nanos(1), 0, 1);
        assert_eq!(window.totals(Tick::from_nanos(2)), [2]);
    }

    #[test]
    fn its_buckets_are_its_counts_oldest_first() {
        let mut window = RollingWindow::<1, 3>::new(Duration::from_nanos(30));
        for now in [5, 12, 13, 38, 49] {
            window.add(Tick::from_nanos(now), 0, 1);
        }
        let buckets: Vec<_> = window.buckets(Tick::from_nanos(49)).collect();
        assert_eq!(
            buckets,
            [(20, [0]), (30, [1]), (40, [1])].map(|(at, counts)| (Tick::from_nanos(at), counts))
        );
        let mut young = RollingWindow::<1, 3>::new(Duration::from_nanos(30));
        young.add(Tick::from_nanos(15), 0, 1);
        assert_eq!(
            young.buckets(Tick::from_nanos(15)).count(),
            2,
            "there is no time before the origin"
        );
    }

    #[test]
    fn the_far_end_of_time_is_a_time_like_any_other() {
        let mut window = RollingWindow::<1, 3>::new(Duration::MAX);
        window.add(Tick::MAX, 0, 1);
        assert_eq!(window.totals(Tick::MAX), [1]);
    }
}
