//! What never gets into the tree: undone work, ignored tests, other clocks, stray output, paths of a machine.

use super::source::words;
use super::{Source, Violation};

/// In tests too: what is ignored or left undone is neither checked nor told to anybody.
pub(super) fn nothing_is_ignored_or_left_undone(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    for (offset, word) in words(&source.code) {
        let rest = source.code[offset + word.len()..].trim_start();
        let before = source.code[..offset].trim_end();
        let attribute = before.ends_with("#[") || before.ends_with(',') && source.code[..offset].contains("cfg_attr(");
        if word == "ignore" && attribute && rest.starts_with([']', '=', ')']) && !rest.starts_with("=>") {
            found.push(source.violation(offset, "no test is ignored: mend it or remove it"));
        } else if ["todo", "unimplemented"].contains(&word) && rest.starts_with('!') && !rest.starts_with("!=") {
            found.push(source.violation(offset, format!("nothing is left undone: `{word}!`")));
        }
    }
    for (number, line) in source.text.lines().enumerate().filter(|_| source.is_rust()) {
        let doc = line.trim_start();
        let fence = doc
            .strip_prefix("//!")
            .or_else(|| doc.strip_prefix("///"))
            .and_then(|d| d.trim_start().strip_prefix("```"));
        if fence.is_some_and(|flags| flags.split(',').any(|flag| flag.trim() == "ignore")) {
            let rule = "no example is ignored: use `no_run` or `text`".to_owned();
            found.push(Violation {
                path: source.path.clone(),
                line: number + 1,
                rule,
            });
        }
    }
    found
}

/// One clock: everything outside `time/` reads it from there.
pub(super) fn time_comes_from_time(source: &Source) -> Vec<Violation> {
    let outside = source.is_ours() && !source.in_library().is_some_and(|path| path.starts_with("time/"));
    if !outside {
        return Vec::new();
    }
    let mut found = Vec::new();
    for import in source.paths_from(&["std", "core", "tokio"]) {
        let [_, time, leaf, ..] = &import.segments[..] else {
            continue;
        };
        let clock =
            ["Instant", "SystemTime", "UNIX_EPOCH", "*"].contains(&leaf.as_str()) || import.segments[0] == "tokio";
        if time == "time" && clock {
            let path = import.segments.join("::");
            found.push(source.violation(import.offset, format!("`{path}` outside `time/`: use `time::Clock`")));
        }
    }
    found
}

/// The library is silent, and the program speaks in one place, where `--json`, `NO_COLOR` and closed pipes are known.
pub(super) fn only_output_prints(source: &Source) -> Vec<Violation> {
    let silent = source.is_ours() && source.in_program() != Some("output.rs");
    if !silent {
        return Vec::new();
    }
    let printing = ["dbg", "eprint", "eprintln", "print", "println"];
    let mut found = Vec::new();
    for (offset, word) in words(&source.live) {
        let rest = source.live[offset + word.len()..].trim_start();
        if printing.contains(&word) && rest.starts_with('!') && !rest.starts_with("!=") {
            found.push(source.violation(offset, format!("`{word}!`: only the program's `output.rs` prints")));
        }
    }
    for import in source.paths_from(&["std", "io"]) {
        let last = import.segments.last().map_or("", String::as_str);
        if import.segments.iter().any(|segment| segment == "io") && ["stderr", "stdout"].contains(&last) {
            let path = import.segments.join("::");
            found.push(source.violation(
                import.offset,
                format!("`{path}`: only the program's `output.rs` prints"),
            ));
        }
    }
    found
}

/// What somebody's machine looks like is nobody else's business.
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
    const PROGRAM: &str = "crates/c13/src";

    #[test]
    fn what_is_ignored_or_left_undone_is_found() {
        for path in [RETRY, "crates/c13/tests/drill.rs", "bench/src/main.rs"] {
            let bitten = |text| bites(nothing_is_ignored_or_left_undone, path, text);
            assert_eq!(bitten("\n#[ignore]\nfn a() {}"), [2]);
            assert_eq!(bitten("#[ignore = \"slow\"]\nfn a() {}"), [1]);
            assert_eq!(bitten("#[cfg_attr(miri, ignore)]\nfn a() {}"), [1]);
            assert_eq!(bitten("fn a() { todo!() }\nfn b() { unimplemented!(\"b\") }"), [1, 2]);
            assert_eq!(bitten("#[cfg(test)]\nmod tests { fn a() { todo!() } }"), [2]);
            assert_eq!(bitten("/// ```ignore\n/// a\n/// ```"), [1]);
            assert!(bitten("// todo!()\nfn a() { ignore(b); c(d, ignore); let todo = 1; \"todo!()\" }").is_empty());
            assert!(bitten("match a { ignore => 1 }\n/// ```no_run\n/// a\n/// ```").is_empty());
        }
    }

    #[test]
    fn another_clock_is_found() {
        for text in [
            "use std::time::Instant;",
            "use std::time::{Duration, SystemTime};",
            "use std::{sync::Arc, time::{Duration, Instant}};",
            "use std::time::*;",
            "fn f(at: std::time::Instant) {}",
            "use tokio::time::sleep;",
        ] {
            assert_eq!(bites(time_comes_from_time, RETRY, text), [1], "{text}");
            assert_eq!(
                bites(time_comes_from_time, &format!("{PROGRAM}/cmd/drill.rs"), text),
                [1],
                "{text}"
            );
            assert!(
                bites(time_comes_from_time, "crates/c13-reliability/src/time/clock.rs", text).is_empty(),
                "{text}"
            );
        }
        assert!(
            bites(
                time_comes_from_time,
                RETRY,
                "use std::time::Duration; use crate::time::Tick;"
            )
            .is_empty()
        );
        assert!(
            bites(
                time_comes_from_time,
                RETRY,
                "#[cfg(test)] mod tests { use std::time::Instant; }"
            )
            .is_empty()
        );
    }

    #[test]
    fn output_outside_output_is_found() {
        for text in [
            "fn a() { println!(\"b\") }",
            "fn a() { eprint!() }",
            "fn a() { dbg!(b) }",
            "use std::io::{self, stdout};",
            "fn a() { io::stderr().lock() }",
        ] {
            assert_eq!(
                bites(only_output_prints, &format!("{PROGRAM}/cmd/drill.rs"), text),
                [1],
                "{text}"
            );
            assert_eq!(
                bites(only_output_prints, &format!("{PROGRAM}/main.rs"), text),
                [1],
                "{text}"
            );
            assert_eq!(bites(only_output_prints, RETRY, text), [1], "{text}");
            assert!(
                bites(only_output_prints, &format!("{PROGRAM}/output.rs"), text).is_empty(),
                "{text}"
            );
        }
        assert!(
            bites(
                only_output_prints,
                RETRY,
                "/// println!()\nfn a() { command.stdout(pipe); write!(b) }"
            )
            .is_empty()
        );
    }

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
