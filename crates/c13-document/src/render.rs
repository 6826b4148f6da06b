//! Prints an error with the lines of the source that it is about.

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::sync::Arc;

use super::{
    Diagnostic, Label, Span,
    width::{is_unprintable, width},
};

/// More of a line than this many characters is not shown.
const WIDEST_LINE: usize = 100;
/// So many characters of a long line are shown before the marked place.
const LEAD_IN: usize = 30;
/// More bytes of a message than these are not shown: its middle is left out.
const LONGEST_MESSAGE: usize = 1_000;
const TAB: &str = "    ";

/// Writes the message, the place, the marked lines and the help. Ends with a line break.
pub(crate) fn render(diagnostic: &Diagnostic, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let primary = &diagnostic.primary.span;
    let gutter = std::iter::once(&diagnostic.primary)
        .chain(&diagnostic.secondary)
        .filter(|label| !label.span.source().is_generated())
        .map(|label| label.span.position().line.to_string().len())
        .max()
        .unwrap_or(1);
    writeln!(f, "error: {}", printable(&diagnostic.message))?;
    writeln!(f, "{:gutter$}--> {}", "", place(primary))?;
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
            writeln!(f, "{:gutter$}::: {}", "", place(&label.span))?;
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

/// A source's name, and the line and column; not of a text that nobody wrote, whose lines nobody can look up.
fn place(span: &Span) -> String {
    let name = printable(span.source().name());
    if span.source().is_generated() {
        name
    } else {
        format!("{name}:{}", span.position())
    }
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
    for marks in marks.chunk_by(|one, next| one.line == next.line) {
        let number = marks[0].line;
        if above.is_some_and(|above| number > above + 1) {
            writeln!(f, "...")?;
        }
        above = Some(number);
        let line = Line::of(marks);
        let generated = marks[0].span.source().is_generated();
        let number = if generated { String::new() } else { number.to_string() };
        writeln!(f, "{}", format!("{number:>gutter$} | {}", line.text).trim_end())?;
        for mark in marks {
            let Some((indent, width)) = line.columns(&mark.span.range()) else {
                continue;
            };
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
    /// The first byte that is cut off.
    hidden_from: usize,
}

impl Line {
    /// The line of these marks, cut to a readable width around all of them or else around the first.
    fn of(marks: &[Mark<'_>]) -> Self {
        let source = marks[0].span.source();
        let first = marks[0].span.range().start;
        let (start, end) = (source.line_start(first), source.line_end(first));
        let characters = |at: usize| source.text()[start..at.clamp(start, end)].chars().count();
        let leftmost = marks
            .iter()
            .map(|mark| characters(mark.span.range().start))
            .min()
            .unwrap_or(0);
        let rightmost = marks
            .iter()
            .map(|mark| characters(mark.span.range().end))
            .max()
            .unwrap_or(0);
        let anchor = if rightmost - leftmost + LEAD_IN <= WIDEST_LINE {
            leftmost
        } else {
            characters(first)
        };
        let skipped = anchor
            .saturating_sub(LEAD_IN)
            .min(characters(end).saturating_sub(WIDEST_LINE));
        let (mut text, mut column, mut columns) = (String::new(), 0, Vec::new());
        if skipped > 0 {
            text.push('…');
            column += 1;
        }
        let whole = &source.text()[start..end];
        for (offset, character) in whole.char_indices().skip(skipped).take(WIDEST_LINE) {
            columns.push((start + offset, column));
            column += push_printable(&mut text, character);
        }
        let hidden = whole
            .char_indices()
            .nth(skipped + WIDEST_LINE)
            .map(|(offset, _)| start + offset);
        if hidden.is_some() {
            text.push('…');
        }
        columns.push((hidden.unwrap_or(end), column));
        Self {
            text,
            columns,
            hidden_from: hidden.unwrap_or(usize::MAX),
        }
    }

    /// The column and the width at which a range is shown, at least one column wide and cut off where the line is; none
    /// if it begins outside of what is shown.
    fn columns(&self, range: &Range<usize>) -> Option<(usize, usize)> {
        let column = |at: usize| {
            self.columns
                .iter()
                .take_while(|(byte, _)| *byte <= at)
                .last()
                .map(|(_, column)| *column)
        };
        let start = column(range.start).filter(|_| range.start < self.hidden_from)?;
        Some((start, column(range.end)?.saturating_sub(start).max(1)))
    }
}

/// Adds a character, or what stands for it, and says how many columns that takes.
fn push_printable(text: &mut String, character: char) -> usize {
    match character {
        '\t' => {
            text.push_str(TAB);
            TAB.len()
        }
        c if is_unprintable(c) => {
            text.push(char::REPLACEMENT_CHARACTER);
            1
        }
        c => {
            text.push(c);
            width(c)
        }
    }
}

/// Text without control characters, and no longer than a message: a file must not be able to speak to the terminal, nor to
/// turn its text around, nor to fill the terminal with itself.
fn printable(text: &str) -> String {
    if text.len() > LONGEST_MESSAGE {
        let boundary = |from: usize| (from..).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        let (head, tail) = (
            boundary(LONGEST_MESSAGE / 2),
            boundary(text.len() - LONGEST_MESSAGE / 2),
        );
        return escaped(&text[..head]) + "…" + &escaped(&text[tail..]);
    }
    escaped(text)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unprintable(character) {
            // Writing to a string cannot fail.
            let _ = write!(out, "{}", character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}
