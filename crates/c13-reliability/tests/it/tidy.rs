//! The rules of the source tree that neither the compiler nor clippy knows, checked by reading it.
//!
//! | rule | in |
//! |---|---|
//! | imports go down the rows; no neighbour imports a neighbour; inside a pattern config ← snapshot ← state ← handle ← layer | `imports.rs` |
//! | a pure file knows no clock, lock, atomic, future, log or random number; settings hold no closures | `purity.rs` |
//! | a reason within three lines above each `Ordering::` | `orderings.rs` |
//! | `mod.rs` and `lib.rs` define no functions; no file over 600 lines without its tests; a first line that says what the file holds | `shape.rs` |
//! | no path of somebody's machine | `hygiene.rs` |
//! | every pattern has its benchmark, example, integration test and README row | `parity.rs` |
//!
//! What a pattern called `circuit_breaker`, that is a folder of this name in `crates/c13-reliability/src/patterns/`,
//! must have, by exact name:
//!
//! | what | where |
//! |---|---|
//! | a benchmark | `bench/src/cases/circuit_breaker.rs`, a group of `mod.rs` there: `circuit_breaker::add,` |
//! | an example | `crates/c13-reliability/examples/circuit_breaker_example.rs` |
//! | an integration test | `crates/c13-reliability/tests/it/circuit_breaker.rs`, declared in `main.rs` as `mod circuit_breaker;` |
//! | a README row | a table row (it starts with a vertical bar) that contains `` `patterns::circuit_breaker` `` |
//!
//! Clippy keeps the rest: `clippy.toml` bans other clocks and other ways to print, the lints in `Cargo.toml` what is left
//! undone. `./test` refuses ignored tests, because every runner counts them.
//!
//! The files are those that git tracks (`tree.rs`). A rule is a function from a [`Source`] (a path and its text) to what
//! breaks it, so each has tests that show it biting on a few lines. Rules read code without comments, literals and parts
//! under `#[cfg(test)]`; files called `tests.rs` or `loom.rs`, and files under a folder `tests`, are tests throughout.

mod figures;
mod hygiene;
mod imports;
mod orderings;
mod parity;
mod purity;
mod shape;
mod source;
pub(crate) mod tree;

use source::Source;
use std::fmt::{self, Display};
use std::fs;
use std::io::{ErrorKind, Write};
use std::sync::LazyLock;

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
    hygiene::no_path_of_a_machine,
    imports::a_pattern_is_layered,
    imports::imports_go_down,
    orderings::orderings_have_reasons,
    purity::pure_files_are_pure,
    purity::settings_are_plain,
    shape::files_are_short,
    shape::files_say_what_they_hold,
    shape::tables_of_contents_define_no_functions,
];

#[test]
fn the_tree_keeps_the_rules() {
    let tree = &*TREE;
    let mut violations: Vec<_> = tree
        .iter()
        .flat_map(|source| RULES.iter().flat_map(|rule| rule(source)))
        .collect();
    violations.extend(parity::every_pattern_is_complete(tree));
    violations.extend(parity::every_integration_test_runs(tree));
    violations.extend(purity::every_pure_file_exists(tree));
    violations.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));

    let list: String = violations.iter().map(|violation| format!("  {violation}\n")).collect();
    assert!(violations.is_empty(), "{} rules broken:\n{list}", violations.len());
}

/// The text files of the tree, read once for all tests.
static TREE: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let (files, walked) = tree::files();
    if let Some(reason) = walked {
        note(&format!(
            "git cannot say which files belong to the tree ({reason}), so all files are checked"
        ));
    }
    let tree: Vec<Source> = files.iter().filter_map(|path| read(path)).collect();
    assert!(
        tree.iter()
            .any(|source| source.path == "crates/c13-reliability/src/lib.rs"),
        "the wrong folder: {:?}",
        tree::root()
    );
    tree
});

/// A file of the tree, if it is text.
fn read(path: &str) -> Option<Source> {
    match fs::read_to_string(tree::root().join(path)) {
        Ok(text) => Some(Source::new(path, &text)),
        Err(error) if error.kind() == ErrorKind::InvalidData => None,
        Err(error) => panic!("cannot read {path}: {error}"),
    }
}

/// Says something in a run that passes, whose output the test runner keeps to itself; `./test` passes it on.
#[expect(clippy::disallowed_methods, reason = "the test runner does not capture it")]
fn note(what: &str) {
    writeln!(std::io::stderr(), "tidy: {what}").expect("standard error takes a line");
}

/// The lines on which `rule` finds something, for a file of this path and text.
fn bites(rule: Rule, path: &str, text: &str) -> Vec<usize> {
    rule(&Source::new(path, text))
        .into_iter()
        .map(|violation| violation.line)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::tree::{tracked, walk};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// A folder below cargo's own for tests, emptied first.
    fn folder(name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("inside")).expect("cargo's folder takes one");
        for file in ["kept.rs", "inside/kept.rs", ".env"] {
            fs::write(folder.join(file), "").expect("the folder was made just now");
        }
        folder
    }

    #[test]
    fn a_file_counts_once_git_tracks_it() {
        let folder = folder("tidy-tracked");
        let git = |arguments: &[&str]| {
            let ran = Command::new("git").arg("-C").arg(&folder).args(arguments).output();
            assert!(ran.is_ok_and(|output| output.status.success()), "git {arguments:?}");
        };
        git(&["init", "--quiet"]);
        git(&["add", "kept.rs", "inside"]);
        assert_eq!(
            tracked(&folder),
            Ok(vec!["inside/kept.rs".to_owned(), "kept.rs".to_owned()])
        );
        git(&["add", ".env"]);
        assert_eq!(tracked(&folder).map(|files| files.len()), Ok(3));
    }

    #[test]
    fn an_unpacked_archive_is_walked() {
        // It lies inside a checkout, whose git does not answer for it.
        let folder = folder("tidy-archive");
        fs::create_dir_all(folder.join("target")).expect("the folder was made just now");
        fs::write(folder.join("target/built.rs"), "").expect("the folder was made just now");
        assert_eq!(tracked(&folder), Err("there is no .git here".to_owned()));
        let mut files = walk(&folder, "");
        files.sort();
        assert_eq!(files, [".env", "inside/kept.rs", "kept.rs"]);
    }
}
