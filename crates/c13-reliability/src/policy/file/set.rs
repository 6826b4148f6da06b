//! All policies of a service, put together from code, files, the environment and the command line.

use std::collections::BTreeMap;

use super::chain::{self, Layer, Tables};
use super::faults::Faults;
use super::limit_tables::LimitTables;
use super::overlay::{is_ours, set_document, variable_documents};
use super::read::{faults_of_idle_defaults, faults_of_values, read_named_policy};
use super::setting::{NamedLimit, NamedPolicy, NamedSettings, Setting};
use super::settings::Settings;
use super::text::policy_text;
use crate::policy::PolicyConfig;
use crate::policy::document::{Diagnostic, Diagnostics, Document, Noted, Source, Span, Table};

/// What policies are read from, lowest layer first: code, then files in their order, then the environment, then the
/// command line.
///
/// ```
/// use c13_reliability::policy::document::Source;
/// use c13_reliability::policy::file::PolicyFiles;
/// use std::time::Duration;
///
/// let text = r#"
/// [defaults]
/// timeout.total = "5s"
///
/// [policy.payments]
/// extends = "critical"
/// timeout = { total = "3s", attempt = "500ms" }
///
/// [policy.search]
/// bulkhead.max_concurrent = 64
/// "#;
/// let set = PolicyFiles::new()
///     .file(Source::new("service.toml", text))
///     .variable("C13__POLICY__SEARCH__TIMEOUT__TOTAL", "800ms")
///     .read()?;
/// let search = set.policy("search").expect("the file names it");
/// assert_eq!(search.config().total_timeout, Some(Duration::from_millis(800)));
/// let total = search.setting("timeout.total").expect("it is set");
/// assert_eq!(total.origin(), "C13__POLICY__SEARCH__TIMEOUT__TOTAL");
/// assert_eq!(total.below().map(|place| place.span.position().line).collect::<Vec<_>>(), [3]);
/// # Ok::<_, c13_reliability::policy::document::Diagnostics>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct PolicyFiles {
    code: Vec<(String, PolicyConfig)>,
    files: Vec<Source>,
    variables: Vec<(String, String)>,
    sets: Vec<String>,
}

/// What the names of environment variables begin with.
pub const ENVIRONMENT_PREFIX: &str = "C13__";

impl PolicyFiles {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A policy as code has it. Settings of files go over this.
    #[must_use]
    pub fn code(mut self, name: &str, config: PolicyConfig) -> Self {
        self.code.push((name.to_owned(), config));
        self
    }

    /// A file, over those that were added before. One with nothing but white space is refused, because a file looks like that
    /// for a moment while it is written; a file without settings has a comment.
    #[must_use]
    pub fn file(mut self, source: Source) -> Self {
        self.files.push(source);
        self
    }

    /// An environment variable, over all files: `C13__POLICY__PAYMENTS__TIMEOUT__TOTAL` is
    /// `policy.payments.timeout.total`, and `C13__DEFAULTS__TIMEOUT__TOTAL` is `defaults.timeout.total`. A policy's dashes
    /// are underscores in it.
    ///
    /// A name that begins with neither is ignored, unless it is nearly one of the two: that is refused. So are a policy that
    /// neither code nor a file names, because a variable that outlives a file must not stand in for it, and two variables
    /// that set the same, in small letters and in large ones.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// All variables of the process's environment, as [`variable`](Self::variable) takes them. Those that are no text
    /// are ignored unless they are ours, and refused then.
    #[must_use]
    pub fn environment(self) -> Self {
        let variables = std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value));
        // The system lists them in no order.
        let ours: BTreeMap<_, _> = variables.filter(|(name, _)| is_ours(name)).collect();
        ours.iter().fold(self, |files, (name, value)| {
            files.variable(name, &value.to_string_lossy())
        })
    }

    /// A setting of the command line, over everything else: `policy.payments.timeout.total=800ms`. As with
    /// [`variable`](Self::variable), the policy is one that code or a file names.
    #[must_use]
    pub fn set(mut self, assignment: &str) -> Self {
        self.sets.push(assignment.to_owned());
        self
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in any layer, and every contradiction between them.
    pub fn read(&self) -> Result<PolicySet, Diagnostics> {
        let mut documents: Vec<Document> = self.files.iter().cloned().map(Document::parse).collect();
        let (names, limits) = (chain::names(&self.code, &documents), chain::limit_names(&documents));
        let files = documents.len();
        documents.extend(variable_documents(&self.variables, &names, &limits));
        documents.extend(self.sets.iter().map(|argument| set_document(argument)));
        let code: Vec<(&str, Document)> = self
            .code
            .iter()
            .map(|(name, config)| (name.as_str(), code_document(name, config)))
            .collect();
        let mut policies = BTreeMap::new();
        let mut errors = Noted::default();
        let limits;
        {
            let limit_tables = LimitTables::read(&documents, files, &mut errors);
            let tables = Tables::read(&code, &documents, files, !limit_tables.is_empty(), &mut errors);
            let mut faults = Faults::default();
            for name in tables.names() {
                let Some(layers) = tables.layers(name) else {
                    continue;
                };
                if faults.is_full() {
                    errors.stop();
                    break;
                }
                match read_named_policy(&format!("policy.{name}"), &layers) {
                    Ok(config) => {
                        let layers: Vec<Table<'_>> = layers.iter().map(Layer::root).collect();
                        policies.insert(name.to_owned(), NamedPolicy::new(config, &layers));
                    }
                    Err(found) => {
                        found.iter().for_each(|error| faults.add(name, error));
                        errors.add_uncounted(&found);
                    }
                }
            }
            errors.extend(faults.reported(&tables));
            errors.extend(faults_of_idle_defaults(tables.defaults()));
            let shows = |error: &Diagnostic, place: &Span| error.places().any(|shown| shown == place);
            for table in tables.written() {
                if errors.is_full() {
                    errors.stop();
                    break;
                }
                for error in faults_of_values::<PolicyConfig>(table) {
                    if !errors.list().iter().any(|other| shows(other, &error.primary.span)) {
                        errors.push(error);
                    }
                }
            }
            limits = limit_tables.limits(&mut errors);
        }
        if documents.iter().any(Document::is_damaged) {
            errors.retain(|error| !error.absence);
        }
        for document in documents {
            if let Err(found) = document.finish(Some(())) {
                errors.add(&found);
            }
        }
        errors
            .into_diagnostics()
            .map_or(Ok(PolicySet { policies, limits }), Err)
    }
}

fn code_document(name: &str, config: &PolicyConfig) -> Document {
    Document::parse(Source::generated(format!("the code's {name}"), policy_text(config)))
}

/// Policies and limits by name, each with where its settings come from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PolicySet {
    policies: BTreeMap<String, NamedPolicy>,
    limits: BTreeMap<String, NamedLimit>,
}

impl PolicySet {
    /// A policy by its name.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<&NamedPolicy> {
        self.policies.get(name)
    }

    /// A limit by its name.
    #[must_use]
    pub fn limit(&self, name: &str) -> Option<&NamedLimit> {
        self.limits.get(name)
    }

    /// All policies, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &NamedPolicy)> {
        self.policies.iter().map(|(name, policy)| (name.as_str(), policy))
    }

    /// All limits, by name.
    pub fn limits(&self) -> impl Iterator<Item = (&str, &NamedLimit)> {
        self.limits.iter().map(|(name, limit)| (name.as_str(), limit))
    }

    /// What is different in `newer`, leaf by leaf.
    #[must_use]
    pub fn changes(&self, newer: &Self) -> Vec<Change> {
        let mut changes = changes_below("policy", &self.policies, &newer.policies);
        changes.extend(changes_below("limit", &self.limits, &newer.limits));
        changes
    }
}

/// What is different between two sets of named settings; `root` begins the path of each.
fn changes_below<C: Settings>(
    root: &str,
    before: &BTreeMap<String, NamedSettings<C>>,
    after: &BTreeMap<String, NamedSettings<C>>,
) -> Vec<Change> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let settings = |set: &BTreeMap<String, NamedSettings<C>>, name: &str| -> Vec<(String, String)> {
        set.get(name).map_or_else(Vec::new, |named| {
            let pair = |setting: &Setting| (setting.path.clone(), setting.value.clone());
            named.settings().iter().map(pair).collect()
        })
    };
    let mut changes = Vec::new();
    for name in names {
        let (before, after) = (settings(before, name), settings(after, name));
        let value = |list: &[(String, String)], path: &str| {
            list.iter()
                .find(|(other, _)| other == path)
                .map(|(_, value)| value.clone())
        };
        let gone = before.iter().filter(|(path, _)| value(&after, path).is_none());
        for (path, _) in after.iter().chain(gone) {
            let (old, new) = (value(&before, path), value(&after, path));
            if old != new {
                changes.push(Change {
                    path: format!("{root}.{name}.{path}"),
                    before: old,
                    after: new,
                });
            }
        }
    }
    changes
}

/// One setting that a reload changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The setting, such as `policy.payments.timeout.total`.
    pub path: String,
    /// What it was, in TOML; `None` if it was not there.
    pub before: Option<String>,
    /// What it is now, in TOML; `None` if it is not there any more.
    pub after: Option<String>,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
        write!(f, "{}: {} → {}", self.path, value(&self.before), value(&self.after))
    }
}
