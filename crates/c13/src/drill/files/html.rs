//! The result as one page: it needs no script and nothing from elsewhere, and can be read in light and dark, on a phone and on paper.

use std::fmt::Write as _;

use c13_reliability::policy::document::duration_text;

use super::{Origin, escape, svg};
use crate::drill::figure::{FIGURES, Figure, GOODPUT};
use crate::drill::figures::Figures;
use crate::drill::figures_text::{count, millis, percent};
use crate::drill::summary::{Judgement, Summary, VariantSummary};
use crate::drill::verdict::{Verdict, t_of};

const STYLE: &str = "\
:root{--paper:#fff;--ink:#1c1c1c;--quiet:#555;--line:#ccc;--good:#006b3c;--bad:#b00020;--open:#7a5200}\
@media (prefers-color-scheme:dark){:root{--paper:#16181c;--ink:#eee;--quiet:#b5b5b5;--line:#444;--good:#5fd39b;--bad:#ff8a8a;--open:#f0c060}}\
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.45 system-ui,sans-serif}\
main{max-width:1000px;margin:0 auto;padding:16px}h1{font-size:24px;margin:0;overflow-wrap:anywhere}h2{font-size:18px;margin:28px 0 8px}\
p{margin:4px 0}.q{color:var(--quiet)}small{color:var(--quiet);display:block;font-size:12px;font-weight:400}\
.verdict{font-weight:700;font-size:18px}.met{color:var(--good)}.missed{color:var(--bad)}.undecided{color:var(--open)}\
section{overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{border-bottom:1px solid var(--line);padding:4px 6px;\
text-align:right;vertical-align:top}td{white-space:nowrap}th:first-child,td:first-child{text-align:left;white-space:normal}\
td:first-child{width:38%}\
svg{display:block;max-width:100%;height:auto}.narrow{display:none}pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid var(--line);\
padding:8px;font-size:13px}code{overflow-wrap:anywhere}\
@media (max-width:700px){body{font-size:13px}main{padding:10px}.wide{display:none}.narrow{display:block}th,td{padding:3px 2px 3px 6px}td:first-child{width:auto;min-width:110px;padding-left:2px}small{font-size:11px}}\
@media print{.narrow{display:none}.wide{display:block}section{break-inside:avoid}details{display:block}}";

/// The whole page.
pub(super) fn render(summary: &Summary, origin: &Origin) -> String {
    let mut page = String::new();
    let name = escape(&summary.scenario);
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\
         <link rel=\"icon\" href=\"data:,\"><title>{name}: {}</title><style>{STYLE}</style></head><body><main>",
        summary.verdict().name()
    );
    head(&mut page, summary, &name);
    objectives(&mut page, summary);
    changes(&mut page, summary);
    let _ = writeln!(
        page,
        "<section><h2>Over time</h2><p class=\"q\">{}Grey bands are the faults. Capacity is how many requests a second the \
         dependencies can answer.</p><div class=\"wide\">{}</div><div class=\"narrow\">{}</div></section>",
        match summary.runs {
            1 => String::new(),
            _ => format!("The run with seed {}. ", summary.seed),
        },
        svg::timeline(summary, 960.0),
        svg::timeline(summary, 350.0)
    );
    phases(&mut page, summary);
    latencies(&mut page, summary);
    figures(&mut page, summary);
    dependencies(&mut page, summary);
    again(&mut page, summary, origin);
    page + "</main></body></html>\n"
}

fn head(page: &mut String, summary: &Summary, name: &str) {
    let requests = summary
        .variants
        .first()
        .and_then(|variant| variant.figures.named("requests"));
    let seeds = match summary.runs {
        1 => format!("seed {}", summary.seed),
        runs => format!("{runs} runs from seed {}", summary.seed),
    };
    let verdict = summary.verdict();
    let words = match (verdict, summary.judgements().count()) {
        (Verdict::Met, 0) if summary.changes.is_empty() => "no objectives: nothing is judged".to_owned(),
        (Verdict::Met, _) => "✓ met".to_owned(),
        (Verdict::Missed, _) => "✗ missed".to_owned(),
        (Verdict::Undecided { more }, _) => format!("? undecided: {more} more seeds may decide"),
    };
    let _ = write!(
        page,
        "<header><p class=\"q\">a drill of {}, {} requests, {seeds}</p><h1>{name}</h1><p class=\"verdict {}\">{words}</p>",
        duration_text(summary.duration),
        count(requests.unwrap_or(0.0) as u64),
        verdict.name()
    );
    for warning in &summary.warnings {
        let _ = write!(page, "<p><strong>Warning:</strong> {}</p>", escape(warning));
    }
    page.push_str("</header>\n");
}

/// A cell for each variant.
fn row(page: &mut String, label: &str, doc: &str, cells: impl Iterator<Item = String>) {
    let doc = match doc {
        "" => String::new(),
        doc => format!("<small>{}</small>", escape(doc)),
    };
    let cells: String = cells.map(|cell| format!("<td>{}</td>", escape(&cell))).collect();
    let _ = writeln!(page, "<tr><td>{}{doc}</td>{cells}</tr>", escape(label));
}

fn heading(page: &mut String, summary: &Summary, title: &str) {
    let _ = write!(page, "<section><h2>{title}</h2><table><thead><tr><th></th>");
    for variant in &summary.variants {
        let baseline = if variant.baseline {
            "<small>baseline</small>"
        } else {
            ""
        };
        let _ = write!(page, "<th>{}{baseline}</th>", escape(&variant.name));
    }
    page.push_str("</tr></thead><tbody>\n");
}

const END: &str = "</tbody></table></section>\n";

fn objectives(page: &mut String, summary: &Summary) {
    if summary.judgements().next().is_none() {
        return;
    }
    page.push_str(
        "<section><h2>Objectives</h2><table><thead><tr><th></th><th>value</th><th>mean of the runs</th><th>runs that met it</th>\
         </tr></thead><tbody>\n",
    );
    for (variant, judgement) in summary.judgements() {
        let goal = &judgement.objective.goal;
        let label = format!(
            "{} {}: {} {}",
            sign(judgement.verdict),
            variant.name,
            goal.name,
            judgement.objective.rule
        );
        let cells = [
            judgement.value_text(),
            mean_of(variant, judgement),
            format!("{} of {}", judgement.runs_met, judgement.runs),
        ];
        row(page, &label, judgement.objective.figure.doc, cells.into_iter());
    }
    page.push_str(END);
}

/// The mean of all runs, and how far it may be off in 95 of 100 cases.
fn mean_of(variant: &VariantSummary, judgement: &Judgement) -> String {
    let figure = judgement.objective.figure;
    let values: Vec<f64> = variant.runs.iter().filter_map(|run| run.value(figure)).collect();
    if values.len() < 2 || values.len() < variant.runs.len() {
        return "–".to_owned();
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let margin = t_of(values.len()) * (squares / (values.len() - 1) as f64 / values.len() as f64).sqrt();
    format!("{} ± {}", (figure.unit.text)(mean), (figure.unit.text)(margin))
}

fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "✓",
        Verdict::Missed => "✗",
        Verdict::Undecided { .. } => "?",
    }
}

fn changes(page: &mut String, summary: &Summary) {
    if summary.changes.is_empty() {
        return;
    }
    page.push_str("<section><h2>Against the earlier drill</h2><table><tbody>\n");
    for change in &summary.changes {
        let label = format!("{} {}: {}", sign(change.verdict), change.variant, change.goal.name);
        row(page, &label, "", [change.words()].into_iter());
    }
    page.push_str(END);
}

fn phases(page: &mut String, summary: &Summary) {
    if summary.faults.is_empty() {
        return;
    }
    let goodput = FIGURES.iter().find(|figure| figure.name == GOODPUT);
    heading(page, summary, "Goodput by phase");
    for (index, phase) in summary.phases.iter().enumerate() {
        let time = format!("{} to {}", duration_text(phase.from), duration_text(phase.to));
        let cells = summary.variants.iter().map(|variant| {
            let value = goodput.and_then(|goodput| variant.phases.get(index)?.value(goodput));
            value.map_or("–".to_owned(), percent)
        });
        row(page, &phase.name, &time, cells);
    }
    page.push_str(END);
}

/// Every figure, with what it says.
fn figures(page: &mut String, summary: &Summary) {
    heading(page, summary, "Figures");
    let rows = FIGURES.iter().filter_map(|figure| Some((figure, figure.label()?)));
    for (figure, label) in rows {
        let label = label.trim_start().replace("{dependency}", &summary.dependency);
        let cells: Vec<String> = summary
            .variants
            .iter()
            .map(|variant| text_of(figure, &variant.figures))
            .collect();
        if cells.iter().any(|cell| cell != "–") {
            row(page, &label, figure.doc, cells.into_iter());
        }
    }
    page.push_str(END);
}

/// A figure as text; of a way to end, the share of all calls that ended so.
fn text_of(figure: &'static Figure, figures: &Figures) -> String {
    if figure.end().is_none() {
        return figure.text_of(figures.said(figure));
    }
    let shares = figures.shares(10_000);
    let steps = shares
        .iter()
        .find(|(other, _)| *other == figure)
        .map_or(0, |(_, steps)| *steps);
    match figures.value(figure) {
        Some(calls) if calls > 0.0 => percent(steps as f64 / 10_000.0),
        _ => "–".to_owned(),
    }
}

fn dependencies(page: &mut String, summary: &Summary) {
    if summary.dependencies.len() < 2 {
        return;
    }
    heading(page, summary, "By dependency");
    for (place, name) in summary.dependencies.iter().enumerate() {
        for (index, figure) in crate::drill::traffic_figure::TRAFFIC_FIGURES.iter().enumerate() {
            let cells = summary.variants.iter().map(|variant| {
                let value = variant
                    .traffic
                    .get(place)
                    .and_then(|values| values.iter().nth(index)?.1);
                value.map_or("–".to_owned(), figure.unit.text)
            });
            row(
                page,
                &format!("{name}: {}", figure.label.trim_start()),
                figure.doc,
                cells,
            );
        }
    }
    page.push_str(END);
}

/// The latency of answered calls on a logarithmic axis.
fn latencies(page: &mut String, summary: &Summary) {
    const WIDTH: f64 = 350.0;
    const ROW: f64 = 44.0;
    let of = |variant: &VariantSummary| ["p50_ms", "p99_ms", "p999_ms"].map(|name| variant.figures.named(name));
    let known = || {
        summary
            .variants
            .iter()
            .flat_map(of)
            .flatten()
            .filter(|value| *value > 0.0)
    };
    let (Some(least), Some(most)) = (known().reduce(f64::min), known().reduce(f64::max)) else {
        return;
    };
    let (from, to) = (libm::floor(libm::log10(least)), libm::ceil(libm::log10(most * 1.001)));
    let x = |value: f64| 20.0 + (libm::log10(value) - from) / (to - from).max(1.0) * (WIDTH - 40.0);
    let bottom = ROW * summary.variants.len() as f64 + 6.0;
    let mut body = String::new();
    for power in (from as i32)..=(to as i32) {
        let value = libm::pow(10.0, f64::from(power));
        let _ = write!(
            body,
            "<path class=\"edge\" d=\"M{x:.1} 0V{bottom}\"/><text class=\"q\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.0}\">{}</text>",
            bottom + 16.0,
            match power {
                3.. => format!("{} s", libm::pow(10.0, f64::from(power - 3))),
                _ => format!("{value} ms"),
            },
            x = x(value)
        );
    }
    for (index, variant) in summary.variants.iter().enumerate() {
        let y = ROW * index as f64 + 32.0;
        let _ = write!(
            body,
            "<text x=\"20\" y=\"{:.0}\">{}</text>",
            y - 16.0,
            escape(&variant.name)
        );
        for (shape, value) in of(variant).into_iter().enumerate() {
            let Some(x) = value.filter(|value| *value > 0.0).map(x) else {
                continue;
            };
            let path = match shape {
                0 => format!("M{:.1} {y}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0", x - 5.0),
                1 => format!("M{:.1} {:.1}h10v10h-10Z", x - 5.0, y - 5.0),
                _ => format!("M{x:.1} {:.1}l6 11h-12Z", y - 6.0),
            };
            let _ = write!(
                body,
                "<path class=\"c{shape}\" style=\"stroke-width:2.5\" d=\"{path}\"/>"
            );
        }
    }
    let _ = writeln!(
        page,
        "<section><h2>Latency of answered calls</h2><p class=\"q\">On a logarithmic axis: ○ half of the calls (P50), □ 99 of 100 (P99), \
         △ 999 of 1,000 (P99.9).</p><svg xmlns=\"http://www.w3.org/2000/svg\" class=\"d\" role=\"img\" viewBox=\"0 0 {WIDTH} {:.0}\" \
         width=\"{WIDTH}\"><title>latency of answered calls</title>{body}</svg><p class=\"q\">{}</p></section>",
        bottom + 24.0,
        escape(&in_words(summary))
    );
}

/// The same in words.
fn in_words(summary: &Summary) -> String {
    let of = |variant: &VariantSummary| {
        let p99 = variant.figures.named("p99_ms");
        format!("{}: P99 {}", variant.name, p99.map_or("–".to_owned(), millis))
    };
    summary.variants.iter().map(of).collect::<Vec<_>>().join(", ")
}

fn again(page: &mut String, summary: &Summary, origin: &Origin) {
    let _ = writeln!(
        page,
        "<section><h2>Run it again</h2><p><code>{}</code></p><p class=\"q\">c13 {}, incident {}: the same scenario and seed give the \
         same drill on every machine.</p><details><summary>The scenario</summary><pre>{}</pre></details></section>",
        escape(&origin.command),
        env!("CARGO_PKG_VERSION"),
        summary.incident,
        escape(&origin.scenario)
    );
}
