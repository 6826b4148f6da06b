//! Every pattern is complete: it has a case in the benchmarks, an example, an integration test and a row in the README.

use super::{Source, Violation};
use std::collections::BTreeSet;

const LIBRARY: &str = "crates/c13-reliability";

pub(super) fn every_pattern_is_complete(tree: &[Source]) -> Vec<Violation> {
    let folder = format!("{LIBRARY}/src/patterns/");
    let patterns: BTreeSet<&str> = tree
        .iter()
        .filter_map(|s| {
            s.path
                .strip_prefix(&folder)?
                .split_once('/')
                .map(|(pattern, _)| pattern)
        })
        .collect();
    let text_of = |path: &str| {
        let found = tree.iter().find(|source| source.path == path);
        found.map_or("", |source| source.text.as_str())
    };
    let (readme, groups) = (text_of("README.md"), text_of("bench/src/cases/mod.rs"));
    let mut found = Vec::new();
    for pattern in patterns {
        let mut miss = |what: String| {
            let path = format!("{folder}{pattern}");
            found.push(Violation {
                path,
                line: 1,
                rule: format!("the pattern `{pattern}` has no {what}"),
            });
        };
        for (what, path) in [
            ("benchmark", format!("bench/src/cases/{pattern}.rs")),
            ("example", format!("{LIBRARY}/examples/{pattern}_example.rs")),
            ("integration test", format!("{LIBRARY}/tests/it/{pattern}.rs")),
        ] {
            if !tree.iter().any(|source| source.path == path) {
                miss(format!("{what} {path}"));
            }
        }
        // Where a case is added, it is measured and counted.
        let group = format!("{pattern}::add");
        if !groups.lines().any(|line| line.trim() == format!("{group},")) {
            miss(format!("group in bench/src/cases/mod.rs: `{group}`"));
        }
        let name = format!("`patterns::{pattern}`");
        if !readme.lines().any(|line| line.starts_with('|') && line.contains(&name)) {
            miss(format!("row in README.md: a table row with {name}"));
        }
    }
    found
}

/// A test file that `main.rs` does not declare would never run.
pub(super) fn every_integration_test_runs(tree: &[Source]) -> Vec<Violation> {
    let folder = format!("{LIBRARY}/tests/it/");
    let main = tree
        .iter()
        .find(|source| source.path == format!("{folder}main.rs"))
        .map_or("", |source| &source.code);
    let mut found = Vec::new();
    for source in tree {
        let Some(file) = source.path.strip_prefix(&folder) else {
            continue;
        };
        let module = file
            .strip_suffix("/mod.rs")
            .or_else(|| file.strip_suffix(".rs"))
            .unwrap_or("main");
        let declared = main.lines().any(|line| line.trim() == format!("mod {module};"));
        if module != "main" && !module.contains('/') && !declared {
            found.push(source.violation(0, format!("never runs: write `mod {module};` in {folder}main.rs")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "# C13\n\n| a breaker | `patterns::circuit_breaker` |\n";

    fn tree(files: &[(&str, &str)]) -> Vec<Source> {
        files.iter().map(|(path, text)| Source::new(path, text)).collect()
    }

    #[test]
    fn a_pattern_that_lacks_something_is_found() {
        let complete = [
            ("crates/c13-reliability/src/patterns/mod.rs", ""),
            ("crates/c13-reliability/src/patterns/circuit_breaker/mod.rs", ""),
            ("crates/c13-reliability/src/patterns/circuit_breaker/state.rs", ""),
            ("bench/src/cases/circuit_breaker.rs", ""),
            ("bench/src/cases/mod.rs", "    circuit_breaker::add,\n"),
            ("crates/c13-reliability/examples/circuit_breaker_example.rs", ""),
            ("crates/c13-reliability/tests/it/circuit_breaker.rs", ""),
            ("README.md", ROW),
        ];
        assert!(every_pattern_is_complete(&tree(&complete)).is_empty());
        for missing in [
            "cases/circuit_breaker.rs",
            "cases/mod.rs",
            "circuit_breaker_example.rs",
            "it/circuit_breaker.rs",
            "README.md",
        ] {
            let kept: Vec<_> = complete
                .into_iter()
                .filter(|(path, _)| !path.ends_with(missing))
                .collect();
            let found = every_pattern_is_complete(&tree(&kept));
            assert_eq!(found.len(), 1, "without {missing}: {found:?}");
        }
        let prose = ROW.replace('|', "");
        let found = every_pattern_is_complete(&tree(&[complete[1], ("README.md", &prose)]));
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(every_pattern_is_complete(&[]).is_empty());
    }

    #[test]
    fn an_integration_test_that_nobody_declares_is_found() {
        let main = (
            "crates/c13-reliability/tests/it/main.rs",
            "//! mod retry;\nmod tidy;\n#[cfg(feature = \"tokio\")]\nmod tower;",
        );
        let files = [
            main,
            ("crates/c13-reliability/tests/it/tidy.rs", ""),
            ("crates/c13-reliability/tests/it/tidy/source.rs", ""),
            ("crates/c13-reliability/tests/it/tower/mod.rs", ""),
        ];
        assert!(every_integration_test_runs(&tree(&files)).is_empty());
        let found = every_integration_test_runs(&tree(&[main, ("crates/c13-reliability/tests/it/retry.rs", "")]));
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
