//! The figures of the house: how much code there is in which part, and in how many places one name is written.
//!
//! `./test house` prints them. A line of code is one that is neither blank nor a comment nor seen by tests only.

use super::source::words;
use super::{Source, TREE};
use std::fmt::Write;

/// A part of the tree whose code is counted: everything that a path of `within` starts, but for what one of `without`
/// starts. Paths that are gone count nothing, so that a row can name a part before and after it has moved.
struct Part {
    name: &'static str,
    within: &'static [&'static str],
    without: &'static [&'static str],
}

const LIBRARY: &str = "crates/c13-reliability/src/";
const POLICY: &str = "crates/c13-reliability/src/policy/";

/// The files in which a call through a policy runs.
const CALL: &[&str] = &[
    "crates/c13-reliability/src/policy/call",
    "crates/c13-reliability/src/policy/attempt.rs",
    "crates/c13-reliability/src/policy/flight.rs",
    "crates/c13-reliability/src/policy/handle.rs",
    "crates/c13-reliability/src/policy/limit.rs",
    "crates/c13-reliability/src/policy/make.rs",
    "crates/c13-reliability/src/policy/start.rs",
    "crates/c13-reliability/src/policy/started.rs",
];

const PARTS: &[Part] = &[
    Part::whole("the library", &[LIBRARY]),
    Part {
        name: "policy/ without the call",
        within: &[POLICY],
        without: CALL,
    },
    Part::whole("policy/, the call", CALL),
    Part::whole("the crate c13-document", &["crates/c13-document/src/"]),
    Part::whole(
        "patterns/rate_limiter/",
        &["crates/c13-reliability/src/patterns/rate_limiter/"],
    ),
    Part::whole("gate/", &["crates/c13-reliability/src/gate/"]),
    Part::whole("sync/", &["crates/c13-reliability/src/sync/"]),
    Part::whole("the program", &["crates/c13/src/"]),
];

impl Part {
    const fn whole(name: &'static str, within: &'static [&'static str]) -> Self {
        Self {
            name,
            within,
            without: &[],
        }
    }

    fn holds(&self, path: &str) -> bool {
        let starts = |with: &[&str]| with.iter().any(|start| path.starts_with(start));
        starts(self.within) && !starts(self.without)
    }

    /// Its files that have code, and their lines of it.
    fn count(&self, tree: &[Source]) -> (usize, usize) {
        let lines = tree.iter().filter(|source| self.holds(&source.path)).map(code_lines);
        lines
            .filter(|lines| *lines > 0)
            .fold((0, 0), |(files, all), lines| (files + 1, all + lines))
    }
}

fn code_lines(source: &Source) -> usize {
    source.live.lines().filter(|line| !line.trim().is_empty()).count()
}

/// Names that stand for a kind of thing that is added now and then.
const NAMES: &[(&str, &str)] = &[
    ("a setting", "half_open_calls"),
    ("a count of the bulkhead", "wait_elapsed"),
    ("a figure of the drill", "amplification"),
    ("a kind of jitter", "Decorrelated"),
];

/// The lines of code that write a name as a word, string contents included, and the files that they are in.
fn places(tree: &[Source], name: &str) -> (usize, usize) {
    let written = |source: &Source| {
        let lines = source.live.lines().zip(source.text.lines());
        lines
            .filter(|(live, text)| !live.trim().is_empty() && words(text).any(|(_, word)| word == name))
            .count()
    };
    let lines = tree
        .iter()
        .filter(|source| source.path.starts_with("crates/"))
        .map(written);
    lines
        .filter(|lines| *lines > 0)
        .fold((0, 0), |(files, all), lines| (files + 1, all + lines))
}

/// The tables as text.
fn tables(tree: &[Source]) -> String {
    let mut text = format!("{:<34} {:>7} {:>7}\n", "lines of code", "lines", "files");
    for part in PARTS {
        let (files, lines) = part.count(tree);
        let _ = writeln!(text, "{:<34} {lines:>7} {files:>7}", part.name);
    }
    let _ = write!(
        text,
        "\n{:<34} {:>7} {:>7}\n",
        "places that write a name", "lines", "files"
    );
    for (kind, name) in NAMES {
        let (files, lines) = places(tree, name);
        let _ = writeln!(text, "{:<34} {lines:>7} {files:>7}", format!("{kind}: {name}"));
    }
    text
}

#[test]
fn every_figure_counts_something() {
    let tree = &*TREE;
    print!("{}", tables(tree));
    let parts = PARTS
        .iter()
        .filter(|part| part.count(tree) == (0, 0))
        .map(|part| part.name);
    let names = NAMES
        .iter()
        .map(|(_, name)| *name)
        .filter(|name| places(tree, name) == (0, 0));
    let nothing: Vec<_> = parts.chain(names).collect();
    assert!(nothing.is_empty(), "tidy/figures.rs counts what is gone: {nothing:?}");
}

#[test]
fn comments_blank_lines_and_tests_are_no_lines_of_code() {
    let text = "//! a\n\nfn a() {\n    // b\n    \"c\n    d\";\n}\n#[cfg(test)]\nmod tests {\n    fn e() {}\n}\n";
    assert_eq!(code_lines(&Source::new("crates/c13/src/a.rs", text)), 4);
    let tree = [
        Source::new("crates/c13-reliability/src/policy/call/held.rs", "fn a() {}"),
        Source::new("crates/c13-reliability/src/policy/rules.rs", "fn a() {}\nfn b() {}"),
        Source::new("crates/c13-reliability/src/policy/tests.rs", "fn c() {}"),
    ];
    let counts: Vec<_> = PARTS[..3].iter().map(|part| part.count(&tree)).collect();
    assert_eq!(counts, [(2, 3), (1, 2), (1, 1)]);
    let text = "//! half\nfn half() {\n    set(\"half\", half_open); // half\n}\n#[cfg(test)]\nfn half() {}\n";
    assert_eq!(places(&[Source::new("crates/c13/src/a.rs", text)], "half"), (1, 2));
}
