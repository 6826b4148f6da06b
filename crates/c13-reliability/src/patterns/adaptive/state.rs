//! The decisions of an adaptive limit: when a window ends, and which limit follows from what it measured.

use super::algorithm::Measured;
use super::baseline::Baseline;
use super::config::{AdaptiveConfig, Algorithm};
use crate::time::Tick;
use std::time::Duration;

/// How a call ended, as far as the limit needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Succeeded,
    Dropped,
    /// It says nothing about the dependency's load.
    Ignored,
}

/// One call that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) began: Tick,
    /// How many calls ran when it began, itself included.
    pub(super) in_flight: u32,
    pub(super) ended: Ended,
}

/// The limit, the window that is being measured, and the baseline.
#[derive(Clone, Debug)]
pub(super) struct LimitState {
    /// Kept as a fraction, so that small changes add up.
    limit: f64,
    /// When the window began; nothing before the first call.
    since: Option<Tick>,
    succeeded: u32,
    dropped: u32,
    total: Duration,
    in_flight: u32,
    /// The mean latency of the windows, smoothed, in seconds.
    latency: Option<f64>,
    baseline: Baseline,
}

/// How much a window's mean latency moves the smoothed one. The least of many noisy means would lie far below the truth.
const SMOOTHING: f64 = 0.3;

/// A window that measures the baseline has this many times as many calls.
const MEASURED: u32 = 10;

impl LimitState {
    pub(super) fn new(config: &AdaptiveConfig) -> Self {
        Self {
            limit: config.initial_limit.into(),
            since: None,
            succeeded: 0,
            dropped: 0,
            total: Duration::ZERO,
            in_flight: 0,
            latency: None,
            baseline: Baseline::new(),
        }
    }

    /// Goes on under other settings, those before being of the algorithm `before`: with the limit, within its new bounds,
    /// and with all that was measured, unless it was measured for an algorithm that has another use for it.
    pub(super) fn reconfigure(&mut self, before: &Algorithm, config: &AdaptiveConfig, now: Tick, unit: f64) {
        let limit = bounded(config, self.limit);
        if before.has_baseline() == config.algorithm.has_baseline() {
            self.baseline.reconfigure(config, now, unit);
        } else {
            *self = Self::new(config);
        }
        self.limit = limit;
    }

    /// The limit to keep now.
    pub(super) fn limit(&self, config: &AdaptiveConfig) -> u32 {
        bounded(config, self.limit * self.baseline.share()) as u32
    }

    /// The latency without load, where it is known.
    pub(super) fn baseline(&self) -> Option<Duration> {
        self.baseline.latency()
    }

    /// Records a call that ended at `now`; `unit` is a random number in `[0, 1)`. Returns the limit if a window ended.
    pub(super) fn record(&mut self, config: &AdaptiveConfig, sample: Sample, now: Tick, unit: f64) -> Option<u32> {
        if sample.ended == Ended::Ignored || self.baseline.is_settling(now) {
            return None;
        }
        let since = *self.since.get_or_insert(now);
        let latency = now - sample.began;
        if sample.ended == Ended::Dropped || latency > config.timeout {
            self.dropped += 1;
        } else {
            self.succeeded += 1;
            self.total = self.total.saturating_add(latency);
        }
        self.in_flight = self.in_flight.max(sample.in_flight);
        let factor = if self.baseline.is_measuring() { MEASURED } else { 1 };
        let enough = config.min_calls.saturating_mul(factor);
        if now - since < config.window || self.succeeded + self.dropped < enough {
            return None;
        }
        self.end_window(config, now, unit);
        Some(self.limit(config))
    }

    fn end_window(&mut self, config: &AdaptiveConfig, now: Tick, unit: f64) {
        let (succeeded, dropped) = (std::mem::take(&mut self.succeeded), std::mem::take(&mut self.dropped));
        let mean = std::mem::take(&mut self.total).checked_div(succeeded);
        let mut measured = Measured {
            latency: mean,
            in_flight: std::mem::take(&mut self.in_flight),
            dropped: f64::from(dropped) > config.drop_ratio * f64::from(succeeded + dropped),
        };
        self.since = Some(now);
        if config.algorithm.has_baseline() {
            if let Some(next) = self.baseline.measured(config, mean, now, unit) {
                self.since = Some(next);
                self.latency = None;
                return;
            }
            measured.latency = mean.map(|mean| self.smooth(mean));
            if let Some(latency) = measured.latency {
                self.baseline.seen(latency, measured.binds(self.limit));
            }
        }
        let next = config.algorithm.next(self.limit, &measured, self.baseline.latency());
        self.limit = bounded(config, next);
        if config.algorithm.has_baseline()
            && let Some(next) = self.baseline.limit_moved(config, self.limit, measured.latency, now)
        {
            self.since = Some(next);
        }
    }

    fn smooth(&mut self, mean: Duration) -> Duration {
        let mean = mean.as_secs_f64();
        let before = self.latency.unwrap_or(mean);
        let smoothed = before + (mean - before) * SMOOTHING;
        self.latency = Some(smoothed);
        Duration::try_from_secs_f64(smoothed).unwrap_or(Duration::MAX)
    }
}

fn bounded(config: &AdaptiveConfig, limit: f64) -> f64 {
    limit.clamp(config.min_limit.into(), config.max_limit.into())
}
