//! Reads a policy from its table, on top of settings that it changes.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use c13_reliability::policy::document::{Diagnostic, Rate, Table, duration_text};

use super::breaker::read_circuit_breaker;
use super::fit::check_retries_fit;
use super::settings::{
    Backoff, BulkheadSettings, Jitter, PolicySettings, RateLimitSettings, RetryBudget, RetrySettings, TimeoutSettings,
};

/// Reads a policy. What the table does not say stays as it is in `base`; `false` in place of a part switches it off.
///
/// Everything that is wrong is noted in the table's document; the answer is `None` where the settings cannot be told.
#[must_use]
pub(crate) fn read_policy(table: &Table<'_>, base: &PolicySettings) -> Option<PolicySettings> {
    let timeout = read_part(table, "timeout", base.timeout, read_timeout);
    let rate_limit = read_part(table, "rate_limit", base.rate_limit, read_rate_limit);
    let bulkhead = read_part(table, "bulkhead", base.bulkhead, read_bulkhead);
    let retry = read_part(table, "retry", base.retry, read_retry);
    let circuit_breaker = read_part(table, "circuit_breaker", base.circuit_breaker, read_circuit_breaker);
    if let (Some(Some(timeout)), Some(Some(retry))) = (&timeout, &retry) {
        check_retries_fit(table, timeout, retry);
    }
    Some(PolicySettings {
        timeout: timeout?,
        rate_limit: rate_limit?,
        bulkhead: bulkhead?,
        retry: retry?,
        circuit_breaker: circuit_breaker?,
    })
}

/// A part of the policy: as in `base` if the table says nothing, off if it says `false`, else read on top of `base`. The
/// outer `None` is an error.
fn read_part<T>(
    table: &Table<'_>,
    key: &'static str,
    base: Option<T>,
    read: impl FnOnce(&Table<'_>, Option<T>) -> Option<T>,
) -> Option<Option<T>> {
    let Some(value) = table.value(key) else {
        return Some(base);
    };
    if value.as_boolean() == Some(false) {
        return Some(None);
    }
    if let Some(part) = value.as_table() {
        return read(&part, base).map(Some);
    }
    if let Some(shape) = value.shape() {
        let error = value.error(format!("`{}` must be a table, or false to switch it off", value.path()));
        table.report(error.label(format!("this is {}", shape.name())));
    }
    None
}

/// A duration above zero.
pub(super) fn above_zero(table: &Table<'_>, key: &'static str) -> Option<Duration> {
    let duration = table.optional(key);
    table.must(key, duration != Some(Duration::ZERO), "must be longer than zero");
    duration
}

fn read_timeout(table: &Table<'_>, base: Option<TimeoutSettings>) -> Option<TimeoutSettings> {
    let total = above_zero(table, "total").or(base.and_then(|base| base.total));
    let attempt = above_zero(table, "attempt").or(base.and_then(|base| base.attempt));
    if table.is_empty() {
        let error = Diagnostic::new(table.span().clone(), format!("`{}` sets nothing", table.path())).absence();
        table.report(error.help("set `total`, `attempt`, or both"));
    }
    if let (Some(total), Some(attempt)) = (total, attempt)
        && attempt > total
    {
        let key = if table.has("attempt") { "attempt" } else { "total" };
        let error = table.error(key, "an attempt must not take longer than the whole call");
        let (attempt, total) = (duration_text(attempt), duration_text(total));
        let error = match key {
            "attempt" => error.label(format!("each attempt may take {attempt}")),
            _ => error.label(format!("the profile lets each attempt take {attempt}")),
        };
        let other = table.value_span("total").filter(|_| key == "attempt");
        table.report(error.also(other, "the whole call may take this long").help(format!(
            "lower `attempt` to {total} or less, or raise `total` to {attempt} or more"
        )));
    }
    Some(TimeoutSettings { total, attempt })
}

fn read_rate_limit(table: &Table<'_>, base: Option<RateLimitSettings>) -> Option<RateLimitSettings> {
    let rate: Option<Rate> = match base {
        Some(base) if !table.has("rate") => Some(base.rate),
        _ => table.required("rate"),
    };
    let burst: Option<NonZeroU64> = table.optional("burst");
    let max_wait = table
        .optional("max_wait")
        .or(base.map(|base| base.max_wait))
        .unwrap_or(Duration::ZERO);
    let rate = rate?;
    let inherited = base.filter(|_| !table.has("rate")).map(|base| base.burst);
    // A float converts to the nearest whole number, saturating; a rate is finite and above zero.
    let one_second = NonZeroU64::new(rate.per_second().ceil() as u64).unwrap_or(NonZeroU64::MIN);
    Some(RateLimitSettings {
        rate,
        burst: burst.or(inherited).unwrap_or(one_second),
        max_wait,
    })
}

fn read_bulkhead(table: &Table<'_>, base: Option<BulkheadSettings>) -> Option<BulkheadSettings> {
    let max_concurrent: Option<NonZeroU32> = match base {
        Some(base) if !table.has("max_concurrent") => Some(base.max_concurrent),
        _ => table.required("max_concurrent"),
    };
    let max_queue = table
        .optional("max_queue")
        .or(base.map(|base| base.max_queue))
        .unwrap_or(0);
    let max_wait = table
        .optional("max_wait")
        .or(base.map(|base| base.max_wait))
        .unwrap_or(Duration::ZERO);
    if (max_queue == 0) != max_wait.is_zero() {
        let (given, lacking) = if max_queue == 0 {
            ("max_wait", "max_queue")
        } else {
            ("max_queue", "max_wait")
        };
        let rule = match lacking {
            "max_queue" => "calls cannot wait where none may queue",
            _ => "calls cannot queue where none may wait",
        };
        let error = table.error(given, rule).absence();
        let help = match lacking {
            "max_queue" => "set `max_queue` above 0 too, or neither of the two",
            _ => "set `max_wait` above zero too, or neither of the two",
        };
        table.report(error.also(table.value_span(lacking), format!("`{lacking}`")).help(help));
    }
    Some(BulkheadSettings {
        max_concurrent: max_concurrent?,
        max_queue,
        max_wait,
    })
}

fn read_retry(table: &Table<'_>, base: Option<RetrySettings>) -> Option<RetrySettings> {
    refuse_max_attempts(table);
    let max_retries = match base {
        Some(base) if !table.has("max_retries") => Some(base.max_retries),
        _ if table.contains("max_attempts") && !table.has("max_retries") => None,
        _ => table.required("max_retries"),
    };
    let unchanged = base.map_or((Backoff::DEFAULT, Jitter::Full), |base| (base.backoff, base.jitter));
    let backoff = match table.value("backoff") {
        Some(value) => value.read_table().and_then(|backoff| read_backoff(&backoff, unchanged)),
        None => Some(unchanged),
    };
    let base_budget = base.and_then(|base| base.budget);
    let budget = read_part(
        table,
        "budget",
        base_budget.or(Some(RetryBudget::default())),
        |budget, base| {
            let base = base.unwrap_or_default();
            Some(RetryBudget {
                ratio: budget.optional("ratio").unwrap_or(base.ratio),
                min_per_second: budget.optional("min_per_second").unwrap_or(base.min_per_second),
            })
        },
    );
    let budget = match base {
        Some(base) if !table.has("budget") => Some(base.budget),
        _ => budget,
    };
    let (backoff, jitter) = backoff?;
    Some(RetrySettings {
        max_retries: max_retries?,
        backoff,
        jitter,
        budget: budget?,
    })
}

fn refuse_max_attempts(table: &Table<'_>) {
    let Some(value) = table
        .contains("max_attempts")
        .then(|| table.value("max_attempts"))
        .flatten()
    else {
        return;
    };
    let path = table.path();
    let error = value.error(format!(
        "`{path}.max_attempts` is no setting: retries are counted, without the first call"
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
enum Strategy {
    Fixed,
    Linear,
    Exponential,
}

/// The strategies, their names, and the keys that belong to each besides `base` and `jitter`.
const STRATEGIES: [(&str, Strategy, &[&str]); 3] = [
    ("exponential", Strategy::Exponential, &["multiplier", "max"]),
    ("linear", Strategy::Linear, &["increment", "max"]),
    ("fixed", Strategy::Fixed, &[]),
];

fn read_backoff(table: &Table<'_>, (before, jitter): (Backoff, Jitter)) -> Option<(Backoff, Jitter)> {
    let before_strategy = match before {
        Backoff::Fixed { .. } => Strategy::Fixed,
        Backoff::Linear { .. } => Strategy::Linear,
        Backoff::Exponential { .. } => Strategy::Exponential,
    };
    let names = STRATEGIES.map(|(name, strategy, _)| (name, strategy));
    let Some(strategy) = (match table.has("strategy") {
        true => table.optional_choice("strategy", &names),
        false => Some(before_strategy),
    }) else {
        // Which other keys belong here depends on the strategy.
        table.ignore_rest();
        return None;
    };
    refuse_keys_of_other_strategies(table, strategy);
    // Settings carry over within one strategy only.
    let before = Some(before).filter(|_| strategy == before_strategy);
    let base: Option<Duration> = table.optional("base");
    let longest: Option<Duration> = if strategy == Strategy::Fixed {
        None
    } else {
        table.optional("max")
    };
    let backoff = match (strategy, before) {
        (Strategy::Fixed, Some(Backoff::Fixed { base: before })) => Backoff::Fixed {
            base: base.unwrap_or(before),
        },
        (Strategy::Fixed, _) => Backoff::Fixed {
            base: base.or_else(|| required_once(table, "base"))?,
        },
        (Strategy::Linear, before) => {
            let before = match before {
                Some(Backoff::Linear { base, increment, max }) => Some((base, increment, max)),
                _ => None,
            };
            let increment = table
                .optional("increment")
                .or(before.map(|(_, increment, _)| increment));
            Backoff::Linear {
                base: base.or(before.map(|(base, ..)| base)).unwrap_or(DEFAULT_BASE),
                increment: increment.or_else(|| required_once(table, "increment"))?,
                max: longest.or(before.map(|(.., max)| max)).unwrap_or(DEFAULT_MAX),
            }
        }
        (Strategy::Exponential, before) => {
            let (before_base, before_multiplier, before_max) = match before {
                Some(Backoff::Exponential { base, multiplier, max }) => (base, multiplier, max),
                _ => (DEFAULT_BASE, DEFAULT_MULTIPLIER, DEFAULT_MAX),
            };
            let multiplier: Option<f64> = table.optional("multiplier");
            table.must(
                "multiplier",
                multiplier.is_none_or(|multiplier| multiplier >= 1.0),
                "must be 1 or more",
            );
            Backoff::Exponential {
                base: base.unwrap_or(before_base),
                multiplier: multiplier.unwrap_or(before_multiplier),
                max: longest.unwrap_or(before_max),
            }
        }
    };
    check_longest(table, &backoff);
    let jitters = [("full", Jitter::Full), ("equal", Jitter::Equal), ("none", Jitter::None)];
    let unset = match (before, strategy) {
        (Some(_), _) => jitter,
        (None, Strategy::Fixed) => Jitter::None,
        (None, _) => Jitter::Full,
    };
    Some((backoff, table.optional_choice("jitter", &jitters).unwrap_or(unset)))
}

const DEFAULT_BASE: Duration = Duration::from_millis(100);
const DEFAULT_MULTIPLIER: f64 = 2.0;
const DEFAULT_MAX: Duration = Duration::from_secs(10);

/// Notes that a key is missing, unless it is there and wrong.
fn required_once<T>(table: &Table<'_>, key: &'static str) -> Option<T> {
    if !table.has(key) {
        table.report_missing(key, Some("\"100ms\""));
    }
    None
}

fn refuse_keys_of_other_strategies(table: &Table<'_>, strategy: Strategy) {
    let ours = STRATEGIES
        .iter()
        .find(|(_, other, _)| *other == strategy)
        .map_or(&[][..], |(.., keys)| keys);
    for key in ["multiplier", "increment", "max"] {
        if ours.contains(&key) || !table.contains(key) {
            continue;
        }
        let owners: Vec<String> = STRATEGIES
            .iter()
            .filter(|(.., keys)| keys.contains(&key))
            .map(|(name, ..)| format!("\"{name}\""))
            .collect();
        let message = format!(
            "`{}` belongs to the strategy {}",
            table.path_of(key),
            owners.join(" or ")
        );
        table.report(
            table
                .error(key, message)
                .also(table.value_span("strategy"), "this is another strategy"),
        );
    }
}

fn check_longest(table: &Table<'_>, backoff: &Backoff) {
    let (Backoff::Linear { base, max, .. } | Backoff::Exponential { base, max, .. }) = *backoff else {
        return;
    };
    if base > max {
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
}
