//! The figures of a variant: one row a figure. The table, the JSON object, the objectives and the help are loops over them.

use std::time::Duration;

use super::engine::{CallCounts, CallEnd, Incident, Measured, Times};
use super::figures::Value;
use super::traffic_figure::TRAFFIC_FIGURES;
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
    pub(crate) read: Read,
    /// Its objective, if it can be judged.
    pub(crate) goal: Option<Goal>,
}

/// How a figure is read; `None` stands for what never happened.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Read {
    /// The calls that ended in this way.
    Ended(CallEnd),
    /// From the counts of calls.
    Calls(fn(&CallCounts) -> Option<f64>),
    /// From the whole run.
    Run(fn(&Measured) -> Option<f64>),
    /// From the faults.
    Recovery,
}

/// Where the table shows a figure, and under which label. `{dependency}` in a label stands for the dependency's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Not in a row of its own.
    Nowhere,
    /// In a row of its own, unless it is of no variant.
    Row(&'static str),
    /// The same, and in the whole table under the second label for each phase as well.
    PhaseRow(&'static str, &'static str),
    /// As the two above, but in the whole table only.
    Detail(&'static str),
    PhaseDetail(&'static str, &'static str),
    /// Among the ways in which calls end, as a share of all calls; all of these are [`Read::Ended`], and the other way round.
    End(&'static str),
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
        doc: "calls that were due; each ended in one of the ways below that are counted in calls",
        unit: COUNT,
        shown: Shown::Nowhere,
        read: Read::Calls(|calls| Some(calls.requests() as f64)),
        goal: None,
    },
    Figure {
        name: "success_ratio",
        doc: "the share of them that was answered, however late",
        unit: RATIO,
        shown: Shown::Nowhere,
        read: Read::Calls(|calls| Some(calls.share(&[CallEnd::InTime, CallEnd::Late]))),
        goal: floor("availability", ">= 99.0%"),
    },
    Figure {
        name: GOODPUT,
        doc: "the share of them that was answered within the caller's deadline",
        unit: RATIO,
        shown: Shown::Nowhere,
        read: Read::Calls(|calls| Some(calls.share(&[CallEnd::InTime]))),
        goal: floor("goodput", ">= 95%"),
    },
    end(
        CallEnd::InTime,
        "in_time",
        "answered in time",
        "calls that were answered within the caller's deadline",
    ),
    end(
        CallEnd::Late,
        "late",
        "answered late",
        "calls that were answered after the caller's deadline",
    ),
    end(
        CallEnd::Failed,
        "failed",
        "failed by {dependency}",
        "calls that the dependency worked on and failed",
    ),
    end(
        CallEnd::Refused,
        "refused",
        "refused by {dependency}",
        "calls that the dependency refused: its queue was full, or it had an outage",
    ),
    end(
        CallEnd::RateLimit,
        "rate_limit",
        "own rate limit",
        "calls over the rate limit",
    ),
    end(
        CallEnd::Bulkhead,
        "bulkhead",
        "own bulkhead",
        "calls that found the bulkhead full",
    ),
    end(
        CallEnd::AdaptiveLimit,
        "adaptive_limit",
        "own adaptive limit",
        "calls over the adaptive limit",
    ),
    end(
        CallEnd::CircuitBreaker,
        "circuit_breaker",
        "own circuit breaker",
        "calls that found the circuit open",
    ),
    end(
        CallEnd::Timeout,
        "timeout",
        "own time limit",
        "calls that a time limit of the policy cut off",
    ),
    end(
        CallEnd::Deadline,
        "deadline",
        "caller's deadline",
        "calls that the caller's deadline cut off",
    ),
    end(
        CallEnd::Unanswered,
        "unanswered",
        "unanswered",
        "calls that were still waiting when the drill ended",
    ),
    Figure {
        name: "p50_ms",
        doc: "half of the answered calls were answered within this time, counted from their intended arrival",
        unit: MILLIS,
        shown: Shown::PhaseRow("latency P50", "latency P50"),
        read: Read::Calls(|calls| calls.quantile_ms(Times::Answered, 0.5)),
        goal: None,
    },
    Figure {
        name: "p99_ms",
        doc: "99 of 100 answered calls were answered within this time",
        unit: MILLIS,
        shown: Shown::PhaseRow("latency P99", "latency P99"),
        read: Read::Calls(|calls| calls.quantile_ms(Times::Answered, 0.99)),
        goal: ceiling("p99", "<= 800ms"),
    },
    Figure {
        name: "p999_ms",
        doc: "999 of 1,000 answered calls were answered within this time",
        unit: MILLIS,
        shown: Shown::Detail("latency P99.9"),
        read: Read::Calls(|calls| calls.quantile_ms(Times::Answered, 0.999)),
        goal: None,
    },
    Figure {
        name: "fail_p50_ms",
        doc: "half of the calls that ended without an answer did so within this time",
        unit: MILLIS,
        shown: Shown::Detail("time to fail P50"),
        read: Read::Calls(|calls| calls.quantile_ms(Times::Failed, 0.5)),
        goal: None,
    },
    Figure {
        name: "fail_p99_ms",
        doc: "99 of 100 calls that ended without an answer did so within this time",
        unit: MILLIS,
        shown: Shown::Detail("time to fail P99"),
        read: Read::Calls(|calls| calls.quantile_ms(Times::Failed, 0.99)),
        goal: None,
    },
    Figure {
        name: "attempts",
        doc: "attempts of the callers that reached a dependency: first ones, retries and hedges",
        unit: COUNT,
        shown: Shown::Detail("attempts"),
        read: Read::Calls(|calls| Some(calls.attempts as f64)),
        goal: None,
    },
    Figure {
        name: "amplification",
        doc: "attempts for each call that was due",
        unit: FACTOR,
        shown: Shown::Row("attempts for each call"),
        read: Read::Calls(|calls| Some(calls.attempts_for_each(calls.requests()))),
        goal: ceiling("amplification", "<= 1.3"),
    },
    Figure {
        name: "attempts_per_admitted",
        doc: "attempts for each call of which at least one attempt reached the dependency",
        unit: FACTOR,
        shown: Shown::PhaseDetail("  for each admitted call", "attempts per admitted"),
        read: Read::Calls(|calls| Some(calls.attempts_for_each(calls.admitted))),
        goal: None,
    },
    Figure {
        name: "wasted_ratio",
        doc: "the share of the dependency's work that was done for nobody, because the caller had left before it was done",
        unit: RATIO,
        shown: Shown::Row("work done for nobody"),
        read: Read::Run(Measured::wasted),
        goal: None,
    },
    Figure {
        name: "peak_load_rps",
        doc: "the most attempts that reached the dependency in any one second",
        unit: PER_SECOND,
        shown: Shown::Row("peak load on {dependency}"),
        read: Read::Run(|measured| Some(measured.peaks().0)),
        goal: None,
    },
    Figure {
        name: "peak_100ms_rps",
        doc: "the most in any tenth of a second, as a rate",
        unit: PER_SECOND,
        shown: Shown::Detail("  within 100 ms"),
        read: Read::Run(|measured| Some(measured.peaks().1)),
        goal: None,
    },
    Figure {
        name: "worst_10s_ratio",
        doc: "goodput in the worst 10 s",
        unit: RATIO,
        shown: Shown::Row("goodput in worst 10 s"),
        read: Read::Run(Measured::worst),
        goal: None,
    },
    Figure {
        name: "below_objective_s",
        doc: "for how long goodput was below its objective, in steps of 10 s",
        unit: SECONDS,
        shown: Shown::Detail("below its objective for"),
        read: Read::Run(Measured::below_goal),
        goal: None,
    },
    Figure {
        name: "open_ratio",
        doc: "the share of the time that the breaker was open or half-open",
        unit: RATIO,
        shown: Shown::Detail("breaker open"),
        read: Read::Run(Measured::open_share),
        goal: None,
    },
    Figure {
        name: "false_openings",
        doc: "how often a closed breaker opened that was well: within no fault and no aftermath of one",
        unit: COUNT,
        shown: Shown::Detail("  falsely opened, times"),
        read: Read::Run(Measured::false_openings),
        goal: None,
    },
    Figure {
        name: "detect_s",
        doc: "from the start of the first fault that made a closed breaker open until it did; in a fleet, half of the breakers",
        unit: SECONDS,
        shown: Shown::Row("breaker opened after"),
        read: Read::Run(|measured| first(measured, |incident| incident.detected)),
        goal: None,
    },
    Figure {
        name: "burn_s",
        doc: "from the start of the first fault that made the last minute miss the goodput objective until it did",
        unit: SECONDS,
        shown: Shown::Row("objective missed after"),
        read: Read::Run(|measured| first(measured, |incident| incident.burnt)),
        goal: None,
    },
    Figure {
        name: "recovery_s",
        doc: "from the end of a fault until goodput was back for good, at 99% of that of a run without faults and but for chance; of the worst fault; 0 where it was never down, null where it never was back or too few calls were made",
        unit: SECONDS,
        shown: Shown::Row("recovered after"),
        read: Read::Recovery,
        goal: ceiling("recovery", "<= 60s"),
    },
];

/// The name of goodput, by which runs are ranked.
pub(crate) const GOODPUT: &str = "goodput_ratio";

/// The first fault's time that there is.
fn first(measured: &Measured, of: impl Fn(&Incident) -> Option<Duration>) -> Option<f64> {
    let times = measured.incidents.iter().find_map(of);
    times.map(|after| after.as_secs_f64())
}

/// The row of a way in which calls end.
const fn end(end: CallEnd, name: &'static str, label: &'static str, doc: &'static str) -> Figure {
    Figure {
        name,
        doc,
        unit: COUNT,
        shown: Shown::End(label),
        read: Read::Ended(end),
        goal: None,
    }
}

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

impl Shown {
    /// The label of its row in the table, in the whole one or in the short one.
    pub(crate) fn row(self, whole: bool) -> Option<&'static str> {
        match self {
            Self::Row(label) | Self::PhaseRow(label, _) => Some(label),
            Self::Detail(label) | Self::PhaseDetail(label, _) if whole => Some(label),
            _ => None,
        }
    }

    /// Its label, wherever it is shown.
    fn label(self) -> Option<&'static str> {
        match self {
            Self::End(label) => Some(label),
            other => other.row(true),
        }
    }

    /// The label of its row for each phase of the whole table.
    pub(crate) fn phase_row(self) -> Option<&'static str> {
        match self {
            Self::PhaseRow(_, label) | Self::PhaseDetail(_, label) => Some(label),
            _ => None,
        }
    }
}

impl Figure {
    /// The way in which calls end that it counts, if it counts one.
    pub(crate) fn end(&self) -> Option<CallEnd> {
        match self.read {
            Read::Ended(end) => Some(end),
            Read::Calls(_) | Read::Run(_) | Read::Recovery => None,
        }
    }

    /// Its label, if it is shown.
    pub(crate) fn label(&self) -> Option<&'static str> {
        self.shown.label()
    }

    /// A value of it as text.
    pub(crate) fn text_of(&self, value: Value) -> String {
        value.text(self.unit)
    }

    /// Whether it is read from the counts of calls, and so is known of each phase.
    pub(crate) fn is_of_calls(&self) -> bool {
        matches!(self.read, Read::Ended(_) | Read::Calls(_))
    }
}

/// The rows of the ways in which calls end, with their ways and labels.
pub(crate) fn ends() -> impl Iterator<Item = (&'static Figure, CallEnd)> {
    FIGURES.iter().filter_map(|figure| Some((figure, figure.end()?)))
}

/// The figures of one group of the JSON object: the calls that the caller's own side ended, or all others.
pub(crate) fn group(rejections: bool) -> impl Iterator<Item = &'static Figure> {
    let is_rejection = |figure: &Figure| figure.end().is_some_and(CallEnd::is_own);
    FIGURES.iter().filter(move |figure| is_rejection(figure) == rejections)
}

/// Every figure by its name in JSON, for the help.
pub(crate) fn help() -> String {
    let width = FIGURES.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
    let mut text =
        String::from("Figures of each variant, by their names with --json; null stands for what never happened:");
    for rejections in [false, true] {
        if rejections {
            text.push_str("\n  rejections, the calls that the caller's own side turned away or cut off:");
        }
        for figure in group(rejections) {
            let indent = if rejections { 4 } else { 2 };
            text.push_str(&format!("\n{:indent$}{:width$}  {}", "", figure.name, figure.doc));
        }
    }
    text.push_str("\n  dependencies, where there are several, by their name:");
    for figure in TRAFFIC_FIGURES {
        text.push_str(&format!("\n    {:width$}  {}", figure.name, figure.doc));
    }
    text.push_str("\n  shares, each count of calls as a share of all calls; together they are 1");
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

    #[test]
    fn each_way_to_end_is_counted_by_one_row_and_shown_as_a_share() {
        let rows: Vec<usize> = ends().map(|(_, end)| end as usize).collect();
        assert_eq!(rows, (0..CallEnd::COUNT).collect::<Vec<_>>());
        for figure in FIGURES {
            assert_eq!(
                figure.end().is_some(),
                matches!(figure.shown, Shown::End(_)),
                "{}",
                figure.name
            );
        }
    }
}
