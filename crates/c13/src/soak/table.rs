//! The report for people: a line for each part, a picture of the memory, and the verdict.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::report::{MOST_GROWTH, SoakReport, WARM_UP};
use crate::drill::figures_text::{count, sparkline};

const HEADING: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// The width of the picture.
const PICTURE: usize = 60;

/// The whole report.
pub(crate) fn render(report: &SoakReport) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{HEADING}soak{HEADING:#}  {:.0} s, {} calls, seed {}\n",
        report.seconds,
        count(report.calls()),
        report.seed
    );
    let _ = writeln!(
        text,
        "{:22}{:>12}{:>12}{:>12}{:>12}{:>10}",
        "", "successes", "failures", "refusals", "dropped", "panics"
    );
    for part in &report.parts {
        let seen = part.seen;
        let columns =
            [seen.successes, seen.failures, seen.refusals, seen.dropped].map(|number| format!("{:>12}", count(number)));
        let _ = writeln!(text, "{:22}{}{:>10}", part.name, columns.concat(), count(seen.panics));
    }
    let memory: Vec<f64> = report
        .held
        .iter()
        .map(|held| held.memory as f64 / (1024.0 * 1024.0))
        .collect();
    let most = memory.iter().copied().fold(0.0, f64::max);
    let shares: Vec<Option<f64>> = memory.iter().map(|mebibytes| Some(mebibytes / most)).collect();
    let _ = writeln!(
        text,
        "\nmemory, at most {most:.1} MiB\n  {}\n",
        sparkline(&shares, PICTURE)
    );
    let faults = report
        .parts
        .iter()
        .flat_map(|part| part.faults.iter().map(move |fault| format!("{}: {fault}", part.name)));
    for fault in faults.chain(report.leaks.iter().cloned()) {
        let _ = writeln!(text, "{BAD}✗{BAD:#} {fault}");
    }
    if report.is_good() {
        let _ = writeln!(
            text,
            "{GOOD}✓{GOOD:#} every count adds up; no task and no open file is left; memory is flat after the warm-up\n  \
             (the first {:.0} %; at most {} MiB more in the second half of the rest than in the first)",
            WARM_UP * 100.0,
            MOST_GROWTH >> 20
        );
    }
    text
}
