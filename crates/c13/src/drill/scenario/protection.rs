//! What runs around calls: a profile, a table of settings, or a policy of a service's own file.

use std::time::Duration;

use c13_reliability::policy::document::{Diagnostic, Document, Table, Value, nearest};
use c13_reliability::policy::file::{PolicyFiles, profile_document, read_policy};
use c13_reliability::policy::{PolicyConfig, Profile};

use super::variant::{Files, UNPROTECTED};

/// A policy around calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Protection {
    /// Each instance of the caller has one of these.
    pub policy: PolicyConfig,
    /// If all instances share the rate limit of the policy, how long a decision of the shared limit takes.
    pub shared_limit: Option<Duration>,
}

/// Whether a table says anything about a policy.
pub(super) fn is_set(table: &Table<'_>) -> bool {
    KEYS.iter().any(|key| table.contains(key))
}

/// The keys that say something about a policy.
const KEYS: [&str; 4] = ["profile", "policy", "set", "shared"];

/// Reads the policy of a table, which errors call `owner`.
pub(super) fn read(table: &Table<'_>, owner: &'static str, files: Files<'_>) -> Option<Protection> {
    let policy = read_policy_of(table, owner, files);
    let shared_limit = read_shared_limit(table, owner, policy.as_ref());
    Some(Protection {
        policy: policy?,
        shared_limit: shared_limit?,
    })
}

fn read_policy_of(table: &Table<'_>, owner: &'static str, files: Files<'_>) -> Option<PolicyConfig> {
    let errors = table.document().error_count();
    let profile = table.optional_choice("profile", &Profile::ALL.map(|profile| (profile.name(), profile)));
    if !table.has("policy") && !table.has("profile") {
        let message = format!("{} has a `profile`, a `policy`, or both", called(owner));
        let error = Diagnostic::new(table.span().clone(), message).absence();
        let help = format!("add `profile = \"critical\"` or a table `[{owner}.policy]`");
        table.report(error.label("this one has neither").help(match owner {
            "variant" => format!("{help}; \"{UNPROTECTED}\" is there already"),
            _ => help,
        }));
    }
    if let Some(value) = table.value("policy")
        && value.as_text().is_none()
        && value.as_table().is_none()
    {
        if let Some(shape) = value.shape() {
            let rule = "must be text that names a file and a policy in it, or a table";
            let error = value.error(format!("`{owner}.policy` {rule}"));
            let error = error.label(format!("this is {}", shape.name()));
            table.report(error.help(named_or_own(owner)));
        }
        return None;
    }
    let named = table.value("policy").filter(|value| value.as_text().is_some());
    let key = if named.is_some() { "set" } else { "policy" };
    let path = format!("{owner}.{key}");
    let own = table.optional_table(key);
    let below = match &named {
        Some(reference) => read_service_policy(table, owner, reference, files),
        None => profile.map(profile_document),
    };
    if named.is_none() && table.has("set") {
        let names_none = called(owner).replacen("a ", "this ", 1);
        let message = format!("`{owner}.set` changes a policy of a service's file, and {names_none} names none");
        table.report(table.error("set", message).help(format!(
            "write `policy = \"service.toml#payments\"`, or the settings into `[{owner}.policy]`"
        )));
    }
    if own.as_ref().is_some_and(Table::is_empty) {
        let error = table.error(key, format!("`{path}` sets nothing"));
        table.report(error.help("add a setting, or remove the table"));
    }
    let below = below.as_ref().map(Document::root);
    let layers: Vec<Table<'_>> = below.into_iter().chain(own).collect();
    match read_policy(&path, &layers) {
        Ok(config) => (table.document().error_count() == errors).then_some(config),
        Err(errors) => {
            table.document().report_all(&errors);
            None
        }
    }
}

/// `shared = { rate_limit = "2ms" }`: the rate limit is one for all clients, as one on Redis is, and a decision takes so long.
/// The outer `None` is an error, the inner one no such limit.
fn read_shared_limit(
    table: &Table<'_>,
    owner: &'static str,
    policy: Option<&PolicyConfig>,
) -> Option<Option<Duration>> {
    if !table.has("shared") {
        return Some(None);
    }
    let shared = table.optional_table("shared")?;
    let takes: Duration = shared.required("rate_limit")?;
    if policy.is_some_and(|policy| policy.rate_limit.is_none()) {
        let message = format!("`{owner}.shared.rate_limit` needs a rate limit to share");
        let error = shared.error("rate_limit", message);
        let whose = if owner == "variant" {
            "the variant's policy"
        } else {
            "the policy"
        };
        table.report(error.help(format!(
            "set `rate_limit` in {whose}, for example `{{ rate = \"600/s\" }}`"
        )));
    }
    Some(Some(takes))
}

/// A policy of a service's own file, `service.toml#payments`: the very settings that the service runs with, each at its own
/// place. Environment variables do not count: a drill says the same everywhere.
fn read_service_policy(
    table: &Table<'_>,
    owner: &'static str,
    reference: &Value<'_>,
    files: Files<'_>,
) -> Option<Document> {
    if table.has("profile") {
        let message = format!(
            "{} with a policy of a service's file has no profile besides",
            called(owner)
        );
        let error = table.error("profile", message);
        table.report(error.also(Some(reference.span().clone()), "the policy says itself what it extends"));
    }
    let text = reference.as_text()?;
    let Some((file, name)) = text
        .split_once('#')
        .filter(|(file, name)| !file.is_empty() && !name.is_empty())
    else {
        let error = reference.error(format!("`{owner}.policy` must name a file and a policy in it"));
        let profile = nearest(text, Profile::ALL.map(Profile::name)).filter(|_| !text.contains(['#', '.', '/']));
        table.report(match profile {
            Some(profile) => error.help(format!("a profile is named by `profile = \"{profile}\"`")),
            None => error.help(named_or_own(owner)),
        });
        return None;
    };
    let source = match files(file) {
        Ok(source) => source,
        Err(reason) => {
            table.report(reference.error(format!("cannot read {file}: {reason}")));
            return None;
        }
    };
    let set = match PolicyFiles::new().file(source).read() {
        Ok(set) => set,
        Err(errors) => {
            table.document().report_all(&errors);
            return None;
        }
    };
    let Some(policy) = set.policy(name) else {
        let names: Vec<&str> = set.iter().map(|(name, _)| name).collect();
        let error = reference.error(format!("{file} has no policy called \"{name}\""));
        table.report(match nearest(name, names.iter().copied()) {
            Some(near) => error.help(format!("did you mean \"{near}\"?")),
            None => error.help(format!("there are {}", names.join(", "))),
        });
        return None;
    };
    Some(policy.document(text))
}

fn named_or_own(owner: &str) -> String {
    format!("write `policy = \"service.toml#payments\"`, or a table `[{owner}.policy]`")
}

/// What has the policy, in words.
fn called(owner: &str) -> &str {
    match owner {
        "variant" => "a variant",
        "variant.on" => "a table of `variant.on`",
        _ => "a dependency with a policy",
    }
}
