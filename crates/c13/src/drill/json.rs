//! The summary for programs: one JSON object.
//!
//! | field | what it is |
//! |---|---|
//! | `schema` | 2; another number if a field ever changes its meaning or goes away |
//! | `scenario`, `seed` | the scenario's name, and the seed of its first run |
//! | `variants[]` | every variant, in the order of the scenario |
//! | `variants[].name`, `.baseline` | what it is, and whether no objective judges it |
//! | `variants[].requests` … `.shares` | the figures, see [`FIGURES`](super::figure::FIGURES); of several runs, those of the run in the middle by goodput |
//! | `variants[].rejections` | of them, the counts of calls that the caller's own side turned away or cut off |
//! | `variants[].shares` | each way in which calls end, as a share of all calls; together they are 1 |
//! | `variants[].slo[]` | each objective: `name`, `rule`, the worst `value` of all runs, and whether every run `met` it |
//! | `variants[].repeats` | only of several runs: how many `runs`, and `min` and `max` of each figure |
//!
//! Every number is finite. `null` stands for what never happened: `detect_s`, `recovery_s`, and the `value` of an objective on
//! it. Times and ratios are rounded, objectives judge the rounded figures, and equal drills give equal bytes.

use serde::Serialize;

use super::figures::Figures;
use super::summary::{Summary, VariantSummary};

const SCHEMA: u32 = 2;

#[derive(Serialize)]
struct DrillJson<'a> {
    schema: u32,
    scenario: &'a str,
    seed: u64,
    variants: Vec<VariantJson<'a>>,
}

#[derive(Serialize)]
struct VariantJson<'a> {
    name: &'a str,
    baseline: bool,
    #[serde(flatten)]
    figures: &'a Figures,
    slo: Vec<SloJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeats: Option<RepeatsJson<'a>>,
}

#[derive(Serialize)]
struct SloJson<'a> {
    name: &'static str,
    rule: &'a str,
    value: Option<f64>,
    met: bool,
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
        scenario: &summary.scenario,
        seed: summary.seed,
        variants: summary
            .variants
            .iter()
            .map(|variant| render_variant(variant, summary.runs))
            .collect(),
    };
    serde_json::to_string_pretty(&drill).map(|text| text + "\n")
}

fn render_variant(variant: &VariantSummary, runs: usize) -> VariantJson<'_> {
    VariantJson {
        name: &variant.name,
        baseline: variant.baseline,
        figures: &variant.figures,
        slo: variant
            .slo
            .iter()
            .map(|judgement| SloJson {
                name: judgement.objective.goal.name,
                rule: &judgement.objective.rule,
                value: judgement.value,
                met: judgement.met,
            })
            .collect(),
        repeats: variant.spread.as_ref().map(|spread| RepeatsJson {
            runs,
            min: &spread.min,
            max: &spread.max,
        }),
    }
}
