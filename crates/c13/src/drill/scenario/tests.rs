//! What is accepted means what it says, and what is refused is refused in these very words.

use super::dependency::QueueOrder;
use super::fault::Effect;
use super::load::{Arrivals, LoadPoint};
use super::*;
use crate::drill::fake::no_files;
use c13_reliability::budget::RetryBudgetConfig;
use c13_reliability::patterns::circuit_breaker::{FailureRate, FailuresWithin, SlowCalls, Window};
use c13_reliability::patterns::retry::{Jitter, RetryStrategy};
use c13_reliability::policy::document::Ratio;
use c13_reliability::policy::{PolicyConfig, Profile};

/// A scenario that uses every part once.
const VALID: &str = r#"
name = "payments"
duration = "10m"

[load]
rps = 500
deadline = "2s"

[dependency]
name = "payments"
latency = { lognormal = { p50 = "40ms", p99 = "250ms" } }
concurrency = 64
queue = { capacity = 1000 }
overload = { kind = "linear", factor = 1.5 }

[[fault]]
at = "2m"
for = "1m"
kind = "latency"
factor = 8.0

[[variant]]
name = "careful"
profile = "critical"

[variant.policy]
timeout = { total = "3s", attempt = "500ms" }
retry = { max_retries = 2 }

[slo]
availability = ">= 99.0%"
recovery = "<= 60s"
"#;

fn read(text: &str) -> Result<Scenario, String> {
    Scenario::read(Source::new("drill.toml", text), &no_files).map_err(|errors| errors.to_string())
}

/// A service's file, as a scenario finds it.
fn service_file(name: &str) -> Result<Source, String> {
    match name {
        "service.toml" => Ok(Source::new(
            name,
            "[policy.payments]\nextends = \"critical\"\ntimeout.attempt = \"2s\"\n[policy.search]\nbulkhead.max_concurrent = 9\n",
        )),
        "wrong.toml" => Ok(Source::new(name, "[policy.payments]\ntimeout.total = 5\n")),
        _ => Err("there is no such file".to_owned()),
    }
}

fn with_service(text: &str) -> Result<Scenario, String> {
    Scenario::read(Source::new("drill.toml", text), &service_file).map_err(|errors| errors.to_string())
}

/// The scenario's own policy, to be replaced.
const OWN: &str = "profile = \"critical\"\n\n[variant.policy]\ntimeout = { total = \"3s\", attempt = \"500ms\" }\nretry = { max_retries = 2 }";

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

/// The scenario above with some of its text replaced.
fn changed(changes: &[(&str, &str)]) -> String {
    let mut text = VALID.trim_start().to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the scenario has no {from:?}");
        text = text.replacen(from, to, 1);
    }
    text
}

/// Checks what is said of the scenario above with some of its text replaced. The text expected is indented as the code
/// around it is.
#[track_caller]
fn refused(changes: &[(&str, &str)], expected: &str) {
    let lines: Vec<&str> = expected.lines().skip(1).collect();
    let indents = lines.iter().filter(|line| !line.trim().is_empty());
    let indent = indents
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let expected: Vec<&str> = lines.iter().map(|line| line.get(indent..).unwrap_or("")).collect();
    let actual = read(&changed(changes)).expect_err("the scenario is wrong");
    assert_eq!(
        actual.trim_end(),
        expected.join("\n").trim_end(),
        "\n--- actual ---\n{actual}"
    );
}

/// What is read of the scenario above with some of its text replaced.
#[track_caller]
fn accepted(changes: &[(&str, &str)]) -> Scenario {
    read(&changed(changes)).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The policy of the scenario's own variant.
#[track_caller]
fn policy(changes: &[(&str, &str)]) -> PolicyConfig {
    accepted(changes).variants[1].policy.expect("it has a policy")
}

#[test]
fn what_is_written_is_what_is_read() {
    let seconds = Duration::from_secs;
    let scenario = accepted(&[]);
    assert_eq!((scenario.name.as_str(), scenario.duration), ("payments", seconds(600)));
    assert_eq!((scenario.seed, scenario.repeat.get()), (42, 1), "the defaults");
    let shape = vec![LoadPoint {
        at: Duration::ZERO,
        rps: 500.0,
    }];
    assert_eq!(
        scenario.load,
        Load {
            shape,
            arrivals: Arrivals::Poisson,
            instances: NonZeroU32::MIN,
            deadline: seconds(2),
            patience: Patience::Deadline,
            calls: vec![vec![Call::to(0)]],
        }
    );
    let latency = Latency::log_normal(Duration::from_millis(40), Duration::from_millis(250));
    assert_eq!(
        (
            &scenario.dependencies[0].latency,
            scenario.dependencies[0].concurrency.get()
        ),
        (&latency, 64)
    );
    let queue = scenario.dependencies[0].queue.expect("there is one");
    assert_eq!(
        (queue.capacity.get(), queue.order, queue.overload_factor),
        (1_000, QueueOrder::Fifo, 1.5)
    );
    assert!(!queue.abandon);
    let effect = Effect::Slowdown {
        factor: 8.0,
        add: Duration::ZERO,
        ramp: Duration::ZERO,
        share: Ratio::ONE,
    };
    assert_eq!(
        scenario.faults,
        [Fault {
            at: seconds(120),
            length: seconds(60),
            kind: "latency",
            words: "latency ×8".to_owned(),
            dependency: 0,
            on: None,
            keys: Ratio::ONE,
            passes: None,
            table: 0,
            effect
        }]
    );
    assert_eq!(
        (scenario.first_fault_start(), scenario.last_fault_end()),
        (Some(seconds(120)), Some(seconds(180)))
    );
    let variants: Vec<(&str, bool)> = scenario
        .variants
        .iter()
        .map(|variant| (variant.name.as_str(), variant.baseline))
        .collect();
    assert_eq!(variants, [("unprotected", true), ("careful", false)]);
    assert_eq!(scenario.variants[0].policy, None);
    let slo: Vec<(&str, f64, &str)> = scenario
        .slo
        .iter()
        .map(|objective| (objective.goal.name, objective.limit, objective.rule.as_str()))
        .collect();
    assert_eq!(slo, [("availability", 0.99, ">= 99.0%"), ("recovery", 60.0, "<= 60s")]);
}

#[test]
fn everything_can_be_said_in_other_ways() {
    let scenario = accepted(&[
        ("duration = \"10m\"", "duration = \"10m\"\nseed = 7\nrepeat = 3"),
        (
            "rps = 500",
            "arrivals = \"constant\"\ninstances = 20\nshape = [{ at = \"0s\", rps = 0 }, { at = \"1m\", rps = 10.5 }]",
        ),
        (
            "lognormal = { p50 = \"40ms\", p99 = \"250ms\" }",
            "uniform = { min = \"0s\", max = \"2ms\" }",
        ),
        ("capacity = 1000", "capacity = 5, order = \"lifo\""),
        (
            "overload = { kind = \"linear\", factor = 1.5 }",
            "abandon = true\nerror_rate = 0.25",
        ),
        (
            "recovery = \"<= 60s\"",
            "goodput = \">= 0.9\"\np99 = \"<=1.5s\"\namplification = \"<= 1.3\"",
        ),
        (
            "[[variant]]",
            "[[fault]]\nat = \"1m\"\nfor = \"1m\"\nkind = \"latency\"\nfactor = 2\nramp = \"1m\"\n\
             [[fault]]\nat = \"90s\"\nfor = \"1m\"\nkind = \"outage\"\nmode = \"blackhole\"\n\
             [[fault]]\nat = \"80s\"\nfor = \"5m\"\nkind = \"error_rate\"\nrate = \"5%\"\n\
             [[fault]]\nat = \"3m\"\nfor = \"9s\"\nkind = \"capacity\"\nshare = 0.5\n[[variant]]",
        ),
    ]);
    assert_eq!(
        (scenario.seed, scenario.repeat.get(), scenario.load.arrivals),
        (7, 3, Arrivals::Constant)
    );
    assert_eq!((scenario.load.shape.len(), scenario.load.instances.get()), (2, 20));
    let latency = Latency::Uniform { min: 0.0, max: 0.002 };
    assert_eq!(
        (
            &scenario.dependencies[0].latency,
            scenario.dependencies[0].error_rate.value()
        ),
        (&latency, 0.25)
    );
    let queue = scenario.dependencies[0].queue.expect("there is one");
    assert_eq!(
        (queue.order, queue.overload_factor, queue.abandon),
        (QueueOrder::Lifo, 1.0, true)
    );
    let faults: Vec<(u64, &str)> = scenario
        .faults
        .iter()
        .map(|fault| (fault.at.as_secs(), fault.kind))
        .collect();
    let in_order = [
        (60, "latency"),
        (80, "error_rate"),
        (90, "outage"),
        (120, "latency"),
        (180, "capacity"),
    ];
    assert_eq!(faults, in_order, "in the order in which they start");
    let limits: Vec<f64> = scenario.slo.iter().map(|objective| objective.limit).collect();
    assert_eq!(limits, [0.99, 0.9, 1_500.0, 1.3]);
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
fn the_built_in_scenario_is_right_and_has_its_three_variants() {
    let scenario = Scenario::read(Source::new("built-in", Scenario::BUILT_IN), &no_files)
        .unwrap_or_else(|errors| panic!("{errors}"));
    let variants: Vec<(&str, bool)> = scenario
        .variants
        .iter()
        .map(|variant| (variant.name.as_str(), variant.baseline))
        .collect();
    assert_eq!(
        variants,
        [("unprotected", true), ("naive-retry", true), ("critical", false)]
    );
    let naive = scenario.variants[1].policy.expect("it has a policy");
    assert_eq!(naive.circuit_breaker, None, "no breaker");
    let retry = naive.retry.expect("it retries");
    assert_eq!(
        (retry.strategy.backoff_duration(9), retry.jitter, retry.budget),
        (Duration::ZERO, Jitter::None, None),
        "at once"
    );
    assert_eq!(scenario.variants[2].policy, Some(Profile::Critical.config()));
    assert!(!scenario.slo.is_empty());
}

#[test]
fn an_empty_file_is_told_all_that_is_missing() {
    let errors = read("").expect_err("nothing is there");
    for key in ["name", "duration", "load", "dependency"] {
        assert!(
            errors.contains(&format!("error: `{key}` is missing\n --> drill.toml:1:1\n")),
            "{errors}"
        );
    }
}

#[test]
fn a_load_says_how_many_requests_arrive() {
    refused(
        &[("rps = 500\n", "")],
        r#"
        error: `load` says nothing of how many requests arrive
         --> drill.toml:4:1
          |
        4 | [load]
          | ^^^^^^
          |
          = help: add `rps = 500`, or `shape = [{ at = "0s", rps = 500 }, …]`
        "#,
    );
}

#[test]
fn a_load_is_either_constant_or_a_curve() {
    refused(
        &[("rps = 500\n", "rps = 500\nshape = [{ at = \"0s\", rps = 1 }]\n")],
        r#"
        error: `load` has either `rps` or `shape`, not both
         --> drill.toml:6:9
          |
        5 | rps = 500
          |       --- a constant load
        6 | shape = [{ at = "0s", rps = 1 }]
          |         ^^^^^^^^^^^^^^^^^^^^^^^^ a curve
          |
          = help: remove one of the two
        "#,
    );
}

#[test]
fn a_curve_starts_at_zero_and_goes_on_in_time() {
    refused(
        &[(
            "rps = 500\n",
            "shape = [{ at = \"1s\", rps = -1 }, { at = \"0s\", rps = 1, x = 1 }, { at = 2, rps = 1 }]\n",
        )],
        r#"
        error: `load.shape.at` must be "0s" in the first point
         --> drill.toml:5:17
          |
        5 | shape = [{ at = "1s", rps = -1 }, { at = "0s", rps = 1, x = 1 }, { at = 2, rps = 1 }]
          |                 ^^^^

        error: `load.shape.rps` must not be below zero
         --> drill.toml:5:29
          |
        5 | shape = [{ at = "1s", rps = -1 }, { at = "0s", rps = 1, x = 1 }, { at = 2, rps = 1 }]
          |                             ^^

        error: `load.shape.at` must not be earlier than that of the point before
         --> drill.toml:5:42
          |
        5 | shape = [{ at = "1s", rps = -1 }, { at = "0s", rps = 1, x = 1 }, { at = 2, rps = 1 }]
          |                 ---- the point before    ^^^^

        error: unknown key `load.shape.x`
         --> drill.toml:5:57
          |
        5 | shape = [{ at = "1s", rps = -1 }, { at = "0s", rps = 1, x = 1 }, { at = 2, rps = 1 }]
          |                                                         ^ not a key of `load.shape`
          |
          = help: the keys here are at, rps

        error: `load.shape.at` must be a duration in quotes
         --> drill.toml:5:73
          |
        5 | shape = [{ at = "1s", rps = -1 }, { at = "0s", rps = 1, x = 1 }, { at = 2, rps = 1 }]
          |                                                                         ^ this number has no unit
          |
          = help: write "2s" for seconds or "2ms" for milliseconds
        "#,
    );
}

#[test]
fn two_points_at_one_time_are_a_step_and_three_are_not() {
    let step = "shape = [{ at = \"0s\", rps = 10 }, { at = \"1m\", rps = 10 }, { at = \"1m\", rps = 50 }]\n";
    let load = accepted(&[("rps = 500\n", step)]).load;
    assert_eq!(load.expected_requests(Duration::from_secs(120)), 600.0 + 3_000.0);
    refused(
        &[(
            "rps = 500\n",
            "shape = [{ at = \"0s\", rps = 1 }, { at = \"0s\", rps = 2 }, { at = \"0s\", rps = 3 }]\n",
        )],
        r#"
        error: `load.shape` has more than two points at one time
         --> drill.toml:5:65
          |
        5 | shape = [{ at = "0s", rps = 1 }, { at = "0s", rps = 2 }, { at = "0s", rps = 3 }]
          |                                                                 ^^^^ the third
          |
          = help: two are a step from one load to another
        "#,
    );
}

#[test]
fn a_curve_has_a_point() {
    refused(
        &[("rps = 500\n", "shape = []\n")],
        r#"
        error: `load.shape` must have at least one point
         --> drill.toml:5:9
          |
        5 | shape = []
          |         ^^
        "#,
    );
}

#[test]
fn every_wrong_value_of_a_load_is_reported() {
    refused(
        &[
            ("rps = 500\n", "rps = 0\narrivals = \"poison\"\n"),
            ("deadline = \"2s\"", "deadline = \"0s\"\ninstances = 0"),
        ],
        r#"
        error: `load.rps` must be above zero
         --> drill.toml:5:7
          |
        5 | rps = 0
          |       ^

        error: `load.arrivals` must be "poisson" or "constant"
         --> drill.toml:6:12
          |
        6 | arrivals = "poison"
          |            ^^^^^^^^
          |
          = help: did you mean "poisson"?

        error: `load.deadline` must be longer than zero
         --> drill.toml:7:12
          |
        7 | deadline = "0s"
          |            ^^^^

        error: `load.instances` must be a whole number from 1 to 10000
         --> drill.toml:8:13
          |
        8 | instances = 0
          |             ^ too small
        "#,
    );
}

#[test]
fn a_load_sends_enough_to_be_measured() {
    refused(
        &[("rps = 500\n", "rps = 0.0001\n")],
        r#"
        error: the load sends some 0 requests, and a drill takes at least 1000
         --> drill.toml:4:1
          |
        2 | duration = "10m"
          |            ----- the drill lasts this long
        ...
        4 | [load]
          | ^^^^^^
          |
          = help: raise its `rps`, or let the drill last longer: of fewer requests, the slowest hundredth says nothing
        "#,
    );
}

#[test]
fn a_load_sends_no_more_than_can_be_simulated() {
    refused(
        &[("rps = 500\n", "rps = 50000000\n")],
        r#"
        error: the load sends some 3.0e10 requests, and a drill takes at most 1e9
         --> drill.toml:4:1
          |
        2 | duration = "10m"
          |            ----- the drill lasts this long
        ...
        4 | [load]
          | ^^^^^^
          |
          = help: lower its `rps`, or shorten the drill
        "#,
    );
}

#[test]
fn a_drill_and_a_caller_s_patience_are_no_longer_than_is_kept() {
    refused(
        &[
            ("duration = \"10m\"", "duration = \"213503d\""),
            ("rps = 500\n", "rps = 0.0001\n"),
        ],
        r#"
        error: `duration` must be at most 7d
         --> drill.toml:2:12
          |
        2 | duration = "213503d"
          |            ^^^^^^^^^
        "#,
    );
    refused(
        &[("deadline = \"2s\"", "deadline = \"213503d\"")],
        r#"
        error: `load.deadline` must be at most 1d
         --> drill.toml:6:12
          |
        6 | deadline = "213503d"
          |            ^^^^^^^^^
        "#,
    );
}

#[test]
fn a_drill_keeps_no_more_calls_at_once_than_fit_into_memory() {
    let hole = (
        "kind = \"latency\"\nfactor = 8.0",
        "kind = \"outage\"\nmode = \"blackhole\"",
    );
    let retries = "timeout = { total = false, attempt = false }\nretry = { max_retries = 1000000, budget = false }";
    let patient = "timeout = { total = \"20h\" }\nretry = false";
    for (edits, words) in [
        (
            &[
                ("concurrency = 64", "concurrency = 4000000000"),
                ("rps = 500", "rps = 5000"),
            ][..],
            "the dependency may hold some 9.0e6 calls at once, and a drill keeps at most 2e6",
        ),
        (
            &[
                ("capacity = 1000 ", "capacity = 100000000 "),
                ("rps = 500", "rps = 1000000"),
            ],
            "the dependency may hold some 1.0e8 calls at once",
        ),
        (
            &[
                hole,
                ("rps = 500", "rps = 50000"),
                ("deadline = \"2s\"", "patience = \"forever\"\ndeadline = \"2s\""),
            ],
            "some 3.0e6 requests are never answered, and a drill keeps at most 2e6",
        ),
        (
            &[
                ("deadline = \"2s\"", "deadline = \"1d\""),
                (
                    "timeout = { total = \"3s\", attempt = \"500ms\" }\nretry = { max_retries = 2 }",
                    patient,
                ),
                ("rps = 500", "rps = 5000"),
            ],
            "some 3.0e6 callers may wait at once, each for 20h, and a drill keeps at most 2e6",
        ),
        (
            &[(
                "timeout = { total = \"3s\", attempt = \"500ms\" }\nretry = { max_retries = 2 }",
                retries,
            )],
            "a variant may make some",
        ),
    ] {
        let text = edits.iter().fold(VALID.to_owned(), |text, (old, new)| {
            assert!(text.contains(old), "{old}");
            text.replace(old, new)
        });
        let error = read(&text).expect_err(words);
        assert!(error.contains(words), "{words}\n{error}");
    }
    // As large as drills are.
    for edits in [
        &[("capacity = 1000 ", "capacity = 100000000 ")][..],
        &[("concurrency = 64", "concurrency = 100000")],
        &[("deadline = \"2s\"", "deadline = \"1d\"")],
        &[("duration = \"10m\"", "duration = \"7d\"")],
        &[hole],
    ] {
        let text = edits
            .iter()
            .fold(VALID.to_owned(), |text, (old, new)| text.replace(old, new));
        assert!(read(&text).is_ok(), "{:?}", read(&text));
    }
}

#[test]
fn a_drill_has_so_many_faults_and_variants_and_reads_no_more() {
    let faults: String = (0..200)
        .map(|at| {
            format!(
                "[[fault]]\nat = \"{}s\"\nfor = \"1s\"\nkind = \"latency\"\nfactor = 2.0\n",
                10 + at
            )
        })
        .collect();
    let text = VALID.replace(
        "[[fault]]\nat = \"2m\"\nfor = \"1m\"\nkind = \"latency\"\nfactor = 8.0\n",
        &faults,
    );
    let error = read(&text).expect_err("too many faults");
    assert!(error.contains("error: a drill has at most 100 faults"), "{error}");
    assert_eq!(error.matches("error: ").count(), 1, "{error}");

    let asked = std::cell::Cell::new(0);
    let files = |_: &str| {
        asked.set(asked.get() + 1);
        Err("there is none".to_owned())
    };
    let variants: String = (0..2_000)
        .map(|at| format!("[[variant]]\nname = \"v{at}\"\npolicy = \"service.toml#a\"\n"))
        .collect();
    let source = Source::new("drill.toml", VALID.to_owned() + &variants);
    let errors = Scenario::read(source, &files)
        .expect_err("too many variants")
        .to_string();
    assert!(errors.contains("error: a drill has at most 16 variants"), "{errors}");
    assert_eq!(asked.get(), 15, "files are read for no more variants than are allowed");
}

#[test]
fn a_misspelt_key_is_not_ignored() {
    refused(
        &[
            ("rps = 500\n", "shap = 500\n"),
            ("concurrency = 64", "concurency = 64"),
            ("lognormal = {", "lognorml = {"),
        ],
        r#"
        error: `load` says nothing of how many requests arrive
         --> drill.toml:4:1
          |
        4 | [load]
          | ^^^^^^
          |
          = help: add `rps = 500`, or `shape = [{ at = "0s", rps = 500 }, …]`

        error: unknown key `load.shap`
         --> drill.toml:5:1
          |
        5 | shap = 500
          | ^^^^ not a key of `load`
          |
          = help: did you mean `shape`?

        error: unknown key `dependency.latency.lognorml`
          --> drill.toml:10:13
           |
        10 | latency = { lognorml = { p50 = "40ms", p99 = "250ms" } }
           |             ^^^^^^^^ not a key of `dependency.latency`
           |
           = help: did you mean `lognormal`?

        error: unknown key `dependency.concurency`
          --> drill.toml:11:1
           |
        11 | concurency = 64
           | ^^^^^^^^^^ not a key of `dependency`
           |
           = help: did you mean `concurrency`?
        "#,
    );
}

#[test]
fn a_latency_names_a_distribution() {
    refused(
        &[("{ lognormal = { p50 = \"40ms\", p99 = \"250ms\" } }", "{}")],
        r#"
        error: `dependency.latency` names no distribution
          --> drill.toml:10:11
           |
        10 | latency = {}
           |           ^^
           |
           = help: write, for example, `{ lognormal = { p50 = "40ms", p99 = "250ms" } }`
        "#,
    );
}

#[test]
fn a_latency_has_one_distribution() {
    refused(
        &[(
            "{ lognormal = { p50 = \"40ms\", p99 = \"250ms\" } }",
            "{ constant = \"1ms\", uniform = { min = \"1ms\", max = \"2ms\" } }",
        )],
        r#"
        error: `dependency.latency` has one distribution
          --> drill.toml:10:31
           |
        10 | latency = { constant = "1ms", uniform = { min = "1ms", max = "2ms" } }
           |             --------          ^^^^^^^ the second
           |             |
           |             the first
           |
           = help: remove one of the two
        "#,
    );
}

#[test]
fn a_latency_is_a_table() {
    refused(
        &[("{ lognormal = { p50 = \"40ms\", p99 = \"250ms\" } }", "\"40ms\"")],
        r#"
        error: `dependency.latency` must be a table
          --> drill.toml:10:11
           |
        10 | latency = "40ms"
           |           ^^^^^^ this is text
        "#,
    );
}

#[test]
fn percentiles_are_in_order() {
    refused(
        &[("p99 = \"250ms\"", "p99 = \"25ms\"")],
        r#"
        error: `dependency.latency.lognormal.p99` must not be shorter than `p50`
          --> drill.toml:10:47
           |
        10 | latency = { lognormal = { p50 = "40ms", p99 = "25ms" } }
           |                                 ------        ^^^^^^
           |                                 |
           |                                 `p50` is set here
        "#,
    );
}

#[test]
fn what_happens_in_a_queue_needs_one() {
    refused(
        &[("queue = { capacity = 1000 }\n", "abandon = true\n")],
        r#"
        error: `dependency.abandon` needs a queue: without one, no call ever waits
          --> drill.toml:12:11
           |
        12 | abandon = true
           |           ^^^^
           |
           = help: add `queue = { capacity = 1000 }`, or remove this

        error: `dependency.overload` needs a queue: without one, no call ever waits
          --> drill.toml:13:12
           |
        13 | overload = { kind = "linear", factor = 1.5 }
           |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: add `queue = { capacity = 1000 }`, or remove this
        "#,
    );
}

#[test]
fn overload_never_makes_calls_faster() {
    refused(
        &[
            ("factor = 1.5", "factor = 0.5"),
            ("kind = \"linear\"", "kind = \"quadratic\""),
        ],
        r#"
        error: `dependency.overload.kind` must be "linear"
          --> drill.toml:13:21
           |
        13 | overload = { kind = "quadratic", factor = 0.5 }
           |                     ^^^^^^^^^^^

        error: `dependency.overload.factor` must be 1 or more
          --> drill.toml:13:43
           |
        13 | overload = { kind = "quadratic", factor = 0.5 }
           |                                           ^^^
        "#,
    );
}

#[test]
fn the_time_before_the_first_fault_is_measured() {
    refused(
        &[("at = \"2m\"", "at = \"5s\"")],
        r#"
        error: a fault must not start in the first 10s
          --> drill.toml:16:6
           |
        16 | at = "5s"
           |      ^^^^
           |
           = help: recovery is measured by how well calls do before the first fault
        "#,
    );
}

#[test]
fn a_fault_ends_within_the_drill() {
    refused(
        &[("for = \"1m\"", "for = \"10m\"")],
        r#"
        error: the fault ends after the drill
          --> drill.toml:17:7
           |
         2 | duration = "10m"
           |            ----- the drill ends here
        ...
        17 | for = "10m"
           |       ^^^^^ the fault ends at 12m
           |
           = help: let the drill last 12m 10s or longer, or the fault end earlier
        "#,
    );
}

#[test]
fn a_drill_goes_on_long_enough_to_see_a_recovery() {
    refused(
        &[("for = \"1m\"", "for = \"7m 55s\"")],
        r#"
        error: the drill must go on for 10s after the last fault, to see a recovery
          --> drill.toml:17:7
           |
         2 | duration = "10m"
           |            ----- the drill ends here
        ...
        17 | for = "7m 55s"
           |       ^^^^^^^^ the fault ends at 9m 55s
           |
           = help: let the drill last 10m 5s or longer, or the fault end earlier
        "#,
    );
}

#[test]
fn a_fault_has_a_kind() {
    refused(
        &[("kind = \"latency\"", "kind = \"latncy\"")],
        r#"
        error: `fault.kind` must be "error_rate", "latency", "outage", "capacity", "crash", "restart" or "hang"
          --> drill.toml:18:8
           |
        18 | kind = "latncy"
           |        ^^^^^^^^
           |
           = help: did you mean "latency"?
        "#,
    );
}

#[test]
fn a_fault_has_the_keys_of_its_kind() {
    refused(
        &[("kind = \"latency\"", "kind = \"outage\"")],
        r#"
        error: `fault.mode` is missing
          --> drill.toml:15:1
           |
        15 | [[fault]]
           | ^^^^^^^^^ `mode` belongs in this table
           |
           = help: add it, for example `mode = "refuse"`

        error: `fault.factor` belongs to faults of kind "latency"
          --> drill.toml:19:10
           |
        18 | kind = "outage"
           |        -------- this is another kind
        19 | factor = 8.0
           |          ^^^
        "#,
    );
}

#[test]
fn an_outage_has_a_mode() {
    refused(
        &[(
            "kind = \"latency\"\nfactor = 8.0",
            "kind = \"outage\"\nmode = \"black-hole\"",
        )],
        r#"
        error: `fault.mode` must be "refuse" or "blackhole"
          --> drill.toml:19:8
           |
        19 | mode = "black-hole"
           |        ^^^^^^^^^^^^
           |
           = help: did you mean "blackhole"?
        "#,
    );
}

#[test]
fn a_loss_of_capacity_leaves_a_server() {
    refused(
        &[(
            "kind = \"latency\"\nfactor = 8.0",
            "kind = \"capacity\"\nshare = \"0.1%\"",
        )],
        r#"
        error: `fault.share` must leave at least one server
          --> drill.toml:19:9
           |
        19 | share = "0.1%"
           |         ^^^^^^
           |
           = help: for none at all write `kind = "outage"` and `mode = "blackhole"`
        "#,
    );
}

#[test]
fn a_loss_of_capacity_loses_something() {
    refused(
        &[("kind = \"latency\"\nfactor = 8.0", "kind = \"capacity\"\nshare = 1.0")],
        r#"
        error: `fault.share` must be below 1: it is what is left of the servers
          --> drill.toml:19:9
           |
        19 | share = 1.0
           |         ^^^
        "#,
    );
}

#[test]
fn a_ramp_is_no_longer_than_its_fault() {
    refused(
        &[("factor = 8.0", "factor = 1\nramp = \"2m\"")],
        r#"
        error: `fault.factor` must be above 1
          --> drill.toml:19:10
           |
        19 | factor = 1
           |          ^

        error: `fault.ramp` must not be longer than the fault
          --> drill.toml:20:8
           |
        17 | for = "1m"
           |       ---- the fault lasts 1m
        ...
        20 | ramp = "2m"
           |        ^^^^
        "#,
    );
}

#[test]
fn faults_of_one_kind_do_not_overlap() {
    refused(
        &[(
            "factor = 8.0",
            "factor = 8.0\n[[fault]]\nat = \"2m 30s\"\nfor = \"5s\"\nkind = \"latency\"\nfactor = 2\n",
        )],
        r#"
        error: two faults of kind "latency" overlap
          --> drill.toml:20:1
           |
        15 | [[fault]]
           | --------- the other
        ...
        20 | [[fault]]
           | ^^^^^^^^^ starts before the other is over
        "#,
    );
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

#[test]
fn objectives_judge_somebody() {
    refused(
        &[("profile = \"critical\"", "profile = \"critical\"\nbaseline = true")],
        r#"
        error: the objectives judge no variant: all are baselines
          --> drill.toml:30:1
           |
        30 | [slo]
           | ^^^^^
           |
           = help: add a [[variant]] without `baseline = true`
        "#,
    );
}

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

#[test]
fn an_objective_points_the_right_way() {
    refused(
        &[("\">= 99.0%\"", "\"<= 99.0%\""), ("\"<= 60s\"", "\"< 60s\"")],
        r#"
        error: `slo.availability` must be a floor in quotes, such as ">= 99.0%"
          --> drill.toml:30:17
           |
        30 | availability = "<= 99.0%"
           |                 ^^ this is a ceiling, but more is better
           |
           = help: write ">= 99.0%"

        error: `slo.recovery` must be a ceiling in quotes, such as "<= 60s"
          --> drill.toml:31:13
           |
        31 | recovery = "< 60s"
           |             ^ write it as >= or <=
           |
           = help: write "<= 60s"
        "#,
    );
}

#[test]
fn an_objective_has_a_limit_of_its_kind() {
    refused(
        &[
            ("\">= 99.0%\"", "\"99.0%\""),
            (
                "\"<= 60s\"",
                "\"<= 60\"\np99 = \"<= 0s\"\namplification = \"<= x\"\ngoodput = \">= 101%\"\np98 = 3",
            ),
        ],
        r#"
        error: `slo.availability` must be a floor in quotes, such as ">= 99.0%"
          --> drill.toml:30:16
           |
        30 | availability = "99.0%"
           |                ^^^^^^^ this says neither >= nor <=
           |
           = help: write ">= 99.0%"

        error: `slo.recovery` must be a ceiling in quotes, such as "<= 60s"
          --> drill.toml:31:16
           |
        31 | recovery = "<= 60"
           |                ^^ a duration needs a unit

        error: `slo.p99` must be a ceiling in quotes, such as "<= 800ms"
          --> drill.toml:32:11
           |
        32 | p99 = "<= 0s"
           |           ^^ a limit of zero cannot be met

        error: `slo.amplification` must be a ceiling in quotes, such as "<= 1.3"
          --> drill.toml:33:21
           |
        33 | amplification = "<= x"
           |                     ^ a number above zero belongs here

        error: `slo.goodput` must be a floor in quotes, such as ">= 95%"
          --> drill.toml:34:15
           |
        34 | goodput = ">= 101%"
           |               ^^^^ a ratio is from 0 to 1, or from "0%" to "100%"

        error: unknown key `slo.p98`
          --> drill.toml:35:1
           |
        35 | p98 = 3
           | ^^^ not a key of `slo`
           |
           = help: did you mean `p99`?
        "#,
    );
}

#[test]
fn a_missed_objective_shows_within_the_drill() {
    refused(
        &[("\"<= 60s\"", "\"<= 8m\"")],
        r#"
        error: the drill ends before this objective can be missed
          --> drill.toml:31:12
           |
         2 | duration = "10m"
           |            ----- the drill ends here
        ...
        31 | recovery = "<= 8m"
           |            ^^^^^^^ counted from 3m, when the last fault is over
           |
           = help: recovery shows in a window of 10s: let the drill last 11m 10s or longer
        "#,
    );
}

#[test]
fn no_objectives_are_no_table_of_them() {
    refused(
        &[("availability = \">= 99.0%\"\nrecovery = \"<= 60s\"\n", "")],
        r#"
        error: `slo` has no objective
          --> drill.toml:29:1
           |
        29 | [slo]
           | ^^^^^
           |
           = help: write, for example, `availability = ">= 99.0%"`
        "#,
    );
}

#[test]
fn recovery_needs_a_fault() {
    refused(
        &[(
            "\n[[fault]]\nat = \"2m\"\nfor = \"1m\"\nkind = \"latency\"\nfactor = 8.0\n",
            "",
        )],
        r#"
        error: `slo.recovery` needs a fault to recover from
          --> drill.toml:25:12
           |
        25 | recovery = "<= 60s"
           |            ^^^^^^^^
           |
           = help: add a [[fault]], or remove this objective
        "#,
    );
}

#[test]
fn syntax_errors_and_the_rest_come_together() {
    refused(
        &[
            ("duration = \"10m\"", "duration = 10m"),
            ("rps = 500\n", "rps 500\n"),
            ("capacity = 1000", "capacity = 0"),
        ],
        r#"
        error: `10m` is no value: text stands in quotes
         --> drill.toml:2:12
          |
        2 | duration = 10m
          |            ^^^
          |
          = help: write "10m"

        error: this is not TOML: key with no value, expected `=`
         --> drill.toml:5:5
          |
        5 | rps 500
          |     ^

        error: `dependency.queue.capacity` must be a whole number from 1 to 4294967295
          --> drill.toml:12:22
           |
        12 | queue = { capacity = 0 }
           |                      ^ too small
        "#,
    );
}
