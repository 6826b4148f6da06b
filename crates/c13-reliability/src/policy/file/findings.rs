//! Reports which rules the settings of a policy break: each at the setting, with the related settings and a fix.

use super::read::Reader;
use super::rows::{rows, switches};
use crate::error::{ConfigError, ConfigValue, Findings, Fix};
use crate::policy::PolicyConfig;
use crate::policy::document::{Diagnostic, Span, Table, duration_text};

/// Something that has rules: its path, its name in code, and its rules.
type Checked = (&'static str, &'static str, fn(&PolicyConfig, &mut Findings));

/// The parts, each before the whole.
const CHECKED: [Checked; 9] = [
    ("rate_limit", "rate limit", |config, found| {
        config.rate_limit.iter().for_each(|part| part.check(found));
    }),
    ("bulkhead", "bulkhead", |config, found| {
        config.bulkhead.iter().for_each(|part| part.check(found));
    }),
    ("adaptive", "adaptive limit", |config, found| {
        config.adaptive.iter().for_each(|part| part.check(found));
    }),
    ("retry", "retry", |config, found| {
        config.retry.iter().for_each(|part| part.check(found));
    }),
    ("retry.budget", "retry budget", |config, found| {
        config
            .retry
            .iter()
            .flat_map(|part| &part.budget)
            .for_each(|budget| budget.check(found));
    }),
    ("hedge", "hedge", |config, found| {
        config.hedge.iter().for_each(|part| part.check(found));
    }),
    ("hedge.budget", "retry budget", |config, found| {
        config
            .hedge
            .iter()
            .flat_map(|part| &part.budget)
            .for_each(|budget| budget.check(found));
    }),
    ("circuit_breaker", "circuit breaker", |config, found| {
        config.circuit_breaker.iter().for_each(|part| part.check(found));
    }),
    ("", "policy", |config, found| config.check(found)),
];

/// Notes every rule that is broken, but none that is broken by what stands in for an unknown setting.
pub(super) fn check(reader: &mut Reader<'_>) {
    refuse_idle_keys(reader);
    for (path, name, rules) in CHECKED {
        if reader.table(path).is_none() {
            continue;
        }
        let mut found = Findings::of(name);
        rules(&reader.config, &mut found);
        let (missing, broken): (Vec<&ConfigError>, Vec<&ConfigError>) =
            found.iter().partition(|error| is_missing(error));
        broken.iter().for_each(|error| report(reader, path, error));
        let missing: Vec<&ConfigError> = missing
            .into_iter()
            .filter(|error| !is_moot(reader, path, error))
            .collect();
        for (at, error) in missing.iter().enumerate() {
            let is_same = |other: &&&ConfigError| other.setting == error.setting;
            if !missing[..at].iter().any(|other| is_same(&other)) {
                report_missing(reader, path, error, missing.iter().filter(is_same).copied());
            }
        }
    }
    refuse_idle_budget(reader);
}

/// Whether a setting is missing, by one of the rules that ask for it.
fn is_missing(error: &ConfigError) -> bool {
    matches!(error.fix, Fix::Set(_))
}

/// Whether an error follows from another one: a setting that the rule compares with is not known.
fn is_moot(reader: &Reader<'_>, part: &str, error: &ConfigError) -> bool {
    let settings = std::iter::once(error.setting).chain(error.notes.iter().map(|note| note.setting));
    settings
        .into_iter()
        .any(|setting| match (part, setting.split_once('.')) {
            // Rules between parts are not checked against a part that is wrong in itself.
            ("", Some((part, _))) => is_unknown(reader, part),
            ("", None) => false,
            _ => is_unknown(reader, &join(part, setting)),
        })
}

fn is_unknown(reader: &Reader<'_>, path: &str) -> bool {
    let is_within = |unknown: &&'static str| *unknown == path || is_below(unknown, path) || is_below(path, unknown);
    reader.unknown.iter().any(is_within) || reader.root().is_refused(path)
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('.'))
}

fn join(part: &str, setting: &str) -> String {
    match part {
        "" => setting.to_owned(),
        part => format!("{part}.{setting}"),
    }
}

/// The table of a setting, and its key there.
fn table_of<'d>(reader: &Reader<'d>, path: &str) -> (Table<'d>, &'static str) {
    let row = rows().find(|row| row.path == path);
    let (parent, key) = row.map_or(("", ""), |row| row.split());
    (reader.table(parent).unwrap_or_else(|| reader.root().clone()), key)
}

fn report(reader: &Reader<'_>, part: &str, error: &ConfigError) {
    if is_moot(reader, part, error) {
        return;
    }
    let root = reader.root();
    let path = join(part, error.setting);
    let place = |setting: &str, at_key: bool| -> Option<Span> {
        let (key, value) = root.place_with_key(&join(part, setting))?;
        Some(if at_key { key } else { value })
    };
    let says = |says: &str| says.replace("{}", &text(error.value));
    let own = error.notes.iter().find(|note| note.setting == error.setting);
    let value = root.value_at(&path);
    let mut others: Vec<(Span, String)> = Vec::new();
    for note in error.notes.iter().filter(|note| note.setting != error.setting) {
        others.extend(place(note.setting, note.at_key).map(|span| (span, says(note.says))));
    }
    let (table, key) = table_of(reader, &path);
    let message = match error.fix {
        Fix::OneOf(_) => format!(
            "`{}` {}",
            reader
                .table(part)
                .map_or_else(String::new, |table| table.path().to_owned()),
            error.rule
        ),
        Fix::KeepOne => "there is a bulkhead or an adaptive limit, and not both".to_owned(),
        Fix::FewerRetries => "the retries cannot fit into the total timeout".to_owned(),
        _ => format!("`{}` {}", table.path_of(key), error.rule),
    };
    let diagnostic = match &value {
        Some(value) => {
            let label = match (error.fix, own, error.value) {
                (Fix::FewerRetries, ..) => sum_of_attempts(&reader.config),
                (_, Some(note), _) => says(note.says),
                (_, None, ConfigValue::Text(_)) => String::new(),
                _ => format!("this is {}", text(error.value)),
            };
            Diagnostic::new(value.span().clone(), message).label(label)
        }
        None if matches!(error.fix, Fix::OneOf(_)) => {
            let span = reader.table(part).unwrap_or_else(|| root.clone()).span().clone();
            let lacking = error.notes.iter().map(|note| table_path(reader, part, note.setting));
            lacking.fold(Diagnostic::new(span, message), Diagnostic::lacks)
        }
        // What is wrong is the default, beside something that is set.
        None if !others.is_empty() => {
            let (span, label) = others.remove(0);
            Diagnostic::new(span, message).label(label).lacks(table.path_of(key))
        }
        None => Diagnostic::new(table.span().clone(), message),
    };
    let diagnostic = others
        .into_iter()
        .fold(diagnostic, |error, (span, says)| error.also(span, says));
    let help = help(reader, &path, error);
    let diagnostic = help.into_iter().fold(diagnostic, Diagnostic::help);
    match value {
        // A rule of one value holds wherever it stands.
        Some(value) if error.notes.is_empty() => value.refuse(diagnostic),
        _ => {
            root.report(diagnostic);
            if !part.is_empty() && !root.refuse(&path) {
                let other = error.other().map(|other| join(part, other));
                let _ = other.is_some_and(|other| root.refuse(&other));
            }
        }
    }
}

/// The path of a setting as errors call it, whether it is there or not.
fn table_path(reader: &Reader<'_>, part: &str, setting: &str) -> String {
    let (table, key) = table_of(reader, &join(part, setting));
    table.path_of(key)
}

/// Notes once that a setting is missing, with all settings that ask for it.
fn report_missing<'e>(
    reader: &Reader<'_>,
    part: &str,
    error: &ConfigError,
    alike: impl Iterator<Item = &'e ConfigError>,
) {
    let Fix::Set(example) = error.fix else { return };
    let (table, key) = table_of(reader, &join(part, error.setting));
    let missing = alike
        .flat_map(|error| error.notes)
        .fold(table.missing(key, Some(example)), |error, note| {
            let place = reader.root().place_with_key(&join(part, note.setting));
            error.also(
                place.map(|(key, value)| if note.at_key { key } else { value }),
                note.says,
            )
        });
    table.report(missing);
}

fn text(value: ConfigValue) -> String {
    match value {
        ConfigValue::Duration(time) => duration_text(time),
        value => value.to_string(),
    }
}

/// What to do about a broken rule.
fn help(reader: &Reader<'_>, path: &str, error: &ConfigError) -> Option<String> {
    let other = error.other().unwrap_or_default();
    let value = text(error.value);
    Some(match error.fix {
        Fix::None => return None,
        Fix::Do(words) | Fix::OneOf(words) => words.to_owned(),
        Fix::Set(example) => format!("add it, for example `{path} = {example}`"),
        Fix::AtMost(limit) => {
            let limit = duration_text(limit);
            format!("lower `{path}` to {limit} or less, or raise `{other}` to {value} or more")
        }
        Fix::Below(limit) => {
            let limit = duration_text(limit);
            format!("lower `{path}` below {limit}, or raise `{other}` above {value}")
        }
        Fix::AtLeast(limit) => {
            let limit = duration_text(limit);
            format!("raise `{path}` to {limit} or more, or leave it out: it is {limit} then")
        }
        Fix::KeepOne => keep_one(reader).to_owned(),
        Fix::FewerRetries => {
            let needed = duration_text(reader.config.longest_call()?);
            let raise = format!("raise `timeout.total` to {needed} or more");
            match most_retries(&reader.config) {
                Some(retries) => format!("lower `{path}` to {retries}, or {raise}"),
                None => raise,
            }
        }
    })
}

/// Which of two bounds on the calls in flight to switch off.
fn keep_one(reader: &Reader<'_>) -> &'static str {
    let root = reader.root();
    let is_own = |key: &str| {
        let own = format!("{}.{key}", root.path());
        let value = root.value_at(key);
        value.is_some_and(|value| value.path() == own && !value.span().source().is_generated())
    };
    match (is_own("bulkhead"), is_own("adaptive")) {
        (true, true) => "keep one of the two",
        (true, false) => "write `adaptive = false` into this policy: it has that limit from elsewhere",
        (false, true) => "write `bulkhead = false` into this policy: it has that limit from elsewhere",
        (false, false) => "write `bulkhead = false` or `adaptive = false` into this policy: it has both from elsewhere",
    }
}

/// How long all attempts and the pauses between them take, in words.
fn sum_of_attempts(config: &PolicyConfig) -> String {
    let (Some(retry), Some(each), Some(needed)) = (config.retry, config.longest_attempt(), config.longest_call())
    else {
        return String::new();
    };
    let attempts = retry.max_retries.saturating_add(1);
    let (each, needed) = (duration_text(each), duration_text(needed));
    let waits = duration_text(retry.strategy.total_backoff(retry.max_retries));
    format!("{attempts} attempts of {each} and {waits} of waits are {needed}")
}

/// The most retries below those that are set that fit into the total timeout, if even one attempt does.
fn most_retries(config: &PolicyConfig) -> Option<u32> {
    let total = config.total_timeout?;
    let fits = |retries| {
        let mut fewer = *config;
        fewer.retry = fewer.retry.map(|mut retry| {
            retry.max_retries = retries;
            retry
        });
        fewer.longest_call().is_some_and(|longest| longest <= total)
    };
    // Between the two lies the first that does not fit.
    let (mut fitting, mut beyond) = (0, config.retry?.max_retries);
    while fitting < beyond {
        let middle = fitting + (beyond - fitting) / 2;
        if fits(middle) {
            fitting = middle + 1;
        } else {
            beyond = middle;
        }
    }
    fitting.checked_sub(1)
}

/// Settings that have no effect with the others as they are. Those of a rule that is switched off may stay.
fn refuse_idle_keys(reader: &Reader<'_>) {
    for row in rows().filter(|row| !row.needs.0.is_empty()) {
        let (parent, key) = row.split();
        let Some(table) = reader.table(parent) else { continue };
        // Where no rule is on, that is the mistake.
        let is_on = |key: &&str| {
            table
                .value_at(key)
                .is_some_and(|value| value.as_boolean() != Some(false))
        };
        let (needs, help) = row.needs;
        if !table.contains(key) || needs.iter().any(|key| table.contains(key)) || !switches(parent).iter().any(is_on) {
            continue;
        }
        let names = needs.join("` or `");
        let message = format!("`{}` means nothing without `{names}`", table.path_of(key));
        let error = needs
            .iter()
            .map(|key| table.path_of(key))
            .fold(table.error(key, message), Diagnostic::lacks);
        table.report(if help.is_empty() { error } else { error.help(help) });
    }
}

/// A budget of the hedge's own that has no effect, because the hedge uses that of retry.
fn refuse_idle_budget(reader: &Reader<'_>) {
    let shared = reader.config.retry.and_then(|retry| retry.budget);
    let own = reader.table("hedge").and_then(|hedge| hedge.value_span("budget"));
    if let Some(span) = own.filter(|_| shared.is_some()) {
        let error = Diagnostic::new(span, "a hedge beside retries draws on their budget");
        reader.root().report(error.help("leave it out, and set `retry.budget`"));
    }
}
