//! Says in plain words what the TOML parser found, once for each line.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::{
    Diagnostic, Source, Span,
    node::{self, Fields},
};

/// Which places of a text cannot be trusted, because its syntax is broken there.
#[derive(Debug)]
pub(super) struct Damage {
    source: Arc<Source>,
    /// Where the lines with errors begin, in order.
    lines: Vec<usize>,
    /// Where guesswork begins: a list that does not end takes the lines below it for its own.
    beyond: usize,
}

impl Damage {
    /// No damage at all.
    pub(super) fn none(source: &Arc<Source>) -> Self {
        Self {
            source: Arc::clone(source),
            lines: Vec::new(),
            beyond: usize::MAX,
        }
    }

    /// Whether there is any.
    pub(super) fn is_some(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Whether the line that holds a byte is in doubt.
    pub(super) fn touches(&self, at: usize) -> bool {
        self.swallows(at) || self.lines.binary_search(&self.source.line_start(at)).is_ok()
    }

    /// Whether the header of a table is broken above a byte, so that what follows seems to stand in no table.
    pub(super) fn is_below_broken_header(&self, at: usize) -> bool {
        let above = self.lines.iter().take_while(|line| **line < at);
        let text = self.source.text();
        above
            .into_iter()
            .any(|line| text[*line..].trim_start().starts_with('['))
    }

    /// Whether a byte lies where not even the structure is known.
    pub(super) fn swallows(&self, at: usize) -> bool {
        at >= self.beyond
    }
}

/// The parser gives up on the rest of a text at some errors. So many times it is given the text again without the line
/// at which it stopped.
const MOST_ROUNDS: usize = 20;

/// Parses a text as far as it goes: its tree, its errors, and which places cannot be trusted for them.
pub(super) fn parse(source: &Arc<Source>) -> (Fields, Vec<Diagnostic>, Damage) {
    let mut text = source.text().to_owned();
    let mut stops = Vec::new();
    while stops.len() < MOST_ROUNDS {
        let (_, errors) = DeTable::parse_recoverable(&text);
        let Some(stop) = errors.into_iter().find(|error| stops_the_parser(source, error)) else {
            break;
        };
        let at = stop.span().map_or(0, |range| range.start);
        let line = source.line_start(at)..source.line_end(at);
        text.replace_range(line.clone(), &" ".repeat(line.len()));
        stops.push(stop);
    }
    let (table, mut errors) = DeTable::parse_recoverable(&text);
    errors.extend(stops);
    let (diagnostics, damage) = diagnose(source, &errors, table.get_ref());
    (node::fields(source, table.get_ref(), &damage), diagnostics, damage)
}

/// Whether the parser may not have read on after this error, and would without its line. A broken header keeps its line:
/// without it, the keys below would land in the table above.
fn stops_the_parser(source: &Source, error: &toml::de::Error) -> bool {
    let Some(range) = error.span() else {
        return false;
    };
    let line = &source.text()[source.line_start(range.start)..source.line_end(range.start)];
    let goes_on = WRONG_VALUES.iter().chain(&[
        "duplicate key",
        "invalid basic",
        "invalid literal",
        "missing comma",
        "unclosed",
        "unexpected",
        "extra",
    ]);
    let goes_on = goes_on.copied().any(|start| error.message().starts_with(start));
    !goes_on && !line.trim_start().starts_with('[') && !line.trim().is_empty()
}

/// The parser's errors as ours: in the order of the text and one for each line, since one slip makes several errors on
/// its line.
fn diagnose(source: &Arc<Source>, errors: &[toml::de::Error], tree: &DeTable<'_>) -> (Vec<Diagnostic>, Damage) {
    let end = source.text().len();
    let mut found: Vec<(Range<usize>, &str)> = errors
        .iter()
        .map(|error| (error.span().unwrap_or(end..end), error.message()))
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
    let mut diagnostics: Vec<Diagnostic> = found
        .into_iter()
        .filter(|(range, _)| guesswork.is_none_or(|start| range.start < start))
        .map(|(range, message)| explain(source, range, message, tree))
        .collect();
    if let Some(start) = guesswork {
        let line = start..source.line_end(start);
        let error = Diagnostic::new(Span::new(source, line), "a list does not end");
        diagnostics.push(error.label("before this line, a comma or the closing ] is missing"));
    }
    let lines = diagnostics
        .iter()
        .map(|error| source.line_start(error.primary.span.range().start))
        .collect();
    let damage = Damage {
        source: Arc::clone(source),
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

fn line_above(source: &Arc<Source>, key: &str, before: usize) -> Option<Span> {
    let line_of = |start: usize| source.text()[start..source.line_end(start)].trim_start();
    let header = Some(line_of(source.line_start(before))).filter(|line| line.starts_with('['));
    let mut end = source.line_start(before);
    while end > 0 {
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
