//! Refuses retries that the total timeout leaves no time for.

use std::time::Duration;

use c13_reliability::policy::document::{Diagnostic, Table, duration_text};

use super::settings::{RetrySettings, TimeoutSettings};

/// So many waits are added up to see whether they fit; the sum of more can only be longer.
const MOST_WAITS: u32 = 1_000;

/// The time that so many retries need if every attempt takes all of its time.
fn longest_call(attempt: Duration, retry: &RetrySettings, retries: u32) -> (Duration, Duration) {
    let waits = (0..retries.min(MOST_WAITS)).fold(Duration::ZERO, |sum, number| {
        sum.saturating_add(retry.backoff.delay(number))
    });
    (attempt.saturating_mul(retries.saturating_add(1)), waits)
}

pub(super) fn check_retries_fit(table: &Table<'_>, timeout: &TimeoutSettings, retry: &RetrySettings) {
    let (Some(total), Some(attempt)) = (timeout.total, timeout.attempt) else {
        return;
    };
    let (attempts, waits) = longest_call(attempt, retry, retry.max_retries);
    let needed = attempts.saturating_add(waits);
    // An attempt longer than the whole is reported by itself.
    if needed <= total || attempt > total {
        return;
    }
    let timeouts = table.optional_table("timeout");
    let place = |part: Option<&Table<'_>>, key: &'static str| part.and_then(|part| part.value_span(key));
    let retries_at = place(
        table.value("retry").and_then(|value| value.as_table()).as_ref(),
        "max_retries",
    );
    let attempt_at = place(timeouts.as_ref(), "attempt");
    let total_at = place(timeouts.as_ref(), "total");
    let Some(primary) = retries_at.or(attempt_at.clone()).or(total_at.clone()) else {
        // Only a wait was changed: it is the waits that are too long.
        let error = table.error("retry", "the retries cannot fit into the total timeout");
        table.report(error.help(format!(
            "shorten the waits: with them a call can take {}",
            duration_text(needed)
        )));
        return;
    };
    let sum = format!(
        "{} attempts of {} and {} of waits are {}",
        retry.max_retries.saturating_add(1),
        duration_text(attempt),
        duration_text(waits),
        duration_text(needed)
    );
    let fitting = (0..retry.max_retries.min(MOST_WAITS)).rev().find(|retries| {
        let (attempts, waits) = longest_call(attempt, retry, *retries);
        attempts.saturating_add(waits) <= total
    });
    let error = Diagnostic::new(primary.clone(), "the retries cannot fit into the total timeout").label(sum);
    let other = |span: Option<_>| span.filter(|span| *span != primary);
    let error = error
        .also(other(attempt_at), "each attempt may take this long")
        .also(other(total_at), "the whole call ends here");
    let raise = format!("raise `timeout.total` to {} or more", duration_text(needed));
    let raise = if timeouts.is_some_and(|timeouts| timeouts.has("total")) {
        raise
    } else {
        format!("{raise} (it is {})", duration_text(total))
    };
    table.report(error.help(match fitting {
        Some(retries) => format!("lower `retry.max_retries` to {retries}, or {raise}"),
        None => raise,
    }));
}
