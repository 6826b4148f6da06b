//! The phases of a drill in the table: how calls ended before, during, between and after the faults, and what each variant did
//! about each fault.

use anstyle::Style;
use c13_reliability::policy::document::duration_text;

use super::{LABELS, PERCENT_STEPS, QUIET, TableCell, WIDTH, column_of, columns_of, end_rows, line, names, right};
use crate::drill::engine::{CallEnd, Incident, Recovery};
use crate::drill::figure::FIGURES;
use crate::drill::figures::{Figures, Value};
use crate::drill::figures_text::percent;
use crate::drill::phase::Phase;
use crate::drill::summary::{Summary, VariantSummary};
use crate::drill::unit::SECONDS;

/// More phases than these are shown with their goodput alone.
const MOST_IN_FULL: usize = 7;

/// What a variant did about one fault: the label of the row, and its cell.
type FaultRow = (&'static str, fn(&Incident) -> Value);

const OF_FAULT: [FaultRow; 3] = [
    ("breaker opened after", |incident| {
        incident.detected.map(|after| after.as_secs_f64()).into()
    }),
    ("objective missed after", |incident| {
        incident.burnt.map(|after| after.as_secs_f64()).into()
    }),
    ("recovered after", |incident| incident.recovery.into()),
];

/// Goodput in each phase of a drill with faults.
pub(super) fn render_goodput(text: &mut String, summary: &Summary) {
    if summary.faults.is_empty() {
        return;
    }
    let column = column_of(summary);
    for variants in summary.variants.chunks(columns_of(column)) {
        names(text, "goodput by phase", variants, column);
        for (index, phase) in summary.phases.iter().enumerate() {
            let shown: Vec<Figures> = variants.iter().map(|variant| variant.phases[index].clone()).collect();
            let cells: String = shown.iter().map(|figures| in_time(figures, column)).collect();
            // A label that is too long for its column stands above its row.
            if phase.name.chars().count() < LABELS {
                line(text, format_args!("{:LABELS$}{cells}", phase.name));
            } else {
                line(text, &phase.name);
                line(text, format_args!("{:LABELS$}{cells}", ""));
            }
        }
        line(text, "");
    }
    not_judged(text, summary);
}

/// The share of the calls that were answered in time.
fn in_time(figures: &Figures, column: usize) -> String {
    let shares = figures.shares(PERCENT_STEPS);
    let share = shares.iter().find(|(figure, _)| figure.end() == Some(CallEnd::InTime));
    match share.filter(|(_, steps)| *steps > 0) {
        Some((_, steps)) => right(&percent(*steps as f64 / PERCENT_STEPS as f64), column, Style::new()),
        None => right("–", column, QUIET),
    }
}

/// Every phase of a drill with faults, with all that is known of it.
pub(super) fn render(text: &mut String, summary: &Summary) {
    if summary.faults.is_empty() {
        return;
    }
    let column = column_of(summary);
    for variants in summary.variants.chunks(columns_of(column)) {
        names(text, "by phase", variants, column);
        for (index, phase) in summary.phases.iter().enumerate() {
            phase_rows(text, summary, variants, (index, phase), column);
        }
        line(text, "");
    }
    if summary.phases.len() > MOST_IN_FULL {
        line(
            text,
            format_args!("{QUIET}the other figures of these phases: --json{QUIET:#}"),
        );
        line(text, "");
    }
    not_judged(text, summary);
}

fn phase_rows(
    text: &mut String,
    summary: &Summary,
    variants: &[VariantSummary],
    (index, phase): (usize, &Phase),
    column: usize,
) {
    let in_full = summary.phases.len() <= MOST_IN_FULL;
    let (from, to) = (duration_text(phase.from), duration_text(phase.to));
    line(text, format_args!("{}, {QUIET}{from} to {to}{QUIET:#}", phase.name));
    let figures = |of: &VariantSummary| of.phases[index].clone();
    let all: Vec<Figures> = summary.variants.iter().map(figures).collect();
    let shown: Vec<Figures> = variants.iter().map(figures).collect();
    let ends = end_rows(summary, &all, &shown, (LABELS - 2, column));
    ends.iter()
        .take(if in_full { ends.len() } else { 1 })
        .for_each(|(_, row)| line(text, format_args!("  {row}")));
    for figure in FIGURES.iter().filter(|_| in_full) {
        if let Some(label) = figure.shown.phase_row() {
            let cells = shown
                .iter()
                .map(|figures| TableCell::of(figure.unit, figures.said(figure)));
            row(text, label, cells, column);
        }
    }
    // The rows of one fault stand among those of the whole drill.
    let ended = |fault: &usize| summary.faults.len() > 1 && summary.faults[*fault].end == phase.to;
    for fault in phase.faults.iter().copied().filter(ended) {
        for (label, of) in OF_FAULT {
            let value = |variant: &VariantSummary| variant.incidents.get(fault).map_or(Value::from(None), of);
            if summary
                .variants
                .iter()
                .any(|variant| value(variant) != Value::from(None))
            {
                let cells = variants.iter().map(|variant| TableCell::of(SECONDS, value(variant)));
                row(text, label, cells, column);
            }
        }
    }
}

fn row(text: &mut String, label: &str, cells: impl Iterator<Item = TableCell>, column: usize) {
    let cells: String = cells.map(|cell| right(&cell.text, column, cell.style)).collect();
    line(text, format_args!("  {label:0$}{cells}", LABELS - 2));
}

/// For which faults recovery could not be judged, and why.
fn not_judged(text: &mut String, summary: &Summary) {
    let reason = |variant: &VariantSummary, fault: usize| match variant.incidents.get(fault)?.recovery {
        Recovery::NotJudged(reason) => Some(reason),
        _ => None,
    };
    let mut said = false;
    for fault in 0..summary.faults.len() {
        let mut reasons: Vec<&str> = summary
            .variants
            .iter()
            .filter_map(|variant| reason(variant, fault))
            .collect();
        reasons.sort();
        reasons.dedup();
        for why in reasons {
            let of_whom = summary
                .variants
                .iter()
                .filter(|variant| reason(variant, fault) == Some(why));
            let names: Vec<&str> = of_whom.map(|variant| &*variant.name).collect();
            let of_all = names.len() == summary.variants.len();
            let what = format!("recovery from fault {} cannot be judged: {why}", fault + 1);
            let whom = format!("{what} ({})", names.join(", "));
            let fits = whom.chars().count() <= WIDTH;
            line(text, if fits && !of_all { whom } else { what });
            said = true;
        }
    }
    if said {
        line(text, "");
    }
}
