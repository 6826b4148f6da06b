//! `c13 config` as a value: what it answers, and what it refuses.

use super::args::{ConfigArgs, ConfigCommand, LayerArgs};
use super::command::read;
use super::known::Known;
use crate::cmd::Failure;
use c13_reliability::policy::file::STARTER;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A folder of its own for each test, gone afterwards.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("the system has a temporary folder"))
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("the folder was made just now");
        path
    }
}

/// Runs a command.
fn run(command: ConfigCommand) -> Result<super::ConfigAnswer, Failure> {
    super::run(&ConfigArgs { command })
}

fn layers(files: Vec<PathBuf>, set: &[&str]) -> LayerArgs {
    LayerArgs {
        files,
        set: set.iter().map(|&set| set.to_owned()).collect(),
        no_env: true,
    }
}

const FILE: &str = "[defaults]\ntimeout.total = \"9s\"\n\n[policy.payments]\ntimeout.total = \"3s\"\n";

#[test]
fn a_right_file_is_said_to_be_right() {
    let folder = Folder::new();
    let file = folder.file("a.toml", FILE);
    let layers = layers(vec![file.clone()], &[]);
    let text = run(ConfigCommand::Check { json: false, layers })
        .expect("it is right")
        .text;
    assert_eq!(text, format!("{}: 1 policy (payments), all right\n", file.display()));
}

#[test]
fn a_setting_is_explained_with_all_that_it_hides() {
    let folder = Folder::new();
    let file = folder.file("a.toml", FILE);
    let explain = |path: &str| {
        run(ConfigCommand::Explain {
            path: path.to_owned(),
            json: false,
            layers: layers(vec![file.clone()], &["policy.payments.timeout.total=2s"]),
        })
        .map(|answer| answer.text)
    };
    let expected = format!(
        "policy.payments.timeout.total = \"2s\"\n  from --set\n  over \"3s\" from {0}:5:17\n  over \"9s\" from {0}:2:17\n",
        file.display()
    );
    for path in [
        "payments.timeout.total",
        "policy.payments.timeout.total",
        "payments.timeout",
        "payments",
    ] {
        assert_eq!(explain(path).expect("it is there"), expected, "{path}");
    }
    for (path, words) in [
        ("paymets.timeout", "did you mean \"payments\"?"),
        ("payments.timeout.totl", "did you mean \"timeout.total\"?"),
    ] {
        let Err(Failure::Usage(message)) = explain(path) else {
            panic!("there is no {path}")
        };
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn what_is_shown_reads_back_as_the_same() {
    let folder = Folder::new();
    let file = folder.file("a.toml", STARTER);
    let before = read(&layers(vec![file.clone()], &[])).expect("the starter is right");
    let text = run(ConfigCommand::Show {
        effective: true,
        json: false,
        layers: layers(vec![file], &[]),
    });
    let shown = folder.file("b.toml", &text.expect("it is right").text);
    let after = read(&layers(vec![shown], &[])).expect("what is shown is right");
    assert_eq!(before.changes(&after), []);
}

#[test]
fn a_file_is_started_once_and_never_overwritten() {
    let folder = Folder::new();
    let file = folder.0.path().join("reliability.toml");
    let init = || ConfigCommand::Init { file: file.clone() };
    assert!(run(init()).is_ok());
    fs::write(&file, "mine").expect("it was written before");
    let Err(Failure::Usage(message)) = run(init()) else {
        panic!("it is there already")
    };
    assert!(
        message.contains("is there already") && message.contains("c13 config init -"),
        "{message}"
    );
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "mine");
}

#[test]
fn the_schema_knows_every_setting() {
    let known = Known::of_policies();
    let folder = Folder::new();
    let full = "[policy.a]\nextends = \"critical\"\nbulkhead = { max_concurrent = 1, max_queue = 1, max_wait = \"1s\" }\n\
        retry = { total_limit = \"1s\", backoff = { strategy = \"linear\", increment = \"1s\" } }\n\
        circuit_breaker = { consecutive_failures = 1, failure_rate = 1, slow_call = \"1s\", half_open_calls = 1, \
        failures_window = \"1s\", slow_window = \"1s\", min_calls = 2, slow_min_calls = 1, window = { calls = 2 } }\n";
    let file = folder.file("a.toml", full);
    let set = read(&layers(vec![file], &["policy.a.timeout.total=90s"])).unwrap_or_else(|error| panic!("{error:?}"));
    let policy = set.policy("a").expect("it is named");
    assert!(policy.settings().len() > 35);
    for setting in policy.settings() {
        assert!(known.has(&setting.path), "the schema lacks {}", setting.path);
    }
    assert!(!known.has("timeout.totl") && !known.has("timeout.total.x"));
}
