//! The settings as a JSON schema for editors, and as tables for people.

use std::fmt::Write as _;

use super::names::PATTERN;
use super::row::{Datum, Kind, Row};
use super::rows::{LIMIT, PARTS, rows};
use super::settings::Settings;
use crate::patterns::circuit_breaker::{Shares, Window};
use crate::patterns::rate_limiter::Networks;
use crate::policy::{LimitConfig, PolicyConfig};

/// The schema before the parts.
const HEAD: &str = include_str!("schema_head.json");

/// The JSON schema of a service's file, for editors.
#[must_use]
pub fn schema() -> String {
    let parts: Vec<String> = PARTS
        .iter()
        .map(|part| format!("        \"{part}\": {{ \"$ref\": \"#/$defs/{part}\" }}"))
        .collect();
    let parts = parts.join(",\n");
    let tables: Vec<String> = PARTS
        .iter()
        .map(|part| format!("    \"{part}\": {}", schema_of::<PolicyConfig>(part, 4)))
        .collect();
    let limit: Vec<String> = LIMIT
        .iter()
        .map(|row| format!("        \"{}\": {}", row.path, schema_of::<LimitConfig>(row.path, 8)))
        .collect();
    HEAD.replace("        \"PARTS\": {}", &parts)
        .replace("        \"LIMIT\": {}", &limit.join(",\n"))
        .replace("    \"TABLES\": {}", &tables.join(",\n"))
}

/// The schema of a setting, and of all that is below it; what follows its first line is indented by `indent`.
fn schema_of<C: Settings>(path: &str, indent: usize) -> String {
    let Some(row) = C::rows().find(|row| row.path == path) else {
        return String::new();
    };
    let mut kinds = Vec::new();
    if row.can_be_off {
        kinds.push("{ \"$ref\": \"#/$defs/off\" }".to_owned());
    }
    match kind_schema(&row.kind) {
        Some(kind) => kinds.push(format!("{{ {kind} }}")),
        None if matches!(row.kind, Kind::Delay) => kinds.push("{ \"$ref\": \"#/$defs/duration\" }".to_owned()),
        None => {}
    }
    let space = " ".repeat(indent + 2);
    if matches!(row.kind, Kind::Table | Kind::Delay) {
        let below = C::rows().filter(|row| row.split().0 == path);
        let below: Vec<String> = below
            .map(|row| {
                format!(
                    "{space}      \"{}\": {}",
                    row.split().1,
                    schema_of::<C>(row.path, indent + 8)
                )
            })
            .collect();
        kinds.push(format!(
            "{{\n{space}    \"type\": \"object\",\n{space}    \"additionalProperties\": false,\n{space}    \"properties\": \
             {{\n{}\n{space}    }}\n{space}  }}",
            below.join(",\n")
        ));
    }
    let doc = row.doc_for_schema();
    match &kinds[..] {
        [one] if !one.contains('\n') => one.replacen("{ ", &format!("{{ \"description\": {doc}, "), 1),
        _ => format!(
            "{{\n{space}\"description\": {doc},\n{space}\"anyOf\": [\n{space}  {}\n{space}]\n{}}}",
            kinds.join(&format!(",\n{space}  ")),
            " ".repeat(indent)
        ),
    }
}

impl<C> Row<C> {
    /// What it is, and which strategies it belongs to, as a JSON string.
    fn doc_for_schema(&self) -> String {
        let of = match self.of {
            [] => String::new(),
            of => format!("Of {}. ", of.join(", ")),
        };
        format!("\"{of}{}\"", self.doc)
    }
}

/// The schema of a kind; empty for a table.
fn kind_schema(kind: &Kind) -> Option<String> {
    let named = |name: &str| Some(format!("\"$ref\": \"#/$defs/{name}\""));
    match kind {
        Kind::Table | Kind::Delay => None,
        Kind::Flag => Some("\"type\": \"boolean\"".to_owned()),
        Kind::Whole(least, most) => Some(format!(
            "\"type\": \"integer\", \"minimum\": {least}, \"maximum\": {most}"
        )),
        Kind::Number(range) => Some(format!("\"type\": \"number\", {range}")),
        Kind::Time => named("duration"),
        Kind::TimeAboveZero => named("time"),
        Kind::Ratio => named("ratio"),
        Kind::RatioBelowOne => named("ratio_below_one"),
        Kind::Share => named("share"),
        Kind::Fraction => named("fraction"),
        Kind::Fractions => Some(format!(
            "\"type\": \"array\", \"minItems\": 1, \"maxItems\": {}, \"items\": {{ \"$ref\": \"#/$defs/fraction\" }}",
            Shares::MOST
        )),
        Kind::Rate => named("rate"),
        Kind::Window => named("window"),
        Kind::Key => {
            Some("\"type\": \"string\", \"pattern\": \"^(ip|all|header:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})$\"".to_owned())
        }
        Kind::Networks => Some(format!(
            "\"type\": \"array\", \"maxItems\": {}, \"items\": {{ \"type\": \"string\", \"pattern\": \"^[0-9A-Fa-f.:]+(/[0-9]{{1,3}})?$\" }}",
            Networks::MOST
        )),
        Kind::Word(names) => {
            let names: Vec<String> = names().iter().map(|name| format!("\"{name}\"")).collect();
            Some(format!("\"enum\": [{}]", names.join(", ")))
        }
        Kind::Name => Some(PATTERN.to_owned()),
    }
}

/// The text above the tables of keys.
const KEYS: &str = "# All keys\n\nEvery key of a policy, by its part, and at the end those of a limit. One without a default is needed where its table is, or not set unless a file \
                    sets it.\nThis page is made of the rows that the reader goes by.\n\n";

/// The text above the keys of a limit.
const LIMIT_KEYS: &str = "## `[limit.NAME]`\n\nHow many requests by key may begin in a time: a table of its own beside the policies.\n\n\
                          | key | value | default | |\n|---|---|---|---|\n";

/// The tables of all keys, in Markdown: a section for each part.
#[must_use]
pub fn key_tables() -> String {
    let mut text = KEYS.to_owned();
    for part in PARTS {
        let Some(head) = rows().find(|row| row.path == part) else {
            continue;
        };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "## `{part}`\n\n{}\n\n| key | value | default | |\n|---|---|---|---|\n",
            head.doc
        );
        let below = rows().filter(|row| row.path.strip_prefix(part).is_some_and(|rest| rest.starts_with('.')));
        add_rows(&mut text, part.len() + 1, below, &defaults_of(part));
        text.push('\n');
    }
    text.push_str(LIMIT_KEYS);
    let mut defaults = LimitConfig::START;
    LIMIT.iter().for_each(|row| row.leave_out(&mut defaults));
    add_rows(&mut text, 0, LIMIT.iter(), &defaults);
    text.trim_end().to_owned() + "\n"
}

/// Adds a line for each row; the first `above` bytes of its path are left out.
fn add_rows<C: Settings>(text: &mut String, above: usize, rows: impl Iterator<Item = &'static Row<C>>, defaults: &C) {
    for row in rows {
        let key = &row.path[above..];
        let default = (row.needed_in(None).is_none() && !row.follows(defaults))
            .then(|| row.value(defaults))
            .flatten();
        let default = default
            .and_then(Datum::text)
            .map_or_else(String::new, |text| format!("`{text}`"));
        let of = match row.of {
            [] => String::new(),
            of => format!("Of `{}`. ", of.join("`, `")),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{key}` | {} | {default} | {of}{} |",
            row.value_in_words(),
            row.doc
        );
    }
}

/// A policy with one part, and every table of it switched on.
fn defaults_of(part: &str) -> PolicyConfig {
    let mut config = PolicyConfig::NONE;
    for row in rows().filter(|row| matches!(row.kind, Kind::Table | Kind::Delay)) {
        if row.path.split('.').next() == Some(part) {
            row.set(&mut config, Datum::On);
        }
    }
    // What follows from other settings has no default of its own.
    rows().for_each(|row| row.leave_out(&mut config));
    config
}

impl<C> Row<C> {
    /// What may be written, in a few words.
    fn value_in_words(&self) -> String {
        let words = match &self.kind {
            Kind::Table => "a table".to_owned(),
            Kind::Delay => "a time or a table".to_owned(),
            Kind::Flag => "`true`, `false`".to_owned(),
            Kind::Whole(least, u64::MAX) => format!("a whole number, {least} or more"),
            Kind::Whole(least, most) => format!("a whole number from {least} to {most}"),
            Kind::Number(_) => "a number".to_owned(),
            Kind::Time => "a time".to_owned(),
            Kind::TimeAboveZero => "a time above zero".to_owned(),
            Kind::Ratio => "a ratio".to_owned(),
            Kind::Share => "a ratio above zero".to_owned(),
            Kind::RatioBelowOne => "a ratio below one".to_owned(),
            Kind::Fraction => "a ratio above zero and below one".to_owned(),
            Kind::Fractions => "a list of ratios".to_owned(),
            Kind::Rate => "a rate".to_owned(),
            Kind::Window => format!(
                "a time, or a number of calls: `{{ calls = 100 }}`, up to {}",
                Window::MOST_CALLS
            ),
            Kind::Word(names) => format!("`\"{}\"`", names().join("\"`, `\"")),
            Kind::Name => "a name".to_owned(),
            Kind::Key => "`\"ip\"`, `\"all\"`, `\"header:NAME\"`".to_owned(),
            Kind::Networks => format!("a list of addresses and networks, at most {}", Networks::MOST),
        };
        match self.can_be_off {
            true => format!("{words}; `false`"),
            false => words,
        }
    }
}
