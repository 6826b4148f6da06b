//! The phases of a drill: the time before the faults, during each of them, between and after them.

use std::time::Duration;

use super::scenario::Scenario;

/// A stretch of the drill in which the same faults are on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Phase {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    /// The faults that are on, by their place in the scenario.
    pub(crate) faults: Vec<usize>,
    /// `before`, what the faults do, `between` or `after`; `whole` where there are no faults.
    pub(crate) name: String,
}

/// The phases of a scenario, in order; they cover all of it.
pub(crate) fn phases(scenario: &Scenario) -> Vec<Phase> {
    let faults = &scenario.faults;
    let mut bounds: Vec<Duration> = faults.iter().flat_map(|fault| [fault.at, fault.end()]).collect();
    bounds.extend([Duration::ZERO, scenario.duration]);
    bounds.retain(|bound| *bound <= scenario.duration);
    bounds.sort();
    bounds.dedup();
    let last_end = scenario.last_fault_end();
    let phase = |pair: &[Duration]| {
        let (from, to) = (pair[0], pair[1]);
        let on: Vec<usize> = (0..faults.len())
            .filter(|index| faults[*index].at <= from && from < faults[*index].end())
            .collect();
        let words: Vec<&str> = on.iter().map(|index| &*faults[*index].words).collect();
        let name = match (&words[..], scenario.first_fault_start(), last_end) {
            ([], None, _) => "whole".to_owned(),
            ([], Some(first), _) if from < first => "before".to_owned(),
            ([], _, Some(last)) if from >= last => "after".to_owned(),
            ([], ..) => "between".to_owned(),
            (words, ..) => words.join(" + "),
        };
        Phase {
            from,
            to,
            faults: on,
            name,
        }
    };
    bounds.windows(2).map(phase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::fake::no_files;
    use c13_reliability::policy::document::Source;

    /// The phases of 60 s with faults.
    fn names(faults: &str) -> Vec<(String, u64, u64, Vec<usize>)> {
        let text = format!(
            r#"
            name = "phases"
            duration = "60s"
            load = {{ rps = 100, deadline = "1s" }}
            dependency = {{ name = "it", latency = {{ constant = "50ms" }}, concurrency = 10 }}
            fault = [{faults}]
            "#
        );
        let scenario =
            Scenario::read(Source::new("test.toml", text), &no_files).unwrap_or_else(|errors| panic!("{errors}"));
        let row = |phase: Phase| (phase.name, phase.from.as_secs(), phase.to.as_secs(), phase.faults);
        phases(&scenario).into_iter().map(row).collect()
    }

    #[test]
    fn phases_are_before_during_between_and_after_the_faults() {
        let errors = r#"{ at = "10s", for = "10s", kind = "error_rate", rate = "50%" }"#;
        let slow = |at: u64| format!(r#"{{ at = "{at}s", for = "10s", kind = "latency", factor = 2.0 }}"#);
        let row = |name: &str, from, to, faults: &[usize]| (name.to_owned(), from, to, faults.to_vec());
        assert_eq!(names(""), [row("whole", 0, 60, &[])]);
        assert_eq!(
            names(&format!("{errors}, {}", slow(30))),
            [
                row("before", 0, 10, &[]),
                row("50% errors", 10, 20, &[0]),
                row("between", 20, 30, &[]),
                row("latency ×2", 30, 40, &[1]),
                row("after", 40, 60, &[]),
            ]
        );
        assert_eq!(
            names(&format!("{errors}, {}", slow(15))),
            [
                row("before", 0, 10, &[]),
                row("50% errors", 10, 15, &[0]),
                row("50% errors + latency ×2", 15, 20, &[0, 1]),
                row("latency ×2", 20, 25, &[1]),
                row("after", 25, 60, &[]),
            ]
        );
    }
}
