//! Counts the outcomes of one variant's calls, and derives from them how it went through the incident.

use c13_reliability::Layer;
use c13_reliability::sync::HistogramSnapshot;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// How a call ended for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallEnd {
    /// It has the answer.
    Answered,
    /// Its caller's deadline came first.
    GivenUp,
    /// It was refused or cut short by a layer of its own policy.
    Stopped(Layer),
    /// The dependency failed it.
    Failed,
}

/// The calls of one variant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Calls that arrived within the drill.
    pub(crate) requests: u64,
    /// Calls that got an answer, however late.
    pub(crate) succeeded: u64,
    /// Calls that got an answer before their caller's deadline.
    pub(crate) good: u64,
    /// Calls that reached the dependency, retries included.
    pub(crate) attempts: u64,
    /// The time from the intended arrival to the end, however the call ended, in nanoseconds.
    pub(crate) latency: HistogramSnapshot<7>,
    /// The calls that ended at a layer of the policy.
    pub(crate) stopped: BTreeMap<Layer, u64>,
    /// The calls that the caller's deadline ended.
    pub(crate) given_up: u64,
    /// The calls that the dependency failed.
    pub(crate) failed: u64,
    /// The calls that were still waiting when the drill ended.
    pub(crate) unanswered: u64,
    /// Calls and good calls by the second of their intended arrival.
    pub(crate) seconds: Vec<SecondCounts>,
    /// The most calls that reached the dependency within one second.
    pub(crate) peak: f64,
    /// When the breaker first opened at or after the first fault, from the start of the drill.
    pub(crate) first_open: Option<Duration>,
    /// When the first fault starts, if there is one.
    pub(crate) first_fault: Option<Duration>,
    /// When the last fault ends, if there is one.
    pub(crate) last_fault_end: Option<Duration>,
}

/// The calls that meant to arrive within one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SecondCounts {
    pub(crate) requests: u32,
    pub(crate) good: u32,
}

/// How long goodput must stay up to count as recovered, in seconds.
const RECOVERY_WINDOW: usize = 10;
/// The share of its level before the first fault that counts as up.
const RECOVERY_SHARE: f64 = 0.99;

impl Measured {
    /// Notes a call that meant to arrive `at`.
    pub(super) fn arrived(&mut self, at: Duration) {
        let second = at.as_secs() as usize;
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, SecondCounts::default());
        }
        self.seconds[second].requests += 1;
        self.requests += 1;
    }

    /// Notes how a call ended, `latency` after it meant to arrive; `None` if it was still waiting when the drill ended.
    pub(super) fn ended(&mut self, arrived: Duration, latency: Duration, end: Option<CallEnd>, deadline: Duration) {
        self.latency.record(latency.as_nanos() as u64);
        match end {
            Some(CallEnd::Answered) => {
                self.succeeded += 1;
                if latency <= deadline {
                    self.good += 1;
                    self.seconds[arrived.as_secs() as usize].good += 1;
                }
            }
            Some(CallEnd::GivenUp) => self.given_up += 1,
            Some(CallEnd::Stopped(layer)) => *self.stopped.entry(layer).or_default() += 1,
            Some(CallEnd::Failed) => self.failed += 1,
            None => self.unanswered += 1,
        }
    }

    /// A number of calls divided by the number of requests; 0 if there were none.
    pub(crate) fn of_requests(&self, calls: u64) -> f64 {
        ratio(calls, self.requests)
    }

    /// This quantile of the latencies, in milliseconds.
    pub(crate) fn latency_ms(&self, quantile: f64) -> f64 {
        self.latency.quantile(quantile).unwrap_or(0) as f64 / 1e6
    }

    /// How many calls these layers of the policy ended.
    pub(crate) fn stopped_by(&self, layers: &[Layer]) -> Option<f64> {
        let calls = layers.iter().filter_map(|layer| self.stopped.get(layer));
        Some(calls.sum::<u64>() as f64)
    }

    /// From the start of the first fault to the first opening of the breaker; `None` if it did not open.
    pub(crate) fn detected(&self) -> Option<Duration> {
        let (fault, open) = self.first_fault.zip(self.first_open)?;
        Some(open.saturating_sub(fault))
    }

    /// From the end of the last fault to the start of the first 10 s from which on every 10 s keep 99 % of the goodput
    /// before the first fault; `None` if there is no such moment, and zero if there is no fault.
    ///
    /// Goodput is a share of the calls made, so that a change of load is not taken for a change of health. Windows
    /// start at whole seconds, and at the end of the last fault.
    pub(crate) fn recovery(&self) -> Option<Duration> {
        let Some((first_fault, last_fault_end)) = self.first_fault.zip(self.last_fault_end) else {
            return Some(Duration::ZERO);
        };
        let before = self.share(0..first_fault.as_secs() as usize)?;
        let start = last_fault_end.as_secs_f64().ceil() as usize;
        let windows = start..(self.seconds.len() + 1).saturating_sub(RECOVERY_WINDOW);
        let down = |from: &usize| {
            self.share(*from..*from + RECOVERY_WINDOW)
                .is_some_and(|share| share < RECOVERY_SHARE * before)
        };
        let last_end = windows.end;
        let recovered = windows.rev().find(down).map_or(start, |last_down| last_down + 1);
        (recovered < last_end).then(|| Duration::from_secs(recovered as u64).saturating_sub(last_fault_end))
    }

    /// Good calls as a share of all in some seconds; `None` if there were none.
    pub(crate) fn share(&self, seconds: Range<usize>) -> Option<f64> {
        let seconds = self
            .seconds
            .get(seconds.start.min(self.seconds.len())..seconds.end.min(self.seconds.len()))?;
        let sum = |of: fn(&SecondCounts) -> u32| seconds.iter().map(|second| u64::from(of(second))).sum::<u64>();
        let requests = sum(|second| second.requests);
        (requests > 0).then(|| ratio(sum(|second| second.good), requests))
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of seconds with 100 calls each, of which so many were good.
    fn run(good: &[u32]) -> Measured {
        Measured {
            seconds: good
                .iter()
                .map(|good| SecondCounts {
                    requests: 100,
                    good: *good,
                })
                .collect(),
            ..Default::default()
        }
    }

    fn recovery(good: &[u32], fault: Range<u64>) -> Option<u64> {
        let measured = Measured {
            first_fault: Some(Duration::from_secs(fault.start)),
            last_fault_end: Some(Duration::from_secs(fault.end)),
            ..run(good)
        };
        measured.recovery().map(|after| after.as_secs())
    }

    #[test]
    fn a_run_that_comes_back_has_recovered_where_ten_good_seconds_begin() {
        let mut good = vec![100; 60];
        good[20..33].fill(0);
        assert_eq!(recovery(&good, 20..30), Some(3));
        good[33] = 95;
        assert_eq!(
            recovery(&good, 20..30),
            Some(3),
            "95 and nine times 100 are 99.5 of 100"
        );
    }

    #[test]
    fn a_run_that_falls_again_has_recovered_only_after_that() {
        let mut good = vec![100; 80];
        good[20..30].fill(0);
        good[50] = 0;
        assert_eq!(recovery(&good, 20..30), Some(21));
    }

    #[test]
    fn a_run_that_stays_down_has_never_recovered() {
        let mut good = vec![100; 60];
        good[20..].fill(90);
        assert_eq!(recovery(&good, 20..30), None);
    }

    #[test]
    fn a_run_that_was_never_down_has_recovered_at_once() {
        assert_eq!(recovery(&[100; 60], 20..30), Some(0));
    }

    #[test]
    fn too_short_an_end_proves_no_recovery() {
        assert_eq!(recovery(&[100; 39], 20..30), None);
        assert_eq!(recovery(&[100; 40], 20..30), Some(0));
    }
}
