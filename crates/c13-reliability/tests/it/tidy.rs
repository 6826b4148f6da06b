//! The rules of the house that no compiler knows, kept by reading the source tree.
//!
//! | rule | in |
//! |---|---|
//! | imports go down the rows; no neighbour imports a neighbour; inside a pattern config ← state ← handle ← layer | `imports.rs` |
//! | a pure file knows no clock, lock, atomic, future, log or random number; settings hold no closures | `purity.rs` |
//! | a reason within three lines above each `Ordering::` | `orderings.rs` |
//! | `mod.rs` and `lib.rs` define no functions; no file over 600 lines without its tests; a first line that says what the file holds | `shape.rs` |
//! | nothing ignored or left undone; time only in `time/`; printing only in the program's `output.rs`; no path of somebody's machine | `hygiene.rs` |
//! | every pattern has its bench, example, integration test and README row | `parity.rs` |
//!
//! What a pattern called `circuit_breaker`, that is a folder of this name in `crates/c13-reliability/src/patterns/`,
//! must have, by exact name:
//!
//! | what | where |
//! |---|---|
//! | a bench | `crates/c13-reliability/benches/circuit_breaker.rs` |
//! | an example | `crates/c13-reliability/examples/circuit_breaker_example.rs` |
//! | an integration test | `crates/c13-reliability/tests/it/circuit_breaker.rs`, declared in `main.rs` as `mod circuit_breaker;` |
//! | a README row | a table row (it starts with a vertical bar) that contains `` `patterns::circuit_breaker` `` |
//!
//! A rule is a function from a [`Source`] (a path and its text) to what breaks it, so each has tests that show it
//! biting on a few lines. Rules read code without comments, string contents and parts under `#[cfg(test)]`; files
//! called `tests.rs` or `loom.rs`, and files under a folder `tests`, are tests throughout.

mod hygiene;
mod imports;
mod orderings;
mod parity;
mod purity;
mod shape;
mod source;

use source::Source;
use std::fmt::{self, Display};
use std::fs;
use std::path::Path;

/// One place where a rule is broken.
#[derive(Debug)]
struct Violation {
    path: String,
    line: usize,
    rule: String,
}

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

type Rule = fn(&Source) -> Vec<Violation>;

/// The rules that look at one file at a time.
const RULES: &[Rule] = &[
    hygiene::nothing_is_ignored_or_left_undone,
    hygiene::no_path_of_a_machine,
    hygiene::only_output_prints,
    hygiene::time_comes_from_time,
    imports::a_pattern_is_layered,
    imports::imports_go_down,
    orderings::orderings_have_reasons,
    purity::pure_files_are_pure,
    purity::settings_are_plain,
    shape::files_are_short,
    shape::files_say_what_they_hold,
    shape::tables_of_contents_define_no_functions,
];

/// What git, cargo and the services that tests start keep in the tree.
const SKIPPED: &[&str] = &["target", ".git", ".services"];

#[test]
fn the_tree_keeps_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut tree = Vec::new();
    read_tree(&root, "", &mut tree);
    assert!(
        tree.iter().any(|s| s.path == "crates/c13-reliability/src/lib.rs"),
        "read the wrong folder: {root:?}"
    );

    let mut violations: Vec<_> = tree
        .iter()
        .flat_map(|source| RULES.iter().flat_map(|rule| rule(source)))
        .collect();
    violations.extend(parity::every_pattern_is_complete(&tree));
    violations.extend(parity::every_integration_test_runs(&tree));
    violations.extend(purity::every_pure_file_exists(&tree));
    violations.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));

    let list: String = violations.iter().map(|violation| format!("  {violation}\n")).collect();
    assert!(violations.is_empty(), "{} rules broken:\n{list}", violations.len());
}

/// Reads every text file below `root`; paths are relative to it, with slashes.
fn read_tree(root: &Path, below: &str, tree: &mut Vec<Source>) {
    let folder = root.join(below);
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("cannot list {folder:?}: {error}")) {
        let entry = entry.unwrap_or_else(|error| panic!("cannot list {folder:?}: {error}"));
        let name = entry
            .file_name()
            .into_string()
            .expect("file names in the tree are UTF-8");
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        let path = if below.is_empty() {
            name
        } else {
            format!("{below}/{name}")
        };
        let kind = entry
            .file_type()
            .unwrap_or_else(|error| panic!("cannot look at {path}: {error}"));
        if kind.is_dir() {
            read_tree(root, &path, tree);
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            tree.push(Source::new(&path, &text));
        }
    }
}

/// The lines on which `rule` finds something, for a file of this path and text.
fn bites(rule: Rule, path: &str, text: &str) -> Vec<usize> {
    rule(&Source::new(path, text))
        .into_iter()
        .map(|violation| violation.line)
        .collect()
}
