//! `c13 config explain`: a setting, where its value comes from, and what that hides; or all settings below a path.

use std::fmt::Write as _;

use c13_reliability::policy::document::nearest;
use c13_reliability::policy::file::{NamedPolicy, PolicySet, SCHEMA, Setting, origin_text, switches};
use serde::Serialize;
use serde_json::Value as Json;

use super::json::{self, Origin};
use crate::cmd::Failure;

/// Refuses a file in place of a path.
pub(super) fn is_a_path(path: &str) -> Result<(), Failure> {
    if path != "-" && !path.ends_with(".toml") && !path.contains('/') {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "`{path}` is a file: what to explain comes first, a policy or a path such as `payments.retry`, as in \
         `c13 config explain payments.retry {path}`"
    )))
}

/// The explanation for people.
pub(super) fn told(set: &PolicySet, path: &str) -> Result<String, Failure> {
    let (name, found) = find(set, path)?;
    let mut text = String::new();
    for Found { setting, applies } in found {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "policy.{name}.{} = {}", setting.path, setting.value);
        let _ = writeln!(text, "  from {}", setting.origin());
        if !applies {
            let _ = writeln!(text, "  without effect: {}", what_is_missing(&setting.path));
        }
        for place in setting.below() {
            let what = match place.path == setting.path {
                true => place.value.clone(),
                false => format!("{} = {}", place.path, place.value),
            };
            let _ = writeln!(text, "  over {what} from {}", origin_text(&place.span));
        }
    }
    Ok(text)
}

/// Why a setting of the defaults does not apply.
fn what_is_missing(path: &str) -> String {
    let part = path.split('.').next().unwrap_or_default();
    let keys: Vec<String> = switches(part).iter().map(|key| format!("`{part}.{key}`")).collect();
    match &keys[..] {
        [first @ .., last] if !first.is_empty() => format!("no layer sets {} or {last}", first.join(", ")),
        _ => format!("no layer sets {}", keys.concat()),
    }
}

#[derive(Serialize)]
struct Explained<'a> {
    schema: u32,
    settings: Vec<Explanation<'a>>,
}

#[derive(Serialize)]
struct Explanation<'a> {
    policy: &'a str,
    path: &'a str,
    value: Json,
    #[serde(flatten)]
    origin: Origin,
    applies: bool,
    overrides: Vec<Hidden<'a>>,
}

#[derive(Serialize)]
struct Hidden<'a> {
    path: &'a str,
    value: Json,
    #[serde(flatten)]
    origin: Origin,
}

/// The explanation for programs.
pub(super) fn json(set: &PolicySet, path: &str) -> Result<String, Failure> {
    let (policy, found) = find(set, path)?;
    let settings = found.into_iter().map(|Found { setting, applies }| Explanation {
        policy,
        path: &setting.path,
        value: json::value(&setting.value),
        origin: Origin::of(setting.span()),
        applies,
        overrides: setting
            .below()
            .map(|place| Hidden {
                path: &place.path,
                value: json::value(&place.value),
                origin: Origin::of(Some(&place.span)),
            })
            .collect(),
    });
    json::text(&Explained {
        schema: json::SCHEMA_VERSION,
        settings: settings.collect(),
    })
}

/// A setting that was asked for.
struct Found<'a> {
    setting: &'a Setting,
    /// Whether it does, or stands in the defaults of a part that nothing switches on.
    applies: bool,
}

/// The policy that a path names, and its settings there, below it, switched off in its place, or without effect.
fn find<'s>(set: &'s PolicySet, path: &str) -> Result<(&'s str, Vec<Found<'s>>), Failure> {
    let path = path.strip_prefix("policy.").unwrap_or(path);
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some((name, policy)) = set.iter().find(|(other, _)| *other == name) else {
        let names: Vec<&str> = set.iter().map(|(name, _)| name).collect();
        return Err(missing(&format!("there is no policy called \"{name}\""), name, &names));
    };
    let settings = policy.settings().iter().filter(|setting| is_below(&setting.path, rest));
    let off = policy.switched_off().iter();
    let off = off.filter(|setting| is_below(&setting.path, rest) || is_below(rest, &setting.path));
    let applies = settings.chain(off).map(|setting| Found { setting, applies: true });
    let idle = policy.idle().iter().filter(|setting| is_below(&setting.path, rest));
    let idle = idle.map(|setting| Found {
        setting,
        applies: false,
    });
    let found: Vec<Found<'_>> = applies.chain(idle).collect();
    if found.is_empty() && !rest.is_empty() {
        return Err(not_there(name, policy, rest));
    }
    Ok((name, found))
}

/// Whether a path is another one, or leads on from it.
fn is_below(path: &str, above: &str) -> bool {
    let after = path.strip_prefix(above);
    above.is_empty() || after.is_some_and(|after| after.is_empty() || after.starts_with('.'))
}

fn not_there(name: &str, policy: &NamedPolicy, path: &str) -> Failure {
    let keys: Vec<&str> = path.split('.').collect();
    let schema: Json = serde_json::from_str(SCHEMA).unwrap_or_default();
    if knows(&schema, &schema["$defs"]["policy"], &keys) {
        return Failure::Usage(format!(
            "policy.{name}.{path} is not set in any layer and has no default: it does not apply"
        ));
    }
    let paths: Vec<&str> = policy.settings().iter().map(|setting| setting.path.as_str()).collect();
    missing(&format!("policy.{name} has no setting \"{path}\""), path, &paths)
}

fn missing(message: &str, word: &str, names: &[&str]) -> Failure {
    Failure::Usage(match nearest(word, names.iter().copied()) {
        Some(name) => format!("{message}: did you mean \"{name}\"?"),
        None if names.is_empty() => message.to_owned(),
        None => format!("{message}: there are {}", names.join(", ")),
    })
}

/// Whether a schema has a place for these keys, and for nothing else beside them.
pub(super) fn knows(root: &Json, schema: &Json, keys: &[&str]) -> bool {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return knows(root, &root["$defs"][name], keys);
    }
    if let Some(kinds) = schema["anyOf"].as_array() {
        return kinds.iter().any(|kind| knows(root, kind, keys));
    }
    match keys {
        [] => true,
        [key, rest @ ..] => {
            schema["additionalProperties"] == false
                && schema["properties"]
                    .get(key)
                    .is_some_and(|schema| knows(root, schema, rest))
        }
    }
}
