//! Reads a policy from its tables: each part, and whether the parts agree.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use super::adaptive::{check_one_bound, read_adaptive};
use super::breaker::read_circuit_breaker;
use super::chain::{Layer, PARTS};
use super::fit::{check_probes, check_retries_fit, check_slow_calls, check_waits};
use super::hedge::{check_hedge, read_hedge};
use super::retry::read_retry;
use super::text::one_second;
use crate::error::ConfigError;
use crate::patterns::bulkhead::BulkheadConfig;
use crate::patterns::rate_limiter::{RateLimiterConfig, WarmUp};
use crate::policy::document::{
    Diagnostic, Diagnostics, Document, FromValue, Rate, Table, Value, Within, duration_text,
};
use crate::policy::{PolicyConfig, RateLimitPer};

/// Reads a policy from tables that are laid over each other, lowest first; `path` is what errors call the whole.
///
/// What no table says is as the part's own defaults have it, and a part that no table names is not there; `false` in
/// place of a part switches it off.
///
/// # Errors
///
/// Everything that is wrong: unknown keys, values of the wrong type or out of their range, and settings that contradict
/// each other.
pub fn read_policy(path: &str, layers: &[Table<'_>]) -> Result<PolicyConfig, Diagnostics> {
    let Some(document) = Document::layered(path, layers) else {
        return Ok(PolicyConfig::NONE);
    };
    let config = read(&document.root());
    document.finish(config)
}

/// The same for a policy that has a name, and may extend another.
pub(super) fn read_named_policy(path: &str, layers: &[Layer<'_, '_>]) -> Result<PolicyConfig, Diagnostics> {
    let roots: Vec<Table<'_>> = layers.iter().map(Layer::root).collect();
    let Some(mut document) = Document::layered(path, &roots) else {
        return Ok(PolicyConfig::NONE);
    };
    let own = || {
        let own = layers.iter().filter(|layer| !layer.is_defaults());
        own.map(Layer::root)
    };
    for (part, _) in idle_parts(&document.root()) {
        if !own().any(|layer| has_table(&layer, part)) {
            document.leave_out(part);
        }
    }
    document.root().known(&["extends"]);
    let config = read(&document.root());
    document.finish(config)
}

/// The parts that are there by one of these keys only: without any, `[defaults]` does not switch them on.
pub(super) const SWITCHES: [(&str, &[&str]); 5] = [
    ("rate_limit", &["rate"]),
    ("bulkhead", &["max_concurrent"]),
    ("retry", &["max_retries"]),
    ("hedge", &["delay"]),
    (
        "circuit_breaker",
        &["consecutive_failures", "failures", "failure_rate", "slow_call"],
    ),
];

/// The parts of a table that have none of the keys that switch them on.
fn idle_parts(table: &Table<'_>) -> Vec<(&'static str, &'static [&'static str])> {
    let is_idle = |(part, keys): &(&'static str, &'static [&'static str])| {
        let part = table.value_at(part);
        part.and_then(|value| value.as_table()).is_some_and(|part| {
            let switches = |(key, _, value): (&str, _, Value<'_>)| {
                // Who writes `max_attempts` is told what to write instead.
                let is_switch = keys.contains(&key) || key == "max_attempts";
                // The delay of a hedge may be false; a rule of the breaker that is, is none.
                is_switch && (value.as_boolean() != Some(false) || key == "delay")
            };
            !part.all().any(switches)
        })
    };
    SWITCHES.into_iter().filter(is_idle).collect()
}

fn has_table(table: &Table<'_>, key: &str) -> bool {
    table.value_at(key).is_some_and(|value| value.as_table().is_some())
}

/// The keys that are not known in the parts of `[defaults]` that switch nothing on, whether a policy has them or not.
pub(super) fn faults_of_idle_defaults(defaults: &[Table<'_>]) -> Vec<Diagnostic> {
    let Some(mut document) = Document::layered("defaults", defaults) else {
        return Vec::new();
    };
    let idle = idle_parts(&document.root());
    for part in PARTS.iter().filter(|part| !idle.iter().any(|(idle, _)| idle == *part)) {
        document.leave_out(part);
    }
    document.leave_out("extends");
    document.root().known(&PARTS);
    // Values are looked at by themselves; what is wrong beside one that is not there need not be, beside the one that a
    // policy has.
    faults(document, |error| error.unknown_key)
}

/// What is wrong with single values of one layer, and with the names of its parts: that holds whatever other layers say,
/// even where they hide it.
pub(super) fn faults_of_values(layer: &Table<'_>) -> Vec<Diagnostic> {
    let Some(document) = Document::layered("", std::slice::from_ref(layer)) else {
        return Vec::new();
    };
    document.root().known(&PARTS);
    document.root().known(&["extends"]);
    faults(document, |error| error.of_value)
}

/// What is wrong with a document that is no whole policy, of the kind that is asked for.
fn faults(document: Document, is_asked: impl Fn(&Diagnostic) -> bool) -> Vec<Diagnostic> {
    let config = read(&document.root());
    let errors = document.finish(config.or(Some(PolicyConfig::NONE))).err();
    let errors = errors.iter().flat_map(Diagnostics::iter);
    errors.filter(|error| is_asked(error)).cloned().collect()
}

fn read(table: &Table<'_>) -> Option<PolicyConfig> {
    let timeout = read_part(table, "timeout", read_timeout);
    let rate_limit = read_part(table, "rate_limit", read_rate_limit);
    let bulkhead = read_part(table, "bulkhead", read_bulkhead);
    let adaptive = read_part(table, "adaptive", read_adaptive);
    let retry = read_part(table, "retry", read_retry);
    let hedge = read_part(table, "hedge", read_hedge);
    let circuit_breaker = read_part(table, "circuit_breaker", read_circuit_breaker);
    // A part with an error is left out below, so that nothing is measured by what is not known of it.
    let all_read = timeout.is_some()
        && (rate_limit.is_some() && bulkhead.is_some() && adaptive.is_some())
        && (retry.is_some() && hedge.is_some() && circuit_breaker.is_some());
    let mut config = PolicyConfig::NONE;
    (config.total_timeout, config.attempt_timeout) = timeout.flatten().unwrap_or_default();
    config.retry = retry.flatten();
    config.hedge = hedge.flatten();
    if let Some((limit, per)) = rate_limit.flatten() {
        (config.rate_limit, config.rate_limit_per) = (Some(limit), per);
    }
    config.bulkhead = bulkhead.flatten();
    config.adaptive = adaptive.flatten();
    config.circuit_breaker = circuit_breaker.flatten();
    check_hedge(table, &config);
    check_retries_fit(table, &config);
    check_one_bound(table);
    check_waits(table, &config);
    check_slow_calls(table, &config);
    check_probes(table, &config);
    // What the parts and the checks above have not found.
    if !table.document().has_errors()
        && all_read
        && let Err(error) = config.validate()
    {
        table.report(Diagnostic::new(table.span().clone(), error.to_string()));
    }
    all_read.then_some(config)
}

/// A part of the policy: not there if the table says nothing or `false`. The outer `None` is an error.
pub(super) fn read_part<T>(
    table: &Table<'_>,
    key: &'static str,
    read: impl FnOnce(&Table<'_>) -> Option<T>,
) -> Option<Option<T>> {
    let Some(value) = table.value(key) else {
        return Some(None);
    };
    if value.as_boolean() == Some(false) {
        return Some(None);
    }
    if let Some(part) = value.as_table() {
        return read(&part).map(Some);
    }
    value.refuse_shape("must be a table, or false to switch it off");
    None
}

/// A value that keeps a rule; `None` where it breaks the rule, which is noted.
pub(super) fn optional_that<T: FromValue>(
    table: &Table<'_>,
    key: &'static str,
    holds: impl Fn(&T) -> bool,
    rule: &str,
) -> Option<T> {
    let value: Option<T> = table.optional(key);
    table.must(key, value.as_ref().is_none_or(&holds), rule);
    value.filter(holds)
}

/// A duration above zero.
pub(super) fn above_zero(table: &Table<'_>, key: &'static str) -> Option<Duration> {
    optional_that(
        table,
        key,
        |duration: &Duration| !duration.is_zero(),
        "must be longer than zero",
    )
}

/// The paths at which a setting of a pattern may stand, seen from its part: the first that is there is its place. A
/// setting without a line here stands at its own name.
type Paths = [(&'static str, &'static [&'static str])];

/// Reads a part, and notes everything that its pattern refuses of it, each at the key that is wrong.
///
/// A pattern says of its settings only what it refuses first. So the part is read again without that value, and again,
/// until nothing is left that is refused; each time there is one value less. `read` puts a default in place of every
/// value that is refused, or missing and noted.
pub(super) fn read_checked<C>(
    table: &Table<'_>,
    paths: &Paths,
    read: impl Fn() -> C,
    validate: impl Fn(&C) -> Result<(), ConfigError>,
) -> Option<C> {
    let errors = table.document().error_count();
    let mut config = read();
    while let Err(error) = validate(&config)
        && refuse(table, &error, paths)
    {
        config = table.document().again(&read);
    }
    (table.document().error_count() == errors && !table.has_refused()).then_some(config)
}

/// Notes what a pattern refuses, unless it measured by a default that stands in place of a refused value. Whether that
/// leaves a value out which was there before.
fn refuse(table: &Table<'_>, error: &ConfigError, paths: &Paths) -> bool {
    let path_of = |setting: &'static str| {
        let paths = paths.iter().find(|(name, _)| *name == setting);
        let is_there = |path: &&&'static str| table.value_at(path).is_some();
        let path = paths.and_then(|(_, paths)| paths.iter().find(is_there).or(paths.last()));
        path.copied().unwrap_or(setting)
    };
    let path = path_of(error.setting);
    // The rule may speak of another setting: that one's place belongs to it.
    let other = error.rule.split('`').nth(1).map(path_of);
    if !table.is_refused(path) && !other.is_some_and(|other| table.is_refused(other)) {
        let value = table.value_at(path);
        let named = value
            .as_ref()
            .map_or_else(|| table.path_of(path), |value| value.path().to_owned());
        let span = value.map_or_else(|| table.span().clone(), |value| value.span().clone());
        let place = other.and_then(|other| table.place_of(other));
        let at_key = Diagnostic::new(span, format!("`{named}` {}", error.rule));
        let at_key = at_key.label(format!("this is {}", error.value));
        table.report(at_key.also(place, "and this has to do with it"));
    }
    table.refuse(path) || other.is_some_and(|other| table.refuse(other))
}

/// The limits of the whole call and of an attempt.
type Timeouts = (Option<Duration>, Option<Duration>);

fn read_timeout(table: &Table<'_>) -> Option<Timeouts> {
    let limit = |key| match table.value(key).and_then(|value| value.as_boolean()) {
        Some(false) => None,
        _ => above_zero(table, key),
    };
    let (total, attempt) = (limit("total"), limit("attempt"));
    if table.is_empty() {
        let error = Diagnostic::new(table.span().clone(), format!("`{}` sets nothing", table.path())).absence();
        table.report(error.help("set `total`, `attempt`, or both"));
    }
    if let (Some(whole), Some(each)) = (total, attempt)
        && each > whole
    {
        let (each, whole) = (duration_text(each), duration_text(whole));
        let error = table
            .error("attempt", "an attempt must not take longer than the whole call")
            .label(format!("each attempt may take {each}"))
            .also(table.value_span("total"), "the whole call may take this long");
        table.report(error.help(format!(
            "lower `attempt` to {whole} or less, or raise `total` to {each} or more"
        )));
    }
    Some((total, attempt))
}

fn read_rate_limit(table: &Table<'_>) -> Option<(RateLimiterConfig, RateLimitPer)> {
    let read = || {
        let rate: Option<Rate> = table.required("rate");
        // Nothing is measured by a rate that is not known: any burst goes with the fastest.
        let rate = rate.map_or(RateLimiterConfig::FASTEST, Rate::per_second);
        let burst: Option<NonZeroU64> = table.optional("burst");
        let mut config = RateLimiterConfig::new(rate, burst.map_or_else(|| one_second(rate), NonZeroU64::get));
        if let Some(max_wait) = table.optional("max_wait") {
            config = config.max_wait(max_wait);
        }
        if let Some(waiters) = table.optional::<NonZeroU32>("max_waiters") {
            config = config.max_waiters(waiters.get() as usize);
        }
        config.warm_up = read_part(table, "warm_up", read_warm_up).flatten();
        let flag = |key| table.optional(key).unwrap_or(false);
        (config.start_empty, config.paced, config.shadow) = (flag("start_empty"), flag("paced"), flag("shadow"));
        let pers = [("call", RateLimitPer::Call), ("attempt", RateLimitPer::Attempt)];
        (
            config,
            table.optional_choice("per", &pers).unwrap_or(RateLimitPer::Call),
        )
    };
    read_checked(table, &[], read, |(config, _)| config.validate())
}

fn read_warm_up(table: &Table<'_>) -> Option<WarmUp> {
    let period: Option<Duration> = table.required_like("period", "\"30s\"");
    let cold_factor: Option<f64> = table.required_like("cold_factor", "3.0");
    // What stands in for a value that is not known breaks no rule.
    Some(WarmUp::new(
        period.unwrap_or(Duration::from_secs(1)),
        cold_factor.unwrap_or(2.0),
    ))
}

fn read_bulkhead(table: &Table<'_>) -> Option<BulkheadConfig> {
    let read = || {
        let places: Option<Within<1, { BulkheadConfig::MAX_CONCURRENT }>> = table.required("max_concurrent");
        let config = BulkheadConfig::new(places.map_or(1, Within::get));
        let max_queue: u32 = table.optional("max_queue").unwrap_or(0);
        let max_wait: Duration = table.optional("max_wait").unwrap_or(Duration::ZERO);
        if (max_queue == 0) == max_wait.is_zero() {
            return config.queue(max_queue, max_wait);
        }
        if !table.is_refused("max_queue") && !table.is_refused("max_wait") {
            report_half_a_queue(table, max_queue);
        }
        config
    };
    read_checked(table, &[], read, BulkheadConfig::validate)
}

/// Notes that calls may queue and not wait, or the other way round.
fn report_half_a_queue(table: &Table<'_>, max_queue: u32) {
    let (given, lacking, rule) = if max_queue == 0 {
        ("max_wait", "max_queue", "calls cannot wait where none may queue")
    } else {
        ("max_queue", "max_wait", "calls cannot queue where none may wait")
    };
    let help = match lacking {
        "max_queue" => "set `max_queue` above 0 too, or neither of the two",
        _ => "set `max_wait` above zero too, or neither of the two",
    };
    let error = table.error(given, rule).lacks(table.path_of(lacking));
    table.report(error.also(table.value_span(lacking), format!("`{lacking}`")).help(help));
}
