//! What is accepted means what it says, and what is refused is refused in these very words.

mod dependency;
mod fault;
mod load;
mod objective;
mod policy;
mod size;
mod variant;

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
