//! A named text, and a span: a range of it that knows its line and column.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::Diagnostic;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// A text and its name in errors: a file, or an environment variable and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    /// Where the lines after the first begin, because many errors each need their line.
    line_starts: Vec<usize>,
    generated: bool,
}

impl Source {
    /// Names a text. A byte order mark at its start is taken off.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.starts_with(BYTE_ORDER_MARK) {
            text.drain(..BYTE_ORDER_MARK.len_utf8());
        }
        let line_starts = text.match_indices('\n').map(|(newline, _)| newline + 1).collect();
        Self {
            name: name.into(),
            text,
            line_starts,
            generated: false,
        }
    }

    /// Names a text that is read as bytes, such as a file's.
    ///
    /// # Errors
    ///
    /// Bytes that are not UTF-8: the error shows the line and the column of the first of them.
    ///
    /// ```
    /// use c13_document::Source;
    ///
    /// let error = Source::from_bytes("service.toml", b"[policy.a]\n# caf\xe9\n".to_vec()).unwrap_err();
    /// assert!(error.to_string().starts_with("error: this is not UTF-8\n --> service.toml:2:6\n"), "{error}");
    /// ```
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self, Box<Diagnostic>> {
        let name = name.into();
        let error = match String::from_utf8(bytes) {
            Ok(text) => return Ok(Self::new(name, text)),
            Err(error) => error,
        };
        let good = error.utf8_error().valid_up_to();
        let byte = error.as_bytes()[good];
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        // The text before the first wrong byte is unchanged, except for a byte order mark.
        let source = Arc::new(Self::new(name, text));
        let cut = error.as_bytes().len().min(BYTE_ORDER_MARK.len_utf8());
        let marked = error.as_bytes()[..cut] == *BYTE_ORDER_MARK.encode_utf8(&mut [0; 4]).as_bytes();
        let at = if marked {
            good - BYTE_ORDER_MARK.len_utf8()
        } else {
            good
        };
        let place = Span::new(&source, at..at + char::REPLACEMENT_CHARACTER.len_utf8());
        let error = Diagnostic::new(place, "this is not UTF-8").label(format!("the byte {byte:#04x}"));
        Err(Box::new(error.help("save the file as UTF-8")))
    }

    /// Names a generated text, such as a profile's. An error that concerns another source as well points there.
    #[must_use]
    pub fn generated(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            generated: true,
            ..Self::new(name, text)
        }
    }

    /// Whether the text is generated.
    #[must_use]
    pub fn is_generated(&self) -> bool {
        self.generated
    }

    /// The name given to the text, such as a path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte of the text. A byte past the end, or inside a character, counts as the next character.
    /// Takes time linear in the length of the line.
    #[must_use]
    pub fn position(&self, offset: usize) -> Position {
        let offset = self.boundary(offset);
        let line_start = self.line_start(offset);
        Position {
            line: self.lines_before(offset) + 1,
            column: self.text[line_start..offset].chars().count() + 1,
        }
    }

    /// How many lines end before this byte.
    fn lines_before(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// Where the line that holds this byte begins.
    pub(crate) fn line_start(&self, offset: usize) -> usize {
        match self.lines_before(self.boundary(offset)) {
            0 => 0,
            line => self.line_starts[line - 1],
        }
    }

    /// Where the line that holds this byte ends, its line break not counted.
    pub(crate) fn line_end(&self, offset: usize) -> usize {
        let offset = self.boundary(offset);
        let next = self.line_starts.get(self.lines_before(offset));
        let end = next.map_or(self.text.len(), |next| next - 1);
        if end > offset && self.text[..end].ends_with('\r') {
            end - 1
        } else {
            end
        }
    }

    pub(crate) fn boundary(&self, offset: usize) -> usize {
        (offset..self.text.len())
            .find(|&at| self.text.is_char_boundary(at))
            .unwrap_or(self.text.len())
    }
}

/// A line and a column, both counted from 1; columns count characters, not bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A range of a source. Cheap to clone; it keeps its source alive.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    source: Arc<Source>,
    start: usize,
    end: usize,
}

impl Span {
    /// The bytes `range` of `source`, widened to whole characters and cut off at the end of the text.
    #[must_use]
    pub fn new(source: &Arc<Source>, range: Range<usize>) -> Self {
        let start = source.boundary(range.start);
        let end = source.boundary(range.end).max(start);
        Self {
            source: Arc::clone(source),
            start,
            end,
        }
    }

    /// The text that this is a range of.
    #[must_use]
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The range in bytes.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The text within the range, as it stands in the source.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.source.text[self.start..self.end]
    }

    /// Line and column of the first character.
    #[must_use]
    pub fn position(&self) -> Position {
        self.source.position(self.start)
    }

    /// Whether the span stands for the source as a whole rather than for a part of it.
    pub(crate) fn is_whole(&self) -> bool {
        self.start == 0 && self.end == 0
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {:?}", self.source.name, self.position(), self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let source = Source::new("f", "aé\nßx\r\nlast");
        let at = |needle: &str| source.position(source.text().find(needle).expect("the needle is in the text"));
        assert_eq!(at("a"), Position { line: 1, column: 1 });
        assert_eq!(at("\n"), Position { line: 1, column: 3 });
        assert_eq!(at("x"), Position { line: 2, column: 2 });
        assert_eq!(at("last"), Position { line: 3, column: 1 });
        assert_eq!(source.position(usize::MAX), Position { line: 3, column: 5 });
        assert_eq!(
            source.position(2),
            Position { line: 1, column: 3 },
            "inside é counts as after it"
        );
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        assert_eq!(Source::new("f", "\u{feff}a").text(), "a");
    }

    #[test]
    fn a_line_ends_before_its_break() {
        let source = Source::new("f", "one\r\ntwo\n\nfour");
        assert_eq!(source.line_end(0), 3);
        assert_eq!((source.line_start(6), source.line_end(6)), (5, 8));
        assert_eq!((source.line_start(9), source.line_end(9)), (9, 9));
        assert_eq!(source.line_end(10), 14);
    }

    #[test]
    fn a_span_outside_the_text_is_cut_off() {
        let source = Arc::new(Source::new("f", "aé"));
        assert_eq!(Span::new(&source, 0..2).text(), "aé");
        assert_eq!(Span::new(&source, 7..9).text(), "");
    }
}
