//! A document and its tables: keys are read by name, and all errors are reported at the end.

use std::cell::RefCell;
use std::sync::Arc;

use super::{
    Diagnostic, Diagnostics, FromValue, Noted, Source, Span, Value,
    node::{Content, Entry, Fields, Node, Rest},
    suggest::nearest,
    syntax::{self, Damage},
};

/// A TOML text that is being read. It collects every error until [`finish`](Self::finish) returns them.
#[derive(Debug)]
pub struct Document {
    pub(crate) root: Fields,
    /// Empty, at the start of the text: it means the whole text.
    pub(crate) span: Span,
    /// The keys that lead to the root; empty for a text of its own.
    pub(crate) path: String,
    pub(crate) errors: RefCell<Noted>,
    pub(crate) damage: Damage,
}

impl Document {
    /// Parses a text. It never fails: syntax errors are noted like all others, and the rest of the text is read.
    #[must_use]
    pub fn parse(source: Source) -> Self {
        let source = Arc::new(source);
        let (root, errors, damage) = syntax::parse(&source);
        Self {
            root,
            span: Span::new(&source, 0..0),
            path: String::new(),
            errors: RefCell::new(errors),
            damage,
        }
    }

    /// A document without keys, for a text that is not parsed.
    #[must_use]
    pub fn unread(source: Source) -> Self {
        let source = Arc::new(source);
        Self {
            root: Fields::default(),
            span: Span::new(&source, 0..0),
            path: String::new(),
            errors: RefCell::default(),
            damage: Damage::none(&source),
        }
    }

    /// The text that is read.
    #[must_use]
    pub fn source(&self) -> &Arc<Source> {
        self.span.source()
    }

    /// The outermost table.
    #[must_use]
    pub fn root(&self) -> Table<'_> {
        Table {
            document: self,
            fields: &self.root,
            span: &self.span,
            path: self.path.clone(),
        }
    }

    /// Notes an error.
    pub fn report(&self, error: Diagnostic) {
        self.errors.borrow_mut().push(error.at_something_written());
    }

    /// Whether an error was noted up to now. Unknown keys are only found at the end.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.error_count() > 0
    }

    /// How many errors were noted up to now.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.errors.borrow().len()
    }

    /// Whether the syntax of the text is broken somewhere, so that a key that seems to be missing may be there.
    pub fn is_damaged(&self) -> bool {
        self.damage.is_some()
    }

    /// Whether the header of a table is broken above a span, so that the span may belong to that table.
    pub fn is_below_broken_header(&self, place: &Span) -> bool {
        self.damage.is_below_broken_header(place.range().start)
    }

    /// Returns the value that was read, or all errors: those that were noted, and one for each unknown key.
    ///
    /// # Errors
    ///
    /// All errors in the order of the text. A `None` without a noted error is an error too.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Diagnostics> {
        self.report_unknown(&self.root, &self.path);
        let mut errors = self.errors.into_inner();
        if self.damage.is_some() {
            errors.retain(|error| !error.absence);
        }
        match value {
            Some(value) if errors.is_empty() => Ok(value),
            None if errors.is_empty() => {
                let error = Diagnostic::new(self.span, "this document cannot be read");
                Err(error.absence().into())
            }
            _ => Err(Diagnostics::new(errors)),
        }
    }

    fn report_unknown(&self, fields: &Fields, path: &str) {
        if fields.rest.get() == Rest::Ignored {
            return;
        }
        let asked = fields.asked.borrow();
        for entry in &fields.entries {
            if fields.excused.borrow().contains(&entry.key) {
                continue;
            }
            let table = path;
            let path = entry.home.as_deref().unwrap_or(path);
            let here = join(path, &entry.key);
            let known = asked.contains(&entry.key.as_str());
            if known || fields.rest.get() == Rest::Named {
                self.report_unknown_below(&entry.node, &here);
            } else if !self.may_be_displaced(entry, path) && entry.node.content.shape().is_some() {
                self.errors.borrow_mut().push_with(|| {
                    let error = unknown(entry, &here, path, &asked, table).at_something_written();
                    let is_outermost = std::ptr::eq(fields, &self.root);
                    if is_outermost { error.of_value() } else { error }
                });
            }
        }
    }

    /// Whether a key may belong to another table, because the syntax is broken on its line or in a header above it.
    fn may_be_displaced(&self, entry: &Entry, table: &str) -> bool {
        let is_displaced = table.is_empty() && self.is_below_broken_header(&entry.key_span);
        is_displaced || self.damage.touches(entry.key_span.range().start)
    }

    fn report_unknown_below(&self, node: &Node, path: &str) {
        match &node.content {
            Content::Table(fields) => self.report_unknown(fields, path),
            Content::List(nodes) => nodes.iter().for_each(|node| self.report_unknown_below(node, path)),
            _ => {}
        }
    }
}

/// The error of an unknown key, from its path, the path of the table that it is written in, and the path of the table
/// that is read.
fn unknown(entry: &Entry, path: &str, table: &str, asked: &[&'static str], read: &str) -> Diagnostic {
    let error = Diagnostic::new(entry.key_span.clone(), format!("unknown key `{path}`")).unknown_key();
    let error = if table.is_empty() {
        error
    } else {
        error.label(format!("not a key of `{table}`"))
    };
    match nearest(&entry.key, asked.iter().copied()) {
        Some(name) => Diagnostic {
            meant: Some(join(read, name)),
            ..error.help(format!("did you mean `{name}`?"))
        },
        None if asked.is_empty() => error,
        None => error.help(format!("the keys here are {}", asked.join(", "))),
    }
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// A table of a [`Document`]. Reading a key makes it known. Errors are noted in the document.
///
/// Every key that is allowed in a table should be read even if the rest is known to be wrong, because otherwise it is
/// reported as unknown. [`known`](Self::known) makes keys known without reading them.
#[derive(Debug, Clone)]
pub struct Table<'d> {
    pub(crate) document: &'d Document,
    pub(crate) fields: &'d Fields,
    pub(crate) span: &'d Span,
    pub(crate) path: String,
}

impl<'d> Table<'d> {
    /// The keys that lead here, joined by points; empty for the root.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path of a key of this table.
    #[must_use]
    pub fn path_of(&self, key: &str) -> String {
        self.fields
            .find(key)
            .map_or_else(|| join(&self.path, key), |entry| self.path_of_entry(entry))
    }

    fn path_of_entry(&self, entry: &Entry) -> String {
        join(entry.home.as_deref().unwrap_or(&self.path), &entry.key)
    }

    fn value_of(&self, entry: &'d Entry) -> Value<'d> {
        Value {
            document: self.document,
            node: &entry.node,
            path: self.path_of_entry(entry),
        }
    }

    /// The cost of laying the table under another one: one for each key, value and table, and more for long text.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.fields.weight()
    }

    /// The document that this is a table of.
    #[must_use]
    pub fn document(&self) -> &'d Document {
        self.document
    }

    /// The span of the table: its header, or its braces. The root's span is empty, at the start of the text.
    #[must_use]
    pub fn span(&self) -> &'d Span {
        self.span
    }

    /// Whether the table has no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.entries.is_empty()
    }

    /// The value of a key, if it is there, whatever it is.
    #[must_use]
    pub fn value(&self, key: &'static str) -> Option<Value<'d>> {
        self.fields.ask(key);
        self.peek(key)
    }

    /// The same without making the key known.
    pub(crate) fn peek(&self, key: &str) -> Option<Value<'d>> {
        Some(self.value_of(self.fields.find(key)?))
    }

    /// Whether a key is there.
    #[must_use]
    pub fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// Whether a key is there, without making it known.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.fields.find(key).is_some()
    }

    /// Whether a key comes from a table below the one that the other comes from; makes nothing known.
    #[must_use]
    pub fn is_below(&self, key: &str, other: &str) -> bool {
        let level = |key| self.fields.find(key).map(|entry| entry.level);
        level(key).zip(level(other)).is_some_and(|(key, other)| key < other)
    }

    /// The span of the value of a key, if it is there.
    #[must_use]
    pub fn value_span(&self, key: &'static str) -> Option<Span> {
        self.value(key).map(|value| value.span().clone())
    }

    /// The span of a key itself, if it is there.
    #[must_use]
    pub fn key_span(&self, key: &'static str) -> Option<Span> {
        self.fields.ask(key);
        self.fields.find(key).map(|entry| entry.key_span.clone())
    }

    /// The value of a key that must be there.
    fn need(&self, key: &'static str, example: Option<&str>) -> Option<Value<'d>> {
        let value = self.value(key);
        if value.is_none() {
            self.report_missing(key, example);
        }
        value
    }

    /// Reads a value that must be there. Missing or wrong, it is noted as an error.
    #[must_use]
    pub fn required<T: FromValue>(&self, key: &'static str) -> Option<T> {
        self.need(key, Some(T::EXAMPLE))?.read()
    }

    /// Reads a value that may be missing. A wrong value is `None` as well, and is noted as an error.
    #[must_use]
    pub fn optional<T: FromValue>(&self, key: &'static str) -> Option<T> {
        self.value(key)?.read()
    }

    /// Reads one of several names, which must be there.
    #[must_use]
    pub fn required_choice<T: Copy>(&self, key: &'static str, names: &[(&str, T)]) -> Option<T> {
        let example = names.first().map(|(name, _)| format!("\"{name}\""));
        self.need(key, example.as_deref())?.read_choice(names)
    }

    /// Reads one of several names, if it is there.
    #[must_use]
    pub fn optional_choice<T: Copy>(&self, key: &'static str, names: &[(&str, T)]) -> Option<T> {
        self.value(key)?.read_choice(names)
    }

    /// Opens a table that must be there.
    #[must_use]
    pub fn required_table(&self, key: &'static str) -> Option<Self> {
        self.need(key, None)?.read_table()
    }

    /// Opens a table, if it is there.
    #[must_use]
    pub fn optional_table(&self, key: &'static str) -> Option<Self> {
        self.value(key)?.read_table()
    }

    /// Opens every table of a list: those of a repeated `[[key]]`, or of a list of inline tables. None if it is not there.
    #[must_use]
    pub fn tables(&self, key: &'static str) -> Vec<Self> {
        let list = self.value(key).and_then(|value| {
            if value.as_table().is_some() {
                let path = value.path();
                self.document.report(
                    value
                        .error(format!("`{path}` must be a list of tables"))
                        .label("this is one table")
                        .help(format!("write [[{path}]]")),
                );
                return None;
            }
            value.read_list()
        });
        list.unwrap_or_default().iter().filter_map(Value::read_table).collect()
    }

    /// Every key of the table with its place and its value; all of them count as known. For tables whose keys are names
    /// that the user chose.
    #[must_use]
    pub fn entries(&self) -> Vec<(&'d str, &'d Span, Value<'d>)> {
        self.fields.rest.set(Rest::Named);
        self.all().collect()
    }

    /// Every key with its place and its value; makes none known.
    pub fn all(&self) -> impl Iterator<Item = (&'d str, &'d Span, Value<'d>)> + '_ {
        let entries = self.fields.entries.iter();
        entries.map(|entry| (entry.key.as_str(), &entry.key_span, self.value_of(entry)))
    }

    /// Ignores one key and its value, because its error was noted already.
    pub fn excuse(&self, key: &str) {
        self.fields.excused.borrow_mut().insert(key.to_owned());
    }

    /// Makes keys known without reading them.
    pub fn known(&self, keys: &[&'static str]) {
        keys.iter().for_each(|key| self.fields.ask(key));
    }

    /// Reports no unknown keys in this table and the tables in it, because it is not known what belongs here. Values
    /// that are read are still checked.
    pub fn ignore_rest(&self) {
        self.fields.rest.set(Rest::Ignored);
    }

    /// Notes an error unless the rule holds. The rule ends a sentence that begins with the key's path: "must be above
    /// zero". A missing key breaks no rule. After an error the value is not read any more.
    pub fn must(&self, key: &'static str, holds: bool, rule: &str) {
        if let Some(value) = self.value(key).filter(|value| !holds && !value.node.refused.get()) {
            value.refuse(value.error(format!("`{}` {rule}", value.path())));
        }
    }

    /// An error about the value of a key, or about the table if the key is not there; to be completed and
    /// [reported](Document::report).
    pub fn error(&self, key: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.value_span(key).unwrap_or_else(|| self.span.clone()), message)
    }

    /// Notes an error.
    pub fn report(&self, error: Diagnostic) {
        self.document.report(error);
    }

    /// Notes that a key is missing, with an example of its value.
    pub fn report_missing(&self, key: &'static str, example: Option<&str>) {
        self.document.report(self.missing(key, example));
    }

    /// The error of a key that is missing, with an example of its value; to be completed and
    /// [reported](Document::report).
    pub fn missing(&self, key: &'static str, example: Option<&str>) -> Diagnostic {
        self.fields.ask(key);
        let path = self.path_of(key);
        let error = Diagnostic::new(self.span.clone(), format!("`{path}` is missing")).lacks(path.as_str());
        let error = if self.path.is_empty() {
            error
        } else {
            error.label(format!("`{key}` belongs in this table"))
        };
        error.help(match example {
            Some(example) => format!("add it, for example `{key} = {example}`"),
            None => format!("add a table `[{path}]`"),
        })
    }
}
