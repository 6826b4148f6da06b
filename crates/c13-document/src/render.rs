//! Draws an error with the lines of the source that it is about.
//!
//! [`annotate_snippets`] draws the marked lines. What it must not see is kept from it here: control characters, and lines
//! too long to read.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::{AnsiColor, Style};
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Diagnostic, Label, Source, Span};

/// More of a line than this many characters is not shown.
const WIDEST_LINE: usize = 100;
/// How many characters of a long line are shown before the marked place.
const LEAD_IN: usize = 30;
/// More bytes of a message than these are not shown: its middle is left out.
const LONGEST_MESSAGE: usize = 1_000;
/// No line that is left after cutting, with its marks and labels, is wider.
const NO_WIDTH_LIMIT: usize = 10_000;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const GUTTER: Style = AnsiColor::Blue.on_default().bold();

/// How errors are drawn.
pub(crate) struct Look {
    renderer: Renderer,
    error: Style,
    gutter: Style,
}

impl Look {
    pub(crate) const PLAIN: Self = Self {
        renderer: Renderer::plain().term_width(NO_WIDTH_LIMIT),
        error: Style::new(),
        gutter: Style::new(),
    };
    pub(crate) const COLOURED: Self = Self {
        renderer: Renderer::styled()
            .error(ERROR)
            .line_num(GUTTER)
            .context(GUTTER)
            .term_width(NO_WIDTH_LIMIT),
        error: ERROR,
        gutter: GUTTER,
    };

    /// The message, the place, the marked lines and the help. Ends with a line break.
    pub(crate) fn draw(&self, diagnostic: &Diagnostic) -> String {
        let labels = || std::iter::once(&diagnostic.primary).chain(&diagnostic.secondary);
        let width = labels()
            .filter(|label| !label.span.source().is_generated())
            .map(|label| label.span.position().line.to_string().len())
            .max()
            .unwrap_or(1);
        let mut drawing = Drawing {
            look: self,
            width,
            text: String::new(),
        };
        let primary = &diagnostic.primary;
        let Self { error, .. } = self;
        drawing.line(format_args!(
            "{error}error:{error:#} {}",
            printable(&diagnostic.message)
        ));
        drawing.row("--> ", &place(&primary.span));
        let here = |label: &&Label| Arc::ptr_eq(label.span.source(), primary.span.source());
        let whole = primary.span.is_whole();
        let mut marks: Vec<_> = diagnostic.secondary.iter().filter(here).map(Mark::context).collect();
        if !whole {
            marks.push(Mark::primary(primary));
        }
        drawing.snippets(marks);
        for label in diagnostic.secondary.iter().filter(|label| !here(label)) {
            drawing.row("::: ", &place(&label.span));
            drawing.snippets(vec![Mark::context(label)]);
        }
        let nothing_drawn = whole && diagnostic.secondary.is_empty();
        if !nothing_drawn && !diagnostic.help.is_empty() {
            drawing.row(" |", "");
        }
        for help in &diagnostic.help {
            drawing.row(" = help: ", &printable(help));
        }
        drawing.text
    }
}

/// An error as far as it is drawn.
struct Drawing<'a> {
    look: &'a Look,
    /// How wide line numbers are.
    width: usize,
    text: String,
}

impl Drawing<'_> {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    /// A row that begins below the line numbers.
    fn row(&mut self, sign: &str, text: &str) {
        let (width, gutter) = (self.width, self.look.gutter);
        self.line(format_args!("{:width$}{gutter}{sign}{gutter:#}{text}", ""));
    }

    /// The lines of one source that hold marks.
    fn snippets(&mut self, mut marks: Vec<Mark<'_>>) {
        marks.sort_by_key(|mark| (mark.line, mark.kind == AnnotationKind::Context));
        for (index, marks) in marks.chunk_by(|one, next| next.line <= one.line + 1).enumerate() {
            if index > 0 {
                self.line(format_args!("..."));
            }
            let (snippet, number_width) = snippet(marks);
            let drawn = self
                .look
                .renderer
                .render(&[Group::with_level(Level::ERROR).element(snippet)]);
            let indent = self.width.saturating_sub(number_width);
            // Each snippet begins with an empty row, which only the first one needs.
            for line in drawn.lines().skip(usize::from(index > 0)) {
                self.line(format_args!("{:indent$}{}", "", line.trim_end()));
            }
        }
    }
}

/// The snippet of these marks, whose lines follow one another, and how wide its line numbers are.
fn snippet<'a>(marks: &[Mark<'a>]) -> (Snippet<'a, Annotation<'a>>, usize) {
    let (mut text, mut annotations) = (String::new(), Vec::new());
    for marks in marks.chunk_by(|one, next| one.line == next.line) {
        let line = Line::cut(marks, &mut text);
        annotations.extend(marks.iter().filter_map(|mark| {
            let annotation = mark.kind.span(line.shown(&mark.label.span.range())?);
            let label = printable(&mark.label.text);
            Some(if label.is_empty() {
                annotation
            } else {
                annotation.label(label)
            })
        }));
        text.push('\n');
    }
    let (first, last) = (marks[0].line, marks[marks.len() - 1].line);
    let numbered = !marks[0].label.span.source().is_generated();
    let width = if numbered { last.to_string().len() } else { 0 };
    let snippet = Snippet::source(text).line_start(first).line_numbering(numbered);
    (snippet.annotations(annotations), width)
}

/// A source's name, and the line and column; not of a generated text, whose lines nobody can look up.
fn place(span: &Span) -> String {
    let name = printable(span.source().name());
    if span.source().is_generated() {
        name
    } else {
        format!("{name}:{}", span.position())
    }
}

/// A label, the line on which it begins, and how it is underlined.
struct Mark<'a> {
    line: usize,
    label: &'a Label,
    kind: AnnotationKind,
}

impl<'a> Mark<'a> {
    fn primary(label: &'a Label) -> Self {
        Self {
            line: label.span.position().line,
            label,
            kind: AnnotationKind::Primary,
        }
    }

    fn context(label: &'a Label) -> Self {
        Self {
            kind: AnnotationKind::Context,
            ..Self::primary(label)
        }
    }
}

/// Where the bytes of a line have gone that is shown in part.
struct Line {
    /// A byte of the source and the byte at which it is shown, for each character shown and for the end.
    bytes: Vec<(usize, usize)>,
    /// Where the rest is cut off, if it is.
    cut_at: Option<usize>,
}

impl Line {
    /// Appends the line of these marks to `text`, cut to a readable width around all of them or else around the first.
    fn cut(marks: &[Mark<'_>], text: &mut String) -> Self {
        let spans = || marks.iter().map(|mark| &mark.label.span);
        let source: &Source = marks[0].label.span.source();
        let first = marks[0].label.span.range().start;
        let (start, end) = (source.line_start(first), source.line_end(first));
        let characters = |at: usize| source.text()[start..at.clamp(start, end)].chars().count();
        let leftmost = spans().map(|span| characters(span.range().start)).min().unwrap_or(0);
        let rightmost = spans().map(|span| characters(span.range().end)).max().unwrap_or(0);
        let fits = rightmost - leftmost + LEAD_IN <= WIDEST_LINE;
        let anchor = if fits { leftmost } else { characters(first) };
        let skipped = anchor
            .saturating_sub(LEAD_IN)
            .min(characters(end).saturating_sub(WIDEST_LINE));
        if skipped > 0 {
            text.push('…');
        }
        let mut characters = source.text()[start..end].char_indices().skip(skipped);
        let mut bytes = Vec::new();
        for (offset, character) in characters.by_ref().take(WIDEST_LINE) {
            bytes.push((start + offset, text.len()));
            text.push(shown(character));
        }
        let cut_at = characters.next().map(|(offset, _)| start + offset);
        bytes.push((cut_at.unwrap_or(end), text.len()));
        if cut_at.is_some() {
            text.push('…');
        }
        Self { bytes, cut_at }
    }

    /// Where a range is shown, up to the end of the line; `None` if it begins outside of what is shown.
    fn shown(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let shown_at = |at: usize| {
            let after = self.bytes.partition_point(|(byte, _)| *byte <= at);
            Some(self.bytes[after.checked_sub(1)?].1)
        };
        let start = shown_at(range.start).filter(|_| self.cut_at.is_none_or(|cut| range.start < cut))?;
        Some(start..shown_at(range.end)?.max(start))
    }
}

/// A character of the source, or what stands for it.
fn shown(character: char) -> char {
    match character {
        // The renderer makes spaces of it.
        '\t' => '\t',
        c if is_unprintable(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// Text without control characters, and no longer than a message: a file must not be able to speak to the terminal, nor to
/// turn its text around, nor to fill the terminal with itself.
fn printable(text: &str) -> String {
    if text.len() <= LONGEST_MESSAGE {
        return escaped(text);
    }
    let boundary = |from: usize| (from..).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let head = boundary(LONGEST_MESSAGE / 2);
    let tail = boundary(text.len() - LONGEST_MESSAGE / 2);
    escaped(&text[..head]) + "…" + &escaped(&text[tail..])
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unprintable(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Whether a character must not reach a terminal: it would command it, or show text in another order than it is written in.
fn is_unprintable(character: char) -> bool {
    let invisible = matches!(
        character,
        '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
    );
    character.is_control() || invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_fool_the_reader_is_not_printable() {
        for character in [
            '\u{1b}', '\u{7f}', '\u{9b}', '\u{202A}', '\u{202E}', '\u{2066}', '\u{2069}', '\u{200B}',
        ] {
            assert!(is_unprintable(character), "{character:?}");
        }
        assert!(!['a', 'é', '日', ' ', '🚀'].into_iter().any(is_unprintable));
    }
}
