//! A policy's settings as text: every leaf by the name it has in files, and all of them as TOML that reads back the same.

use std::fmt::Write as _;

use super::row::Row;
use super::settings::Settings;
use crate::policy::document::{Document, Rate, Ratio, Source, duration_text, parse_duration};
use crate::policy::{PolicyConfig, Profile};

/// One setting: its path within the policy, and its value as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leaf {
    /// The keys that lead to it, joined by points, such as `retry.backoff.base`.
    pub path: String,
    /// Its value in TOML, such as `"100ms"`.
    pub value: String,
}

/// Every setting of a policy, defaults included, in the order of the layers. Parts that are not there have none.
#[must_use]
pub fn leaves(config: &PolicyConfig) -> Vec<Leaf> {
    leaves_of(config)
}

/// Every setting of a policy or a limit.
pub(super) fn leaves_of<C: Settings>(config: &C) -> Vec<Leaf> {
    let leaf = |row: &Row<C>| {
        let path = row.path.to_owned();
        let value = row.value(config).filter(|_| means_something(row, config))?.text()?;
        Some(Leaf { path, value })
    };
    C::rows().filter_map(leaf).collect()
}

/// Whether one of the settings is set without which a row means nothing.
fn means_something<C: Settings>(row: &Row<C>, config: &C) -> bool {
    let (keys, table) = (row.needs.0, row.split().0);
    let is_set = |other: &Row<C>| {
        let (its_table, key) = other.split();
        its_table == table && keys.contains(&key) && other.value(config).is_some()
    };
    keys.is_empty() || C::rows().any(is_set)
}

/// A policy's settings as a TOML text of its own, which [reads back](super::read_policy) as the same settings.
///
/// It says nothing of a burst of one second's rate, of a least number of calls that is the window's, and of a half-open
/// time that is the attempt's: where this text is laid under another that sets the rate, the window or the attempt's
/// timeout, these follow.
#[must_use]
pub fn policy_text(config: &PolicyConfig) -> String {
    let said = leaves(config).into_iter().filter(|leaf| !follows(config, &leaf.path));
    said.fold(String::new(), |mut text, leaf| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} = {}", leaf.path, leaf.value);
        text
    })
}

/// Whether a setting has the value that it has by itself, given the others.
pub(super) fn follows<C: Settings>(config: &C, path: &str) -> bool {
    C::rows().any(|row| row.path == path && row.follows(config))
}

/// A profile as a document, to be laid under other tables.
#[must_use]
pub fn profile_document(profile: Profile) -> Document {
    let name = format!("the profile {profile}");
    Document::parse(Source::generated(name, policy_text(&profile.config())))
}

/// A rate by the unit that says it in the fewest letters and reads back as exactly the same.
pub(super) fn rate_text(rate: f64) -> String {
    let mut shortest = format!("{rate}/s");
    for (unit, seconds) in [("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)] {
        let count = rate * seconds;
        // The product is rounded; what was written had few decimals.
        for count in [1.0, 10.0, 1e3, 1e6].map(|digits| (count * digits).round() / digits) {
            let text = format!("{count}/{unit}");
            if count / seconds == rate && text.len() < shortest.len() {
                shortest = text;
            }
        }
    }
    shortest
}

/// A value as settings are written out: times, ratios and rates have one way each.
pub(super) fn canonical(written: &str) -> String {
    let items = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(items) = items.filter(|items| !items.contains('#')) {
        let items = items.split(',').map(str::trim).filter(|item| !item.is_empty());
        return format!("[{}]", items.map(canonical).collect::<Vec<_>>().join(", "));
    }
    let quoted = ['"', '\''].iter().find_map(|&quote| {
        let inner = written.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(['\\', quote])).then_some(inner)
    });
    let Some(text) = quoted else {
        let float = written
            .parse::<f64>()
            .ok()
            .filter(|_| written.contains(['.', 'e', 'E']));
        return float.map_or_else(|| written.to_owned(), |float| float.to_string());
    };
    if let Ok(time) = parse_duration(text) {
        return format!("\"{}\"", duration_text(time));
    }
    if let Ok(ratio) = text.parse::<Ratio>() {
        return ratio.value().to_string();
    }
    match text.parse::<Rate>() {
        Ok(rate) => format!("\"{}\"", rate_text(rate.per_second())),
        Err(_) => written.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_in_the_fewest_letters_that_read_back_as_exactly_the_same() {
        for (written, told) in [
            ("7/h", "7/h"),
            ("600/m", "10/s"),
            ("1/m", "1/m"),
            ("100/d", "100/d"),
            ("33.7/m", "33.7/m"),
            ("1000000000/s", "1000000000/s"),
        ] {
            let rate: Rate = written.parse().expect(written);
            assert_eq!(rate_text(rate.per_second()), told, "{written}");
        }
        let random = crate::sync::Random::new(7);
        for _ in 0..10_000 {
            let rate = 10_f64.powf(random.unit() * 18.0 - 9.0);
            let text = rate_text(rate);
            let read = text.parse::<Rate>().map(Rate::per_second);
            assert_eq!(read, Ok(rate), "{text}");
        }
    }

    #[test]
    fn what_was_written_is_told_as_settings_are() {
        for (written, told) in [
            ("\"20%\"", "0.2"),
            ("0.20", "0.2"),
            ("\"90s\"", "\"1m 30s\""),
            ("'600/m'", "\"10/s\""),
            ("\"full\"", "\"full\""),
            ("[0.10,\n  \"50%\",\n]", "[0.1, 0.5]"),
            ("3", "3"),
            ("false", "false"),
        ] {
            assert_eq!(canonical(written), told);
        }
    }
}
