//! The exact sliding window, as a plain value: the times of the last requests, in a ring.

use super::config::SlidingWindowConfig;
use super::window::SlidingWindow;
use crate::time::{Tick, nanos};
use std::time::Duration;

/// At most `capacity` requests in any window of `length`.
///
/// A request counts from its own instant until just before `length` later. Every operation is O(1), unless it says otherwise.
/// The ring grows with use, up to 8 bytes a request of the capacity. A time before that of the last request is taken for that
/// of the last request.
#[derive(Clone, Debug)]
pub(crate) struct ExactWindow {
    /// The times of the last requests, at most `capacity`.
    times: Vec<Tick>,
    /// The index of the oldest time once the ring is full, where the next one goes; 0 before.
    oldest: usize,
    /// How many requests room is promised to that waiters have not collected yet.
    reserved: usize,
    capacity: usize,
    /// In nanoseconds.
    length: u64,
}

impl ExactWindow {
    pub(crate) fn new(capacity: usize, length: Duration) -> Self {
        Self {
            times: Vec::new(),
            oldest: 0,
            reserved: 0,
            capacity,
            length: nanos(length),
        }
    }

    /// Admits a request at `now`, or returns when there will be room for it.
    #[inline]
    pub(crate) fn admit(&mut self, now: Tick) -> Result<(), Tick> {
        self.look(now, 1)?;
        self.push(now);
        Ok(())
    }

    /// Promises room to a waiter that has not collected it yet, if there is room at `now`. The request counts from when it is
    /// [redeemed](Self::redeem).
    pub(crate) fn reserve(&mut self, now: Tick) -> bool {
        let room = self.look(now, 1).is_ok();
        self.reserved += usize::from(room);
        room
    }

    /// Admits a request that room was promised to.
    pub(crate) fn redeem(&mut self, now: Tick) {
        // Saturating: the promise may have been given by a window of another kind, before a change of the settings.
        self.reserved = self.reserved.saturating_sub(1);
        self.push(now);
    }

    /// Takes a promise back.
    pub(crate) fn cancel(&mut self) {
        // Saturating: as above.
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// How many requests it holds at `now`, promises included.
    pub(crate) fn held(&self, now: Tick) -> u64 {
        self.capacity as u64 - self.available(now)
    }

    /// Holds `held` requests as if they had come at `now`.
    pub(crate) fn hold(&mut self, held: u64, now: Tick) {
        self.times = vec![now; held.min(self.capacity as u64) as usize];
    }

    /// Whether there is room for `n` at `now`, or else when there will be.
    #[inline]
    fn look(&self, now: Tick, n: usize) -> Result<(), Tick> {
        // Room for them means that as many have left as are promised, and `n` more.
        let needed = self.times.len() + self.reserved + n;
        if needed <= self.capacity {
            return Ok(());
        }
        let place = needed - self.capacity - 1;
        if place >= self.times.len() {
            // All room is promised: when more becomes free is known once the promises are redeemed.
            return Err(self.leaves(now));
        }
        let mut index = self.oldest + place;
        if index >= self.times.len() {
            index -= self.times.len();
        }
        if self.has_left(self.times[index], now) {
            Ok(())
        } else {
            Err(self.leaves(self.times[index]))
        }
    }

    /// Whether a request of `time` has left the window at `now`. By the difference, because the sum saturates.
    #[inline]
    fn has_left(&self, time: Tick, now: Tick) -> bool {
        now.as_nanos().saturating_sub(time.as_nanos()) >= self.length
    }

    /// When a request of `time` leaves the window.
    fn leaves(&self, time: Tick) -> Tick {
        time + Duration::from_nanos(self.length)
    }

    #[inline]
    fn newest(&self) -> Option<Tick> {
        let behind = if self.oldest == 0 {
            self.times.len()
        } else {
            self.oldest
        };
        behind.checked_sub(1).map(|newest| self.times[newest])
    }

    #[inline]
    fn push(&mut self, now: Tick) {
        let newest = if self.oldest == 0 {
            self.times.len()
        } else {
            self.oldest
        };
        let now = match newest.checked_sub(1) {
            Some(newest) => now.max(self.times[newest]),
            None => now,
        };
        if self.times.len() < self.capacity {
            self.times.push(now);
        } else {
            self.times[self.oldest] = now;
            self.oldest += 1;
            if self.oldest == self.capacity {
                self.oldest = 0;
            }
        }
    }
}

impl SlidingWindow for ExactWindow {
    const HAS_HEAP: bool = true;

    fn heap(&self) -> usize {
        self.times.capacity() * size_of::<Tick>()
    }

    fn empty(config: &SlidingWindowConfig, _now: Tick) -> Self {
        Self::new(config.max_requests as usize, config.window)
    }

    /// Complexity: O(n).
    fn admit_many(&mut self, now: Tick, n: u64) -> Result<(), Tick> {
        self.look(now, n as usize)?;
        (0..n).for_each(|_| self.push(now));
        Ok(())
    }

    fn give_back(&mut self, n: u64) {
        // In the order of their times, so that the last ones are at the end.
        self.times.rotate_left(self.oldest);
        self.oldest = 0;
        self.times.truncate(self.times.len().saturating_sub(n as usize));
    }

    fn opens_at(&self, now: Tick, ahead: u64) -> Tick {
        let ahead = ahead.saturating_add(self.reserved as u64);
        let capacity = self.capacity as u64;
        let (laps, place) = (ahead / capacity, (ahead % capacity) as usize);
        let free = self.capacity - self.times.len();
        let first = if place < free {
            now
        } else {
            now.max(self.leaves(self.times[(self.oldest + place - free) % self.capacity]))
        };
        // Each lap round the ring admits in the same rhythm as the one before, one window later.
        first + Duration::from_nanos(self.length.saturating_mul(laps))
    }

    /// Complexity: O(log capacity).
    fn available(&self, now: Tick) -> u64 {
        let (newer, older) = self.times.split_at(self.oldest);
        let left = |time: &Tick| self.has_left(*time, now);
        let gone = older.partition_point(left) + newer.partition_point(left);
        (self.capacity - self.times.len() + gone).saturating_sub(self.reserved) as u64
    }

    fn empty_at(&self) -> Tick {
        self.newest().map_or(Tick::ZERO, |newest| self.leaves(newest))
    }

    /// The last requests of `old` that it has room for, and all its promises.
    fn carry_over(config: &SlidingWindowConfig, old: &Self, now: Tick) -> Self {
        let mut new = Self::empty(config, now);
        let (newer, older) = old.times.split_at(old.oldest);
        let skipped = old.times.len().saturating_sub(new.capacity);
        new.times = older.iter().chain(newer).skip(skipped).copied().collect();
        new.reserved = old.reserved;
        new
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use crate::sync::Random;

    #[test]
    fn it_agrees_with_a_naive_log_over_random_times() {
        for seed in 0..300 {
            let random = Random::new(seed);
            let (capacity, length) = (1 + random.below(8) as usize, 1 + random.below(60));
            let mut ring = ExactWindow::new(capacity, Duration::from_nanos(length));
            let mut log: Vec<u64> = Vec::new();
            let mut promised = 0;
            let mut now = random.below(100);
            for step in 0..400 {
                now += random.below(1 + length / 2);
                if random.below(50) == 0 {
                    now += random.below(1_000);
                }
                let at = Tick::from_nanos(now);
                let inside = log.iter().filter(|time| now - **time < length).count();
                let room = capacity.saturating_sub(inside + promised);
                let case = format!("seed {seed}, step {step}");
                assert_eq!(ring.available(at), room as u64, "{case}");
                assert_eq!(ring.opens_at(at, 0) <= at, room > 0, "{case}");
                match random.below(5) {
                    0 => {
                        let reserved = ring.reserve(at);
                        assert_eq!(reserved, room > 0, "{case}");
                        promised += usize::from(reserved);
                    }
                    1 if promised > 0 => {
                        ring.redeem(at);
                        promised -= 1;
                        log.push(now);
                    }
                    2 if promised > 0 => {
                        ring.cancel();
                        promised -= 1;
                    }
                    _ => {
                        let admitted = ring.admit(at);
                        assert_eq!(admitted.is_ok(), room > 0, "{case}");
                        if admitted.is_ok() {
                            log.push(now);
                        } else if promised < capacity {
                            assert_eq!(admitted, Err(ring.opens_at(at, 0)), "{case}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn it_foretells_when_each_of_a_queue_is_admitted() {
        for seed in 0..200 {
            let random = Random::new(seed);
            let capacity = 1 + random.below(5) as usize;
            let mut ring = ExactWindow::new(capacity, Duration::from_nanos(100));
            let mut now = 0;
            for _ in 0..random.below(12) {
                now += random.below(40);
                let _ = ring.admit(Tick::from_nanos(now));
            }
            let foretold: Vec<_> = (0..20)
                .map(|ahead| ring.opens_at(Tick::from_nanos(now), ahead))
                .collect();
            for (ahead, expected) in foretold.into_iter().enumerate() {
                while let Err(at) = ring.admit(Tick::from_nanos(now)) {
                    now = at.as_nanos();
                }
                assert_eq!(Tick::from_nanos(now), expected, "seed {seed}, {ahead} ahead");
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_or_to_the_end_of_time_admits_no_more_than_it_should() {
        let mut ring = ExactWindow::new(2, Duration::from_secs(1));
        let late = Tick::from_nanos(5_000_000_000);
        assert!(ring.admit(late).is_ok());
        assert!(ring.admit(Tick::ZERO).is_ok());
        assert_eq!(ring.admit(Tick::ZERO), Err(late + Duration::from_secs(1)));
        assert_eq!(ring.available(Tick::from_nanos(5_999_999_999)), 0);
        assert!(ring.admit(Tick::MAX).is_ok());
        assert!(ring.admit(Tick::MAX).is_ok());
        assert!(ring.admit(Tick::MAX).is_err(), "there is no time after the last");
    }
}
