//! A first look at a text, before a tree is made of it: how far it can be read with bounded time, memory and stack, and
//! what the events of the parser say about its errors. The words of its errors are for people and are not looked at.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use toml_parser::decoder::Encoding;
use toml_parser::parser::{EventReceiver, parse_document};
use toml_parser::{ErrorSink, ParseError, Raw, Source, Span};

/// A text with more syntax errors than these is read up to there: the parser keeps a few hundred bytes for each.
const MOST_ERRORS: usize = 1_000;

/// Tables and lists may lie this deep. No key that anybody asks for lies half as deep, and a tree is walked by recursion.
pub(crate) const DEEPEST: usize = 16;

/// A key may be this long, in bytes: every value below it has it in its path.
pub(crate) const LONGEST_KEY: usize = 128;

/// Where reading stops, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// There are too many errors before this byte.
    Errors(usize),
    /// This key, table or list lies too deep.
    Depth(Range<usize>),
    /// This key is too long.
    Key(Range<usize>),
}

impl Stop {
    /// The first byte that is not read.
    pub(crate) fn at(&self) -> usize {
        match self {
            Self::Errors(at) => *at,
            Self::Depth(range) | Self::Key(range) => range.start,
        }
    }
}

/// What the first look found.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Where reading has to stop, if anywhere.
    pub(crate) stop: Option<Stop>,
    /// Where the errors of syntax begin. All others are about what the text means, such as a key that is set twice.
    pub(crate) errors: BTreeSet<usize>,
    /// Keys of settings without a `=`. The tree ends at the first of them.
    pub(crate) keys_alone: Vec<usize>,
    /// Values without quotes that are no values.
    pub(crate) wrong_values: Vec<Range<usize>>,
    /// Texts in quotes that do not end.
    pub(crate) open_texts: Vec<Range<usize>>,
    /// Where the list begins that does not end.
    pub(crate) open_list: Option<usize>,
}

/// Looks at a text.
pub(crate) fn look(text: &str) -> Look {
    let source = Source::new(text);
    let tokens = source.lex().into_vec();
    let (mut shape, mut errors) = (Shape::new(text), Errors::default());
    parse_document(&tokens, &mut shape, &mut errors);
    shape.end_key();
    // Positions of errors need not be in order, and some have none.
    let too_many = (errors.count > MOST_ERRORS).then(|| Stop::Errors(errors.last.min(text.len())));
    let mut look = shape.look;
    look.stop = [too_many, look.stop].into_iter().flatten().min_by_key(Stop::at);
    look.errors = errors.starts;
    look
}

/// Counts errors, and has the places of those that are looked at.
#[derive(Default)]
struct Errors {
    count: usize,
    last: usize,
    starts: BTreeSet<usize>,
}

impl ErrorSink for Errors {
    fn report_error(&mut self, error: ParseError) {
        self.count += 1;
        if self.count <= MOST_ERRORS
            && let Some(span) = error.unexpected()
        {
            self.last = self.last.max(span.end());
            self.starts.insert(span.start());
        }
    }
}

/// Notes whether there was an error, and passes it on.
struct Watched<'a> {
    any: bool,
    errors: &'a mut dyn ErrorSink,
}

impl ErrorSink for Watched<'_> {
    fn report_error(&mut self, error: ParseError) {
        self.any = true;
        self.errors.report_error(error);
    }
}

/// Follows how deep keys, tables and lists lie.
struct Shape<'t> {
    text: &'t str,
    /// Keys of the header above.
    header: usize,
    in_header: bool,
    /// How deep the tables and lists around the present key lie below the header, one in the other.
    around: Vec<usize>,
    /// Parts of the present key.
    parts: usize,
    /// Whether the next part belongs to the present key.
    is_joined: bool,
    /// The key of a setting whose `=` is still to come.
    key: Option<usize>,
    /// Where the tables and lists around begin.
    opened: Vec<usize>,
    look: Look,
}

impl<'t> Shape<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            header: 0,
            in_header: false,
            around: Vec::new(),
            parts: 0,
            is_joined: false,
            key: None,
            opened: Vec::new(),
            look: Look::default(),
        }
    }

    fn depth(&self) -> usize {
        let header = if self.in_header { 0 } else { self.header };
        header + self.around.last().unwrap_or(&0) + self.parts
    }

    fn note(&mut self, stop: Stop) {
        self.look.stop.get_or_insert(stop);
    }

    /// A key without a `=` ends here, if there is one.
    fn end_key(&mut self) {
        if let Some(key) = self.key.take()
            && self.look.keys_alone.len() < MOST_ERRORS
        {
            self.look.keys_alone.push(key);
        }
    }

    fn open_header(&mut self) {
        self.end_key();
        self.opened.clear();
        self.around.clear();
        (self.header, self.parts, self.in_header) = (0, 0, true);
    }

    fn close_header(&mut self) {
        (self.header, self.parts, self.in_header) = (self.parts, 0, false);
    }

    /// Whether the parser is to look into the table or the list.
    fn open(&mut self, span: Span) -> bool {
        let around = self.around.last().unwrap_or(&0) + self.parts + 1;
        self.around.push(around);
        self.opened.push(span.start());
        self.parts = 0;
        let is_too_deep = self.depth() > DEEPEST;
        if is_too_deep {
            self.note(Stop::Depth(span.start()..span.end()));
        }
        !is_too_deep
    }

    /// Closes a table or a list, and says where it began.
    fn close(&mut self) -> Option<usize> {
        self.around.pop();
        self.parts = 0;
        self.opened.pop()
    }

    fn raw(&self, span: Span, encoding: Option<Encoding>) -> Raw<'t> {
        Raw::new_unchecked(&self.text[span.start()..span.end()], encoding, span)
    }
}

impl EventReceiver for Shape<'_> {
    fn std_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.open_header();
    }

    fn std_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.close_header();
    }

    fn array_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.open_header();
    }

    fn array_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.close_header();
    }

    fn inline_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.open(span)
    }

    fn inline_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.close();
    }

    fn array_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.open(span)
    }

    fn array_close(&mut self, span: Span, _: &mut dyn ErrorSink) {
        let began = self.close();
        // The parser closes at the end of the text what the text does not.
        if span.is_empty() {
            self.look.open_list = began;
        }
    }

    fn simple_key(&mut self, span: Span, encoding: Option<Encoding>, errors: &mut dyn ErrorSink) {
        if !self.is_joined {
            self.end_key();
            let is_setting = !self.in_header && self.around.is_empty();
            (self.key, self.parts) = (is_setting.then_some(span.start()), 0);
        }
        self.parts += 1;
        self.is_joined = false;
        if self.depth() > DEEPEST {
            self.note(Stop::Depth(span.start()..span.end()));
        }
        if span.len() > LONGEST_KEY {
            self.note(Stop::Key(span.start()..span.end()));
        }
        self.raw(span, encoding).decode_key(&mut Cow::Borrowed(""), errors);
    }

    fn key_sep(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.is_joined = true;
    }

    fn key_val_sep(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.key = None;
    }

    fn newline(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.end_key();
    }

    fn comment(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.end_key();
    }

    fn error(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.end_key();
    }

    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, errors: &mut dyn ErrorSink) {
        let mut errors = Watched { any: false, errors };
        // Only its errors are asked for.
        let _ = self
            .raw(span, encoding)
            .decode_scalar(&mut Cow::Borrowed(""), &mut errors);
        if !errors.any {
            return;
        }
        let range = span.start()..span.end();
        let text = &self.text[range.clone()];
        let noted = match encoding {
            // The parser puts an empty text where a value is missing.
            _ if text.is_empty() => &mut self.look.wrong_values,
            None => &mut self.look.wrong_values,
            Some(Encoding::BasicString) if !text[1..].ends_with('"') => &mut self.look.open_texts,
            Some(Encoding::LiteralString) if !text[1..].ends_with('\'') => &mut self.look.open_texts,
            Some(_) => return,
        };
        if noted.len() < MOST_ERRORS {
            noted.push(range);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(text: &str) -> Option<Stop> {
        look(text).stop
    }

    #[test]
    fn a_text_is_read_as_deep_as_any_key_that_is_asked_for() {
        let dotted = |parts: usize| vec!["a"; parts].join(".");
        for text in [
            String::new(),
            format!("{} = 1\n", dotted(DEEPEST)),
            format!("[{}]\nb = 1\n", dotted(DEEPEST - 1)),
            format!("[[{}]]\nb = 1\n[c]\n{} = 1\n", dotted(DEEPEST - 1), dotted(DEEPEST - 1)),
            format!("a = {}1{}\n", "[".repeat(DEEPEST - 1), "]".repeat(DEEPEST - 1)),
            format!("a = [{}]\n", "[1], {b = 1}, ".repeat(100)),
            "a = {b = 1, c = {d = 1}}\n".repeat(100),
            format!("{} = 1\n", "k".repeat(LONGEST_KEY)),
        ] {
            assert_eq!(stop(&text), None, "{text}");
        }
    }

    #[test]
    fn what_lies_deeper_or_under_a_longer_key_is_not_read() {
        let dotted = |parts: usize| vec!["a"; parts].join(".");
        for (text, at) in [
            (format!("b = 1\n{} = 1\n", dotted(DEEPEST + 1)), 6 + 2 * DEEPEST),
            (format!("[{}]\n", dotted(DEEPEST + 1)), 1 + 2 * DEEPEST),
            (format!("[{}]\nbc.d = 1\n", dotted(DEEPEST - 1)), 2 * DEEPEST + 4 - 1),
            (format!("a = {}", "[".repeat(100_000)), 4 + DEEPEST - 1),
            (format!("a = {}", "{a=".repeat(100_000)), 4 + 3 * (DEEPEST / 2 - 1) + 1),
        ] {
            let found = stop(&text);
            let start = &text[..text.len().min(60)];
            assert!(matches!(found, Some(Stop::Depth(_))), "{start}: {found:?}");
            assert_eq!(found.map(|stop| stop.at()), Some(at), "{start}");
        }
        let long = format!("[a]\n{} = 1\n", "k".repeat(LONGEST_KEY + 1));
        assert_eq!(stop(&long), Some(Stop::Key(4..4 + LONGEST_KEY + 1)));
    }

    #[test]
    fn a_text_with_a_thousand_errors_is_read_up_to_there() {
        assert_eq!(stop(&"=\n".repeat(100)), None);
        for (text, most) in [
            ("=".repeat(1 << 16), 2_000),
            ("=\n".repeat(1 << 16), 4_000),
            (format!("a = [{}", ",".repeat(1 << 16)), 4_000),
            (format!("a = \"{}\"", "\\x".repeat(1 << 16)), 10_000),
            ("a = b\n".repeat(1 << 16), 10_000),
        ] {
            let found = stop(&text);
            let start = &text[..10];
            assert!(matches!(found, Some(Stop::Errors(_))), "{start}: {found:?}");
            assert!(found.is_some_and(|stop| stop.at() <= most), "{start}");
        }
    }
}
