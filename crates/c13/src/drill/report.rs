//! What came of one run of a scenario: for every variant its figures, and its goodput over time.

use serde::Serialize;

/// What came of one run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    /// The seed it ran with.
    pub(crate) seed: u64,
    /// Every variant, in the order of the scenario.
    pub(crate) variants: Vec<VariantReport>,
}

/// What came of one variant in one run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VariantReport {
    /// The variant's name.
    pub(crate) name: String,
    /// Its figures.
    pub(crate) figures: Figures,
    /// Goodput over time: the drill in buckets of equal length, and for each the share of its requests, by intended arrival,
    /// that succeeded within the deadline. `None` for a bucket in which none was due.
    pub(crate) timeline: Vec<Option<f64>>,
}

/// The figures of a variant. They serialise in this order and by these names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// Requests that were due.
    pub(crate) requests: u64,
    /// The share of them that succeeded, however late.
    pub(crate) success_ratio: f64,
    /// The share of them that succeeded within the deadline.
    pub(crate) goodput_ratio: f64,
    /// Half of the requests were over within it, with success or not; in milliseconds from the intended arrival.
    pub(crate) p50_ms: f64,
    /// 99 of 100 requests were over within it; likewise.
    pub(crate) p99_ms: f64,
    /// Calls that reached the dependency, for each request.
    pub(crate) amplification: f64,
    /// Seconds from the start of the first fault to the first opening of a breaker; none if none opened.
    pub(crate) detect_s: Option<f64>,
    /// Seconds from the end of the last fault to the start of the first 10 s window from which on goodput stays at 99 % of
    /// its level before the first fault. None if that never comes; zero in a scenario without a fault.
    pub(crate) recovery_s: Option<f64>,
    /// The most calls that reached the dependency in any one second.
    pub(crate) peak_load_rps: f64,
    /// What was turned away or cut off, and by what.
    pub(crate) rejections: Rejections,
}

/// What was turned away or cut off on the callers' side, counted by what did it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Rejections {
    /// Requests over the rate limit.
    pub(crate) rate_limit: u64,
    /// Requests that found the bulkhead full.
    pub(crate) bulkhead: u64,
    /// Attempts that found the circuit open.
    pub(crate) circuit_breaker: u64,
    /// Retries that the budget did not allow.
    pub(crate) retry_budget: u64,
    /// Attempts and requests that took longer than the policy lets them.
    pub(crate) timeout: u64,
    /// Requests whose caller gave up.
    pub(crate) deadline: u64,
}

impl Figures {
    /// The figures that `choose` picks, one by one, out of the same figure of all runs. It is given at least one value;
    /// `None` stands for what never came.
    pub(crate) fn of_runs(runs: &[Self], choose: impl Fn(Vec<Option<f64>>) -> Option<f64>) -> Self {
        let maybe = |figure: fn(&Self) -> Option<f64>| choose(runs.iter().map(figure).collect());
        let number =
            |figure: fn(&Self) -> f64| choose(runs.iter().map(|run| Some(figure(run))).collect()).unwrap_or(0.0);
        // Counts are far below 2^53, where floats stop holding every whole number.
        let count = |figure: fn(&Self) -> u64| {
            choose(runs.iter().map(|run| Some(figure(run) as f64)).collect()).map_or(0, |count| count as u64)
        };
        Self {
            requests: count(|run| run.requests),
            success_ratio: number(|run| run.success_ratio),
            goodput_ratio: number(|run| run.goodput_ratio),
            p50_ms: number(|run| run.p50_ms),
            p99_ms: number(|run| run.p99_ms),
            amplification: number(|run| run.amplification),
            detect_s: maybe(|run| run.detect_s),
            recovery_s: maybe(|run| run.recovery_s),
            peak_load_rps: number(|run| run.peak_load_rps),
            rejections: Rejections {
                rate_limit: count(|run| run.rejections.rate_limit),
                bulkhead: count(|run| run.rejections.bulkhead),
                circuit_breaker: count(|run| run.rejections.circuit_breaker),
                retry_budget: count(|run| run.rejections.retry_budget),
                timeout: count(|run| run.rejections.timeout),
                deadline: count(|run| run.rejections.deadline),
            },
        }
    }

    /// The figures without the digits that say nothing: ratios to a millionth, times to a microsecond or a millisecond.
    #[must_use]
    pub(crate) fn rounded(&self) -> Self {
        let to = |steps: f64| move |value: f64| (value * steps).round() / steps;
        Self {
            success_ratio: to(1e6)(self.success_ratio),
            goodput_ratio: to(1e6)(self.goodput_ratio),
            p50_ms: to(1e3)(self.p50_ms),
            p99_ms: to(1e3)(self.p99_ms),
            amplification: to(1e4)(self.amplification),
            detect_s: self.detect_s.map(to(1e3)),
            recovery_s: self.recovery_s.map(to(1e3)),
            peak_load_rps: to(1e1)(self.peak_load_rps),
            ..*self
        }
    }

    /// The name of a figure that is infinite or no number, if there is one.
    pub(crate) fn not_finite(&self) -> Option<&'static str> {
        [
            ("success_ratio", Some(self.success_ratio)),
            ("goodput_ratio", Some(self.goodput_ratio)),
            ("p50_ms", Some(self.p50_ms)),
            ("p99_ms", Some(self.p99_ms)),
            ("amplification", Some(self.amplification)),
            ("detect_s", self.detect_s),
            ("recovery_s", self.recovery_s),
            ("peak_load_rps", Some(self.peak_load_rps)),
        ]
        .into_iter()
        .find(|(_, value)| value.is_some_and(|value| !value.is_finite()))
        .map(|(name, _)| name)
    }
}
