//! Settings of the environment and of the command line: each one assignment, read as a document of its own.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use super::set::ENVIRONMENT_PREFIX;
use crate::policy::document::{Diagnostic, Document, Source, Span, nearest};

/// The name of the command line's settings in errors.
pub(super) const SET: &str = "--set";

/// What a setting's path begins with.
pub(super) const ROOTS: [&str; 3] = ["policy", "defaults", "limit"];

/// The settings of the variables that are ours. `policies` and `limits` are what they may change.
pub(super) fn variable_documents(
    variables: &[(String, String)],
    policies: &[String],
    limits: &[String],
) -> Vec<Document> {
    let names = &Names::new(policies, limits);
    // The first spelling of each name, and the first that differs from it.
    let mut seen: HashMap<String, (&str, Option<&str>)> = HashMap::new();
    let documents = variables.iter().filter_map(|(name, value)| {
        let (first, second) = seen.entry(name.to_ascii_lowercase()).or_insert((name, None));
        let other = if *first == name { *second } else { Some(*first) };
        if *first != name {
            second.get_or_insert(name);
        }
        match other {
            Some(other) if name.starts_with(ENVIRONMENT_PREFIX) => twice(name, value, other, names),
            _ => variable_document(name, value, names),
        }
    });
    documents.collect()
}

/// The policies and limits that variables may change, by how they are written in a variable's name: dashes are underscores
/// there.
struct Names<'n> {
    policies: Index<'n>,
    limits: Index<'n>,
}

type Index<'n> = HashMap<String, Vec<&'n str>>;

impl<'n> Names<'n> {
    fn new(policies: &'n [String], limits: &'n [String]) -> Self {
        Self {
            policies: index(policies),
            limits: index(limits),
        }
    }

    /// What a key of a variable's name may be below this root.
    fn meant(&self, root: &str, key: &str) -> &[&'n str] {
        let index = match root {
            "policy" => &self.policies,
            "limit" => &self.limits,
            _ => return &[],
        };
        index.get(key).map_or(&[], Vec::as_slice)
    }
}

fn index(names: &[String]) -> Index<'_> {
    let mut index: Index<'_> = HashMap::new();
    for name in names {
        index.entry(name.replace('-', "_")).or_default().push(name);
    }
    index
}

/// The variable's setting; `None` if the variable is none of ours.
fn variable_document(name: &str, value: &str, names: &Names<'_>) -> Option<Document> {
    if let Some(meant) = nearly_ours(name) {
        let keys = keys_of(&meant, names);
        let text = assignment(&keys, value);
        let help = format!("did you mean `{meant}`?");
        let place = 0..text.find(" = ").unwrap_or(0);
        let message = format!("`{name}` is not the name of a setting");
        return Some(refused(name, text, place, &message, "", &help));
    }
    let path = name.strip_prefix(ENVIRONMENT_PREFIX)?.to_ascii_lowercase();
    let root = path.split("__").next().unwrap_or_default().to_owned();
    let keys = keys_of(name, names);
    if !ROOTS.contains(&root.as_str()) {
        let near = nearest_root(&root)?.to_ascii_uppercase();
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
    if let Some(key) = keys.get(1)
        && let [first, second, ..] = names.meant(&root, key)
    {
        let message = format!("`{key}` may be the {root} `{first}` or the {root} `{second}`");
        let help = "a policy's dashes are underscores in a variable's name: rename one of the two, or write the \
                    setting into a file or after --set";
        let start = root.len() + 1;
        let place = start..start + key.len();
        return Some(refused(name, assignment(&keys, value), place, &message, "", help));
    }
    if value.trim().is_empty() {
        let text = assignment(&keys, "");
        let end = text.len();
        let help = "unset it, or give it a value";
        return Some(refused(name, text, end - 2..end, "the variable is empty", "", help));
    }
    Some(Document::parse(Source::new(name, assignment(&keys, value))))
}

/// The error for a variable that sets the same as another one, with other capitals.
fn twice(name: &str, value: &str, other: &str, names: &Names<'_>) -> Option<Document> {
    let text = assignment(&keys_of(name, names), value);
    let place = 0..text.find(" = ").unwrap_or(0);
    let message = format!("the variable `{other}` sets this too");
    Some(refused(
        name,
        text,
        place,
        &message,
        "set twice",
        "unset one of the two",
    ))
}

/// The keys of a variable's name, with the policy's own name where there is one such.
fn keys_of(variable: &str, names: &Names<'_>) -> Vec<String> {
    let path = variable[ENVIRONMENT_PREFIX.len()..].to_ascii_lowercase();
    let mut keys: Vec<String> = path.split("__").map(str::to_owned).collect();
    if let [root, key, ..] = &mut keys[..]
        && let [name] = names.meant(root, key)
    {
        key.clear();
        key.push_str(name);
    }
    keys
}

/// The root that was probably meant by this word.
fn nearest_root(word: &str) -> Option<&'static str> {
    let near = nearest(word, ROOTS.into_iter().chain(["policies"]))?;
    Some(ROOTS.into_iter().find(|root| *root == near).unwrap_or("policy"))
}

/// Whether a variable may be ours: by its name it is a setting, or nearly one.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with(ENVIRONMENT_PREFIX) || nearly_ours(name).is_some()
}

/// The name that was meant by one that lacks an underscore, or whose `C13` is in small letters.
///
/// Where no keys are parted by two underscores, as in the names that the program itself reads, no setting was meant.
fn nearly_ours(name: &str) -> Option<String> {
    let begins_right = name.starts_with(ENVIRONMENT_PREFIX);
    let upper = name.to_ascii_uppercase();
    let rest = upper.strip_prefix(ENVIRONMENT_PREFIX.trim_end_matches('_'))?;
    let rest = rest.strip_prefix('_')?.trim_start_matches('_');
    let of_names = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !rest.chars().all(of_names) || !(begins_right || rest.contains("__")) {
        return None;
    }
    let parted = ROOTS.into_iter().find_map(|root| {
        let after = rest.strip_prefix(&root.to_ascii_uppercase())?.strip_prefix('_')?;
        (!after.starts_with('_')).then_some((root, after))
    });
    let (root, after) = match parted {
        Some(parted) => parted,
        // A name that begins correctly gets an error about its keys.
        None if begins_right => return None,
        None => {
            let (head, after) = rest.split_once("__")?;
            (nearest_root(head)?, after)
        }
    };
    Some(format!("{ENVIRONMENT_PREFIX}{}__{after}", root.to_ascii_uppercase()))
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

/// A document with nothing but an error.
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
