//! A file as the rules read it: its text, its code without comments and literals, and its code without tests.

use super::Violation;
use proc_macro2::extra::invalidate_current_thread_spans;
use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use std::ops::Range;
use std::str::FromStr;

/// A file of the tree. `code` and `live` are as long as `text`, byte for byte, so an offset means the same in each.
#[derive(Debug)]
pub(super) struct Source {
    /// From the root of the tree, with slashes.
    pub(super) path: String,
    pub(super) text: String,
    /// `text` with comments turned into spaces, and literals into quotes.
    pub(super) code: String,
    /// `code` with everything that only tests see turned into spaces.
    pub(super) live: String,
}

/// A path such as `crate::time::Tick`, taken out of its `use` group.
#[derive(Debug, PartialEq)]
pub(super) struct Import {
    pub(super) offset: usize,
    pub(super) segments: Vec<String>,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let rust = path.ends_with(".rs");
        let code = if rust { code_of(path, text) } else { String::new() };
        let live = if is_test(path) || code.contains("#![cfg(test)]") {
            blank(&code, std::iter::once(0..code.len()))
        } else {
            blank(&code, test_items(&code))
        };
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            live,
        }
    }

    /// The path inside the library's `src`, such as `time/tick.rs`.
    pub(super) fn in_library(&self) -> Option<&str> {
        self.path.strip_prefix("crates/c13-reliability/src/")
    }

    /// The path inside the `src` of the crate that reads documents, such as `table.rs`.
    pub(super) fn in_document(&self) -> Option<&str> {
        self.path.strip_prefix("crates/c13-document/src/")
    }

    /// Whether it is code of one of our crates: the library, what reads its documents, or the program.
    pub(super) fn is_ours(&self) -> bool {
        self.in_library().or(self.in_document()).or(self.in_program()).is_some()
    }

    /// The path inside the program's `src`, such as `cmd/drill.rs`.
    pub(super) fn in_program(&self) -> Option<&str> {
        self.path.strip_prefix("crates/c13/src/")
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(super) fn is_test(&self) -> bool {
        is_test(&self.path)
    }

    /// The last part of the path.
    pub(super) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The line, counted from 1, of an offset.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        1 + self.text[..offset].matches('\n').count()
    }

    pub(super) fn violation(&self, offset: usize, rule: impl Into<String>) -> Violation {
        Violation {
            path: self.path.clone(),
            line: self.line_of(offset),
            rule: rule.into(),
        }
    }

    /// Every path in live code that starts with one of `roots`, groups taken apart.
    pub(super) fn paths_from(&self, roots: &[&str]) -> Vec<Import> {
        let mut found = Vec::new();
        for (offset, word) in words(&self.live) {
            let inner = self.live[..offset].trim_end().ends_with("::");
            if roots.contains(&word) && !inner {
                path_tree(&self.live, offset, &[], &mut found);
            }
        }
        found.retain(|import| import.segments.len() > 1);
        found
    }

    /// What an import inside the library means counted from the crate's root, or `None` for a path out of it.
    pub(super) fn resolve(&self, import: &Import) -> Option<Vec<String>> {
        let mut at = self.module_at(import.offset);
        let mut rest = import.segments.iter().peekable();
        if rest.peek().is_some_and(|first| *first == "crate") {
            at.clear();
        }
        while let Some(step) = rest.next_if(|s| ["crate", "self", "super"].contains(&s.as_str())) {
            if step == "super" {
                at.pop()?;
            }
        }
        at.extend(rest.filter(|segment| *segment != "self").cloned());
        Some(at)
    }

    /// The module that an offset lies in, counted from the crate's root.
    fn module_at(&self, offset: usize) -> Vec<String> {
        let path = self.in_library().unwrap_or(&self.path);
        let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod" || last == "lib") {
            module.pop();
        }
        for (start, _) in self.live.match_indices("mod ") {
            let rest = &self.live[start..];
            let head = rest.split(['{', ';']).next().unwrap_or(rest);
            if !self.live[..start].ends_with(is_word)
                && rest[head.len()..].starts_with('{')
                && item_range(&self.live, start).contains(&offset)
                && let Some(name) = head.split_whitespace().nth(1)
            {
                module.push(name.to_owned());
            }
        }
        module
    }
}

/// The identifiers and keywords of `code` and where they start.
pub(super) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code[at..].find(is_word)?;
        at = code[start..]
            .find(|c| !is_word(c))
            .map_or(code.len(), |length| start + length);
        Some((start, &code[start..at]))
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_test(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or(path);
    name == "tests.rs" || name == "loom.rs" || parts.any(|folder| folder == "tests")
}

/// Reads `a::b::{c, d::e}` from `at`, adding one import for each leaf; returns where it ends.
fn path_tree(code: &str, mut at: usize, prefix: &[String], found: &mut Vec<Import>) -> usize {
    let skip_space = |at: usize| code.len() - code[at..].trim_start().len();
    let offset = at;
    let mut segments = prefix.to_vec();
    loop {
        at = skip_space(at);
        let rest = &code[at..];
        if rest.starts_with('{') {
            at += 1;
            loop {
                at = skip_space(at);
                if code[at..].starts_with('}') || at == code.len() {
                    return (at + 1).min(code.len());
                }
                at = path_tree(code, at, &segments, found);
                // A new name (`as x`) says nothing about where things come from.
                at += code[at..].find([',', '}']).unwrap_or(code.len() - at);
                if code[at..].starts_with(',') {
                    at += 1;
                }
            }
        }
        let length = if rest.starts_with('*') {
            1
        } else {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        };
        if length > 0 {
            segments.push(rest[..length].to_owned());
            at += length;
        }
        let next = skip_space(at);
        if length > 0 && code[next..].starts_with("::") {
            at = next + 2;
        } else {
            found.push(Import { offset, segments });
            return at;
        }
    }
}

/// The ranges of everything under `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for (start, _) in code.match_indices("#[cfg(") {
        let condition = &code[start + "#[cfg(".len()..];
        let end = condition.find(")]").unwrap_or(condition.len());
        let condition: String = condition[..end].split_whitespace().collect();
        let all_with_test = condition.strip_prefix("all(").is_some_and(|inner| {
            !inner.contains("any(") && !inner.contains("not(test") && words(inner).any(|(_, word)| word == "test")
        });
        if condition == "test" || all_with_test {
            ranges.push(item_range(code, start));
        }
    }
    ranges
}

/// From `start` to the end of the item there: its `;`, or the brace that closes its body.
pub(super) fn item_range(code: &str, start: usize) -> Range<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return start..at + 1;
                }
            }
            b';' if depth == 0 => return start..at + 1,
            _ => {}
        }
    }
    start..code.len()
}

/// `code` with the ranges turned into spaces, line ends kept.
fn blank(code: &str, ranges: impl IntoIterator<Item = Range<usize>>) -> String {
    let mut bytes = code.as_bytes().to_vec();
    for range in ranges {
        for byte in &mut bytes[range] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8(bytes).expect("whole characters became spaces")
}

/// The words and signs of `text` where they stand, quotes in place of literals, and spaces in place of comments.
fn code_of(path: &str, text: &str) -> String {
    let mut code: Vec<u8> = text.bytes().map(|b| if b == b'\n' { b } else { b' ' }).collect();
    let tokens = TokenStream::from_str(text).unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
    keep(tokens, text, &mut code);
    invalidate_current_thread_spans();
    String::from_utf8(code).expect("whole characters became spaces")
}

fn keep(tokens: TokenStream, text: &str, code: &mut [u8]) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                copy(group.span_open(), open, text, code);
                copy(group.span_close(), close, text, code);
                keep(group.stream(), text, code);
            }
            TokenTree::Literal(literal) => {
                let range = literal.span().byte_range();
                // That of a doc comment is the comment.
                if !text[range.clone()].starts_with('/') {
                    code[range]
                        .iter_mut()
                        .filter(|byte| **byte != b'\n')
                        .for_each(|byte| *byte = b'"');
                }
            }
            TokenTree::Ident(word) => copy(word.span(), &word.to_string(), text, code),
            TokenTree::Punct(sign) => copy(sign.span(), &sign.to_string(), text, code),
        }
    }
}

/// Copies a token to where it stands. The tokens that a doc comment is read as stand nowhere.
fn copy(span: Span, token: &str, text: &str, code: &mut [u8]) {
    let range = span.byte_range();
    if &text[range.clone()] == token {
        code[range].copy_from_slice(token.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: &str = "crates/c13-reliability/src";

    fn live_words(path: &str, text: &str) -> String {
        let source = Source::new(path, text);
        assert_eq!(source.live.len(), text.len());
        assert_eq!(source.live.matches('\n').count(), text.matches('\n').count());
        words(&source.live).map(|(_, word)| word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        for (text, seen) in [
            ("a // b\nc", "a c"),
            ("/// b\na", "a"),
            ("a /* b /* c */ d */ e", "a e"),
            ("a \"b \\\" c\" d", "a d"),
            ("a \"ü // b\" d", "a d"),
            ("a r#\"b \" c\"# d", "a d"),
            ("a br\"b\\\" d", "a d"),
            ("fn f<'a>(x: &'a u8) { 'b' }", "fn f a x a u8"),
            ("a '\\'' b '\"' c", "a b c"),
            ("a '\\u{1F600}' b 'ü' c", "a b c"),
            ("a b'\\\\' c", "a c"),
            ("a 1_000_u64 b 1.5e3", "a b"),
            ("#[doc = \"b\"] a", "doc a"),
            ("/** b */ a", "a"),
        ] {
            assert_eq!(live_words("a.rs", text), seen, "{text}");
        }
    }

    #[test]
    fn what_only_tests_see_is_not_live() {
        for (text, seen) in [
            ("a;\n#[cfg(test)]\nmod tests { b; fn c() { d } }\ne", "a e"),
            ("#[cfg(test)]\nmod tests;\na", "a"),
            ("#[cfg(test)]\n#[path = \"x\"]\nuse b::{c, d};\na", "a"),
            ("#[cfg(test)]\nfn f(x: [u8; 2]) -> u8 { 1 }\na", "a"),
            ("#[cfg(all(test, c13_loom))]\nmod loom { b }\na", "a"),
            ("#[cfg(all(test, not(c13_loom)))]\nmod tests { b }\na", "a"),
            (
                "#[cfg(any(test, feature = \"x\"))]\nmod b;\na",
                "cfg any test feature mod b a",
            ),
            ("#[cfg(not(test))]\nmod b;\na", "cfg not test mod b a"),
            ("#![cfg(test)]\na", ""),
        ] {
            assert_eq!(live_words("a.rs", text), seen, "{text}");
        }
        for path in ["src/retry/tests.rs", "src/retry/loom.rs", "src/retry/tests/random.rs"] {
            assert_eq!(live_words(path, "a"), "", "{path}");
        }
        assert_eq!(live_words("src/contests/a.rs", "a"), "a");
    }

    #[test]
    fn imports_are_taken_apart_and_counted_from_the_root() {
        for (file, text, wanted) in [
            (
                "gate/run.rs",
                "use crate::time::{Clock, tick::{Tick as T, nanos}};",
                "time::Clock time::tick::Tick time::tick::nanos",
            ),
            ("gate/run.rs", "use super::{self as g, Gate};", "gate gate::Gate"),
            ("gate/mod.rs", "use super::time::*;", "time::*"),
            ("gate/mod.rs", "pub use self::run::Run;", "gate::run::Run"),
            (
                "gate/run.rs",
                "fn f() -> crate::error::Rejected<u8> { super::call(1) }",
                "error::Rejected gate::call",
            ),
            ("a/b/c.rs", "use super::super::d;", "a::d"),
            (
                "a/b.rs",
                "mod inner { use super::X; use super::super::Y; } use super::Z;",
                "a::b::X a::Y a::Z",
            ),
            ("lib.rs", "pub use crate::error::Rejected;", "error::Rejected"),
            ("a.rs", "use std::time::Duration;", ""),
        ] {
            let source = Source::new(&format!("{LIBRARY}/{file}"), text);
            let imports = source.paths_from(&["crate", "super", "self"]);
            let found: Vec<_> = imports
                .iter()
                .filter_map(|import| source.resolve(import))
                .map(|s| s.join("::"))
                .collect();
            assert_eq!(found.join(" "), wanted, "{text}");
        }
    }
}
