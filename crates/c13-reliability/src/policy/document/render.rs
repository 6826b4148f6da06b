//! Prints an error with the lines of the source that it is about.

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::sync::Arc;

use super::{Diagnostic, Label, Source, Span};

/// More of a line than this many characters is not shown.
const WIDEST_LINE: usize = 100;
/// So many characters of a long line are shown before the marked place.
const LEAD_IN: usize = 30;
const TAB: &str = "    ";

/// Writes the message, the place, the marked lines and the help. Ends with a line break.
pub(super) fn render(diagnostic: &Diagnostic, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let primary = &diagnostic.primary.span;
    let gutter = std::iter::once(&diagnostic.primary)
        .chain(&diagnostic.secondary)
        .map(|label| label.span.position().line.to_string().len())
        .max()
        .unwrap_or(1);
    writeln!(f, "error: {}", printable(&diagnostic.message))?;
    writeln!(
        f,
        "{:gutter$}--> {}:{}",
        "",
        printable(primary.source().name()),
        primary.position()
    )?;
    let shown = !primary.is_whole() || !diagnostic.secondary.is_empty();
    if shown {
        let here = |label: &&Label| Arc::ptr_eq(label.span.source(), primary.source());
        let mut marks: Vec<Mark<'_>> = diagnostic
            .secondary
            .iter()
            .filter(here)
            .map(|label| Mark::new(label, '-'))
            .collect();
        if !primary.is_whole() {
            marks.insert(0, Mark::new(&diagnostic.primary, '^'));
        }
        snippet(marks, gutter, f)?;
        for label in diagnostic.secondary.iter().filter(|label| !here(label)) {
            let span = &label.span;
            writeln!(
                f,
                "{:gutter$}::: {}:{}",
                "",
                printable(span.source().name()),
                span.position()
            )?;
            snippet(vec![Mark::new(label, '-')], gutter, f)?;
        }
    }
    if shown && !diagnostic.help.is_empty() {
        writeln!(f, "{:gutter$} |", "")?;
    }
    diagnostic
        .help
        .iter()
        .try_for_each(|help| writeln!(f, "{:gutter$} = help: {}", "", printable(help)))
}

/// A label and the character that underlines it.
struct Mark<'a> {
    line: usize,
    span: &'a Span,
    text: &'a str,
    underline: char,
}

impl<'a> Mark<'a> {
    fn new(label: &'a Label, underline: char) -> Self {
        Self {
            line: label.span.position().line,
            span: &label.span,
            text: &label.text,
            underline,
        }
    }
}

/// The lines of one source that hold marks, each followed by a row for every mark.
fn snippet(mut marks: Vec<Mark<'_>>, gutter: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    marks.sort_by_key(|mark| mark.line);
    writeln!(f, "{:gutter$} |", "")?;
    let mut above: Option<usize> = None;
    let mut line: Option<Line> = None;
    for mark in &marks {
        if above != Some(mark.line) {
            if above.is_some_and(|above| mark.line > above + 1) {
                writeln!(f, "...")?;
            }
            above = Some(mark.line);
            let new = Line::of(mark.span.source(), mark.span.range().start);
            writeln!(f, "{:gutter$} | {}", mark.line, new.text)?;
            line = Some(new);
        }
        if let Some(line) = &line {
            let (indent, width) = line.columns(&mark.span.range());
            let underline = String::from(mark.underline).repeat(width);
            let row = format!("{:indent$}{underline} {}", "", printable(mark.text));
            writeln!(f, "{:gutter$} | {}", "", row.trim_end())?;
        }
    }
    Ok(())
}

/// A line as it is shown, and where the bytes of the source have gone.
struct Line {
    text: String,
    /// Byte of the source and column at which it is shown, for each character and the end of the line.
    columns: Vec<(usize, usize)>,
}

impl Line {
    /// The line that holds this byte, cut to a readable width around it.
    fn of(source: &Source, at: usize) -> Self {
        let (start, end) = (source.line_start(at), source.line_end(at));
        let whole = &source.text()[start..end];
        let before = source.text()[start..at.clamp(start, end)].chars().count();
        let skipped = if whole.chars().count() > WIDEST_LINE && before > LEAD_IN {
            before - LEAD_IN
        } else {
            0
        };
        let (mut text, mut column, mut columns) = (String::new(), 0, Vec::new());
        if skipped > 0 {
            text.push('…');
            column += 1;
        }
        for (offset, character) in whole.char_indices().skip(skipped).take(WIDEST_LINE) {
            columns.push((start + offset, column));
            column += push_printable(&mut text, character);
        }
        let cut = whole.chars().count() > skipped + WIDEST_LINE;
        if cut {
            text.push('…');
        }
        columns.push((if cut { usize::MAX } else { end }, column));
        Self { text, columns }
    }

    /// The column and the width at which a range is shown; at least one column wide, and cut off where the line is.
    fn columns(&self, range: &Range<usize>) -> (usize, usize) {
        let column = |at: usize| {
            let shown = self
                .columns
                .iter()
                .take_while(|(byte, _)| *byte <= at)
                .last()
                .or_else(|| self.columns.first());
            shown.map_or(0, |(_, column)| *column)
        };
        let start = column(range.start);
        (start, column(range.end).saturating_sub(start).max(1))
    }
}

fn push_printable(text: &mut String, character: char) -> usize {
    match character {
        '\t' => text.push_str(TAB),
        c if c.is_control() => text.push(char::REPLACEMENT_CHARACTER),
        c => text.push(c),
    }
    if character == '\t' { TAB.len() } else { 1 }
}

/// Text without control characters: a file must not be able to speak to the terminal.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            let _ = write!(out, "{}", character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}
