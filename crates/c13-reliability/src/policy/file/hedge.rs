//! Reads the hedge part of a policy: when another attempt stands beside a late one, and what it draws on.

use std::num::NonZeroU32;
use std::time::Duration;

use super::read::{read_checked, read_part};
use super::retry::read_budget;
use crate::patterns::hedge::{HedgeConfig, HedgeDelay};
use crate::patterns::retry::RetryConfig;
use crate::policy::PolicyConfig;
use crate::policy::document::{Diagnostic, Ratio, Table, Value, Within, duration_text};

pub(super) fn read_hedge(table: &Table<'_>) -> Option<HedgeConfig> {
    let read = || {
        if !table.has("delay") {
            table.report_missing("delay", Some("\"50ms\""));
        }
        let delay = table.value("delay").and_then(|value| read_delay(&value));
        let mut config = HedgeConfig::new(delay.unwrap_or(HedgeDelay::AfterFailure));
        if let Some(max_extra) = table.optional::<Within<1, { HedgeConfig::MOST_HEDGES }>>("max_extra") {
            config = config.max_hedges(max_extra.get());
        }
        if table.has("budget") {
            config.budget = read_part(table, "budget", read_budget).flatten();
        }
        config
    };
    let paths: [(&str, &[&str]); 4] = [
        ("max_hedges", &["max_extra"]),
        ("quantile", &["delay.quantile"]),
        ("min_samples", &["delay.min_calls"]),
        ("window", &["delay.window"]),
    ];
    read_checked(table, &paths, read, HedgeConfig::validate)
}

/// A fixed time; a quantile of what is measured; or `false`: only failures start one.
fn read_delay(value: &Value<'_>) -> Option<HedgeDelay> {
    if value.as_boolean() == Some(false) {
        return Some(HedgeDelay::AfterFailure);
    }
    let Some(table) = value.as_table() else {
        return value.read::<Duration>().map(HedgeDelay::Fixed);
    };
    let quantile: Option<Ratio> = table.required_like("quantile", "\"95%\"");
    let min_calls: Option<NonZeroU32> = table.optional("min_calls");
    let over: Option<Duration> = table.optional("window");
    let mut delay = HedgeDelay::P95;
    if let HedgeDelay::Percentile {
        quantile: share,
        min_samples,
        window,
    } = &mut delay
    {
        *share = quantile.map_or(*share, Ratio::value);
        *min_samples = min_calls.map_or(*min_samples, NonZeroU32::get);
        *window = over.unwrap_or(*window);
    }
    Some(delay)
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
