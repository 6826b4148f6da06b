//! Reads the retry part of a policy: how often, after which wait, and within which budget.

use std::time::Duration;

use super::read::{above_zero, optional_that, read_checked, read_part};
use crate::budget::RetryBudgetConfig;
use crate::patterns::retry::{Jitter, RetryConfig, RetryStrategy, retry_config};
use crate::policy::document::{Ratio, Table, duration_text};

pub(super) fn read_retry(table: &Table<'_>) -> Option<RetryConfig> {
    let read = || {
        refuse_max_attempts(table);
        let max_retries = match table.contains("max_attempts") && !table.has("max_retries") {
            true => None,
            false => table.required_like("max_retries", "2"),
        };
        let backoff = table.value("backoff").and_then(|value| value.read_table());
        let (strategy, jitter) = backoff.and_then(|backoff| read_backoff(&backoff)).unzip();
        let mut config = RetryConfig::new(max_retries.unwrap_or(0), strategy.unwrap_or(retry_config::STRATEGY));
        if let Some(jitter) = jitter.flatten() {
            config = config.jitter(jitter);
        }
        if let Some(max_hint) = table.optional("max_hint") {
            config = config.max_hint(max_hint);
        }
        config.total_limit = above_zero(table, "total_limit");
        config.budget = match table.has("budget") {
            true => read_part(table, "budget", read_budget).flatten(),
            false => Some(RetryBudgetConfig::new()),
        };
        config
    };
    let paths: [(&str, &[&str]); 4] = [
        ("jitter", &["backoff.jitter"]),
        ("multiplier", &["backoff.multiplier"]),
        ("initial", &["backoff.base"]),
        ("max", &["backoff.max"]),
    ];
    read_checked(table, &paths, read, RetryConfig::validate)
}

pub(super) fn read_budget(table: &Table<'_>) -> Option<RetryBudgetConfig> {
    let read = || {
        let mut budget = RetryBudgetConfig::new();
        let ratio: Option<Ratio> = table.optional("ratio");
        budget.ratio = ratio.map_or(budget.ratio, Ratio::value);
        budget.min_per_second = table.optional("min_per_second").unwrap_or(budget.min_per_second);
        budget.window = above_zero(table, "window").unwrap_or(budget.window);
        budget
    };
    read_checked(table, &[], read, RetryBudgetConfig::validate)
}

fn refuse_max_attempts(table: &Table<'_>) {
    let Some(value) = table
        .contains("max_attempts")
        .then(|| table.value("max_attempts"))
        .flatten()
    else {
        return;
    };
    let error = value.error(format!(
        "`{}` is no setting: retries are counted, without the first call",
        value.path()
    ));
    let retries = value.as_integer().map_or_else(
        || "2".to_owned(),
        |attempts| attempts.saturating_sub(1).max(0).to_string(),
    );
    table.report(
        error
            .label("this would count the first call")
            .help(format!("write `max_retries = {retries}`")),
    );
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Exponential,
    Linear,
    Fixed,
    Fibonacci,
}

/// The strategies, their names, and the keys that belong to each besides `base` and `jitter`.
const STRATEGIES: [(&str, Kind, &[&str]); 4] = [
    ("exponential", Kind::Exponential, &["multiplier", "max"]),
    ("linear", Kind::Linear, &["increment", "max"]),
    ("fixed", Kind::Fixed, &[]),
    ("fibonacci", Kind::Fibonacci, &["max"]),
];

/// The strategy, and the jitter if it is set.
fn read_backoff(table: &Table<'_>) -> Option<(RetryStrategy, Option<Jitter>)> {
    let names = STRATEGIES.map(|(name, kind, _)| (name, kind));
    let Some(kind) = (match table.has("strategy") {
        true => table.optional_choice("strategy", &names),
        false => Some(Kind::Exponential),
    }) else {
        // Which other keys belong here depends on the strategy.
        table.ignore_rest();
        return None;
    };
    refuse_keys_of_other_strategies(table, kind);
    let first: Option<Duration> = match kind {
        Kind::Fixed => required_wait(table, "base"),
        _ => Some(table.optional("base").unwrap_or(retry_config::INITIAL_BACKOFF)),
    };
    let longest = || table.optional("max").unwrap_or(retry_config::MAX_BACKOFF);
    let strategy = match kind {
        Kind::Fixed => first.map(RetryStrategy::FixedDelay),
        Kind::Linear => {
            let increment = required_wait(table, "increment");
            let max = longest();
            first
                .zip(increment)
                .map(|(initial, increment)| RetryStrategy::LinearBackoff {
                    initial,
                    increment,
                    max,
                })
        }
        Kind::Fibonacci => {
            let max = longest();
            first.map(|initial| RetryStrategy::Fibonacci { initial, max })
        }
        Kind::Exponential => {
            let given = optional_that(table, "multiplier", |given: &f64| *given >= 1.0, "must be 1 or more");
            let multiplier = given.unwrap_or(retry_config::BACKOFF_MULTIPLIER);
            let max = longest();
            first.map(|initial| RetryStrategy::ExponentialBackoff {
                initial,
                max,
                multiplier,
            })
        }
    };
    let strategy = strategy.filter(|strategy| first.is_none_or(|base| is_ordered(table, base, strategy.longest())));
    let jitters = [
        ("full", Jitter::Full),
        ("equal", Jitter::Equal),
        ("decorrelated", Jitter::Decorrelated),
        ("none", Jitter::None),
    ];
    let jitter = table.optional_choice("jitter", &jitters);
    let doubles = |strategy: &RetryStrategy| matches!(strategy, RetryStrategy::ExponentialBackoff { multiplier, .. } if *multiplier == 2.0);
    if jitter == Some(Jitter::Decorrelated) && !table.is_refused("multiplier") && !strategy.as_ref().is_none_or(doubles)
    {
        let error = table.error(
            "jitter",
            format!(
                "`{}` goes with an exponential back-off that doubles",
                table.path_of("jitter")
            ),
        );
        let error = error.also(table.value_span("strategy"), "this is the strategy");
        table.report(error.also(table.value_span("multiplier"), "this is the multiplier"));
        return None;
    }
    Some((strategy?, jitter))
}

fn required_wait(table: &Table<'_>, key: &'static str) -> Option<Duration> {
    if !table.has(key) {
        table.report_missing(key, Some("\"100ms\""));
    }
    table.optional(key)
}

fn refuse_keys_of_other_strategies(table: &Table<'_>, kind: Kind) {
    let ours = STRATEGIES
        .iter()
        .find(|(_, other, _)| *other == kind)
        .map_or(&[][..], |(.., keys)| keys);
    for key in ["multiplier", "increment", "max"] {
        if ours.contains(&key) || !table.contains(key) {
            continue;
        }
        if table.is_below(key, "strategy") {
            // It belonged to the strategy that this one has taken the place of.
            table.known(&[key]);
            continue;
        }
        let mut owners: Vec<String> = STRATEGIES
            .iter()
            .filter(|(.., keys)| keys.contains(&key))
            .map(|(name, ..)| format!("\"{name}\""))
            .collect();
        let last = owners.pop().unwrap_or_default();
        let owners = if owners.is_empty() {
            last
        } else {
            format!("{} or {last}", owners.join(", "))
        };
        let message = format!("`{}` belongs to the strategy {owners}", table.path_of(key));
        table.report(
            table
                .error(key, message)
                .also(table.value_span("strategy"), "this is another strategy"),
        );
    }
}

/// Whether the longest wait is no shorter than the first. Notes where it is, unless a default stands in for one of them.
fn is_ordered(table: &Table<'_>, base: Duration, max: Duration) -> bool {
    if base > max && !table.is_refused("base") && !table.is_refused("max") {
        let key = if table.has("max") { "max" } else { "base" };
        let error = table.error(
            key,
            format!("`{}` must not be longer than `max`", table.path_of("base")),
        );
        let error = error.label(format!(
            "`base` is {} and `max` is {}",
            duration_text(base),
            duration_text(max)
        ));
        table.report(error.also(table.value_span("base").filter(|_| key == "max"), "`base` is set here"));
    }
    base <= max
}
