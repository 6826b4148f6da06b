//! What is read of variants and of the files that they name, and what is refused.

use super::*;

#[test]
fn a_variant_takes_its_policy_from_the_file_that_the_service_loads() {
    let named = changed(&[(OWN, "policy = \"service.toml#payments\"")]);
    let scenario = with_service(&named).unwrap_or_else(|errors| panic!("{errors}"));
    let expected = Profile::Critical.config().attempt_timeout(Duration::from_secs(2));
    assert_eq!(scenario.variants[1].policy, Some(expected));

    let set = "policy = \"service.toml#payments\"\nset = { timeout.total = \"20s\", retry.max_retries = 1 }";
    let scenario = with_service(&changed(&[(OWN, set)])).unwrap_or_else(|errors| panic!("{errors}"));
    let policy = scenario.variants[1].policy.expect("it has one");
    assert_eq!(policy.total_timeout, Some(Duration::from_secs(20)));
    assert_eq!(policy.retry.map(|retry| retry.max_retries), Some(1));
    assert_eq!(policy.circuit_breaker, expected.circuit_breaker);
}

#[test]
fn a_policy_that_is_not_in_the_file_or_a_file_that_is_wrong_is_told() {
    for (reference, words) in [
        ("service.toml#paymets", "did you mean \"payments\"?"),
        ("service.toml", "must name a file and a policy in it"),
        ("other.toml#payments", "cannot read other.toml: there is no such file"),
        ("wrong.toml#payments", "wrong.toml:2:17"),
    ] {
        let text = changed(&[(OWN, &format!("policy = \"{reference}\""))]);
        let errors = with_service(&text).expect_err(reference);
        assert!(errors.contains(words), "{reference}: {errors}");
        assert_eq!(errors.matches("error: ").count(), 1, "{reference}: {errors}");
    }
    let both = "profile = \"critical\"\npolicy = \"service.toml#payments\"\nset = {}";
    let errors = with_service(&changed(&[(OWN, both)])).expect_err("two at once");
    for words in ["has no profile besides", "`variant.set` sets nothing"] {
        assert!(errors.contains(words), "{errors}");
    }
    let idle = changed(&[(
        "retry = { max_retries = 2 }",
        "retry = { max_retries = 2 }\n[variant.set]\nretry.max_retries = 1",
    )]);
    let errors = with_service(&idle).expect_err("it names no file");
    assert!(errors.contains("this variant names none"), "{errors}");
}

#[test]
fn settings_inline_change_the_profile_leaf_by_leaf() {
    let careful = policy(&[]);
    let critical = Profile::Critical.config();
    let times = (careful.total_timeout, careful.attempt_timeout);
    assert_eq!(times, (Some(Duration::from_secs(3)), Some(Duration::from_millis(500))));
    let mut retry = critical.retry.expect("it is set");
    retry.max_retries = 2;
    assert_eq!(careful.retry, Some(retry));
    assert_eq!(
        (careful.rate_limit, careful.circuit_breaker),
        (critical.rate_limit, critical.circuit_breaker)
    );

    let changed = policy(&[(
        "retry = { max_retries = 2 }",
        "retry = { max_retries = 1 }\ncircuit_breaker = { failures = 9 }\nrate_limit = { rate = \"20/s\" }",
    )]);
    let mut breaker = critical.circuit_breaker.expect("it is set");
    breaker.failures = Some(9);
    assert_eq!(changed.circuit_breaker, Some(breaker));
    let limit = changed.rate_limit.expect("it is set");
    assert_eq!((limit.rate, limit.burst), (20.0, 20), "the burst follows the rate");
}

#[test]
fn false_switches_a_part_off() {
    let off =
        "retry = { max_retries = 1, budget = false }\ncircuit_breaker = false\nrate_limit = false\nbulkhead = false";
    let policy = policy(&[
        ("retry = { max_retries = 2 }", off),
        ("timeout = { total = \"3s\", attempt = \"500ms\" }", "timeout = false"),
    ]);
    assert_eq!((policy.total_timeout, policy.attempt_timeout), (None, None));
    assert_eq!((policy.rate_limit, policy.bulkhead), (None, None));
    assert_eq!(policy.circuit_breaker, None);
    assert_eq!(
        policy.retry.map(|retry| (retry.max_retries, retry.budget)),
        Some((1, None))
    );
}

#[test]
fn parts_without_a_profile_have_the_defaults_of_their_patterns() {
    let inline = "retry = { max_retries = 1, backoff = { strategy = \"fixed\", base = \"0s\" } }\n\
                  circuit_breaker = { failure_rate = 0.5, window = { calls = 100 } }\n\
                  rate_limit = { rate = \"90/m\" }\nbulkhead = { max_concurrent = 8 }";
    let policy = policy(&[
        ("profile = \"critical\"\n", ""),
        ("retry = { max_retries = 2 }", inline),
    ]);
    let retry = policy.retry.expect("it is set");
    assert_eq!(
        (retry.strategy, retry.jitter),
        (RetryStrategy::FixedDelay(Duration::ZERO), Jitter::None)
    );
    assert_eq!(retry.budget, Some(RetryBudgetConfig::new()));
    let breaker = policy.circuit_breaker.expect("it is set");
    assert_eq!(
        breaker.failure_rate_rule(),
        Some(FailureRate::new(0.5, Window::Calls(100), 100))
    );
    assert_eq!(
        (breaker.open_for, breaker.open_for_max),
        (Duration::from_secs(30), None)
    );
    let limit = policy.rate_limit.expect("it is set");
    assert_eq!((limit.rate, limit.burst, limit.max_wait), (1.5, 2, Duration::ZERO));
    assert_eq!(
        policy
            .bulkhead
            .map(|bulkhead| (bulkhead.max_concurrent, bulkhead.max_queue)),
        Some((8, 0))
    );
}

#[test]
fn the_rules_of_a_breaker_combine() {
    let breaker = "circuit_breaker = { consecutive_failures = 5, failure_rate = \"50%\", slow_call = \"200ms\", \
                   slow_rate = 0.8, window = { calls = 100 }, min_calls = 20, failures_window = \"10s\" }";
    let breaker = policy(&[("retry = { max_retries = 2 }", breaker)])
        .circuit_breaker
        .expect("it is set");
    let calls = Window::Calls(100);
    assert_eq!(breaker.consecutive_failures, Some(5));
    assert_eq!(breaker.failure_rate_rule(), Some(FailureRate::new(0.5, calls, 20)));
    assert_eq!(
        breaker.slow_rule(),
        Some(SlowCalls::new(Duration::from_millis(200), 0.8, calls, 20))
    );
    let within = FailuresWithin::new(3, Duration::from_secs(10)).share(1.0);
    assert_eq!(breaker.failures_rule(), Some(within), "the profile's own rule stays");

    let bare = "circuit_breaker = { failures = false, failure_rate = false, consecutive_failures = 3 }";
    let breaker = policy(&[("retry = { max_retries = 2 }", bare)])
        .circuit_breaker
        .expect("it is set");
    assert_eq!((breaker.failures_rule(), breaker.consecutive_failures), (None, Some(3)));

    let idle = "circuit_breaker = { consecutive_failures = 3, failure_share = 0.5 }";
    let idle = read(&changed(&[
        ("profile = \"critical\"\n", ""),
        ("retry = { max_retries = 2 }", idle),
    ]));
    let errors = idle.expect_err("the share is idle");
    assert!(
        errors.contains("circuit_breaker.failure_share` means nothing without `failures`"),
        "{errors}"
    );
}

#[test]
fn a_profile_s_retries_fit_its_total_timeout() {
    for profile in Profile::ALL {
        let name = profile.name();
        let inline = format!("profile = \"{name}\"\n\n[variant.policy]\nretry = {{ jitter_is_not_here = 1 }}");
        let from = "profile = \"critical\"\n\n[variant.policy]\ntimeout = { total = \"3s\", attempt = \"500ms\" }\nretry = { max_retries = 2 }";
        let errors = read(&changed(&[(from, &inline)])).expect_err("an unknown key");
        assert_eq!(errors.matches("error: ").count(), 1, "only the unknown key: {errors}");
    }
}

#[test]
fn the_name_unprotected_is_taken() {
    refused(
        &[("name = \"careful\"", "name = \"unprotected\"")],
        r#"
        error: the name "unprotected" is taken
          --> drill.toml:22:8
           |
        22 | name = "unprotected"
           |        ^^^^^^^^^^^^^ every drill has this variant
           |
           = help: remove this one, or give it another name
        "#,
    );
}

#[test]
fn a_variant_s_name_fits_a_column() {
    refused(
        &[("name = \"careful\"", "name = \"Very Careful\"")],
        r#"
        error: `variant.name` must be of lower-case letters, digits and dashes
          --> drill.toml:22:8
           |
        22 | name = "Very Careful"
           |        ^^^^^^^^^^^^^^ 1 to 20 of them
        "#,
    );
}

#[test]
fn variants_differ_in_name_and_do_something() {
    refused(
        &[("[slo]", "[[variant]]\nname = \"careful\"\n[slo]")],
        r#"
        error: a variant has a `profile`, a `policy`, or both
          --> drill.toml:29:1
           |
        29 | [[variant]]
           | ^^^^^^^^^^^ this one has neither
           |
           = help: add `profile = "critical"` or a table `[variant.policy]`; "unprotected" is there already

        error: two variants have the name "careful"
          --> drill.toml:30:8
           |
        22 | name = "careful"
           |        --------- the first
        ...
        30 | name = "careful"
           |        ^^^^^^^^^
        "#,
    );
}

#[test]
fn a_profile_is_one_of_three() {
    refused(
        &[("profile = \"critical\"", "profile = \"critcal\"\nbaseline = \"yes\"")],
        r#"
        error: `variant.profile` must be "critical", "standard" or "batch"
          --> drill.toml:23:11
           |
        23 | profile = "critcal"
           |           ^^^^^^^^^
           |
           = help: did you mean "critical"?

        error: `variant.baseline` must be true or false
          --> drill.toml:24:12
           |
        24 | baseline = "yes"
           |            ^^^^^ this is text
        "#,
    );
}
