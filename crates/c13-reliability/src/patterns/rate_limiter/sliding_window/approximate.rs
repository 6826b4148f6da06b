//! The approximate sliding window, as a plain value: two counters, whatever the number of requests.
//!
//! Time is cut into windows of the length. Of the requests in the previous window, a share counts that is as large as its
//! overlap with the sliding window, as if they had come evenly.

use super::config::SlidingWindowConfig;
use super::window::SlidingWindow;
use crate::time::{Tick, nanos};
use std::time::Duration;

/// At most `capacity` requests in each window of `length` that starts at a whole multiple of it, and about as many in any
/// other.
///
/// No window at all holds `2 · capacity` requests or more: the worst case is a burst at the end of one window, and then all
/// that the estimate admits in the next. Where requests come evenly, the estimate is right to within two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApproximateWindow {
    capacity: u64,
    length: u64,
    /// Where the first window starts, in nanoseconds.
    origin: u64,
    /// The number of the window that `current` counts.
    index: u64,
    current: u64,
    previous: u64,
}

impl ApproximateWindow {
    pub(crate) fn new(capacity: u64, length: Duration, now: Tick) -> Self {
        Self {
            capacity,
            length: nanos(length),
            origin: now.as_nanos(),
            index: 0,
            current: 0,
            previous: 0,
        }
    }

    /// Admits a request at `now`, or returns when there will be room for it.
    pub(crate) fn admit(&mut self, now: Tick) -> Result<(), Tick> {
        self.admit_many(now, 1)
    }

    /// How many requests it holds at `now`.
    pub(crate) fn held(&self, now: Tick) -> u64 {
        let mut counter = *self;
        counter.roll(now);
        counter.estimate(now)
    }

    /// Counts `held` requests that another window held.
    pub(crate) fn hold(&mut self, held: u64) {
        self.current = held.min(self.capacity);
    }

    /// Moves on to the window that `now` lies in. A time before the current window counts as its start.
    fn roll(&mut self, now: Tick) {
        let index = now.as_nanos().saturating_sub(self.origin) / self.length;
        if index > self.index {
            self.previous = if index == self.index + 1 { self.current } else { 0 };
            self.current = 0;
            self.index = index;
        }
    }

    /// Moves on to the start of the next window.
    fn step(&mut self) {
        self.previous = self.current;
        self.current = 0;
        self.index += 1;
    }

    fn start(&self) -> u64 {
        self.origin.saturating_add(self.index.saturating_mul(self.length))
    }

    /// How many requests the sliding window holds at `now`, rounded up.
    fn estimate(&self, now: Tick) -> u64 {
        let into = now.as_nanos().saturating_sub(self.start()).min(self.length);
        let overlap = u128::from(self.previous) * u128::from(self.length - into);
        self.current + overlap.div_ceil(u128::from(self.length)) as u64
    }

    /// When the previous window's share will have fallen to `share`.
    fn falls_to(&self, share: u64) -> Tick {
        let start = Tick::from_nanos(self.start());
        if share >= self.previous {
            return start;
        }
        // The share at `into` is `previous · (length − into) / length`, rounded up.
        let stays = u128::from(share) * u128::from(self.length) / u128::from(self.previous);
        start + Duration::from_nanos(self.length - stays as u64)
    }
}

impl SlidingWindow for ApproximateWindow {
    fn empty(config: &SlidingWindowConfig, now: Tick) -> Self {
        Self::new(config.max_requests, config.window, now)
    }

    fn admit_many(&mut self, now: Tick, n: u64) -> Result<(), Tick> {
        self.roll(now);
        if self.estimate(now) + n > self.capacity {
            return Err(self.opens_at(now, n.saturating_sub(1)));
        }
        self.current += n;
        Ok(())
    }

    fn give_back(&mut self, n: u64) {
        let rest = n.saturating_sub(self.current);
        self.current = self.current.saturating_sub(n);
        self.previous = self.previous.saturating_sub(rest);
    }

    fn empty_at(&self) -> Tick {
        let windows = match (self.current, self.previous) {
            (0, 0) => return Tick::ZERO,
            (0, _) => 1,
            _ => 2,
        };
        Tick::from_nanos(self.start()) + Duration::from_nanos(self.length.saturating_mul(windows))
    }

    fn available(&self, now: Tick) -> u64 {
        let mut counter = *self;
        counter.roll(now);
        counter.capacity.saturating_sub(counter.estimate(now))
    }

    /// Exact for requests that are admitted within the next window, an estimate for others.
    fn opens_at(&self, now: Tick, ahead: u64) -> Tick {
        let mut counter = *self;
        counter.roll(now);
        let (laps, ahead) = (ahead / counter.capacity, ahead % counter.capacity);
        let needed = ahead + 1;
        let room = |counter: &Self| counter.capacity.checked_sub(counter.current + needed);
        if let Some(room) = room(&counter) {
            return counter.falls_to(room).max(now) + Duration::from_nanos(laps.saturating_mul(counter.length));
        }
        counter.step();
        let opens_at = counter.falls_to(counter.capacity - needed);
        opens_at.max(now) + Duration::from_nanos(laps.saturating_mul(counter.length))
    }

    fn carry_over(config: &SlidingWindowConfig, old: &Self, now: Tick) -> Self {
        let mut new = Self::empty(config, now);
        new.hold(old.held(now));
        new
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use crate::sync::Random;

    const LENGTH: u64 = 1_000;

    fn at(nanos: u64) -> Tick {
        Tick::from_nanos(nanos)
    }

    /// The largest number of `times` in any window.
    fn fullest(times: &[u64]) -> usize {
        let mut first = 0;
        let mut most = 0;
        for last in 0..times.len() {
            while times[last] - times[first] >= LENGTH {
                first += 1;
            }
            most = most.max(last + 1 - first);
        }
        most
    }

    #[test]
    fn no_window_holds_twice_the_capacity_and_the_worst_case_comes_close() {
        let mut worst = 0.0_f64;
        for seed in 0..300 {
            let random = Random::new(seed);
            let capacity = 1 + random.below(40);
            let mut counter = ApproximateWindow::new(capacity, Duration::from_nanos(LENGTH), at(0));
            let (mut now, mut admitted) = (random.below(LENGTH), Vec::new());
            for _ in 0..5_000 {
                now += random.below(1 + LENGTH / (1 + random.below(2 * capacity)));
                if random.below(30) == 0 {
                    // To just before the end of a window, and a burst there.
                    now += LENGTH - 1 - now % LENGTH;
                }
                if counter.admit(at(now)).is_ok() {
                    admitted.push(now);
                }
            }
            let most = fullest(&admitted);
            assert!(most < 2 * capacity as usize, "seed {seed}: {most} of {capacity}");
            worst = worst.max(most as f64 / capacity as f64);
        }
        assert!(worst > 1.6, "the cases are not hard enough: {worst}");
    }

    #[test]
    fn where_requests_come_evenly_it_is_right_to_within_two() {
        for capacity in [1_u64, 2, 10, 100] {
            for percent in [50, 90, 100, 110, 200, 1_000] {
                let mut counter = ApproximateWindow::new(capacity, Duration::from_nanos(LENGTH * 1_000), at(0));
                let gap = LENGTH * 1_000 * 100 / (capacity * percent);
                let mut admitted = Vec::new();
                for request in 0..20 * capacity * percent / 100 {
                    let now = request * gap;
                    if counter.admit(at(now)).is_ok() {
                        admitted.push(now / 1_000);
                    }
                }
                let most = fullest(&admitted) as u64;
                let (least, due) = (admitted.len() as u64, 20 * capacity * percent.min(100) / 100);
                let case = format!("{capacity}, {percent} %: {least} of {due}, at most {most} in a window");
                assert!(most <= capacity + 2, "{case}");
                assert!(least + 20 + 2 >= due || percent > 150, "{case}");
            }
        }
    }

    #[test]
    fn each_window_of_the_raster_holds_no_more_than_the_capacity() {
        for seed in 0..100 {
            let random = Random::new(seed);
            let capacity = 1 + random.below(20);
            let mut counter = ApproximateWindow::new(capacity, Duration::from_nanos(LENGTH), at(0));
            let (mut now, mut counts) = (0, std::collections::HashMap::<u64, u64>::new());
            for _ in 0..3_000 {
                now += random.below(LENGTH / capacity);
                if counter.admit(at(now)).is_ok() {
                    *counts.entry(now / LENGTH).or_default() += 1;
                }
            }
            let most = counts.values().max();
            assert!(most <= Some(&capacity), "seed {seed}: {most:?} of {capacity}");
        }
    }

    #[test]
    fn the_time_it_names_is_the_first_at_which_there_is_room() {
        for seed in 0..2_000 {
            let random = Random::new(seed);
            let capacity = 1 + random.below(20);
            let mut counter = ApproximateWindow::new(capacity, Duration::from_nanos(LENGTH), at(0));
            let mut now = 0;
            for _ in 0..100 {
                now += random.below(2 * LENGTH / capacity);
                let Err(opens_at) = counter.admit(at(now)) else {
                    continue;
                };
                let (mut early, mut on_time) = (counter, counter);
                let before = at(opens_at.as_nanos() - 1);
                assert!(
                    before < at(now) || early.admit(before).is_err(),
                    "seed {seed} at {now}: {opens_at:?}"
                );
                assert!(on_time.admit(opens_at).is_ok(), "seed {seed} at {now}: {opens_at:?}");
            }
        }
    }

    #[test]
    fn a_request_that_is_given_back_makes_room() {
        let mut counter = ApproximateWindow::new(2, Duration::from_nanos(LENGTH), at(0));
        assert!(counter.admit(at(0)).is_ok() && counter.admit(at(0)).is_ok());
        assert_eq!(counter.admit(at(0)), Err(at(LENGTH + LENGTH / 2)));
        counter.give_back(1);
        assert_eq!(counter.available(at(0)), 1);
        assert!(counter.admit(at(0)).is_ok());
    }

    #[test]
    fn a_clock_that_goes_back_or_to_the_end_of_time_is_survived() {
        let mut counter = ApproximateWindow::new(1, Duration::from_nanos(LENGTH), at(5 * LENGTH));
        assert!(counter.admit(at(9 * LENGTH)).is_ok());
        assert!(counter.admit(at(0)).is_err());
        assert!(counter.admit(Tick::MAX).is_ok());
        assert!(counter.admit(Tick::MAX).is_err());
    }
}
