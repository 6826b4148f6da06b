//! The summary for people: a table of the variants, their goodput over time, and the verdict.
//!
//! Colours are written as escape codes; whoever prints takes them off where there is no terminal to show them.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use c13_reliability::policy::document::duration_text;

use super::figures_text::{count, factor, millis, per_second, percent, percent_to, seconds, sparkline};
use super::report::{Figures, Rejections};
use super::scenario::Measure;
use super::summary::{FaultMark, Summary, VariantSummary, Verdict};
use crate::printable::one_line;

const HEADING: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// The width that the whole keeps to.
const WIDTH: usize = 100;
/// Columns of the pictures.
const PICTURE: usize = 60;
/// The width of the first column.
const LABELS: usize = 24;
/// The least width of a variant's column.
const NARROWEST: usize = 14;

/// A figure of the table: its name, and how to show it.
struct Row {
    label: String,
    show: fn(&Figures) -> Cell,
}

/// What stands in a place of the table.
struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    fn plain(text: String) -> Self {
        Self {
            text,
            style: Style::new(),
        }
    }

    /// A time that may never have come.
    fn maybe(value: Option<f64>, never: &str, style: Style) -> Self {
        value.map_or_else(
            || Self {
                text: never.to_owned(),
                style,
            },
            |value| Self::plain(seconds(value)),
        )
    }
}

/// The whole report. `wall` is how long the simulation took.
pub(crate) fn render(summary: &Summary, wall: Duration) -> String {
    let mut text = String::new();
    head(&mut text, summary);
    figures(&mut text, summary);
    pictures(&mut text, summary);
    verdicts(&mut text, summary);
    foot(&mut text, summary, wall);
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
    let requests = summary.variants.first().map_or(0, |variant| variant.figures.requests);
    let duration = duration_text(summary.duration);
    line(
        text,
        format_args!(
            "{HEADING}{}{HEADING:#}  {duration}, {} requests, {seeds}",
            one_line(&summary.scenario),
            count(requests)
        ),
    );
    line(text, "");
}

fn figures(text: &mut String, summary: &Summary) {
    let widest = summary
        .variants
        .iter()
        .map(|variant| variant.name.len())
        .max()
        .unwrap_or(0);
    let column = widest.max(NARROWEST) + 2;
    for variants in summary.variants.chunks(((WIDTH - LABELS) / column).max(1)) {
        let names: String = variants
            .iter()
            .map(|variant| right(&variant.name, column, HEADING))
            .collect();
        line(text, format_args!("{:LABELS$}{names}", ""));
        let baseline = |variant: &VariantSummary| right(if variant.baseline { "baseline" } else { "" }, column, QUIET);
        line(
            text,
            format_args!("{:LABELS$}{}", "", variants.iter().map(baseline).collect::<String>()),
        );
        for row in rows(summary) {
            let cells = variants.iter().map(|variant| (row.show)(&variant.figures));
            let cells: String = cells.map(|cell| right(&cell.text, column, cell.style)).collect();
            line(text, format_args!("{:LABELS$}{cells}", row.label));
            if summary.runs > 1 {
                spread(text, variants, &row, column);
            }
        }
        rejections(text, summary, variants, column);
        line(text, "");
    }
}

fn rows(summary: &Summary) -> Vec<Row> {
    let row = |label: &str, show: fn(&Figures) -> Cell| Row {
        label: label.to_owned(),
        show,
    };
    let mut rows = vec![
        row("success", |figures| Cell::plain(percent(figures.success_ratio))),
        row("goodput", |figures| Cell::plain(percent(figures.goodput_ratio))),
        row("latency P50", |figures| Cell::plain(millis(figures.p50_ms))),
        row("latency P99", |figures| Cell::plain(millis(figures.p99_ms))),
        row("amplification", |figures| Cell::plain(factor(figures.amplification))),
        row(&format!("peak load on {}", summary.dependency), |figures| {
            Cell::plain(per_second(figures.peak_load_rps))
        }),
    ];
    if rows[5].label.len() > LABELS {
        rows[5].label = "peak load".to_owned();
    }
    if !summary.faults.is_empty() {
        rows.push(row("breaker opened after", |figures| {
            Cell::maybe(figures.detect_s, "–", QUIET)
        }));
        rows.push(row("recovered after", |figures| {
            Cell::maybe(figures.recovery_s, "never", BAD)
        }));
    }
    rows
}

/// Under a figure of several runs: its least and its most, where they differ.
fn spread(text: &mut String, variants: &[VariantSummary], row: &Row, column: usize) {
    let range = |variant: &VariantSummary| {
        let spread = variant.spread.as_ref()?;
        let (least, most) = ((row.show)(&spread.min).text, (row.show)(&spread.max).text);
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

/// How many times something turned a request away or cut it off.
type Cause = fn(&Rejections) -> u64;

/// What was turned away or cut off; causes that nobody met with are left out.
fn rejections(text: &mut String, summary: &Summary, variants: &[VariantSummary], column: usize) {
    let causes: [(&str, Cause); 6] = [
        ("rate limit", |rejections| rejections.rate_limit),
        ("bulkhead", |rejections| rejections.bulkhead),
        ("circuit breaker", |rejections| rejections.circuit_breaker),
        ("retry budget", |rejections| rejections.retry_budget),
        ("timeout", |rejections| rejections.timeout),
        ("caller's deadline", |rejections| rejections.deadline),
    ];
    let met = |cause: Cause| {
        let mut all = summary.variants.iter().flat_map(|variant| {
            std::iter::once(&variant.figures).chain(variant.spread.as_ref().map(|spread| &spread.max))
        });
        all.any(|figures| cause(&figures.rejections) > 0)
    };
    let causes: Vec<_> = causes.into_iter().filter(|(_, cause)| met(*cause)).collect();
    if causes.is_empty() {
        return;
    }
    line(text, "turned away or cut off by");
    for (label, cause) in causes {
        let cell = |variant: &VariantSummary| match cause(&variant.figures.rejections) {
            0 => right("–", column, QUIET),
            rejected => right(&count(rejected), column, Style::new()),
        };
        line(
            text,
            format_args!(
                "  {:1$}{2}",
                label,
                LABELS - 2,
                variants.iter().map(cell).collect::<String>()
            ),
        );
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
                sparkline(&variant.timeline, PICTURE)
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

fn verdicts(text: &mut String, summary: &Summary) {
    let all: Vec<_> = summary.verdicts().collect();
    let missed = all.iter().filter(|(_, verdict)| !verdict.met).count();
    let variants = all.iter().map(|(variant, _)| variant.name.len()).max().unwrap_or(0);
    let measures = all
        .iter()
        .map(|(_, verdict)| verdict.objective.measure.name().len())
        .max()
        .unwrap_or(0);
    for (variant, verdict) in &all {
        let (style, sign) = if verdict.met { (GOOD, "✓") } else { (BAD, "✗") };
        let (measure, rule, value) = (
            verdict.objective.measure.name(),
            &verdict.objective.rule,
            value_text(verdict),
        );
        line(
            text,
            format_args!(
                "{style}{sign}{style:#} {:variants$}  {measure:measures$}  {value}, objective {rule}",
                variant.name
            ),
        );
    }
    let (style, verdict) = match (all.len(), missed) {
        (0, _) => (QUIET, "no objectives: nothing is judged".to_owned()),
        (1, 0) => (GOOD, "the objective is met".to_owned()),
        (1, _) => (BAD, "the objective is missed".to_owned()),
        (all, 0) => (GOOD, format!("all {all} objectives met")),
        (all, missed) => (BAD, format!("{missed} of {all} objectives missed")),
    };
    line(text, format_args!("{style}{verdict}{style:#}"));
}

fn value_text(verdict: &Verdict) -> String {
    let Some(value) = verdict.value else {
        return "never".to_owned();
    };
    match verdict.objective.measure {
        // All the digits there are, so that 98.996 % are not shown as an unmet 99.00 %.
        Measure::Availability | Measure::Goodput => {
            let text = percent_to(value, 4);
            format!(
                "{}%",
                text.trim_end_matches('%').trim_end_matches('0').trim_end_matches('.')
            )
        }
        Measure::P99 => format!("{} ms", value),
        Measure::Amplification => value.to_string(),
        Measure::Recovery => format!("{value} s"),
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
    line(
        text,
        format_args!(
            "{QUIET}simulated {} ({variants} variants{runs}) in {}{QUIET:#}",
            duration_text(simulated),
            millis(wall.as_secs_f64() * 1e3)
        ),
    );
}
