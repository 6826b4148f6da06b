//! Reads the circuit breaker's part of a policy: the rules by which it opens, and how it closes again.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use super::read::{above_zero, check, read_part};
use crate::patterns::circuit_breaker::{
    Abandoned, CircuitBreakerConfig, FailureRate, FailuresWithin, Shares, SlowCalls, StagedRecovery, Window,
    circuit_config,
};
use crate::policy::document::{Diagnostic, FromValue, Ratio, Refusal, Span, Table, Value, duration_text};

/// How a setting of the breaker is called in a file, where that is not its own name.
const KEYS: [(&str, &str); 13] = [
    ("recovery.shares", "recovery"),
    ("recovery.stage_length", "recovery"),
    ("recovery.failure_rate", "recovery"),
    ("recovery.min_calls", "recovery"),
    ("failures_within.failures", "failures"),
    ("failures_within.window", "window"),
    ("failure_rate.window", "window"),
    ("failure_rate.min_calls", "min_calls"),
    ("slow_calls.threshold", "slow_call"),
    ("slow_calls.window", "window"),
    ("slow_calls.min_calls", "min_calls"),
    ("open_for_jitter", "jitter"),
    ("failures_within.share", "failure_share"),
];

pub(super) fn read_circuit_breaker(table: &Table<'_>) -> Option<CircuitBreakerConfig> {
    let errors = table.document().error_count();
    let rules = read_rules(table);
    let mut config = CircuitBreakerConfig::new();
    if let Some(successes) = table.optional::<NonZeroU64>("success_threshold") {
        config = config.success_threshold(successes.get());
    }
    if let Some(calls) = table.optional::<NonZeroU64>("half_open_calls") {
        config = config.half_open_calls(calls.get());
    }
    config.half_open_timeout = above_zero(table, "half_open_timeout").unwrap_or(circuit_config::HALF_OPEN_TIMEOUT);
    read_open_time(table, &mut config);
    let abandoned = [("ignored", Abandoned::Ignored), ("failure", Abandoned::Failure)];
    let recovery = read_part(table, "recovery", read_recovery);
    config.abandoned = table.optional_choice("abandoned", &abandoned).unwrap_or_default();
    let rules = rules?;
    config.recovery = recovery?;
    config.consecutive_failures = rules.consecutive.map(NonZeroU64::get);
    config.failures_within = rules.within;
    config.failure_rate = rules.rate;
    config.slow_calls = rules.slow;
    check(table, errors, config.validate(), &KEYS);
    Some(config)
}

fn read_recovery(table: &Table<'_>) -> Option<StagedRecovery> {
    let stage_length: Option<Duration> = table.required_like("stage_length", "\"10s\"");
    let rate: Option<Ratio> = table.optional("failure_rate");
    let min_calls: Option<NonZeroU64> = table.optional("min_calls");
    let shares = match table.value("shares") {
        Some(value) => {
            let list: Option<Vec<Ratio>> = value.read_list()?.iter().map(Value::read).collect();
            Some(list?.into_iter().map(Ratio::value).collect::<Vec<f64>>())
        }
        None => None,
    };
    let mut recovery = StagedRecovery::new(stage_length?);
    if let Some(shares) = shares {
        recovery = recovery.shares(Shares::new(&shares));
    }
    let rate = rate.map_or(recovery.failure_rate, Ratio::value);
    let min_calls = min_calls.map_or(recovery.min_calls, NonZeroU64::get);
    Some(recovery.failure_rate(rate, min_calls))
}

/// Each trip in a row makes the open time this many times as long, where a longest is set.
const OPEN_FOR_GROWTH: f64 = 2.0;

fn read_open_time(table: &Table<'_>, config: &mut CircuitBreakerConfig) {
    let open_for = above_zero(table, "open_for").unwrap_or(circuit_config::TIMEOUT);
    let longest = above_zero(table, "open_for_max");
    let multiplier: Option<f64> = table.optional("open_for_multiplier");
    let jitter: Ratio = table.optional("jitter").unwrap_or(Ratio::ZERO);
    config.open_for = open_for;
    config.open_for_jitter = jitter.value();
    config.open_for_max = longest;
    config.open_for_multiplier = multiplier.unwrap_or(if longest.is_some() { OPEN_FOR_GROWTH } else { 1.0 });
    if let Some(longest) = longest
        && open_for > longest
    {
        let path = table.path_of("open_for_max");
        let error = table.error("open_for_max", format!("`{path}` must not be shorter than `open_for`"));
        let error = error.label(format!("`open_for` is {}", duration_text(open_for)));
        table.report(error.also(table.value_span("open_for"), "set here"));
    }
    if longest.is_none() && multiplier.is_some_and(|multiplier| multiplier > 1.0) {
        let error = table
            .error("open_for_multiplier", "an open time that grows needs a longest")
            .lacks(table.path_of("open_for_max"));
        table.report(error.help("add it, for example `open_for_max = \"1m\"`"));
    }
}

/// The rules that were read.
struct Rules {
    consecutive: Option<NonZeroU64>,
    within: Option<FailuresWithin>,
    rate: Option<FailureRate>,
    slow: Option<SlowCalls>,
}

/// A rule: not there, there, or there and wrong.
type Rule<T> = Result<Option<T>, ()>;

fn read_rules(table: &Table<'_>) -> Option<Rules> {
    let failures: Rule<NonZeroU64> = read_rule(table, "failures");
    let rate: Rule<Ratio> = read_rule(table, "failure_rate");
    let slow: Rule<Duration> = read_rule(table, "slow_call");
    let consecutive: Rule<NonZeroU64> = read_rule(table, "consecutive_failures");
    let windows = Windows::read(table);
    let on = [
        ("failures", matches!(failures, Ok(Some(_)))),
        ("failure_rate", matches!(rate, Ok(Some(_)))),
        ("slow_call", matches!(slow, Ok(Some(_)))),
    ];
    let on = on.into_iter().filter(|(_, on)| *on).map(|(rule, _)| rule);
    windows.refuse_missing(table, on.collect());
    let within = failures.and_then(|failures| read_failures(table, failures, &windows));
    let rate = rate.and_then(|rate| read_failure_rate(table, rate, &windows));
    let slow = slow.and_then(|slow| read_slow(table, slow, &windows));
    if let (Ok(None), Ok(None), Ok(None), Ok(None)) = (&consecutive, &within, &rate, &slow) {
        let error = Diagnostic::new(
            table.span().clone(),
            format!("`{}` does not say when to open", table.path()),
        );
        let help = "add `consecutive_failures = 5`, or `failures = 5` and `window = \"30s\"`, or `failure_rate = 0.5` and \
                    `window = { calls = 100 }`";
        let rules = ["consecutive_failures", "failures", "failure_rate", "slow_call"];
        let error = rules
            .into_iter()
            .fold(error, |error, rule| error.lacks(table.path_of(rule)));
        table.report(error.help(help));
        return None;
    }
    let (within, rate, slow, consecutive) = (within.ok()?, rate.ok()?, slow.ok()?, consecutive.ok()?);
    refuse_idle_keys(table);
    Some(Rules {
        consecutive,
        within,
        rate,
        slow,
    })
}

/// A rule's own key; `false` switches the rule off.
fn read_rule<T: FromValue>(table: &Table<'_>, key: &'static str) -> Rule<T> {
    match table.value(key) {
        Some(value) if value.as_boolean() != Some(false) => value.read().map(Some).ok_or(()),
        _ => Ok(None),
    }
}

/// Settings that mean nothing to any rule that is there. Those of a rule that is switched off may stay.
fn refuse_idle_keys(table: &Table<'_>) {
    let idle = |key: &'static str, rules: &[&'static str]| {
        if table.contains(key) && !rules.iter().any(|rule| table.contains(rule)) {
            let path = table.path_of(key);
            let names = rules.join("` or `");
            let error = table.error(key, format!("`{path}` means nothing without `{names}`"));
            table.report(rules.iter().fold(error, |error, rule| error.lacks(table.path_of(rule))));
        }
    };
    let windowed = ["failures", "failure_rate", "slow_call"];
    if table.contains("window") && !windowed.iter().any(|rule| table.contains(rule)) {
        let path = table.path_of("window");
        let error = table.error("window", format!("`{path}` means nothing to failures in a row"));
        let error = error.also(table.key_span("consecutive_failures"), "these have no window");
        table.report(error.help("write `failures` in place of `consecutive_failures`, or remove the window"));
    }
    idle("failure_share", &["failures"]);
    idle("failures_window", &["failures"]);
    idle("min_calls", &["failure_rate", "slow_call"]);
    idle("slow_rate", &["slow_call"]);
    idle("slow_window", &["slow_call"]);
    idle("slow_min_calls", &["slow_call"]);
}

/// The windows that a table names: `window` for all rules, and those that rules have of their own.
struct Windows {
    all: Given,
    failures: Given,
    slow: Given,
}

/// A window that may be there, and may be wrong.
type Given = Result<Option<Window>, ()>;

impl Windows {
    fn read(table: &Table<'_>) -> Self {
        let read = |key| match table.value(key) {
            Some(value) => read_window(&value).map(Some).ok_or(()),
            None => Ok(None),
        };
        Self {
            all: read("window"),
            failures: read("failures_window"),
            slow: read("slow_window"),
        }
    }

    /// Notes once that there is no window, and once that there is no least number of calls, with the rules that ask for it.
    fn refuse_missing(&self, table: &Table<'_>, rules: Vec<&'static str>) {
        let window_of = |rule: &str| match rule {
            "failures" => self.failures.map(|own| own.or(self.all.ok().flatten())),
            "slow_call" => self.slow.map(|own| own.or(self.all.ok().flatten())),
            _ => self.all,
        };
        let report = |key, example, rules: Vec<&'static str>| {
            if !rules.is_empty() {
                let error = table.missing(key, Some(example));
                table.report(rules.into_iter().fold(error, |error, rule| {
                    error.also(table.key_span(rule), "this rule asks for it")
                }));
            }
        };
        if self.all == Ok(None) {
            let lacking = rules.iter().copied().filter(|rule| window_of(rule) == Ok(None));
            let lacking: Vec<&str> = lacking.collect();
            let example = match lacking.contains(&"failures") {
                true => "\"30s\"",
                false => "{ calls = 100 }",
            };
            report("window", example, lacking);
        }
        if !table.has("min_calls") {
            let lacks = |rule: &&str| match *rule {
                "failures" => false,
                "slow_call" if table.contains("slow_min_calls") => false,
                rule => matches!(window_of(rule), Ok(Some(Window::Time(_)))),
            };
            report("min_calls", "20", rules.into_iter().filter(lacks).collect());
        }
    }
}

fn read_window(value: &Value<'_>) -> Option<Window> {
    match value.as_table() {
        Some(window) => window
            .required::<NonZeroU32>("calls")
            .map(|calls| Window::Calls(calls.get())),
        None => value
            .read_with(|value| {
                if value.as_text().is_some() {
                    Duration::from_value(value)
                } else {
                    Err(Refusal::shape("must be a duration or a number of calls", value)
                        .help("write \"30s\" or { calls = 100 }"))
                }
            })
            .map(Window::Time),
    }
}

fn read_failures(table: &Table<'_>, failures: Option<NonZeroU64>, windows: &Windows) -> Rule<FailuresWithin> {
    let share: Option<Ratio> = table.optional("failure_share");
    table.must("failure_share", share != Some(Ratio::ZERO), "must be above zero");
    let Some(failures) = failures else { return Ok(None) };
    let (key, window) = match windows.failures? {
        Some(window) => ("failures_window", Some(window)),
        None => ("window", windows.all?),
    };
    let window = match window {
        Some(Window::Time(window)) => window,
        Some(Window::Calls(_)) => {
            let error = table.error(
                key,
                format!("`{}` must be a duration where failures are counted", table.path_of(key)),
            );
            let error = error
                .label("this is a number of calls")
                .also(table.key_span("failures"), "counted here");
            let own = table.contains("failure_rate") || table.contains("slow_call");
            table.report(error.help(match own {
                true => {
                    "give them a window of their own, for example `failures_window = \"30s\"`, or `failures = false`"
                }
                false => "write, for example, `window = \"30s\"`",
            }));
            return Err(());
        }
        None => return Err(()),
    };
    let rule = FailuresWithin::new(failures.get(), window);
    Ok(Some(match share {
        Some(share) => rule.share(share.value()),
        None => rule,
    }))
}

fn read_failure_rate(table: &Table<'_>, rate: Option<Ratio>, windows: &Windows) -> Rule<FailureRate> {
    let given = table.optional("min_calls");
    let Some(rate) = rate else { return Ok(None) };
    table.must("failure_rate", rate != Ratio::ZERO, "must be above zero");
    let (window, min_calls) = window_of(table, windows.all?, ("window", "min_calls"), given)?;
    Ok(Some(FailureRate::new(rate.value(), window, min_calls)))
}

fn read_slow(table: &Table<'_>, threshold: Option<Duration>, windows: &Windows) -> Rule<SlowCalls> {
    let rate: Ratio = table.optional("slow_rate").unwrap_or(Ratio::ONE);
    let shared: Option<NonZeroU32> = table.optional("min_calls");
    let own: Option<NonZeroU32> = table.optional("slow_min_calls");
    let Some(threshold) = threshold else { return Ok(None) };
    table.must("slow_call", !threshold.is_zero(), "must be longer than zero");
    table.must("slow_rate", rate != Ratio::ZERO, "must be above zero");
    let (key, window) = match windows.slow? {
        Some(window) => ("slow_window", Some(window)),
        None => ("window", windows.all?),
    };
    let min_key = if own.is_some() { "slow_min_calls" } else { "min_calls" };
    let (window, min_calls) = window_of(table, window, (key, min_key), own.or(shared))?;
    Ok(Some(SlowCalls::new(threshold, rate.value(), window, min_calls)))
}

/// A share's window, and how many calls it must hold: all of them unless set, where they are counted.
fn window_of(
    table: &Table<'_>,
    window: Option<Window>,
    (key, min_key): (&'static str, &'static str),
    given: Option<NonZeroU32>,
) -> Result<(Window, u64), ()> {
    // What is missing was noted for all rules at once.
    let window = window.ok_or(())?;
    let min_calls = match (window, given) {
        (_, Some(calls)) => calls.get(),
        (Window::Calls(calls), None) => calls,
        (Window::Time(_), None) => return Err(()),
    };
    if let Window::Calls(calls) = window
        && min_calls > calls
    {
        let path = table.path_of(min_key);
        let error = table.error(
            min_key,
            format!("`{path}` must not be above the window: it would never open"),
        );
        let window: Option<Span> = table.value_span(key);
        table.report(error.also(window, format!("the last {calls} calls")));
    }
    Ok((window, min_calls.into()))
}
