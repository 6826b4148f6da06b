//! The summary for programs: one JSON object.
//!
//! | field | what it is |
//! |---|---|
//! | `schema` | 2; another number if a field ever changes its meaning or goes away |
//! | `version` | of `c13` |
//! | `scenario`, `seed` | the scenario's name, and the seed of its first run |
//! | `incident` | equal for scenarios that differ in nothing but their names, seeds, policies and objectives |
//! | `verdict` | of all objectives and changes: `met`, `missed` or `undecided` |
//! | `capacity_rps[]` | how many requests a second the dependencies can answer, at the start of each step of a series |
//! | `warnings[]` | signs that the scenario does not say what its author meant, a line each |
//! | `variants[]` | every variant, in the order of the scenario |
//! | `variants[].name`, `.baseline` | what it is, and whether no objective judges it |
//! | `variants[].requests` … `.shares` | the figures, see [`super::figure::FIGURES`]; of several runs, those of the run in the middle by goodput |
//! | `variants[].rejections` | of them, the counts of calls that the caller's own side turned away or cut off |
//! | `variants[].shares` | each way in which calls end, as a share of all calls; together they are 1 |
//! | `variants[].phases[]` | the time before the faults, during each, between and after them: `name`, `from_s`, `to_s`, the numbers of the `faults` that are on, and the figures that are read from calls |
//! | `variants[].faults[]` | each fault: `what`, `from_s`, `to_s`, `detect_s`, `burn_s`, `recovery_s`, and `recovery`: `recovered`, `not_down`, `never`, `not_before_next` or `not_judged`, which has a `reason` |
//! | `variants[].dependencies[]` | only where there are several: each by its `name`, with its figures, see [`TRAFFIC_FIGURES`](super::traffic_figure::TRAFFIC_FIGURES) |
//! | `variants[].slo[]` | each objective: `name`, `rule`, the `value` that 95 % of the runs reach (of fewer than 20 runs, the worst), the `verdict`, whether that is `met`, how many runs met it (`runs_met`), and where it is undecided, how many `more_seeds` may decide it |
//! | `variants[].runs[]` | each run: its `seed`, and the figures that can be judged; a later drill compares with them |
//! | `variants[].series[]` | the first run in up to 120 steps: `at_s`, `length_s`; requests `due`, let `through`, `in_time`; `attempts`; calls `queued`, in the mean; the share of breakers that were `open` |
//! | `changes[]` | only with `--baseline`: `variant`, `name` of the objective, `worse` (points of a share, a part of the earlier value, or for recovery a part of the drill; below zero it is better), its `margin` of 95 %, the number of `seeds`, and the `verdict` |
//! | `variants[].repeats` | only of several runs: how many `runs`, and `min` and `max` of each figure |
//!
//! Every number is finite. `null` stands for what never happened, such as `detect_s`, a time of calls where there were none, and
//! the `value` of an objective on it. Times and ratios are rounded, objectives judge the rounded figures, and equal drills give equal bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::baseline::Change;
use super::engine::{Incident, Point, Recovery};
use super::figure::FIGURES;
use super::figures::{Figures, Value};
use super::phase::Phase;
use super::summary::{FaultMark, Summary, VariantSummary};
use super::traffic_figure::TrafficValues;
use super::unit::{PER_SECOND, RATIO, SECONDS};
use super::verdict::Verdict;

const SCHEMA: u32 = 2;

#[derive(Serialize)]
struct DrillJson<'a> {
    schema: u32,
    version: &'static str,
    scenario: &'a str,
    incident: &'a str,
    seed: u64,
    verdict: &'static str,
    warnings: &'a [String],
    capacity_rps: Vec<f64>,
    variants: Vec<VariantJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<ChangeJson<'a>>,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    variant: &'a str,
    name: &'static str,
    worse: f64,
    margin: f64,
    seeds: usize,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    more_seeds: Option<usize>,
}

#[derive(Serialize)]
struct RunJson {
    seed: u64,
    #[serde(flatten)]
    figures: BTreeMap<&'static str, Option<f64>>,
}

#[derive(Serialize)]
struct PointJson {
    at_s: f64,
    length_s: f64,
    due: u64,
    through: u64,
    in_time: u64,
    attempts: u64,
    queued: f64,
    open: Option<f64>,
}

#[derive(Serialize)]
struct VariantJson<'a> {
    name: &'a str,
    baseline: bool,
    #[serde(flatten)]
    figures: &'a Figures,
    phases: Vec<PhaseJson<'a>>,
    faults: Vec<FaultJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<DependencyJson<'a>>,
    slo: Vec<SloJson<'a>>,
    runs: Vec<RunJson>,
    series: Vec<PointJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeats: Option<RepeatsJson<'a>>,
}

#[derive(Serialize)]
struct PhaseJson<'a> {
    name: &'a str,
    from_s: f64,
    to_s: f64,
    faults: Vec<usize>,
    #[serde(flatten)]
    figures: &'a Figures,
}

#[derive(Serialize)]
struct FaultJson<'a> {
    what: &'a str,
    from_s: f64,
    to_s: f64,
    detect_s: Option<f64>,
    burn_s: Option<f64>,
    recovery_s: Option<f64>,
    recovery: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(Serialize)]
struct DependencyJson<'a> {
    name: &'a str,
    #[serde(flatten)]
    values: &'a TrafficValues,
}

#[derive(Serialize)]
struct SloJson<'a> {
    name: &'static str,
    rule: &'a str,
    value: Option<f64>,
    met: bool,
    verdict: &'static str,
    runs_met: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    more_seeds: Option<usize>,
}

#[derive(Serialize)]
struct RepeatsJson<'a> {
    runs: usize,
    min: &'a Figures,
    max: &'a Figures,
}

/// The summary as an object on several lines, with a line break at its end.
///
/// # Errors
///
/// None that can happen: every key is text, and every number has been found finite.
pub(crate) fn render(summary: &Summary) -> Result<String, serde_json::Error> {
    let drill = DrillJson {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        scenario: &summary.scenario,
        incident: &summary.incident,
        seed: summary.seed,
        verdict: summary.verdict().name(),
        warnings: &summary.warnings,
        capacity_rps: summary.capacity.iter().map(|rate| PER_SECOND.rounded(*rate)).collect(),
        changes: summary.changes.iter().map(render_change).collect(),
        variants: summary
            .variants
            .iter()
            .map(|variant| render_variant(summary, variant))
            .collect(),
    };
    serde_json::to_string_pretty(&drill).map(|text| text + "\n")
}

fn render_variant<'a>(summary: &'a Summary, variant: &'a VariantSummary) -> VariantJson<'a> {
    VariantJson {
        name: &variant.name,
        baseline: variant.baseline,
        figures: &variant.figures,
        phases: summary.phases.iter().zip(&variant.phases).map(render_phase).collect(),
        faults: summary
            .faults
            .iter()
            .zip(&variant.incidents)
            .map(render_fault)
            .collect(),
        dependencies: summary
            .traffic(variant)
            .map(|(name, values)| DependencyJson { name, values })
            .collect(),
        slo: variant
            .slo
            .iter()
            .map(|judgement| SloJson {
                name: judgement.objective.goal.name,
                rule: &judgement.objective.rule,
                value: judgement.value.number,
                met: judgement.verdict == Verdict::Met,
                verdict: judgement.verdict.name(),
                runs_met: judgement.runs_met,
                more_seeds: judgement.verdict.more_seeds(),
            })
            .collect(),
        runs: variant
            .runs
            .iter()
            .enumerate()
            .map(|run| render_run(summary, run))
            .collect(),
        series: variant.series.iter().map(render_point).collect(),
        repeats: variant.spread.as_ref().map(|spread| RepeatsJson {
            runs: summary.runs,
            min: &spread.min,
            max: &spread.max,
        }),
    }
}

fn render_change(change: &Change) -> ChangeJson<'_> {
    ChangeJson {
        variant: &change.variant,
        name: change.goal.name,
        worse: RATIO.rounded(change.worse),
        margin: RATIO.rounded(change.margin),
        seeds: change.seeds,
        verdict: change.verdict.name(),
        more_seeds: change.verdict.more_seeds(),
    }
}

/// The figures of a run that can be judged.
fn render_run(summary: &Summary, (run, figures): (usize, &Figures)) -> RunJson {
    let judged = FIGURES.iter().filter(|figure| figure.goal.is_some());
    RunJson {
        seed: summary.seed.wrapping_add(run as u64),
        figures: judged.map(|figure| (figure.name, figures.value(figure))).collect(),
    }
}

fn render_point(point: &Point) -> PointJson {
    PointJson {
        at_s: SECONDS.rounded(point.at),
        length_s: SECONDS.rounded(point.length),
        due: point.due,
        through: point.through,
        in_time: point.in_time,
        attempts: point.attempts,
        queued: SECONDS.rounded(point.queued),
        open: point.open.map(|share| RATIO.rounded(share)),
    }
}

fn render_phase<'a>((phase, figures): (&'a Phase, &'a Figures)) -> PhaseJson<'a> {
    PhaseJson {
        name: &phase.name,
        from_s: phase.from.as_secs_f64(),
        to_s: phase.to.as_secs_f64(),
        faults: phase.faults.iter().map(|index| index + 1).collect(),
        figures,
    }
}

fn render_fault<'a>((fault, incident): (&'a FaultMark, &Incident)) -> FaultJson<'a> {
    let seconds = |time: Option<Duration>| time.map(|time| SECONDS.rounded(time.as_secs_f64()));
    let (recovery, reason) = match incident.recovery {
        Recovery::After(_) => ("recovered", None),
        Recovery::NotDown => ("not_down", None),
        Recovery::Never => ("never", None),
        Recovery::NotBeforeNext(_) => ("not_before_next", None),
        Recovery::NotJudged(reason) => ("not_judged", Some(reason)),
    };
    FaultJson {
        what: &fault.what,
        from_s: fault.start.as_secs_f64(),
        to_s: fault.end.as_secs_f64(),
        detect_s: seconds(incident.detected),
        burn_s: seconds(incident.burnt),
        recovery_s: Value::from(incident.recovery)
            .number
            .map(|number| SECONDS.rounded(number)),
        recovery,
        reason,
    }
}
