//! What the errors look like, word for word, and that none hides another.

use std::num::NonZeroU32;
use std::time::Duration;

use super::*;

/// Reads a text as `read` says and gives the errors as they are printed.
fn errors(text: &str, read: impl FnOnce(Table<'_>)) -> String {
    let document = Document::parse(Source::new("f.toml", text));
    read(document.root());
    document
        .finish(Some(()))
        .map_or_else(|errors| errors.to_string(), |()| "no error".to_owned())
}

/// Asks for the keys as values of one type.
fn ask<T: FromValue>(keys: &[&'static str]) -> impl Fn(Table<'_>) {
    move |root| {
        for key in keys {
            let _: Option<T> = root.required(key);
        }
    }
}

/// Compares with a text that is indented as the code around it is.
#[track_caller]
fn assert_text(actual: &str, expected: &str) {
    let lines: Vec<&str> = expected.lines().skip(1).collect();
    let indents = lines.iter().filter(|line| !line.trim().is_empty());
    let indent = indents
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let lines: Vec<&str> = lines.iter().map(|line| line.get(indent..).unwrap_or("")).collect();
    assert_eq!(
        actual.trim_end(),
        lines.join("\n").trim_end(),
        "\n--- actual ---\n{actual}"
    );
}

#[test]
fn a_number_is_no_duration() {
    assert_text(
        &errors("d = 1.5\ne = true\n", ask::<Duration>(&["d", "e"])),
        r#"
        error: `d` must be a duration in quotes
         --> f.toml:1:5
          |
        1 | d = 1.5
          |     ^^^ this number has no unit
          |
          = help: write "1.5s" for seconds or "1.5ms" for milliseconds

        error: `e` must be a duration in quotes
         --> f.toml:2:5
          |
        2 | e = true
          |     ^^^^ this is a boolean
        "#,
    );
}

#[test]
fn the_caret_finds_the_wrong_part_of_a_duration() {
    assert_text(
        &errors(
            "d = \"2m 30x\"\ne = \"5 minutes\"\n\"f\" = \"\\u0032x\"",
            ask::<Duration>(&["d", "e", "f"]),
        ),
        r#"
        error: `d` must be a duration
         --> f.toml:1:11
          |
        1 | d = "2m 30x"
          |           ^ `x` is no unit of time
          |
          = help: the units are d, h, m, s, ms, us and ns

        error: `e` must be a duration
         --> f.toml:2:6
          |
        2 | e = "5 minutes"
          |      ^^^^^^^^^ nothing stands between a number and its unit
          |
          = help: write "5m"

        error: `f` must be a duration
         --> f.toml:3:7
          |
        3 | "f" = "\u0032x"
          |       ^^^^^^^^^ `x` is no unit of time
          |
          = help: the units are d, h, m, s, ms, us and ns
        "#,
    );
}

#[test]
fn a_ratio_above_one_was_meant_as_a_percentage() {
    assert_text(
        &errors(
            "a = 50\nb = \"0.5\"\nc = -1\nd = nan\n",
            ask::<Ratio>(&["a", "b", "c", "d"]),
        ),
        r#"
        error: `a` must be a ratio, from 0 to 1 or from "0%" to "100%"
         --> f.toml:1:5
          |
        1 | a = 50
          |     ^^ above 1
          |
          = help: write "50%" for a percentage

        error: `b` must be a ratio, from 0 to 1 or from "0%" to "100%"
         --> f.toml:2:6
          |
        2 | b = "0.5"
          |      ^^^ a ratio in quotes needs a percent sign
          |
          = help: write 0.5 without quotes

        error: `c` must be a ratio, from 0 to 1 or from "0%" to "100%"
         --> f.toml:3:5
          |
        3 | c = -1
          |     ^^ below 0

        error: `d` must be a ratio, from 0 to 1 or from "0%" to "100%"
         --> f.toml:4:5
          |
        4 | d = nan
          |     ^^^ this is no number
        "#,
    );
}

#[test]
fn a_rate_says_in_which_time() {
    assert_text(
        &errors(
            "a = 50\nb = \"0.5\"\nc = \"-1/s\"\nd = []\n",
            ask::<Rate>(&["a", "b", "c", "d"]),
        ),
        r#"
        error: `a` must be a rate in quotes
         --> f.toml:1:5
          |
        1 | a = 50
          |     ^^ this number says no time
          |
          = help: write "50/s"

        error: `b` must be a rate
         --> f.toml:2:6
          |
        2 | b = "0.5"
          |      ^^^ a rate says in which time
          |
          = help: write "0.5/s"

        error: `c` must be a rate
         --> f.toml:3:6
          |
        3 | c = "-1/s"
          |      ^^^^ a rate cannot be negative

        error: `d` must be a rate in quotes
         --> f.toml:4:5
          |
        4 | d = []
          |     ^^ this is a list
        "#,
    );
}

#[test]
fn numbers_out_of_range_are_refused_and_not_clamped() {
    let text = "a = 0\nb = 5000000000\nc = -1\nd = 1.5\ne = \"7\"\nf = 99999999999999999999999999999999999999999\n";
    assert_text(
        &errors(text, ask::<NonZeroU32>(&["a", "b", "c", "d", "e", "f"])),
        r#"
        error: `a` must be a whole number from 1 to 4294967295
         --> f.toml:1:5
          |
        1 | a = 0
          |     ^ too small

        error: `b` must be a whole number from 1 to 4294967295
         --> f.toml:2:5
          |
        2 | b = 5000000000
          |     ^^^^^^^^^^ too large

        error: `c` must be a whole number from 1 to 4294967295
         --> f.toml:3:5
          |
        3 | c = -1
          |     ^^ too small

        error: `d` must be a whole number from 1 to 4294967295
         --> f.toml:4:5
          |
        4 | d = 1.5
          |     ^^^ not a whole number

        error: `e` must be a whole number from 1 to 4294967295
         --> f.toml:5:5
          |
        5 | e = "7"
          |     ^^^ this is text
          |
          = help: write 7 without quotes

        error: `f` must be a whole number from 1 to 4294967295
         --> f.toml:6:5
          |
        6 | f = 99999999999999999999999999999999999999999
          |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ too large
        "#,
    );
}

#[test]
fn numbers_must_be_finite() {
    assert_text(
        &errors("a = -inf\nb = 1e400\nc = \"1.5\"\n", ask::<f64>(&["a", "b", "c"])),
        r#"
        error: `a` must be a finite number
         --> f.toml:1:5
          |
        1 | a = -inf
          |     ^^^^ this is infinite or no number

        error: `b` must be a finite number
         --> f.toml:2:5
          |
        2 | b = 1e400
          |     ^^^^^ this is infinite or no number

        error: `c` must be a finite number
         --> f.toml:3:5
          |
        3 | c = "1.5"
          |     ^^^^^ this is text
          |
          = help: write 1.5 without quotes
        "#,
    );
}

#[test]
fn a_truth_value_has_no_quotes() {
    assert_text(
        &errors("a = 1\nb = \"true\"\n", ask::<bool>(&["a", "b"])),
        r#"
        error: `a` must be true or false
         --> f.toml:1:5
          |
        1 | a = 1
          |     ^ this is a number

        error: `b` must be true or false
         --> f.toml:2:5
          |
        2 | b = "true"
          |     ^^^^^^ this is text
          |
          = help: write true without quotes
        "#,
    );
}

#[test]
fn a_choice_lists_the_names_and_finds_the_nearest() {
    let read = |root: Table<'_>| {
        for key in ["a", "b", "c", "d"] {
            let _ = root.required_choice(key, &[("fifo", 1), ("lifo", 2), ("random", 3)]);
        }
    };
    assert_text(
        &errors("a = \"randon\"\nb = 3\nc = \"LIFO\"\n", read),
        r#"
        error: `d` is missing
         --> f.toml:1:1
          = help: add it, for example `d = "fifo"`

        error: `a` must be "fifo", "lifo" or "random"
         --> f.toml:1:5
          |
        1 | a = "randon"
          |     ^^^^^^^^
          |
          = help: did you mean "random"?

        error: `b` must be "fifo", "lifo" or "random"
         --> f.toml:2:5
          |
        2 | b = 3
          |     ^ this is a number

        error: `c` must be "fifo", "lifo" or "random"
         --> f.toml:3:5
          |
        3 | c = "LIFO"
          |     ^^^^^^
          |
          = help: did you mean "lifo"?
        "#,
    );
}

#[test]
fn tables_and_lists_of_tables_are_not_taken_for_each_other() {
    let read = |root: Table<'_>| {
        let _ = (
            root.required_table("a"),
            root.tables("b"),
            root.tables("c"),
            root.required_table("d"),
        );
    };
    assert_text(
        &errors("a = 3\nc = [{}, 1]\n[b]\n", read),
        r#"
        error: `d` is missing
         --> f.toml:1:1
          = help: add a table `[d]`

        error: `a` must be a table
         --> f.toml:1:5
          |
        1 | a = 3
          |     ^ this is a number

        error: `c` must be a table
         --> f.toml:2:10
          |
        2 | c = [{}, 1]
          |          ^ this is a number

        error: `b` must be a list of tables
         --> f.toml:3:1
          |
        3 | [b]
          | ^^^ this is one table
          |
          = help: write [[b]]
        "#,
    );
}

#[test]
fn a_key_that_nobody_asked_for_is_never_ignored() {
    let read = |root: Table<'_>| {
        let _ = root.required_table("a");
        for x in root.tables("x") {
            let _: (Option<u32>, Option<u32>) = (x.optional("first"), x.optional("second"));
        }
    };
    let text = "a.b.c = 1\n\"\\u001b[31m\" = 2\n[[x]]\nfirst = 1\n[[x]]\nsecnod = 2\nthird = {}\n";
    assert_text(
        &errors(text, read),
        r#"
        error: unknown key `a.b`
         --> f.toml:1:3
          |
        1 | a.b.c = 1
          |   ^ not a key of `a`

        error: unknown key `\u{1b}[31m`
         --> f.toml:2:1
          |
        2 | "\u001b[31m" = 2
          | ^^^^^^^^^^^^
          |
          = help: the keys here are a, x

        error: unknown key `x.secnod`
         --> f.toml:6:1
          |
        6 | secnod = 2
          | ^^^^^^ not a key of `x`
          |
          = help: did you mean `second`?

        error: unknown key `x.third`
         --> f.toml:7:1
          |
        7 | third = {}
          | ^^^^^ not a key of `x`
          |
          = help: the keys here are first, second
        "#,
    );
}

#[test]
fn a_table_of_names_accepts_any_name_but_not_any_content() {
    let read = |root: Table<'_>| {
        let policies = root.required_table("policy").expect("it is there");
        let names: Vec<&str> = policies.entries().iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, ["payments", "accounts"], "in the order of the text");
        for (_, _, policy) in policies.entries() {
            let _: Option<u32> = policy.read_table().and_then(|policy| policy.required("retries"));
        }
    };
    assert_text(
        &errors("[policy.payments]\nretries = 1\n[policy.accounts]\nretrys = 2\n", read),
        r#"
        error: unknown key `policy.accounts.retrys`
         --> f.toml:4:1
          |
        4 | retrys = 2
          | ^^^^^^ not a key of `policy.accounts`
          |
          = help: did you mean `retries`?
        "#,
    );
}

#[test]
fn contradictions_show_both_places() {
    let read = |root: Table<'_>| {
        root.known(&["a", "b"]);
        let c = root.required_table("c").expect("it is there");
        let error = root.error("b", "`b` must not be above `a`").label("this is 9");
        root.report(
            error
                .also(root.value_span("a"), "`a` is set here")
                .help("lower `b`")
                .help("or raise `a`"),
        );
        let error = c
            .error("e", "`c.e` must not be above `c.d`")
            .also(c.value_span("d"), "`c.d` is set here");
        root.report(error.also(root.value_span("gone"), "never shown"));
        c.must("d", false, "must be above zero");
        c.must("f", false, "is not even there");
    };
    let text = "a = 1\n\n\n# far\n# away\n# from\n# it\n# all\n\nb = 9\nc = { d = 0, e = 2 }\n";
    assert_text(
        &errors(text, read),
        r#"
        error: `b` must not be above `a`
          --> f.toml:10:5
           |
         1 | a = 1
           |     - `a` is set here
        ...
        10 | b = 9
           |     ^ this is 9
           |
           = help: lower `b`
           = help: or raise `a`

        error: `c.d` must be above zero
          --> f.toml:11:11
           |
        11 | c = { d = 0, e = 2 }
           |           ^

        error: `c.e` must not be above `c.d`
          --> f.toml:11:18
           |
        11 | c = { d = 0, e = 2 }
           |           -      ^
           |           |
           |           `c.d` is set here
        "#,
    );
}

#[test]
fn a_contradiction_between_two_sources_shows_both() {
    let first = Document::parse(Source::new("base.toml", "total = \"1s\"\n"));
    let second = Document::parse(Source::new("TIMEOUT", "attempt = \"2s\""));
    let error = second
        .root()
        .error("attempt", "an attempt must not take longer than the whole")
        .label("2s");
    let error = error
        .also(first.root().value_span("total"), "the whole")
        .help("lower one");
    first.report(error);
    first.root().must("total", false, "is wrong too");
    assert_text(
        &first.finish(Some(())).expect_err("two errors").to_string(),
        r#"
        error: an attempt must not take longer than the whole
         --> TIMEOUT:1:11
          |
        1 | attempt = "2s"
          |           ^^^^ 2s
         ::: base.toml:1:9
          |
        1 | total = "1s"
          |         ---- the whole
          |
          = help: lower one

        error: `total` is wrong too
         --> base.toml:1:9
          |
        1 | total = "1s"
          |         ^^^^
        "#,
    );
}

#[test]
fn syntax_errors_come_together_and_do_not_hide_the_rest() {
    let read = |root: Table<'_>| {
        let _: Option<Duration> = root.required("duration");
        let _: Option<u64> = root.required("seed");
        let load = root.optional_table("load");
        let _: Option<f64> = load.and_then(|load| load.required("rps"));
        let _: Option<bool> = root.required("on");
        let _: Option<bool> = root.required("nowhere");
    };
    let text = "duration = 20m\nseed = 1.5\non = True\nkind outage\n[load]\nrsp = 3\nname = \"x\n";
    assert_text(
        &errors(text, read),
        r#"
        error: `20m` is no value: text stands in quotes
         --> f.toml:1:12
          |
        1 | duration = 20m
          |            ^^^
          |
          = help: write "20m"

        error: `seed` must be a whole number, 0 or more
         --> f.toml:2:8
          |
        2 | seed = 1.5
          |        ^^^ not a whole number

        error: `True` is no value
         --> f.toml:3:6
          |
        3 | on = True
          |      ^^^^
          |
          = help: write true

        error: this is not TOML: key with no value, expected `=`
         --> f.toml:4:6
          |
        4 | kind outage
          |      ^

        error: unknown key `load.rsp`
         --> f.toml:6:1
          |
        6 | rsp = 3
          | ^^^ not a key of `load`
          |
          = help: did you mean `rps`?

        error: a text in quotes does not end
         --> f.toml:7:10
          |
        7 | name = "x
          |          ^ " is missing
        "#,
    );
}

#[test]
fn one_slip_is_one_error() {
    assert_text(
        &errors("shape = [{ at = 2 rps = 3 }]\n", |root| root.known(&["shape"])),
        r#"
        error: two settings run into each other
         --> f.toml:1:19
          |
        1 | shape = [{ at = 2 rps = 3 }]
          |                   ^^^ a comma or a new line belongs before this
        "#,
    );
}

#[test]
fn a_key_set_twice_shows_the_first() {
    let read = |root: Table<'_>| root.known(&["a", "b", "t"]);
    assert_text(
        &errors("a = 1\nb = 2\na = 3\n[t]\n[t]\n", read),
        r#"
        error: `a` is set twice
         --> f.toml:3:1
          |
        1 | a = 1
          | - first set here
        ...
        3 | a = 3
          | ^ set again here
          |
          = help: keep one of the two

        error: `t` is set twice
         --> f.toml:5:2
          |
        4 | [t]
          |  - first set here
        5 | [t]
          |  ^ set again here
          |
          = help: keep one of the two
        "#,
    );
}

#[test]
fn a_list_that_does_not_end_takes_no_other_line_down_with_it() {
    let read = |root: Table<'_>| {
        for point in root.tables("shape") {
            let _: Option<u32> = point.required("at");
        }
        let _: Option<u32> = root.required("seed");
    };
    assert_text(
        &errors(
            "shape = [\n  { at = 1 },\n  { ta = 2 }\narrivals = \"poisson\"\n[c]\nx = 1\n",
            read,
        ),
        r#"
        error: unknown key `shape.ta`
         --> f.toml:3:5
          |
        3 |   { ta = 2 }
          |     ^^ not a key of `shape`
          |
          = help: the keys here are at

        error: a list does not end
         --> f.toml:4:1
          |
        4 | arrivals = "poisson"
          | ^^^^^^^^^^^^^^^^^^^^ before this line, a comma or the closing ] is missing
        "#,
    );
}

#[test]
fn a_key_without_a_value_is_said_to_have_none() {
    assert_text(
        &errors("a =\n b = [1, 2\n", |root| root.known(&["a", "b"])),
        r#"
        error: a key has no value
         --> f.toml:1:4
          |
        1 | a =
          |    ^ a value belongs here

        error: this is not TOML: unclosed array, expected `]`
         --> f.toml:2:11
          |
        2 |  b = [1, 2
          |           ^
        "#,
    );
}

#[test]
fn long_lines_are_cut_and_control_characters_shown_as_such() {
    let list = format!("a = [{}true] # \t{}\n", "1, ".repeat(100), "x".repeat(100));
    let read = |root: Table<'_>| {
        for value in root.value("a").and_then(|list| list.read_list()).expect("it is a list") {
            let _: Option<u64> = value.read();
        }
        let _: Option<u64> = root.required("b");
    };
    assert_text(
        &errors(&format!("{list}\tb = '''\tx\ny'''"), read),
        "
        error: `a` must be a whole number, 0 or more
         --> f.toml:1:306
          |
        1 | …1, 1, 1, 1, 1, 1, 1, 1, 1, 1, true] #     xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
          |                                ^^^^ this is a boolean

        error: `b` must be a whole number, 0 or more
         --> f.toml:2:6
          |
        2 |     b = '''    x
          |         ^^^^^^^^ this is text
        ",
    );
}

#[test]
fn a_second_place_on_a_long_line_is_shown_if_there_is_room() {
    let keys = format!(
        "\"{}\".x = 1, a = 1, b = 2, z = \"{}\", c = 3",
        "x".repeat(50),
        "z".repeat(100)
    );
    let text = format!("t = {{ {keys} }}");
    let read = |root: Table<'_>| {
        let t = root.required_table("t").expect("it is there");
        t.ignore_rest();
        t.report(t.error("b", "near").also(t.value_span("a"), "here"));
        t.report(t.error("c", "far").also(t.value_span("a"), "not shown"));
        t.report(t.error("a", "far").also(t.value_span("c"), "not shown"));
    };
    let printed = errors(&text, read);
    assert_eq!(printed.matches("here").count(), 1, "{printed}");
    assert_eq!(printed.matches("not shown").count(), 0, "{printed}");
    for line in printed.lines().filter(|line| line.contains('^')) {
        let above = printed
            .lines()
            .take_while(|other| !std::ptr::eq(*other, line))
            .last()
            .expect("a line above");
        let column = line.chars().position(|c| c == '^').expect("the mark");
        assert!(
            above.chars().nth(column).is_some_and(|c| ('1'..='3').contains(&c)),
            "{printed}"
        );
    }
}

#[test]
fn every_read_that_fails_without_a_word_is_still_an_error() {
    let document = Document::parse(Source::new("f.toml", ""));
    let errors = document.finish(None::<()>).expect_err("nothing was read");
    assert_eq!((errors.len(), errors.is_empty(), errors.iter().count()), (1, false, 1));
    assert_eq!(
        errors.to_string(),
        "error: this document cannot be read\n --> f.toml:1:1\n"
    );
}

#[test]
fn no_more_than_fifty_errors_are_printed() {
    let text: String = (0..60).map(|key| format!("k{key} = 1\n")).collect();
    let printed = errors(&text, |_| {});
    assert_eq!(printed.matches("error: ").count(), 50);
    assert!(printed.ends_with("\n… and 10 more\n"), "{printed}");
}

#[test]
fn no_text_makes_the_reader_panic_or_fail_without_an_error() {
    let valid =
        "a = \"1s\"\n[b]\nc = [ { d = 1, e = 0.5 }, 'é' ]\n[[f]]\ng.h = 2026-01-01\n\"ü\\n\" = \"\"\"\nm\"\"\"\n";
    let mut state: u64 = 7;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    for _ in 0..4_000 {
        let mut text: Vec<char> = valid.chars().collect();
        for _ in 0..=random(4) {
            let at = random(text.len().max(1));
            match random(3) {
                0 if at < text.len() => drop(text.remove(at)),
                1 => text.insert(
                    at,
                    ['"', '[', ']', '{', '}', '=', '\n', '\'', '#', 'é', '\r'][random(11)],
                ),
                _ => text.truncate(at + 40),
            }
        }
        let text: String = text.into_iter().collect();
        let document = Document::parse(Source::new("f.toml", text.as_str()));
        let root = document.root();
        let read = root.required::<Duration>("a").zip(root.required_table("b"));
        let failed = read.is_none();
        let _ = (read.map(|(_, b)| b.tables("c")), root.tables("f"));
        let errors = document.finish(Some(()));
        assert!(!failed || errors.is_err(), "{text:?}");
        let _ = errors.map_err(|errors| errors.to_string());
    }
}

#[test]
fn carets_stand_under_wide_characters() {
    assert_text(
        &errors(
            "\"日本語🚀\" = 1\na = \"日本\", b = 2 \n\"e\u{301}\" = { x = 1 }",
            |root| {
                root.known(&["a"]);
            },
        ),
        r#"
        error: unknown key `日本語🚀`
         --> f.toml:1:1
          |
        1 | "日本語🚀" = 1
          | ^^^^^^^^^^
          |
          = help: the keys here are a

        error: this is not TOML: unexpected key or value, expected newline, `#`
         --> f.toml:2:9
          |
        2 | a = "日本", b = 2
          |           ^

        error: unknown key `é`
         --> f.toml:3:1
          |
        3 | "é" = { x = 1 }
          | ^^^
          |
          = help: the keys here are a
    "#,
    );
}

#[test]
fn text_that_would_turn_a_line_around_is_not_printed() {
    let shown = errors("\"\u{202E}evil\u{2066}\u{9b}\" = 1\n", |_| ());
    assert!(!shown.contains(['\u{202E}', '\u{2066}', '\u{9b}']), "{shown}");
    assert_text(
        &shown,
        r#"
        error: unknown key `\u{202e}evil\u{2066}\u{9b}`
         --> f.toml:1:1
          |
        1 | "�evil��" = 1
          | ^^^^^^^^^
    "#,
    );
}

/// The text without the sequences that colour it; any other control sequence stays.
fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split("\u{1b}[");
    plain.extend(parts.next());
    for part in parts {
        let end = part
            .find(|c: char| !c.is_ascii_digit() && c != ';')
            .unwrap_or(part.len());
        match part[end..].strip_prefix('m') {
            Some(rest) => plain.push_str(rest),
            None => plain.push_str(&format!("\u{1b}[{part}")),
        }
    }
    plain
}

#[test]
fn colours_add_nothing_but_colours() {
    let text = "a = 1\n\u{1b}[2J = \u{9b}2J\nb = { c = \"\u{1b}[2J\", d = 2 }\n\n\n# far\ne = 3\n";
    let document = Document::parse(Source::new("\u{1b}[2J.toml", text));
    let root = document.root();
    let error = root
        .error("e", "not \u{1b}[2J")
        .label("here \u{1b}[2J")
        .help("\u{1b}[2J");
    root.report(error.also(root.value_span("a"), "and here \u{1b}[2J"));
    let errors = document.finish(Some(())).expect_err("there are errors");
    let coloured = errors.to_coloured_string();
    assert!(coloured.contains("\u{1b}["), "{coloured:?}");
    assert_eq!(without_colours(&coloured), errors.to_string());
    assert!(!errors.to_string().contains(|c: char| c.is_control() && c != '\n'));
}

#[test]
fn a_key_set_twice_shows_both_places_wherever_they_stand() {
    assert_text(
        &errors("t = { x = 1, x = 2 }\n[a]\nb.c = 1\nb.c = 2\n", |root| {
            root.ignore_rest();
        }),
        r#"
        error: `x` is set twice
         --> f.toml:1:14
          |
        1 | t = { x = 1, x = 2 }
          |       -      ^ set again here
          |       |
          |       first set here
          |
          = help: keep one of the two

        error: `c` is set twice
         --> f.toml:4:3
          |
        3 | b.c = 1
          |   - first set here
        4 | b.c = 2
          |   ^ set again here
          |
          = help: keep one of the two
    "#,
    );
}

#[test]
fn the_first_byte_that_is_not_utf_8_is_shown() {
    let error = Source::from_bytes("f.toml", b"\xEF\xBB\xBFa = 1\n\xC3\xA9b = \"\xE9t\xFF\"\n".to_vec());
    assert_text(
        &error.expect_err("it is another encoding").to_string(),
        r#"
        error: this is not UTF-8
         --> f.toml:2:7
          |
        2 | éb = "�t�"
          |       ^ the byte 0xe9
          |
          = help: save the file as UTF-8
    "#,
    );
    assert!(Source::from_bytes("f.toml", "é".into()).is_ok());
}
