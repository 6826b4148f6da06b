//! Files are short, say what they hold, and tables of contents hold nothing else.

use super::source::{item_range, words};
use super::{Source, Violation};

/// Past this many lines without tests a file holds more than one idea. The house aims at 400.
const LONGEST: usize = 600;

/// The program's entry only hands over.
const LONGEST_MAIN: usize = 30;

/// `mod.rs` and `lib.rs` declare and document. A trait's methods without a body are declarations.
pub(super) fn tables_of_contents_define_no_functions(source: &Source) -> Vec<Violation> {
    if !source.is_ours() || !["mod.rs", "lib.rs"].contains(&source.file_name()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut all = words(&source.live).peekable();
    while let Some((offset, word)) = all.next() {
        let Some((at, name)) = all.peek().copied().filter(|_| word == "fn") else {
            continue;
        };
        let named = source.live[offset + 2..at].trim().is_empty();
        if named && source.live[item_range(&source.live, offset)].ends_with('}') {
            let rule = format!(
                "`{}` declares and documents; `fn {name}` belongs in a file of its own",
                source.file_name()
            );
            found.push(source.violation(offset, rule));
        }
    }
    found
}

pub(super) fn files_are_short(source: &Source) -> Vec<Violation> {
    if !source.is_ours() || !source.is_rust() || source.is_test() {
        return Vec::new();
    }
    // A line that is blank in `live` but not in `code` belongs to tests; comments and blank lines count.
    let live = source.code.lines().zip(source.live.lines());
    let count = live
        .filter(|(code, live)| code.trim().is_empty() || !live.trim().is_empty())
        .count();
    let longest = if source.in_program() == Some("main.rs") {
        LONGEST_MAIN
    } else {
        LONGEST
    };
    if count <= longest {
        return Vec::new();
    }
    vec![source.violation(
        0,
        format!("{count} lines without tests, of at most {longest}: this file holds two ideas"),
    )]
}

/// The first line of a file is a sentence about it.
pub(super) fn files_say_what_they_hold(source: &Source) -> Vec<Violation> {
    let ours = source.path.starts_with("crates/") && source.is_rust();
    if !ours || source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![source.violation(0, "the first line says what the file holds: `//! …`")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::bites;

    const GATE: &str = "crates/c13-reliability/src/gate";

    #[test]
    fn a_table_of_contents_that_defines_a_function_is_found() {
        let contents = |text| bites(tables_of_contents_define_no_functions, &format!("{GATE}/mod.rs"), text);
        assert_eq!(contents("fn a() {}"), [1]);
        assert_eq!(
            contents("mod a;\npub const fn a<T>(x: [u8; 2]) -> u8\nwhere T: B { 1 }"),
            [2]
        );
        assert_eq!(contents("impl A { fn b(&self) {} fn c(&self) {} }"), [1, 1]);
        assert_eq!(contents("trait A { fn b(&self) -> u8 { 1 } }"), [1]);
        assert!(
            contents("//! fn a() {}\nmod a;\ntrait A { fn b(&self, f: fn(u8) -> u8); }\ntype F = fn();").is_empty()
        );
        assert!(contents("#[cfg(test)]\nmod tests { fn a() {} }").is_empty());
        let lib = "crates/c13-reliability/src/lib.rs";
        assert_eq!(bites(tables_of_contents_define_no_functions, lib, "fn a() {}"), [1]);
        assert!(
            bites(
                tables_of_contents_define_no_functions,
                &format!("{GATE}/run.rs"),
                "fn a() {}"
            )
            .is_empty()
        );
    }

    #[test]
    fn a_file_that_is_too_long_without_its_tests_is_found() {
        let short = |lines| "a();\n".repeat(lines) + "#[cfg(test)]\nmod tests {\n" + &"b();\n".repeat(500) + "}\n";
        assert_eq!(bites(files_are_short, &format!("{GATE}/run.rs"), &short(601)), [1]);
        assert!(bites(files_are_short, &format!("{GATE}/run.rs"), &short(600)).is_empty());
        assert_eq!(
            bites(files_are_short, &format!("{GATE}/run.rs"), &"// a\n".repeat(601)),
            [1]
        );
        assert!(bites(files_are_short, &format!("{GATE}/tests.rs"), &short(601)).is_empty());
        assert_eq!(bites(files_are_short, "crates/c13/src/main.rs", &short(31)), [1]);
        assert!(bites(files_are_short, "crates/c13/src/main.rs", &short(30)).is_empty());
    }

    #[test]
    fn a_file_that_does_not_say_what_it_holds_is_found() {
        assert_eq!(
            bites(files_say_what_they_hold, &format!("{GATE}/run.rs"), "use a;\n//! late"),
            [1]
        );
        assert!(bites(files_say_what_they_hold, &format!("{GATE}/run.rs"), "//! Runs.\nuse a;").is_empty());
        assert!(bites(files_say_what_they_hold, "README.md", "# C13").is_empty());
    }
}
