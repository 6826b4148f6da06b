//! The result of all runs of a scenario together, and whether its objectives are met.

use std::time::Duration;

use super::baseline::Change;
use super::engine::{Incident, Point, capacity};
use super::figure::{Bound, GOODPUT};
use super::figures::{Figures, Value};
use super::phase::{Phase, phases};
use super::report::DrillReport;
use super::scenario::{Objective, Scenario};
use super::traffic_figure::TrafficValues;
use super::verdict::{Verdict, reached};
use super::warning::warnings;

/// All runs of a scenario together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summary {
    /// The scenario's name.
    pub(crate) scenario: String,
    /// What is rehearsed but for the policies, see [`Scenario::incident`].
    pub(crate) incident: String,
    /// How many requests a second the dependencies can answer, in the steps of the series.
    pub(crate) capacity: Vec<f64>,
    /// The seed of the first run; each next run has the next seed.
    pub(crate) seed: u64,
    /// How many runs there were.
    pub(crate) runs: usize,
    /// How long each lasted in simulated time.
    pub(crate) duration: Duration,
    /// The dependency's name, or words for one of several.
    pub(crate) dependency: String,
    /// The names of all dependencies.
    pub(crate) dependencies: Vec<String>,
    /// What was said before the drill ran, one line each.
    pub(crate) warnings: Vec<String>,
    /// What went wrong, and when.
    pub(crate) faults: Vec<FaultMark>,
    /// The time before the faults, during each of them, between and after them.
    pub(crate) phases: Vec<Phase>,
    /// Every variant, in the order of the scenario.
    pub(crate) variants: Vec<VariantSummary>,
    /// How it differs from an earlier drill, if it was compared with one.
    pub(crate) changes: Vec<Change>,
}

/// When a fault was, and what.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FaultMark {
    pub(crate) start: Duration,
    pub(crate) end: Duration,
    pub(crate) what: String,
}

/// All runs of a variant together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VariantSummary {
    /// The variant's name.
    pub(crate) name: String,
    /// Whether it is there to compare with, so that no objective judges it.
    pub(crate) baseline: bool,
    /// The figures of one run, that in the middle by goodput, so that they belong together: of an even number of runs, the lower
    /// of the two in the middle.
    pub(crate) figures: Figures,
    /// Its figures in each phase, in that run.
    pub(crate) phases: Vec<Figures>,
    /// What it did about each fault, in that run.
    pub(crate) incidents: Vec<Incident>,
    /// What each dependency had to do, in that run.
    pub(crate) traffic: Vec<TrafficValues>,
    /// The least and the most of each figure, where there were several runs.
    pub(crate) spread: Option<Spread>,
    /// The figures of every run.
    pub(crate) runs: Vec<Figures>,
    /// What happened over time in the first run.
    pub(crate) series: Vec<Point>,
    /// What the runs say of each objective; none for a baseline.
    pub(crate) slo: Vec<Judgement>,
}

/// The least and the most of each figure over several runs. `None`, for what never happened, is the most.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: Figures,
    pub(crate) max: Figures,
}

/// What the runs say of an objective.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judgement {
    pub(crate) objective: Objective,
    /// The value that 95 % of the runs reach, in the figure's unit; of fewer than 20 runs, the worst.
    pub(crate) value: Value,
    /// How many runs there were, and how many of them met it.
    pub(crate) runs: usize,
    pub(crate) runs_met: usize,
    pub(crate) verdict: Verdict,
}

impl Summary {
    /// Puts the runs of a scenario together; `runs` is not empty, and each has the scenario's variants.
    ///
    /// # Errors
    ///
    /// A figure that is no number: a fault of the simulation, in words.
    pub(crate) fn new(scenario: &Scenario, runs: &[DrillReport]) -> Result<Self, String> {
        let mut variants = Vec::new();
        for (index, variant) in scenario.variants.iter().enumerate() {
            let reports: Vec<_> = runs.iter().filter_map(|run| run.variants.get(index)).collect();
            let figures: Vec<Figures> = reports.iter().map(|report| report.figures.rounded()).collect();
            if figures.is_empty() || reports.iter().any(|report| report.name != variant.name) {
                return Err(format!("the simulation has left out the variant \"{}\"", variant.name));
            }
            if let Some(name) = figures.iter().find_map(Figures::not_finite) {
                return Err(format!(
                    "the simulation gave no number for `{name}` of the variant \"{}\"",
                    variant.name
                ));
            }
            let objectives = if variant.baseline { &[][..] } else { &scenario.slo[..] };
            let middle = in_the_middle(&figures);
            variants.push(VariantSummary {
                name: variant.name.clone(),
                baseline: variant.baseline,
                figures: figures[middle].clone(),
                phases: reports[middle].phases.iter().map(Figures::rounded).collect(),
                incidents: reports[middle].incidents.clone(),
                traffic: reports[middle].traffic.clone(),
                spread: (figures.len() > 1).then(|| Spread {
                    min: Figures::of_runs(&figures, least),
                    max: Figures::of_runs(&figures, most),
                }),
                series: reports.first().map(|report| report.series.clone()).unwrap_or_default(),
                slo: objectives
                    .iter()
                    .map(|objective| Judgement::new(objective, &figures))
                    .collect(),
                runs: figures,
            });
        }
        Ok(Self {
            scenario: scenario.name.clone(),
            incident: scenario.incident(),
            capacity: capacity(scenario),
            seed: runs.first().map_or(scenario.seed, |run| run.seed),
            runs: runs.len(),
            duration: scenario.duration,
            dependency: scenario.dependency_name().to_owned(),
            dependencies: scenario
                .dependencies
                .iter()
                .map(|dependency| dependency.name.clone())
                .collect(),
            faults: scenario
                .faults
                .iter()
                .map(|fault| FaultMark {
                    start: fault.at,
                    end: fault.end(),
                    what: fault.words.clone(),
                })
                .collect(),
            warnings: warnings(scenario),
            phases: phases(scenario),
            variants,
            changes: Vec::new(),
        })
    }

    /// Every dependency by its name, with what it had to do; nothing where there is but one, of which all other figures speak.
    pub(crate) fn traffic<'a>(
        &'a self,
        variant: &'a VariantSummary,
    ) -> impl Iterator<Item = (&'a str, &'a TrafficValues)> {
        let several = self.dependencies.len() > 1;
        let names = self.dependencies.iter().map(String::as_str);
        names.zip(&variant.traffic).filter(move |_| several)
    }

    /// Every judgement and the variant that it is about.
    pub(crate) fn judgements(&self) -> impl Iterator<Item = (&VariantSummary, &Judgement)> {
        self.variants
            .iter()
            .flat_map(|variant| variant.slo.iter().map(move |judgement| (variant, judgement)))
    }

    /// The verdict of all objectives, and of all changes.
    pub(crate) fn verdict(&self) -> Verdict {
        let objectives = self.judgements().map(|(_, judgement)| judgement.verdict);
        let changes = self.changes.iter().map(|change| change.verdict);
        objectives.chain(changes).fold(Verdict::Met, Verdict::and)
    }
}

impl Judgement {
    /// The value with all its digits, so that one just below its limit does not look like it.
    pub(crate) fn value_text(&self) -> String {
        let exact = self.objective.figure.unit.exact;
        match (self.value.word, self.value.number) {
            (Some(word), _) => word.to_owned(),
            (None, Some(number)) => exact(number),
            (None, None) => "none".to_owned(),
        }
    }

    fn new(objective: &Objective, runs: &[Figures]) -> Self {
        let values: Vec<Value> = runs.iter().map(|figures| figures.said(objective.figure)).collect();
        let (runs, runs_met) = (
            values.len(),
            values.iter().filter(|value| objective.is_met_by(value.number)).count(),
        );
        let mut from_best = sorted(values);
        if objective.goal.bound == Bound::Floor {
            from_best.reverse();
        }
        Self {
            objective: objective.clone(),
            value: reached(&from_best).unwrap_or(None.into()),
            runs,
            runs_met,
            verdict: Verdict::of_runs(runs_met, runs),
        }
    }
}

/// The run in the middle by goodput; `runs` is not empty.
fn in_the_middle(runs: &[Figures]) -> usize {
    let mut order: Vec<usize> = (0..runs.len()).collect();
    let goodput = |run: usize| runs[run].named(GOODPUT).unwrap_or(0.0);
    order.sort_by(|a, b| goodput(*a).total_cmp(&goodput(*b)));
    order[(order.len() - 1) / 2]
}

/// From least to most; what never happened is more than anything.
fn sorted(mut values: Vec<Value>) -> Vec<Value> {
    let rank = |value: &Value| value.number.unwrap_or(f64::INFINITY);
    values.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
    values
}

fn least(values: Vec<Value>) -> Value {
    sorted(values).first().copied().unwrap_or(None.into())
}

fn most(values: Vec<Value>) -> Value {
    sorted(values).last().copied().unwrap_or(None.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::figure::{FIGURES, Figure};

    #[test]
    fn never_is_more_than_anything() {
        let never = None;
        for (values, expected) in [
            (vec![Some(3.0)], (Some(3.0), Some(3.0))),
            (vec![Some(3.0), Some(1.0)], (Some(1.0), Some(3.0))),
            (vec![Some(3.0), never, Some(1.0)], (Some(1.0), never)),
            (vec![never], (never, never)),
        ] {
            let given: Vec<Value> = values.iter().map(|value| Value::from(*value)).collect();
            let found = (least(given.clone()).number, most(given).number);
            assert_eq!(found, expected, "{values:?}");
        }
    }

    #[test]
    fn the_run_in_the_middle_is_one_run_and_the_lower_of_two() {
        let run = |goodput: f64| -> Figures {
            let value = |figure: &Figure| Value::from((figure.name == GOODPUT).then_some(goodput));
            FIGURES.iter().map(value).collect()
        };
        for (runs, middle) in [(&[0.5][..], 0.5), (&[0.9, 0.1], 0.1), (&[0.9, 0.1, 0.3], 0.3)] {
            let runs: Vec<Figures> = runs.iter().map(|goodput| run(*goodput)).collect();
            assert_eq!(runs[in_the_middle(&runs)].named(GOODPUT), Some(middle));
        }
    }
}
