//! `c13 config` as it is started by people, by CI and by editors.

#[path = "../../c13-reliability/tests/it/tidy/tree.rs"]
mod tree;

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

/// A folder of its own for each test, gone afterwards.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("the system has a temporary folder"))
    }

    fn with(file: &str, text: &str) -> Self {
        let folder = Self::new();
        folder.file(file, text);
        folder
    }

    fn file(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).expect("the folder was made just now");
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_c13"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn c13(&self, arguments: &str) -> Output {
        self.command(arguments).output().expect("the program starts")
    }

    fn c13_on(&self, input: &str, arguments: &str) -> Output {
        let child = self.command(arguments).stdin(Stdio::piped()).spawn();
        let mut child = child.expect("the program starts");
        let mut stdin = child.stdin.take().expect("it has an input");
        stdin.write_all(input.as_bytes()).expect("it reads its input");
        drop(stdin);
        child.wait_with_output().expect("it ends")
    }

    /// What it prints where all is right.
    #[track_caller]
    fn right(&self, arguments: &str) -> String {
        let output = self.c13(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {}", err(&output));
        out(&output).to_owned()
    }

    /// What it says where something is wrong.
    #[track_caller]
    fn wrong(&self, arguments: &str) -> String {
        let output = self.c13(arguments);
        assert_eq!((output.status.code(), out(&output)), (Some(2), ""), "{arguments}");
        err(&output).to_owned()
    }

    #[track_caller]
    fn json(&self, arguments: &str) -> (Json, Option<i32>) {
        let output = self.c13(arguments);
        assert_eq!(err(&output), "", "{arguments}");
        let json = serde_json::from_str(out(&output)).unwrap_or_else(|error| panic!("{arguments}: {error}"));
        (json, output.status.code())
    }
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("what it prints is text")
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("what it prints is text")
}

const DOCS: &str = "\
[defaults]
retry.max_retries = 4

[policy.search]
retry = false
rate_limit = { rate = \"7/h\", burst = 3 }

[policy.a]
adaptive = {}
circuit_breaker = { failures = false, failure_rate = \"20%\", window = { calls = 50 } }
extends = \"critical\"
";

#[test]
fn a_check_tells_programs_every_error_with_its_places() {
    let folder = Folder::with("a.toml", DOCS);
    let right = json!({"schema": 1, "files": ["a.toml"], "policies": ["a", "search"], "errors": []});
    assert_eq!(folder.json("config check a.toml --json"), (right, Some(0)));

    let text = "[policy.a]\ntimeout = { total = \"1s\", attempt = \"2s\" }\nbulkhed = false\n";
    folder.file("wrong.toml", text);
    let (object, status) = folder.json("config check wrong.toml --json --set policy.a.retry=3");
    assert_eq!(status, Some(2));
    assert_eq!(
        object,
        json!({"schema": 1, "files": ["wrong.toml"], "policies": [], "errors": [
            {
                "message": "`policy.a.retry` must be a table, or false to switch it off",
                "help": [],
                "places": [{"file": "--set", "text": "3", "label": "this is a number"}],
            },
            {
                "message": "`policy.a.timeout.attempt` must not be longer than `timeout.total`",
                "help": ["lower `timeout.attempt` to 1s or less, or raise `timeout.total` to 2s or more"],
                "places": [
                    {"file": "wrong.toml", "line": 2, "column": 37, "end_column": 41, "text": "\"2s\"",
                     "label": "each attempt may take 2s"},
                    {"file": "wrong.toml", "line": 2, "column": 21, "end_column": 25, "text": "\"1s\"",
                     "label": "the whole call may take this long"},
                ],
            },
            {
                "message": "unknown key `policy.a.bulkhed`",
                "help": ["did you mean `bulkhead`?"],
                "places": [{"file": "wrong.toml", "line": 3, "column": 1, "end_column": 8, "text": "bulkhed",
                            "label": "not a key of `policy.a`"}],
            },
        ]})
    );

    fs::write(folder.0.path().join("latin.toml"), b"[policy.a]\n# caf\xe9\n").expect("the folder is there");
    let (object, status) = folder.json("config check latin.toml --json");
    let place = &object["errors"][0]["places"][0];
    assert_eq!(
        (status, &place["line"], &place["column"]),
        (Some(2), &json!(2), &json!(6)),
        "{object}"
    );

    let many: String = (0..70).map(|n| format!("[policy.p{n}]\nwrong = 1\n")).collect();
    folder.file("many.toml", &many);
    let (object, _) = folder.json("config check many.toml --json");
    assert_eq!(
        object["errors"].as_array().map(Vec::len),
        Some(70),
        "a program gets all of them"
    );
    let people = folder.wrong("config check many.toml");
    assert_eq!(people.matches("error: ").count(), 50);
    assert!(people.ends_with("… and 20 more\n\n70 errors\n"), "{people}");

    for (arguments, words) in [
        ("config check none.toml --json", "cannot read none.toml: "),
        ("config show --json", "`c13 config init`"),
        ("config explain a.hedge a.toml --json", "does not apply"),
    ] {
        let (object, status) = folder.json(arguments);
        let message = object["errors"][0]["message"].as_str().unwrap_or_default();
        assert!(message.contains(words) && status == Some(2), "{arguments}: {object}");
    }
}

#[test]
fn what_is_shown_and_explained_is_there_for_programs_too() {
    let folder = Folder::with("a.toml", DOCS);
    let (object, status) = folder.json("config show a.toml --json");
    assert_eq!((status, &object["schema"]), (Some(0), &json!(1)));
    let search = json!({"retry": false, "rate_limit": {"rate": "7/h", "burst": 3}});
    assert_eq!(object["policies"]["search"]["settings"], search);
    let origin = json!({"origin": "a.toml:5:9", "file": "a.toml", "line": 5, "column": 9});
    assert_eq!(object["policies"]["search"]["origins"]["retry"], origin);
    let (object, _) = folder.json("config show --effective a.toml --json");
    let breaker = &object["policies"]["a"]["settings"]["circuit_breaker"];
    assert_eq!(
        (&breaker["failures"], &breaker["window"], &breaker["min_calls"]),
        (&json!(false), &json!({"calls": 50}), &json!(50))
    );
    let (object, _) = folder.json("config explain search.retry.max_retries a.toml --json");
    assert_eq!(
        object,
        json!({"schema": 1, "settings": [{
            "policy": "search", "path": "retry", "value": false,
            "origin": "a.toml:5:9", "file": "a.toml", "line": 5, "column": 9, "applies": true,
            "overrides": [{"path": "retry.max_retries", "value": 4,
                "origin": "a.toml:2:21", "file": "a.toml", "line": 2, "column": 21}],
        }]})
    );
}

#[test]
fn what_is_switched_off_is_explained_with_what_it_hides() {
    let folder = Folder::with("a.toml", DOCS);
    let off = "policy.search.retry = false\n  from a.toml:5:9\n  over retry.max_retries = 4 from a.toml:2:21\n";
    assert_eq!(folder.right("config explain search.retry a.toml"), off);
    assert_eq!(folder.right("config explain search.retry.backoff a.toml"), off);
    let rule = "policy.a.circuit_breaker.failures = false\n  from a.toml:10:32\n  over 3 from the profile critical\n";
    assert_eq!(folder.right("config explain a.circuit_breaker.failures a.toml"), rule);
    assert!(folder.right("config explain a a.toml").contains(rule));
    let on = folder.right("config explain search.retry a.toml --set policy.search.retry.max_retries=2");
    let over = "retry.max_retries = 2\n  from --set\n  over retry = false from a.toml:5:9\n  over 4 from a.toml:2:21\n";
    assert!(on.contains(over), "{on}");

    folder.file(
        "budget.toml",
        "[policy.a]\nretry = { max_retries = 1, backoff = { base = \"9ms\" } }\n",
    );
    folder.file("over.toml", "[policy.a]\nretry = false\n");
    let on =
        folder.right("config explain a.retry.backoff.base budget.toml over.toml --set policy.a.retry.max_retries=2");
    let default = "base = \"100ms\"\n  from default\n  over retry = false from over.toml:2:9\n  over \"9ms\" from budget.toml:2:47\n";
    assert!(
        on.contains(default),
        "what lies under a part that was switched off does not count: {on}"
    );
}

#[test]
fn defaults_without_effect_are_explained_with_what_would_switch_them_on() {
    let text = "[defaults]\nretry.backoff.base = \"1s\"\ncircuit_breaker.open_for = \"9s\"\nhedge = {}\nbulkhead = false\n\
        [policy.a]\ntimeout.total = \"3s\"\n[policy.b]\nretry.max_retries = 1\n";
    let folder = Folder::with("a.toml", text);
    let base = "retry.backoff.base = \"1s\"\n  from a.toml:2:22\n";
    let idle = format!("policy.a.{base}  without effect: no layer sets `retry.max_retries`\n");
    assert_eq!(folder.right("config explain a.retry a.toml"), idle);
    assert_eq!(folder.right("config explain a.retry.backoff.base a.toml"), idle);
    assert!(
        folder
            .right("config explain b.retry a.toml")
            .contains(&format!("policy.b.{base}policy.b."))
    );
    let rules = "`circuit_breaker.consecutive_failures`, `circuit_breaker.failures`, `circuit_breaker.failure_rate` or \
        `circuit_breaker.slow_call`\n";
    let all = folder.right("config explain a a.toml");
    assert!(
        all.starts_with("policy.a.timeout.total = \"3s\"\n") && all.contains(&idle) && all.contains(rules),
        "{all}"
    );
    assert!(
        all.contains("policy.a.bulkhead = false\n  from a.toml:5:12\npolicy.a."),
        "switched off, and not idle: {all}"
    );
    assert!(
        all.contains("policy.a.hedge = {}\n  from a.toml:4:9\n  without effect: no layer sets `hedge.delay`\n"),
        "{all}"
    );
    let (object, _) = folder.json("config explain a a.toml --json");
    let settings = object["settings"].as_array().expect("it is a list").iter();
    let applies: Vec<&Json> = settings.map(|setting| &setting["applies"]).collect();
    assert_eq!(applies, [true, true, false, false, false]);
}

#[test]
fn what_a_policy_extends_is_explained_with_what_that_hides() {
    let text = "[policy.base]\nextends = \"batch\"\n[policy.a]\nextends = \"base\"\n";
    let folder = Folder::with("a.toml", text);
    folder.file("b.toml", "[policy.a]\nextends = \"critical\"\n");
    let own = "policy.a.extends = \"base\"\n  from a.toml:4:11\n";
    assert_eq!(folder.right("config explain a.extends a.toml"), own);
    let over = "policy.a.extends = \"critical\"\n  from b.toml:2:11\n  over \"base\" from a.toml:4:11\n";
    assert_eq!(folder.right("config explain a.extends a.toml b.toml"), over);
    assert!(folder.right("config explain a a.toml b.toml").starts_with(over));
    let window = folder.c13_on(DOCS, "config explain a.circuit_breaker.window -");
    assert!(out(&window).starts_with("policy.a.circuit_breaker.window = { calls = 50 }\n"));
    let calls = folder.c13_on(DOCS, "config explain a.circuit_breaker.window.calls -");
    assert_eq!(out(&calls), out(&window), "{}", err(&calls));
}

#[test]
fn what_another_setting_hides_is_explained_with_that() {
    let text = "[defaults]\ntimeout.attempt = \"1s\"\n\
        [policy.p]\ntimeout = false\nadaptive = { strategy = \"vegas\", alpha = 4, beta = 9 }\n\
        [policy.d]\nextends = \"p\"\ntimeout.total = \"3s\"\nadaptive.strategy = \"aimd\"\n\
        circuit_breaker = { failures = false, failure_share = 0.5, consecutive_failures = 3 }\n";
    let folder = Folder::with("a.toml", text);
    for (path, told) in [
        (
            "timeout.attempt",
            "= \"1s\"\n  from a.toml:2:19\n  without effect: hidden by timeout = false from a.toml:4:11\n",
        ),
        (
            "adaptive.alpha",
            "= 4\n  from a.toml:5:42\n  without effect: hidden by adaptive.strategy = \"aimd\" from a.toml:9:21\n",
        ),
        (
            "circuit_breaker.failure_share",
            "= 0.5\n  from a.toml:10:55\n  without effect: nothing in this policy asks for it\n",
        ),
    ] {
        let explained = folder.right(&format!("config explain d.{path} a.toml"));
        assert_eq!(explained, format!("policy.d.{path} {told}"));
    }
    let (object, _) = folder.json("config explain d.timeout.attempt a.toml --json");
    let setting = &object["settings"][0];
    assert_eq!(
        (&setting["applies"], &setting["without_effect"]),
        (&json!(false), &json!("hidden by timeout = false from a.toml:4:11"))
    );
    let (object, _) = folder.json("config explain d.timeout.total a.toml --json");
    let setting = &object["settings"][0];
    assert_eq!(
        (&setting["applies"], setting.get("without_effect")),
        (&json!(true), None)
    );
}

#[test]
fn a_path_that_goes_wrong_is_told_the_nearest_key_there() {
    let folder = Folder::with("docs.toml", DOCS);
    for (path, words) in [
        ("a.timout", "no setting \"timout\": did you mean \"timeout\"?"),
        ("a.bulkhed", "did you mean \"bulkhead\"?"),
        ("a.rate_limt.rate", "did you mean \"rate_limit.rate\"?"),
        ("a.rate_limt.nonsense", "did you mean \"rate_limit\"?"),
        ("a.retry.backof.base", "did you mean \"retry.backoff.base\"?"),
        (
            "a.circuit_breaker.windw.calls",
            "did you mean \"circuit_breaker.window.calls\"?",
        ),
        ("a.timeout.total.x", "\"timeout.total\" has nothing below it"),
        ("search.retry.nonsense", "no setting \"retry.nonsense\": there are "),
        ("a.", "`a.` is no path"),
        ("a..retry", "`a..retry` is no path"),
        ("a.retry.", "`a.retry.` is no path"),
    ] {
        let said = folder.wrong(&format!("config explain {path} docs.toml"));
        assert!(said.contains(words), "{path}: {said}");
        assert!(said.matches(", ").count() < 8, "{path}: {said}");
    }
    let said = folder.wrong("config explain a.circuit_breaker.zzz docs.toml");
    assert!(said.contains(" more\n") && said.matches(", ").count() < 8, "{said}");
}

/// Files in which rules have windows of their own, parts are on by an empty table, and layers switch things off.
const ODD: [&str; 7] = [
    DOCS,
    "[policy.a]\nadaptive = {}\n",
    "[policy.a]\nadaptive.strategy = \"vegas\"\nretry = { max_retries = 1, budget = false, backoff = {} }\n",
    "[policy.a]\ncircuit_breaker = { failures = 5, failures_window = \"30s\" }\n",
    "[policy.a]\ncircuit_breaker = { failures = 5, window = \"30s\", slow_call = \"1s\", slow_window = \"10s\", slow_min_calls = 7 }\n",
    "[policy.a]\ncircuit_breaker = { failures = 5, window = \"10s\", slow_call = \"1s\", slow_window = \"10s\", min_calls = 7 }\n",
    "[policy.a]\nrate_limit = { rate = \"7/h\" }\nhedge = { delay = false, budget = false }\n\
     [policy.b]\nrate_limit = { rate = \"33.7/m\", burst = 1, warm_up = { period = \"1s\", cold_factor = 3 } }\n\
     hedge.delay = { quantile = \"99.9%\" }\n\
     circuit_breaker = { failure_rate = \"12.3%\", window = { calls = 100 }, slow_call = \"1s\", slow_window = { calls = 50 } }\n\
     [policy.c]\nextends = \"b\"\nhedge = false\nrate_limit = { rate = \"0.1/s\", warm_up = false }\ntimeout.attempt = \"1h\"\n",
];

#[test]
fn what_is_shown_is_a_file_that_says_the_same() {
    let (files, _) = tree::files();
    let paths = files.iter().filter(|path| path.ends_with(".toml"));
    let texts = paths.map(|path| fs::read_to_string(tree::root().join(path)).expect("it is text"));
    let texts: Vec<String> = texts.filter(|text| text.contains("\n[policy.")).collect();
    assert!(texts.len() >= 2, "the starter and the example's service are there");
    let folder = Folder::new();
    for text in texts.iter().map(String::as_str).chain(ODD) {
        folder.file("a.toml", text);
        let settings = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            let setting = |line: &str| line.split("  # ").next().unwrap_or_default().trim_end().to_owned();
            lines.map(setting).collect()
        };
        let effective = settings(&folder.right("config show --effective a.toml --no-env"));
        for shown in ["config show a.toml --no-env", "config show --effective a.toml --no-env"] {
            let shown = folder.right(shown);
            let again = folder.c13_on(&shown, "config show --effective - --no-env");
            assert_eq!(settings(out(&again)), effective, "\n{text}\n{shown}\n{}", err(&again));
        }
    }
}

#[test]
fn rates_and_ratios_are_told_in_one_way() {
    let folder = Folder::new();
    for (written, told) in [
        ("7/h", "7/h"),
        ("600/m", "10/s"),
        ("90/m", "90/m"),
        ("0.25/s", "15/m"),
        ("1/d", "1/d"),
        ("1000000/s", "1000000/s"),
    ] {
        folder.file("a.toml", &format!("[policy.a]\nrate_limit.rate = \"{written}\"\n"));
        let explained = folder.right("config explain a.rate_limit.rate a.toml");
        assert!(
            explained.contains(&format!("rate = \"{told}\"\n")),
            "{written}: {explained}"
        );
    }
    let text = "[defaults]\nrate_limit.rate = \"600/m\"\nretry.budget.ratio = \"20%\"\ntimeout.total = \"60s\"\n\
        [policy.a]\nrate_limit.rate = \"1/m\"\nretry = { max_retries = 0, budget = { ratio = 0.30 } }\ntimeout.total = \"1s\"\n";
    folder.file("a.toml", text);
    let explained = folder.right("config explain a a.toml");
    for words in [
        "rate = \"1/m\"\n  from a.toml:6:19\n  over \"10/s\" from",
        "ratio = 0.3\n  from a.toml:7:47\n  over 0.2 from",
        "total = \"1s\"\n  from a.toml:8:17\n  over \"1m\" from",
    ] {
        assert!(explained.contains(words), "{words} is not in\n{explained}");
    }
}

#[test]
fn what_is_asked_for_wrongly_is_told_how_to_ask() {
    let folder = Folder::with("docs.toml", DOCS);
    for (arguments, words) in [
        ("explain docs.toml", "`c13 config explain payments.retry docs.toml`"),
        ("explain ./docs.toml", "is a file"),
        ("check", "`c13 config init`"),
        ("check - -", "standard input can be read only once"),
        ("explain search.bulkhead docs.toml", "is not set in any layer"),
        ("explain search.retri docs.toml", "has no setting \"retri\""),
    ] {
        let said = folder.wrong(&format!("config {arguments}"));
        assert!(said.contains(words), "{arguments}: {said}");
    }
    let said = folder.wrong("config check docs.toml --set policy.a.retry.max_retris=3");
    assert!(said.ends_with("\n1 error\n"), "nothing was to be run: {said}");
    let output = folder.c13_on("[policy.a]\nadaptive = {}\n", "config check -");
    assert_eq!(out(&output), "standard input: 1 policy (a), all right\n");
}

#[test]
fn a_rate_that_only_a_profile_says_is_named() {
    let note = "  a: at most \"500/s\" from each instance, by the profile standard; `rate_limit.rate` sets another rate, \
                `rate_limit = false` none\n";
    for (settings, note) in [
        ("", note),
        ("rate_limit.rate = \"800/s\"", ""),
        ("rate_limit = false", ""),
        ("rate_limit.shadow = true", ""),
    ] {
        let input = format!("[policy.a]\nextends = \"standard\"\n{settings}\n");
        let output = Folder::new().c13_on(&input, "config check -");
        let text = format!("standard input: 1 policy (a), all right\n{note}");
        assert_eq!(out(&output), text, "{settings}: {}", err(&output));
    }
}

#[test]
fn a_file_to_start_from_is_written_once_or_printed() {
    let folder = Folder::new();
    let said = folder.right("config init service.toml");
    assert!(said.contains("`c13 config check service.toml`"), "{said}");
    let starter = fs::read_to_string(folder.0.path().join("service.toml")).expect("it was written");
    assert!(
        starter.contains("c13 config schema > reliability.schema.json"),
        "{starter}"
    );
    let said = folder.wrong("config init service.toml");
    assert!(said.starts_with("error: service.toml is there already"), "{said}");
    assert!(
        said.contains("`c13 config init -`") && !said.contains("os error"),
        "{said}"
    );
    assert_eq!(folder.right("config init -"), starter);
    assert!(!folder.0.path().join("-").exists());
}

const SCENARIO: &str = "\
name = \"x\"
duration = \"2m\"
[load]
rps = 20
deadline = \"5s\"
[dependency]
name = \"payments\"
latency = { lognormal = { p50 = \"40ms\", p99 = \"250ms\" } }
concurrency = 64
[[fault]]
at = \"30s\"
for = \"20s\"
kind = \"error_rate\"
rate = 0.5
[[variant]]
name = \"a\"
";

#[test]
fn a_drill_shows_the_real_place_of_a_service_s_policy() {
    let service = "# Ours.\n\n[policy.payments]\nextends = \"standard\"\n# Whole.\ntimeout.total     = \"5s\"\ntimeout.attempt = \"1s\"\n";
    let folder = Folder::with("reliability.toml", service);
    let variant = "policy = \"reliability.toml#payments\"\nset = { timeout = { attempt = \"6s\" } }\n";
    folder.file("drill.toml", &format!("{SCENARIO}{variant}"));
    let said = folder.wrong("drill drill.toml");
    let place = "::: reliability.toml:6:21\n   |\n 6 | timeout.total     = \"5s\"\n";
    assert!(said.contains(place), "{said}");
    for (variant, words) in [
        (
            "policy = \"reliability.toml#payments\"\nset.circuit_breaker.failures = false\n",
            "::: the profile standard\n   |\n   | circuit_breaker.failure_rate = 0.8\n   |                 ------------ this rule asks for it\n",
        ),
        ("policy = \"critical\"\n", "`profile = \"critical\"`"),
        (
            "policy = 3\n",
            "must be text that names a file and a policy in it, or a table",
        ),
    ] {
        folder.file("drill.toml", &format!("{SCENARIO}{variant}"));
        let said = folder.wrong("drill drill.toml");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn what_applies_with_the_environment_can_be_written_down_and_drilled() {
    let folder = Folder::with("service.toml", "[policy.payments]\nretry.max_retries = 2\n");
    let variable = "C13__POLICY__PAYMENTS__RETRY";
    let drilled = |file: &str| {
        folder.file("drill.toml", &format!("{SCENARIO}policy = \"{file}#payments\"\n"));
        let output = folder
            .command("drill drill.toml --json")
            .env(variable, "false")
            .output();
        let output = output.expect("the program starts");
        let drill: Json =
            serde_json::from_str(out(&output)).unwrap_or_else(|error| panic!("{error}: {}", err(&output)));
        drill["variants"][1]["amplification"].as_f64().expect("it is a number")
    };
    let show = folder
        .command("config show --effective service.toml")
        .env(variable, "false")
        .output();
    folder.file("drilled.toml", out(&show.expect("the program starts")));
    assert!(
        drilled("service.toml") > 1.0,
        "a drill does not look at the environment"
    );
    assert_eq!(drilled("drilled.toml"), 1.0, "what was written down has no retries");
}

#[test]
fn a_variable_of_the_environment_that_is_nearly_a_setting_s_is_refused() {
    let folder = Folder::with("a.toml", "[policy.a-b]\ntimeout.total = \"9s\"\n");
    for (name, status) in [
        ("C13_POLICY__A_B__TIMEOUT__TOTAL", 2),
        ("c13__policy__a_b__timeout__total", 2),
        ("C13_STATE_DIR", 0),
        ("C13__POLICY__A_B__TIMEOUT__TOTAL", 0),
    ] {
        let output = folder.command("config check a.toml").env(name, "8s").output();
        let output = output.expect("the program starts");
        assert_eq!(output.status.code(), Some(status), "{name}: {}", err(&output));
        let told = err(&output).contains("did you mean `C13__POLICY__A_B__TIMEOUT__TOTAL`?");
        assert_eq!(told, status == 2, "{name}: {}", err(&output));
    }
}
