//! What a file says is what a policy is set to, and what a policy is set to can be said in a file.

mod golden;
mod limits;
mod mistakes;
mod parts;

use super::*;
use crate::budget::RetryBudgetConfig;
use crate::patterns::adaptive::{AdaptiveConfig, Algorithm};
use crate::patterns::bulkhead::BulkheadConfig;
use crate::patterns::circuit_breaker::{
    Abandoned, CircuitBreakerConfig, FailureRate, FailuresWithin, Shares, SlowCalls, StagedRecovery, Window,
};
use crate::patterns::hedge::{HedgeConfig, HedgeDelay};
use crate::patterns::rate_limiter::{RateLimiterConfig, WarmUp};
use crate::patterns::retry::{Jitter, RetryConfig, RetryStrategy};
use crate::policy::document::{Document, Source};
use crate::policy::{PolicyConfig, Profile, RateLimitPer};
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
    let limit = RateLimiterConfig::new(50.0, 5);
    round_trip(PolicyConfig::NONE.rate_limit(limit.start_empty(true).paced(true).shadow(true)));
    round_trip(PolicyConfig::NONE.rate_limit(limit.warm_up(WarmUp::new(SECOND, 3.5))));
    round_trip(
        PolicyConfig::NONE
            .rate_limit(limit)
            .rate_limit_per(RateLimitPer::Attempt),
    );
    let own = HedgeConfig::new(HedgeDelay::P95).max_extra(3).budget(budget);
    for delay in [HedgeDelay::P95, HedgeDelay::Fixed(MS), HedgeDelay::AfterFailure] {
        round_trip(PolicyConfig::NONE.hedge(HedgeConfig::new(delay)));
        round_trip(PolicyConfig::NONE.hedge(HedgeConfig::new(delay)).retry(doubling));
    }
    round_trip(PolicyConfig::NONE.hedge(own));
    round_trip(PolicyConfig::NONE.hedge(own.without_budget()));
    round_trip(PolicyConfig::NONE.bulkhead(BulkheadConfig::new(4).queue(2, SECOND)));
    for algorithm in [Algorithm::GRADIENT, Algorithm::VEGAS, Algorithm::Aimd { backoff: 0.7 }] {
        let limit = AdaptiveConfig::new(algorithm)
            .limits(5, 2, 9)
            .window(SECOND, 3)
            .drops(MS, 0.2);
        round_trip(PolicyConfig::NONE.adaptive(limit.baseline_age(9 * SECOND).queue(2, SECOND)));
    }
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
        breaker.consecutive_failures(1).recovery(
            StagedRecovery::new(SECOND)
                .shares(Shares::new(&[0.1, 0.5]))
                .failure_rate(0.3, 7),
        ),
        breaker
            .consecutive_failures(4)
            .failures_within(FailuresWithin::new(5, 3 * SECOND).share(0.25))
            .failure_rate(FailureRate::new(0.5, calls, 10))
            .slow_calls(SlowCalls::new(SECOND, 0.9, time, 20))
            .open_for_growth(3.0, 20 * SECOND)
            .jitter(0.3),
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
fn another_strategy_keeps_nothing_of_the_one_below_and_what_it_knows_of_where_none_is_named() {
    let fixed = "retry.backoff = { strategy = \"fixed\", base = \"5ms\" }";
    for (kind, jitter) in [("", Jitter::Equal), ("strategy = \"exponential\", ", Jitter::None)] {
        let below = "multiplier = 3.0, max = \"1s\", jitter = \"equal\"";
        let below = format!("retry = {{ max_retries = 1, backoff = {{ {kind}{below} }} }}");
        let config = layered(&[&below, fixed]).expect("it is right");
        let read = config
            .retry
            .map(|retry| (retry.max_retries, retry.strategy, retry.jitter));
        assert_eq!(read, Some((1, RetryStrategy::FixedDelay(5 * MS), jitter)), "{below}");
    }
    let above = "retry.backoff.multiplier = 3.0";
    let refused = layered(&["retry.max_retries = 1", fixed, above]).expect_err("a fixed delay has none");
    assert!(refused.contains("belongs to the strategy \"exponential\""), "{refused}");
}

#[test]
fn a_strategy_keeps_the_keys_beside_it_in_whatever_order_they_are_laid() {
    let file = "retry.max_retries = 1\nadaptive = { max_limit = 50 }";
    let keys = ["retry.backoff.strategy = \"fibonacci\"", "retry.backoff.max = \"2s\""];
    let limit = |strategy: &str| format!("adaptive.strategy = \"{strategy}\"");
    for (one, other) in [(0, 1), (1, 0)] {
        for strategy in ["gradient", "vegas"] {
            let config = layered(&[file, keys[one], keys[other], &limit(strategy)]).expect("it is right");
            let longest = config.retry.map(|retry| retry.strategy.longest());
            let most = config.adaptive.map(|adaptive| adaptive.max_limit);
            assert_eq!((longest, most), (Some(2 * SECOND), Some(50)), "{strategy}");
        }
    }
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
error: `policy.payments.timeout.attempt` must not be longer than `timeout.total`
 --> layer 1:1:19
  |
1 | timeout.attempt = \"2s\"
  |                   ^^^^ each attempt may take 2s
 ::: layer 0:1:17
  |
1 | timeout.total = \"1s\"
  |                 ---- the whole call may take this long
  |
  = help: lower `timeout.attempt` to 1s or less, or raise `timeout.total` to 2s or more
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

fn set(files: &[(&str, &str)]) -> Result<PolicySet, String> {
    let files = files.iter().fold(PolicyFiles::new(), |set, (name, text)| {
        set.file(Source::new(*name, text.trim_start()))
    });
    files.read().map_err(|errors| errors.to_string())
}

/// Compares with a text that is indented as the code around it is.
#[track_caller]
fn assert_text(actual: &str, expected: &str) {
    let lines: Vec<&str> = expected.lines().skip(1).collect();
    let indents = lines.iter().filter(|line| !line.trim().is_empty());
    let indent = indents
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let lines: Vec<&str> = lines.iter().map(|line| line.get(indent..).unwrap_or("")).collect();
    assert_eq!(
        actual.trim_end(),
        lines.join("\n").trim_end(),
        "\n--- actual ---\n{actual}"
    );
}

/// Checks everything that is said of a file. The text expected is indented as the code around it is.
#[track_caller]
fn refused(text: &str, expected: &str) {
    let actual = set(&[("service.toml", text)]).expect_err("the file is wrong");
    assert_text(&actual, expected);
}

#[test]
fn layers_count_from_code_to_the_command_line() {
    let text = |total: &str| format!("[policy.payments]\ntimeout.total = \"{total}\"\n");
    let code = PolicyConfig::NONE
        .total_timeout(SECOND)
        .bulkhead(BulkheadConfig::new(7));
    let total = |files: &PolicyFiles| {
        let set = files.read().unwrap_or_else(|errors| panic!("{errors}"));
        let policy = set.policy("payments").expect("it is named");
        assert_eq!(
            policy.config().bulkhead,
            Some(BulkheadConfig::new(7)),
            "code stays where nothing is said"
        );
        let setting = policy.setting("timeout.total").expect("it is set");
        (setting.value.clone(), setting.origin(), setting.below().count())
    };
    let told = |value: &str, origin: &str, below: usize| (format!("\"{value}\""), origin.to_owned(), below);
    let mut files = PolicyFiles::new().code("payments", code);
    assert_eq!(total(&files), told("1s", "the code's payments", 0));
    files = files.file(Source::new(
        "a.toml",
        format!("[defaults]\ntimeout.total = \"2s\"\n{}", text("3s")),
    ));
    assert_eq!(total(&files), told("3s", "a.toml:4:17", 2));
    files = files.file(Source::new("b.toml", text("4s")));
    assert_eq!(total(&files), told("4s", "b.toml:2:17", 3));
    let variable = "C13__POLICY__PAYMENTS__TIMEOUT__TOTAL";
    files = files
        .variable(variable, "5s")
        .variable("C13_COLOUR", "blue")
        .variable("C13__OTHER", "1");
    assert_eq!(total(&files), told("5s", variable, 4));
    files = files.set("policy.payments.timeout.total=6s");
    assert_eq!(total(&files), told("6s", "--set", 5));
}

#[test]
fn a_profile_lies_over_the_defaults_and_under_the_policy() {
    let text = "
[defaults]
timeout.total = \"29s\"
bulkhead.max_concurrent = 5

[policy.base]
extends = \"critical\"
retry.max_retries = 2

[policy.payments]
extends = \"base\"
retry.budget = false
";
    let set = set(&[("service.toml", text)]).expect("it is right");
    let config = set.policy("payments").expect("it is named").config();
    let critical = Profile::Critical.config();
    assert_eq!(
        (config.total_timeout, config.rate_limit),
        (critical.total_timeout, critical.rate_limit)
    );
    assert_eq!(config.bulkhead, Some(BulkheadConfig::new(5)));
    assert_eq!(
        config.retry.map(|retry| (retry.max_retries, retry.budget)),
        Some((2, None))
    );
}

#[test]
fn values_of_variables_may_be_toml_or_bare() {
    let files = PolicyFiles::new()
        .file(Source::new("a.toml", "[policy.pay-ments]\nextends = \"critical\""))
        .variable("C13__POLICY__PAY_MENTS__RETRY__MAX_RETRIES", "1")
        .variable("C13__POLICY__PAY_MENTS__CIRCUIT_BREAKER__FAILURE_SHARE", "60%")
        .variable("C13__POLICY__PAY_MENTS__CIRCUIT_BREAKER__ABANDONED", "\"failure\"")
        .variable("C13__POLICY__PAY_MENTS__BULKHEAD", "{ max_concurrent = 3 }")
        .variable("C13__POLICY__PAY_MENTS__RATE_LIMIT", "false");
    let set = files.read().unwrap_or_else(|errors| panic!("{errors}"));
    let config = set.policy("pay-ments").expect("it is named").config();
    let breaker = config.circuit_breaker.expect("it has one");
    assert_eq!(config.retry.map(|retry| retry.max_retries), Some(1));
    assert_eq!(breaker.failure_share, Some(0.6));
    assert_eq!(breaker.abandoned, Abandoned::Failure);
    assert_eq!(
        (config.bulkhead, config.rate_limit),
        (Some(BulkheadConfig::new(3)), None)
    );
}

#[test]
fn a_variable_that_is_wrong_is_named() {
    let files = PolicyFiles::new()
        .file(Source::new("a.toml", "[policy.payments]\nextends = \"critical\""))
        .variable("C13__POLICY__PAYMENTS__TIMEOUT__TOTL", "800ms")
        .set("policy.payments.timeout.attempt=soon");
    let errors = files.read().expect_err("both are wrong").to_string();
    assert_eq!(
        errors,
        "\
error: `policy.payments.timeout.attempt` must be a duration
 --> --set:1:36
  |
1 | policy.payments.timeout.attempt = \"soon\"
  |                                    ^^^^ `soon` is no duration
  |
  = help: write a number and a unit, for example \"30s\", \"500ms\" or \"2m 30s\"

error: unknown key `policy.payments.timeout.totl`
 --> C13__POLICY__PAYMENTS__TIMEOUT__TOTL:1:25
  |
1 | policy.payments.timeout.totl = \"800ms\"
  |                         ^^^^ not a key of `policy.payments.timeout`
  |
  = help: did you mean `total`?
"
    );
}

#[test]
fn a_file_names_policies() {
    refused(
        "# nothing yet\n",
        "
        error: no policy is named
         --> service.toml:1:1
          = help: add a table `[policy.NAME]`
    ",
    );
    refused(
        " \n",
        "
        error: the file is empty
         --> service.toml:1:1
          = help: if that is meant, write a comment into it; a file that was cut off while it was written changes nothing
    ",
    );
}

#[test]
fn a_misspelt_table_is_not_ignored() {
    refused(
        "[polcy.payments]\n[policy.search]\n[default]\n",
        r#"
        error: unknown key `polcy`
         --> service.toml:1:2
          |
        1 | [polcy.payments]
          |  ^^^^^
          |
          = help: did you mean `policy`?

        error: unknown key `default`
         --> service.toml:3:2
          |
        3 | [default]
          |  ^^^^^^^
          |
          = help: did you mean `defaults`?
    "#,
    );
}

#[test]
fn a_mistake_in_the_defaults_is_told_once() {
    refused(
        "[defaults]\ntimeout.totl = \"1s\"\n[policy.a]\n[policy.b]\n",
        r#"
        error: unknown key `defaults.timeout.totl`
         --> service.toml:2:9
          |
        2 | timeout.totl = "1s"
          |         ^^^^ not a key of `defaults.timeout`
          |
          = help: did you mean `total`?
    "#,
    );
}

#[test]
fn a_policy_extends_one_that_is_there() {
    refused(
        "[policy.a]\nextends = \"critcal\"\n[policy.b]\nextends = \"nothing-like-it\"\n",
        r#"
        error: there is no policy and no profile called "critcal"
         --> service.toml:2:11
          |
        2 | extends = "critcal"
          |           ^^^^^^^^^
          |
          = help: did you mean "critical"?

        error: there is no policy and no profile called "nothing-like-it"
         --> service.toml:4:11
          |
        4 | extends = "nothing-like-it"
          |           ^^^^^^^^^^^^^^^^^
          |
          = help: there are critical, standard, batch, a, b
    "#,
    );
}

#[test]
fn a_name_is_fit_for_labels_and_variables() {
    refused(
        "[policy.Payments]\n[policy.critical]\n",
        r#"
        error: a policy's name must be of lower-case letters, digits, dashes and underscores
         --> service.toml:1:9
          |
        1 | [policy.Payments]
          |         ^^^^^^^^ 1 to 64 of them

        error: the name "critical" is a profile's
         --> service.toml:2:9
          |
        2 | [policy.critical]
          |         ^^^^^^^^
          |
          = help: give the policy another name, and it `extends = "critical"`
    "#,
    );
}

#[test]
fn contradictions_with_a_profile_show_both() {
    refused(
        "[policy.a]\nextends = \"critical\"\ntimeout.total = \"20s\"\n",
        r#"
        error: in policy `a`, the retries cannot fit into the total timeout
         --> service.toml:3:17
          |
        3 | timeout.total = "20s"
          |                 ^^^^^ the whole call ends here
         ::: the profile critical
          |
          | timeout.attempt = "7s"
          |                   ---- each attempt may take this long
         ::: the profile critical
          |
          | retry.max_retries = 3
          |                     - 4 attempts of 7s and 700ms of waits are 28.7s
          |
          = help: lower `retry.max_retries` to 1, or raise `timeout.total` to 28.7s or more
    "#,
    );
}

#[test]
fn any_number_of_retries_is_summed_at_once() {
    refused(
        "[policy.a]\ntimeout = { total = \"1h\", attempt = \"1s\" }\n\
        retry = { max_retries = 4294967295, backoff = { multiplier = 1.0 } }\n",
        r#"
        error: in policy `a`, the retries cannot fit into the total timeout
         --> service.toml:3:25
          |
        2 | timeout = { total = "1h", attempt = "1s" }
          |                     ----            ---- each attempt may take this long
          |                     |
          |                     the whole call ends here
        3 | retry = { max_retries = 4294967295, backoff = { multiplier = 1.0 } }
          |                         ^^^^^^^^^^ 4294967295 attempts of 1s and 4971d 38m 49.5s of waits are 54681d 7h 7m 4.5s
          |
          = help: lower `retry.max_retries` to 3271, or raise `timeout.total` to 54681d 7h 7m 4.5s or more
    "#,
    );
}

#[test]
fn a_hedge_that_never_comes_and_a_budget_that_nobody_draws_on_are_refused_together() {
    refused(
        "[policy.a]\ntimeout.attempt = \"50ms\"\nretry.max_retries = 1\nhedge = { delay = \"80ms\", budget = false }\n\
        rate_limit = { rate = \"5/s\", per = \"attempts\" }\n",
        r#"
        error: `policy.a.hedge.delay` must be shorter than `timeout.attempt`
         --> service.toml:4:19
          |
        2 | timeout.attempt = "50ms"
          |                   ------ but this one has ended by then
        ...
        4 | hedge = { delay = "80ms", budget = false }
          |                   ^^^^^^ another attempt would start after 80ms
          |
          = help: lower `hedge.delay` below 50ms, or raise `timeout.attempt` above 80ms

        error: in policy `a`, a hedge beside retries draws on their budget
         --> service.toml:4:36
          |
        4 | hedge = { delay = "80ms", budget = false }
          |                                    ^^^^^
          |
          = help: leave it out, and set `retry.budget`

        error: `policy.a.rate_limit.per` must be "call" or "attempt"
         --> service.toml:5:36
          |
        5 | rate_limit = { rate = "5/s", per = "attempts" }
          |                                    ^^^^^^^^^^
          |
          = help: did you mean "attempt"?
    "#,
    );
}

#[test]
fn two_bounds_on_the_calls_in_flight_are_one_too_many() {
    refused(
        "[policy.a]\nbulkhead.max_concurrent = 5\nadaptive = { strategy = \"aimd\", buffer = 0.5 }\n",
        r#"
        error: in policy `a`, there is a bulkhead or an adaptive limit, and not both
         --> service.toml:3:12
          |
        2 | bulkhead.max_concurrent = 5
          | -------- this bounds the calls in flight too
        3 | adaptive = { strategy = "aimd", buffer = 0.5 }
          |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          |
          = help: keep one of the two

        error: `policy.a.adaptive.buffer` belongs to the strategy "gradient"
         --> service.toml:3:42
          |
        3 | adaptive = { strategy = "aimd", buffer = 0.5 }
          |                         ------           ^^^
          |                         |
          |                         this is another strategy
    "#,
    );
    let limits = set(&[("a.toml", "[policy.a]\nadaptive = { min_limit = 30, max_limit = 20 }\n")]);
    let error = limits.expect_err("the limits are the wrong way round");
    assert!(
        error.contains("`policy.a.adaptive.max_limit` must be at least `min_limit`"),
        "{error}"
    );
}

#[test]
fn wrong_types_come_with_a_way_out() {
    refused(
        "[policy.a]\ntimeout.total = 5\nretry.max_retries = \"3\"\nrate_limit.rate = \"100\"\n\
        circuit_breaker = { failures = 5, window = 30 }\nextends = 1\n",
        r#"
        error: `policy.a.timeout.total` must be a duration in quotes
         --> service.toml:2:17
          |
        2 | timeout.total = 5
          |                 ^ this number has no unit
          |
          = help: write "5s" for seconds or "5ms" for milliseconds

        error: `policy.a.retry.max_retries` must be a whole number from 0 to 4294967295
         --> service.toml:3:21
          |
        3 | retry.max_retries = "3"
          |                     ^^^ this is text
          |
          = help: write 3 without quotes

        error: `policy.a.rate_limit.rate` must be a rate
         --> service.toml:4:20
          |
        4 | rate_limit.rate = "100"
          |                    ^^^ a rate says in which time
          |
          = help: write "100/s"

        error: `policy.a.circuit_breaker.window` must be a duration or a number of calls
         --> service.toml:5:44
          |
        5 | circuit_breaker = { failures = 5, window = 30 }
          |                                            ^^ this is a number
          |
          = help: write "30s" or { calls = 100 }

        error: `policy.a.extends` must be text in quotes
         --> service.toml:6:11
          |
        6 | extends = 1
          |           ^ this is a number
    "#,
    );
}

#[test]
fn broken_syntax_hides_nothing_else() {
    refused(
        "[policy.a]\ntimeout.total = 5s\nretry = { max_attempts = 4 }\n",
        r#"
        error: `5s` is no value: text stands in quotes
         --> service.toml:2:17
          |
        2 | timeout.total = 5s
          |                 ^^
          |
          = help: write "5s"

        error: `policy.a.retry.max_attempts` is no setting: retries are counted, without the first call
         --> service.toml:3:26
          |
        3 | retry = { max_attempts = 4 }
          |                          ^ this would count the first call
          |
          = help: write `max_retries = 3`
    "#,
    );
}

#[test]
fn a_second_file_that_contradicts_the_first_shows_both() {
    let errors = set(&[
        ("a.toml", "[policy.a]\ntimeout.attempt = \"2s\"\n"),
        ("b.toml", "[policy.a]\ntimeout.total = \"1s\"\n"),
    ]);
    let errors = errors.expect_err("they contradict each other");
    assert!(
        errors.contains("--> a.toml:2:19") && errors.contains("::: b.toml:2:17"),
        "{errors}"
    );
}

#[test]
fn changes_are_told_leaf_by_leaf() {
    let before = set(&[(
        "a.toml",
        "[policy.a]\ntimeout.total = \"1s\"\n[policy.gone]\ntimeout.total = \"1s\"\n",
    )]);
    let after = set(&[("a.toml", "[policy.a]\ntimeout = { total = \"2s\", attempt = \"1s\" }\n")]);
    let changes = before.expect("it is right").changes(&after.expect("it is right"));
    let changes: Vec<String> = changes.iter().map(Change::to_string).collect();
    assert_eq!(
        changes,
        [
            "policy.a.timeout.total: \"1s\" → \"2s\"",
            "policy.a.timeout.attempt: not set → \"1s\"",
            "policy.gone.timeout.total: \"1s\" → not set",
        ]
    );
}

#[test]
fn the_starter_is_right() {
    let set = set(&[("starter.toml", STARTER)]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(
        set.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        ["payments", "reports", "search"]
    );
}
