//! Reads the circuit breaker's part of a policy: one of three rules by which it opens, and how it closes again.

use std::num::NonZeroU32;
use std::time::Duration;

use c13_reliability::policy::document::{Diagnostic, Ratio, Table, duration_text};

use super::read::above_zero;
use super::settings::{CircuitBreakerSettings, Trip};

const DEFAULT_OPEN_FOR: Duration = Duration::from_secs(30);
const DEFAULT_SUCCESSES: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");

pub(super) fn read_circuit_breaker(
    table: &Table<'_>,
    base: Option<CircuitBreakerSettings>,
) -> Option<CircuitBreakerSettings> {
    let trip = read_trip(table, base.map(|base| base.trip));
    let success_threshold = table.optional("success_threshold");
    let open_for = above_zero(table, "open_for");
    let open_for_max = above_zero(table, "open_for_max");
    let jitter = table
        .optional("jitter")
        .or(base.map(|base| base.jitter))
        .unwrap_or(Ratio::ZERO);
    let first = open_for.or(base.map(|base| base.open_for)).unwrap_or(DEFAULT_OPEN_FOR);
    // Unless it is set, the longest time is that of the settings below if it can be, else no longer than the first.
    let longest = open_for_max.unwrap_or_else(|| base.map_or(first, |base| base.open_for_max.max(first)));
    if first > longest {
        let path = table.path_of("open_for_max");
        let error = table.error("open_for_max", format!("`{path}` must not be shorter than `open_for`"));
        let error = error.label(format!("`open_for` is {}", duration_text(first)));
        table.report(error.also(table.value_span("open_for"), "set here"));
    }
    Some(CircuitBreakerSettings {
        trip: trip?,
        success_threshold: success_threshold
            .or(base.map(|base| base.success_threshold))
            .unwrap_or(DEFAULT_SUCCESSES),
        open_for: first,
        open_for_max: longest,
        jitter,
    })
}

/// The rules and the keys by which each is told.
const RULES: [(&str, &[&str]); 3] = [
    ("consecutive_failures", &["consecutive_failures"]),
    ("failures", &["failures", "failure_share"]),
    ("failure_rate", &["failure_rate", "min_calls"]),
];

fn read_trip(table: &Table<'_>, base: Option<Trip>) -> Option<Trip> {
    let present: Vec<(&str, &'static str)> = RULES
        .iter()
        .filter_map(|(rule, keys)| keys.iter().find(|key| table.contains(key)).map(|key| (*rule, *key)))
        .collect();
    RULES.iter().for_each(|(_, keys)| table.known(keys));
    let rule = match present[..] {
        [(rule, _)] => Some(rule),
        [(_, first), (_, second), ..] => {
            let error = Diagnostic::new(table.key_span(second)?, format!("`{}` opens by one rule", table.path()));
            let error = error.label("the second").also(table.key_span(first), "the first");
            table.report(error.help("keep `consecutive_failures`, `failures` or `failure_rate`"));
            table.known(&["window"]);
            return None;
        }
        [] => None,
    };
    match (rule, base) {
        (None, Some(base)) if !table.has("window") => Some(base),
        (Some("consecutive_failures"), _) => read_consecutive(table),
        (Some("failures"), _) | (None, Some(Trip::Failures { .. })) => read_failures(table, base),
        (Some(_), _) | (None, Some(Trip::FailureRate { .. })) => read_failure_rate(table, base),
        (None, _) => {
            let error = Diagnostic::new(
                table.span().clone(),
                format!("`{}` does not say when to open", table.path()),
            );
            let help = "add `consecutive_failures = 5`, or `failures = 5` and `window = \"30s\"`, or `failure_rate = 0.5` and \
                        `window = { calls = 100 }`";
            table.report(error.absence().help(help));
            table.known(&["window"]);
            None
        }
    }
}

fn read_consecutive(table: &Table<'_>) -> Option<Trip> {
    if table.has("window") {
        let path = table.path_of("window");
        let error = table.error("window", format!("`{path}` means nothing to failures in a row"));
        let error = error.also(table.key_span("consecutive_failures"), "these have no window");
        table.report(error.help("write `failures` in place of `consecutive_failures`, or remove the window"));
    }
    Some(Trip::Consecutive {
        failures: table.required("consecutive_failures")?,
    })
}

fn read_failures(table: &Table<'_>, base: Option<Trip>) -> Option<Trip> {
    let base = match base {
        Some(Trip::Failures {
            failures,
            window,
            share,
        }) => Some((failures, window, share)),
        _ => None,
    };
    let failures = match base {
        Some((failures, ..)) if !table.has("failures") => Some(failures),
        _ => table.required("failures"),
    };
    let share: Option<Ratio> = table.optional("failure_share");
    table.must("failure_share", share != Some(Ratio::ZERO), "must be above zero");
    let window = match (table.value("window"), base) {
        (None, Some((_, window, _))) => Some(window),
        (None, None) => table.required("window"),
        (Some(value), _) if value.as_table().is_some() => {
            let path = value.path();
            let error = value.error(format!("`{path}` must be a duration where failures are counted"));
            let error = error
                .label("this is a number of calls")
                .also(table.key_span("failures"), "counted here");
            table.report(error.help("write, for example, `window = \"30s\"`"));
            value.as_table().iter().for_each(Table::ignore_rest);
            None
        }
        (Some(_), _) => above_zero(table, "window"),
    };
    Some(Trip::Failures {
        failures: failures?,
        window: window?,
        share: share.or(base.and_then(|(.., share)| share)),
    })
}

fn read_failure_rate(table: &Table<'_>, base: Option<Trip>) -> Option<Trip> {
    let base = match base {
        Some(Trip::FailureRate { rate, calls, min_calls }) => Some((rate, calls, min_calls)),
        _ => None,
    };
    let rate = match base {
        Some((rate, ..)) if !table.has("failure_rate") => Some(rate),
        _ => table.required("failure_rate"),
    };
    table.must("failure_rate", rate != Some(Ratio::ZERO), "must be above zero");
    let given: Option<NonZeroU32> = table.optional("min_calls");
    let window = table.value("window");
    let calls: Option<NonZeroU32> = match (&window, base) {
        (None, Some((_, calls, _))) => Some(calls),
        (None, None) => {
            table.report_missing("window", Some("{ calls = 100 }"));
            None
        }
        (Some(value), _) => match value.as_table() {
            Some(window) => window.required("calls"),
            None => {
                let error = value.error(format!(
                    "`{}` must be a number of calls for a failure rate",
                    value.path()
                ));
                let error = error.also(table.key_span("failure_rate"), "the rate");
                if value.shape().is_some() {
                    table.report(error.help("write, for example, `window = { calls = 100 }`"));
                }
                None
            }
        },
    };
    let (rate, calls) = rate.zip(calls)?;
    let inherited = base.map(|(.., min_calls)| min_calls).filter(|_| window.is_none());
    let min_calls = given.or(inherited).unwrap_or(calls);
    if min_calls > calls {
        let path = table.path_of("min_calls");
        let error = table.error(
            "min_calls",
            format!("`{path}` must not be above the window: it would never open"),
        );
        table.report(error.also(table.value_span("window"), format!("the last {calls} calls")));
    }
    Some(Trip::FailureRate { rate, calls, min_calls })
}
