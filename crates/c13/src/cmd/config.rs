//! `c13 config`: checks, explains and shows a service's policies, and starts a file of them.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use c13_reliability::policy::document::{Diagnostics, nearest};
use c13_reliability::policy::file::{NamedPolicy, PolicyFiles, PolicySet, SCHEMA, STARTER, origin_text};

use super::{Failure, source};
use crate::args::{ConfigCommand, LayerArgs};

/// Runs the command and gives what is to be printed.
///
/// # Errors
///
/// Settings that are wrong, a file that cannot be read or written, or a setting that is not there.
pub(crate) fn run(command: &ConfigCommand) -> Result<String, Failure> {
    match command {
        ConfigCommand::Check { layers } => read(layers).map(|set| checked(layers, &set)),
        ConfigCommand::Explain { path, layers } => explain(&read(layers)?, path),
        ConfigCommand::Show { effective, layers } => read(layers).map(|set| shown(&set, *effective)),
        ConfigCommand::Schema => Ok(SCHEMA.to_owned()),
        ConfigCommand::Init { file } => start(file),
    }
}

fn read(layers: &LayerArgs) -> Result<PolicySet, Failure> {
    let mut files = PolicyFiles::new();
    for file in &layers.files {
        files = files.file(source::read(file)?);
    }
    if !layers.no_env {
        files = files.environment();
    }
    let files = layers.set.iter().fold(files, |files, assignment| files.set(assignment));
    files.read().map_err(|errors: Diagnostics| Failure::Input(errors))
}

fn checked(layers: &LayerArgs, set: &PolicySet) -> String {
    let files: Vec<String> = layers.files.iter().map(|file| file.display().to_string()).collect();
    let names: Vec<&str> = set.iter().map(|(name, _)| name).collect();
    let count = match names.len() {
        1 => "1 policy".to_owned(),
        many => format!("{many} policies"),
    };
    format!("{}: {count} ({}), all right\n", files.join(", "), names.join(", "))
}

/// A setting, where its value comes from, and what that hides; or all settings below a path.
fn explain(set: &PolicySet, path: &str) -> Result<String, Failure> {
    let path = path.strip_prefix("policy.").unwrap_or(path);
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some(policy) = set.policy(name) else {
        let names: Vec<&str> = set.iter().map(|(name, _)| name).collect();
        return Err(missing(&format!("there is no policy called \"{name}\""), name, &names));
    };
    let below = |setting: &str| {
        let after = setting.strip_prefix(rest);
        rest.is_empty() || after.is_some_and(|after| after.is_empty() || after.starts_with('.'))
    };
    let settings = policy.settings().iter().filter(|setting| below(&setting.path));
    let mut text = String::new();
    for setting in settings {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "policy.{name}.{} = {}", setting.path, setting.value);
        let _ = writeln!(text, "  from {}", setting.origin());
        for span in setting.below() {
            let _ = writeln!(text, "  over {} from {}", span.text(), origin_text(span));
        }
    }
    if text.is_empty() {
        let paths: Vec<&str> = policy.settings().iter().map(|setting| setting.path.as_str()).collect();
        return Err(missing(
            &format!("policy.{name} has no setting \"{rest}\""),
            rest,
            &paths,
        ));
    }
    Ok(text)
}

fn missing(message: &str, word: &str, names: &[&str]) -> Failure {
    Failure::Usage(match nearest(word, names.iter().copied()) {
        Some(name) => format!("{message}: did you mean \"{name}\"?"),
        None => format!("{message}: there are {}", names.join(", ")),
    })
}

/// All policies as a file that says the same: what is set, or with the defaults all that applies.
fn shown(set: &PolicySet, effective: bool) -> String {
    let tables: Vec<String> = set
        .iter()
        .map(|(name, policy)| table(name, policy, effective))
        .collect();
    tables.join("\n")
}

fn table(name: &str, policy: &NamedPolicy, effective: bool) -> String {
    let settings = policy.settings().iter();
    let lines: Vec<(String, String)> = settings
        .filter(|setting| effective || setting.span().is_some())
        .map(|setting| (format!("{} = {}", setting.path, setting.value), setting.origin()))
        .collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0);
    let mut text = format!("[policy.{name}]\n");
    for (line, origin) in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line:width$}  # {origin}");
    }
    text
}

/// Writes a file to start from, unless there is one.
fn start(file: &Path) -> Result<String, Failure> {
    let failed = |error| Failure::Write(PathBuf::from(file), error);
    let mut created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .map_err(failed)?;
    created.write_all(STARTER.as_bytes()).map_err(failed)?;
    Ok(format!(
        "wrote {}: see what applies with `c13 config show --effective {0}`\n",
        file.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value as Json;
    use std::fs;

    /// A folder of its own for each test, gone afterwards.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("c13-config-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).expect("the system's folder for such things takes one");
            Self(path)
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).expect("the folder was made just now");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
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
        let folder = Folder::new("check");
        let file = folder.file("a.toml", FILE);
        let layers = layers(vec![file.clone()], &[]);
        let text = run(&ConfigCommand::Check { layers }).expect("it is right");
        assert_eq!(text, format!("{}: 1 policy (payments), all right\n", file.display()));
    }

    #[test]
    fn a_setting_is_explained_with_all_that_it_hides() {
        let folder = Folder::new("explain");
        let file = folder.file("a.toml", FILE);
        let explain = |path: &str| {
            run(&ConfigCommand::Explain {
                path: path.to_owned(),
                layers: layers(vec![file.clone()], &["policy.payments.timeout.total=2s"]),
            })
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
        let folder = Folder::new("show");
        let file = folder.file("a.toml", STARTER);
        let before = read(&layers(vec![file.clone()], &[])).expect("the starter is right");
        let text = run(&ConfigCommand::Show {
            effective: true,
            layers: layers(vec![file], &[]),
        });
        let shown = folder.file("b.toml", &text.expect("it is right"));
        let after = read(&layers(vec![shown], &[])).expect("what is shown is right");
        assert_eq!(before.changes(&after), []);
    }

    #[test]
    fn a_file_is_started_once_and_never_overwritten() {
        let folder = Folder::new("init");
        let file = folder.0.join("reliability.toml");
        let init = ConfigCommand::Init { file: file.clone() };
        assert!(run(&init).is_ok());
        fs::write(&file, "mine").expect("it was written before");
        assert!(matches!(run(&init), Err(Failure::Write(..))));
        assert_eq!(fs::read_to_string(&file).expect("it is there"), "mine");
    }

    #[test]
    fn the_schema_knows_every_setting() {
        let schema: Json = serde_json::from_str(SCHEMA).expect("it is JSON");
        let folder = Folder::new("schema");
        let full = "[policy.a]\nextends = \"critical\"\nbulkhead = { max_concurrent = 1, max_queue = 1, max_wait = \"1s\" }\n\
            retry = { total_limit = \"1s\", backoff = { strategy = \"linear\", increment = \"1s\" } }\n\
            circuit_breaker = { consecutive_failures = 1, failure_rate = 1, slow_call = \"1s\", half_open_calls = 1, \
            failures_window = \"1s\", slow_window = \"1s\", min_calls = 2, slow_min_calls = 1, window = { calls = 2 } }\n";
        let file = folder.file("a.toml", full);
        let set =
            read(&layers(vec![file], &["policy.a.timeout.total=90s"])).unwrap_or_else(|error| panic!("{error:?}"));
        let policy = set.policy("a").expect("it is named");
        assert!(policy.settings().len() > 35);
        for setting in policy.settings() {
            let keys: Vec<&str> = setting.path.split('.').collect();
            assert!(
                has(&schema, &schema["$defs"]["policy"], &keys),
                "the schema lacks {}",
                setting.path
            );
        }
        assert!(!has(&schema, &schema["$defs"]["policy"], &["timeout", "totl"]));
    }

    /// Whether a schema has a place for these keys, and for nothing else beside them.
    fn has(root: &Json, schema: &Json, keys: &[&str]) -> bool {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            return has(root, &root["$defs"][name], keys);
        }
        if let Some(kinds) = schema["anyOf"].as_array() {
            return kinds.iter().any(|kind| has(root, kind, keys));
        }
        match keys {
            [] => true,
            [key, rest @ ..] => {
                schema["additionalProperties"] == false
                    && schema["properties"]
                        .get(key)
                        .is_some_and(|schema| has(root, schema, rest))
            }
        }
    }
}
