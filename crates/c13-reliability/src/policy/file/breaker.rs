//! Reads the circuit breaker's part of a policy: the rules by which it opens, and how it closes again.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use super::read::{above_zero, optional_that, read_checked, read_part};
use crate::patterns::circuit_breaker::{
    Abandoned, CircuitBreakerConfig, FailureRate, FailuresWithin, Shares, SlowCalls, StagedRecovery, Window,
    circuit_config,
};
use crate::policy::document::{Diagnostic, FromValue, Ratio, Refusal, Span, Table, Value, Within, duration_text};

/// Where a setting of the breaker stands in a file, if that is not its own name.
const PATHS: [(&str, &[&str]); 11] = [
    ("failures_within.failures", &["failures"]),
    ("failures_within.window", &["failures_window", "window"]),
    ("failures_within.share", &["failure_share"]),
    ("failure_rate.rate", &["failure_rate"]),
    ("failure_rate.window", &["window.calls", "window"]),
    ("failure_rate.min_calls", &["min_calls"]),
    ("slow_calls.threshold", &["slow_call"]),
    ("slow_calls.rate", &["slow_rate"]),
    (
        "slow_calls.window",
        &["slow_window.calls", "slow_window", "window.calls", "window"],
    ),
    ("slow_calls.min_calls", &["slow_min_calls", "min_calls"]),
    ("open_for_jitter", &["jitter"]),
];

pub(super) fn read_circuit_breaker(table: &Table<'_>) -> Option<CircuitBreakerConfig> {
    read_checked(table, &PATHS, || read_settings(table), CircuitBreakerConfig::validate)
}

fn read_settings(table: &Table<'_>) -> CircuitBreakerConfig {
    let mut config = CircuitBreakerConfig::new();
    read_rules(table, &mut config);
    if let Some(successes) = table.optional::<NonZeroU64>("success_threshold") {
        config = config.success_threshold(successes.get());
    }
    if let Some(calls) = table.optional::<NonZeroU64>("half_open_calls") {
        config = config.half_open_calls(calls.get());
    }
    config.half_open_timeout = above_zero(table, "half_open_timeout").unwrap_or(circuit_config::HALF_OPEN_TIMEOUT);
    read_open_time(table, &mut config);
    let abandoned = [("ignored", Abandoned::Ignored), ("failure", Abandoned::Failure)];
    config.recovery = read_part(table, "recovery", read_recovery).flatten();
    config.abandoned = table.optional_choice("abandoned", &abandoned).unwrap_or_default();
    config
}

fn read_recovery(table: &Table<'_>) -> Option<StagedRecovery> {
    let stage_length: Option<Duration> = table.required_like("stage_length", "\"10s\"");
    let rate: Option<Ratio> = table.optional("failure_rate");
    let min_calls: Option<NonZeroU64> = table.optional("min_calls");
    let shares = table.value("shares").and_then(|value| {
        let list: Option<Vec<Ratio>> = value.read_list()?.iter().map(Value::read).collect();
        Some(list?.into_iter().map(Ratio::value).collect::<Vec<f64>>())
    });
    // What stands in for a length that is not known breaks no rule.
    let mut recovery = StagedRecovery::new(stage_length.unwrap_or(Duration::from_secs(1)));
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
        if !table.is_refused("open_for") {
            let path = table.path_of("open_for_max");
            let error = table.error("open_for_max", format!("`{path}` must not be shorter than `open_for`"));
            let error = error.label(format!("`open_for` is {}", duration_text(open_for)));
            table.report(error.also(table.value_span("open_for"), "set here"));
        }
        config.open_for_max = Some(open_for);
    }
    if longest.is_none() && multiplier.is_some_and(|multiplier| multiplier > 1.0) {
        if !table.is_refused("open_for_max") {
            let error = table
                .error("open_for_multiplier", "an open time that grows needs a longest")
                .lacks(table.path_of("open_for_max"));
            table.report(error.help("add it, for example `open_for_max = \"1m\"`"));
        }
        config.open_for_max = Some(open_for);
    }
}

/// A number of failures that are counted.
type Failures = Within<1, { FailuresWithin::MOST_FAILURES }>;

/// A rule: not there, there, or there and wrong.
type Rule<T> = Result<Option<T>, ()>;

fn read_rules(table: &Table<'_>, config: &mut CircuitBreakerConfig) {
    let failures: Rule<Failures> = read_rule(table, "failures");
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
    let is_none = matches!(
        (&failures, &rate, &slow, &consecutive),
        (Ok(None), Ok(None), Ok(None), Ok(None))
    );
    config.consecutive_failures = consecutive.ok().flatten().map(NonZeroU64::get);
    config.failures_within = read_failures(table, failures.ok().flatten(), &windows);
    config.failure_rate = read_failure_rate(table, rate.ok().flatten(), &windows);
    config.slow_calls = read_slow(table, slow.ok().flatten(), &windows);
    if is_none {
        report_no_rule(table);
    } else {
        refuse_idle_keys(table);
    }
    if config.failures_within.is_none() && config.failure_rate.is_none() && config.slow_calls.is_none() {
        // Where every rule is wrong, this one stands in for them: the other settings are to be looked at as well.
        config.consecutive_failures = config.consecutive_failures.or(Some(circuit_config::FAILURE_THRESHOLD));
    }
}

fn report_no_rule(table: &Table<'_>) {
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

    /// The window of failures that are counted.
    fn of_failures(&self) -> Given {
        self.own_or_all(self.failures)
    }

    /// The window of slow calls.
    fn of_slow(&self) -> Given {
        self.own_or_all(self.slow)
    }

    fn own_or_all(&self, own: Given) -> Given {
        own?.map_or(self.all, |own| Ok(Some(own)))
    }

    /// Notes once that there is no window, and once that there is no least number of calls, with the rules that ask for it.
    fn refuse_missing(&self, table: &Table<'_>, rules: Vec<&'static str>) {
        let window_of = |rule: &str| match rule {
            "failures" => self.of_failures(),
            "slow_call" => self.of_slow(),
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
            .required::<Within<1, { Window::MOST_CALLS }>>("calls")
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

/// The window of a rule whose own is missing or wrong, which was noted: it breaks no rule.
const ANY_WINDOW: Duration = Duration::from_secs(1);

fn read_failures(table: &Table<'_>, failures: Option<Failures>, windows: &Windows) -> Option<FailuresWithin> {
    let share = optional_that(table, "failure_share", is_above_zero, "must be above zero");
    let failures = failures?;
    let window = match windows.of_failures() {
        Ok(Some(Window::Time(window))) => window,
        Ok(Some(Window::Calls(_))) => {
            report_counted_window(table);
            ANY_WINDOW
        }
        _ => ANY_WINDOW,
    };
    let rule = FailuresWithin::new(failures.get().into(), window);
    Some(match share {
        Some(share) => rule.share(share.value()),
        None => rule,
    })
}

/// Notes that failures are to be counted within a number of calls.
fn report_counted_window(table: &Table<'_>) {
    let key = match table.has("failures_window") {
        true => "failures_window",
        false => "window",
    };
    let error = table.error(
        key,
        format!("`{}` must be a duration where failures are counted", table.path_of(key)),
    );
    let error = error
        .label("this is a number of calls")
        .also(table.key_span("failures"), "counted here");
    let own = table.contains("failure_rate") || table.contains("slow_call");
    table.report(error.help(match own {
        true => "give them a window of their own, for example `failures_window = \"30s\"`, or `failures = false`",
        false => "write, for example, `window = \"30s\"`",
    }));
}

fn is_above_zero(ratio: &Ratio) -> bool {
    *ratio != Ratio::ZERO
}

fn read_failure_rate(table: &Table<'_>, rate: Option<Ratio>, windows: &Windows) -> Option<FailureRate> {
    let given = table.optional("min_calls");
    let rate = rate?;
    table.must("failure_rate", is_above_zero(&rate), "must be above zero");
    let (window, min_calls) = window_of(table, windows.all, ("window", "min_calls"), given);
    Some(FailureRate::new(rate.value(), window, min_calls)).filter(|_| is_above_zero(&rate))
}

fn read_slow(table: &Table<'_>, threshold: Option<Duration>, windows: &Windows) -> Option<SlowCalls> {
    let rate = optional_that(table, "slow_rate", is_above_zero, "must be above zero").unwrap_or(Ratio::ONE);
    let shared: Option<NonZeroU32> = table.optional("min_calls");
    let own: Option<NonZeroU32> = table.optional("slow_min_calls");
    let threshold = threshold?;
    table.must("slow_call", !threshold.is_zero(), "must be longer than zero");
    let key = match table.has("slow_window") {
        true => "slow_window",
        false => "window",
    };
    let (min_key, min_calls) = match table.has("slow_min_calls") {
        true => ("slow_min_calls", own),
        false => ("min_calls", shared),
    };
    let (window, min_calls) = window_of(table, windows.of_slow(), (key, min_key), min_calls);
    Some(SlowCalls::new(threshold, rate.value(), window, min_calls)).filter(|rule| !rule.threshold.is_zero())
}

/// A share's window, and how many calls it must hold: all of them unless set, where they are counted.
fn window_of(
    table: &Table<'_>,
    window: Given,
    (key, min_key): (&'static str, &'static str),
    given: Option<NonZeroU32>,
) -> (Window, u64) {
    // What is missing was noted for all rules at once.
    let Ok(Some(Window::Calls(calls))) = window else {
        let window = window.ok().flatten().unwrap_or(Window::Time(ANY_WINDOW));
        return (window, given.map_or(1, NonZeroU32::get).into());
    };
    let min_calls = given.map_or(calls, NonZeroU32::get);
    if min_calls > calls {
        let path = table.path_of(min_key);
        let error = table.error(
            min_key,
            format!("`{path}` must not be above the window: it would never open"),
        );
        let window: Option<Span> = table.value_span(key);
        table.report(error.also(window, format!("the last {calls} calls")));
    }
    (Window::Calls(calls), min_calls.min(calls).into())
}
