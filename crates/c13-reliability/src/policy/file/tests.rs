//! What a file says is what a policy is set to, and what a policy is set to can be said in a file.

use super::*;
use crate::budget::RetryBudgetConfig;
use crate::patterns::bulkhead::BulkheadConfig;
use crate::patterns::circuit_breaker::{
    Abandoned, CircuitBreakerConfig, FailureRate, FailuresWithin, SlowCalls, Window,
};
use crate::patterns::rate_limiter::RateLimiterConfig;
use crate::patterns::retry::{Jitter, RetryConfig, RetryStrategy};
use crate::policy::document::{Document, Source};
use crate::policy::{PolicyConfig, Profile};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[track_caller]
fn round_trip(config: PolicyConfig) {
    let text = policy_text(&config);
    let document = Document::parse(Source::new("round trip", text.clone()));
    let read = read_policy("policy", &[document.root()]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(read, config, "\n{text}");
}

#[test]
fn every_setting_can_be_said_in_a_file() {
    Profile::ALL
        .into_iter()
        .for_each(|profile| round_trip(profile.config()));
    round_trip(PolicyConfig::NONE);
    let strategies = [
        RetryStrategy::FixedDelay(Duration::ZERO),
        RetryStrategy::ExponentialBackoff {
            initial: MS,
            max: SECOND,
            multiplier: 1.7,
        },
        RetryStrategy::LinearBackoff {
            initial: MS,
            increment: 3 * MS,
            max: SECOND,
        },
        RetryStrategy::Fibonacci {
            initial: MS,
            max: SECOND,
        },
    ];
    for strategy in strategies {
        for jitter in [Jitter::Full, Jitter::Equal, Jitter::None] {
            let retry = RetryConfig::new(7, strategy)
                .jitter(jitter)
                .total_limit(9 * SECOND)
                .max_hint(MS);
            round_trip(PolicyConfig::NONE.retry(retry));
            round_trip(PolicyConfig::NONE.retry(retry.without_budget()));
        }
    }
    let doubling = RetryConfig::default().jitter(Jitter::Decorrelated);
    let budget = RetryBudgetConfig::new()
        .ratio(0.1)
        .min_per_second(0.5)
        .window(3 * SECOND);
    round_trip(PolicyConfig::NONE.retry(doubling.budget(budget)));
    round_trip(PolicyConfig::NONE.rate_limit(RateLimiterConfig::new(1.0 / 60.0, 5).max_wait(MS).max_waiters(3)));
    round_trip(PolicyConfig::NONE.bulkhead(BulkheadConfig::new(4).queue(2, SECOND)));
    let (calls, time) = (Window::Calls(50), Window::Time(10 * SECOND));
    let breaker = CircuitBreakerConfig::new()
        .half_open_calls(3)
        .half_open_timeout(7 * SECOND)
        .open_for(2 * SECOND)
        .abandoned(Abandoned::Failure);
    for breaker in [
        breaker.consecutive_failures(4),
        breaker.failure_rate(FailureRate::new(0.5, calls, 50)),
        breaker.failure_rate(FailureRate::new(0.5, time, 20)),
        breaker.slow_calls(SlowCalls::new(SECOND, 0.9, time, 20)),
        breaker
            .consecutive_failures(4)
            .failures_within(FailuresWithin::new(5, 3 * SECOND).share(0.25))
            .failure_rate(FailureRate::new(0.5, calls, 10))
            .slow_calls(SlowCalls::new(SECOND, 0.9, time, 20))
            .open_for_growth(3.0, 20 * SECOND)
            .open_for_jitter(0.3),
    ] {
        round_trip(PolicyConfig::NONE.circuit_breaker(breaker));
    }
}

fn layered(texts: &[&str]) -> Result<PolicyConfig, String> {
    let documents: Vec<Document> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| Document::parse(Source::new(format!("layer {index}"), *text)))
        .collect();
    let layers: Vec<_> = documents.iter().map(Document::root).collect();
    read_policy("policy.payments", &layers).map_err(|errors| errors.to_string())
}

#[test]
fn the_upper_layer_counts_key_by_key() {
    let config = layered(&[
        "timeout = { total = \"9s\", attempt = \"1s\" }\nretry.max_retries = 1\nretry.backoff = { base = \"5ms\" }",
        "timeout.total = \"8s\"\nretry.backoff.max = \"1s\"",
        "timeout.total = \"7s\"",
    ])
    .expect("it is right");
    assert_eq!(
        (config.total_timeout, config.attempt_timeout),
        (Some(7 * SECOND), Some(SECOND))
    );
    let strategy = RetryStrategy::ExponentialBackoff {
        initial: 5 * MS,
        max: SECOND,
        multiplier: 2.0,
    };
    assert_eq!(config.retry.map(|retry| retry.strategy), Some(strategy));
}

#[test]
fn another_strategy_keeps_nothing_of_the_one_below() {
    let below = "retry = { max_retries = 1, backoff = { multiplier = 3.0, max = \"1s\", jitter = \"equal\" } }";
    let fixed = layered(&[below, "retry.backoff = { strategy = \"fixed\", base = \"5ms\" }"]).expect("it is right");
    assert_eq!(
        fixed
            .retry
            .map(|retry| (retry.max_retries, retry.strategy, retry.jitter)),
        Some((1, RetryStrategy::FixedDelay(5 * MS), Jitter::None))
    );
}

#[test]
fn a_part_switched_off_below_can_be_switched_on_again_and_starts_anew() {
    let layers = [
        "bulkhead = { max_concurrent = 3, max_queue = 5, max_wait = \"1s\" }",
        "bulkhead = false",
    ];
    assert_eq!(layered(&layers).map(|config| config.bulkhead), Ok(None));
    let again = layered(&[layers[0], layers[1], "bulkhead.max_concurrent = 4"]).expect("it is right");
    assert_eq!(again.bulkhead, Some(BulkheadConfig::new(4)));
}

#[test]
fn a_contradiction_between_layers_shows_both() {
    let errors = layered(&["timeout.total = \"1s\"\n", "timeout.attempt = \"2s\""]).expect_err("it is wrong");
    assert_eq!(
        errors,
        "\
error: an attempt must not take longer than the whole call
 --> layer 1:1:19
  |
1 | timeout.attempt = \"2s\"
  |                   ^^^^ each attempt may take 2s
 ::: layer 0:1:17
  |
1 | timeout.total = \"1s\"
  |                 ---- the whole call may take this long
  |
  = help: lower `attempt` to 1s or less, or raise `total` to 2s or more
"
    );
}

#[test]
fn a_range_of_the_pattern_s_own_is_shown_at_the_key() {
    let errors = layered(&["circuit_breaker = { failures = 5, window = \"2h\" }"]).expect_err("it is wrong");
    assert!(
        errors.contains("`policy.payments.circuit_breaker.window` must be from 100 ms"),
        "{errors}"
    );
    assert!(errors.contains("layer 0:1:44"), "{errors}");
}
