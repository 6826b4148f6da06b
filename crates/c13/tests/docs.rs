//! Every snippet of the README and the documents is run, and every policy file of the tree is what the schema says.
//!
//! Rust is run by the library's documentation tests, which include the same files. TOML and commands are run here.

#[path = "common/toml_files.rs"]
mod toml_files;

use serde_json::Value as Json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use toml_files::toml_files;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The README, and the documents that guide a user. Decisions (`docs/adr`) have no snippets.
fn documents() -> Vec<(String, String)> {
    let mut paths = vec![root().join("README.md")];
    let docs = fs::read_dir(root().join("docs")).expect("the folder is there");
    paths.extend(docs.map(|entry| entry.expect("it can be listed").path()));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("it is text");
        (
            path.file_name().expect("it has a name").to_string_lossy().into_owned(),
            text,
        )
    };
    paths.into_iter().map(read).collect()
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
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("c13-docs-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the system's folder takes one");
        Self(path)
    }

    fn c13<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_c13"));
        let output = command.args(arguments).current_dir(&self.0).output();
        output.expect("the program starts")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
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
            // What a program prints is `text`; a schema of a database is tested with the lock's fence.
            let known = ["rust", "toml", "sh", "text", "sql"].contains(&language.as_str());
            assert!(known, "{name}:{line}: a snippet of {language:?} is run by nobody");
        }
    }
}

#[test]
fn every_snippet_of_toml_is_right() {
    let folder = Folder::new("toml");
    let snippets = all_of("toml");
    assert!(snippets.len() >= 2, "the documents show a policy file and a drill");
    // Drills take their policies from the file that is shown before them.
    let (drills, policies): (Vec<_>, Vec<_>) = snippets.into_iter().partition(|(_, text)| text.contains("[[variant]]"));
    for (place, text) in &policies {
        fs::write(folder.0.join("reliability.toml"), text).expect("the folder was made just now");
        succeeds(&folder.c13(["config", "check", "reliability.toml"]), place);
        conforms(place, text);
    }
    for (place, text) in &drills {
        fs::write(folder.0.join("drill.toml"), text).expect("the folder was made just now");
        let output = folder.c13(["drill", "drill.toml", "--json"]);
        // 3 is an objective missed, which a drill may well say.
        let ran = matches!(output.status.code(), Some(0 | 3));
        assert!(ran, "{place}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn every_command_of_the_documents_runs() {
    let folder = Folder::new("sh");
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

#[test]
fn every_policy_file_of_the_tree_is_right_and_as_the_schema_says() {
    let mut files = Vec::new();
    toml_files(&root().join("crates"), &mut files);
    let mut seen = 0;
    for path in files {
        let text = fs::read_to_string(&path).expect("it is text");
        if !text.contains("[policy.") {
            continue;
        }
        seen += 1;
        let name = path.display().to_string();
        conforms(&name, &text);
        succeeds(
            &Folder::new("tree").c13(["config".as_ref(), "check".as_ref(), path.as_os_str()]),
            &name,
        );
    }
    assert!(seen >= 2, "the starter and the example's service are there");
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    for wrong in [
        "[policy.a]\ntimeout.total = 5\n",
        "[policy.a]\ntimeout.totl = \"5s\"\n",
        "[policy.a]\nretry.max_retries = -1\n",
        "[policy.a]\nrate_limit = { rate = 5 }\n",
        "[policy.a]\nrate_limit = { rate = \"5/s\", per = \"attempts\" }\n",
        "[policy.a]\nhedge.delay = { min_calls = 5 }\n",
        "[policy.a]\ntimeout.total = \"50%\"\n",
        "[policy.a]\ntimeout.total = \"10/s\"\n",
        "[policy.a]\ntimeout.total = \"5\"\n",
        "[policy.a]\ntimeout.total = \"5s \"\n",
        "[policy.a]\ntimeout.total = true\n",
        "[policy.critical]\n",
        "[defaults]\nextends = \"critical\"\n",
        "[policy.A]\n",
        "[polcy.a]\n",
    ] {
        assert!(errors(wrong).is_some(), "{wrong}");
        let source = c13_reliability::policy::document::Source::new("f.toml", wrong);
        let read = c13_reliability::policy::file::PolicyFiles::new().file(source).read();
        assert!(read.is_err(), "{wrong}");
    }
    for right in [
        "[policy.a]\ntimeout = { total = \"2m 30.5s\", attempt = false }\n",
        "[policy.a]\ntimeout = { total = \"1h30m\", attempt = \"5µs\" }\n",
    ] {
        assert_eq!(errors(right), None, "{right}");
    }
}

/// Checks a policy file with the schema that is shipped.
#[track_caller]
fn conforms(name: &str, text: &str) {
    if let Some(error) = errors(text) {
        panic!("{name}: {error}");
    }
}

fn errors(text: &str) -> Option<String> {
    let schema: Json = serde_json::from_str(c13_reliability::policy::file::SCHEMA).expect("the schema is JSON");
    let value: toml::Table = text.parse().expect("it is TOML");
    let value = serde_json::to_value(value).expect("policy files hold nothing that JSON does not");
    mismatch(&schema, &schema, &value, "the file").err()
}

/// What of the value the schema does not allow. It knows the words that our schema uses, and refuses others.
fn mismatch(root: &Json, schema: &Json, value: &Json, at: &str) -> Result<(), String> {
    let words = schema.as_object().expect("a schema is an object");
    for (word, rule) in words {
        let holds = match word.as_str() {
            "$schema" | "title" | "description" | "$defs" | "properties" => true,
            "$ref" => {
                let name = rule.as_str().and_then(|path| path.strip_prefix("#/$defs/"));
                let target = &root["$defs"][name.expect("references point into the definitions")];
                assert!(target.is_object(), "there is no {rule}");
                mismatch(root, target, value, at)?;
                true
            }
            "anyOf" => rule
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(|kind| mismatch(root, kind, value, at).is_ok())),
            "type" => match rule {
                Json::Array(types) => types.iter().any(|name| is_of(name, value)),
                name => is_of(name, value),
            },
            "not" => mismatch(root, rule, value, at).is_err(),
            "enum" => rule.as_array().is_some_and(|values| values.contains(value)),
            "const" => rule == value,
            "minimum" => value
                .as_f64()
                .is_none_or(|number| number >= rule.as_f64().unwrap_or(f64::MAX)),
            "maximum" => value
                .as_f64()
                .is_none_or(|number| number <= rule.as_f64().unwrap_or(f64::MIN)),
            "minItems" => value
                .as_array()
                .is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap_or(u64::MAX)),
            "maxItems" => value
                .as_array()
                .is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap_or(0)),
            "pattern" => value
                .as_str()
                .is_none_or(|text| fits(rule.as_str().unwrap_or_default(), text)),
            "required" => {
                let keys = rule.as_array().into_iter().flatten().filter_map(Json::as_str);
                keys.into_iter()
                    .all(|key| value.as_object().is_none_or(|object| object.contains_key(key)))
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    mismatch(root, rule, item, at)?;
                }
                true
            }
            "propertyNames" => {
                for key in value.as_object().into_iter().flat_map(|object| object.keys()) {
                    mismatch(root, rule, &Json::String(key.clone()), at)?;
                }
                true
            }
            "additionalProperties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    let at = format!("{at}.{key}");
                    match (schema["properties"].get(key), rule) {
                        (Some(schema), _) => mismatch(root, schema, value, &at)?,
                        (None, Json::Bool(false)) => return Err(format!("{at} is unknown")),
                        (None, schema) => mismatch(root, schema, value, &at)?,
                    }
                }
                true
            }
            other => panic!("the schema says {other:?}, which this check does not know"),
        };
        if !holds {
            return Err(format!("{at} is {value}, but {word:?} is {rule}"));
        }
    }
    Ok(())
}

fn is_of(name: &Json, value: &Json) -> bool {
    match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        _ => panic!("the schema has a type {name}, which this check does not know"),
    }
}

const DURATION: &str = "^[0-9]+(\\.[0-9]+)?(d|h|m|s|ms|us|[µμ]s|ns)( ?[0-9]+(\\.[0-9]+)?(d|h|m|s|ms|us|[µμ]s|ns))*$";

/// What follows a number and a unit of time, if the text begins with the two.
fn part_of_duration(text: &str) -> Option<&str> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let whole = Some(digits(text)).filter(|count| *count > 0)?;
    let rest = &text[whole..];
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => &fraction[Some(digits(fraction)).filter(|count| *count > 0)?..],
        None => rest,
    };
    let units = ["ms", "us", "µs", "μs", "ns", "d", "h", "m", "s"];
    units.iter().find_map(|unit| rest.strip_prefix(unit))
}

/// The patterns of our schema.
fn fits(pattern: &str, text: &str) -> bool {
    let of_names = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    match pattern {
        DURATION => {
            let mut rest = text;
            let mut parts = 0;
            while let Some(after) = part_of_duration(rest) {
                parts += 1;
                rest = after;
                let next = rest.strip_prefix(' ').filter(|next| part_of_duration(next).is_some());
                rest = next.unwrap_or(rest);
            }
            parts > 0 && rest.is_empty()
        }
        "%$" => text.ends_with('%'),
        "/[smhd]$" => ["/s", "/m", "/h", "/d"].iter().any(|unit| text.ends_with(unit)),
        "^[a-z0-9_-]{1,64}$" => (1..=64).contains(&text.len()) && text.chars().all(of_names),
        _ => panic!("the schema has the pattern {pattern:?}, which this check does not know"),
    }
}

#[test]
fn a_wrong_file_ends_with_2_and_tells_every_mistake() {
    let folder = Folder::new("wrong");
    let wrong = "[policy.a]\ntimeout = { total = \"1s\", attempt = \"2s\" }\nretry.max_attempts = 3\nbulkhed = false\n";
    fs::write(folder.0.join("reliability.toml"), wrong).expect("the folder was made just now");
    for command in [
        &["config", "check"][..],
        &["config", "show"],
        &["config", "explain", "a"],
    ] {
        let output = folder.c13(command);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        let err = String::from_utf8_lossy(&output.stderr);
        for words in [
            "an attempt must not take longer than the whole call",
            "write `max_retries = 2`",
            "did you mean `bulkhead`?",
            "3 errors",
        ] {
            assert!(err.contains(words), "{command:?} does not say {words:?}: {err}");
        }
    }
}
