//! The figures of a variant: one row a figure. The table, the JSON object, the objectives and the help are loops over them.

use c13_reliability::Layer;

use super::engine::Measured;
use super::unit::{COUNT, FACTOR, MILLIS, PER_SECOND, RATIO, SECONDS, Unit};

/// A figure: what it is called, how it is read, how it is shown and how it is judged.
#[derive(Debug)]
pub(crate) struct Figure {
    /// Its name in JSON.
    pub(crate) name: &'static str,
    /// What it says, for the help.
    pub(crate) doc: &'static str,
    pub(crate) unit: Unit,
    pub(crate) shown: Shown,
    /// Its value; `None` stands for what never happened.
    pub(crate) read: fn(&Measured) -> Option<f64>,
    /// Its objective, if it can be judged.
    pub(crate) goal: Option<Goal>,
}

/// Where the table shows a figure, and under which label. `{dependency}` in a label stands for the dependency's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Not in a row of its own.
    Nowhere,
    /// Among the figures of every drill.
    Always(&'static str),
    /// Among the figures of a drill with faults; that it never happened is as good as anything.
    AfterFaults(&'static str),
    /// The same, and it should have happened.
    AfterFaultsDue(&'static str),
    /// Among the calls that were turned away or cut off; a group of its own in JSON, too.
    TurnedAway(&'static str),
}

/// The objective on a figure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Goal {
    /// Its name in the file and in the report.
    pub(crate) name: &'static str,
    pub(crate) bound: Bound,
    /// How it may be written in the file.
    pub(crate) example: &'static str,
}

/// On which side of the limit a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// More is better.
    Floor,
    /// Less is better.
    Ceiling,
}

/// Every figure, in the order of the JSON object and of the objectives.
pub(crate) static FIGURES: &[Figure] = &[
    Figure {
        name: "requests",
        doc: "requests that were due",
        unit: COUNT,
        shown: Shown::Nowhere,
        read: |measured| Some(measured.requests as f64),
        goal: None,
    },
    Figure {
        name: "success_ratio",
        doc: "the share of them that succeeded, however late",
        unit: RATIO,
        shown: Shown::Always("success"),
        read: |measured| Some(measured.of_requests(measured.succeeded)),
        goal: floor("availability", ">= 99.0%"),
    },
    Figure {
        name: "goodput_ratio",
        doc: "the share of them that succeeded within the caller's deadline",
        unit: RATIO,
        shown: Shown::Always("goodput"),
        read: |measured| Some(measured.of_requests(measured.good)),
        goal: floor("goodput", ">= 95%"),
    },
    Figure {
        name: "p50_ms",
        doc: "half of the requests ended within this time, with success or not, counted from their intended arrival",
        unit: MILLIS,
        shown: Shown::Always("latency P50"),
        read: |measured| Some(measured.latency_ms(0.5)),
        goal: None,
    },
    Figure {
        name: "p99_ms",
        doc: "99 of 100 requests ended within this time",
        unit: MILLIS,
        shown: Shown::Always("latency P99"),
        read: |measured| Some(measured.latency_ms(0.99)),
        goal: ceiling("p99", "<= 800ms"),
    },
    Figure {
        name: "amplification",
        doc: "calls that reached the dependency, for each request",
        unit: FACTOR,
        shown: Shown::Always("amplification"),
        read: |measured| Some(measured.of_requests(measured.attempts)),
        goal: ceiling("amplification", "<= 1.3"),
    },
    Figure {
        name: "detect_s",
        doc: "from the start of the first fault until a breaker opened",
        unit: SECONDS,
        shown: Shown::AfterFaults("breaker opened after"),
        read: |measured| measured.detected().map(|after| after.as_secs_f64()),
        goal: None,
    },
    Figure {
        name: "recovery_s",
        doc: "from the end of the last fault until goodput was back, at 99% of its level before the first fault, for good",
        unit: SECONDS,
        shown: Shown::AfterFaultsDue("recovered after"),
        read: |measured| measured.recovery().map(|after| after.as_secs_f64()),
        goal: ceiling("recovery", "<= 60s"),
    },
    Figure {
        name: "peak_load_rps",
        doc: "the most calls that reached the dependency in any one second",
        unit: PER_SECOND,
        shown: Shown::Always("peak load on {dependency}"),
        read: |measured| Some(measured.peak),
        goal: None,
    },
    Figure {
        name: "rate_limit",
        doc: "requests over the rate limit",
        unit: COUNT,
        shown: Shown::TurnedAway("rate limit"),
        read: |measured| measured.stopped_by(&[Layer::RateLimit]),
        goal: None,
    },
    Figure {
        name: "bulkhead",
        doc: "requests that found the bulkhead full",
        unit: COUNT,
        shown: Shown::TurnedAway("bulkhead"),
        read: |measured| measured.stopped_by(&[Layer::Bulkhead]),
        goal: None,
    },
    Figure {
        name: "circuit_breaker",
        doc: "requests that found the circuit open",
        unit: COUNT,
        shown: Shown::TurnedAway("circuit breaker"),
        read: |measured| measured.stopped_by(&[Layer::CircuitBreaker]),
        goal: None,
    },
    Figure {
        name: "retry_budget",
        doc: "requests whose retry the budget did not allow",
        unit: COUNT,
        shown: Shown::TurnedAway("retry budget"),
        read: |measured| measured.stopped_by(&[Layer::Retry]),
        goal: None,
    },
    Figure {
        name: "timeout",
        doc: "requests that took longer than the policy lets them",
        unit: COUNT,
        shown: Shown::TurnedAway("timeout"),
        read: |measured| measured.stopped_by(&[Layer::AttemptTimeout, Layer::TotalTimeout]),
        goal: None,
    },
    Figure {
        name: "deadline",
        doc: "requests whose caller gave up",
        unit: COUNT,
        shown: Shown::TurnedAway("caller's deadline"),
        read: |measured| Some(measured.given_up as f64),
        goal: None,
    },
];

const fn floor(name: &'static str, example: &'static str) -> Option<Goal> {
    Some(Goal {
        name,
        bound: Bound::Floor,
        example,
    })
}

const fn ceiling(name: &'static str, example: &'static str) -> Option<Goal> {
    Some(Goal {
        name,
        bound: Bound::Ceiling,
        example,
    })
}

/// Figures are rows: two with one name are the same.
impl PartialEq for Figure {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// The figures of one group of the JSON object: those of the calls that were turned away or cut off, or all others.
pub(crate) fn group(turned_away: bool) -> impl Iterator<Item = &'static Figure> {
    let is_turned_away = |figure: &&Figure| matches!(figure.shown, Shown::TurnedAway(_));
    FIGURES
        .iter()
        .filter(move |figure| is_turned_away(figure) == turned_away)
}

/// Every figure by its name in JSON, for the help.
pub(crate) fn help() -> String {
    let width = FIGURES.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
    let mut text =
        String::from("Figures of each variant, by their names with --json; null stands for what never happened:");
    for turned_away in [false, true] {
        if turned_away {
            text.push_str("\n  rejections, a count for each layer that turned calls away or cut them off:");
        }
        for figure in group(turned_away) {
            let indent = if turned_away { 4 } else { 2 };
            text.push_str(&format!("\n{:indent$}{:width$}  {}", "", figure.name, figure.doc));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_of_figures_and_of_objectives_are_unique() {
        let names: BTreeSet<_> = FIGURES.iter().map(|figure| figure.name).collect();
        assert_eq!(names.len(), FIGURES.len());
        let goals: Vec<_> = FIGURES.iter().filter_map(|figure| figure.goal.as_ref()).collect();
        let names: BTreeSet<_> = goals.iter().map(|goal| goal.name).collect();
        assert_eq!(names.len(), goals.len());
    }
}
