//! The variants that a drill compares: the policies with which the callers protect themselves.

use std::time::Duration;

use c13_reliability::policy::document::{Diagnostic, Document, Source, Table, Value, nearest};
use c13_reliability::policy::file::{PolicyFiles, profile_document, read_policy};
use c13_reliability::policy::{PolicyConfig, Profile};

/// `[[variant]]`: the same callers with a policy of their own. Every variant sees the same arrivals.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variant {
    /// Lower-case letters, digits and dashes; unique within the scenario.
    pub name: String,
    /// A baseline is there to compare with: no objective judges it.
    pub baseline: bool,
    /// What runs around each call; `None` for no policy at all.
    pub policy: Option<PolicyConfig>,
    /// If all clients share the rate limit of the policy, how long a decision of the shared limit takes.
    pub shared_limit: Option<Duration>,
}

/// The variant that every drill has: no policy at all.
pub(crate) const UNPROTECTED: &str = "unprotected";

/// Names are columns of a table.
const LONGEST_NAME: usize = 20;
/// More variants than these are no comparison any more.
const MOST_VARIANTS: usize = 16;

/// Reads a file that a scenario names; says why it cannot be read.
pub(crate) type Files<'f> = &'f dyn Fn(&str) -> Result<Source, String>;

/// Reads every variant, and puts `unprotected` before them.
pub(super) fn read(root: &Table<'_>, files: Files<'_>) -> Option<Vec<Variant>> {
    let tables = root.tables("variant");
    let mut variants = vec![Variant {
        name: UNPROTECTED.to_owned(),
        baseline: true,
        policy: None,
        shared_limit: None,
    }];
    let mut seen: Vec<(String, &Table<'_>)> = Vec::new();
    for table in tables.iter().take(MOST_VARIANTS) {
        let name = read_name(table);
        if let Some(name) = &name {
            if let Some((_, first)) = seen.iter().find(|(other, _)| other == name) {
                let error = table.error("name", format!("two variants have the name \"{name}\""));
                table.report(error.also(first.value_span("name"), "the first"));
            }
            seen.push((name.clone(), table));
        }
        let baseline = table.optional("baseline").unwrap_or(false);
        let policy = read_policy_of(table, files);
        let shared_limit = read_shared_limit(table, policy.as_ref());
        if let (Some(name), Some(policy), Some(shared_limit)) = (name, policy, shared_limit) {
            variants.push(Variant {
                name,
                baseline,
                policy: Some(policy),
                shared_limit,
            });
        }
    }
    if tables.len() > MOST_VARIANTS {
        let error = Diagnostic::new(
            tables[MOST_VARIANTS].span().clone(),
            format!("a drill has at most {MOST_VARIANTS} variants"),
        );
        root.report(error.help("make two scenarios of it"));
        tables[MOST_VARIANTS..].iter().for_each(Table::ignore_rest);
    }
    (variants.len() == tables.len() + 1).then_some(variants)
}

fn read_name(table: &Table<'_>) -> Option<String> {
    let name: String = table.required("name")?;
    let of_columns = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(of_columns) {
        let error = table.error(
            "name",
            "`variant.name` must be of lower-case letters, digits and dashes",
        );
        table.report(error.label(format!("1 to {LONGEST_NAME} of them")));
    } else if name == UNPROTECTED {
        let error = table.error("name", format!("the name \"{UNPROTECTED}\" is taken"));
        table.report(
            error
                .label("every drill has this variant")
                .help("remove this one, or give it another name"),
        );
    }
    Some(name)
}

fn read_policy_of(table: &Table<'_>, files: Files<'_>) -> Option<PolicyConfig> {
    let errors = table.document().error_count();
    let profile = table.optional_choice("profile", &Profile::ALL.map(|profile| (profile.name(), profile)));
    if !table.has("policy") && !table.has("profile") {
        let error = Diagnostic::new(table.span().clone(), "a variant has a `profile`, a `policy`, or both").absence();
        let help =
            format!("add `profile = \"critical\"` or a table `[variant.policy]`; \"{UNPROTECTED}\" is there already");
        table.report(error.label("this one has neither").help(help));
    }
    if let Some(value) = table.value("policy")
        && value.as_text().is_none()
        && value.as_table().is_none()
    {
        if let Some(shape) = value.shape() {
            let error = value.error("`variant.policy` must be text that names a file and a policy in it, or a table");
            let error = error.label(format!("this is {}", shape.name()));
            table.report(error.help(NAMED_OR_OWN));
        }
        return None;
    }
    let named = table.value("policy").filter(|value| value.as_text().is_some());
    let (below, own, called) = match &named {
        Some(reference) => (
            read_service_policy(table, reference, files),
            table.optional_table("set"),
            "variant.set",
        ),
        None => (profile.map(profile_document), table.optional_table("policy"), POLICY),
    };
    if named.is_none() && table.has("set") {
        let error = table.error(
            "set",
            "`variant.set` changes a policy of a service's file, and this variant names none",
        );
        table.report(error.help("write `policy = \"service.toml#payments\"`, or the settings into `[variant.policy]`"));
    }
    if own.as_ref().is_some_and(Table::is_empty) {
        let key = if named.is_some() { "set" } else { "policy" };
        let error = table.error(key, format!("`{called}` sets nothing"));
        table.report(error.help("add a setting, or remove the table"));
    }
    let below = below.as_ref().map(Document::root);
    let layers: Vec<Table<'_>> = below.into_iter().chain(own).collect();
    match read_policy(called, &layers) {
        Ok(config) => (table.document().error_count() == errors).then_some(config),
        Err(errors) => {
            table.document().report_all(&errors);
            None
        }
    }
}

/// `shared = { rate_limit = "2ms" }`: the rate limit is one for all clients, as one on Redis is, and a decision takes so long.
/// The outer `None` is an error, the inner one no such limit.
fn read_shared_limit(table: &Table<'_>, policy: Option<&PolicyConfig>) -> Option<Option<Duration>> {
    if !table.has("shared") {
        return Some(None);
    }
    let shared = table.optional_table("shared")?;
    let takes: Duration = shared.required("rate_limit")?;
    if policy.is_some_and(|policy| policy.rate_limit.is_none()) {
        let error = shared.error("rate_limit", "`variant.shared.rate_limit` needs a rate limit to share");
        table.report(error.help("set `rate_limit` in the variant's policy, for example `{ rate = \"600/s\" }`"));
    }
    Some(Some(takes))
}

/// A policy of a service's own file, `service.toml#payments`: the very settings that the service runs with, each at its own
/// place. Environment variables do not count: a drill says the same everywhere.
fn read_service_policy(table: &Table<'_>, reference: &Value<'_>, files: Files<'_>) -> Option<Document> {
    if table.has("profile") {
        let error = table.error(
            "profile",
            "a variant with a policy of a service's file has no profile besides",
        );
        table.report(error.also(Some(reference.span().clone()), "the policy says itself what it extends"));
    }
    let text = reference.as_text()?;
    let Some((file, name)) = text
        .split_once('#')
        .filter(|(file, name)| !file.is_empty() && !name.is_empty())
    else {
        let error = reference.error("`variant.policy` must name a file and a policy in it");
        let profile = nearest(text, Profile::ALL.map(Profile::name)).filter(|_| !text.contains(['#', '.', '/']));
        table.report(match profile {
            Some(profile) => error.help(format!("a profile is named by `profile = \"{profile}\"`")),
            None => error.help(NAMED_OR_OWN),
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

const NAMED_OR_OWN: &str = "write `policy = \"service.toml#payments\"`, or a table `[variant.policy]`";

/// What errors call a variant's policy.
const POLICY: &str = "variant.policy";
