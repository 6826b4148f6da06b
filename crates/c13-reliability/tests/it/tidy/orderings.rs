//! Each atomic access says why its memory ordering is enough.

use super::source::words;
use super::{Source, Violation};

const ORDERINGS: &[&str] = &["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];
const COMPARISONS: &[&str] = &["Less", "Equal", "Greater"];

/// How far above its `Ordering::` a reason may end.
const REACH: usize = 3;

/// Within three lines above every `Ordering::X` stands a comment with a reason, `// X: …`, that names each ordering
/// of the line. Tests and loom files are free.
pub(super) fn orderings_have_reasons(source: &Source) -> Vec<Violation> {
    if !source.is_ours() {
        return Vec::new();
    }
    let lines: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    for (offset, word) in words(&source.live) {
        let Some(rest) = source.live[offset..]
            .strip_prefix("Ordering::")
            .filter(|_| word == "Ordering")
        else {
            continue;
        };
        let name = words(rest)
            .next()
            .filter(|(at, _)| *at == 0)
            .map_or("", |(_, name)| name);
        if COMPARISONS.contains(&name) {
            continue;
        }
        if !ORDERINGS.contains(&name) {
            found.push(source.violation(
                offset,
                "write `Ordering::Relaxed` and its like in full, with the reason above",
            ));
            continue;
        }
        let reason = reason_above(&lines, source.line_of(offset) - 1);
        let names_it = words(&reason).any(|(_, word)| word == name);
        let explains = ORDERINGS
            .iter()
            .any(|ordering| reason.contains(&format!("{ordering}: ")));
        if !(names_it && explains) {
            let rule = format!("no reason for `Ordering::{name}`: write `// {name}: …` within {REACH} lines above");
            found.push(source.violation(offset, rule));
        }
    }
    found
}

/// The comments that end within reach above a line, whole.
fn reason_above(lines: &[&str], line: usize) -> String {
    let is_comment = |at: &usize| lines[*at].trim_start().starts_with("//");
    let mut reason = Vec::new();
    for at in line.saturating_sub(REACH)..line {
        if reason.is_empty() && is_comment(&at) {
            let start = (0..at).rev().take_while(is_comment).last().unwrap_or(at);
            reason.extend(&lines[start..at]);
        }
        if is_comment(&at) {
            reason.push(lines[at]);
        }
    }
    reason.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::bites;

    fn bitten(text: &str) -> Vec<usize> {
        bites(
            orderings_have_reasons,
            "crates/c13-reliability/src/sync/thread_slot.rs",
            text,
        )
    }

    #[test]
    fn an_ordering_without_a_reason_is_found() {
        assert_eq!(bitten("a.load(Ordering::Relaxed);"), [1]);
        assert_eq!(bitten("// a guess\na.load(Ordering::Relaxed);"), [2]);
        assert_eq!(bitten("// Acquire: sees it.\na.load(Ordering::Relaxed);"), [2]);
        assert_eq!(bitten("// Relaxed: a guess.\n\n\n\na.load(Ordering::Relaxed);"), [5]);
        assert_eq!(
            bitten("// Acquire: sees it.\na.swap(Ordering::Acquire, Ordering::Relaxed);"),
            [2]
        );
        assert_eq!(bitten("a.load(atomic::Ordering::Relaxed); // Relaxed: beside it"), [1]);
    }

    #[test]
    fn an_ordering_under_another_name_is_found() {
        assert_eq!(bitten("use std::sync::atomic::Ordering::{self, Relaxed};"), [1]);
        assert_eq!(bitten("use std::sync::atomic::Ordering::*;"), [1]);
    }

    #[test]
    fn a_reason_within_three_lines_is_enough() {
        for text in [
            "// Relaxed: a guess.\na.load(Ordering::Relaxed);",
            "// Relaxed: a guess.\n\n\na.load(Ordering::Relaxed);",
            "// Relaxed: a long\n// story\n// in\n// five\n// lines\nif x\n    && a.load(Ordering::Relaxed) {}",
            "// Acquire: sees it. Relaxed on failure: a guess.\na.swap(Ordering::Acquire, Ordering::Relaxed);",
            "match a.cmp(&b) { std::cmp::Ordering::Less => 1, Ordering::Equal => 2, Ordering::Greater => 3 }",
            "use std::sync::atomic::{AtomicU64, Ordering};",
            "/// Like `Ordering::Relaxed`.",
            "#[cfg(test)]\nmod tests { fn f() { a.load(Ordering::SeqCst) } }",
        ] {
            assert!(bitten(text).is_empty(), "{text}");
        }
        assert!(
            bites(
                orderings_have_reasons,
                "crates/c13-reliability/src/sync/loom.rs",
                "Ordering::Relaxed"
            )
            .is_empty()
        );
    }
}
