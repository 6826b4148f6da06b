//! Which tables make up a policy: defaults, what it extends, and its own, over all documents.

use std::collections::{HashMap, HashSet};

use super::overlay::{ROOTS, SET};
use super::rows::PARTS;
use super::text::profile_document;
use crate::policy::Profile;
use crate::policy::document::{Diagnostic, Document, Noted, Shape, Span, Table, Value, nearest};

/// Names are labels of metrics and parts of environment variables.
pub(super) const LONGEST_NAME: usize = 64;

/// Whether it may be the name of a policy or of a limit.
pub(super) fn is_name(name: &str) -> bool {
    let of_names = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(of_names)
}

/// The most values that may be merged for all policies together; each value counts for every policy that has it below it.
const MOST_WEIGHT: usize = 200_000;

/// The weight of any policy, whatever it says, because its settings are reported one by one.
const OWN_WEIGHT: usize = 100;

/// How many names are listed where one is not known, and how many are compared with it.
const MOST_LISTED: usize = 20;
const MOST_COMPARED: usize = 200;

/// The tables of all documents: those of the defaults, and those of each policy.
pub(super) struct Tables<'d> {
    defaults: Vec<Table<'d>>,
    policies: Vec<Named<'d>>,
    /// Where a policy stands in the list.
    index: HashMap<&'d str, usize>,
    profiles: [(Profile, Document); 3],
}

struct Named<'d> {
    name: &'d str,
    code: Option<&'d Document>,
    tables: Vec<Table<'d>>,
    extends: Option<(String, Value<'d>)>,
    /// The name in a header, where a file has one.
    header: Option<&'d Span>,
    parent: Parent,
}

/// What a policy starts from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parent {
    Nothing,
    Profile(usize),
    Policy(usize),
    /// Unknown: it, or what it extends, extends a policy that is missing, or itself; or there are too many policies.
    Wrong,
}

/// A layer of a policy: a table, or a whole document of ours.
pub(super) enum Layer<'a, 'd> {
    Defaults(&'a Table<'d>),
    Table(&'a Table<'d>),
    Document(&'a Document),
}

impl<'a> Layer<'a, '_> {
    pub(super) fn root(&self) -> Table<'a>
    where
        Self: 'a,
    {
        match self {
            Self::Defaults(table) | Self::Table(table) => (*table).clone(),
            Self::Document(document) => document.root(),
        }
    }

    /// Whether it is about every policy, not this one alone.
    pub(super) fn is_defaults(&self) -> bool {
        matches!(self, Self::Defaults(_))
    }
}

/// The names of all policies, in the order in which they occur.
pub(super) fn names(code: &[(String, crate::policy::PolicyConfig)], files: &[Document]) -> Vec<String> {
    let code = code.iter().map(|(name, _)| name.clone());
    names_below("policy", code.collect(), files)
}

/// The names of all limits, in the order in which they occur.
pub(super) fn limit_names(files: &[Document]) -> Vec<String> {
    names_below("limit", Vec::new(), files)
}

fn names_below(root: &'static str, mut names: Vec<String>, files: &[Document]) -> Vec<String> {
    for document in files {
        let named = document.root().value(root).and_then(|value| value.as_table());
        names.extend(named.iter().flat_map(Table::all).map(|(name, ..)| name.to_owned()));
    }
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

impl<'d> Tables<'d> {
    /// Sorts the tables of all documents. The first `files` of them may name policies, the others only change these.
    pub(super) fn read(
        code: &'d [(&'d str, Document)],
        documents: &'d [Document],
        files: usize,
        has_limits: bool,
        errors: &mut Noted,
    ) -> Self {
        let mut tables = Self {
            defaults: Vec::new(),
            policies: Vec::new(),
            index: HashMap::new(),
            profiles: Profile::ALL.map(|profile| (profile, profile_document(profile))),
        };
        for (name, document) in code {
            tables.named(name).code = Some(document);
        }
        let (files, overlays) = documents.split_at(files);
        let empty: Vec<&Document> = files.iter().filter(|file| is_empty(file)).collect();
        errors.extend(empty.iter().map(|file| {
            let error = Diagnostic::new(file.root().span().clone(), "the file is empty");
            error.help("if that is meant, write a comment into it; a file that was cut off while it was written changes nothing")
        }));
        let before = errors.len();
        for document in files {
            tables.add_document(document, true, errors);
        }
        // An overlay that is wrong in itself is not read further, and an empty file may be the one that should have named a policy.
        for document in overlays.iter().filter(|document| !document.has_errors()) {
            tables.add_document(document, !empty.is_empty(), errors);
        }
        let is_odd = |document: &Document| {
            let root = document.root();
            document.has_errors() || root.all().any(|(key, ..)| !ROOTS.contains(&key))
        };
        let reported = errors.len() > before || !empty.is_empty() || documents.iter().any(is_odd);
        if tables.policies.is_empty()
            && !has_limits
            && !reported
            && let Some(document) = documents.first()
        {
            let error = Diagnostic::new(document.root().span().clone(), "no policy is named").absence();
            errors.push(error.help("add a table `[policy.NAME]`"));
        }
        if tables.policies.is_empty() {
            tables.defaults.iter().for_each(Table::ignore_rest);
        }
        tables.find_parents(errors);
        tables.bound(errors);
        tables
    }

    /// Adds the tables of one document. `may_name` is whether it may name policies that no earlier document has named.
    fn add_document(&mut self, document: &'d Document, may_name: bool, errors: &mut Noted) {
        let root = document.root();
        root.known(&ROOTS);
        explain_unknown_roots(&root, errors);
        let defaults = root.optional_table("defaults");
        if let Some(defaults) = &defaults
            && let Some((_, place, _)) = defaults.all().find(|(key, ..)| *key == "extends")
        {
            let error = Diagnostic::new(place.clone(), "unknown key `defaults.extends`");
            errors.push(
                error
                    .label("not a key of `defaults`")
                    .help("each policy says by itself what it extends: `extends` belongs in `[policy.NAME]`"),
            );
        }
        self.defaults.extend(defaults);
        let Some(value) = root.value("policy") else { return };
        if value.shape() == Some(Shape::List) {
            root.excuse("policy");
            let error = value.error("`policy` must be a table");
            errors.push(
                error
                    .label("this is a list")
                    .help("write `[policy.NAME]`, with the name of what is called"),
            );
            return;
        }
        let Some(policies) = value.read_table() else { return };
        for (name, place, value) in policies.entries() {
            if may_name || self.index.contains_key(name) {
                self.add(name, place, &value, errors);
            } else {
                errors.push_with(|| self.unnamed(name, place));
                if let Some(table) = value.as_table() {
                    table.ignore_rest();
                }
            }
        }
    }

    /// The error for a policy that the environment or the command line changes, and that is not there.
    fn unnamed(&self, name: &str, place: &Span) -> Diagnostic {
        let message = format!("no file and no code names a policy `{name}`");
        let error = Diagnostic::new(place.clone(), message).absence();
        let names = self.names();
        match nearest(name, names.iter().copied().take(MOST_COMPARED)) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None if names.is_empty() => error.help(format!("add a table `[policy.{name}]` to a file")),
            None => error.help(format!("the policies are {}", listed(&names))),
        }
    }

    fn named(&mut self, name: &'d str) -> &mut Named<'d> {
        let next = self.policies.len();
        let at = *self.index.entry(name).or_insert(next);
        if at == next {
            self.policies.push(Named {
                name,
                code: None,
                tables: Vec::new(),
                extends: None,
                header: None,
                parent: Parent::Nothing,
            });
        }
        &mut self.policies[at]
    }

    fn add(&mut self, name: &'d str, place: &'d Span, value: &Value<'d>, errors: &mut Noted) {
        if !is_name(name) {
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
        named.header = named.header.or(Some(place));
        named.tables.push(table);
    }

    pub(super) fn names(&self) -> Vec<&'d str> {
        self.policies.iter().map(|policy| policy.name).collect()
    }

    /// The tables that lie under every policy, lowest first.
    pub(super) fn defaults(&self) -> &[Table<'d>] {
        &self.defaults
    }

    /// All tables that were written, whether or not they have an effect.
    pub(super) fn written(&self) -> impl Iterator<Item = &Table<'d>> {
        let own = self.policies.iter().flat_map(|policy| &policy.tables);
        self.defaults.iter().chain(own)
    }

    /// Where a policy stands in the text: its key `extends`, or its header.
    pub(super) fn place_of(&self, name: &str) -> Option<(Span, String)> {
        let policy = &self.policies[*self.index.get(name)?];
        match (&policy.extends, policy.header) {
            (Some((parent, value)), _) => {
                let what = match policy.parent {
                    Parent::Profile(_) => "the profile",
                    _ => "the policy",
                };
                Some((value.span().clone(), format!("`{name}` has it from {what} {parent}")))
            }
            (None, Some(header)) => Some((header.clone(), "this is the policy".to_owned())),
            (None, None) => None,
        }
    }

    /// Finds what each policy extends, and reports, once each, names that are missing and circles.
    fn find_parents(&mut self, errors: &mut Noted) {
        for at in 0..self.policies.len() {
            self.policies[at].parent = self.parent_of(at, errors);
        }
        // Which policies are known to be in no circle.
        let mut done = vec![false; self.policies.len()];
        for start in 0..self.policies.len() {
            let mut path: Vec<usize> = Vec::new();
            let mut on_path = HashMap::new();
            let mut next = Parent::Policy(start);
            while let Parent::Policy(at) = next
                && !done[at]
            {
                if let Some(first) = on_path.get(&at) {
                    errors.push(self.circle(&path[*first..]));
                    next = Parent::Wrong;
                    break;
                }
                on_path.insert(at, path.len());
                path.push(at);
                next = self.policies[at].parent;
            }
            let wrong = match next {
                Parent::Policy(at) => self.policies[at].parent == Parent::Wrong,
                parent => parent == Parent::Wrong,
            };
            for at in path {
                done[at] = true;
                if wrong {
                    self.policies[at].parent = Parent::Wrong;
                }
            }
        }
        let wrong = self.policies.iter().filter(|policy| policy.parent == Parent::Wrong);
        wrong.flat_map(|policy| &policy.tables).for_each(Table::ignore_rest);
    }

    fn parent_of(&self, at: usize, errors: &mut Noted) -> Parent {
        let Some((parent, value)) = &self.policies[at].extends else {
            return Parent::Nothing;
        };
        let profile = self.profiles.iter().position(|(profile, _)| profile.name() == parent);
        if let Some(profile) = profile {
            return Parent::Profile(profile);
        }
        self.index.get(parent.as_str()).map_or_else(
            || {
                errors.push_with(|| self.unknown_parent(parent, value));
                Parent::Wrong
            },
            |parent| Parent::Policy(*parent),
        )
    }

    /// The error for policies each of which extends the next, and the last the first.
    fn circle(&self, members: &[usize]) -> Diagnostic {
        let name = |at: usize| self.policies[at].name;
        let place = |at: usize| {
            self.policies[at]
                .extends
                .as_ref()
                .map(|(_, value)| value.span().clone())
        };
        let mut path: Vec<&str> = members.iter().map(|at| name(*at)).collect();
        if path.len() > MOST_NAMED {
            path.truncate(MOST_NAMED);
            path.push("…");
        }
        path.push(name(members[0]));
        let span = place(members[0]).expect("who extends says so somewhere");
        let error = Diagnostic::new(span, format!("`policy.{}` extends itself", path[0])).label(path.join(" → "));
        let others = members[1..].iter().take(MOST_SHOWN);
        others.fold(error, |error, at| {
            error.also(place(*at), format!("`{}` is in the circle", name(*at)))
        })
    }

    /// The layers of a policy, lowest first; `None` if what it extends is not known.
    pub(super) fn layers(&self, name: &str) -> Option<Vec<Layer<'_, 'd>>> {
        let mut at = *self.index.get(name)?;
        let mut chain = vec![&self.policies[at]];
        let profile = loop {
            match self.policies[at].parent {
                Parent::Nothing => break None,
                Parent::Profile(profile) => break Some(&self.profiles[profile].1),
                Parent::Policy(parent) => at = parent,
                Parent::Wrong => return None,
            }
            chain.push(&self.policies[at]);
        };
        let code = chain.iter().rev().filter_map(|policy| policy.code.map(Layer::Document));
        let tables = chain.iter().rev().flat_map(|policy| &policy.tables);
        let layers = code
            .chain(self.defaults.iter().map(Layer::Defaults))
            .chain(profile.map(Layer::Document))
            .chain(tables.map(Layer::Table));
        Some(layers.collect())
    }

    fn unknown_parent(&self, parent: &str, value: &Value<'_>) -> Diagnostic {
        let profiles = Profile::ALL.map(Profile::name);
        let names: Vec<&str> = profiles.into_iter().chain(self.names()).collect();
        let error = value.error(format!("there is no policy and no profile called \"{parent}\""));
        match nearest(parent, names.iter().copied().take(MOST_COMPARED)) {
            Some(name) => error.help(format!("did you mean \"{name}\"?")),
            None => error.help(format!("there are {}", listed(&names))),
        }
    }

    /// Refuses what a few lines could otherwise cause: many policies that extend one another in a row, each with the settings
    /// of all those below it.
    fn bound(&mut self, errors: &mut Noted) {
        let below = OWN_WEIGHT.saturating_add(weight(&self.defaults));
        let mut sum = 0_usize;
        let mut fits = |weight: &usize| {
            sum = sum.saturating_add(below).saturating_add(*weight);
            sum <= MOST_WEIGHT
        };
        let weights = self.weights();
        let fitting = weights.iter().take_while(|weight| fits(weight)).count();
        if fitting == weights.len() {
            return;
        }
        let message = format!("all policies together may have at most {MOST_WEIGHT} settings, with what they extend");
        let error = self.about(fitting, message).label("here it is more");
        errors.push(error.help("name fewer policies, or let them extend less"));
        errors.stop();
        for policy in &mut self.policies[fitting..] {
            policy.parent = Parent::Wrong;
            policy.tables.iter().for_each(Table::ignore_rest);
        }
    }

    /// How many values each policy merges.
    fn weights(&self) -> Vec<usize> {
        let mut weights: Vec<Option<usize>> = vec![None; self.policies.len()];
        for start in 0..self.policies.len() {
            let (mut row, mut next) = (Vec::new(), Parent::Policy(start));
            while let Parent::Policy(at) = next
                && weights[at].is_none()
            {
                row.push(at);
                next = self.policies[at].parent;
            }
            let mut below = match next {
                Parent::Policy(at) => weights[at].unwrap_or(0),
                _ => 0,
            };
            for at in row.into_iter().rev() {
                below = below.saturating_add(weight(&self.policies[at].tables));
                weights[at] = Some(below);
            }
        }
        weights.into_iter().map(Option::unwrap_or_default).collect()
    }

    /// An error about a policy as a whole.
    fn about(&self, at: usize, message: String) -> Diagnostic {
        let policy = &self.policies[at];
        let place = policy
            .extends
            .as_ref()
            .map(|(_, value)| value.span().clone())
            .or_else(|| policy.header.cloned())
            .or_else(|| Some(policy.code?.root().span().clone()))
            .expect("a policy stands in a file or in code");
        Diagnostic::new(place, message)
    }
}

/// How many values some tables have to be merged from.
fn weight(tables: &[Table<'_>]) -> usize {
    let weights = tables.iter().map(|table| 1 + table.weight());
    weights.fold(0, usize::saturating_add)
}

/// The first of some names, and how many others there are.
fn listed(names: &[&str]) -> String {
    match names.get(..MOST_LISTED) {
        Some(first) if names.len() > MOST_LISTED => {
            format!("{} and {} more", first.join(", "), names.len() - MOST_LISTED)
        }
        _ => names.join(", "),
    }
}

/// How many other members of a circle are shown.
const MOST_SHOWN: usize = 5;
/// How many members of a circle are named.
const MOST_NAMED: usize = 10;

fn is_empty(file: &Document) -> bool {
    file.source().text().trim().is_empty()
}

/// Reports keys at the top that belong into a policy; all others are reported as unknown keys.
fn explain_unknown_roots(root: &Table<'_>, errors: &mut Noted) {
    let is_set = root.document().source().name() == SET;
    for (key, place, value) in root.all() {
        if errors.is_full() {
            return;
        }
        let is_displaced = root.document().is_below_broken_header(place);
        if ROOTS.contains(&key) || nearest(key, ROOTS).is_some() || is_displaced {
            continue;
        }
        let inner = value.as_table();
        let has_parts = |table: &Table<'_>| PARTS.iter().chain(&["extends"]).any(|part| table.contains(part));
        let help = if is_set {
            let text = root.document().source().text();
            let path = text.split_once(" = ").map_or(text, |(path, _)| path);
            format!("write `policy.{path}`")
        } else if PARTS.contains(&key) {
            format!("write `[policy.NAME.{key}]` for one policy, or `[defaults.{key}]` for each")
        } else if inner.as_ref().is_some_and(|table| table.is_empty() || has_parts(table)) {
            format!("write `[policy.{key}]`")
        } else {
            continue;
        };
        root.excuse(key);
        errors.push(Diagnostic::new(place.clone(), format!("unknown key `{key}`")).help(help));
    }
}
