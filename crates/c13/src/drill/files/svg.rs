//! The timeline of a drill as a picture: one axis of time for all variants, the faults as bands, and light and dark colours by the
//! reader's own choice. Lines differ in their strokes, so that the picture can be read without colour.

use std::fmt::Write as _;

use c13_reliability::policy::document::duration_text;

use super::escape;
use crate::drill::engine::Point;
use crate::drill::figures_text::count;
use crate::drill::summary::{Summary, VariantSummary};

/// The colours, as classes: of paper, ink and the lines.
const STYLE: &str = "\
.d text{font:12px system-ui,sans-serif;fill:#1c1c1c}.d .q{fill:#555}.d .h{font-weight:600}\
.d .paper{fill:#fff}.d .frame{fill:none;stroke:#999}.d .band{fill:#0001}.d .edge{stroke:#777;stroke-dasharray:1 3}\
.d path{fill:none;stroke-width:1.6}.d .area{stroke:none;fill:#0072b233}\
.d .c0{stroke:#0072b2}.d .c1{stroke:#b34700}.d .c2{stroke:#00704f}.d .c3{stroke:#8a3a86}.d .c4{stroke:#5c5c00}.d .c5{stroke:#333}\
@media (prefers-color-scheme:dark){.d text{fill:#eee}.d .q{fill:#b5b5b5}.d .paper{fill:#16181c}.d .frame{stroke:#666}\
.d .band{fill:#fff2}.d .edge{stroke:#999}.d .area{fill:#56b4e944}.d .c0{stroke:#56b4e9}.d .c1{stroke:#f0a050}.d .c2{stroke:#3ccf9c}\
.d .c3{stroke:#dd93d6}.d .c4{stroke:#d8d060}.d .c5{stroke:#ddd}}\
@media print{.d .band{fill:#0002}}";

/// The strokes of the lines, by their number.
const STROKES: [&str; 6] = ["", "7 3", "2 3", "9 3 2 3", "4 2", "12 4"];

/// The height of a plot, and of what stands above it.
const PLOT: f64 = 84.0;
const TITLE: f64 = 20.0;
const MARGIN: f64 = 10.0;
const LINE: f64 = 16.0;
/// About how wide a character is.
const CHARACTER: f64 = 6.8;

/// A line of a plot: its name, and its value in each step.
struct Line {
    name: String,
    values: Vec<Option<f64>>,
    /// The number of its stroke and of its colour.
    number: usize,
    filled: bool,
}

/// The picture as a file of its own.
pub(crate) fn render(summary: &Summary) -> String {
    let picture = timeline(summary, 960.0);
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{picture}\n")
}

/// The picture, so many pixels wide.
pub(super) fn timeline(summary: &Summary, width: f64) -> String {
    let mut body = String::new();
    let mut top = MARGIN;
    for variant in &summary.variants {
        let title = format!("{}: requests a second", variant.name);
        plot(
            &mut body,
            summary,
            (&mut top, width),
            &title,
            &requests(summary, variant),
        );
    }
    let each = |of: fn(&Point) -> Option<f64>| -> Vec<Line> {
        let line = |(number, variant): (usize, &VariantSummary)| Line {
            name: variant.name.clone(),
            values: variant.series.iter().map(of).collect(),
            number,
            filled: false,
        };
        summary.variants.iter().enumerate().map(line).collect()
    };
    let rate = |point: &Point| Some(point.attempts as f64 / point.length.max(1e-9));
    plot(
        &mut body,
        summary,
        (&mut top, width),
        "attempts a second, retries and hedges included",
        &each(rate),
    );
    plot(
        &mut body,
        summary,
        (&mut top, width),
        "calls that wait in queues",
        &each(|point| Some(point.queued)),
    );
    let open = each(|point| point.open.map(|share| share * 100.0));
    plot(
        &mut body,
        summary,
        (&mut top, width),
        "breakers that are open, in percent",
        &open,
    );
    axis(&mut body, summary, &mut top, width);
    let name = escape(&summary.scenario);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"d\" role=\"img\" viewBox=\"0 0 {width} {top:.0}\" width=\"{width}\" \
         height=\"{top:.0}\"><title>{name} over time</title><style>{STYLE}</style>\
         <rect class=\"paper\" width=\"{width}\" height=\"{top:.0}\"/>{body}</svg>"
    )
}

/// The requests of a variant: what was due, let through and answered in time, and what the dependencies could answer.
fn requests(summary: &Summary, variant: &VariantSummary) -> Vec<Line> {
    let rate = |of: fn(&Point) -> u64| -> Vec<Option<f64>> {
        let rate = |point: &Point| Some(of(point) as f64 / point.length.max(1e-9));
        variant.series.iter().map(rate).collect()
    };
    let line = |name: &str, values, number, filled| Line {
        name: name.to_owned(),
        values,
        number,
        filled,
    };
    let due = rate(|point| point.due);
    // Far more than is asked for says no more than that there is enough.
    let most = due.iter().flatten().fold(0.0, |most: f64, value| most.max(*value)) * 1.6;
    let capacity = summary.capacity.iter().map(|rate| Some(rate.min(most))).collect();
    vec![
        line("answered in time", rate(|point| point.in_time), 0, true),
        line("let through", rate(|point| point.through), 1, false),
        line("due", due, 2, false),
        line("capacity", capacity, 3, false),
    ]
}

/// One plot, with its title and its legend. Without values there is none.
fn plot(body: &mut String, summary: &Summary, (top, width): (&mut f64, f64), title: &str, lines: &[Line]) {
    let lines: Vec<&Line> = lines
        .iter()
        .filter(|line| line.values.iter().any(Option::is_some))
        .collect();
    let values = || lines.iter().flat_map(|line| line.values.iter().copied().flatten());
    let Some(most) = values().reduce(f64::max) else { return };
    let most = round_up(most);
    *top += TITLE;
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        body,
        "<text class=\"h\" x=\"{MARGIN}\" y=\"{:.0}\">{}</text>",
        *top - 6.0,
        escape(title)
    );
    legend(body, top, width, &lines);
    let (left, right, bottom) = (MARGIN, width - MARGIN, *top + PLOT);
    bands(body, summary, (*top, bottom), width);
    for line in &lines {
        let y = |value: f64| bottom - (value / most).min(1.0) * PLOT;
        let mut path = String::new();
        let mut is_down = false;
        let step = (right - left) / line.values.len().max(1) as f64;
        for (index, value) in line.values.iter().enumerate() {
            let Some(value) = value else {
                is_down = false;
                continue;
            };
            let (from, to, y) = (left + index as f64 * step, left + (index + 1) as f64 * step, y(*value));
            let command = if is_down { 'L' } else { 'M' };
            let _ = write!(path, "{command}{from:.1} {y:.1}H{to:.1}");
            is_down = true;
        }
        if line.filled {
            let _ = write!(body, "<path class=\"area\" d=\"{path}V{bottom:.1}H{left}Z\"/>");
        }
        let _ = write!(body, "<path {} d=\"{path}\"/>", stroke(line.number));
    }
    let _ = write!(
        body,
        "<rect class=\"frame\" x=\"{left}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{PLOT}\"/>\
         <text class=\"q\" x=\"{:.0}\" y=\"{:.0}\">{}</text>",
        *top,
        right - left,
        left + 4.0,
        *top + 12.0,
        count(most as u64)
    );
    *top = bottom + MARGIN;
}

/// The names of the lines of a plot, each with its stroke; in as many rows as they take.
fn legend(body: &mut String, top: &mut f64, width: f64, lines: &[&Line]) {
    let mut x = MARGIN;
    for line in lines {
        let takes = 34.0 + line.name.chars().count() as f64 * CHARACTER + 14.0;
        if x > MARGIN && x + takes > width - MARGIN {
            x = MARGIN;
            *top += LINE;
        }
        let _ = write!(
            body,
            "<path {} d=\"M{x:.0} {y:.0}h28\"/><text class=\"q\" x=\"{:.0}\" y=\"{:.0}\">{}</text>",
            stroke(line.number),
            x + 34.0,
            *top + 8.0,
            escape(&line.name),
            y = *top + 4.0
        );
        x += takes;
    }
    *top += LINE;
}

fn stroke(number: usize) -> String {
    let dashes = STROKES[number % STROKES.len()];
    // After the last stroke they begin again, thicker.
    let width = 1.6 + (number / STROKES.len()) as f64;
    format!(
        "class=\"c{}\" stroke-dasharray=\"{dashes}\" style=\"stroke-width:{width}\"",
        number % STROKES.len()
    )
}

/// Where a moment of the drill is.
fn x_of(summary: &Summary, seconds: f64, width: f64) -> f64 {
    let share = seconds / summary.duration.as_secs_f64().max(1e-9);
    MARGIN + share.min(1.0) * (width - 2.0 * MARGIN)
}

/// The time of the faults, over the height of a plot.
fn bands(body: &mut String, summary: &Summary, (top, bottom): (f64, f64), width: f64) {
    for fault in &summary.faults {
        let from = x_of(summary, fault.start.as_secs_f64(), width);
        let to = x_of(summary, fault.end.as_secs_f64(), width);
        let _ = write!(
            body,
            "<rect class=\"band\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>\
             <path class=\"edge\" d=\"M{from:.1} {top:.1}V{bottom:.1}M{to:.1} {top:.1}V{bottom:.1}\"/>",
            (to - from).max(1.0),
            bottom - top
        );
    }
}

/// The axis of time, and below it what the faults were.
fn axis(body: &mut String, summary: &Summary, top: &mut f64, width: f64) {
    *top += 4.0;
    let end = duration_text(summary.duration);
    let _ = write!(
        body,
        "<text class=\"q\" x=\"{MARGIN}\" y=\"{y:.0}\">0s</text>\
         <text class=\"q\" x=\"{:.0}\" y=\"{y:.0}\" text-anchor=\"end\">{end}</text>",
        width - MARGIN,
        y = *top + 4.0
    );
    *top += LINE + 4.0;
    let most = ((width - 2.0 * MARGIN) / CHARACTER) as usize;
    for (number, fault) in summary.faults.iter().enumerate().take(MOST_FAULTS) {
        let (from, to) = (duration_text(fault.start), duration_text(fault.end));
        let words = format!("fault {}, {from} to {to}: {}", number + 1, fault.what);
        for row in rows(&words, most) {
            let _ = write!(
                body,
                "<text class=\"q\" x=\"{MARGIN}\" y=\"{:.0}\">{}</text>",
                *top,
                escape(&row)
            );
            *top += LINE;
        }
    }
    if let Some(more) = summary.faults.len().checked_sub(MOST_FAULTS + 1) {
        let _ = write!(
            body,
            "<text class=\"q\" x=\"{MARGIN}\" y=\"{:.0}\">and {} more</text>",
            *top,
            more + 1
        );
        *top += LINE;
    }
}

/// More faults than these are not listed.
const MOST_FAULTS: usize = 12;

/// A text in rows of so many characters, broken between words where it can be.
fn rows(text: &str, most: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in text.split(' ') {
        let last = rows.len() - 1;
        if !rows[last].is_empty() && rows[last].chars().count() + 1 + word.chars().count() > most {
            rows.push(word.to_owned());
        } else {
            let blank = if rows[last].is_empty() { "" } else { " " };
            rows[last].push_str(&format!("{blank}{word}"));
        }
    }
    rows
}

/// A round number that is not below this one: the top of an axis.
fn round_up(value: f64) -> f64 {
    let power = libm::pow(10.0, libm::floor(libm::log10(value.max(1.0))));
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= value).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number() {
        for (value, top) in [
            (0.0, 1.0),
            (1.0, 1.0),
            (1.1, 1.5),
            (480.0, 500.0),
            (500.0, 500.0),
            (501.0, 600.0),
        ] {
            assert_eq!(round_up(value), top, "{value}");
        }
    }

    #[test]
    fn a_long_text_is_broken_between_words() {
        assert_eq!(rows("a fault of two words", 10), ["a fault of", "two words"]);
        assert_eq!(rows("", 10), [""]);
    }
}
