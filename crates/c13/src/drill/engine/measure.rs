//! Counts how one variant's calls ended, and derives from the counts how it went through the incident.

use super::circuits::Circuits;
use super::end::CallEnd;
use super::incident::{self, Course, Incident};
use super::traffic::{Traffic, wasted};
use crate::drill::phase::Phase;
use crate::drill::scenario::Fault;
use crate::drill::watch::Partial;
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
    /// The time from the intended arrival to the answer, in nanoseconds.
    answered: HistogramSnapshot<8>,
    /// The same until a call ended without an answer.
    failed: HistogramSnapshot<8>,
}

/// The name of a histogram of [`CallCounts`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Times {
    /// Of the calls that were answered, in time or late.
    Answered,
    /// Of the calls that ended without an answer.
    Failed,
}

impl CallCounts {
    fn record(&mut self, call: &EndedCall) {
        self.ends[call.end as usize] += 1;
        self.attempts += u64::from(call.attempts);
        self.admitted += u64::from(call.attempts > 0);
        match call.end {
            CallEnd::InTime | CallEnd::Late => self.answered.record(call.took.as_nanos() as u64),
            // It ended with the drill, which says nothing.
            CallEnd::Unanswered => {}
            _ => self.failed.record(call.took.as_nanos() as u64),
        }
    }

    fn merge(&mut self, other: &Self) {
        for (calls, more) in self.ends.iter_mut().zip(other.ends) {
            *calls += more;
        }
        self.attempts += other.attempts;
        self.admitted += other.admitted;
        self.answered.merge(&other.answered);
        self.failed.merge(&other.failed);
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

    /// A time in milliseconds that this share of the calls did not exceed, for certain; `None` if there were no such calls.
    pub(crate) fn quantile_ms(&self, times: Times, share: f64) -> Option<f64> {
        let times = match times {
            Times::Answered => &self.answered,
            Times::Failed => &self.failed,
        };
        times.quantile_at_most(share).map(|nanos| nanos as f64 / 1e6)
    }
}

/// The calls of one variant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// How long the drill lasted.
    pub(super) duration: Duration,
    /// The least goodput that is asked for, if there is an objective.
    pub(super) goal: Option<f64>,
    /// When each phase starts.
    starts: Vec<Duration>,
    /// The calls that meant to arrive in each phase.
    pub(crate) phases: Vec<CallCounts>,
    /// All calls.
    pub(crate) calls: CallCounts,
    /// Calls and good calls by the second of their intended arrival.
    pub(super) seconds: Vec<SecondCounts>,
    /// How many calls waited in queues at the end of each second.
    pub(super) queued: Vec<u32>,
    /// What each dependency had to do.
    pub(crate) traffic: Vec<Traffic>,
    /// The breakers of its policies, by caller and dependency.
    pub(super) circuits: Vec<Circuits>,
    /// What came of each fault.
    pub(crate) incidents: Vec<Incident>,
    /// Openings of a breaker that no fault accounts for; `None` without breakers.
    pub(super) false_openings: Option<u64>,
}

/// The calls that meant to arrive within one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SecondCounts {
    pub(crate) requests: u32,
    pub(crate) good: u32,
    /// Of which at least one attempt reached a dependency.
    pub(crate) through: u32,
}

/// The sum of some of these.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) good: u64,
    pub(super) through: u64,
}

/// How long the window of the worst goodput is, in seconds.
const WINDOW: usize = crate::drill::scenario::WINDOW.as_secs() as usize;

impl Measured {
    /// Nothing yet, of a drill of these phases.
    pub(super) fn new(phases: &[Phase], duration: Duration, goal: Option<f64>) -> Self {
        Self {
            duration,
            goal,
            starts: phases.iter().map(|phase| phase.from).collect(),
            phases: phases.iter().map(|_| CallCounts::default()).collect(),
            ..Self::default()
        }
    }

    /// Records a call that has ended.
    pub(super) fn record(&mut self, call: &EndedCall) {
        let phase = self.starts.partition_point(|start| *start <= call.arrived);
        self.phases[phase - 1].record(call);
        let second = call.arrived.as_secs() as usize;
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, SecondCounts::default());
        }
        self.seconds[second].requests += 1;
        self.seconds[second].good += u32::from(call.end == CallEnd::InTime);
        self.seconds[second].through += u32::from(call.attempts > 0);
    }

    /// Adds up the phases when all calls have ended.
    pub(super) fn finish(&mut self) {
        for phase in &self.phases {
            self.calls.merge(phase);
        }
    }

    /// What is known of a run that is stopped at this time.
    pub(super) fn partial(&self, at: Duration) -> Partial {
        Partial {
            at,
            requests: self.calls.requests(),
            in_time: self.calls.ended(CallEnd::InTime),
        }
    }

    /// Judges detection and recovery against a run of the same seed without them.
    pub(super) fn judge(&mut self, faults: &[Fault], control: &Self) {
        let incidents = incident::judge(faults, self.duration, self.goal, self.course(), control.course());
        let accounted = incident::accounted(faults, &incidents);
        let outside = self.circuits.iter().filter_map(|circuits| circuits.outside(&accounted));
        self.false_openings = outside.reduce(|sum, more| sum + more);
        self.incidents = incidents;
    }

    fn course(&self) -> Course<'_> {
        Course {
            seconds: &self.seconds,
            circuits: &self.circuits,
        }
    }

    /// The most attempts that reached a dependency in any second, and at that rate in any tenth of one; of several, at the one that
    /// had the most.
    pub(crate) fn peaks(&self) -> (f64, f64) {
        let peaks = self.traffic.iter().map(|traffic| traffic.peaks(self.duration));
        peaks.fold((0.0, 0.0), |most, one| (one.0.max(most.0), one.1.max(most.1)))
    }

    /// The share of the work of all dependencies whose caller had left before it was done; `None` if they did no work.
    pub(crate) fn wasted(&self) -> Option<f64> {
        wasted(&self.traffic)
    }

    /// The share of its time that a breaker was open or half-open.
    pub(crate) fn open_share(&self) -> Option<f64> {
        Circuits::open_share(&self.circuits, self.duration)
    }

    pub(crate) fn false_openings(&self) -> Option<f64> {
        self.false_openings.map(|openings| openings as f64)
    }

    /// Goodput in the worst 10 s, which begin at a whole second.
    pub(crate) fn worst(&self) -> Option<f64> {
        let seconds = self.whole_seconds();
        let starts = 0..=seconds.saturating_sub(WINDOW);
        starts
            .filter_map(|start| self.share(start..start + WINDOW))
            .min_by(f64::total_cmp)
    }

    /// For how long goodput was below its objective, in steps of 10 s; `None` without one.
    pub(crate) fn below_goal(&self) -> Option<f64> {
        let goal = self.goal?;
        let steps = (0..self.whole_seconds()).step_by(WINDOW);
        let below = steps.filter(|start| self.share(*start..start + WINDOW).is_some_and(|share| share < goal));
        Some((below.count() * WINDOW) as f64)
    }

    fn whole_seconds(&self) -> usize {
        self.duration.as_secs() as usize
    }

    /// Good calls as a share of all in some seconds; `None` if there were none.
    pub(crate) fn share(&self, seconds: Range<usize>) -> Option<f64> {
        let counts = self.counts(&seconds);
        (counts.requests > 0).then(|| ratio(counts.good, counts.requests))
    }

    /// The calls of some seconds.
    pub(super) fn counts(&self, seconds: &Range<usize>) -> Counts {
        let all = self.seconds.len();
        let mut sum = Counts::default();
        for second in &self.seconds[seconds.start.min(all)..seconds.end.min(all)] {
            sum.requests += u64::from(second.requests);
            sum.good += u64::from(second.good);
            sum.through += u64::from(second.through);
        }
        sum
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
        let second = |good: &u32| SecondCounts {
            requests: 100,
            good: *good,
            through: 100,
        };
        Measured {
            duration: Duration::from_secs(good.len() as u64),
            seconds: good.iter().map(second).collect(),
            ..Measured::default()
        }
    }

    #[test]
    fn the_worst_ten_seconds_may_begin_at_any_second() {
        let mut good = vec![100; 60];
        good[25..40].fill(20);
        assert_eq!(run(&good).worst(), Some(0.2));
        good[30] = 100;
        assert_eq!(run(&good).worst(), Some(0.28));
        assert_eq!(run(&[100; 60]).worst(), Some(1.0));
    }

    #[test]
    fn time_below_the_objective_is_counted_in_steps_and_only_where_there_is_one() {
        let mut good = vec![100; 60];
        good[25..40].fill(20);
        let measured = run(&good);
        assert_eq!(measured.below_goal(), None);
        let measured = Measured {
            goal: Some(0.9),
            ..measured
        };
        assert_eq!(measured.below_goal(), Some(20.0));
    }
}
