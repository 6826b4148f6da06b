//! Counts how one variant's calls ended, and derives from the counts how it went through the incident.

use super::end::CallEnd;
use c13_reliability::sync::HistogramSnapshot;
use std::ops::Range;
use std::time::Duration;

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndedCall {
    /// When it meant to arrive, from the start of the drill.
    pub(super) arrived: Duration,
    /// From then to its end.
    pub(super) took: Duration,
    pub(super) end: CallEnd,
    /// How many attempts of it reached the dependency.
    pub(super) attempts: u32,
}

/// The counts of some calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallCounts {
    /// How many ended in each way, by [`CallEnd`].
    ends: [u64; CallEnd::COUNT],
    /// Attempts that reached the dependency: first calls, retries and hedges.
    pub(crate) attempts: u64,
    /// Calls of which at least one attempt reached the dependency.
    pub(crate) admitted: u64,
    /// The time from the intended arrival to the end, however the call ended, in nanoseconds.
    latency: HistogramSnapshot<7>,
}

impl CallCounts {
    fn record(&mut self, call: &EndedCall) {
        self.ends[call.end as usize] += 1;
        self.attempts += u64::from(call.attempts);
        self.admitted += u64::from(call.attempts > 0);
        self.latency.record(call.took.as_nanos() as u64);
    }

    /// All calls.
    pub(crate) fn requests(&self) -> u64 {
        self.ends.iter().sum()
    }

    /// The calls that ended in this way.
    pub(crate) fn ended(&self, end: CallEnd) -> u64 {
        self.ends[end as usize]
    }

    /// The share of the calls that ended in one of these ways; 0 if there were no calls.
    pub(crate) fn share(&self, ends: &[CallEnd]) -> f64 {
        ratio(ends.iter().map(|end| self.ended(*end)).sum(), self.requests())
    }

    /// Attempts for each of so many calls; 0 if there were none.
    pub(crate) fn attempts_for_each(&self, calls: u64) -> f64 {
        ratio(self.attempts, calls)
    }

    /// This quantile of the latencies, in milliseconds.
    pub(crate) fn latency_ms(&self, quantile: f64) -> f64 {
        self.latency.quantile(quantile).unwrap_or(0) as f64 / 1e6
    }
}

/// The calls of one variant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// All calls that arrived within the drill.
    pub(crate) calls: CallCounts,
    /// Calls and good calls by the second of their intended arrival.
    pub(crate) seconds: Vec<SecondCounts>,
    /// The most calls that reached the dependency within one second.
    pub(crate) peak: f64,
    /// When half of the breakers were first open at or after the first fault, from the start of the drill.
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
    /// Records a call that has ended.
    pub(super) fn record(&mut self, call: &EndedCall) {
        self.calls.record(call);
        let second = call.arrived.as_secs() as usize;
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, SecondCounts::default());
        }
        self.seconds[second].requests += 1;
        self.seconds[second].good += u32::from(call.end == CallEnd::InTime);
    }

    /// From the start of the first fault until half of the breakers were open; `None` if that was never so.
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
