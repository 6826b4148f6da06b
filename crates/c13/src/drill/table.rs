//! The summary for people: a table of the variants, their goodput over time, and whether the objectives are met.
//!
//! Colours are written as escape codes; the output removes them where there is no terminal to show them.

mod phases;

use std::fmt::{Display, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use c13_reliability::policy::document::duration_text;

use super::engine::{CallEnd, Point};
use super::figure::{self, FIGURES, Figure, GOODPUT, Read, Shown};
use super::figures::{Figures, Value};
use super::figures_text::{count, millis, percent, sparkline};
use super::summary::{FaultMark, Judgement, Summary, VariantSummary};
use super::traffic_figure::TRAFFIC_FIGURES;
use super::unit::Unit;
use super::verdict::Verdict;
use crate::printable::one_line;

const HEADING: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const OPEN: Style = AnsiColor::Yellow.on_default();

/// The width that the whole keeps to.
const WIDTH: usize = 100;
/// Columns of the pictures.
const PICTURE: usize = 60;
/// The width of the first column.
const LABELS: usize = 24;
/// Shares are shown in hundredths of a percent.
const PERCENT_STEPS: u64 = 10_000;
/// The least width of a variant's column.
const NARROWEST: usize = 14;

/// A figure that the table shows, and its label.
struct TableRow {
    figure: &'static Figure,
    label: String,
}

impl TableRow {
    fn of(figure: &'static Figure, label: &str, summary: &Summary) -> Self {
        let label = label_of(label, summary, LABELS);
        Self { figure, label }
    }

    fn cell(&self, figures: &Figures) -> TableCell {
        TableCell::of(self.figure.unit, figures.said(self.figure))
    }
}

/// The text of a cell.
struct TableCell {
    text: String,
    style: Style,
}

impl TableCell {
    fn of(unit: Unit, value: Value) -> Self {
        let style = match (value.word, value.number) {
            (_, Some(_)) => Style::new(),
            (Some(_), None) => BAD,
            (None, None) => QUIET,
        };
        Self {
            text: value.text(unit),
            style,
        }
    }
}

/// The report: the figures that say most, or the whole of them. `wall` is how long the simulation took.
pub(crate) fn render(summary: &Summary, wall: Duration, whole: bool) -> String {
    let mut text = String::new();
    head(&mut text, summary);
    figures(&mut text, summary, whole);
    dependencies(&mut text, summary, whole);
    match whole {
        true => phases::render(&mut text, summary),
        false => phases::render_goodput(&mut text, summary),
    }
    pictures(&mut text, summary);
    judgements(&mut text, summary);
    foot(&mut text, summary, wall);
    if !whole {
        line(
            &mut text,
            format_args!("{QUIET}all figures, also by phase: --verbose{QUIET:#}"),
        );
    }
    text
}

fn line(text: &mut String, content: impl Display) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", content.to_string().trim_end());
}

fn head(text: &mut String, summary: &Summary) {
    let seeds = match summary.runs {
        1 => format!("seed {}", summary.seed),
        runs => format!(
            "seeds {} to {}",
            summary.seed,
            summary.seed.wrapping_add(runs as u64 - 1)
        ),
    };
    let requests = summary
        .variants
        .first()
        .and_then(|variant| variant.figures.named("requests"));
    let duration = duration_text(summary.duration);
    line(
        text,
        format_args!(
            "{HEADING}{}{HEADING:#}  {duration}, {} requests, {seeds}",
            one_line(&summary.scenario),
            count(requests.unwrap_or(0.0) as u64)
        ),
    );
    line(text, "");
}

fn figures(text: &mut String, summary: &Summary, whole: bool) {
    let column = column_of(summary);
    for variants in summary.variants.chunks(columns_of(column)) {
        names(text, "", variants, column);
        let baseline = |variant: &VariantSummary| right(if variant.baseline { "baseline" } else { "" }, column, QUIET);
        line(
            text,
            format_args!("{:LABELS$}{}", "", variants.iter().map(baseline).collect::<String>()),
        );
        ends(text, summary, variants, column);
        for row in rows(summary, whole) {
            let cells = variants.iter().map(|variant| row.cell(&variant.figures));
            let cells: String = cells.map(|cell| right(&cell.text, column, cell.style)).collect();
            line(text, format_args!("{:LABELS$}{cells}", row.label));
            if summary.runs > 1 {
                spread(text, variants, &row, column);
            }
        }
        line(text, "");
    }
}

/// The width of a variant's column.
fn column_of(summary: &Summary) -> usize {
    let widest = summary.variants.iter().map(|variant| variant.name.len()).max();
    widest.unwrap_or(0).max(NARROWEST) + 2
}

/// How many columns of this width stand beside one another.
fn columns_of(column: usize) -> usize {
    ((WIDTH - LABELS) / column).max(1)
}

/// A heading, and the names of the variants over their columns.
fn names(text: &mut String, heading: &str, variants: &[VariantSummary], column: usize) {
    let names = variants.iter().map(|variant| right(&variant.name, column, HEADING));
    line(text, format_args!("{heading:LABELS$}{}", names.collect::<String>()));
}

/// The rows of single figures. What no variant has is left out, and recovery where there is nothing to recover from.
fn rows(summary: &Summary, whole: bool) -> Vec<TableRow> {
    let is_known = |figure: &Figure| {
        let said = |variant: &VariantSummary| variant.figures.said(figure) != Value::from(None);
        let is_of_faults = matches!(figure.read, Read::Recovery);
        summary.variants.iter().any(said) && !(is_of_faults && summary.faults.is_empty())
    };
    let row = |figure: &'static Figure| {
        let label = figure.shown.row(whole).filter(|_| is_known(figure))?;
        Some(TableRow::of(figure, label, summary))
    };
    FIGURES.iter().filter_map(row).collect()
}

/// Under a figure of several runs: its least and its most, where they differ.
fn spread(text: &mut String, variants: &[VariantSummary], row: &TableRow, column: usize) {
    let range = |variant: &VariantSummary| {
        let spread = variant.spread.as_ref()?;
        let (least, most) = (row.cell(&spread.min).text, row.cell(&spread.max).text);
        (least != most).then(|| [format!("≥ {least}"), format!("≤ {most}")])
    };
    let ranges: Vec<_> = variants.iter().map(range).collect();
    if ranges.iter().all(Option::is_none) {
        return;
    }
    for end in [0, 1] {
        let cells: String = ranges
            .iter()
            .map(|range| right(range.as_ref().map_or("", |range| range[end].as_str()), column, QUIET))
            .collect();
        line(text, format_args!("{:LABELS$}{cells}", ""));
    }
}

/// What each dependency had to do, where there are several.
fn dependencies(text: &mut String, summary: &Summary, whole: bool) {
    if summary.dependencies.len() < 2 {
        return;
    }
    let column = column_of(summary);
    for variants in summary.variants.chunks(columns_of(column)) {
        names(text, "by dependency", variants, column);
        for (place, name) in summary.dependencies.iter().enumerate() {
            line(text, one_line(name));
            for (row, figure) in TRAFFIC_FIGURES
                .iter()
                .enumerate()
                .filter(|(_, figure)| whole || !figure.detail)
            {
                let cell = |variant: &VariantSummary| {
                    let value = variant.traffic.get(place).and_then(|values| values.iter().nth(row)?.1);
                    TableCell::of(figure.unit, value.into())
                };
                let cells: String = variants
                    .iter()
                    .map(cell)
                    .map(|cell| right(&cell.text, column, cell.style))
                    .collect();
                line(text, format_args!("  {:1$}{cells}", figure.label, LABELS - 2));
            }
        }
        line(text, "");
    }
}

/// How the calls ended, and how far apart goodput of several runs lies.
fn ends(text: &mut String, summary: &Summary, variants: &[VariantSummary], column: usize) {
    let figures = |of: &[VariantSummary]| of.iter().map(|variant| variant.figures.clone()).collect::<Vec<_>>();
    for (end, row) in end_rows(
        summary,
        &figures(&summary.variants),
        &figures(variants),
        (LABELS, column),
    ) {
        line(text, row);
        let goodput = FIGURES.iter().find(|figure| figure.name == GOODPUT);
        if let Some(goodput) = goodput.filter(|_| end == CallEnd::InTime && summary.runs > 1) {
            spread(text, variants, &TableRow::of(goodput, "", summary), column);
        }
    }
}

/// How calls ended, in shares that add up, with the widths of labels and columns. What ended none in `all` of the columns is left
/// out, but for goodput.
fn end_rows(
    summary: &Summary,
    all: &[Figures],
    shown: &[Figures],
    (labels, column): (usize, usize),
) -> Vec<(CallEnd, String)> {
    let shares: Vec<_> = shown.iter().map(|figures| figures.shares(PERCENT_STEPS)).collect();
    let row = |(index, (figure, end)): (usize, (&'static Figure, CallEnd))| {
        let Shown::End(label) = figure.shown else { return None };
        let happened = |figures: &Figures| figures.value(figure) > Some(0.0);
        if end != CallEnd::InTime && !all.iter().any(happened) {
            return None;
        }
        let cells = shown
            .iter()
            .zip(&shares)
            .map(|(figures, shares)| match happened(figures) {
                true => right(
                    &percent(shares[index].1 as f64 / PERCENT_STEPS as f64),
                    column,
                    Style::new(),
                ),
                false => right("–", column, QUIET),
            });
        let label = label_of(label, summary, labels);
        Some((end, format!("{label:labels$}{}", cells.collect::<String>())))
    };
    figure::ends().enumerate().filter_map(row).collect()
}

/// A label with the dependency's name, or without it where it is too long.
fn label_of(label: &str, summary: &Summary, width: usize) -> String {
    let whole = label.replace("{dependency}", &one_line(&summary.dependency));
    match label
        .strip_suffix(" {dependency}")
        .and_then(|short| short.rsplit_once(' '))
    {
        Some((short, _)) if whole.chars().count() > width => short.to_owned(),
        _ => whole,
    }
}

/// Text at the right of a column.
fn right(text: &str, column: usize, style: Style) -> String {
    if text.is_empty() {
        return " ".repeat(column);
    }
    let indent = column.saturating_sub(text.chars().count());
    format!("{:indent$}{style}{text}{style:#}", "")
}

/// Goodput over time, and when the faults were.
fn pictures(text: &mut String, summary: &Summary) {
    let of = if summary.runs > 1 {
        format!(" in the run with seed {}", summary.seed)
    } else {
        String::new()
    };
    line(text, format_args!("goodput over time{of}"));
    for variant in &summary.variants {
        line(
            text,
            format_args!(
                "  {:1$}{2}",
                variant.name,
                LABELS - 2,
                sparkline(&goodput_over_time(variant), PICTURE)
            ),
        );
    }
    for fault in &summary.faults {
        line(
            text,
            format_args!("{:LABELS$}{}", "", fault_mark(fault, summary.duration)),
        );
    }
    let (start, end) = ("0s", duration_text(summary.duration));
    let gap = PICTURE.saturating_sub(start.len());
    line(text, format_args!("{:LABELS$}{QUIET}{start}{end:>gap$}{QUIET:#}", ""));
    line(text, "");
}

/// The share of requests that were answered in time, step by step.
fn goodput_over_time(variant: &VariantSummary) -> Vec<Option<f64>> {
    let share = |point: &Point| (point.due > 0).then(|| point.in_time as f64 / point.due as f64);
    variant.series.iter().map(share).collect()
}

/// A bracket under the time of a fault, and what the fault was.
fn fault_mark(fault: &FaultMark, duration: Duration) -> String {
    let column = |at: Duration| ((at.as_secs_f64() / duration.as_secs_f64()) * PICTURE as f64).round() as usize;
    let start = column(fault.start).min(PICTURE - 1);
    let width = column(fault.end).saturating_sub(start).max(1);
    let bracket = match width {
        1 => "╵".to_owned(),
        _ => format!("╰{}╯", "─".repeat(width - 2)),
    };
    let (before, after) = (
        fault.what.chars().count() + 1,
        start + width + 1 + fault.what.chars().count(),
    );
    // The words stand where there is room: after the bracket, or before it near the end.
    if after > WIDTH - LABELS && before <= start {
        format!("{:1$}{QUIET}{2}{QUIET:#} {bracket}", "", start - before, fault.what)
    } else {
        format!("{:start$}{bracket} {QUIET}{}{QUIET:#}", "", fault.what)
    }
}

fn judgements(text: &mut String, summary: &Summary) {
    let all: Vec<_> = summary.judgements().collect();
    let count = |of: fn(Verdict) -> bool| all.iter().filter(|(_, judgement)| of(judgement.verdict)).count();
    let missed = count(|verdict| verdict == Verdict::Missed);
    let undecided = count(|verdict| verdict.more_seeds().is_some());
    let variants = all.iter().map(|(variant, _)| variant.name.len()).max().unwrap_or(0);
    let goals = all
        .iter()
        .map(|(_, judgement)| judgement.objective.goal.name.len())
        .max()
        .unwrap_or(0);
    for (variant, judgement) in &all {
        let (style, sign) = sign_of(judgement.verdict);
        let (goal, rule, value) = (
            judgement.objective.goal.name,
            &judgement.objective.rule,
            judgement.value_text(),
        );
        line(
            text,
            format_args!(
                "{style}{sign}{style:#} {:variants$}  {goal:goals$}  {value}, objective {rule}{}",
                variant.name,
                runs_of(judgement)
            ),
        );
    }
    let (style, text_of_all) = match (all.len(), missed) {
        (0, _) => (QUIET, "no objectives: nothing is judged".to_owned()),
        (all, 0) if undecided > 0 => (OPEN, undecided_text(summary, undecided, all)),
        (1, 0) => (GOOD, "the objective is met".to_owned()),
        (1, _) => (BAD, "the objective is missed".to_owned()),
        (all, 0) => (GOOD, format!("all {all} objectives met")),
        (all, missed) => (BAD, format!("{missed} of {all} objectives missed")),
    };
    line(text, format_args!("{style}{text_of_all}{style:#}"));
    changes(text, summary);
}

/// The sign of a verdict.
fn sign_of(verdict: Verdict) -> (Style, &'static str) {
    match verdict {
        Verdict::Met => (GOOD, "✓"),
        Verdict::Missed => (BAD, "✗"),
        Verdict::Undecided { .. } => (OPEN, "?"),
    }
}

/// How many of several runs met an objective that not all of them met.
fn runs_of(judgement: &Judgement) -> String {
    match judgement.runs_met == judgement.runs || judgement.runs == 1 {
        true => String::new(),
        false => format!(", met by {} of {} runs", judgement.runs_met, judgement.runs),
    }
}

fn undecided_text(summary: &Summary, undecided: usize, all: usize) -> String {
    let more = summary
        .judgements()
        .filter_map(|(_, judgement)| judgement.verdict.more_seeds())
        .max();
    let repeat = summary.runs + more.unwrap_or(0);
    format!("{undecided} of {all} objectives undecided: it may be chance; --repeat {repeat} may decide")
}

/// How the drill differs from an earlier one.
fn changes(text: &mut String, summary: &Summary) {
    if summary.changes.is_empty() {
        return;
    }
    line(text, "");
    let seeds = summary.changes.iter().map(|change| change.seeds).max().unwrap_or(0);
    let plural = if seeds == 1 { "" } else { "s" };
    line(
        text,
        format_args!("{HEADING}against the earlier drill{HEADING:#}, by {seeds} seed{plural}"),
    );
    let variants = summary
        .changes
        .iter()
        .map(|change| change.variant.len())
        .max()
        .unwrap_or(0);
    let goals = summary
        .changes
        .iter()
        .map(|change| change.goal.name.len())
        .max()
        .unwrap_or(0);
    for change in &summary.changes {
        let (style, sign) = sign_of(change.verdict);
        let more = change
            .verdict
            .more_seeds()
            .map_or(String::new(), |more| format!(", {more} more seeds may decide"));
        line(
            text,
            format_args!(
                "{style}{sign}{style:#} {:variants$}  {:goals$}  {}{more}",
                change.variant,
                change.goal.name,
                change.words()
            ),
        );
    }
}

fn foot(text: &mut String, summary: &Summary, wall: Duration) {
    let variants = summary.variants.len();
    let simulated = summary
        .duration
        .saturating_mul(u32::try_from(variants * summary.runs).unwrap_or(u32::MAX));
    let runs = if summary.runs > 1 {
        format!(" × {} runs", summary.runs)
    } else {
        String::new()
    };
    let plural = if variants == 1 { "" } else { "s" };
    line(
        text,
        format_args!(
            "{QUIET}simulated {} ({variants} variant{plural}{runs}) in {}{QUIET:#}",
            duration_text(simulated),
            millis(wall.as_secs_f64() * 1e3)
        ),
    );
}
