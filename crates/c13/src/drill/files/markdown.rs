//! The result as a comment of a pull request.

use crate::drill::figure::FIGURES;
use crate::drill::summary::Summary;
use crate::drill::verdict::Verdict;

/// The verdict, the objectives, and the figures that say most.
pub(super) fn render(summary: &Summary) -> String {
    let mut text = format!("### {}: {}\n\n", cell(&summary.scenario), summary.verdict().name());
    let seeds = match summary.runs {
        1 => format!("seed {}", summary.seed),
        runs => format!("{runs} runs from seed {}", summary.seed),
    };
    text.push_str(&format!("`c13 drill`, {seeds}\n\n"));
    if summary.judgements().next().is_some() {
        row(
            &mut text,
            ["", "variant", "objective", "value", "runs"]
                .map(str::to_owned)
                .as_slice(),
        );
        text.push_str("|---|---|---|---|---|\n");
        for (variant, judgement) in summary.judgements() {
            let goal = format!("{} {}", judgement.objective.goal.name, judgement.objective.rule);
            let runs = format!("{} of {}", judgement.runs_met, judgement.runs);
            let cells = [
                sign(judgement.verdict).to_owned(),
                variant.name.clone(),
                goal,
                judgement.value_text(),
                runs,
            ];
            row(&mut text, &cells);
        }
        text.push('\n');
    }
    if !summary.changes.is_empty() {
        text.push_str("| | variant | figure | against the earlier drill |\n|---|---|---|---|\n");
        for change in &summary.changes {
            let cells = [
                sign(change.verdict).to_owned(),
                change.variant.clone(),
                change.goal.name.to_owned(),
                change.words(),
            ];
            row(&mut text, &cells);
        }
        text.push('\n');
    }
    let names = summary.variants.iter().map(|variant| variant.name.clone());
    let head: Vec<String> = [String::new()].into_iter().chain(names).collect();
    row(&mut text, &head);
    text.push_str(&format!("|---|{}\n", "--:|".repeat(summary.variants.len())));
    let goodput = FIGURES
        .iter()
        .find(|figure| figure.name == crate::drill::figure::GOODPUT);
    let figures = FIGURES
        .iter()
        .filter_map(|figure| Some((figure, figure.shown.row(false)?)));
    for (figure, label) in goodput
        .map(|figure| (figure, "answered in time"))
        .into_iter()
        .chain(figures)
    {
        let label = label.replace("{dependency}", &summary.dependency);
        let values = summary
            .variants
            .iter()
            .map(|variant| figure.text_of(variant.figures.said(figure)));
        let cells: Vec<String> = [label].into_iter().chain(values).collect();
        if cells[1..].iter().any(|cell| cell != "–") {
            row(&mut text, &cells);
        }
    }
    text
}

fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "✓",
        Verdict::Missed => "✗",
        Verdict::Undecided { .. } => "?",
    }
}

fn row(text: &mut String, cells: &[String]) {
    let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
    text.push_str(&format!("| {} |\n", cells.join(" | ")));
}

/// A text that neither ends its cell nor means anything in Markdown.
fn cell(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' | '!' | '~' | '@' => escaped.extend(['\\', c]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped.trim().to_owned()
}
