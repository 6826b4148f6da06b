//! Which tables make up a policy: defaults, what it extends, and its own, over all documents.

use super::text::profile_document;
use crate::policy::Profile;
use crate::policy::document::{Diagnostic, Document, Span, Table, Value, nearest};

/// Names are labels of metrics and parts of environment variables.
const LONGEST_NAME: usize = 64;

/// The tables of all documents, by what they are about.
pub(super) struct Tables<'d> {
    code: &'d [(&'d str, Document)],
    defaults: Vec<Table<'d>>,
    policies: Vec<Named<'d>>,
    profiles: [(Profile, Document); 3],
}

struct Named<'d> {
    name: &'d str,
    tables: Vec<Table<'d>>,
    extends: Option<(String, Value<'d>)>,
}

/// A layer of a policy: a table, or a whole document of ours.
pub(super) enum Layer<'a, 'd> {
    Table(&'a Table<'d>),
    Document(&'a Document),
}

impl<'a> Layer<'a, '_> {
    pub(super) fn root(&self) -> Table<'a>
    where
        Self: 'a,
    {
        match self {
            Self::Table(table) => (*table).clone(),
            Self::Document(document) => document.root(),
        }
    }
}

/// The names of all policies, in the order in which they occur.
pub(super) fn names(code: &[(String, crate::policy::PolicyConfig)], documents: &[Document]) -> Vec<String> {
    let mut names: Vec<String> = code.iter().map(|(name, _)| name.clone()).collect();
    for document in documents {
        let policies = document.root().value("policy").and_then(|value| value.as_table());
        let entries = policies.map_or_else(Vec::new, |policies| policies.entries());
        for (name, ..) in entries {
            if !names.iter().any(|other| other == name) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

impl<'d> Tables<'d> {
    pub(super) fn read(
        code: &'d [(&'d str, Document)],
        documents: &'d [Document],
        errors: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut tables = Self {
            code,
            defaults: Vec::new(),
            policies: Vec::new(),
            profiles: Profile::ALL.map(|profile| (profile, profile_document(profile))),
        };
        for (name, _) in code {
            tables.named(name);
        }
        for document in documents {
            let root = document.root();
            tables.defaults.extend(root.optional_table("defaults"));
            let entries = root
                .optional_table("policy")
                .map_or_else(Vec::new, |policies| policies.entries());
            for (name, place, value) in entries {
                tables.add(name, place, &value, errors);
            }
        }
        if tables.policies.is_empty()
            && let Some(document) = documents.first()
        {
            let error = Diagnostic::new(document.root().span().clone(), "no policy is named").absence();
            errors.push(error.help("add a table `[policy.NAME]`"));
        }
        if tables.policies.is_empty() {
            tables.defaults.iter().for_each(Table::ignore_rest);
        }
        tables
    }

    fn named(&mut self, name: &'d str) -> &mut Named<'d> {
        let at = self.policies.iter().position(|policy| policy.name == name);
        let at = at.unwrap_or_else(|| {
            self.policies.push(Named {
                name,
                tables: Vec::new(),
                extends: None,
            });
            self.policies.len() - 1
        });
        &mut self.policies[at]
    }

    fn add(&mut self, name: &'d str, place: &'d Span, value: &Value<'d>, errors: &mut Vec<Diagnostic>) {
        let of_names = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(of_names) {
            let rule = "a policy's name must be of lower-case letters, digits, dashes and underscores";
            errors.push(Diagnostic::new(place.clone(), rule).label(format!("1 to {LONGEST_NAME} of them")));
        }
        if Profile::ALL.iter().any(|profile| profile.name() == name) {
            let error = Diagnostic::new(place.clone(), format!("the name \"{name}\" is a profile's"));
            errors.push(error.help(format!("give the policy another name, and it `extends = \"{name}\"`")));
        }
        let Some(table) = value.read_table() else { return };
        let extends = table.value("extends").and_then(|value| Some((value.read()?, value)));
        let named = self.named(name);
        named.extends = extends.or(named.extends.take());
        named.tables.push(table);
    }

    pub(super) fn names(&self) -> Vec<&'d str> {
        self.policies.iter().map(|policy| policy.name).collect()
    }

    /// The layers of a policy, lowest first; `None` if what it extends cannot be told.
    pub(super) fn layers(&self, name: &str, errors: &mut Vec<Diagnostic>) -> Option<Vec<Layer<'_, 'd>>> {
        let mut chain: Vec<&Named<'d>> = Vec::new();
        let mut profile = None;
        let mut next = Some(name.to_owned());
        while let Some(name) = next.take() {
            let policy = self.policies.iter().find(|policy| policy.name == name)?;
            chain.push(policy);
            let Some((parent, value)) = &policy.extends else { break };
            if let Some(found) = self.profiles.iter().find(|(profile, _)| profile.name() == parent) {
                profile = Some(&found.1);
            } else if chain.iter().any(|policy| policy.name == parent) {
                policy.tables.iter().for_each(Table::ignore_rest);
                let error = value.error(format!("`policy.{name}` extends itself"));
                let path: Vec<&str> = chain
                    .iter()
                    .map(|policy| policy.name)
                    .chain([parent.as_str()])
                    .collect();
                errors.push(error.label(path.join(" → ")));
                return None;
            } else if self.policies.iter().any(|policy| policy.name == parent) {
                next = Some(parent.clone());
            } else {
                policy.tables.iter().for_each(Table::ignore_rest);
                errors.push(self.unknown_parent(parent, value));
                return None;
            }
        }
        let code = chain.iter().rev().filter_map(|policy| {
            let code = self.code.iter().find(|(name, _)| *name == policy.name);
            code.map(|(_, document)| Layer::Document(document))
        });
        let tables = chain.iter().rev().flat_map(|policy| &policy.tables);
        let layers = code
            .chain(self.defaults.iter().map(Layer::Table))
            .chain(profile.map(Layer::Document))
            .chain(tables.map(Layer::Table));
        Some(layers.collect())
    }

    fn unknown_parent(&self, parent: &str, value: &Value<'_>) -> Diagnostic {
        let profiles = Profile::ALL.map(Profile::name);
        let names: Vec<&str> = profiles.into_iter().chain(self.names()).collect();
        let error = value.error(format!("there is no policy and no profile called \"{parent}\""));
        match nearest(parent, names.iter().copied()) {
            Some(name) => error.help(format!("did you mean \"{name}\"?")),
            None => error.help(format!("there are {}", names.join(", "))),
        }
    }
}
