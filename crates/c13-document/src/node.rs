//! The text as a tree in which every key and value has its span.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::{Shape, Source, Span, syntax::Damage};

/// A value and its span.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) content: Content,
    pub(crate) span: Span,
    /// Whether it was refused, and its error noted.
    pub(crate) refused: Cell<bool>,
}

impl Node {
    pub(crate) fn new(content: Content, span: Span) -> Self {
        Self {
            content,
            span,
            refused: Cell::new(false),
        }
    }

    fn copied(&self) -> Self {
        Self::new(self.content.copied(), self.span.clone())
    }
}

/// This many bytes of a text cost as much as a value.
const LETTERS_PER_WEIGHT: usize = 32;

/// The content of a value.
#[derive(Debug)]
pub(crate) enum Content {
    Text(String),
    /// Numbers beyond 128 bits saturate, because every valid range is far smaller.
    Integer(i128),
    Float(f64),
    Boolean(bool),
    Date,
    List(Vec<Node>),
    Table(Fields),
    /// A value on a line with a syntax error: it is there, but its content is not known.
    Broken,
}

impl Content {
    /// A copy whose keys are all unread.
    pub(crate) fn copied(&self) -> Self {
        match self {
            Self::Text(text) => Self::Text(text.clone()),
            Self::Integer(number) => Self::Integer(*number),
            Self::Float(number) => Self::Float(*number),
            Self::Boolean(truth) => Self::Boolean(*truth),
            Self::Date => Self::Date,
            Self::List(nodes) => Self::List(nodes.iter().map(Node::copied).collect()),
            Self::Table(fields) => Self::Table(fields.copied()),
            Self::Broken => Self::Broken,
        }
    }

    /// The cost of a copy: one for each value and each table, and more for long text.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Text(text) => 1 + text.len() / LETTERS_PER_WEIGHT,
            Self::List(nodes) => 1 + nodes.iter().map(|node| node.content.weight()).sum::<usize>(),
            Self::Table(fields) => 1 + fields.weight(),
            _ => 1,
        }
    }

    pub(crate) fn shape(&self) -> Option<Shape> {
        Some(match self {
            Self::Text(_) => Shape::Text,
            Self::Integer(_) => Shape::Integer,
            Self::Float(_) => Shape::Float,
            Self::Boolean(_) => Shape::Boolean,
            Self::Date => Shape::Date,
            Self::List(_) => Shape::List,
            Self::Table(_) => Shape::Table,
            Self::Broken => return None,
        })
    }
}

/// What happens to the unknown keys of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Rest {
    /// They are reported.
    #[default]
    Unknown,
    /// They are allowed, and the tables below them are checked.
    Named,
    /// They are allowed, with any content.
    Ignored,
}

/// The keys of a table in the order of the text, and which of them are known.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) entries: Vec<Entry>,
    pub(crate) asked: RefCell<Vec<&'static str>>,
    /// What happens to unknown keys.
    pub(crate) rest: Cell<Rest>,
    /// Keys that are ignored.
    pub(crate) excused: RefCell<HashSet<String>>,
    /// The indexes of the entries in the order of their keys, so that finding a key takes logarithmic time.
    by_key: Vec<usize>,
}

impl Fields {
    pub(crate) fn new(entries: Vec<Entry>) -> Self {
        let mut by_key: Vec<usize> = (0..entries.len()).collect();
        by_key.sort_by(|one, other| entries[*one].key.cmp(&entries[*other].key));
        Self {
            entries,
            by_key,
            ..Self::default()
        }
    }

    /// Removes an entry.
    pub(crate) fn remove(&mut self, key: &str) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.retain(|entry| entry.key != key);
        let by_key = Self::new(entries);
        (self.entries, self.by_key) = (by_key.entries, by_key.by_key);
    }

    fn copied(&self) -> Self {
        let entries = self.entries.iter().map(|entry| Entry {
            key: entry.key.clone(),
            key_span: entry.key_span.clone(),
            node: entry.node.copied(),
            home: entry.home.clone(),
            level: entry.level,
        });
        Self::new(entries.collect())
    }

    fn place_of(&self, key: &str) -> Option<usize> {
        let found = self
            .by_key
            .binary_search_by(|place| self.entries[*place].key.as_str().cmp(key));
        Some(self.by_key[found.ok()?])
    }

    pub(crate) fn find(&self, key: &str) -> Option<&Entry> {
        Some(&self.entries[self.place_of(key)?])
    }

    pub(crate) fn find_mut(&mut self, key: &str) -> Option<&mut Entry> {
        let place = self.place_of(key)?;
        Some(&mut self.entries[place])
    }

    pub(crate) fn weight(&self) -> usize {
        self.entries.iter().map(|entry| entry.node.content.weight()).sum()
    }

    pub(crate) fn ask(&self, key: &'static str) {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
    }
}

/// A key, its span and its value.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) node: Node,
    /// The path of the table that it came from, if that is not the table that holds it.
    pub(crate) home: Option<Arc<str>>,
    /// The number of that table among the layers, from the lowest up.
    pub(crate) level: usize,
}

/// Turns the parser's tree into ours.
pub(crate) fn fields(source: &Arc<Source>, table: &DeTable<'_>, damage: &Damage) -> Fields {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: Span::new(source, key.span()),
            node: Node::new(
                content(source, value.get_ref(), value.span().start, damage),
                Span::new(source, value.span()),
            ),
            home: None,
            level: 0,
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span.range().start);
    Fields::new(entries)
}

fn content(source: &Arc<Source>, value: &DeValue<'_>, start: usize, damage: &Damage) -> Content {
    match value {
        _ if damage.swallows(start) => Content::Broken,
        DeValue::Table(table) => Content::Table(fields(source, table, damage)),
        DeValue::Array(array) => Content::List(
            array
                .iter()
                .map(|item| {
                    Node::new(
                        content(source, item.get_ref(), item.span().start, damage),
                        Span::new(source, item.span()),
                    )
                })
                .collect(),
        ),
        _ if damage.touches(start) => Content::Broken,
        DeValue::String(text) => Content::Text(text.to_string()),
        DeValue::Integer(number) => {
            let (digits, radix) = (number.as_str(), number.radix());
            let limit = if digits.starts_with('-') { i128::MIN } else { i128::MAX };
            Content::Integer(i128::from_str_radix(digits, radix).unwrap_or(limit))
        }
        DeValue::Float(number) => Content::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(truth) => Content::Boolean(*truth),
        DeValue::Datetime(_) => Content::Date,
    }
}
