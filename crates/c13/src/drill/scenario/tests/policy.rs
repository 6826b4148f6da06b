//! The settings of a policy that contradict each other or lack something.

use super::*;

#[test]
fn retries_are_counted_and_not_attempts() {
    refused(
        &[("max_retries = 2", "max_attempts = 3")],
        r#"
        error: `variant.policy.retry.max_attempts` is no setting: retries are counted, without the first call
          --> drill.toml:27:26
           |
        27 | retry = { max_attempts = 3 }
           |                          ^ this would count the first call
           |
           = help: write `max_retries = 2`
        "#,
    );
}

#[test]
fn an_attempt_ends_before_the_whole_call() {
    refused(
        &[("attempt = \"500ms\"", "attempt = \"5s\"")],
        r#"
        error: `variant.policy.timeout.attempt` must not be longer than `timeout.total`
          --> drill.toml:26:37
           |
        26 | timeout = { total = "3s", attempt = "5s" }
           |                     ----            ^^^^ each attempt may take 5s
           |                     |
           |                     the whole call may take this long
           |
           = help: lower `timeout.attempt` to 3s or less, or raise `timeout.total` to 5s or more
        "#,
    );
}

#[test]
fn an_attempt_of_the_profile_ends_before_the_whole_call() {
    refused(
        &[("total = \"3s\", attempt = \"500ms\"", "total = \"3s\"")],
        r#"
        error: `variant.policy.timeout.attempt` must not be longer than `timeout.total`
          --> drill.toml:26:21
           |
        26 | timeout = { total = "3s" }
           |                     ^^^^ the whole call may take this long
          ::: the profile critical
           |
           | timeout.attempt = "7s"
           |                   ---- each attempt may take 7s
           |
           = help: lower `timeout.attempt` to 3s or less, or raise `timeout.total` to 7s or more
        "#,
    );
}

#[test]
fn retries_fit_into_the_total_timeout() {
    refused(
        &[("max_retries = 2", "max_retries = 20")],
        r#"
        error: the retries cannot fit into the total timeout
          --> drill.toml:27:25
           |
        26 | timeout = { total = "3s", attempt = "500ms" }
           |                     ----            ------- each attempt may take this long
           |                     |
           |                     the whole call ends here
        27 | retry = { max_retries = 20 }
           |                         ^^ 21 attempts of 500ms and 2m 22.7s of waits are 2m 33.2s
           |
           = help: lower `retry.max_retries` to 3, or raise `timeout.total` to 2m 33.2s or more
        "#,
    );
}

#[test]
fn retries_fit_into_the_profile_s_total_timeout() {
    refused(
        &[("total = \"3s\", attempt = \"500ms\"", "attempt = \"20s\"")],
        r#"
        error: the retries cannot fit into the total timeout
          --> drill.toml:27:25
           |
        26 | timeout = { attempt = "20s" }
           |                       ----- each attempt may take this long
        27 | retry = { max_retries = 2 }
           |                         ^ 3 attempts of 20s and 300ms of waits are 1m 0.3s
          ::: the profile critical
           |
           | timeout.total = "30s"
           |                 ----- the whole call ends here
           |
           = help: lower `retry.max_retries` to 0, or raise `timeout.total` to 1m 0.3s or more
        "#,
    );
}

#[test]
fn a_backoff_has_the_keys_of_its_strategy() {
    refused(
        &[(
            "retry = { max_retries = 2 }",
            "retry = { max_retries = 1, backoff = { strategy = \"fixed\", base = \"10ms\", multiplier = 2, max = \"1s\" } }",
        )],
        r#"
        error: `variant.policy.retry.backoff.multiplier` belongs to the strategy "exponential"
          --> drill.toml:27:88
           |
        27 | …y = { max_retries = 1, backoff = { strategy = "fixed", base = "10ms", multiplier = 2, max = "1s" } }
           |                                                ------- this is another strategy     ^

        error: `variant.policy.retry.backoff.max` belongs to the strategy "exponential", "linear" or "fibonacci"
          --> drill.toml:27:97
           |
        27 | …y = { max_retries = 1, backoff = { strategy = "fixed", base = "10ms", multiplier = 2, max = "1s" } }
           |                                                ------- this is another strategy              ^^^^
        "#,
    );
}

#[test]
fn a_linear_backoff_has_an_increment() {
    refused(
        &[(
            "retry = { max_retries = 2 }",
            "retry = { max_retries = 1, backoff = { strategy = \"linear\", max = \"10ms\" } }",
        )],
        r#"
        error: `variant.policy.retry.backoff.increment` is missing
          --> drill.toml:27:38
           |
        27 | retry = { max_retries = 1, backoff = { strategy = "linear", max = "10ms" } }
           |                                      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `increment` belongs in this table
           |
           = help: add it, for example `increment = "100ms"`

        error: `variant.policy.retry.backoff.max` must not be shorter than `base`
          --> drill.toml:27:67
           |
        27 | retry = { max_retries = 1, backoff = { strategy = "linear", max = "10ms" } }
           |                                                                   ^^^^^^ this is 10ms
        "#,
    );
}

#[test]
fn a_backoff_is_not_above_its_own_maximum() {
    refused(
        &[
            (
                "retry = { max_retries = 2 }",
                "retry = { max_retries = 1, backoff = { base = \"10s\", max = \"1s\", multiplier = 0.5 } }",
            ),
            ("total = \"3s\"", "total = \"30s\""),
        ],
        r#"
        error: `variant.policy.retry.backoff.max` must not be shorter than `base`
          --> drill.toml:27:60
           |
        27 | retry = { max_retries = 1, backoff = { base = "10s", max = "1s", multiplier = 0.5 } }
           |                                               -----        ^^^^ this is 1s
           |                                               |
           |                                               `base` is set here

        error: `variant.policy.retry.backoff.multiplier` must be at least 1 and finite
          --> drill.toml:27:79
           |
        27 | retry = { max_retries = 1, backoff = { base = "10s", max = "1s", multiplier = 0.5 } }
           |                                                                               ^^^ this is 0.5
        "#,
    );
}

#[test]
fn a_part_is_a_table_or_switched_off() {
    refused(
        &[(
            "retry = { max_retries = 2 }",
            "retry = { max_retries = 1, budget = true }\nbulkhead = 3",
        )],
        r#"
        error: `variant.policy.retry.budget` must be a table, or false to switch it off
          --> drill.toml:27:37
           |
        27 | retry = { max_retries = 1, budget = true }
           |                                     ^^^^ this is a boolean

        error: `variant.policy.bulkhead` must be a table, or false to switch it off
          --> drill.toml:28:12
           |
        28 | bulkhead = 3
           |            ^ this is a number
        "#,
    );
}

#[test]
fn a_queue_of_a_bulkhead_needs_time_to_wait() {
    refused(
        &[(
            "retry = { max_retries = 2 }",
            "bulkhead = { max_concurrent = 3, max_queue = 2 }\nrate_limit = { rate = 100 }\nshed = {}",
        )],
        r#"
        error: `variant.policy.bulkhead.max_wait` must be above zero where there is a queue
          --> drill.toml:27:46
           |
        27 | bulkhead = { max_concurrent = 3, max_queue = 2 }
           |                                              ^ calls may queue
           |
           = help: set both `max_queue` and `max_wait`, or neither of the two

        error: `variant.policy.rate_limit.rate` must be a rate in quotes
          --> drill.toml:28:23
           |
        28 | rate_limit = { rate = 100 }
           |                       ^^^ this number says no time
           |
           = help: write "100/s"

        error: unknown key `variant.policy.shed`
          --> drill.toml:29:1
           |
        29 | shed = {}
           | ^^^^ not a key of `variant.policy`
           |
           = help: the keys here are timeout, rate_limit, bulkhead, adaptive, retry, hedge, circuit_breaker
        "#,
    );
}

#[test]
fn a_breaker_waits_for_no_more_calls_than_it_remembers() {
    refused(
        &[(
            "retry = { max_retries = 2 }",
            "circuit_breaker = { failures = false, failure_rate = 0.5, window = { calls = 10 }, min_calls = 20 }",
        )],
        r#"
        error: `variant.policy.circuit_breaker.min_calls` must not be above the window: it would never open
          --> drill.toml:27:96
           |
        27 | circuit_breaker = { failures = false, failure_rate = 0.5, window = { calls = 10 }, min_calls = 20 }
           |                                                                    --------------              ^^ this is 20
           |                                                                    |
           |                                                                    the calls that it looks at
        "#,
    );
}

#[test]
fn a_failure_rate_over_a_time_says_how_many_calls_it_takes() {
    refused(
        &[
            (
                "retry = { max_retries = 2 }",
                "circuit_breaker = { failure_rate = 0.5, window = \"30s\" }",
            ),
            ("profile = \"critical\"\n", ""),
        ],
        r#"
        error: `variant.policy.circuit_breaker.min_calls` is missing
          --> drill.toml:26:19
           |
        26 | circuit_breaker = { failure_rate = 0.5, window = "30s" }
           |                   ^^------------^^^^^^^^^^^^^^^^^^^^^^^^
           |                   | |
           |                   | this rule asks for it
           |                   `min_calls` belongs in this table
           |
           = help: add it, for example `min_calls = 20`
        "#,
    );
}

#[test]
fn a_profile_s_rate_without_its_failures_needs_a_number_of_calls() {
    refused(
        &[("retry = { max_retries = 2 }", "circuit_breaker = { failures = false }")],
        r#"
        error: `variant.policy.circuit_breaker.min_calls` is missing
          --> drill.toml:27:19
           |
        27 | circuit_breaker = { failures = false }
           |                   ^^^^^^^^^^^^^^^^^^^^ `min_calls` belongs in this table
          ::: the profile critical
           |
           | circuit_breaker.failure_rate = 0.8
           |                 ------------ this rule asks for it
           |
           = help: add it, for example `min_calls = 20`
        "#,
    );
}

#[test]
fn failures_are_counted_over_time() {
    refused(
        &[
            (
                "retry = { max_retries = 2 }",
                "circuit_breaker = { failures = 5, window = { calls = 30 } }",
            ),
            ("profile = \"critical\"\n", ""),
        ],
        r#"
        error: `variant.policy.circuit_breaker.window` must be a duration where failures are counted
          --> drill.toml:26:44
           |
        26 | circuit_breaker = { failures = 5, window = { calls = 30 } }
           |                     -------- counted here  ^^^^^^^^^^^^^^ this is a number of calls
           |
           = help: give them a window of their own, for example `failures_window = "30s"`
        "#,
    );
}

#[test]
fn failures_in_a_row_have_no_window() {
    refused(
        &[
            (
                "retry = { max_retries = 2 }",
                "circuit_breaker = { consecutive_failures = 5, window = \"30s\" }",
            ),
            ("profile = \"critical\"\n", ""),
        ],
        r#"
        error: `variant.policy.circuit_breaker.window` means nothing without `failures` or `failure_rate` or `slow_call`
          --> drill.toml:26:56
           |
        26 | circuit_breaker = { consecutive_failures = 5, window = "30s" }
           |                                                        ^^^^^
           |
           = help: write `failures` in place of `consecutive_failures`, or remove the window
        "#,
    );
}

#[test]
fn a_breaker_s_longest_time_is_not_below_its_first() {
    refused(
        &[(
            "retry = { max_retries = 2 }",
            "circuit_breaker = { open_for = \"10s\", open_for_max = \"5s\" }",
        )],
        r#"
        error: `variant.policy.circuit_breaker.open_for_max` must not be shorter than `open_for`
          --> drill.toml:27:54
           |
        27 | circuit_breaker = { open_for = "10s", open_for_max = "5s" }
           |                                ----- set here        ^^^^ this is 5s
        "#,
    );
}

#[test]
fn parts_without_a_profile_say_what_they_need() {
    refused(
        &[
            ("profile = \"critical\"\n", ""),
            (
                "retry = { max_retries = 2 }",
                "circuit_breaker = { open_for = \"10s\" }\nrate_limit = {}\nbulkhead = {}\nretry = {}",
            ),
        ],
        r#"
        error: `variant.policy.circuit_breaker` must say when to open, or it never does
          --> drill.toml:26:19
           |
        26 | circuit_breaker = { open_for = "10s" }
           |                   ^^^^^^^^^^^^^^^^^^^^
           |
           = help: add `consecutive_failures = 5`, or `failures = 5` and `window = "30s"`, or `failure_rate = 0.5` and `window = { calls = 100 }`

        error: `variant.policy.rate_limit.rate` is missing
          --> drill.toml:27:14
           |
        27 | rate_limit = {}
           |              ^^ `rate` belongs in this table
           |
           = help: add it, for example `rate = "100/s"`

        error: `variant.policy.bulkhead.max_concurrent` is missing
          --> drill.toml:28:12
           |
        28 | bulkhead = {}
           |            ^^ `max_concurrent` belongs in this table
           |
           = help: add it, for example `max_concurrent = 10`

        error: `variant.policy.retry.max_retries` is missing
          --> drill.toml:29:9
           |
        29 | retry = {}
           |         ^^ `max_retries` belongs in this table
           |
           = help: add it, for example `max_retries = 2`
        "#,
    );
}
