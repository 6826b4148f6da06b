//! How long recent calls took, and the delay that follows from it.

use crate::sync::HistogramSnapshot;
use crate::time::{Tick, nanos};
use std::time::Duration;

/// The latencies of the last one to two windows, rounded up by at most 6 %.
///
/// Algorithm: two log-linear histograms, of which the older is replaced by the newer once a window.
#[derive(Debug)]
pub(super) struct LatencyWindow {
    quantile: f64,
    min_calls: u64,
    window: Duration,
    current: HistogramSnapshot<4>,
    previous: HistogramSnapshot<4>,
    /// When the current histogram began.
    since: Option<Tick>,
    /// Samples since the delay was last worked out.
    unseen: u64,
    delay: Option<Duration>,
}

/// The delay is worked out anew after this many samples; it costs about a microsecond.
const REFRESH_EVERY: u64 = 32;

impl LatencyWindow {
    pub(super) fn new(quantile: f64, min_calls: u32, window: Duration) -> Self {
        Self {
            quantile,
            min_calls: min_calls.into(),
            window,
            current: HistogramSnapshot::new(),
            previous: HistogramSnapshot::new(),
            since: None,
            unseen: 0,
            delay: None,
        }
    }

    /// What was measured, to go on with under other settings.
    pub(super) fn with_settings(&self, quantile: f64, min_calls: u32, window: Duration) -> Self {
        let mut other = Self::new(quantile, min_calls, window);
        (other.current, other.previous, other.since) = (self.current.clone(), self.previous.clone(), self.since);
        other.delay = other.measure(other.current.count() + other.previous.count());
        other
    }

    /// The delay as it was last worked out.
    pub(super) fn delay(&self) -> Option<Duration> {
        self.delay
    }

    /// Records a call that ended at `now` and took `latency`. Returns the delay if it was worked out anew.
    pub(super) fn record(&mut self, now: Tick, latency: Duration) -> Option<Option<Duration>> {
        let since = *self.since.get_or_insert(now);
        let turned = now - since >= self.window;
        if turned {
            // After a pause of two windows and more both are of the past.
            let both = now - since >= self.window.saturating_mul(2);
            let last = std::mem::take(&mut self.current);
            self.previous = if both { HistogramSnapshot::new() } else { last };
            self.since = Some(now);
        }
        self.current.record(nanos(latency));
        self.unseen += 1;
        let warm = self.delay.is_some();
        let count = self.current.count() + self.previous.count();
        if turned || self.unseen >= REFRESH_EVERY || (!warm && count >= self.min_calls) {
            self.unseen = 0;
            self.delay = self.measure(count);
            return Some(self.delay);
        }
        None
    }

    fn measure(&self, count: u64) -> Option<Duration> {
        if count < self.min_calls {
            return None;
        }
        let mut both = self.previous.clone();
        both.merge(&self.current);
        // Rather too long than too short: where many calls take the same time, just below it would hedge them all.
        both.quantile_at_most(self.quantile).map(Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Tick {
        Tick::ZERO + MS * millis as u32
    }

    #[test]
    fn there_is_no_delay_before_enough_calls_were_seen() {
        let mut window = LatencyWindow::new(0.5, 10, SECOND);
        for call in 1..10 {
            assert_eq!(window.record(at(call), 20 * MS).flatten(), None);
        }
        let delay = window.record(at(10), 20 * MS).flatten().expect("ten were seen");
        assert!(delay.abs_diff(20 * MS) <= MS, "{delay:?}");
    }

    #[test]
    fn the_delay_is_what_the_stated_share_of_calls_took() {
        let mut window = LatencyWindow::new(0.95, 1, SECOND);
        let mut delay = None;
        for call in 0..1_000 {
            let latency = if call % 10 == 0 { 200 * MS } else { 10 * MS };
            delay = window.record(at(call), latency).flatten().or(delay);
        }
        let delay = delay.expect("a thousand were seen");
        assert!(delay.abs_diff(200 * MS) <= 13 * MS, "{delay:?}");
    }

    #[test]
    fn calls_that_all_take_about_the_same_are_not_below_the_delay() {
        let mut window = LatencyWindow::new(0.95, 1, SECOND);
        let mut delay = None;
        for call in 0..1_000 {
            let latency = if call % 50 == 0 {
                500 * MS
            } else {
                8 * MS + MS * (call % 4) as u32
            };
            delay = window.record(at(call), latency).flatten().or(delay);
        }
        let delay = delay.expect("a thousand were seen");
        assert!((11 * MS..12 * MS).contains(&delay), "{delay:?}");
    }

    #[test]
    fn what_is_older_than_two_windows_does_not_count() {
        let mut window = LatencyWindow::new(0.5, 1, SECOND);
        for call in 0..100 {
            window.record(at(call), 200 * MS);
        }
        let mut delay = None;
        for call in 0..100 {
            delay = window.record(at(1_500 + 10 * call), 10 * MS).flatten().or(delay);
        }
        assert!(
            delay.is_some_and(|delay| delay < 210 * MS),
            "the old ones still count: {delay:?}"
        );
        for call in 0..100 {
            delay = window.record(at(2_600 + call), 10 * MS).flatten().or(delay);
        }
        assert!(delay.is_some_and(|delay| delay < 11 * MS), "{delay:?}");
    }

    #[test]
    fn after_a_long_pause_it_starts_anew() {
        let mut window = LatencyWindow::new(0.5, 10, SECOND);
        for call in 0..100 {
            window.record(at(call), 200 * MS);
        }
        assert_eq!(window.record(at(60_000), 10 * MS), Some(None), "one call is not enough");
    }
}
