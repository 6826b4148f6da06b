//! What happened over time, in steps of equal length: for pictures, and for programs that draw their own.

use super::circuits::Circuits;
use super::fault::Condition;
use super::measure::Measured;
use crate::drill::scenario::Scenario;
use std::ops::Range;
use std::time::Duration;

/// How many steps a series has, at most.
const POINTS: usize = 120;

/// One step of a variant's run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    /// When it begins, and how long it lasts, in seconds.
    pub(crate) at: f64,
    pub(crate) length: f64,
    /// Requests that were due, those of which an attempt reached a dependency, and those that were answered in time.
    pub(crate) due: u64,
    pub(crate) through: u64,
    pub(crate) in_time: u64,
    /// Attempts that reached a dependency, all of them together.
    pub(crate) attempts: u64,
    /// Calls that waited in a queue, in the mean.
    pub(crate) queued: f64,
    /// The share of breakers that were open or half-open; `None` without breakers.
    pub(crate) open: Option<f64>,
}

/// The steps of a drill: which whole seconds each has.
fn steps(duration: Duration) -> impl Iterator<Item = Range<usize>> {
    let seconds = (duration.as_secs_f64().ceil() as usize).max(1);
    let points = POINTS.min(seconds);
    (0..points).map(move |point| point * seconds / points..(point + 1) * seconds / points)
}

/// The series of a run.
pub(super) fn read(duration: Duration, measured: &Measured) -> Vec<Point> {
    let point = |seconds: Range<usize>| {
        let end = Duration::from_secs(seconds.end as u64).min(duration);
        let start = Duration::from_secs(seconds.start as u64);
        let counts = measured.counts(&seconds);
        let tenths = seconds.start * 10..seconds.end * 10;
        let attempts = measured.traffic.iter().map(|traffic| traffic.attempts_within(&tenths));
        let queued = measured
            .queued
            .get(seconds.start..seconds.end.min(measured.queued.len()));
        let queued = queued.unwrap_or_default();
        Point {
            at: start.as_secs_f64(),
            length: (end - start).as_secs_f64(),
            due: counts.requests,
            through: counts.through,
            in_time: counts.good,
            attempts: attempts.sum(),
            queued: queued.iter().map(|queued| *queued as f64).sum::<f64>() / queued.len().max(1) as f64,
            open: Circuits::open_within(&measured.circuits, &(start..end)),
        }
    };
    steps(duration).map(point).collect()
}

/// How many requests a second the dependencies can answer at the start of each step, with all faults: as many as the one that can
/// answer the fewest.
pub(crate) fn capacity(scenario: &Scenario) -> Vec<f64> {
    let calls = scenario.calls_for_a_request();
    let lengths = scenario.lengths_of_calls(|dependency| dependency.latency.mean());
    let of_dependency = |place: usize, at: Duration| {
        let dependency = &scenario.dependencies[place];
        let faults: Vec<_> = scenario
            .faults
            .iter()
            .filter(|fault| fault.dependency == place)
            .cloned()
            .collect();
        let of_instance = |instance: usize| {
            let condition = Condition::at(dependency, &faults, instance, at).0;
            if condition.is_down() || condition.restarting {
                return 0.0;
            }
            let slow = condition.slow_share * condition.slow_keys;
            let factor = (1.0 + (condition.slowdown - 1.0) * slow) * condition.cold;
            condition.servers as f64 / (lengths[place] * factor + condition.delay.as_secs_f64() * slow)
        };
        (0..dependency.instances.get() as usize).map(of_instance).sum::<f64>() / calls[place].max(f64::MIN_POSITIVE)
    };
    let at = |seconds: Range<usize>| {
        let at = Duration::from_secs(seconds.start as u64);
        let all = (0..scenario.dependencies.len()).map(|place| of_dependency(place, at));
        all.fold(f64::INFINITY, f64::min)
    };
    steps(scenario.duration).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::fake::no_files;
    use c13_reliability::policy::document::Source;

    #[test]
    fn capacity_follows_the_faults() {
        let text = "name = \"it\"\nduration = \"60s\"\nload = { rps = 100, deadline = \"1s\" }\n\
            dependency = { name = \"it\", latency = { constant = \"50ms\" }, concurrency = 10 }\n\
            fault = [{ at = \"10s\", for = \"10s\", kind = \"capacity\", share = 0.5 },\n\
            { at = \"25s\", for = \"10s\", kind = \"crash\" }, { at = \"40s\", for = \"10s\", kind = \"latency\", factor = 4 }]\n";
        let scenario = Scenario::read(Source::new("it.toml", text), &no_files).expect("it is right");
        let capacity = capacity(&scenario);
        assert_eq!(capacity.len(), 60);
        for (second, expected) in [(0, 200.0), (10, 100.0), (20, 200.0), (30, 0.0), (45, 50.0), (55, 200.0)] {
            assert!(
                (capacity[second] - expected).abs() < 1e-6,
                "{second}: {}",
                capacity[second]
            );
        }
    }
}
