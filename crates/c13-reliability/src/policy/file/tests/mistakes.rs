//! What somebody who slips is told: once, at the place, by the policy's name, and with a way out.

use super::*;

/// Reads a file with variables and settings of the command line.
fn overlaid(text: &str, variables: &[(&str, &str)], sets: &[&str]) -> String {
    let files = PolicyFiles::new().file(Source::new("service.toml", text));
    let files = variables
        .iter()
        .fold(files, |files, (name, value)| files.variable(name, value));
    let files = sets.iter().fold(files, |files, set| files.set(set));
    files
        .read()
        .map_or_else(|errors| errors.to_string(), |_| "all right".to_owned())
}

const PAYMENTS: &str = "[policy.payments]\nextends = \"critical\"\n";

#[test]
fn a_variable_does_not_stand_in_for_a_file_that_was_cut_off() {
    let variable = [("C13__POLICY__PAYMENTS__TIMEOUT__TOTAL", "29s")];
    assert_eq!(overlaid(PAYMENTS, &variable, &[]), "all right");
    assert_text(
        &overlaid("", &variable, &["policy.payments.retry=false"]),
        r#"
        error: the file is empty
         --> service.toml:1:1
          = help: if that is meant, write a comment into it; a file that was cut off while it was written changes nothing
    "#,
    );
}

#[test]
fn a_variable_and_a_setting_are_about_policies_that_are_there() {
    assert_text(
        &overlaid(
            PAYMENTS,
            &[("C13__POLICY__PAYMENT__TIMEOUT__TOTAL", "8s")],
            &["policy.serch.timeout.total=8s"],
        ),
        r#"
        error: no file and no code names a policy `payment`
         --> C13__POLICY__PAYMENT__TIMEOUT__TOTAL:1:8
          |
        1 | policy.payment.timeout.total = "8s"
          |        ^^^^^^^
          |
          = help: did you mean `payments`?

        error: no file and no code names a policy `serch`
         --> --set:1:8
          |
        1 | policy.serch.timeout.total = "8s"
          |        ^^^^^
          |
          = help: the policies are payments
    "#,
    );
}

#[test]
fn a_comment_and_a_variable_name_no_policy() {
    assert_text(
        &overlaid("# later\n", &[("C13__POLICY__A__TIMEOUT__TOTAL", "8s")], &[]),
        r#"
        error: no file and no code names a policy `a`
         --> C13__POLICY__A__TIMEOUT__TOTAL:1:8
          |
        1 | policy.a.timeout.total = "8s"
          |        ^
          |
          = help: add a table `[policy.a]` to a file
    "#,
    );
}

#[test]
fn a_file_of_a_comment_changes_nothing() {
    let files = PolicyFiles::new()
        .code("a", PolicyConfig::NONE.total_timeout(SECOND))
        .file(Source::new("service.toml", "# nothing\n"))
        .variable("C13__POLICY__A__TIMEOUT__TOTAL", "2s");
    let set = files.read().unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(set.policy("a").and_then(|a| a.config().total_timeout), Some(2 * SECOND));
}

#[test]
fn a_variable_whose_name_is_nearly_ours_is_refused_and_others_are_ignored() {
    let variables = [
        ("C13__POLCY__PAYMENTS__RETRY", "false"),
        ("C13__DEFAULT__TIMEOUT__TOTAL", "1s"),
        ("C13__OTHER", "1"),
        ("C13__PORT", "80"),
    ];
    assert_text(
        &overlaid(PAYMENTS, &variables, &[]),
        r#"
        error: unknown key `polcy`
         --> C13__POLCY__PAYMENTS__RETRY:1:1
          |
        1 | polcy.payments.retry = false
          | ^^^^^
          |
          = help: did you mean `C13__POLICY__PAYMENTS__RETRY`?

        error: unknown key `default`
         --> C13__DEFAULT__TIMEOUT__TOTAL:1:1
          |
        1 | default.timeout.total = "1s"
          | ^^^^^^^
          |
          = help: did you mean `C13__DEFAULTS__TIMEOUT__TOTAL`?
    "#,
    );
}

const A_B: &str = "[policy.a-b]\nextends = \"critical\"\n";

#[test]
fn a_variable_that_lacks_an_underscore_or_is_in_small_letters_is_told_its_name() {
    for (name, meant) in [
        ("C13_POLICY__A_B__TIMEOUT__TOTAL", "C13__POLICY__A_B__TIMEOUT__TOTAL"),
        ("C13_POLICY_A_B__TIMEOUT__TOTAL", "C13__POLICY__A_B__TIMEOUT__TOTAL"),
        ("C13__POLICY_A_B__TIMEOUT__TOTAL", "C13__POLICY__A_B__TIMEOUT__TOTAL"),
        ("C13__POLICY_A_B_TIMEOUT", "C13__POLICY__A_B_TIMEOUT"),
        ("c13__policy__a_b__timeout__total", "C13__POLICY__A_B__TIMEOUT__TOTAL"),
        ("C13__POLICIES__A_B__TIMEOUT__TOTAL", "C13__POLICY__A_B__TIMEOUT__TOTAL"),
        ("C13_POLICIES__A_B__TIMEOUT__TOTAL", "C13__POLICY__A_B__TIMEOUT__TOTAL"),
        ("C13_DEFAULTS__TIMEOUT__TOTAL", "C13__DEFAULTS__TIMEOUT__TOTAL"),
        ("C13__DEFAULTS_TIMEOUT__TOTAL", "C13__DEFAULTS__TIMEOUT__TOTAL"),
    ] {
        let said = overlaid(A_B, &[(name, "8s")], &[]);
        let help = format!("= help: did you mean `{meant}`?");
        assert!(said.starts_with("error: ") && said.contains(&help), "{name}: {said}");
        assert!(said.contains(&format!(" --> {name}:1:1\n")), "{name}: {said}");
    }
    for name in [
        "C13_STATE_DIR",
        "C13_TEST_REDIS",
        "C13_LOCK_FENCE",
        "C13_POLICY_FILE",
        "C13_TEST__POLICY",
        "C13POLICY__A_B",
        "C13__PORT",
        "OTHER_C13__POLICY__A_B",
    ] {
        assert_eq!(overlaid(A_B, &[(name, "8s")], &[]), "all right", "{name}");
    }
}

#[test]
fn two_variables_that_differ_by_the_size_of_letters_are_refused() {
    let large = ("C13__POLICY__A_B__TIMEOUT__TOTAL", "31s");
    assert_text(
        &overlaid(A_B, &[large, ("C13__POLICY__a_b__TIMEOUT__TOTAL", "32s")], &[]),
        r#"
        error: the variable `C13__POLICY__A_B__TIMEOUT__TOTAL` sets this too
         --> C13__POLICY__a_b__TIMEOUT__TOTAL:1:1
          |
        1 | policy.a-b.timeout.total = "32s"
          | ^^^^^^^^^^^^^^^^^^^^^^^^ set twice
          |
          = help: unset one of the two
    "#,
    );
    let again = (large.0, "32s");
    assert_eq!(overlaid(A_B, &[large, again], &[]), "all right", "the later one counts");
}

#[test]
fn an_empty_variable_is_told_by_the_policy_s_own_name() {
    assert_text(
        &overlaid(A_B, &[("C13__POLICY__A_B__TIMEOUT__TOTAL", "")], &[]),
        r#"
        error: the variable is empty
         --> C13__POLICY__A_B__TIMEOUT__TOTAL:1:28
          |
        1 | policy.a-b.timeout.total = ""
          |                            ^^
          |
          = help: unset it, or give it a value
    "#,
    );
}

#[test]
fn a_variable_that_may_be_two_policies_is_refused() {
    let text = "[policy.a-b]\nextends = \"batch\"\n[policy.a_b]\nextends = \"batch\"\n";
    assert_text(
        &overlaid(text, &[("C13__POLICY__A_B__RETRY", "false")], &[]),
        r#"
        error: `a_b` may be the policy `a-b` or the policy `a_b`
         --> C13__POLICY__A_B__RETRY:1:8
          |
        1 | policy.a_b.retry = false
          |        ^^^
          |
          = help: a policy's dashes are underscores in a variable's name: rename one of the two, or write the setting into a file or after --set
    "#,
    );
}

#[test]
fn a_setting_that_is_none_is_told_in_words() {
    let sets = [
        "",
        "policy.payments.retry",
        "=5",
        "policy.payments.retry=",
        "payments.timeout.total=6s",
        "policy.payments={timeout={total=6s}}",
    ];
    assert_text(
        &overlaid(PAYMENTS, &[("C13__POLICY__PAYMENTS__RETRY__MAX_RETRIES", " ")], &sets),
        r#"
        error: unknown key `payments`
         --> --set:1:1
          |
        1 | payments.timeout.total = "6s"
          | ^^^^^^^^
          |
          = help: write `policy.payments.timeout.total`

        error: the variable is empty
         --> C13__POLICY__PAYMENTS__RETRY__MAX_RETRIES:1:37
          |
        1 | policy.payments.retry.max_retries = ""
          |                                     ^^
          |
          = help: unset it, or give it a value

        error: there is no setting after `--set`
         --> --set:1:1
          = help: write, for example, `--set policy.payments.timeout.total=800ms`

        error: a setting is a path, `=` and a value
         --> --set:1:1
          |
        1 | policy.payments.retry
          | ^^^^^^^^^^^^^^^^^^^^^ there is no `=`
          |
          = help: write, for example, `--set policy.payments.timeout.total=800ms`

        error: a setting is a path, `=` and a value
         --> --set:1:1
          |
        1 | =5
          | ^^ there is no path before the `=`
          |
          = help: write, for example, `--set policy.payments.timeout.total=800ms`

        error: a setting is a path, `=` and a value
         --> --set:1:1
          |
        1 | policy.payments.retry=
          | ^^^^^^^^^^^^^^^^^^^^^^ there is no value after the `=`
          |
          = help: write, for example, `--set policy.payments.timeout.total=800ms`

        error: `6s` is no value: text stands in quotes
         --> --set:1:35
          |
        1 | policy.payments = {timeout={total=6s}}
          |                                   ^^
          |
          = help: write "6s"
    "#,
    );
}

#[test]
fn extends_belongs_in_a_policy() {
    assert_text(
        &overlaid(
            "[defaults]\nextends = \"critical\"\n[policy.a]\nextends = \"batch\"\n",
            &[],
            &[],
        ),
        r#"
        error: unknown key `defaults.extends`
         --> service.toml:2:1
          |
        2 | extends = "critical"
          | ^^^^^^^ not a key of `defaults`
          |
          = help: each policy says by itself what it extends: `extends` belongs in `[policy.NAME]`
    "#,
    );
}

#[test]
fn a_policy_at_the_top_is_shown_its_place() {
    assert_text(
        &overlaid(
            "[payments]\ntimeout.total = \"1s\"\n[retry]\nmax_retries = 2\n",
            &[],
            &[],
        ),
        r#"
        error: unknown key `payments`
         --> service.toml:1:2
          |
        1 | [payments]
          |  ^^^^^^^^
          |
          = help: write `[policy.payments]`

        error: unknown key `retry`
         --> service.toml:3:2
          |
        3 | [retry]
          |  ^^^^^
          |
          = help: write `[policy.NAME.retry]` for one policy, or `[defaults.retry]` for each
    "#,
    );
}

#[test]
fn a_list_of_policies_is_one_mistake() {
    assert_text(
        &overlaid("[[policy]]\nname = \"a\"\ntimeout.total = \"1s\"\n", &[], &[]),
        r#"
        error: `policy` must be a table
         --> service.toml:1:1
          |
        1 | [[policy]]
          | ^^^^^^^^^^ this is a list
          |
          = help: write `[policy.NAME]`, with the name of what is called
    "#,
    );
}

#[test]
fn a_misspelt_key_is_not_missing_as_well() {
    assert_text(
        &overlaid(
            "[policy.a]\nretry.max_retry = 2\nbulkhead.max_concurent = 5\ncircuit_breaker.failure_rat = 0.5\n",
            &[],
            &[],
        ),
        r#"
        error: unknown key `policy.a.retry.max_retry`
         --> service.toml:2:7
          |
        2 | retry.max_retry = 2
          |       ^^^^^^^^^ not a key of `policy.a.retry`
          |
          = help: did you mean `max_retries`?

        error: unknown key `policy.a.bulkhead.max_concurent`
         --> service.toml:3:10
          |
        3 | bulkhead.max_concurent = 5
          |          ^^^^^^^^^^^^^ not a key of `policy.a.bulkhead`
          |
          = help: did you mean `max_concurrent`?

        error: unknown key `policy.a.circuit_breaker.failure_rat`
         --> service.toml:4:17
          |
        4 | circuit_breaker.failure_rat = 0.5
          |                 ^^^^^^^^^^^ not a key of `policy.a.circuit_breaker`
          |
          = help: did you mean `failure_rate`?
    "#,
    );
}

#[test]
fn a_circle_is_told_once_however_many_lead_into_it() {
    assert_text(
        &overlaid(
            "[policy.x]\nextends = \"a\"\n[policy.y]\nextends = \"x\"\n[policy.a]\nextends = \"b\"\n[policy.b]\nextends = \"a\"\n",
            &[],
            &[],
        ),
        r#"
        error: `policy.a` extends itself
         --> service.toml:6:11
          |
        6 | extends = "b"
          |           ^^^ a → b → a
        ...
        8 | extends = "a"
          |           --- `b` is in the circle
    "#,
    );
}

#[test]
fn a_missing_window_names_its_rules() {
    assert_text(
        &overlaid(
            "[policy.a]\ncircuit_breaker = { failures = 5, slow_call = \"1s\" }\n",
            &[],
            &[],
        ),
        r#"
        error: `policy.a.circuit_breaker.window` is missing
         --> service.toml:2:19
          |
        2 | circuit_breaker = { failures = 5, slow_call = "1s" }
          |                   ^^--------^^^^^^---------^^^^^^^^^
          |                   | |             |
          |                   | |             this rule asks for it
          |                   | this rule asks for it
          |                   `window` belongs in this table
          |
          = help: add it, for example `window = "30s"`
    "#,
    );
    assert_text(
        &overlaid(
            "[policy.a]\ncircuit_breaker = { failure_rate = 0.5, window = \"30s\" }\n",
            &[],
            &[],
        ),
        r#"
        error: `policy.a.circuit_breaker.min_calls` is missing
         --> service.toml:2:19
          |
        2 | circuit_breaker = { failure_rate = 0.5, window = "30s" }
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
fn a_contradiction_of_the_defaults_is_told_once_with_its_policies() {
    let text = "[defaults.timeout]\ntotal = \"1s\"\nattempt = \"2s\"\n[policy.a]\n[policy.b]\n[policy.c]\n[policy.d]\n";
    assert_text(
        &overlaid(text, &[], &[]),
        r#"
        error: in policies `a`, `b`, `c` and 1 more, `defaults.timeout.attempt` must not be longer than `timeout.total`
         --> service.toml:3:11
          |
        2 | total = "1s"
          |         ---- the whole call may take this long
        3 | attempt = "2s"
          |           ^^^^ each attempt may take 2s
          |
          = help: lower `timeout.attempt` to 1s or less, or raise `timeout.total` to 2s or more
    "#,
    );
}

#[test]
fn a_contradiction_within_a_profile_s_values_shows_who_extends_it() {
    let text = "[policy.a]\nextends = \"critical\"\nretry.backoff = { base = \"5s\", max = \"9s\" }\n";
    assert_text(
        &overlaid(text, &[], &[]),
        r#"
        error: in policy `a`, the retries cannot fit into the total timeout
         --> service.toml:2:11
          |
        2 | extends = "critical"
          |           ^^^^^^^^^^ `a` has it from the profile critical
         ::: the profile critical
          |
          | timeout.attempt = "7s"
          |                   ---- each attempt may take this long
         ::: the profile critical
          |
          | timeout.total = "30s"
          |                 ----- the whole call ends here
         ::: the profile critical
          |
          | retry.max_retries = 3
          |                     - 4 attempts of 7s and 23s of waits are 51s
          |
          = help: lower `retry.max_retries` to 1, or raise `timeout.total` to 51s or more
    "#,
    );
}

#[test]
fn the_limit_that_is_inherited_is_the_one_to_switch_off() {
    let text = "[policy.a]\nadaptive.max_limit = 50\n[policy.b]\nextends = \"a\"\nbulkhead.max_concurrent = 5\n";
    assert_text(
        &overlaid(text, &[], &[]),
        r#"
        error: in policy `b`, there is a bulkhead or an adaptive limit, and not both
         --> service.toml:2:1
          |
        2 | adaptive.max_limit = 50
          | ^^^^^^^^
        ...
        5 | bulkhead.max_concurrent = 5
          | -------- this bounds the calls in flight too
          |
          = help: write `adaptive = false` into this policy: it has that limit from elsewhere
    "#,
    );
}

#[test]
fn examples_are_such_as_one_would_write() {
    assert_text(
        &overlaid("[policy.a]\nretry.backoff.base = \"1s\"\n", &[], &[]),
        r#"
        error: `policy.a.retry.max_retries` is missing
         --> service.toml:2:1
          |
        2 | retry.backoff.base = "1s"
          | ^^^^^ `max_retries` belongs in this table
          |
          = help: add it, for example `max_retries = 2`
    "#,
    );
}

/// The first line of each error, and where it is.
fn told(text: &str, sets: &[&str]) -> Vec<String> {
    let said = overlaid(text, &[], sets);
    let lines = said
        .lines()
        .filter(|line| line.starts_with("error: ") || line.starts_with(" --> "));
    lines
        .map(|line| {
            line.trim_start_matches("error: ")
                .trim_start_matches(" --> ")
                .to_owned()
        })
        .collect()
}

#[test]
fn a_value_that_is_wrong_is_told_even_where_another_layer_hides_it() {
    for (text, sets, wanted) in [
        (
            "[defaults]\ntimeout = true\n[policy.a]\ntimeout.total = \"5s\"\n",
            &[][..],
            [
                "`defaults.timeout` must be a table, or false to switch it off",
                "service.toml:2:11",
            ],
        ),
        (
            "[defaults]\nretry.max_retries = -5\n[policy.a]\nretry.max_retries = 1\n",
            &[],
            [
                "`defaults.retry.max_retries` must be a whole number from 0 to 4294967295",
                "service.toml:2:21",
            ],
        ),
        (
            "[policy.a]\ntimeout.total = 5\n",
            &["policy.a.timeout.total=5s"],
            [
                "`policy.a.timeout.total` must be a duration in quotes",
                "service.toml:2:17",
            ],
        ),
        (
            "[policy.a]\nretry.max_retries = \"1\"\n",
            &["policy.a.retry=false"],
            [
                "`policy.a.retry.max_retries` must be a whole number from 0 to 4294967295",
                "service.toml:2:21",
            ],
        ),
        (
            "[policy.a]\ntimeout.total = \"5s\"\n",
            &["defaults.timeout=true"],
            [
                "`defaults.timeout` must be a table, or false to switch it off",
                "--set:1:20",
            ],
        ),
    ] {
        assert_eq!(told(text, sets), wanted, "{text}{sets:?}");
    }
    // What is wrong only beside something else is not, where that is hidden.
    let text = "[defaults]\nretry.backoff.max = \"50ms\"\nadaptive.alpha = 2\ncircuit_breaker.failure_share = 0.5\n\
        [policy.a]\nretry = { max_retries = 1, backoff.base = \"10ms\" }\nadaptive.strategy = \"vegas\"\n\
        circuit_breaker = { failures = 5, window = \"10s\" }\n";
    assert_eq!(told(text, &[]), [""; 0]);
}

#[test]
fn a_policy_that_extends_nothing_hides_no_other_mistake() {
    let text = "[policy.a]\nextends = \"critcal\"\ntiemout.total = 3\nretry.max_retries = \"x\"\n\
        [policy.b]\nextends = \"a\"\nhegde.delay = false\n[defaults]\nbulkhead.max_concurrent = true\n";
    let told = told(text, &[]);
    let places: Vec<&str> = told.iter().skip(1).step_by(2).map(String::as_str).collect();
    assert_eq!(
        places,
        [
            "service.toml:2:11",
            "service.toml:3:1",
            "service.toml:4:21",
            "service.toml:7:1",
            "service.toml:9:27"
        ],
        "{told:?}"
    );
    let nobody = "[defaults]\nbulkhead.max_concurrent = true\n";
    assert_eq!(told_places(nobody), ["service.toml:1:1", "service.toml:2:27"]);
}

#[test]
fn a_value_of_the_wrong_shape_is_one_mistake() {
    for (text, place) in [
        ("[policy.a]\ntimeout.total.seconds = 5\n", "service.toml:2:9"),
        ("[[policy.a]]\ntimeout.total = \"5s\"\n", "service.toml:1:1"),
        ("[policy.c\ntimeout.total = \"5s\"\n", "service.toml:1:10"),
    ] {
        assert_eq!(told_places(text), [place], "{text}");
    }
}

fn told_places(text: &str) -> Vec<String> {
    told(text, &[]).into_iter().skip(1).step_by(2).collect()
}

#[test]
fn a_probe_may_take_as_long_as_an_attempt() {
    let text = "[policy.a]\nextends = \"critical\"\ncircuit_breaker.half_open_timeout = \"5s\"\n";
    assert_text(
        &overlaid(text, &[], &["policy.a.timeout.attempt=6s"]),
        r#"
        error: `policy.a.circuit_breaker.half_open_timeout` must not be shorter than `timeout.attempt`, which a probe may take
         --> service.toml:3:37
          |
        3 | circuit_breaker.half_open_timeout = "5s"
          |                                     ^^^^ a probe is given up after 5s
         ::: --set:1:28
          |
        1 | policy.a.timeout.attempt = "6s"
          |                            ---- and may take this long
          |
          = help: raise `circuit_breaker.half_open_timeout` to 6s or more, or leave it out: it is 6s then
    "#,
    );
    assert_eq!(overlaid(text, &[], &["policy.a.timeout.attempt=5s"]), "all right");
    let day = text.replace("5s", "1d");
    assert_eq!(
        overlaid(&day, &[], &["policy.a.timeout.attempt=2d", "policy.a.timeout.total=9d"]),
        "all right"
    );
    let set = PolicyFiles::new().file(Source::new("service.toml", PAYMENTS)).read();
    let set = set.unwrap_or_else(|errors| panic!("{errors}"));
    let probe = set
        .policy("payments")
        .and_then(|policy| policy.setting("circuit_breaker.half_open_timeout"));
    let probe = probe.expect("the profile has a breaker");
    assert_eq!(
        (probe.value.as_str(), probe.origin().as_str()),
        ("\"7s\"", "default"),
        "what applies is told"
    );
}

#[test]
fn waits_and_slow_calls_end_before_the_call_does() {
    let text = "[policy.a]\ntimeout = { total = \"2s\", attempt = \"1s\" }\nbulkhead = { max_concurrent = 1, max_queue = 1, max_wait = \"3s\" }\n\
                rate_limit = { rate = \"5/s\", max_wait = \"2001ms\" }\n\
                circuit_breaker = { slow_call = \"1s\", window = { calls = 20 } }\n";
    assert_text(
        &overlaid(text, &[], &[]),
        r#"
        error: `policy.a.bulkhead.max_wait` must not be longer than `timeout.total`
         --> service.toml:3:60
          |
        2 | timeout = { total = "2s", attempt = "1s" }
          |                     ---- and has ended by then
        3 | bulkhead = { max_concurrent = 1, max_queue = 1, max_wait = "3s" }
          |                                                            ^^^^ a call may wait for 3s
          |
          = help: lower `bulkhead.max_wait` to 2s or less, or raise `timeout.total` to 3s or more

        error: `policy.a.rate_limit.max_wait` must not be longer than `timeout.total`
         --> service.toml:4:41
          |
        2 | timeout = { total = "2s", attempt = "1s" }
          |                     ---- and has ended by then
        ...
        4 | rate_limit = { rate = "5/s", max_wait = "2001ms" }
          |                                         ^^^^^^^^ a call may wait for 2.001s
          |
          = help: lower `rate_limit.max_wait` to 2s or less, or raise `timeout.total` to 2.001s or more

        error: `policy.a.circuit_breaker.slow_call` must be shorter than `timeout.attempt`
         --> service.toml:5:33
          |
        2 | timeout = { total = "2s", attempt = "1s" }
          |                                     ---- it is cut off by then
        ...
        5 | circuit_breaker = { slow_call = "1s", window = { calls = 20 } }
          |                                 ^^^^ no call comes to an end after 1s
          |
          = help: lower `circuit_breaker.slow_call` below 1s, or raise `timeout.attempt` above 1s
    "#,
    );
    let right = "[policy.a]\ntimeout = { total = \"2s\", attempt = \"1s\" }\nadaptive = { max_queue = 1, max_wait = \"2s\" }\n\
                 circuit_breaker = { slow_call = \"999ms\", window = { calls = 20 } }\n";
    assert_eq!(overlaid(right, &[], &[]), "all right");
}

#[test]
fn one_of_two_timeouts_can_be_switched_off() {
    let text = "[policy.a]\nextends = \"critical\"\ntimeout.attempt = false\n[policy.b]\nextends = \"critical\"\ntimeout.total = false\n";
    let set = set(&[("service.toml", text)]).unwrap_or_else(|errors| panic!("{errors}"));
    let config = |name: &str| set.policy(name).expect("it is named").config();
    let critical = Profile::Critical.config();
    assert_eq!(config("a").total_timeout, critical.total_timeout);
    assert_eq!(config("a").attempt_timeout, None);
    assert_eq!(config("b").total_timeout, None);
    assert_eq!(config("b").attempt_timeout, critical.attempt_timeout);
}

#[test]
fn a_part_of_the_defaults_that_cannot_stand_alone_switches_nothing_on() {
    let text = "[defaults.retry]\nbackoff.base = \"7ms\"\n[defaults.circuit_breaker]\nopen_for = \"3s\"\n\
                [policy.plain]\ntimeout.total = \"1s\"\n\
                [policy.retrying]\nretry.max_retries = 1\n\
                [policy.derived]\nextends = \"retrying\"\n\
                [policy.off]\nextends = \"retrying\"\nretry = false\n";
    let set = set(&[("service.toml", text)]).unwrap_or_else(|errors| panic!("{errors}"));
    let config = |name: &str| set.policy(name).expect("it is named").config();
    assert_eq!(config("plain"), PolicyConfig::NONE.total_timeout(SECOND));
    for name in ["retrying", "derived"] {
        let base = config(name)
            .retry
            .map(|retry| retry.strategy.longest() >= 7 * MS && retry.max_retries == 1);
        assert_eq!(base, Some(true), "{name}");
        let origin = set.policy(name).and_then(|policy| policy.setting("retry.backoff.base"));
        assert_eq!(
            origin.map(Setting::origin).as_deref(),
            Some("service.toml:2:16"),
            "{name}"
        );
    }
    assert_eq!(config("off").retry, None);
}

#[test]
fn a_mistake_in_a_part_that_switches_nothing_on_is_told_all_the_same() {
    assert_text(
        &overlaid(
            "[defaults]\nbulkhead.max_concurent = 5\nretry.backoff.base = 5\n[policy.a]\ntimeout.total = \"1s\"\n[policy.b]\nretry.max_retries = 1\n",
            &[],
            &[],
        ),
        r#"
        error: unknown key `defaults.bulkhead.max_concurent`
         --> service.toml:2:10
          |
        2 | bulkhead.max_concurent = 5
          |          ^^^^^^^^^^^^^ not a key of `defaults.bulkhead`
          |
          = help: did you mean `max_concurrent`?

        error: `defaults.retry.backoff.base` must be a duration in quotes
         --> service.toml:3:22
          |
        3 | retry.backoff.base = 5
          |                      ^ this number has no unit
          |
          = help: write "5s" for seconds or "5ms" for milliseconds
    "#,
    );
}

#[test]
fn a_long_chain_of_policies_is_read() {
    let links = 300;
    let mut text = "[policy.p0]\nextends = \"batch\"\n".to_owned();
    for link in 1..links {
        text += &format!("[policy.p{link}]\nextends = \"p{}\"\n", link - 1);
    }
    let set = set(&[("service.toml", &text)]).unwrap_or_else(|errors| panic!("{errors}"));
    let last = set.policy(&format!("p{}", links - 1)).expect("it is named");
    assert_eq!(last.config(), Profile::Batch.config());
}
