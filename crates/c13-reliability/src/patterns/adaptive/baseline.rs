//! The baseline, which is the latency without load: how it is learnt, kept and measured anew.

use super::config::AdaptiveConfig;
use crate::time::Tick;
use std::time::Duration;

/// The latency without load, which the latency of the moment is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Baseline {
    seconds: Option<f64>,
    phase: Phase,
    /// The highest limit since the baseline was last measured.
    peak: f64,
    /// Windows in a row in which the limit was at its least.
    at_least: u32,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The first window only shows how long calls take at all: those that end first are the short ones.
    New,
    /// It is being measured.
    Measuring {
        /// Calls that ended before this were made under another limit.
        settled: Tick,
        /// The share of the limit that is used meanwhile.
        share: f64,
        /// How old what is measured may become, as a share of the age that is set.
        keeps: f64,
    },
    Known {
        /// When it is to be measured anew.
        due: Tick,
    },
}

/// A limit that has fallen to this share of what it was, and one that was at its least for so many windows in a row, make
/// the baseline doubtful: the dependency may have become slower for good.
const FALLEN: f64 = 0.6;
const WINDOWS_AT_LEAST: u32 = 10;

/// What is measured in doubt, in the middle of a change, is measured again after this share of the age.
const IN_DOUBT: f64 = 0.1;

/// The share of the limit that is used while the baseline is measured, so that what queues in the dependency drains.
const MEASURING: f64 = 0.5;

/// How many latencies a new limit takes to settle.
const SETTLING: u32 = 3;

/// How much a measure moves a baseline that it differs little from; and what is little. A single measure is noisy.
const WEIGHT: f64 = 0.3;
const LITTLE: f64 = 0.3;

impl Baseline {
    pub(super) const fn new() -> Self {
        Self {
            seconds: None,
            phase: Phase::New,
            peak: 0.0,
            at_least: 0,
        }
    }

    /// Goes on under other settings. A baseline that is too old for them by then is measured anew sooner.
    pub(super) fn reconfigure(&mut self, config: &AdaptiveConfig, now: Tick, unit: f64) {
        // A limit that fell because its upper bound was lowered does not make the baseline doubtful.
        self.peak = self.peak.min(config.max_limit.into());
        if let Phase::Known { due } = &mut self.phase {
            *due = (*due).min(now + aged(config.baseline_age, 1.0, unit));
        }
    }

    pub(super) fn latency(&self) -> Option<Duration> {
        let seconds = self.seconds?;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }

    /// The share of the limit to use now.
    pub(super) const fn share(&self) -> f64 {
        match self.phase {
            Phase::Measuring { share, .. } => share,
            Phase::New | Phase::Known { .. } => 1.0,
        }
    }

    /// Whether a call that ended at `now` was made under another limit.
    pub(super) fn is_settling(&self, now: Tick) -> bool {
        matches!(self.phase, Phase::Measuring { settled, .. } if now < settled)
    }

    pub(super) const fn is_measuring(&self) -> bool {
        matches!(self.phase, Phase::Measuring { .. })
    }

    /// Records a window's mean latency, before the next limit is computed. Returns when the next window
    /// begins, if this one was for the baseline alone.
    pub(super) fn measured(
        &mut self,
        config: &AdaptiveConfig,
        latency: Option<Duration>,
        now: Tick,
        unit: f64,
    ) -> Option<Tick> {
        match (self.phase, latency) {
            (Phase::Known { .. }, _) => None,
            // Nothing succeeded, so nothing was measured.
            (Phase::New, None) => Some(now),
            (Phase::New, Some(latency)) => Some(self.measure(latency, now, 1.0, 1.0)),
            (Phase::Measuring { keeps, .. }, latency) => {
                if let Some(latency) = latency {
                    self.move_to(latency);
                }
                self.phase = Phase::Known {
                    due: now + aged(config.baseline_age, keeps, unit),
                };
                Some(now)
            }
        }
    }

    /// Records a window's smoothed mean latency: a better one, or one without load, moves the baseline.
    pub(super) fn seen(&mut self, latency: Duration, loaded: bool) {
        let better = self.seconds.is_none_or(|seconds| latency.as_secs_f64() < seconds);
        if better || !loaded {
            self.move_to(latency);
        }
    }

    /// Records the limit that follows from a window, and begins to measure if that is due. Returns when the next window
    /// begins if it does.
    pub(super) fn limit_moved(
        &mut self,
        config: &AdaptiveConfig,
        limit: f64,
        latency: Option<Duration>,
        now: Tick,
    ) -> Option<Tick> {
        self.peak = self.peak.max(limit);
        let is_least = limit <= f64::from(config.min_limit);
        self.at_least = if is_least { self.at_least + 1 } else { 0 };
        let Phase::Known { due } = self.phase else { return None };
        let doubtful = limit < FALLEN * self.peak || self.at_least >= WINDOWS_AT_LEAST;
        if now < due && !doubtful {
            return None;
        }
        (self.peak, self.at_least) = (limit, 0);
        let keeps = if doubtful { IN_DOUBT } else { 1.0 };
        Some(self.measure(latency.unwrap_or_default(), now, MEASURING, keeps))
    }

    fn measure(&mut self, latency: Duration, now: Tick, share: f64, keeps: f64) -> Tick {
        let settled = now + latency.saturating_mul(SETTLING);
        self.phase = Phase::Measuring { settled, share, keeps };
        settled
    }

    fn move_to(&mut self, latency: Duration) {
        let latency = latency.as_secs_f64();
        self.seconds = Some(match self.seconds {
            Some(before) if (latency - before).abs() < LITTLE * before => before + (latency - before) * WEIGHT,
            _ => latency,
        });
    }
}

/// A share of an age that varies by 15 % up and down with `unit`, so that clients do not measure together.
fn aged(age: Duration, share: f64, unit: f64) -> Duration {
    Duration::try_from_secs_f64(age.as_secs_f64() * share * (0.85 + 0.3 * unit)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u32) -> Tick {
        Tick::ZERO + MS * millis
    }

    fn close(baseline: &Baseline, millis: f64) -> bool {
        baseline
            .seconds
            .is_some_and(|seconds| (seconds * 1e3 - millis).abs() < 1e-6)
    }

    /// A baseline of 10 ms, known since 200 ms.
    fn known(config: &AdaptiveConfig) -> Baseline {
        let mut baseline = Baseline::new();
        assert_eq!(baseline.measured(config, Some(7 * MS), at(100), 0.5), Some(at(121)));
        assert!(baseline.is_settling(at(120)) && !baseline.is_settling(at(121)));
        assert_eq!(baseline.share(), 1.0, "the first limit is used whole");
        assert_eq!(baseline.measured(config, Some(10 * MS), at(200), 0.5), Some(at(200)));
        assert!(close(&baseline, 10.0), "the first window does not count: {baseline:?}");
        baseline
    }

    #[test]
    fn the_first_window_is_not_believed() {
        known(&AdaptiveConfig::default());
    }

    #[test]
    fn a_better_latency_and_one_without_load_move_it_and_others_do_not() {
        let mut baseline = known(&AdaptiveConfig::default());
        baseline.seen(12 * MS, true);
        assert!(close(&baseline, 10.0));
        baseline.seen(12 * MS, false);
        assert!(close(&baseline, 10.6));
        baseline.seen(9_600 * MS / 1_000, true);
        assert!(close(&baseline, 10.3));
        baseline.seen(2 * MS, true);
        assert!(close(&baseline, 2.0), "what differs much is no noise");
    }

    #[test]
    fn it_is_measured_anew_when_it_is_old() {
        let config = AdaptiveConfig::default().baseline_age(SECOND);
        let mut baseline = known(&config);
        assert_eq!(baseline.limit_moved(&config, 20.0, Some(20 * MS), at(1_199)), None);
        let next = baseline.limit_moved(&config, 20.0, Some(20 * MS), at(1_200));
        assert_eq!((next, baseline.share()), (Some(at(1_260)), MEASURING));
        assert_eq!(
            baseline.measured(&config, Some(20 * MS), at(1_400), 0.0),
            Some(at(1_400))
        );
        assert!(close(&baseline, 20.0) && baseline.share() == 1.0);
        assert_eq!(baseline.limit_moved(&config, 20.0, None, at(2_249)), None);
        let next = baseline.limit_moved(&config, 20.0, None, at(2_250));
        assert!(next.is_some(), "the age varies by 15 %");
    }

    #[test]
    fn a_shorter_age_holds_at_once_and_a_longer_one_from_the_next_measure_on() {
        let config = |age| AdaptiveConfig::default().baseline_age(age);
        for (before, after, due) in [(Duration::MAX, SECOND, 1_300), (SECOND, Duration::MAX, 1_200)] {
            let (before, after) = (config(before), config(after));
            let mut baseline = known(&before);
            baseline.reconfigure(&after, at(300), 0.5);
            assert_eq!(baseline.limit_moved(&after, 20.0, None, at(due - 1)), None);
            assert!(baseline.limit_moved(&after, 20.0, None, at(due)).is_some());
        }
    }

    #[test]
    fn a_limit_that_is_lower_for_a_new_bound_is_not_doubtful() {
        let config = AdaptiveConfig::default();
        let mut baseline = known(&config);
        assert_eq!(baseline.limit_moved(&config, 100.0, None, at(300)), None);
        let bounded = config.limits(20, 1, 50);
        baseline.reconfigure(&bounded, at(300), 0.5);
        assert_eq!(baseline.limit_moved(&bounded, 50.0, None, at(300)), None);
    }

    // AL-29.
    #[test]
    fn a_limit_that_stays_at_its_least_makes_it_doubtful() {
        let config = AdaptiveConfig::default();
        let mut baseline = known(&config);
        for limit in [1.0, 2.0, 1.0] {
            for _ in 0..WINDOWS_AT_LEAST - 1 {
                assert_eq!(baseline.limit_moved(&config, limit, Some(MS), at(300)), None);
            }
            baseline.peak = 1.0;
        }
        assert!(baseline.limit_moved(&config, 1.0, Some(MS), at(300)).is_some());
    }

    #[test]
    fn a_limit_that_has_fallen_far_makes_it_doubtful_once() {
        let config = AdaptiveConfig::default();
        let mut baseline = known(&config);
        for limit in [100.0, 80.0, 60.0] {
            assert_eq!(baseline.limit_moved(&config, limit, Some(MS), at(300)), None);
        }
        assert!(baseline.limit_moved(&config, 59.0, Some(MS), at(300)).is_some());
        assert!(baseline.measured(&config, Some(10 * MS), at(400), 0.5).is_some());
        assert_eq!(
            baseline.limit_moved(&config, 40.0, Some(MS), at(500)),
            None,
            "from here it counts anew"
        );
    }

    // AL-32.
    #[test]
    fn a_measure_without_a_success_changes_nothing() {
        let config = AdaptiveConfig::default();
        let mut baseline = known(&config);
        assert!(baseline.limit_moved(&config, 20.0, None, at(60_000)).is_some());
        assert_eq!(baseline.measured(&config, None, at(60_100), 0.5), Some(at(60_100)));
        assert!(close(&baseline, 10.0) && !baseline.is_measuring());
    }
}
