//! Hostile texts of policies, and hostile keys: what is read of them, told of them and kept of them is bounded.

mod keys;

use c13_reliability::policy::document::{Diagnostics, Source};
use c13_reliability::policy::file::{PolicyFiles, PolicySet};

fn read(text: &str) -> Result<PolicySet, Diagnostics> {
    PolicyFiles::new().file(Source::new("service.toml", text)).read()
}

/// Lines made from their numbers, up to a length.
fn lines(length: usize, line: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for at in 0.. {
        if text.len() >= length {
            break;
        }
        text += &line(at);
    }
    text
}

/// A policy that extends the one before it.
fn link(at: usize) -> String {
    match at {
        0 => "[policy.p0]\n".to_owned(),
        _ => format!("[policy.p{at}]\nextends = \"p{}\"\n", at - 1),
    }
}

type Text = Box<dyn Fn(usize) -> String>;

/// Texts of about a length that are wrong all over, or ask for much in a few letters.
fn hostile() -> Vec<(&'static str, Text)> {
    fn repeated(unit: &'static str) -> Text {
        Box::new(move |length| unit.repeat(length / unit.len()))
    }
    fn after(head: &'static str, unit: &'static str) -> Text {
        Box::new(move |length| format!("{head}{}", unit.repeat(length / unit.len())))
    }
    vec![
        ("equals signs", repeated("=")),
        ("lines of an equals sign", repeated("=\n")),
        ("commas", after("a = [", ",")),
        ("lists in lists", after("a = ", "[")),
        ("tables in tables", after("a = ", "{a=")),
        ("dotted keys", repeated("a.")),
        ("keys without values", repeated("a\n")),
        ("one key again and again", repeated("a=1\n")),
        ("one header again and again", repeated("[a]\n")),
        ("carriage returns", repeated("\r")),
        ("a long key", repeated("a")),
        ("wide characters", repeated("日本")),
        ("wrong escapes", after("a = \"", "\\x")),
        ("a long value", after("[policy.a]\ntimeout.total = \"", "x")),
        (
            "unknown keys",
            Box::new(|length| lines(length, |at| format!("k{at} = 1\n"))),
        ),
        (
            "unknown tables",
            Box::new(|length| lines(length, |at| format!("[t{at}]\n"))),
        ),
        (
            "unknown keys of a policy",
            Box::new(|length| "[policy.a]\n".to_owned() + &lines(length, |at| format!("k{at} = 1\n"))),
        ),
        (
            "unknown keys of the defaults, in many policies",
            Box::new(|length| {
                let defaults = lines(length / 2, |at| format!("k{at} = 1\n"));
                format!(
                    "[defaults]\n{defaults}{}",
                    lines(length / 2, |at| format!("[policy.p{at}]\n"))
                )
            }),
        ),
        (
            "a list in the defaults of many policies",
            Box::new(|length| {
                let list = "1,".repeat(length / 4);
                format!(
                    "[defaults]\ntimeout.total = [{list}]\n{}",
                    lines(length / 2, |at| format!("[policy.p{at}]\n"))
                )
            }),
        ),
        ("a chain of policies", Box::new(|length| lines(length, link))),
        (
            "policies that extend what is not there",
            Box::new(|length| lines(length, |at| format!("[policy.p{at}]\nextends = \"q{at}\"\n"))),
        ),
        (
            "policies that extend themselves",
            Box::new(|length| lines(length, |at| format!("[policy.p{at}]\nextends = \"p{at}\"\n"))),
        ),
        (
            "wrong values in many policies",
            Box::new(|length| lines(length, |at| format!("[policy.p{at}]\ntimeout.total = {at}\n"))),
        ),
    ]
}

#[test]
fn what_is_kept_and_told_of_a_wrong_text_is_bounded_and_grows_no_faster_than_the_text() {
    const LENGTH: usize = 1 << 15;
    for (name, text) in hostile() {
        let measured = |length| {
            let text = text(length);
            let mut told = (0, 0);
            let info = allocation_counter::measure(|| {
                let errors = read(&text).err();
                told = errors.map_or((0, 0), |errors| (errors.iter().count(), errors.to_string().len()));
            });
            (info, told)
        };
        let (half, _) = measured(LENGTH / 2);
        let (whole, (kept, printed)) = measured(LENGTH);
        assert!(kept <= 250, "{name}: {kept} errors are kept");
        assert!(printed <= 64 << 10, "{name}: {printed} bytes are printed");
        assert!(
            whole.bytes_max <= 400 * LENGTH as u64,
            "{name}: {} bytes are held at once for one of the text",
            whole.bytes_max / LENGTH as u64
        );
        // A text of twice the length takes twice the work, and not four times; what is bounded takes some in any case.
        let slack = 8 << 20;
        assert!(
            whole.bytes_total <= 3 * half.bytes_total + slack,
            "{name}: {} bytes are allocated for a text, and {} for one half as long",
            whole.bytes_total,
            half.bytes_total
        );
    }
}

#[test]
fn reading_that_stops_says_so_and_how_much_more_was_found() {
    let told = |text: &str| read(text).expect_err("it is wrong").to_string();
    let printed = told(&"=\n".repeat(1 << 14));
    assert!(printed.ends_with(" more; the rest was not read\n"), "{printed}");
    let printed = told(&"=".repeat(1 << 20));
    assert_eq!(printed.matches("error: ").count(), 1, "{printed}");
    assert!(printed.ends_with("\n… and the rest was not read\n"), "{printed}");
    let printed = told(&("[policy.a]\n".to_owned() + &lines(1 << 16, |at| format!("k{at} = 1\n"))));
    assert!(printed.contains(" more"), "{printed}");
}

#[test]
fn a_tree_of_tables_is_no_deeper_than_the_stack_allows() {
    let dotted = "a.".repeat(70);
    let text = (0..70).map(|_| format!("{dotted}a = {{ ")).collect::<String>() + "b = 1" + &" }".repeat(70);
    let error = read(&text).expect_err("it is too deep").to_string();
    assert!(
        error.starts_with("error: tables and lists lie at most 16 deep\n --> service.toml:1:33\n"),
        "{error}"
    );
}

#[test]
fn a_long_chain_of_policies_is_read_and_a_longer_one_is_refused_with_its_rule() {
    let chain = |links: usize| (0..links).map(link).collect::<String>();
    let set = read(&chain(300)).expect("it is long, and right");
    assert_eq!(set.iter().count(), 300);
    let error = read(&chain(8_000)).expect_err("nobody can follow it").to_string();
    let rule = "error: all policies together may have at most 200000 settings, with what they extend\n";
    assert!(error.starts_with(rule), "{error}");
    assert!(error.ends_with("\n… and the rest was not read\n"), "{error}");
}

#[test]
fn as_many_variables_as_an_environment_holds_are_read_as_one_is() {
    let files = PolicyFiles::new().file(Source::new("service.toml", "[policy.a]\n"));
    let files = (0..5_000).fold(files, |files, at| {
        files.variable(&format!("C13__POLICY__A__K{at}"), "1")
    });
    let errors = files.read().expect_err("no such keys");
    assert!(errors.iter().count() <= 250);
    assert!(errors.len() >= 200, "{}", errors.len());
}
