//! What is wrong within a part is told at its key, all of it at once, and nothing that only follows from it.

use super::*;

/// What is wrong with a policy: the place that each error marks, and its message.
fn wrong(policy: &str) -> Vec<(String, String)> {
    let files = PolicyFiles::new().file(Source::new("service.toml", format!("[policy.x]\n{policy}\n")));
    let errors = files.read().expect_err(policy);
    let told = errors.iter().map(|error| {
        let message = error.message.replace("policy.x.", "");
        (error.primary.span.text().to_owned(), message)
    });
    told.collect()
}

fn assert_wrong(policy: &str, expected: &[(&str, &str)]) {
    let wrong = wrong(policy);
    let wrong: Vec<(&str, &str)> = wrong.iter().map(|(place, message)| (&**place, &**message)).collect();
    assert_eq!(wrong, expected, "{policy}");
}

const WINDOW: &str = "must be from 100 ms to 1 h";

#[test]
fn a_window_that_a_rule_has_of_its_own_is_wrong_by_its_own_name() {
    let failures = format!("`circuit_breaker.failures_window` {WINDOW}");
    let slow = format!("`circuit_breaker.slow_window` {WINDOW}");
    let all = format!("`circuit_breaker.window` {WINDOW}");
    for (policy, expected) in [
        (
            r#"circuit_breaker = { failures = 3, window = "10s", failures_window = "5h" }"#,
            vec![("\"5h\"", &*failures)],
        ),
        (
            r#"circuit_breaker = { failures = 3, failures_window = "5h" }"#,
            vec![("\"5h\"", &*failures)],
        ),
        (
            "extends = \"batch\"\ncircuit_breaker.failures_window = \"100d\"",
            vec![("\"100d\"", &*failures)],
        ),
        (
            r#"circuit_breaker = { slow_call = "1s", slow_min_calls = 5, slow_window = "2h" }"#,
            vec![("\"2h\"", &*slow)],
        ),
        (
            r#"circuit_breaker = { failures = 3, slow_call = "1s", min_calls = 5, window = "5h", slow_window = "2h" }"#,
            vec![("\"5h\"", &*all), ("\"2h\"", &*slow)],
        ),
    ] {
        assert_wrong(policy, &expected);
    }
}

#[test]
fn a_value_that_cannot_be_read_is_the_only_mistake() {
    for (policy, place) in [
        (
            r#"circuit_breaker = { failures = "3", failure_share = 0.5, window = "10s" }"#,
            "\"3\"",
        ),
        (
            r#"retry = { max_retries = 1, backoff = { base = 20, max = "50ms" } }"#,
            "20",
        ),
        (
            r#"retry = { max_retries = 1, backoff = { base = "50s", max = 60 } }"#,
            "60",
        ),
        (
            r#"retry = { max_retries = 1, backoff = { multiplier = "1.5", jitter = "decorrelated" } }"#,
            "\"1.5\"",
        ),
        (
            r#"bulkhead = { max_concurrent = 8, max_queue = 4, max_wait = "5" }"#,
            "5",
        ),
        (
            r#"bulkhead = { max_concurrent = 8, max_queue = "4", max_wait = "5s" }"#,
            "\"4\"",
        ),
        (r#"adaptive = { max_queue = 4, max_wait = "5" }"#, "5"),
        (r#"adaptive = { min_limit = 3000, max_limit = "5000" }"#, "\"5000\""),
        (
            "circuit_breaker = { consecutive_failures = 3, open_for_max = 60, open_for_multiplier = 2 }",
            "60",
        ),
        (
            r#"circuit_breaker = { consecutive_failures = 3, open_for_max = "10s", open_for = 5 }"#,
            "5",
        ),
        (
            r#"circuit_breaker = { slow_call = "1s", window = { calls = 10 }, min_calls = 10, slow_min_calls = "3" }"#,
            "\"3\"",
        ),
        (
            r#"timeout = { total = "0s" }
rate_limit = { rate = "5/s", max_wait = "1s" }"#,
            "\"0s\"",
        ),
        (
            r#"timeout = { total = "300ms", attempt = "100ms" }
retry = { max_retries = 1, backoff = { base = 5 } }"#,
            "5",
        ),
    ] {
        let wrong = wrong(policy);
        let places: Vec<&str> = wrong.iter().map(|(place, _)| &**place).collect();
        assert_eq!(places, [place], "{policy}: {wrong:?}");
    }
}

#[test]
fn the_key_within_a_table_is_marked_and_not_the_table() {
    let warm_up = r#"rate_limit = { rate = "5/s", warm_up = { period = "0s", cold_factor = 0.5 } }"#;
    let above_zero = "`rate_limit.warm_up.period` must be above zero and at most a hundred years";
    let cold_factor = "`rate_limit.warm_up.cold_factor` must be above 1 and at most 100";
    assert_wrong(warm_up, &[("\"0s\"", above_zero), ("0.5", cold_factor)]);

    let shares =
        "circuit_breaker = { consecutive_failures = 3, recovery = { stage_length = \"1s\", shares = [0.5, 0.1] } }";
    let order = "`circuit_breaker.recovery.shares` must be above 0, below 1 and above the share before it";
    assert_wrong(shares, &[("[0.5, 0.1]", order)]);
}

#[test]
fn everything_that_a_pattern_refuses_is_told_at_once() {
    assert_wrong(
        r#"adaptive = { strategy = "aimd", backoff = 1.5, timeout = "0s", initial_limit = 10000 }"#,
        &[
            ("1.5", "`adaptive.backoff` must be from 0.5 and below 1"),
            ("\"0s\"", "`adaptive.timeout` must be above zero"),
            (
                "10000",
                "`adaptive.initial_limit` must be from `min_limit` to `max_limit`",
            ),
        ],
    );
    assert_wrong(
        r#"hedge = { delay = { quantile = 1, window = "0s" }, max_extra = 11 }"#,
        &[
            ("1", "`hedge.delay.quantile` must be above 0 and below 1"),
            ("\"0s\"", "`hedge.delay.window` must be above zero"),
            ("11", "`hedge.max_extra` must be a whole number from 1 to 10"),
        ],
    );
    assert_wrong(
        r#"rate_limit = { rate = "2000000000/s", burst = 0, warm_up = { period = "1s", cold_factor = 0.5 } }"#,
        &[
            (
                "\"2000000000/s\"",
                "`rate_limit.rate` must be from one a day to 1,000,000,000 a second",
            ),
            (
                "0",
                "`rate_limit.burst` must be a whole number from 1 to 18014398509481984",
            ),
            (
                "0.5",
                "`rate_limit.warm_up.cold_factor` must be above 1 and at most 100",
            ),
        ],
    );
    assert_wrong(
        r#"circuit_breaker = { consecutive_failures = 0, recovery = { shares = [], stage_length = "0s" } }"#,
        &[
            (
                "0",
                "`circuit_breaker.consecutive_failures` must be a whole number, 1 or more",
            ),
            ("[]", "`circuit_breaker.recovery.shares` must be from 1 to 8 shares"),
            (
                "\"0s\"",
                "`circuit_breaker.recovery.stage_length` must be above zero and at most 1 h",
            ),
        ],
    );
    assert_wrong(
        "bulkhead.max_concurrent = 0\nadaptive = {}",
        &[
            (
                "0",
                "`bulkhead.max_concurrent` must be a whole number from 1 to 2147483647",
            ),
            (
                "{}",
                "in policy `x`, there is a bulkhead or an adaptive limit, and not both",
            ),
        ],
    );
}

#[test]
fn the_range_that_is_told_is_the_one_that_counts() {
    let places = "must be a whole number from 1 to 2147483647";
    for (policy, place, rule) in [
        ("bulkhead.max_concurrent = 4294967296", "4294967296", places),
        ("bulkhead.max_concurrent = 4000000000", "4000000000", places),
        ("adaptive.max_limit = 4000000000", "4000000000", places),
        (
            "hedge = { delay = false, max_extra = 0 }",
            "0",
            "must be a whole number from 1 to 10",
        ),
        (
            "circuit_breaker = { failure_rate = 0.5, window = { calls = 0 } }",
            "0",
            "must be a whole number from 1 to 1048576",
        ),
        (
            r#"circuit_breaker = { failures = 70000, window = "1s" }"#,
            "70000",
            "must be a whole number from 1 to 65536",
        ),
    ] {
        let wrong = wrong(policy);
        assert!(
            matches!(&wrong[..], [(marked, message)] if marked == place && message.ends_with(rule)),
            "{policy}: {wrong:?}"
        );
    }
}
