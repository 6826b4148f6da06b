//! The variants that a drill compares: the policies with which the callers protect themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use c13_reliability::policy::PolicyConfig;
use c13_reliability::policy::document::{Diagnostic, Source, Table, nearest};

use super::dependency::Dependency;
use super::protection::{self, Protection};

/// `[[variant]]`: the same callers with a policy of their own. Every variant sees the same arrivals.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variant {
    /// Lower-case letters, digits and dashes; unique within the scenario.
    pub name: String,
    /// A baseline is there to compare with: no objective judges it.
    pub baseline: bool,
    /// What runs around each call that the callers make; `None` for no policy at all.
    pub policy: Option<PolicyConfig>,
    /// If all clients share the rate limit of the policy, how long a decision of the shared limit takes.
    pub shared_limit: Option<Duration>,
    /// In place of that policy, and of a service's own, what runs around the calls to some of the dependencies.
    pub on: BTreeMap<usize, Protection>,
}

impl Variant {
    /// Whether nothing protects the callers.
    #[must_use]
    pub(crate) fn is_unprotected(&self) -> bool {
        self.policy.is_none() && self.on.is_empty()
    }

    /// What runs around the calls of the callers to a dependency.
    #[must_use]
    pub(crate) fn protection(&self, dependency: usize) -> Option<Protection> {
        let general = self.policy.map(|policy| Protection {
            policy,
            shared_limit: self.shared_limit,
        });
        self.on.get(&dependency).copied().or(general)
    }

    /// What runs around the calls to a dependency that `service` makes.
    #[must_use]
    pub(crate) fn protection_of_service(&self, service: &Dependency, dependency: usize) -> Option<Protection> {
        self.on.get(&dependency).copied().or(service.protection)
    }
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
pub(super) fn read(root: &Table<'_>, files: Files<'_>, dependencies: &[String]) -> Option<Vec<Variant>> {
    let tables = root.tables("variant");
    let mut variants = vec![Variant {
        name: UNPROTECTED.to_owned(),
        baseline: true,
        policy: None,
        shared_limit: None,
        on: BTreeMap::new(),
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
        let on = read_on(table, files, dependencies);
        let general = match table.has("on") && !protection::is_set(table) {
            true => Some(None),
            false => protection::read(table, "variant", files).map(Some),
        };
        if let (Some(name), Some(general), Some(on)) = (name, general, on) {
            variants.push(Variant {
                name,
                baseline,
                policy: general.map(|general| general.policy),
                shared_limit: general.and_then(|general| general.shared_limit),
                on,
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

/// `on.ads = { profile = "batch" }`: what runs around the calls to that dependency.
fn read_on(table: &Table<'_>, files: Files<'_>, dependencies: &[String]) -> Option<BTreeMap<usize, Protection>> {
    let mut on = BTreeMap::new();
    if !table.has("on") {
        return Some(on);
    }
    let tables = table.optional_table("on")?;
    if tables.is_empty() {
        let error = table.error("on", "`variant.on` names no dependency");
        table.report(error.help("write, for example, `on.payments = { profile = \"critical\" }`, or remove it"));
        return None;
    }
    let entries = tables.entries();
    for (name, span, value) in &entries {
        let Some(index) = dependencies.iter().position(|dependency| dependency == name) else {
            let error = Diagnostic::new((*span).clone(), format!("there is no dependency called \"{name}\""));
            table.report(known_names(error, name, dependencies));
            if let Some(table) = value.as_table() {
                table.ignore_rest();
            }
            continue;
        };
        if let Some(protection) = value
            .read_table()
            .and_then(|table| protection::read(&table, "variant.on", files))
        {
            on.insert(index, protection);
        }
    }
    (on.len() == entries.len()).then_some(on)
}

/// Adds to an error which name was meant, or which there are.
pub(super) fn known_names(error: Diagnostic, name: &str, names: &[String]) -> Diagnostic {
    match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => error.help(format!("did you mean \"{near}\"?")),
        None => error.help(format!("there are {}", names.join(", "))),
    }
}
