//! A policy's settings as text: every leaf by the name it has in files, and all of them as TOML that reads back the same.

use std::fmt::Write as _;
use std::time::Duration;

use crate::budget::RetryBudgetConfig;
use crate::patterns::adaptive::{AdaptiveConfig, Algorithm};
use crate::patterns::circuit_breaker::{Abandoned, CircuitBreakerConfig, Window, circuit_config};
use crate::patterns::hedge::{HedgeConfig, HedgeDelay};
use crate::patterns::retry::{Jitter, RetryConfig, RetryStrategy};
use crate::policy::document::{Document, Rate, Ratio, Source, duration_text, parse_duration};
use crate::policy::{PolicyConfig, Profile, RateLimitPer};

/// One setting: its path within the policy, and its value as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leaf {
    /// The keys that lead to it, joined by points, such as `retry.backoff.base`.
    pub path: String,
    /// Its value in TOML, such as `"100ms"`.
    pub value: String,
}

/// Every setting of a policy, defaults included, in the order of the layers. Parts that are not there have none.
#[must_use]
pub fn leaves(config: &PolicyConfig) -> Vec<Leaf> {
    leaves_as_said(config, &|_| false)
}

/// The same, where windows and least numbers of calls have the names by which a file sets them, which `said` knows.
pub(super) fn leaves_as_said(config: &PolicyConfig, said: &dyn Fn(&str) -> bool) -> Vec<Leaf> {
    let mut list = List::default();
    if let Some(total) = config.total_timeout {
        list.time("timeout.total", total);
    }
    if let Some(attempt) = config.attempt_timeout {
        list.time("timeout.attempt", attempt);
    }
    if let Some(limit) = config.rate_limit {
        list.text("rate_limit.rate", rate_text(limit.rate));
        list.text("rate_limit.per", per_text(config.rate_limit_per));
        list.number("rate_limit.burst", limit.burst);
        list.time("rate_limit.max_wait", limit.max_wait);
        list.number("rate_limit.max_waiters", limit.max_waiters);
        list.number("rate_limit.start_empty", limit.start_empty);
        list.number("rate_limit.paced", limit.paced);
        list.number("rate_limit.shadow", limit.shadow);
        if let Some(warm_up) = limit.warm_up {
            list.time("rate_limit.warm_up.period", warm_up.period);
            list.number("rate_limit.warm_up.cold_factor", warm_up.cold_factor);
        }
    }
    if let Some(bulkhead) = config.bulkhead {
        list.number("bulkhead.max_concurrent", bulkhead.max_concurrent);
        list.number("bulkhead.max_queue", bulkhead.max_queue);
        list.time("bulkhead.max_wait", bulkhead.max_wait);
    }
    if let Some(adaptive) = &config.adaptive {
        adaptive_leaves(&mut list, adaptive);
    }
    if let Some(retry) = &config.retry {
        retry_leaves(&mut list, retry);
    }
    if let Some(hedge) = &config.hedge {
        let shared = config.retry.is_some_and(|retry| retry.budget.is_some());
        hedge_leaves(&mut list, hedge, shared);
    }
    if let Some(breaker) = &config.breaker() {
        breaker_leaves(&mut list, breaker, said);
    }
    list.0
}

/// A policy's settings as a TOML text of its own, which [reads back](super::read_policy) as the same settings.
///
/// It says nothing of a burst of one second's rate, of a least number of calls that is the window's, and of a half-open
/// time that is the attempt's: where this text is laid under another that sets the rate, the window or the attempt's
/// timeout, these follow.
#[must_use]
pub fn policy_text(config: &PolicyConfig) -> String {
    let said = leaves(config).into_iter().filter(|leaf| !follows(config, &leaf.path));
    said.fold(String::new(), |mut text, leaf| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} = {}", leaf.path, leaf.value);
        text
    })
}

/// Whether a setting has the value that it has by itself, given the others.
pub(super) fn follows(config: &PolicyConfig, path: &str) -> bool {
    match path {
        "rate_limit.burst" => config
            .rate_limit
            .is_some_and(|limit| limit.burst == one_second(limit.rate)),
        "circuit_breaker.half_open_timeout" => config
            .circuit_breaker
            .is_some_and(|breaker| breaker.half_open_timeout == circuit_config::HALF_OPEN_TIMEOUT),
        "circuit_breaker.min_calls" => config.circuit_breaker.is_some_and(|breaker| {
            let rate = breaker.failure_rate.map(|rule| (rule.window, rule.min_calls));
            let slow = breaker.slow_calls.map(|rule| (rule.window, rule.min_calls));
            matches!(rate.or(slow), Some((Window::Calls(calls), least)) if u64::from(calls) == least)
        }),
        _ => false,
    }
}

/// A profile as a document, to be laid under other tables.
#[must_use]
pub fn profile_document(profile: Profile) -> Document {
    let name = format!("the profile {profile}");
    Document::parse(Source::generated(name, policy_text(&profile.config())))
}

/// The burst of a rate that says none: one second of it, rounded up.
pub(super) fn one_second(rate: f64) -> u64 {
    // A float converts to the nearest whole number, saturating; a rate is finite and above zero.
    (rate.ceil() as u64).max(1)
}

#[derive(Default)]
struct List(Vec<Leaf>);

impl List {
    fn push(&mut self, path: &str, value: String) {
        let path = path.to_owned();
        self.0.push(Leaf { path, value });
    }

    fn text(&mut self, path: &str, text: impl std::fmt::Display) {
        self.push(path, format!("\"{text}\""));
    }

    fn time(&mut self, path: &str, time: Duration) {
        self.text(path, duration_text(time));
    }

    fn number(&mut self, path: &str, number: impl std::fmt::Display) {
        self.push(path, number.to_string());
    }
}

fn adaptive_leaves(list: &mut List, limit: &AdaptiveConfig) {
    match limit.algorithm {
        Algorithm::Gradient { buffer } => {
            list.text("adaptive.strategy", "gradient");
            list.number("adaptive.buffer", buffer);
        }
        Algorithm::Vegas { alpha, beta } => {
            list.text("adaptive.strategy", "vegas");
            list.number("adaptive.alpha", alpha);
            list.number("adaptive.beta", beta);
        }
        Algorithm::Aimd { backoff } => {
            list.text("adaptive.strategy", "aimd");
            list.number("adaptive.backoff", backoff);
        }
    }
    list.number("adaptive.initial_limit", limit.initial_limit);
    list.number("adaptive.min_limit", limit.min_limit);
    list.number("adaptive.max_limit", limit.max_limit);
    list.time("adaptive.window", limit.window);
    list.number("adaptive.min_calls", limit.min_samples);
    list.time("adaptive.timeout", limit.timeout);
    list.number("adaptive.drop_ratio", limit.drop_ratio);
    list.time("adaptive.baseline_age", limit.baseline_age);
    list.number("adaptive.max_queue", limit.max_queue);
    list.time("adaptive.max_wait", limit.max_wait);
}

fn retry_leaves(list: &mut List, retry: &RetryConfig) {
    list.number("retry.max_retries", retry.max_retries);
    let (strategy, base) = match retry.strategy {
        RetryStrategy::FixedDelay(base) => ("fixed", base),
        RetryStrategy::ExponentialBackoff { initial, .. } => ("exponential", initial),
        RetryStrategy::LinearBackoff { initial, .. } => ("linear", initial),
        RetryStrategy::Fibonacci { initial, .. } => ("fibonacci", initial),
    };
    list.text("retry.backoff.strategy", strategy);
    list.time("retry.backoff.base", base);
    match retry.strategy {
        RetryStrategy::FixedDelay(_) => {}
        RetryStrategy::ExponentialBackoff { max, multiplier, .. } => {
            list.number("retry.backoff.multiplier", multiplier);
            list.time("retry.backoff.max", max);
        }
        RetryStrategy::LinearBackoff { increment, max, .. } => {
            list.time("retry.backoff.increment", increment);
            list.time("retry.backoff.max", max);
        }
        RetryStrategy::Fibonacci { max, .. } => list.time("retry.backoff.max", max),
    }
    let jitter = match retry.jitter {
        Jitter::Full => "full",
        Jitter::Equal => "equal",
        Jitter::Decorrelated => "decorrelated",
        Jitter::None => "none",
    };
    list.text("retry.backoff.jitter", jitter);
    budget_leaves(list, "retry.budget", retry.budget);
    if let Some(limit) = retry.total_limit {
        list.time("retry.total_limit", limit);
    }
    list.time("retry.max_hint", retry.max_hint);
}

fn budget_leaves(list: &mut List, path: &str, budget: Option<RetryBudgetConfig>) {
    match budget {
        Some(budget) => {
            list.number(&format!("{path}.ratio"), budget.ratio);
            list.number(&format!("{path}.min_per_second"), budget.min_per_second);
            list.time(&format!("{path}.window"), budget.window);
        }
        None => list.number(path, false),
    }
}

fn per_text(per: RateLimitPer) -> &'static str {
    match per {
        RateLimitPer::Call => "call",
        RateLimitPer::Attempt => "attempt",
    }
}

/// The hedge's settings; a budget that it shares with retry is told there.
fn hedge_leaves(list: &mut List, hedge: &HedgeConfig, shared: bool) {
    match hedge.delay {
        HedgeDelay::Fixed(delay) => list.time("hedge.delay", delay),
        HedgeDelay::Percentile {
            quantile,
            min_samples,
            window,
        } => {
            list.number("hedge.delay.quantile", quantile);
            list.number("hedge.delay.min_calls", min_samples);
            list.time("hedge.delay.window", window);
        }
        HedgeDelay::AfterFailure => list.number("hedge.delay", false),
    }
    list.number("hedge.max_extra", hedge.max_hedges);
    if !shared {
        budget_leaves(list, "hedge.budget", hedge.budget);
    }
}

fn breaker_leaves(list: &mut List, breaker: &CircuitBreakerConfig, said: &dyn Fn(&str) -> bool) {
    let (within, rate, slow) = (breaker.failures_within, breaker.failure_rate, breaker.slow_calls);
    if let Some(failures) = breaker.consecutive_failures {
        list.number("circuit_breaker.consecutive_failures", failures);
    }
    if let Some(rule) = within {
        list.number("circuit_breaker.failures", rule.failures);
        if let Some(share) = rule.share {
            list.number("circuit_breaker.failure_share", share);
        }
    }
    if let Some(rule) = rate {
        list.number("circuit_breaker.failure_rate", rule.rate);
    }
    if let Some(rule) = slow {
        list.time("circuit_breaker.slow_call", rule.threshold);
        list.number("circuit_breaker.slow_rate", rule.rate);
    }
    let windows = [
        ("circuit_breaker.window", rate.map(|rule| rule.window)),
        ("circuit_breaker.slow_window", slow.map(|rule| rule.window)),
        (
            "circuit_breaker.failures_window",
            within.map(|rule| Window::Time(rule.window)),
        ),
    ];
    for (key, window) in as_said("circuit_breaker.window", &windows, said) {
        list.push(key, window_text(window));
    }
    let least = [
        ("circuit_breaker.min_calls", rate.map(|rule| rule.min_calls)),
        ("circuit_breaker.slow_min_calls", slow.map(|rule| rule.min_calls)),
    ];
    for (key, calls) in as_said("circuit_breaker.min_calls", &least, said) {
        list.number(key, calls);
    }
    list.number("circuit_breaker.success_threshold", breaker.success_threshold);
    if let Some(calls) = breaker.half_open_calls {
        list.number("circuit_breaker.half_open_calls", calls);
    }
    list.time("circuit_breaker.half_open_timeout", breaker.half_open_timeout);
    list.time("circuit_breaker.open_for", breaker.open_for);
    if let Some(longest) = breaker.open_for_max {
        list.time("circuit_breaker.open_for_max", longest);
    }
    list.number("circuit_breaker.open_for_multiplier", breaker.open_for_multiplier);
    list.number("circuit_breaker.jitter", breaker.open_for_jitter);
    if let Some(recovery) = breaker.recovery {
        let shares = (0..recovery.shares.len()).filter_map(|stage| recovery.shares.of(stage));
        let shares: Vec<String> = shares.map(|share| share.to_string()).collect();
        list.push("circuit_breaker.recovery.shares", format!("[{}]", shares.join(", ")));
        list.time("circuit_breaker.recovery.stage_length", recovery.stage_length);
        list.number("circuit_breaker.recovery.failure_rate", recovery.failure_rate);
        list.number("circuit_breaker.recovery.min_calls", recovery.min_calls);
    }
    let abandoned = match breaker.abandoned {
        Abandoned::Ignored => "ignored",
        Abandoned::Failure => "failure",
    };
    list.text("circuit_breaker.abandoned", abandoned);
}

/// What each rule has by its own key, or by the key that all rules share: as the file says it, else as few as will do.
fn as_said<T: Copy + PartialEq>(
    shared: &'static str,
    rules: &[(&'static str, Option<T>)],
    said: &dyn Fn(&str) -> bool,
) -> Vec<(&'static str, T)> {
    let rules = rules.iter().filter_map(|(own, value)| value.map(|value| (*own, value)));
    let mut found: Vec<(&str, T)> = Vec::new();
    for (own, value) in rules {
        let in_common = found.iter().find(|(key, _)| *key == shared).map(|(_, value)| *value);
        let key = match in_common {
            _ if said(own) => own,
            Some(other) if other != value => own,
            _ => shared,
        };
        if !found.iter().any(|(other, _)| *other == key) {
            found.push((key, value));
        }
    }
    found
}

/// A rate by the unit that says it in the fewest letters and reads back as exactly the same.
fn rate_text(rate: f64) -> String {
    let mut shortest = format!("{rate}/s");
    for (unit, seconds) in [("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)] {
        let count = rate * seconds;
        // The product is rounded; what was written had few decimals.
        for count in [1.0, 10.0, 1e3, 1e6].map(|digits| (count * digits).round() / digits) {
            let text = format!("{count}/{unit}");
            if count / seconds == rate && text.len() < shortest.len() {
                shortest = text;
            }
        }
    }
    shortest
}

/// A value as it was written, in the way in which settings are told: times, ratios and rates have one way each.
pub(super) fn as_told(written: &str) -> String {
    let items = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(items) = items.filter(|items| !items.contains('#')) {
        let items = items.split(',').map(str::trim).filter(|item| !item.is_empty());
        return format!("[{}]", items.map(as_told).collect::<Vec<_>>().join(", "));
    }
    let quoted = ['"', '\''].iter().find_map(|&quote| {
        let inner = written.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(['\\', quote])).then_some(inner)
    });
    let Some(text) = quoted else {
        let float = written
            .parse::<f64>()
            .ok()
            .filter(|_| written.contains(['.', 'e', 'E']));
        return float.map_or_else(|| written.to_owned(), |float| float.to_string());
    };
    if let Ok(time) = parse_duration(text) {
        return format!("\"{}\"", duration_text(time));
    }
    if let Ok(ratio) = text.parse::<Ratio>() {
        return ratio.value().to_string();
    }
    match text.parse::<Rate>() {
        Ok(rate) => format!("\"{}\"", rate_text(rate.per_second())),
        Err(_) => written.to_owned(),
    }
}

fn window_text(window: Window) -> String {
    match window {
        Window::Calls(calls) => format!("{{ calls = {calls} }}"),
        Window::Time(time) => format!("\"{}\"", duration_text(time)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_in_the_fewest_letters_that_read_back_as_exactly_the_same() {
        for (written, told) in [
            ("7/h", "7/h"),
            ("600/m", "10/s"),
            ("1/m", "1/m"),
            ("100/d", "100/d"),
            ("33.7/m", "33.7/m"),
            ("1000000000/s", "1000000000/s"),
        ] {
            let rate: Rate = written.parse().expect(written);
            assert_eq!(rate_text(rate.per_second()), told, "{written}");
        }
        let random = crate::sync::Random::new(7);
        for _ in 0..10_000 {
            let rate = 10_f64.powf(random.unit() * 18.0 - 9.0);
            let text = rate_text(rate);
            let read = text.parse::<Rate>().map(Rate::per_second);
            assert_eq!(read, Ok(rate), "{text}");
        }
    }

    #[test]
    fn what_was_written_is_told_as_settings_are() {
        for (written, told) in [
            ("\"20%\"", "0.2"),
            ("0.20", "0.2"),
            ("\"90s\"", "\"1m 30s\""),
            ("'600/m'", "\"10/s\""),
            ("\"full\"", "\"full\""),
            ("[0.10,\n  \"50%\",\n]", "[0.1, 0.5]"),
            ("3", "3"),
            ("false", "false"),
        ] {
            assert_eq!(as_told(written), told);
        }
    }
}
