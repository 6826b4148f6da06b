//! Reads the hedge part of a policy: when another attempt stands beside a late one, and what it draws on.

use std::num::NonZeroU32;
use std::time::Duration;

use super::read::{check, read_part};
use super::retry::read_budget;
use crate::patterns::hedge::{HedgeConfig, HedgeDelay};
use crate::patterns::retry::RetryConfig;
use crate::policy::PolicyConfig;
use crate::policy::document::{Diagnostic, Ratio, Table, Value, duration_text};

pub(super) fn read_hedge(table: &Table<'_>) -> Option<HedgeConfig> {
    let errors = table.document().error_count();
    if !table.has("delay") {
        table.report_missing("delay", Some("\"50ms\""));
    }
    let delay = table.value("delay").and_then(|value| read_delay(&value));
    let max_extra: Option<NonZeroU32> = table.optional("max_extra");
    let budget = match table.has("budget") {
        true => read_part(table, "budget", read_budget)?,
        false => HedgeConfig::new(HedgeDelay::AfterFailure).budget,
    };
    let mut config = HedgeConfig::new(delay?).max_hedges(max_extra.map_or(1, NonZeroU32::get));
    config.budget = budget;
    let keys = [
        ("max_hedges", "max_extra"),
        ("quantile", "delay"),
        ("min_samples", "delay"),
        ("window", "delay"),
    ];
    check(table, errors, config.validate(), &keys);
    Some(config)
}

/// A fixed time; a quantile of what is measured; or `false`: only failures start one.
fn read_delay(value: &Value<'_>) -> Option<HedgeDelay> {
    if value.as_boolean() == Some(false) {
        return Some(HedgeDelay::AfterFailure);
    }
    let Some(table) = value.as_table() else {
        return value.read::<Duration>().map(HedgeDelay::Fixed);
    };
    let HedgeDelay::Percentile {
        min_samples, window, ..
    } = HedgeDelay::P95
    else {
        unreachable!("it is a percentile");
    };
    let quantile: Option<Ratio> = table.required_like("quantile", "\"95%\"");
    let min_calls: Option<NonZeroU32> = table.optional("min_calls");
    let over: Option<Duration> = table.optional("window");
    Some(HedgeDelay::Percentile {
        quantile: quantile?.value(),
        min_samples: min_calls.map_or(min_samples, NonZeroU32::get),
        window: over.unwrap_or(window),
    })
}

/// Refuses a hedge that never comes, and a budget that nothing draws on.
pub(super) fn check_hedge(table: &Table<'_>, config: &PolicyConfig) {
    let Some(hedge) = table.value("hedge").and_then(|value| value.as_table()) else {
        return;
    };
    if let (Some(delay), Some((limit, key))) = (config.hedge_delay(), config.cut_off())
        && delay >= limit
    {
        let timeout = table
            .optional_table("timeout")
            .and_then(|timeout| timeout.value_span(key));
        let (delay, limit) = (duration_text(delay), duration_text(limit));
        let error = hedge
            .error("delay", "the hedge comes after the end of what it stands beside")
            .label(format!("another attempt would start after {delay}"))
            .also(timeout, "but this one has ended by then");
        table.report(error.help(format!(
            "lower `hedge.delay` below {limit}, or raise `timeout.{key}` above {delay}"
        )));
    }
    let shared = config.retry.and_then(|retry: RetryConfig| retry.budget);
    if let Some(span) = hedge.value_span("budget").filter(|_| shared.is_some()) {
        let error = Diagnostic::new(span, "a hedge beside retries draws on their budget");
        table.report(error.help("leave it out, and set `retry.budget`"));
    }
}
