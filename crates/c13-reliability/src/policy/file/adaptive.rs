//! Reads the adaptive limit's part of a policy: how it follows what is measured, and within which bounds.

use std::num::NonZeroU32;
use std::time::Duration;

use super::read::{above_zero, read_checked};
use crate::gate::places::MAX_PLACES;
use crate::patterns::adaptive::{AdaptiveConfig, Algorithm};
use crate::policy::document::{Ratio, Table, Within};

/// The strategies by name, and the keys that belong to each.
const STRATEGIES: [(&str, Algorithm, &[&str]); 3] = [
    ("gradient", Algorithm::GRADIENT, &["buffer"]),
    ("vegas", Algorithm::VEGAS, &["alpha", "beta"]),
    ("aimd", Algorithm::AIMD, &["backoff"]),
];

pub(super) fn read_adaptive(table: &Table<'_>) -> Option<AdaptiveConfig> {
    let names = STRATEGIES.map(|(name, algorithm, _)| (name, algorithm));
    let strategy = match table.has("strategy") {
        true => table.optional_choice("strategy", &names),
        false => Some(Algorithm::GRADIENT),
    };
    let Some(algorithm) = strategy else {
        // Which other keys belong here depends on the strategy.
        table.ignore_rest();
        return None;
    };
    refuse_keys_of_other_strategies(table, algorithm);
    let paths: [(&str, &[&str]); 1] = [("min_samples", &["min_calls"])];
    read_checked(
        table,
        &paths,
        || read_limits(table, algorithm),
        AdaptiveConfig::validate,
    )
}

fn read_limits(table: &Table<'_>, mut algorithm: Algorithm) -> AdaptiveConfig {
    let number = |key, default| table.optional::<f64>(key).unwrap_or(default);
    match &mut algorithm {
        Algorithm::Gradient { buffer } => *buffer = number("buffer", *buffer),
        Algorithm::Vegas { alpha, beta } => {
            *alpha = number("alpha", *alpha);
            *beta = number("beta", *beta);
        }
        Algorithm::Aimd { backoff } => *backoff = number("backoff", *backoff),
    }
    let defaults = AdaptiveConfig::new(algorithm);
    let count = |key, default| table.optional::<NonZeroU32>(key).map_or(default, NonZeroU32::get);
    let places = |key, default| {
        let places: Option<Within<1, MAX_PLACES>> = table.optional(key);
        places.map_or(default, Within::get)
    };
    let min = places("min_limit", defaults.min_limit);
    let max = places("max_limit", defaults.max_limit);
    // Unless it is said, the start lies within what is.
    let initial = places("initial_limit", defaults.initial_limit.max(min).min(max.max(min)));
    let window = above_zero(table, "window").unwrap_or(defaults.window);
    let min_calls = count("min_calls", defaults.min_samples);
    let timeout = above_zero(table, "timeout").unwrap_or(defaults.timeout);
    let drop_ratio = table
        .optional::<Ratio>("drop_ratio")
        .map_or(defaults.drop_ratio, Ratio::value);
    let baseline_age = above_zero(table, "baseline_age").unwrap_or(defaults.baseline_age);
    let max_queue = table.optional("max_queue").unwrap_or(0);
    let max_wait: Duration = table.optional("max_wait").unwrap_or(Duration::ZERO);
    defaults
        .limits(initial, min, max)
        .window(window, min_calls)
        .drops(timeout, drop_ratio)
        .baseline_age(baseline_age)
        .queue(max_queue, max_wait)
}

fn refuse_keys_of_other_strategies(table: &Table<'_>, algorithm: Algorithm) {
    for (name, other, keys) in STRATEGIES {
        if std::mem::discriminant(&other) == std::mem::discriminant(&algorithm) {
            continue;
        }
        for key in keys.iter().filter(|key| table.contains(key)) {
            if table.is_below(key, "strategy") {
                // It belonged to the strategy that this one has taken the place of.
                table.known(&[key]);
                continue;
            }
            let message = format!("`{}` belongs to the strategy \"{name}\"", table.path_of(key));
            let error = table.error(key, message);
            table.report(error.also(table.value_span("strategy"), "this is another strategy"));
        }
    }
}

/// Refuses two bounds on the calls in flight.
pub(super) fn check_one_bound(table: &Table<'_>) {
    let has_table = |key| table.value(key).is_some_and(|value| value.as_table().is_some());
    if !has_table("bulkhead") || !has_table("adaptive") {
        return;
    }
    let error = table.error("adaptive", "there is a bulkhead or an adaptive limit, and not both");
    let error = error.also(table.value_span("bulkhead"), "this bounds the calls in flight too");
    let is_own = |key| {
        let value = table.value(key);
        value.is_some_and(|value| {
            let own = format!("{}.{key}", table.document().root().path());
            value.path() == own && !value.span().source().is_generated()
        })
    };
    table.report(error.help(match (is_own("bulkhead"), is_own("adaptive")) {
        (true, true) => "keep one of the two",
        (true, false) => "write `adaptive = false` into this policy: it has that limit from elsewhere",
        (false, true) => "write `bulkhead = false` into this policy: it has that limit from elsewhere",
        (false, false) => "write `bulkhead = false` or `adaptive = false` into this policy: it has both from elsewhere",
    }));
}
