//! What a run did about each fault: when it was detected, and when goodput was back, judged against a run of the same seed
//! without faults.

use std::ops::Range;
use std::time::Duration;

use super::circuits::Circuits;
use super::measure::SecondCounts;
use super::recovery::{Comparison, NEXT_TOO_SOON, Recovery};
use crate::drill::scenario::{Fault, WINDOW};

/// What a run did about one fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incident {
    /// From the fault's start to the opening of the breaker that it caused; in a fleet, of half of the breakers.
    pub(crate) detected: Option<Duration>,
    /// From the fault's start to the first second at whose end the last minute burnt the goodput objective's budget.
    pub(crate) burnt: Option<Duration>,
    pub(crate) recovery: Recovery,
    /// When the fault and its aftermath were over: what happens later has another cause.
    aftermath: Duration,
}

#[cfg(test)]
impl Incident {
    /// One without an aftermath.
    pub(crate) fn new(detected: Option<Duration>, burnt: Option<Duration>, recovery: Recovery) -> Self {
        Self {
            detected,
            burnt,
            recovery,
            aftermath: Duration::ZERO,
        }
    }
}

/// What is known of a run, or of the one without faults.
#[derive(Clone, Copy)]
pub(super) struct Course<'a> {
    pub(super) seconds: &'a [SecondCounts],
    /// By caller and dependency.
    pub(super) circuits: &'a [Circuits],
}

/// The time of the alert whose objective burns its budget.
const MINUTE: usize = 60;

/// Judges every fault of a drill that lasts so long. `goal` is the least goodput that is asked for, if there is one.
pub(super) fn judge(
    faults: &[Fault],
    duration: Duration,
    goal: Option<f64>,
    run: Course<'_>,
    control: Course<'_>,
) -> Vec<Incident> {
    let comparison = Comparison::new(run.seconds, control.seconds);
    let judge_one = |fault: &Fault| {
        let next = next_start(fault, faults);
        let recovery = comparison.judge(fault.at..fault.end(), next.unwrap_or(duration), next.is_none());
        let aftermath = aftermath(fault, recovery, next.unwrap_or(duration));
        Incident {
            detected: detected(&(fault.at..aftermath), run.circuits, control.circuits),
            burnt: goal.and_then(|goal| burnt(&(fault.at..aftermath), goal, run.seconds, control.seconds)),
            recovery,
            aftermath,
        }
    };
    faults.iter().map(judge_one).collect()
}

/// When the next fault begins after this one has ended; the end of this one, if another goes on then.
fn next_start(fault: &Fault, faults: &[Fault]) -> Option<Duration> {
    let later = faults.iter().filter(|other| other.end() > fault.end());
    later.map(|other| other.at.max(fault.end())).min()
}

/// Until when what happens is put down to a fault.
fn aftermath(fault: &Fault, recovery: Recovery, until: Duration) -> Duration {
    match recovery {
        Recovery::After(time) => (fault.end() + time.max(WINDOW)).min(until),
        Recovery::NotDown => (fault.end() + WINDOW).min(until),
        Recovery::Never | Recovery::NotBeforeNext(_) | Recovery::NotJudged(_) => until,
    }
}

/// The first opening within the time that the fault accounts for, from its start, of all breakers of one caller around calls to
/// one dependency. Where the breaker opened by then without the fault as well, it has not detected the fault.
fn detected(time: &Range<Duration>, run: &[Circuits], control: &[Circuits]) -> Option<Duration> {
    let never = Circuits::default();
    let pairs = run
        .iter()
        .enumerate()
        .map(|(index, run)| (run, control.get(index).unwrap_or(&never)));
    pairs.filter_map(|(run, control)| detected_by(time, run, control)).min()
}

fn detected_by(time: &Range<Duration>, run: &Circuits, control: &Circuits) -> Option<Duration> {
    let opened = run.half_open_within(time)?;
    let by_chance = control.half_open_within(&(time.start..opened + Duration::from_nanos(1)));
    by_chance.is_none().then(|| opened - time.start)
}

/// The first second within that time at whose end more of the last minute's calls were lost than the objective allows, and
/// without the fault they were not. An alert that went off before the fault detects nothing.
fn burnt(time: &Range<Duration>, goal: f64, run: &[SecondCounts], control: &[SecondCounts]) -> Option<Duration> {
    let burns = |seconds: &[SecondCounts], end: usize| {
        let seconds = &seconds[..end.min(seconds.len())];
        let minute = &seconds[seconds.len().saturating_sub(MINUTE)..];
        let sum = |of: fn(&SecondCounts) -> u32| minute.iter().map(|second| u64::from(of(second))).sum::<u64>();
        let (calls, good) = (sum(|second| second.requests), sum(|second| second.good));
        calls > 0 && (good as f64) < goal * calls as f64
    };
    let first = time.start.as_secs() as usize + 1;
    if burns(run, first - 1) {
        return None;
    }
    let last = time.end.as_secs_f64().ceil() as usize;
    (first..=last)
        .find(|end| burns(run, *end) && !burns(control, *end))
        .map(|end| Duration::from_secs(end as u64).saturating_sub(time.start))
}

/// The recovery of the whole run: of the fault after which goodput was down longest. The time until the next fault counts, and
/// goes on after that one, where goodput was not back before it; the time of the faults themselves does not.
pub(crate) fn overall(incidents: &[Incident]) -> Recovery {
    let mut worst = Recovery::NotDown;
    let mut down = Duration::ZERO;
    for incident in incidents {
        let since = match incident.recovery {
            Recovery::NotDown if down.is_zero() => continue,
            // A later fault that its predecessor left no time to judge says nothing by itself.
            Recovery::NotJudged(NEXT_TOO_SOON) => continue,
            Recovery::NotJudged(_) | Recovery::Never => return incident.recovery,
            Recovery::NotBeforeNext(time) => {
                down += time;
                continue;
            }
            Recovery::NotDown => Duration::ZERO,
            Recovery::After(time) => time,
        };
        let whole = std::mem::take(&mut down) + since;
        worst = match worst {
            Recovery::After(other) => Recovery::After(other.max(whole)),
            _ => Recovery::After(whole),
        };
    }
    worst
}

/// The time of each fault and of its aftermath.
pub(crate) fn accounted(faults: &[Fault], incidents: &[Incident]) -> Vec<Range<Duration>> {
    let times = faults.iter().zip(incidents);
    times.map(|(fault, incident)| fault.at..incident.aftermath).collect()
}
