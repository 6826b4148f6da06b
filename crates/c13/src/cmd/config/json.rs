//! What `c13 config` answers to programs: one JSON object.
//!
//! | field | of | what it is |
//! |---|---|---|
//! | `schema` | all | 1; another number if a field ever changes its meaning or goes away |
//! | `files`, `policies`, `limits` | `check` | the files as they were named, and the policies and limits in them; none where something is wrong, and no `limits` where there are none |
//! | `errors[]` | `check`, all that fail | every error: its `message`, the lines of `help`, and the `places`, the first of which is to be mended |
//! | `errors[].places[]` | | `file`, `line`, `column`, `end_column` (the first column after it, where it ends on the same line), the marked `text`, and the `label` there |
//! | `policies.NAME.settings` | `show` | the settings as the policy's table |
//! | `policies.NAME.origins` | `show` | where each comes from, by its path |
//! | `limits.NAME` | `show` | the same of each limit; left out where there are none |
//! | `settings[]` | `explain` | `policy` (of a limit `limit`), `path`, `value`, where it comes from, whether it `applies`, why it is `without_effect` if not, and what it `overrides`, the uppermost first |
//!
//! Where a value comes from is its `origin` in words (`reliability.toml:5:17`, a variable's name, `--set`, `the profile
//! critical`, `default`), and for files `file`, `line` and `column` too. What stands in no file has no line. Columns count
//! characters; lines and columns begin with 1.

use std::collections::BTreeMap;

use c13_reliability::policy::document::{Diagnostic, Diagnostics, Document, Label, Source, Span, Value};
use c13_reliability::policy::file::{PolicySet, Setting, is_in_file, origin_text};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::args::LayerArgs;
use super::command::{ConfigAnswer, limit_settings, settings};
use crate::cmd::{Failure, source};

/// Another number if a field ever changes its meaning or goes away.
pub(super) const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct CheckedJson<'a> {
    schema: u32,
    files: Vec<String>,
    policies: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    limits: Vec<&'a str>,
    errors: Vec<WrongJson>,
}

#[derive(Serialize)]
struct WrongJson {
    message: String,
    help: Vec<String>,
    places: Vec<PlaceJson>,
}

#[derive(Serialize)]
struct PlaceJson {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_column: Option<usize>,
    text: String,
    label: String,
}

/// Where a value comes from.
#[derive(Serialize)]
pub(super) struct Origin {
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

impl Origin {
    /// The origin of what stands there, or of a default.
    pub(super) fn of(span: Option<&Span>) -> Self {
        let in_file = span.filter(|span| is_in_file(span));
        Self {
            origin: span.map_or_else(|| "default".to_owned(), origin_text),
            file: in_file.map(|span| span.source().name().to_owned()),
            line: in_file.map(|span| span.position().line),
            column: in_file.map(|span| span.position().column),
        }
    }
}

#[derive(Serialize)]
struct ShownJson<'a> {
    schema: u32,
    policies: BTreeMap<&'a str, PolicyJson<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    limits: BTreeMap<&'a str, PolicyJson<'a>>,
}

#[derive(Serialize)]
struct PolicyJson<'a> {
    settings: Json,
    origins: BTreeMap<&'a str, Origin>,
}

/// What the settings give, or all that is wrong with them.
pub(super) fn answer(
    layers: &LayerArgs,
    set: Result<PolicySet, Failure>,
    right: impl FnOnce(&PolicySet) -> Result<String, Failure>,
) -> Result<ConfigAnswer, Failure> {
    let errors = match set.and_then(|set| right(&set)) {
        Ok(text) => return Ok(text.into()),
        Err(Failure::Wrong(errors)) => wrong(&errors),
        Err(Failure::Usage(message)) => vec![without_place(message)],
        Err(Failure::File(path, error)) => vec![without_place(format!("cannot read {}: {error}", source::name(&path)))],
        Err(other) => return Err(other),
    };
    let checked = CheckedJson {
        schema: SCHEMA_VERSION,
        files: files(layers),
        policies: Vec::new(),
        limits: Vec::new(),
        errors,
    };
    text(&checked).map(|text| ConfigAnswer { text, right: false })
}

/// The answer where everything is right.
pub(super) fn checked(layers: &LayerArgs, set: &PolicySet) -> Result<String, Failure> {
    text(&CheckedJson {
        schema: SCHEMA_VERSION,
        files: files(layers),
        policies: set.iter().map(|(name, _)| name).collect(),
        limits: set.limits().map(|(name, _)| name).collect(),
        errors: Vec::new(),
    })
}

/// All policies: what is set, or with the defaults all that applies.
pub(super) fn shown(set: &PolicySet, effective: bool) -> Result<String, Failure> {
    let policies = set
        .iter()
        .map(|(name, policy)| (name, named(settings(policy, effective))));
    let limits = set
        .limits()
        .map(|(name, limit)| (name, named(limit_settings(limit, effective))));
    text(&ShownJson {
        schema: SCHEMA_VERSION,
        policies: policies.collect(),
        limits: limits.collect(),
    })
}

/// The settings of a policy or of a limit as its table, and where each comes from.
fn named(settings: Vec<&Setting>) -> PolicyJson<'_> {
    let origins = settings.iter().map(|setting| {
        let path = setting.path.as_str();
        (path, Origin::of(setting.span()))
    });
    let origins = origins.collect();
    let mut tables = Json::Object(Map::new());
    for setting in &settings {
        put(&mut tables, &setting.path, value(&setting.value));
    }
    let settings = tables;
    PolicyJson { settings, origins }
}

/// An object on several lines, with a line break at its end.
pub(super) fn text(object: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(object);
    text.map(|text| text + "\n")
        .map_err(|error| Failure::Internal(error.to_string()))
}

/// A value that stands in TOML.
pub(super) fn value(toml: &str) -> Json {
    let document = Document::parse(Source::new("", format!("value = {toml}")));
    let root = document.root();
    root.value("value").map_or(Json::Null, |value| json_of(&value))
}

fn json_of(value: &Value<'_>) -> Json {
    if let Some(table) = value.as_table() {
        let entries = table.entries().into_iter();
        return Json::Object(
            entries
                .map(|(key, _, value)| (key.to_owned(), json_of(&value)))
                .collect(),
        );
    }
    if let Some(text) = value.as_text() {
        return text.into();
    }
    if let Some(truth) = value.as_boolean() {
        return truth.into();
    }
    if let Some(number) = value.as_integer() {
        return i64::try_from(number).map_or_else(|_| Json::from(number as f64), Json::from);
    }
    if let Some(number) = value.as_float() {
        return number.into();
    }
    let items = value.read_list().unwrap_or_default();
    Json::Array(items.iter().map(json_of).collect())
}

/// Puts a value at a path of keys joined by points.
fn put(tables: &mut Json, path: &str, value: Json) {
    match path.split_once('.') {
        None => tables[path] = value,
        Some((key, rest)) => put(&mut tables[key], rest, value),
    }
}

fn files(layers: &LayerArgs) -> Vec<String> {
    layers.files.iter().map(|file| source::name(file)).collect()
}

fn without_place(message: String) -> WrongJson {
    WrongJson {
        message,
        help: Vec::new(),
        places: Vec::new(),
    }
}

fn wrong(errors: &Diagnostics) -> Vec<WrongJson> {
    let of = |error: &Diagnostic| WrongJson {
        message: error.message.clone(),
        help: error.help.clone(),
        places: std::iter::once(&error.primary)
            .chain(&error.secondary)
            .map(place)
            .collect(),
    };
    errors.iter().map(of).collect()
}

fn place(label: &Label) -> PlaceJson {
    let span = &label.span;
    let start = is_in_file(span).then(|| span.position());
    let end = span.source().position(span.range().end);
    PlaceJson {
        file: span.source().name().to_owned(),
        line: start.map(|start| start.line),
        column: start.map(|start| start.column),
        end_column: start.filter(|start| start.line == end.line).map(|_| end.column),
        text: span.text().to_owned(),
        label: label.text.clone(),
    }
}
