//! The TOML parser's errors as errors of a document: in the order of the text, one for each line.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::{
    Diagnostic, Noted, Source, Span,
    node::{self, Fields},
    scan::{self, DEEPEST, LONGEST_KEY, Look, Stop},
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

/// Parses a text as far as it goes: its tree, its errors, and which places cannot be trusted for them.
pub(crate) fn parse(source: &Arc<Source>) -> (Fields, Noted, Damage) {
    let look = scan::look(source.text());
    let end = look.stop.as_ref().map_or(source.text().len(), Stop::at);
    let mut text = source.text()[..source.boundary(end)].to_owned();
    let mut errors = Vec::new();
    // The tree ends at a key without a `=`, so it is made without these lines, once their errors are known.
    if !look.keys_alone.is_empty() {
        errors = places_and_messages(&text, DeTable::parse_recoverable(&text).1);
    }
    for key in look.keys_alone.iter().take_while(|key| **key < end) {
        let line = source.line_start(*key)..source.line_end(*key).min(text.len());
        text.replace_range(line.clone(), &" ".repeat(line.len()));
    }
    let (table, more) = DeTable::parse_recoverable(&text);
    errors.extend(places_and_messages(&text, more));
    let (mut diagnostics, damage) = diagnose(source, &errors, table.get_ref(), &look);
    if look.stop.is_some() {
        diagnostics.stop();
    }
    (node::fields(source, table.get_ref(), &damage), diagnostics, damage)
}

/// What is kept of the parser's errors, of which there may be many.
fn places_and_messages(text: &str, errors: Vec<toml::de::Error>) -> Vec<(Range<usize>, String)> {
    let end = text.len()..text.len();
    let of_error = |error: toml::de::Error| (error.span().unwrap_or(end.clone()), error.message().into());
    errors.into_iter().map(of_error).collect()
}

/// The parser's errors as ours: in the order of the text and one for each line, since one slip makes several errors on
/// its line.
fn diagnose(
    source: &Arc<Source>,
    errors: &[(Range<usize>, String)],
    tree: &DeTable<'_>,
    look: &Look,
) -> (Noted, Damage) {
    let stop = look.stop.as_ref();
    // Where reading stops, the parser finds errors that are only its own end.
    let read = match stop {
        Some(Stop::Errors(at)) => *at,
        Some(stop) => source.line_start(stop.at()),
        None => usize::MAX,
    };
    let mut found: Vec<(Range<usize>, &str)> = errors
        .iter()
        .map(|(range, message)| (range.clone(), message.as_str()))
        .filter(|(range, _)| range.start < read)
        .collect();
    found.sort_by_key(|(range, _)| range.start);
    found.dedup_by_key(|(range, _)| source.line_start(range.start));
    let guesswork = look.open_list.and_then(|list| {
        let below = found.iter().map(|(range, _)| range).filter(|range| range.start > list);
        below
            .clone()
            .find(|range| misses_comma_above(source, range))
            .map(|range| range.start)
    });
    found.retain(|(range, _)| guesswork.is_none_or(|start| range.start < start));
    let mut lines: Vec<usize> = found.iter().map(|(range, _)| range.start).collect();
    let mut diagnostics = Noted::default();
    for (range, message) in found {
        diagnostics.push_with(|| explain(source, range, message, tree, look));
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

/// Whether an error in a list that does not end is that the line should have begun with a comma: it points at nothing, in
/// front of the first word of the line.
fn misses_comma_above(source: &Source, range: &Range<usize>) -> bool {
    let (start, end) = (source.line_start(range.start), source.line_end(range.start));
    let (before, after) = (&source.text()[start..range.start], &source.text()[range.start..end]);
    range.is_empty() && before.trim().is_empty() && !after.trim().is_empty()
}

/// An error in our words where the text itself shows what is wrong, else in the parser's.
fn explain(source: &Arc<Source>, range: Range<usize>, message: &str, tree: &DeTable<'_>, look: &Look) -> Diagnostic {
    let at = |range: Range<usize>| Span::new(source, range);
    let holds = |places: &[Range<usize>]| {
        let place = places
            .iter()
            .find(|place| place.start <= range.start && range.start <= place.end);
        place.cloned()
    };
    if let Some(value) = holds(&look.wrong_values) {
        return explain_value(source, value, range, message);
    }
    if let Some(text) = holds(&look.open_texts) {
        let quote = &source.text()[text.start..=text.start];
        return Diagnostic::new(at(range), "a text in quotes does not end").label(format!("{quote} is missing"));
    }
    let key = &source.text()[range.clone()];
    if !look.errors.contains(&range.start)
        && let Some(first) = first_setting(source, key, range.start, tree)
    {
        return Diagnostic::new(at(range), format!("`{key}` is set twice"))
            .label("set again here")
            .also(first, "first set here")
            .help("keep one of the two");
    }
    Diagnostic::new(at(range), format!("this is not TOML: {message}"))
}

/// What is wrong with a value without quotes; `range` is the part of it that the parser refuses.
fn explain_value(source: &Arc<Source>, value: Range<usize>, range: Range<usize>, message: &str) -> Diagnostic {
    let at = |range: Range<usize>| Span::new(source, range);
    let text = &source.text()[value.clone()];
    if text.is_empty() {
        return Diagnostic::new(at(value), "a key has no value").label("a value belongs here");
    }
    if let Some(gap) = text.rfind(char::is_whitespace)
        && source.text()[value.end..].trim_start().starts_with('=')
    {
        let next = value.start + gap + 1..value.end;
        let error = Diagnostic::new(at(next), "two settings run into each other");
        return error.label("a comma or a new line belongs before this");
    }
    if let Some(truth) = ["true", "false"].iter().find(|truth| truth.eq_ignore_ascii_case(text)) {
        return Diagnostic::new(at(value), format!("`{text}` is no value")).help(format!("write {truth}"));
    }
    if range != value {
        return Diagnostic::new(at(range), format!("this is not TOML: {message}"))
            .help(format!("if this is text, write \"{text}\""));
    }
    Diagnostic::new(at(value), format!("`{text}` is no value: text stands in quotes")).help(format!("write \"{text}\""))
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
