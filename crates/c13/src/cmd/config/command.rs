//! Answers `c13 config`: checks, explains and shows a service's policies, and starts a file of them.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use c13_reliability::policy::document::Diagnostics;
use c13_reliability::policy::file::{NamedLimit, NamedPolicy, PolicyFiles, PolicySet, STARTER, Setting, schema};

use super::args::{ConfigArgs, ConfigCommand, DEFAULT_FILE, LayerArgs};
use super::{explain, json};
use crate::cmd::{Failure, source};

/// The answer of the command.
#[derive(Debug)]
pub(crate) struct ConfigAnswer {
    /// The text to print.
    pub(crate) text: String,
    /// Whether the settings are right; if not, the text is JSON that says what is wrong.
    pub(crate) right: bool,
}

impl From<String> for ConfigAnswer {
    fn from(text: String) -> Self {
        Self { text, right: true }
    }
}

/// Runs the command and gives the text to print.
///
/// # Errors
///
/// Settings that are wrong, a file that cannot be read or written, or a setting that is not there; where JSON is asked
/// for, all of them but the last are reported in it.
pub(crate) fn run(args: &ConfigArgs) -> Result<ConfigAnswer, Failure> {
    match &args.command {
        ConfigCommand::Check { json: false, layers } => read(layers).map(|set| checked(layers, &set).into()),
        ConfigCommand::Check { json: true, layers } => {
            json::answer(layers, read(layers), |set| json::checked(layers, set))
        }
        ConfigCommand::Explain { path, json, layers } => {
            explain::is_a_path(path)?;
            match json {
                false => explain::told(&read(layers)?, path).map(ConfigAnswer::from),
                true => json::answer(layers, read(layers), |set| explain::json(set, path)),
            }
        }
        ConfigCommand::Show {
            effective,
            json: false,
            layers,
        } => read(layers).map(|set| shown(&set, *effective).into()),
        ConfigCommand::Show {
            effective,
            json: true,
            layers,
        } => json::answer(layers, read(layers), |set| json::shown(set, *effective)),
        ConfigCommand::Schema => Ok(schema().into()),
        ConfigCommand::Init { file } => start(file).map(ConfigAnswer::from),
    }
}

pub(super) fn read(layers: &LayerArgs) -> Result<PolicySet, Failure> {
    let inputs = layers.files.iter().filter(|file| source::is_standard_input(file));
    if inputs.count() > 1 {
        return Err(Failure::Usage(
            "standard input can be read only once: name `-` once, and files besides".to_owned(),
        ));
    }
    let mut files = PolicyFiles::new();
    for file in &layers.files {
        files = files.file(source::read(file).map_err(|failure| with_a_start(file, failure))?);
    }
    if !layers.no_env {
        files = files.environment();
    }
    let files = layers.set.iter().fold(files, |files, assignment| files.set(assignment));
    files.read().map_err(|errors: Diagnostics| Failure::Wrong(errors))
}

/// Says how to start where the file that is read by default is not there, and that a file is wrong where that is asked.
fn with_a_start(file: &Path, failure: Failure) -> Failure {
    match failure {
        Failure::File(path, error) if error.kind() == ErrorKind::NotFound && file == Path::new(DEFAULT_FILE) => {
            let name = path.display();
            Failure::Usage(format!(
                "there is no {name} here: name the file, or start one with `c13 config init`"
            ))
        }
        Failure::Input(errors) => Failure::Wrong(errors),
        other => other,
    }
}

fn checked(layers: &LayerArgs, set: &PolicySet) -> String {
    let files: Vec<String> = layers.files.iter().map(|file| source::name(file)).collect();
    let names: Vec<&str> = set.iter().map(|(name, _)| name).collect();
    let limits: Vec<&str> = set.limits().map(|(name, _)| name).collect();
    let mut counts = Vec::new();
    if !names.is_empty() || limits.is_empty() {
        counts.push(counted(&names, "policy", "policies"));
    }
    if !limits.is_empty() {
        counts.push(counted(&limits, "limit", "limits"));
    }
    let mut text = format!("{}: {}, all right\n", files.join(", "), counts.join(" and "));
    text.extend(set.iter().filter_map(|(name, policy)| rate_of_profile(name, policy)));
    text
}

/// "2 policies (payments, search)".
fn counted(names: &[&str], one: &str, many: &str) -> String {
    let what = if names.len() == 1 { one } else { many };
    format!("{} {what} ({})", names.len(), names.join(", "))
}

/// Says that a policy limits its calls where only its profile says so, which not everybody expects.
fn rate_of_profile(name: &str, policy: &NamedPolicy) -> Option<String> {
    let rate = policy
        .settings()
        .iter()
        .find(|setting| setting.path == "rate_limit.rate")?;
    let profile = policy
        .config()
        .rate_limit
        .filter(|limit| !limit.shadow)
        .and(rate.span())?;
    profile.source().is_generated().then(|| {
        format!(
            "  {name}: at most {} from each instance, by {}; `rate_limit.rate` sets another rate, `rate_limit = false` none\n",
            rate.value,
            rate.origin()
        )
    })
}

/// All policies as a file that says the same: what is set, or with the defaults all that applies.
fn shown(set: &PolicySet, effective: bool) -> String {
    let policies = set.iter().map(|(name, policy)| {
        let settings = settings(policy, effective);
        table(&format!("policy.{name}"), settings)
    });
    let limits = set.limits().map(|(name, limit)| {
        let settings = limit_settings(limit, effective);
        table(&format!("limit.{name}"), settings)
    });
    policies.chain(limits).collect::<Vec<String>>().join("\n")
}

/// What is shown of a policy: what its layers say, or with the defaults all that applies.
pub(super) fn settings(policy: &NamedPolicy, effective: bool) -> Vec<&Setting> {
    match effective {
        true => policy.settings().iter().chain(policy.switched_off()).collect(),
        false => policy.said().collect(),
    }
}

/// The same of a limit.
pub(super) fn limit_settings(limit: &NamedLimit, effective: bool) -> Vec<&Setting> {
    match effective {
        true => limit.settings().iter().collect(),
        false => limit.said().collect(),
    }
}

fn table(path: &str, settings: Vec<&Setting>) -> String {
    let settings = settings.into_iter();
    let lines: Vec<(String, String)> = settings
        .map(|setting| (format!("{} = {}", setting.path, setting.value), setting.origin()))
        .collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0);
    let mut text = format!("[{path}]\n");
    for (line, origin) in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line:width$}  # {origin}");
    }
    text
}

/// Writes a file to start from, unless there is one; `-` prints it.
fn start(file: &Path) -> Result<String, Failure> {
    if source::is_standard_input(file) {
        return Ok(STARTER.to_owned());
    }
    let name = file.display();
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::Usage(format!(
            "{name} is there already and stays as it is: name another file, as in `c13 config init other.toml`, or print \
             what to start from with `c13 config init -`"
        )),
        _ => Failure::Write(PathBuf::from(file), error),
    };
    let mut created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .map_err(failed)?;
    created.write_all(STARTER.as_bytes()).map_err(failed)?;
    Ok(format!(
        "wrote {name}: check it with `c13 config check {name}`, see what applies with `c13 config show --effective {name}`\n"
    ))
}
