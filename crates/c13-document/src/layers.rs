//! Layers tables over each other: the value of the upper table counts, and every value keeps its span.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::{
    Diagnostic, Document, Table,
    node::{Content, Entry, Fields, Node},
    syntax::Damage,
    table::join,
};

/// The key that names the kind of a table. Settings of another kind do not apply to it.
const KIND: &str = "strategy";

impl Document {
    /// A document of several tables, each laid over those before it, and called `path` in errors.
    ///
    /// Documents of their own are called `path` too. Tables are merged key by key. Any other value is replaced as a
    /// whole, and so is a table that names a `strategy` by one that names another, because its settings do not apply to
    /// that. Every value keeps its own span, and its own path in errors.
    ///
    /// This document reports unknown keys. The documents of the tables [no longer do](Table::ignore_rest).
    #[must_use]
    pub fn layered(path: &str, layers: &[Table<'_>]) -> Option<Self> {
        let top = layers.last()?;
        layers.iter().for_each(Table::ignore_rest);
        let path_of = |table: &Table<'_>| match table.path.as_str() {
            "" => path.to_owned(),
            own => own.to_owned(),
        };
        let levels = layers.iter().zip(1..);
        let tables: Vec<Laid<'_>> = levels
            .map(|(table, level)| (table.fields, path_of(table), level))
            .collect();
        Some(Self {
            root: put_together(&tables),
            span: top.span.clone(),
            path: path.to_owned(),
            errors: RefCell::default(),
            damage: Damage::none(top.span.source()),
        })
    }

    /// Removes a key of the outermost table.
    pub fn leave_out(&mut self, key: &str) {
        self.root.remove(key);
    }

    /// Notes all of these errors, but none twice.
    pub fn report_all<'a>(&self, errors: impl IntoIterator<Item = &'a Diagnostic>) {
        for error in errors {
            if !self.errors.borrow().list().contains(error) {
                self.report(error.clone());
            }
        }
    }
}

/// A table's fields, its path, and its number among those that are laid over each other, from the lowest up.
type Laid<'a> = (&'a Fields, String, usize);
/// The same of one of its entries.
type LaidEntry<'a> = (&'a Entry, &'a str, usize);

/// The fields of several tables, lowest first.
fn put_together(tables: &[Laid<'_>]) -> Fields {
    let mut found: Vec<Vec<LaidEntry<'_>>> = Vec::new();
    let mut index: HashMap<&str, usize> = HashMap::new();
    for (fields, path, level) in tables {
        for entry in &fields.entries {
            let at = *index.entry(&entry.key).or_insert(found.len());
            if at == found.len() {
                found.push(Vec::new());
            }
            found[at].push((entry, path, *level));
        }
    }
    Fields::new(found.iter().filter_map(|entries| resolve(entries)).collect())
}

/// The merged entry of one key that several tables set, lowest first.
fn resolve(entries: &[LaidEntry<'_>]) -> Option<Entry> {
    let (top, path, level) = entries.last()?;
    let mut kind = None;
    let mut tables: Vec<Laid<'_>> = Vec::new();
    for (entry, path, level) in entries.iter().rev() {
        let Content::Table(fields) = &entry.node.content else {
            break;
        };
        let own = kind_of(fields);
        if kind.is_some() && own.is_some() && own != kind {
            break;
        }
        kind = kind.or(own);
        tables.push((fields, home_of(entry, path), *level));
    }
    tables.reverse();
    let content = match &top.node.content {
        Content::Table(_) => Content::Table(put_together(&tables)),
        other => other.copied(),
    };
    Some(Entry {
        key: top.key.clone(),
        key_span: top.key_span.clone(),
        node: Node::new(content, top.node.span.clone()),
        home: Some(top.home.clone().unwrap_or_else(|| Arc::from(*path))),
        level: *level,
    })
}

/// The path of an entry.
fn home_of(entry: &Entry, path: &str) -> String {
    join(entry.home.as_deref().unwrap_or(path), &entry.key)
}

fn kind_of(fields: &Fields) -> Option<&str> {
    match &fields.find(KIND)?.node.content {
        Content::Text(kind) => Some(kind),
        _ => None,
    }
}
