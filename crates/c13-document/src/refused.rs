//! Values that were refused: this is remembered, and errors that follow from it are not reported.

use super::{
    Span, Table, Value,
    node::{Content, Fields, Node},
};

impl<'d> Table<'d> {
    /// The value at a path of keys joined by points, if it is there; makes nothing known.
    #[must_use]
    pub fn value_at(&self, path: &str) -> Option<Value<'d>> {
        match path.split_once('.') {
            Some((key, rest)) => self.peek(key)?.as_table()?.value_at(rest),
            None => self.peek(path),
        }
    }

    /// Where the value at a path of keys joined by points stands, if it is there; makes nothing known.
    #[must_use]
    pub fn place_of(&self, path: &str) -> Option<Span> {
        self.value_at(path).map(|value| value.span().clone())
    }

    /// Whether the value at a path of keys joined by points is there and says nothing, because it, or something in it,
    /// was refused: a default stands in its place, and no other value is to be measured by that. Makes nothing known.
    #[must_use]
    pub fn is_refused(&self, path: &str) -> bool {
        self.value_at(path).is_some_and(|value| is_refused(value.node))
    }

    /// Whether anything in the table was refused.
    #[must_use]
    pub fn has_refused(&self) -> bool {
        any_refused(self.fields)
    }

    /// Looks no further at the value at a path, as if it had been refused. Whether it is there and was not before.
    #[must_use]
    pub fn refuse(&self, path: &str) -> bool {
        let value = self.value_at(path);
        value.is_some_and(|value| !is_refused(value.node) && !value.node.refused.replace(true))
    }
}

fn is_refused(node: &Node) -> bool {
    node.refused.get()
        || match &node.content {
            Content::Broken => true,
            Content::Table(fields) => any_refused(fields),
            Content::List(nodes) => nodes.iter().any(is_refused),
            _ => false,
        }
}

fn any_refused(fields: &Fields) -> bool {
    fields.entries.iter().any(|entry| is_refused(&entry.node))
}
