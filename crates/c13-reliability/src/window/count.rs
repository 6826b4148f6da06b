//! The last N calls: one bit each, in a ring.

/// Which of the last `capacity` calls failed.
///
/// Recording is O(1). A run of successes costs one word for each 64 of them, to clear their bits. Memory: one bit a
/// call.
///
/// ```
/// use c13_reliability::window::CountWindow;
///
/// let mut last = CountWindow::new(100);
/// last.record_successes(1_000_000);
/// for _ in 0..50 {
///     last.record(true);
/// }
/// assert_eq!((last.failures(), last.len()), (50, 100));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountWindow {
    bits: Box<[u64]>,
    capacity: usize,
    next: usize,
    len: usize,
    failures: usize,
}

impl CountWindow {
    /// An empty window over the last `capacity` calls; with a capacity of 0 it stays empty.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            bits: vec![0; capacity.div_ceil(64)].into(),
            capacity,
            next: 0,
            len: 0,
            failures: 0,
        }
    }

    /// How many calls it holds at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many calls it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds no call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many of the calls it holds failed.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.failures
    }

    /// Records one call. If the window is full, the oldest call leaves it.
    pub fn record(&mut self, failed: bool) {
        if self.capacity == 0 {
            return;
        }
        let (word, bit) = (self.next / 64, 1 << (self.next % 64));
        if self.len == self.capacity {
            self.failures -= usize::from(self.bits[word] & bit != 0);
        } else {
            self.len += 1;
        }
        if failed {
            self.bits[word] |= bit;
            self.failures += 1;
        } else {
            self.bits[word] &= !bit;
        }
        self.next = if self.next + 1 == self.capacity {
            0
        } else {
            self.next + 1
        };
    }

    /// Records `n` successes in a row. Complexity: O(min(n, capacity) / 64).
    pub fn record_successes(&mut self, n: u64) {
        let capacity = self.capacity;
        if n >= capacity as u64 {
            self.clear();
            self.len = capacity;
            return;
        }
        let mut left = n as usize;
        while left > 0 {
            // As far as this word, this lap of the ring and the run itself reach.
            let (word, offset) = (self.next / 64, self.next % 64);
            let run = left.min(64 - offset).min(capacity - self.next);
            let mask = if run == 64 {
                u64::MAX
            } else {
                ((1 << run) - 1) << offset
            };
            // Bits that were never recorded are zero, so those of a window that is not full take nothing off.
            self.failures -= (self.bits[word] & mask).count_ones() as usize;
            self.bits[word] &= !mask;
            self.next = (self.next + run) % capacity;
            self.len = (self.len + run).min(capacity);
            left -= run;
        }
    }

    /// The same window with another capacity. It keeps the most recent calls that fit. Complexity: O(capacity).
    #[must_use]
    pub fn resized(&self, capacity: usize) -> Self {
        let mut resized = Self::new(capacity);
        let kept = self.len.min(capacity);
        for age in (1..=kept).rev() {
            let index = (self.next + self.capacity - age) % self.capacity;
            resized.record(self.bits[index / 64] & 1 << (index % 64) != 0);
        }
        resized
    }

    /// Forgets all calls.
    pub fn clear(&mut self) {
        self.bits.fill(0);
        (self.next, self.len, self.failures) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Random;
    use std::collections::VecDeque;

    #[test]
    fn it_agrees_with_a_naive_list_over_random_runs() {
        for seed in 0..200 {
            let random = Random::new(seed);
            let capacity = random.below(200) as usize;
            let mut window = CountWindow::new(capacity);
            let mut naive = VecDeque::new();
            for step in 0..300 {
                let (failed, run) = match random.below(3) {
                    0 => (true, 1),
                    1 => (false, 1),
                    _ => (false, random.below(2 * capacity as u64 + 2)),
                };
                if run == 1 {
                    window.record(failed);
                } else {
                    window.record_successes(run);
                }
                naive.extend(std::iter::repeat_n(failed, run as usize));
                while naive.len() > capacity {
                    naive.pop_front();
                }
                let failures = naive.iter().filter(|failed| **failed).count();
                assert_eq!(
                    (window.len(), window.failures()),
                    (naive.len(), failures),
                    "seed {seed}, step {step}"
                );
            }
        }
    }

    #[test]
    fn an_outage_after_a_million_successes_fills_half_of_it_in_half_its_length() {
        let mut window = CountWindow::new(100);
        window.record_successes(1_000_000);
        for failures in 1..=50 {
            window.record(true);
            assert_eq!((window.failures(), window.len()), (failures, 100));
        }
    }

    #[test]
    fn a_resized_window_keeps_the_most_recent_calls_that_fit() {
        for seed in 0..200 {
            let random = Random::new(seed);
            let (before, after) = (1 + random.below(150) as usize, random.below(150) as usize);
            let mut window = CountWindow::new(before);
            let mut same_from_the_start = CountWindow::new(after.min(before));
            for _ in 0..random.below(400) {
                let failed = random.below(2) == 0;
                window.record(failed);
                same_from_the_start.record(failed);
            }
            let resized = window.resized(after);
            assert_eq!(
                (resized.capacity(), resized.len(), resized.failures()),
                (after, same_from_the_start.len(), same_from_the_start.failures()),
                "seed {seed}"
            );
        }
    }

    #[test]
    fn a_cleared_window_remembers_nothing() {
        let mut window = CountWindow::new(70);
        for _ in 0..100 {
            window.record(true);
        }
        window.clear();
        assert!(window.is_empty());
        assert_eq!(window, CountWindow::new(70));
    }
}
