//! `c13 drill` as it is started by people and by other programs.

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn c13(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_c13"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("CLICOLOR_FORCE")
        .env_remove("NO_COLOR");
    command
}

fn run(arguments: &[&str]) -> Output {
    c13(arguments).output().expect("the program starts")
}

/// Runs with a text on standard input.
fn run_on(input: &str, arguments: &[&str]) -> Output {
    let mut command = c13(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    child
        .stdin
        .take()
        .expect("it has an input")
        .write_all(input.as_bytes())
        .expect("it reads its input");
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("what it prints is text")
}

#[test]
fn help_and_version_are_results_and_not_errors() {
    for (arguments, words) in [
        (&["--help"][..], "Usage: c13 <COMMAND>"),
        (&["drill", "--help"], "Exit status:"),
        (&["--version"], concat!("c13 ", env!("CARGO_PKG_VERSION"))),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(
            text(&output.stdout).contains(words),
            "{arguments:?}: {}",
            text(&output.stdout)
        );
        assert!(output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_wrong_command_line_is_refused_with_the_right_word() {
    let output = run(&["drill", "--jsn"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    assert!(
        text(&output.stderr).contains("a similar argument exists: '--json'"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(run(&[]).status.code(), Some(2), "nothing was asked for");
}

#[test]
fn a_wrong_scenario_is_refused_with_every_error_and_without_a_result() {
    let output = run_on("name = 3\nduration = 10m\n", &["drill", "-", "--json"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    let expected = "\
error: `name` must be text in quotes
 --> standard input:1:8
  |
1 | name = 3
  |        ^ this is a number

error: `10m` is no value: text stands in quotes
 --> standard input:2:12
  |
2 | duration = 10m
  |            ^^^
  |
  = help: write \"10m\"

2 errors; nothing was run
";
    assert_eq!(text(&output.stderr), expected, "in a pipe there is no colour");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = run(&["drill", "no/such/scenario.toml"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    assert!(
        text(&output.stderr).starts_with("error: cannot read no/such/scenario.toml: "),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn the_built_in_scenario_is_printed_to_start_from() {
    let output = run(&["drill", "--print-scenario"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    assert_eq!(text(&output.stdout), include_str!("../scenarios/brownout.toml"));
}
