//! Every snippet of the README and the documents is run, and every policy file of the tree is what the schema says.
//!
//! Rust is run by the library's documentation tests, which include the same files. TOML and commands are run here.

#[path = "common/schema.rs"]
mod schema;
#[path = "../../c13-reliability/tests/it/tidy/tree.rs"]
mod tree;

use schema::errors;
use std::fs;
use std::process::{Command, Output};
use tempfile::TempDir;
use tree::root;

/// The README, and the documents that guide a user. Decisions (`docs/adr`) have no snippets.
fn documents() -> Vec<(String, String)> {
    let (files, _) = tree::files();
    let guides = files.iter().filter_map(|path| {
        let name = path.strip_prefix("docs/").unwrap_or(path);
        let guide = path == "README.md" || name.ends_with(".md") && name != path && !name.contains('/');
        guide.then_some((path, name))
    });
    let read = |path: &String| fs::read_to_string(root().join(path)).expect("it is text");
    guides.map(|(path, name)| (name.to_owned(), read(path))).collect()
}

/// The snippets of a document: language, line, text.
fn snippets(text: &str) -> Vec<(String, usize, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let body: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| !line.trim_start().starts_with("```"))
            .collect();
        found.push((language.to_owned(), number + 1, body.join("\n") + "\n"));
    }
    found
}

fn all_of(language: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, text) in documents() {
        let of_it = snippets(&text).into_iter().filter(|(other, ..)| other == language);
        found.extend(of_it.map(|(_, line, text)| (format!("{name}:{line}"), text)));
    }
    found
}

/// A folder of its own for each test, gone afterwards.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("the system has a temporary folder"))
    }

    fn c13<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_c13"));
        let output = command.args(arguments).current_dir(self.0.path()).output();
        output.expect("the program starts")
    }

    fn script(&self, name: &str, line: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.0.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{line}\n")).expect("the folder was made just now");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("the file is ours");
    }

    /// A file that others may not read.
    fn private(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("the folder was made just now");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    }

    /// Runs a command as a document writes it.
    #[track_caller]
    fn runs(&self, line: &str, becomes: &Becomes, document: &str) {
        if let Becomes::Elsewhere(place) = becomes {
            println!("{document}: `{line}` runs in {place}");
            return;
        }
        let (line, file) = line
            .split_once(" > ")
            .map_or((line, None), |(line, file)| (line, Some(file)));
        let mut command = Command::new(env!("CARGO_BIN_EXE_c13"));
        match line.strip_prefix("c13 ") {
            Some(arguments) => command.args(arguments.split_whitespace()),
            None => {
                let (variable, value) = line.split_once('=').expect("a variable is set");
                command
                    .args(["config", "explain", "payments.timeout.total"])
                    .env(variable, value)
            }
        };
        if matches!(becomes, Becomes::Drills) {
            command.args(["--repeat", "1"]);
        }
        let state = self.0.path().join("state");
        fs::create_dir_all(&state).expect("the folder was made just now");
        fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("the folder is ours");
        let output = command.current_dir(self.0.path()).env("C13_STATE_DIR", state).output();
        let output = output.expect("the program starts");
        let said = [&output.stdout, &output.stderr]
            .map(|said| String::from_utf8_lossy(said).into_owned())
            .concat();
        let right = match (becomes, output.status.code()) {
            (Becomes::Ends(status, words), Some(ended)) => {
                ended == *status && said.to_lowercase().contains(&words.to_lowercase())
            }
            (Becomes::Drills, Some(ended)) => matches!(ended, 0 | 3),
            _ => false,
        };
        assert!(
            right,
            "{document}: `{line}` ends with {:?} and says: {said}",
            output.status.code()
        );
        if let Some(file) = file {
            fs::write(self.0.path().join(file), &output.stdout).expect("the folder is there");
        }
    }
}

#[track_caller]
fn succeeds(output: &Output, what: &str) {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{what}: {out}{err}");
}

#[test]
fn every_snippet_is_of_a_kind_that_is_run() {
    for (name, text) in documents() {
        for (language, line, _) in snippets(&text) {
            // What a program prints is `text`; a schema of a database is tested with the lock's fence; `rust,no_run` is compiled.
            let known = ["rust", "rust,no_run", "toml", "sh", "crontab", "text", "sql"].contains(&language.as_str());
            assert!(known, "{name}:{line}: a snippet of {language:?} is run by nobody");
        }
    }
}

#[test]
fn every_snippet_of_toml_is_right() {
    let folder = Folder::new();
    let snippets = all_of("toml");
    assert!(snippets.len() >= 2, "the documents show a policy file and a drill");
    // Drills take their policies from the file that is shown before them.
    let (drills, policies): (Vec<_>, Vec<_>) = snippets.into_iter().partition(|(_, text)| text.contains("[[variant]]"));
    for (place, text) in &policies {
        fs::write(folder.0.path().join("reliability.toml"), text).expect("the folder was made just now");
        succeeds(&folder.c13(["config", "check", "reliability.toml"]), place);
        conforms(place, text);
    }
    for (place, text) in &drills {
        fs::write(folder.0.path().join("drill.toml"), text).expect("the folder was made just now");
        let output = folder.c13(["drill", "drill.toml", "--json"]);
        // 3 is an objective missed, which a drill may well say.
        let ran = matches!(output.status.code(), Some(0 | 3));
        assert!(ran, "{place}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn every_command_of_the_documents_runs() {
    let folder = Folder::new();
    let mut ran = 0;
    for (place, text) in all_of("sh") {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let mut words: Vec<&str> = line.split_whitespace().collect();
            if let Some(rest) = line.strip_prefix("cargo run --release -- ") {
                words = rest.split_whitespace().collect();
            } else if words.first() == Some(&"c13") {
                words.remove(0);
            } else {
                // The whole of the tests cannot run itself, and examples run in a step of it.
                let known = line == "./test" || line.starts_with("cargo run -p ");
                assert!(known, "{place}: nobody runs `{line}`");
                continue;
            }
            succeeds(&folder.c13(words), &format!("{place}: {line}"));
            ran += 1;
        }
    }
    assert!(ran >= 5, "{ran}");
}

/// What becomes of a command that a document names in its text.
enum Becomes {
    /// It ends with this status, and what it says has these words.
    Ends(i32, &'static str),
    /// A drill ends with 0 or 3; once is enough here.
    Drills,
    /// It is not run here, for this reason.
    Elsewhere(&'static str),
}

/// The commands in the text, outside of snippets.
const COMMANDS: &[(&str, Becomes)] = {
    use Becomes::{Drills, Elsewhere, Ends};
    &[
        ("c13 drill --print-scenario > my.toml", Ends(0, "")),
        ("c13 drill my.toml", Drills),
        ("c13 run --help", Ends(0, "exit")),
        ("c13 run --lock nightly --nonblock -- ./backup.sh", Ends(0, "saved")),
        ("c13 run --retry 3 --timeout 10m -- ./import.sh", Ends(0, "imported")),
        (
            "c13 run --lock nightly --nonblock --timeout 2h -- ./backup.sh",
            Ends(0, "saved"),
        ),
        (
            "c13 run --lock import --wait 4m --retry 3 --timeout 1m -- ./import.sh",
            Ends(0, "imported"),
        ),
        ("c13 run --lock nightly -n -E 0 -- ./backup.sh", Ends(0, "saved")),
        ("c13 run --lock nightly --wait 5m -- ./backup.sh", Ends(0, "saved")),
        (
            "c13 run --timeout 10m --kill-after 30s -- ./import.sh",
            Ends(0, "imported"),
        ),
        ("c13 run --retry 3 --backoff 5s -- ./import.sh", Ends(0, "imported")),
        ("c13 run --retry 2 --replay-stdin -- ./import.sh", Ends(0, "imported")),
        ("c13 run --limit 10/m --limit-key mail -- ./send.sh", Ends(0, "sent")),
        ("c13 run --breaker api -- ./poll.sh", Ends(0, "polled")),
        (
            "c13 run --redis-url-file redis-url --lock nightly --nonblock -- ./backup.sh",
            // The file names a port where nobody listens.
            Ends(125, "redis 127.0.0.1:1: connection refused"),
        ),
        ("c13 lock status nightly", Ends(0, "")),
        ("c13 config init", Elsewhere("every_command_of_the_documents_runs")),
        ("c13 config check", Ends(0, "")),
        ("c13 config check service.toml", Ends(0, "")),
        ("c13 config schema > reliability.schema.json", Ends(0, "")),
        ("c13 config explain payments.timeout.total", Ends(0, "5s")),
        (
            "c13 config explain search-suggestions.retry",
            Ends(0, "over retry.max_retries = 2"),
        ),
        ("c13 config show --effective service.toml > drilled.toml", Ends(0, "")),
        ("C13__POLICY__PAYMENTS__TIMEOUT__TOTAL=6s", Ends(0, "6s")),
        (
            "c13 health http://127.0.0.1:8080/ready --wait 30s",
            Elsewhere("tests/health.rs"),
        ),
        ("c13 soak --for 10m", Elsewhere("a step of ./test")),
        ("c13 completions bash", Ends(0, "")),
        ("c13 man man1", Ends(0, "wrote the manual pages")),
    ]
};

/// The commands of crontabs, without the five fields that say when.
fn cron_commands(text: &str) -> Vec<String> {
    let tabs = snippets(text)
        .into_iter()
        .filter(|(language, ..)| language == "crontab");
    let lines: Vec<String> = tabs
        .flat_map(|(_, _, text)| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let entries = lines.iter().filter(|line| !line.starts_with('#'));
    entries
        .map(|line| line.split_whitespace().skip(5).collect::<Vec<_>>().join(" "))
        .collect()
}

/// The commands and settings of variables that a text names between backticks: more than the name of a verb.
fn named_commands(text: &str) -> Vec<String> {
    let mut in_snippet = false;
    let prose: Vec<&str> = text
        .lines()
        .filter(|line| {
            let fence = line.trim_start().starts_with("```");
            in_snippet ^= fence;
            !in_snippet && !fence
        })
        .collect();
    let is_command = |span: &str| {
        let words = span.split_whitespace().count();
        !span.contains('…')
            && (span.starts_with("c13 ") && words > 2 || span.starts_with("C13__") && span.contains('='))
    };
    let spans = prose.join(" ");
    let spans = spans.split('`').skip(1).step_by(2);
    spans.filter(|span| is_command(span)).map(str::to_owned).collect()
}

#[test]
fn every_command_in_the_text_does_what_it_says_with_the_file_of_its_document() {
    let mut unused: Vec<&str> = COMMANDS.iter().map(|(command, _)| *command).collect();
    for (name, text) in documents() {
        let folder = Folder::new();
        let own = snippets(&text)
            .into_iter()
            .find(|(language, _, text)| language == "toml" && text.contains("[policy."));
        if let Some((_, _, text)) = &own {
            for file in ["reliability.toml", "service.toml"] {
                fs::write(folder.0.path().join(file), text).expect("the folder was made just now");
            }
        }
        let scenario = |(language, text): (&str, &str)| language == "toml" && text.contains("[load]");
        if let Some((_, _, text)) = (snippets(&text).into_iter()).find(|(language, _, text)| scenario((language, text)))
        {
            fs::write(folder.0.path().join("my.toml"), text).expect("the folder was made just now");
        }
        folder.script("backup.sh", "echo saved");
        folder.script("import.sh", "echo imported");
        folder.script("send.sh", "echo sent");
        folder.script("poll.sh", "echo polled");
        folder.private("redis-url", "redis://127.0.0.1:1\n");
        // Scripts of a document first, in case the text speaks of what they wrote.
        let written = snippets(&text)
            .into_iter()
            .filter(|(language, ..)| language == "sh" && own.is_some());
        let lines: Vec<String> = written
            .flat_map(|(_, _, text)| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .filter(|line| line.starts_with("c13 config") && !line.starts_with("c13 config init"))
            .collect();
        for line in &lines {
            folder.runs(line, &Becomes::Ends(0, ""), &name);
        }
        for command in cron_commands(&text).into_iter().chain(named_commands(&text)) {
            let Some((_, becomes)) = COMMANDS.iter().find(|(known, _)| *known == command) else {
                panic!("{name}: nobody runs `{command}`");
            };
            unused.retain(|known| *known != command);
            folder.runs(&command, becomes, &name);
        }
    }
    assert!(unused.is_empty(), "no document names {unused:?}");
}

/// The exit statuses and their meanings, as the help of a command lists them.
fn statuses(command: &str) -> Vec<(String, String)> {
    let help = Folder::new().c13([command, "--help"]);
    let help = String::from_utf8(help.stdout).expect("it is text");
    let (_, statuses) = help.split_once("\nExit status:").expect("the help has them");
    let rows = statuses.lines().skip(1).map_while(|line| line.trim().split_once(' '));
    rows.map(|(status, meaning)| (status.to_owned(), meaning.trim().to_owned()))
        .collect()
}

#[test]
fn the_guide_to_run_has_the_exit_statuses_of_its_help_and_no_others() {
    let expected: Vec<String> = statuses("run")
        .iter()
        .map(|(status, meaning)| format!("| {status} | {meaning} |"))
        .collect();
    assert!(expected.len() >= 8, "{expected:?}");
    let guide = fs::read_to_string(root().join("docs/run.md")).expect("it is text");
    let (_, table) = guide
        .split_once("| status | meaning |\n|---|---|\n")
        .expect("the guide has a table");
    let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows, expected);
}

#[test]
fn the_readme_has_the_exit_status_of_a_missed_objective() {
    let readme = fs::read_to_string(root().join("README.md")).expect("it is text");
    let statuses = statuses("drill");
    let (status, meaning) = statuses
        .iter()
        .find(|(_, meaning)| meaning.ends_with("missed"))
        .expect("a drill misses");
    let sentence = format!("exit status is {status} when {meaning}");
    assert!(readme.contains(&sentence), "README.md does not say \"{sentence}\"");
}

#[test]
fn every_policy_file_of_the_tree_is_right_and_as_the_schema_says() {
    let (files, _) = tree::files();
    let mut seen = 0;
    for path in files.iter().filter(|path| path.ends_with(".toml")) {
        let path = root().join(path);
        let text = fs::read_to_string(&path).expect("it is text");
        if !text.contains("[policy.") {
            continue;
        }
        seen += 1;
        let name = path.display().to_string();
        conforms(&name, &text);
        succeeds(
            &Folder::new().c13(["config".as_ref(), "check".as_ref(), path.as_os_str()]),
            &name,
        );
    }
    assert!(seen >= 2, "the starter and the example's service are there");
}

/// Checks a policy file with the schema that is shipped.
#[track_caller]
fn conforms(name: &str, text: &str) {
    if let Some(error) = errors(text) {
        panic!("{name}: {error}");
    }
}

#[test]
fn a_wrong_file_ends_with_2_and_tells_every_mistake() {
    let folder = Folder::new();
    let wrong = "[policy.a]\ntimeout = { total = \"1s\", attempt = \"2s\" }\nretry.max_attempts = 3\nbulkhed = false\n";
    fs::write(folder.0.path().join("reliability.toml"), wrong).expect("the folder was made just now");
    for command in [
        &["config", "check"][..],
        &["config", "show"],
        &["config", "explain", "a"],
    ] {
        let output = folder.c13(command);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        let err = String::from_utf8_lossy(&output.stderr);
        for words in [
            "must not be longer than `timeout.total`",
            "write `max_retries = 2`",
            "did you mean `bulkhead`?",
            "3 errors",
        ] {
            assert!(err.contains(words), "{command:?} does not say {words:?}: {err}");
        }
    }
}

#[test]
fn readme_shows_what_the_drill_prints_today() {
    let folder = Folder::new();
    let output = folder.c13(["drill"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let printed = String::from_utf8(output.stdout).expect("it is text");
    let (_, shown) = all_of("text").into_iter().next().expect("README shows it first");
    assert_eq!(without_run_time(&shown), without_run_time(&printed));
}

/// The table without its last line's end, which tells how long the machine took.
fn without_run_time(table: &str) -> &str {
    table.trim_end().rsplit_once(" in ").expect("its last line says it").0
}
