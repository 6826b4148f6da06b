//! One value of a document: its shape, its span, and reading it as a type.

use std::ops::Range;

use super::{
    Diagnostic, Document, FromValue, Span, Table, ValueError,
    node::{Content, Node, Rest},
    suggest::nearest,
};

/// What a value is in TOML's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// Text in quotes.
    Text,
    /// A number without a point.
    Integer,
    /// A number with a point or an exponent, an infinity or a NaN.
    Float,
    /// `true` or `false`.
    Boolean,
    /// A date, a time or both.
    Date,
    /// A list in brackets, or the tables of a repeated `[[name]]`.
    List,
    /// A table, inline or with a header.
    Table,
}

impl Shape {
    /// The name of the shape in errors, such as "a number".
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer | Self::Float => "a number",
            Self::Boolean => "a boolean",
            Self::Date => "a date",
            Self::List => "a list",
            Self::Table => "a table",
        }
    }
}

/// A value of a document. Reading it as a type notes an error in the document if it is not of that type.
#[derive(Debug, Clone)]
pub struct Value<'d> {
    pub(crate) document: &'d Document,
    pub(crate) node: &'d Node,
    pub(crate) path: String,
}

impl<'d> Value<'d> {
    /// The shape of the value. `None` on a line with a syntax error: such a value is there, but reading it returns
    /// `None` without another error.
    #[must_use]
    pub fn shape(&self) -> Option<Shape> {
        self.node.content.shape()
    }

    /// The span of the value.
    #[must_use]
    pub fn span(&self) -> &'d Span {
        &self.node.span
    }

    /// The keys that lead to the value, joined by points.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The text, if it is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&'d str> {
        if let Content::Text(text) = &self.node.content {
            Some(text)
        } else {
            None
        }
    }

    /// The number, if it is one without a point. Numbers beyond 128 bits saturate.
    #[must_use]
    pub fn as_integer(&self) -> Option<i128> {
        if let Content::Integer(number) = self.node.content {
            Some(number)
        } else {
            None
        }
    }

    /// The number, if it is one with a point; it may be infinite or NaN.
    #[must_use]
    pub fn as_float(&self) -> Option<f64> {
        if let Content::Float(number) = self.node.content {
            Some(number)
        } else {
            None
        }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn as_boolean(&self) -> Option<bool> {
        if let Content::Boolean(truth) = self.node.content {
            Some(truth)
        } else {
            None
        }
    }

    /// Reads the value as a type. A value of another type is noted as an error.
    #[must_use]
    pub fn read<T: FromValue>(&self) -> Option<T> {
        self.read_with(T::from_value)
    }

    /// Reads the value with a function. Its refusal is noted as an error.
    #[must_use]
    pub fn read_with<T>(&self, read: impl FnOnce(&Self) -> Result<T, ValueError>) -> Option<T> {
        self.shape().filter(|_| !self.node.refused.get())?;
        match read(self) {
            Ok(value) => Some(value),
            Err(refusal) => {
                let span = refusal
                    .within
                    .as_ref()
                    .and_then(|range| self.part(range))
                    .unwrap_or_else(|| self.span().clone());
                let error = Diagnostic::new(span, format!("`{}` {}", self.path, refusal.rule)).label(refusal.label);
                self.refuse(match refusal.help {
                    Some(help) => error.help(help),
                    None => error,
                });
                None
            }
        }
    }

    /// Reads the value as one of the names, and returns the meaning of that name. Any other value is noted as an error
    /// that lists the names and suggests the nearest.
    #[must_use]
    pub fn read_choice<T: Copy>(&self, names: &[(&str, T)]) -> Option<T> {
        let shape = self.shape().filter(|_| !self.node.refused.get())?;
        let text = self.as_text();
        if let Some((_, choice)) = names.iter().find(|(name, _)| Some(*name) == text) {
            return Some(*choice);
        }
        let list = or_list(names.iter().map(|(name, _)| format!("\"{name}\"")));
        let error = Diagnostic::new(self.span().clone(), format!("`{}` must be {list}", self.path));
        self.refuse(match text {
            None => error.label(format!("this is {}", shape.name())),
            Some(text) => match nearest(text, names.iter().map(|(name, _)| *name)) {
                Some(name) => error.help(format!("did you mean \"{name}\"?")),
                None => error,
            },
        });
        None
    }

    /// Reads the value as a table. Anything else is noted as an error.
    #[must_use]
    pub fn read_table(&self) -> Option<Table<'d>> {
        let table = self.as_table();
        if table.is_none() {
            self.refuse_shape("must be a table");
        }
        table
    }

    /// Reads the value as a list. Anything else is noted as an error.
    #[must_use]
    pub fn read_list(&self) -> Option<Vec<Self>> {
        if let Content::List(nodes) = &self.node.content
            && !self.node.refused.get()
        {
            return Some(
                nodes
                    .iter()
                    .map(|node| Self {
                        node,
                        path: self.path.clone(),
                        ..*self
                    })
                    .collect(),
            );
        }
        self.refuse_shape("must be a list");
        None
    }

    /// Notes once that the value is of another shape.
    pub fn refuse_shape(&self, rule: &str) {
        if let Some(shape) = self.shape().filter(|_| !self.node.refused.get()) {
            let error = self.error(format!("`{}` {rule}", self.path));
            self.refuse(error.label(format!("this is {}", shape.name())));
        }
    }

    /// The table, if it is one.
    #[must_use]
    pub fn as_table(&self) -> Option<Table<'d>> {
        let Content::Table(fields) = &self.node.content else {
            return None;
        };
        Some(Table {
            document: self.document,
            fields,
            span: &self.node.span,
            path: self.path.clone(),
        })
    }

    /// An error about this value, to be completed and [reported](Document::report).
    pub fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.span().clone(), message)
    }

    /// Notes an error about this value. After that, neither the value nor its content is read any more.
    pub fn refuse(&self, error: Diagnostic) {
        let nodes = match &self.node.content {
            Content::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(self.node),
        };
        for node in nodes {
            if let Content::Table(fields) = &node.content {
                fields.rest.set(Rest::Ignored);
            }
        }
        self.node.refused.set(true);
        self.document.report(error.of_value());
    }

    /// The span of a part of this text, if the source has the text without escapes.
    fn part(&self, range: &Range<usize>) -> Option<Span> {
        let text = self.as_text()?;
        let literal = self.span().text();
        let inner = literal.get(1..literal.len().checked_sub(1)?)?;
        let start = self.span().range().start + 1;
        (inner == text && range.start < range.end)
            .then(|| Span::new(self.span().source(), start + range.start..start + range.end))
    }
}

/// "a", "a or b", "a, b or c".
fn or_list(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = names.collect();
    match names.pop() {
        None => String::new(),
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} or {last}", names.join(", ")),
    }
}
