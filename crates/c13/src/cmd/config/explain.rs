//! `c13 config explain`: a setting, where its value comes from, and what that hides; or all settings below a path.

use std::fmt::Write as _;

use c13_reliability::policy::document::nearest;
use c13_reliability::policy::file::{NamedPolicy, PolicySet, Setting, origin_text, switches};
use serde::Serialize;
use serde_json::Value as Json;

use super::json::{self, Origin};
use super::known::{Known, some_of};
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
    let Explains { root, name, found } = find(set, path)?;
    let mut text = String::new();
    for Found { setting, idle } in found {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{root}.{name}.{} = {}", setting.path, setting.value);
        let _ = writeln!(text, "  from {}", setting.origin());
        if let Some(why) = idle {
            let _ = writeln!(text, "  without effect: {why}");
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

/// Why a setting that stands in a layer has no effect.
fn why_idle(policy: &NamedPolicy, setting: &Setting) -> String {
    if let Some(place) = setting.hidden_by() {
        return format!(
            "hidden by {} = {} from {}",
            place.path,
            place.value,
            origin_text(&place.span)
        );
    }
    let part = setting.path.split('.').next().unwrap_or_default();
    let keys: Vec<String> = switches(part).iter().map(|key| format!("`{part}.{key}`")).collect();
    let is_on = policy.settings().iter().any(|setting| is_below(&setting.path, part));
    match &keys[..] {
        _ if is_on => "nothing in this policy asks for it".to_owned(),
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
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a str>,
    path: &'a str,
    value: Json,
    #[serde(flatten)]
    origin: Origin,
    applies: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    without_effect: Option<String>,
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
    let Explains { root, name, found } = find(set, path)?;
    let settings = found.into_iter().map(|Found { setting, idle }| Explanation {
        policy: (root == POLICY).then_some(name),
        limit: (root == LIMIT).then_some(name),
        path: &setting.path,
        value: json::value(&setting.value),
        origin: Origin::of(setting.span()),
        applies: idle.is_none(),
        without_effect: idle,
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
    /// Why it has no effect, where it has none.
    idle: Option<String>,
}

/// What was asked for: a policy or a limit, and its settings.
struct Explains<'a> {
    root: &'static str,
    name: &'a str,
    found: Vec<Found<'a>>,
}

const POLICY: &str = "policy";
const LIMIT: &str = "limit";

/// The policy or limit that a path names, and its settings there, below it, in its place, or without effect.
fn find<'s>(set: &'s PolicySet, path: &str) -> Result<Explains<'s>, Failure> {
    if path.split('.').any(str::is_empty) {
        let rule = "a path is keys joined by single dots, such as `payments.retry.max_retries`";
        return Err(Failure::Usage(format!("`{path}` is no path: {rule}")));
    }
    if let Some(path) = path.strip_prefix("limit.") {
        return find_in_limit(set, path);
    }
    let path = path.strip_prefix("policy.").unwrap_or(path);
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some((name, policy)) = set.iter().find(|(other, _)| *other == name) else {
        return Err(Failure::Usage(no_policy(set, name)));
    };
    let known = Known::of_policies();
    if !known.has(rest) {
        let way_out = known.way_out(rest);
        return Err(Failure::Usage(format!(
            "policy.{name} has no setting \"{rest}\": {way_out}"
        )));
    }
    let settings = policy
        .extends()
        .into_iter()
        .chain(policy.settings())
        .chain(policy.switched_off());
    let settings = settings.filter(|setting| is_below(&setting.path, rest) || is_below(rest, &setting.path));
    let settings = settings.map(|setting| Found { setting, idle: None });
    let idle = policy.idle().iter().filter(|setting| is_below(&setting.path, rest));
    let idle = idle.map(|setting| Found {
        setting,
        idle: Some(why_idle(policy, setting)),
    });
    let found: Vec<Found<'_>> = settings.chain(idle).collect();
    if found.is_empty() && !rest.is_empty() {
        return Err(Failure::Usage(format!(
            "policy.{name}.{rest} is not set in any layer and has no default: it does not apply"
        )));
    }
    let root = POLICY;
    Ok(Explains { root, name, found })
}

/// The limit that a path without `limit.` names.
fn find_in_limit<'s>(set: &'s PolicySet, path: &str) -> Result<Explains<'s>, Failure> {
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some((name, limit)) = set.limits().find(|(other, _)| *other == name) else {
        let names: Vec<&str> = set.limits().map(|(name, _)| name).collect();
        return Err(Failure::Usage(nothing_called(LIMIT, name, &names)));
    };
    let known = Known::of_limits();
    if !known.has(rest) {
        let way_out = known.way_out(rest);
        return Err(Failure::Usage(format!(
            "limit.{name} has no setting \"{rest}\": {way_out}"
        )));
    }
    let settings = limit.settings().iter().filter(|setting| is_below(&setting.path, rest));
    let found = settings.map(|setting| Found { setting, idle: None }).collect();
    let root = LIMIT;
    Ok(Explains { root, name, found })
}

fn no_policy(set: &PolicySet, name: &str) -> String {
    let names: Vec<&str> = set.iter().map(|(name, _)| name).collect();
    nothing_called(POLICY, name, &names)
}

fn nothing_called(root: &str, name: &str, names: &[&str]) -> String {
    let message = format!("there is no {root} called \"{name}\"");
    match nearest(name, names.iter().copied()) {
        Some(name) => format!("{message}: did you mean \"{name}\"?"),
        None if names.is_empty() => message,
        None => format!("{message}: {}", some_of(names)),
    }
}

/// Whether a path is another one, or leads on from it.
fn is_below(path: &str, above: &str) -> bool {
    let after = path.strip_prefix(above);
    above.is_empty() || after.is_some_and(|after| after.is_empty() || after.starts_with('.'))
}
