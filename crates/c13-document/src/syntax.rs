//! Says in plain words what the TOML parser found, once for each line.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::{
    Diagnostic, Noted, Source, Span,
    node::{self, Fields},
    scan::{self, DEEPEST, LONGEST_KEY, Stop},
};

/// Which places of a text cannot be trusted, because its syntax is broken there.
#[derive(Debug)]
pub(crate) struct Damage {
    source: Arc<Source>,
    /// Where the lines with errors begin, in order.
    lines: Vec<usize>,
    /// The first of them that is the header of a table.
    broken_header: Option<usize>,
    /// Where guesswork begins: a list that does not end takes the lines below it for its own.
    beyond: usize,
}

impl Damage {
    /// No damage at all.
    pub(crate) fn none(source: &Arc<Source>) -> Self {
        Self {
            source: Arc::clone(source),
            lines: Vec::new(),
            broken_header: None,
            beyond: usize::MAX,
        }
    }

    /// Whether there is any.
    pub(crate) fn is_some(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Whether the line that holds a byte is in doubt.
    pub(crate) fn touches(&self, at: usize) -> bool {
        self.swallows(at) || self.lines.binary_search(&self.source.line_start(at)).is_ok()
    }

    /// Whether the header of a table is broken above a byte, so that what follows seems to stand in no table.
    pub(crate) fn is_below_broken_header(&self, at: usize) -> bool {
        self.broken_header.is_some_and(|header| header < at)
    }

    /// Whether a byte lies where not even the structure is known.
    pub(crate) fn swallows(&self, at: usize) -> bool {
        at >= self.beyond
    }
}

/// The parser gives up on the rest of a text at some errors. So many times it is given the text again without the line
/// at which it stopped.
const MOST_ROUNDS: usize = 20;

/// So many bytes it is given again in all: a large text is not read so often.
const MOST_READ_AGAIN: usize = 4 << 20;

/// Parses a text as far as it goes: its tree, its errors, and which places cannot be trusted for them.
pub(crate) fn parse(source: &Arc<Source>) -> (Fields, Noted, Damage) {
    let stop = scan::stop(source.text());
    let end = stop.as_ref().map_or(source.text().len(), Stop::at);
    let mut text = source.text()[..source.boundary(end)].to_owned();
    let rounds = MOST_ROUNDS.min(MOST_READ_AGAIN / text.len().max(1));
    let mut stops = Vec::new();
    while stops.len() < rounds {
        let (_, errors) = DeTable::parse_recoverable(&text);
        let Some(stop) = first_that_stops_the_parser(source, errors) else {
            break;
        };
        let at = stop.span().map_or(0, |range| range.start).min(text.len());
        let line = source.line_start(at)..source.line_end(at).min(text.len());
        text.replace_range(line.clone(), &" ".repeat(line.len()));
        stops.push(stop);
    }
    let (table, mut errors) = DeTable::parse_recoverable(&text);
    errors.extend(stops);
    let (mut diagnostics, damage) = diagnose(source, &errors, table.get_ref(), stop.as_ref());
    if stop.is_some() {
        diagnostics.stop();
    }
    (node::fields(source, table.get_ref(), &damage), diagnostics, damage)
}

/// The first error after which the parser may not have read on, and would without its line.
fn first_that_stops_the_parser(source: &Source, errors: Vec<toml::de::Error>) -> Option<toml::de::Error> {
    let mut goes_on_at = None;
    errors.into_iter().find(|error| {
        // Of many errors on one long line, each would look at all of it.
        let line = error.span().map(|range| source.line_start(range.start));
        line != goes_on_at && {
            let stops = stops_the_parser(source, error);
            goes_on_at = line.filter(|_| !stops && !goes_on_after(error));
            stops
        }
    })
}

/// Whether the parser may not have read on after this error, and would without its line. A broken header keeps its line:
/// without it, the keys below would land in the table above.
fn stops_the_parser(source: &Source, error: &toml::de::Error) -> bool {
    let Some(range) = error.span().filter(|_| !goes_on_after(error)) else {
        return false;
    };
    let line = &source.text()[source.line_start(range.start)..source.line_end(range.start)];
    !line.trim_start().starts_with('[') && !line.trim().is_empty()
}

/// Whether the parser reads on after an error like this.
fn goes_on_after(error: &toml::de::Error) -> bool {
    let goes_on = WRONG_VALUES.iter().chain(&[
        "duplicate key",
        "invalid basic",
        "invalid literal",
        "missing comma",
        "unclosed",
        "unexpected",
        "extra",
    ]);
    goes_on.copied().any(|start| error.message().starts_with(start))
}

/// The parser's errors as ours: in the order of the text and one for each line, since one slip makes several errors on
/// its line.
fn diagnose(
    source: &Arc<Source>,
    errors: &[toml::de::Error],
    tree: &DeTable<'_>,
    stop: Option<&Stop>,
) -> (Noted, Damage) {
    let end = source.text().len();
    // Where reading stops, the parser finds errors that are only its own end.
    let read = match stop {
        Some(Stop::Errors(at)) => *at,
        Some(stop) => source.line_start(stop.at()),
        None => usize::MAX,
    };
    let mut found: Vec<(Range<usize>, &str)> = errors
        .iter()
        .map(|error| (error.span().unwrap_or(end..end), error.message()))
        .filter(|(range, _)| range.start < read)
        .collect();
    found.sort_by_key(|(range, _)| range.start);
    found.dedup_by_key(|(range, _)| source.line_start(range.start));
    let swallows = errors.iter().any(|error| error.message().starts_with("unclosed array"));
    let starts_line = |range: &Range<usize>| {
        let line = &source.text()[source.line_start(range.start)..range.start];
        line.trim().is_empty()
    };
    let guesswork = found
        .iter()
        .filter(|_| swallows)
        .find(|(range, message)| message.starts_with("missing comma between array") && starts_line(range))
        .map(|(range, _)| range.start);
    found.retain(|(range, _)| guesswork.is_none_or(|start| range.start < start));
    let mut lines: Vec<usize> = found.iter().map(|(range, _)| range.start).collect();
    let mut diagnostics = Noted::default();
    for (range, message) in found {
        diagnostics.push_with(|| explain(source, range, message, tree));
    }
    if let Some(start) = guesswork {
        let line = start..source.line_end(start);
        let error = Diagnostic::new(Span::new(source, line), "a list does not end");
        diagnostics.push(error.label("before this line, a comma or the closing ] is missing"));
        lines.push(start);
    }
    let limit = match stop {
        Some(Stop::Depth(range)) => Some((range, format!("tables and lists lie at most {DEEPEST} deep"))),
        Some(Stop::Key(range)) => Some((range, format!("a key has at most {LONGEST_KEY} bytes"))),
        Some(Stop::Errors(_)) | None => None,
    };
    if let Some((range, rule)) = limit {
        let error = Diagnostic::new(Span::new(source, range.clone()), rule);
        diagnostics.push(error.label("from here on nothing is read"));
    }
    if let Some(stop) = stop
        && diagnostics.is_empty()
    {
        let place = Span::new(source, stop.at()..stop.at());
        diagnostics.push(Diagnostic::new(place, "this is not TOML: it has too many errors"));
    }
    lines.extend(stop.map(Stop::at));
    let mut lines: Vec<usize> = lines.into_iter().map(|at| source.line_start(at)).collect();
    lines.dedup();
    let is_header = |line: &&usize| source.text()[**line..].trim_start().starts_with('[');
    let damage = Damage {
        source: Arc::clone(source),
        broken_header: lines.iter().find(is_header).copied(),
        lines,
        beyond: guesswork.unwrap_or(usize::MAX),
    };
    (diagnostics, damage)
}

const WRONG_VALUES: [&str; 5] = [
    "string values must be quoted",
    "invalid boolean",
    "invalid float",
    "invalid integer",
    "invalid datetime",
];

fn explain(source: &Arc<Source>, range: Range<usize>, message: &str, tree: &DeTable<'_>) -> Diagnostic {
    let at = |range: Range<usize>| Span::new(source, range);
    let word = bare_word(source.text(), range.clone());
    let text = &source.text()[word.clone()];
    let wrong_value = WRONG_VALUES.iter().any(|start| message.starts_with(start));
    if wrong_value && text.is_empty() {
        Diagnostic::new(at(range), "a key has no value").label("a value belongs here")
    } else if wrong_value
        && let Some(gap) = text.rfind(char::is_whitespace)
        && source.text()[word.end..].trim_start().starts_with('=')
    {
        let next = word.start + gap + 1..word.end;
        Diagnostic::new(at(next), "two settings run into each other").label("a comma or a new line belongs before this")
    } else if wrong_value && let Some(truth) = ["true", "false"].iter().find(|truth| truth.eq_ignore_ascii_case(text)) {
        Diagnostic::new(at(word), format!("`{text}` is no value")).help(format!("write {truth}"))
    } else if wrong_value {
        Diagnostic::new(at(word), format!("`{text}` is no value: text stands in quotes"))
            .help(format!("write \"{text}\""))
    } else if message.starts_with("duplicate key") {
        let key = &source.text()[range.clone()];
        Diagnostic::new(at(range.clone()), format!("`{key}` is set twice"))
            .label("set again here")
            .also(first_setting(source, key, range.start, tree), "first set here")
            .help("keep one of the two")
    } else if message.starts_with("invalid basic string") || message.starts_with("invalid literal string") {
        let quote = if message.starts_with("invalid basic") {
            '"'
        } else {
            '\''
        };
        Diagnostic::new(at(range), "a text in quotes does not end").label(format!("{quote} is missing"))
    } else {
        Diagnostic::new(at(range), format!("this is not TOML: {message}"))
    }
}

/// The word without quotes that a range lies in.
fn bare_word(text: &str, range: Range<usize>) -> Range<usize> {
    let ends = |c: char| c.is_whitespace() || "=,[]{}#\"'".contains(c);
    let start = text[..range.start]
        .rfind(ends)
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    let end = text[range.start..]
        .find(ends)
        .map_or(text.len(), |length| range.start + length)
        .max(range.end);
    start..end
}

/// The nearest line above that sets this key in the same table, or that has the same header; else the nearest key above
/// of this name, as on the same line.
fn first_setting(source: &Arc<Source>, key: &str, before: usize, tree: &DeTable<'_>) -> Option<Span> {
    line_above(source, key, before).or_else(|| {
        let mut starts = Vec::new();
        keys_called(key, tree, &mut starts);
        let start = starts.into_iter().filter(|start| *start < before).max()?;
        Some(Span::new(source, start..start + key.len()))
    })
}

/// Where the keys of a name begin, in a table and those in it.
fn keys_called(name: &str, table: &DeTable<'_>, starts: &mut Vec<usize>) {
    for (key, value) in table {
        if key.get_ref() == name {
            starts.push(key.span().start);
        }
        if let DeValue::Table(table) = value.get_ref() {
            keys_called(name, table, starts);
        }
    }
}

/// So many lines above are looked at for a key that is set again.
const MOST_LINES_ABOVE: usize = 2_000;

fn line_above(source: &Arc<Source>, key: &str, before: usize) -> Option<Span> {
    let line_of = |start: usize| source.text()[start..source.line_end(start)].trim_start();
    let header = Some(line_of(source.line_start(before))).filter(|line| line.starts_with('['));
    let mut end = source.line_start(before);
    for _ in 0..MOST_LINES_ABOVE {
        if end == 0 {
            break;
        }
        let start = source.line_start(end - 1);
        let line = line_of(start);
        let found = match header {
            Some(header) => line == header,
            None if line.starts_with('[') => return None,
            None => line
                .strip_prefix(key)
                .is_some_and(|after| after.trim_start().starts_with('=')),
        };
        if found {
            let place = start + source.text()[start..].find(key)?;
            return Some(Span::new(source, place..place + key.len()));
        }
        end = start;
    }
    None
}
