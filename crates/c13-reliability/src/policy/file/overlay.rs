//! Settings of the environment and of the command line: each one assignment, read as a document of its own.

use std::fmt::Write as _;
use std::ops::Range;

use super::set::ENVIRONMENT_PREFIX;
use crate::policy::document::{Diagnostic, Document, Source, Span, nearest};

/// What errors call the command line's settings.
pub(super) const SET: &str = "--set";

/// What a setting's path begins with.
pub(super) const ROOTS: [&str; 2] = ["policy", "defaults"];

/// The variable's setting; `None` if the variable is none of ours. `names` are the policies that it may be about.
pub(super) fn variable_document(name: &str, value: &str, names: &[String]) -> Option<Document> {
    let path = name.strip_prefix(ENVIRONMENT_PREFIX)?.to_ascii_lowercase();
    let mut keys: Vec<String> = path.split("__").map(str::to_owned).collect();
    let root = keys[0].clone();
    if !ROOTS.contains(&root.as_str()) {
        let near = nearest(&root, ROOTS)?.to_ascii_uppercase();
        let rest = &name[ENVIRONMENT_PREFIX.len() + root.len()..];
        let help = format!("did you mean `{ENVIRONMENT_PREFIX}{near}{rest}`?");
        let message = format!("unknown key `{root}`");
        return Some(refused(
            name,
            assignment(&keys, value),
            0..root.len(),
            &message,
            "",
            &help,
        ));
    }
    if value.trim().is_empty() {
        let text = assignment(&keys, "");
        let end = text.len();
        let help = "unset it, or give it a value";
        return Some(refused(name, text, end - 2..end, "the variable is empty", "", help));
    }
    if root == "policy"
        && let Some(key) = keys.get(1).cloned()
    {
        let meant: Vec<&String> = names.iter().filter(|name| name.replace('-', "_") == key).collect();
        match meant[..] {
            [] => {}
            [name] => keys[1].clone_from(name),
            [first, second, ..] => {
                let message = format!("`{key}` may be the policy `{first}` or the policy `{second}`");
                let help = "a policy's dashes are underscores in a variable's name: rename one of the two, or write the \
                            setting into a file or after --set";
                let start = root.len() + 1;
                let place = start..start + key.len();
                return Some(refused(name, assignment(&keys, value), place, &message, "", help));
            }
        }
    }
    Some(Document::parse(Source::new(name, assignment(&keys, value))))
}

/// The setting of an argument such as `policy.payments.timeout.total=800ms`.
pub(super) fn set_document(argument: &str) -> Document {
    const EXAMPLE: &str = "write, for example, `--set policy.payments.timeout.total=800ms`";
    let all = 0..argument.len();
    let wrong = |place: Range<usize>, message: &str, label: &str| {
        refused(SET, argument.to_owned(), place, message, label, EXAMPLE)
    };
    let Some((path, value)) = argument.split_once('=') else {
        return match argument.trim().is_empty() {
            true => wrong(all, "there is no setting after `--set`", ""),
            false => wrong(all, "a setting is a path, `=` and a value", "there is no `=`"),
        };
    };
    if path.trim().is_empty() {
        wrong(
            all,
            "a setting is a path, `=` and a value",
            "there is no path before the `=`",
        )
    } else if value.trim().is_empty() {
        wrong(
            all,
            "a setting is a path, `=` and a value",
            "there is no value after the `=`",
        )
    } else {
        let text = format!("{} = {}", path.trim(), toml_value(value.trim()));
        Document::parse(Source::new(SET, text))
    }
}

/// A document of which nothing is read but that it is wrong.
fn refused(name: &str, text: String, place: Range<usize>, message: &str, label: &str, help: &str) -> Document {
    let document = Document::unread(Source::new(name, text));
    let error = Diagnostic::new(Span::new(document.source(), place), message);
    document.report(error.label(label).help(help));
    document
}

fn assignment(keys: &[String], value: &str) -> String {
    let bare = |key: &String| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let keys: Vec<String> = keys
        .iter()
        .map(|key| if bare(key) { key.clone() } else { quoted(key) })
        .collect();
    format!("{} = {}", keys.join("."), toml_value(value))
}

/// The value as TOML: as it stands if it is a TOML value or begins like a table or a list, else as text in quotes.
fn toml_value(raw: &str) -> String {
    let document = Document::parse(Source::new("", format!("value = {raw}")));
    let is_value = document.root().entries().len() == 1 && !document.has_errors() && !raw.trim().is_empty();
    let is_meant_as_one = raw.starts_with(['{', '[']);
    // A line break could begin another setting.
    if (is_value || is_meant_as_one) && !raw.contains('\n') {
        raw.to_owned()
    } else {
        quoted(raw)
    }
}

/// A text in TOML's quotes.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            c if c.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
