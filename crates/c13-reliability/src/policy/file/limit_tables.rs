//! The limits of a service: `[limit.NAME]` of all documents.

use std::collections::BTreeMap;

use super::chain::{LONGEST_NAME, is_name};
use super::read::{Reader, faults_of_values, read};
use super::setting::NamedLimit;
use crate::error::{ConfigValue, Findings, Fix};
use crate::policy::LimitConfig;
use crate::policy::document::{Diagnostic, Document, Noted, Table, nearest};

/// The tables of each limit, lowest first.
pub(super) struct LimitTables<'d> {
    limits: BTreeMap<&'d str, Vec<Table<'d>>>,
}

impl<'d> LimitTables<'d> {
    /// Sorts the tables of all documents. The first `files` of them may name limits, the others only change these.
    pub(super) fn read(documents: &'d [Document], files: usize, errors: &mut Noted) -> Self {
        let mut tables = Self {
            limits: BTreeMap::new(),
        };
        for (at, document) in documents.iter().enumerate() {
            if at >= files && document.has_errors() {
                continue;
            }
            let Some(limits) = document.root().value("limit").and_then(|value| value.read_table()) else {
                continue;
            };
            for (name, place, value) in limits.entries() {
                if at < files || tables.limits.contains_key(name) {
                    if !is_name(name) {
                        let rule = "a limit's name must be of lower-case letters, digits, dashes and underscores";
                        let error = Diagnostic::new(place.clone(), rule);
                        errors.push(error.label(format!("1 to {LONGEST_NAME} of them")));
                    }
                    if let Some(table) = value.read_table() {
                        tables.limits.entry(name).or_default().push(table);
                    }
                    continue;
                }
                let error = Diagnostic::new(place.clone(), format!("no file names a limit `{name}`")).absence();
                errors.push(match nearest(name, tables.limits.keys().copied()) {
                    Some(near) => error.help(format!("did you mean `{near}`?")),
                    None => error.help(format!("add a table `[limit.{name}]` to a file")),
                });
                value.as_table().iter().for_each(Table::ignore_rest);
            }
        }
        tables
    }

    pub(super) fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Reads every limit.
    pub(super) fn limits(&self, errors: &mut Noted) -> BTreeMap<String, NamedLimit> {
        let mut limits = BTreeMap::new();
        for (name, tables) in &self.limits {
            if errors.is_full() {
                errors.stop();
                break;
            }
            let Some(document) = Document::layered(&format!("limit.{name}"), tables) else {
                continue;
            };
            let config = read::<LimitConfig>(&document.root());
            match document.finish(config) {
                Ok(config) => drop(limits.insert((*name).to_owned(), NamedLimit::new(config, tables))),
                Err(found) => errors.add(&found),
            }
            for table in tables {
                for error in faults_of_values::<LimitConfig>(table) {
                    let shows = |other: &Diagnostic| other.places().any(|place| *place == error.primary.span);
                    if !errors.list().iter().any(shows) {
                        errors.push(error);
                    }
                }
            }
        }
        limits
    }
}

/// Reports which rules the settings of a limit break, each at the setting.
pub(super) fn check(reader: &Reader<'_, LimitConfig>) {
    let root = reader.root();
    let mut found = Findings::of("limit");
    reader.config.check(&mut found);
    for error in found.iter() {
        let is_unknown = |setting: &str| reader.unknown.contains(&setting);
        if is_unknown(error.setting) || error.notes.iter().any(|note| is_unknown(note.setting)) {
            continue;
        }
        let value = root.value_at(error.setting);
        let span = value
            .as_ref()
            .map_or_else(|| root.span().clone(), |value| value.span().clone());
        let label = match error.value {
            ConfigValue::Text(_) => String::new(),
            value => format!("this is {value}"),
        };
        let message = format!("`{}` {}", root.path_of(error.setting), error.rule);
        let diagnostic = Diagnostic::new(span, message).label(label);
        let notes = error.notes.iter().filter(|note| note.setting != error.setting);
        let diagnostic = notes.fold(diagnostic, |diagnostic, note| {
            match root.value_at(note.setting).map(|value| value.span().clone()) {
                Some(span) => diagnostic.also(span, note.says),
                None => diagnostic,
            }
        });
        root.report(match error.fix {
            Fix::Do(words) => diagnostic.help(words),
            _ => diagnostic,
        });
    }
}
