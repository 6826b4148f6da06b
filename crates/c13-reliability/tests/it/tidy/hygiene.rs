//! What never gets into the tree: paths of somebody's machine.

use super::{Source, Violation};

/// A path that exists on one machine only is wrong on every other.
pub(super) fn no_path_of_a_machine(source: &Source) -> Vec<Violation> {
    let in_tests = source.is_test() || source.path.contains("/tests/");
    let mut found = Vec::new();
    for folder in ["work", "root", "home", "tmp"] {
        let path = format!("/{folder}/");
        for (offset, _) in source.text.match_indices(&path) {
            let before = source.text[..offset].chars().next_back();
            let starts = before.is_none_or(|c| !(c.is_alphanumeric() || "._-/~$}".contains(c)));
            if starts && !(folder == "tmp" && in_tests) {
                found.push(source.violation(offset, format!("`{path}` is a path of a machine")));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::bites;

    const RETRY: &str = "crates/c13-reliability/src/patterns/retry/handle.rs";

    #[test]
    fn a_path_of_a_machine_is_found() {
        for folder in ["work", "root", "home", "tmp"] {
            let text = format!("a\nsee /{folder}/x");
            assert_eq!(bites(no_path_of_a_machine, "README.md", &text), [2], "{text}");
            assert_eq!(bites(no_path_of_a_machine, "test", &text), [2], "{text}");
            assert_eq!(bites(no_path_of_a_machine, RETRY, &text), [2], "{text}");
            let elsewhere = format!("https://example.org/{folder}/x ../{folder}/x");
            assert!(
                bites(no_path_of_a_machine, "README.md", &elsewhere).is_empty(),
                "{elsewhere}"
            );
        }
        let test = "crates/c13/tests/run.rs";
        assert!(bites(no_path_of_a_machine, test, &format!("\"/{}/x\"", "tmp")).is_empty());
        assert_eq!(bites(no_path_of_a_machine, test, &format!("\"/{}/x\"", "work")), [1]);
    }
}
