//! Finds what a table sets at a path and below it, and moves values to other spans.

use super::{
    Document, Span, Table,
    node::{Content, Fields, Node},
    table::join,
};

/// A value that a table sets at a path, above it in its place, or below it.
#[derive(Debug, Clone)]
pub struct Said {
    /// The path of the value.
    pub path: String,
    /// The value as it is written; `{}` for an empty table.
    pub text: String,
    /// The span of the value.
    pub span: Span,
}

impl Said {
    fn new(path: &str, node: &Node) -> Self {
        let text = match &node.content {
            Content::Table(fields) if fields.entries.is_empty() => "{}".to_owned(),
            _ => node.span.text().to_owned(),
        };
        Self {
            path: path.to_owned(),
            text,
            span: node.span.clone(),
        }
    }
}

impl Table<'_> {
    /// Everything that the table sets at a path of keys joined by points: its value; all values below it, if it is a
    /// table; or the value in place of a table on the way. The empty path means everything. Makes no key known.
    #[must_use]
    pub fn said_of(&self, path: &str) -> Vec<Said> {
        let mut found = Vec::new();
        let mut fields = self.fields;
        let mut here = String::new();
        let mut keys = path.split('.').filter(|key| !key.is_empty()).peekable();
        while let Some(key) = keys.next() {
            let Some(entry) = fields.find(key) else {
                return found;
            };
            here = join(&here, key);
            match &entry.node.content {
                Content::Table(below) if keys.peek().is_some() || !below.entries.is_empty() => fields = below,
                _ => {
                    found.push(Said::new(&here, &entry.node));
                    return found;
                }
            }
        }
        all_of(fields, &here, &mut found);
        found
    }

    /// The spans of the key at a path of keys joined by points, and of its value. Makes no key known.
    #[must_use]
    pub fn place_with_key(&self, path: &str) -> Option<(Span, Span)> {
        let (tables, key) = path.rsplit_once('.').unwrap_or(("", path));
        let mut fields = self.fields;
        for key in tables.split('.').filter(|key| !key.is_empty()) {
            match &fields.find(key)?.node.content {
                Content::Table(below) => fields = below,
                _ => return None,
            }
        }
        let entry = fields.find(key)?;
        Some((entry.key_span.clone(), entry.node.span.clone()))
    }

    /// The paths of all keys below that are `false`, which switches them off. Makes no key known.
    #[must_use]
    pub fn switched_off(&self) -> Vec<String> {
        let off = self.said_of("").into_iter().filter(|said| said.text == "false");
        off.map(|said| said.path).collect()
    }
}

fn all_of(fields: &Fields, path: &str, found: &mut Vec<Said>) {
    for entry in &fields.entries {
        let here = join(path, &entry.key);
        match &entry.node.content {
            Content::Table(below) if !below.entries.is_empty() => all_of(below, &here, found),
            _ => found.push(Said::new(&here, &entry.node)),
        }
    }
}

impl Document {
    /// Moves the key and the value at a path, with all that the value holds, to other spans.
    pub fn stands_at(&mut self, path: &str, key_place: &Span, place: &Span) {
        let (tables, key) = path.rsplit_once('.').unwrap_or(("", path));
        let mut fields = &mut self.root;
        for key in tables.split('.').filter(|key| !key.is_empty()) {
            match fields.find_mut(key).map(|entry| &mut entry.node.content) {
                Some(Content::Table(below)) => fields = below,
                _ => return,
            }
        }
        if let Some(entry) = fields.find_mut(key) {
            entry.key_span = key_place.clone();
            moved(&mut entry.node, place);
        }
    }
}

fn moved(node: &mut Node, place: &Span) {
    node.span = place.clone();
    match &mut node.content {
        Content::Table(fields) => fields.entries.iter_mut().for_each(|entry| {
            entry.key_span = place.clone();
            moved(&mut entry.node, place);
        }),
        Content::List(nodes) => nodes.iter_mut().for_each(|node| moved(node, place)),
        _ => {}
    }
}
