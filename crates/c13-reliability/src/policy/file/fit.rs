//! Refuses what the timeouts leave no time for: retries, waits, and calls so slow that they have been cut off.

use std::time::Duration;

use crate::patterns::retry::RetryConfig;
use crate::policy::PolicyConfig;
use crate::policy::document::{Diagnostic, Table, duration_text};

/// The time of so many attempts, and of the waits between them.
fn longest_call(attempt: Duration, retry: &RetryConfig, retries: u32) -> (Duration, Duration) {
    let attempts = attempt.saturating_mul(retries.saturating_add(1));
    (attempts, retry.strategy.total_backoff(retries))
}

/// The most retries below those that are set that fit into `total`, if even one attempt does.
fn most_that_fit(total: Duration, attempt: Duration, retry: &RetryConfig) -> Option<u32> {
    let fits = |retries| {
        let (attempts, waits) = longest_call(attempt, retry, retries);
        attempts.saturating_add(waits) <= total
    };
    // Between the two lies the first that does not fit.
    let (mut fitting, mut beyond) = (0, retry.max_retries);
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

pub(super) fn check_retries_fit(table: &Table<'_>, config: &PolicyConfig) {
    let (Some(total), Some(attempt), Some(retry)) = (config.total_timeout, config.attempt_timeout, &config.retry)
    else {
        return;
    };
    let each = config.longest_attempt().unwrap_or(attempt);
    let (attempts, waits) = longest_call(each, retry, retry.max_retries);
    let needed = attempts.saturating_add(waits);
    // An attempt longer than the whole is reported by itself.
    if needed <= total || attempt > total {
        return;
    }
    let timeouts = table.optional_table("timeout");
    let place = |part: Option<&Table<'_>>, key: &'static str| part.and_then(|part| part.value_span(key));
    let retry_table = table.value("retry").and_then(|value| value.as_table());
    let Some(primary) = place(retry_table.as_ref(), "max_retries") else {
        return;
    };
    let sum = format!(
        "{} attempts of {} and {} of waits are {}",
        retry.max_retries.saturating_add(1),
        duration_text(each),
        duration_text(waits),
        duration_text(needed)
    );
    let error = Diagnostic::new(primary, "the retries cannot fit into the total timeout")
        .label(sum)
        .also(place(timeouts.as_ref(), "attempt"), "each attempt may take this long")
        .also(place(timeouts.as_ref(), "total"), "the whole call ends here");
    let error = if each > attempt {
        let hedge = table.value("hedge").and_then(|value| value.as_table());
        error.also(
            place(hedge.as_ref(), "delay"),
            "and each hedge beside it begins this much later",
        )
    } else {
        error
    };
    let raise = format!("raise `timeout.total` to {} or more", duration_text(needed));
    table.report(error.help(match most_that_fit(total, each, retry) {
        Some(retries) => format!("lower `retry.max_retries` to {retries}, or {raise}"),
        None => raise,
    }));
}

/// Refuses a wait that ends after the whole call.
pub(super) fn check_waits(table: &Table<'_>, config: &PolicyConfig) {
    let Some(total) = config.total_timeout else { return };
    for (setting, wait) in config.waits() {
        if wait <= total {
            continue;
        }
        let Some((part, key)) = setting.split_once('.') else {
            continue;
        };
        let Some(part) = table.value(part).and_then(|value| value.as_table()) else {
            continue;
        };
        let (wait, total) = (duration_text(wait), duration_text(total));
        let message = format!("`{}` must not be above the total timeout", part.path_of(key));
        let error = part
            .error(key, message)
            .label(format!("a call may wait for {wait}"))
            .also(table.place_of("timeout.total"), "and has ended by then");
        table.report(error.help(format!(
            "lower `{key}` to {total} or less, or raise `timeout.total` to {wait} or more"
        )));
    }
}

/// Refuses a time at which a call counts as slow that no call can reach.
pub(super) fn check_slow_calls(table: &Table<'_>, config: &PolicyConfig) {
    let (Some(slow), Some((limit, key))) = (config.slow_call(), config.cut_off()) else {
        return;
    };
    if slow < limit {
        return;
    }
    let Some(breaker) = table.value("circuit_breaker").and_then(|value| value.as_table()) else {
        return;
    };
    let (slow, limit) = (duration_text(slow), duration_text(limit));
    let message = format!("`{}` must be below the {key} timeout", breaker.path_of("slow_call"));
    let error = breaker
        .error("slow_call", message)
        .label(format!("no call comes to an end after {slow}"))
        .also(table.place_of(&format!("timeout.{key}")), "it is cut off by then");
    table.report(error.help(format!(
        "lower `slow_call` below {limit}, or raise `timeout.{key}` above {slow}"
    )));
}

/// Refuses a probe that is overdue while its attempt still has time.
pub(super) fn check_probes(table: &Table<'_>, config: &PolicyConfig) {
    let probe = config.circuit_breaker.map(|breaker| breaker.half_open_timeout);
    let (Some(probe), Some(attempt)) = (probe, config.longest_probe()) else {
        return;
    };
    let breaker = table.value("circuit_breaker").and_then(|value| value.as_table());
    let Some(breaker) = breaker.filter(|breaker| probe < attempt && breaker.contains("half_open_timeout")) else {
        return;
    };
    let (probe, attempt) = (duration_text(probe), duration_text(attempt));
    let path = breaker.path_of("half_open_timeout");
    let error = breaker
        .error(
            "half_open_timeout",
            format!("`{path}` must not be below the attempt timeout"),
        )
        .label(format!("a probe is given up after {probe}"))
        .also(table.place_of("timeout.attempt"), "and may take this long");
    table.report(error.help(format!(
        "raise `half_open_timeout` to {attempt} or more, or leave it out: it is {attempt} then"
    )));
}
