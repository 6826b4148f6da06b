//! What is said before a drill runs: signs that a scenario does not say what its author meant. One row a sign.

use std::time::Duration;

use c13_reliability::patterns::hedge::HedgeDelay;
use c13_reliability::policy::PolicyConfig;
use c13_reliability::policy::document::duration_text;

use super::engine::{LEAST_CALLS, WINDOW_CALLS};
use super::figures_text::{count, per_second, percent_to};
use super::scenario::{Dependency, Effect, Fault, Protection, Scenario, Variant, WINDOW};

/// Looks for one sign; each finding is one line.
type Sign = fn(&Scenario) -> Vec<String>;

static SIGNS: [Sign; 8] = [
    overload,
    no_call_in_time,
    idle_faults,
    tight_rate_limits,
    few_calls,
    hedges_near_saturation,
    objectives_that_refusing_meets,
    one_client_for_a_fleet,
];

/// From this utilisation on, hedges without a budget add load where there is no room for it.
const NEAR_SATURATION: f64 = 0.7;

/// A slowdown by less than this is none.
const LEAST_SLOWDOWN: f64 = 1.01;

/// At fewer calls a second recovery is seen in windows that are much longer than usual.
const FEW_PER_SECOND: f64 = 50.0;

/// More calls a second than this are seldom made by one instance of a service.
const MANY_FOR_ONE: f64 = 50.0;

/// Every finding about a scenario.
pub(crate) fn warnings(scenario: &Scenario) -> Vec<String> {
    SIGNS.iter().flat_map(|sign| sign(scenario)).collect()
}

/// The mean load before the first fault, in calls a second.
fn usual_load(scenario: &Scenario) -> f64 {
    let until = scenario.first_fault_start().unwrap_or(scenario.duration);
    scenario.load.expected_requests(until) / until.as_secs_f64()
}

/// How many servers of each dependency the mean load before the first fault keeps busy. One that calls others is busy until they
/// have answered.
fn usual_servers(scenario: &Scenario) -> Vec<f64> {
    let load = usual_load(scenario);
    let lengths = scenario.lengths_of_calls(|dependency| dependency.latency.mean());
    let calls = scenario.calls_for_a_request();
    calls
        .iter()
        .zip(lengths)
        .map(|(calls, length)| load * calls * length)
        .collect()
}

/// How many servers all instances of a dependency have.
fn all_servers(dependency: &Dependency) -> f64 {
    f64::from(dependency.concurrency.get()) * f64::from(dependency.instances.get())
}

/// The utilisation of the dependency that has the highest.
fn utilisation(scenario: &Scenario) -> f64 {
    let pairs = scenario.dependencies.iter().zip(usual_servers(scenario));
    pairs
        .map(|(dependency, busy)| busy / all_servers(dependency))
        .fold(0.0, f64::max)
}

fn overload(scenario: &Scenario) -> Vec<String> {
    let calls = scenario.calls_for_a_request();
    let line = |((dependency, busy), calls): ((&Dependency, f64), &f64)| {
        let utilisation = busy / all_servers(dependency);
        let message = || {
            format!(
                "utilisation {} before any fault: {} keep {busy:.1} servers busy, and {} has {}",
                percent_to(utilisation, 0),
                per_second(usual_load(scenario) * calls),
                dependency.name,
                count(all_servers(dependency) as u64)
            )
        };
        (utilisation > 1.0).then(message)
    };
    let pairs = scenario.dependencies.iter().zip(usual_servers(scenario)).zip(&calls);
    pairs.filter_map(line).collect()
}

fn no_call_in_time(scenario: &Scenario) -> Vec<String> {
    let shortest = scenario.length_of_a_request(|dependency| dependency.latency.shortest());
    let shortest = Duration::try_from_secs_f64(shortest).unwrap_or(Duration::MAX);
    let deadline = scenario.load.deadline;
    let message = || {
        let who = match &scenario.dependencies[..] {
            [only] => &only.name,
            _ => "a request",
        };
        format!(
            "no call can be in time: {who} takes at least {}, and callers leave after {}",
            duration_text(shortest),
            duration_text(deadline)
        )
    };
    (shortest > deadline).then(message).into_iter().collect()
}

fn idle_faults(scenario: &Scenario) -> Vec<String> {
    let faults = scenario.faults.iter().enumerate();
    let line = |(index, fault): (usize, &Fault)| {
        let reason = why_idle(scenario, fault)?;
        Some(format!(
            "fault {} ({}) changes nothing: {reason}",
            index + 1,
            fault.words
        ))
    };
    faults.filter_map(line).collect()
}

/// Why a fault makes no difference, if it makes none.
fn why_idle(scenario: &Scenario, fault: &Fault) -> Option<String> {
    let dependency = &scenario.dependencies[fault.dependency];
    let servers = dependency.concurrency.get();
    let load = scenario.load.expected_requests(fault.end()) - scenario.load.expected_requests(fault.at);
    match fault.effect {
        _ if load < 1.0 => Some("there is no load while it lasts".to_owned()),
        Effect::FewerServers { share } if dependency.servers_left(share) == servers => {
            Some(format!("{share} of {servers} servers are {servers}"))
        }
        Effect::Errors { rate, .. } if rate == dependency.error_rate => {
            Some(format!("{} fails {rate} of its calls anyway", dependency.name))
        }
        Effect::Slowdown { factor, add, .. } if factor < LEAST_SLOWDOWN && add.is_zero() => {
            Some("calls take less than 1% longer".to_owned())
        }
        _ => None,
    }
}

/// Every policy of the callers: its variant, and the dependency that it is for.
fn policies(scenario: &Scenario) -> Vec<(&Variant, usize, Protection)> {
    let called = |to: &usize| scenario.load.calls.iter().flatten().any(|call| call.to == *to);
    let places = || (0..scenario.dependencies.len()).filter(called);
    let of_variant = |variant| places().filter_map(move |to| Some((variant, to, Variant::protection(variant, to)?)));
    scenario.variants.iter().flat_map(of_variant).collect()
}

fn tight_rate_limits(scenario: &Scenario) -> Vec<String> {
    let clients = f64::from(scenario.load.instances.get());
    let line = |(variant, to, protection): (&Variant, usize, Protection)| {
        let calls = scenario.load.calls.iter().flatten().filter(|call| call.to == to);
        let load = usual_load(scenario) * calls.map(|call| f64::from(call.times)).sum::<f64>();
        let own = protection.policy.rate_limit.filter(|limit| !limit.shadow)?.rate;
        let rate = own
            * if protection.shared_limit.is_some() {
                1.0
            } else {
                clients
            };
        let message = || {
            format!(
                "{}: its rate limit of {} refuses {} of {}",
                variant.name,
                per_second(rate),
                percent_to(1.0 - rate / load, 0),
                per_second(load)
            )
        };
        (load > rate).then(message)
    };
    policies(scenario).into_iter().filter_map(line).collect()
}

fn few_calls(scenario: &Scenario) -> Vec<String> {
    let Some(end) = scenario.last_fault_end() else {
        return Vec::new();
    };
    let rest = scenario.duration.saturating_sub(end);
    let calls = scenario.load.expected_requests(scenario.duration) - scenario.load.expected_requests(end);
    let rate = calls / rest.as_secs_f64();
    if calls < LEAST_CALLS as f64 {
        return vec![format!(
            "too few calls for a verdict: some {} after the last fault, and recovery is judged by {LEAST_CALLS} or more",
            count(calls as u64)
        )];
    }
    let window = Duration::from_secs((WINDOW_CALLS / rate).ceil() as u64).clamp(WINDOW, rest);
    let message = || {
        format!(
            "few calls for a verdict: at {} recovery is seen in windows of {} and not of {}",
            per_second(rate),
            duration_text(window),
            duration_text(WINDOW)
        )
    };
    (rate < FEW_PER_SECOND).then(message).into_iter().collect()
}

fn hedges_near_saturation(scenario: &Scenario) -> Vec<String> {
    let utilisation = utilisation(scenario);
    let is_free = |policy: &PolicyConfig| {
        let by_time = policy.hedge.filter(|hedge| hedge.delay != HedgeDelay::AfterFailure);
        let of_retry = policy.retry.and_then(|retry| retry.budget);
        by_time.is_some_and(|hedge| hedge.budget.is_none()) && of_retry.is_none()
    };
    let line = |variant: &Variant| {
        format!(
            "{}: hedges without a budget at a utilisation of {} add load where there is no room for it",
            variant.name,
            percent_to(utilisation, 0)
        )
    };
    let has_free = |variant: &&Variant| {
        let mut own = policies(scenario)
            .into_iter()
            .filter(|(of, ..)| of.name == variant.name);
        own.any(|(_, _, protection)| is_free(&protection.policy))
    };
    let variants = scenario.variants.iter().filter(has_free);
    variants.filter(|_| utilisation >= NEAR_SATURATION).map(line).collect()
}

fn objectives_that_refusing_meets(scenario: &Scenario) -> Vec<String> {
    let names: Vec<String> = scenario
        .slo
        .iter()
        .map(|objective| format!("`{}`", objective.goal.name))
        .collect();
    let keeps_calls = |name: &String| ["`goodput`", "`availability`"].contains(&name.as_str());
    if names.is_empty() || names.iter().any(keeps_calls) {
        return Vec::new();
    }
    vec![format!(
        "a policy that refuses calls meets {}: add `goodput` beside it",
        names.join(", ")
    )]
}

fn one_client_for_a_fleet(scenario: &Scenario) -> Vec<String> {
    let clients = scenario.load.instances.get();
    let each = usual_load(scenario) / f64::from(clients);
    let message = || {
        format!(
            "each policy sees {}, which is much for one client: set `load.instances` to how many of them share the load",
            per_second(each),
        )
    };
    (each > MANY_FOR_ONE && !policies(scenario).is_empty())
        .then(message)
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::fake::no_files;
    use c13_reliability::policy::document::Source;

    fn warned(edits: &[(&str, &str)]) -> Vec<String> {
        let text = edits.iter().fold(SOUND.to_owned(), |text, (old, new)| {
            assert!(text.contains(old), "{old}");
            text.replace(old, new)
        });
        let scenario = Scenario::read(Source::new("test.toml", text), &no_files);
        warnings(&scenario.unwrap_or_else(|errors| panic!("{errors}")))
    }

    const SOUND: &str = r#"
name = "sound"
duration = "5m"
load = { rps = 100, instances = 100, deadline = "1s" }
dependency = { name = "d", latency = { constant = "10ms" }, concurrency = 10 }
fault = [{ at = "60s", for = "30s", kind = "capacity", share = "50%" }]
variant = [{ name = "c", profile = "critical" }]
slo = { goodput = ">= 99%" }
"#;

    #[test]
    fn a_sound_scenario_and_the_built_in_one_are_warned_of_nothing() {
        assert_eq!(warned(&[]), [""; 0]);
        let built_in = Scenario::read(Source::new("built-in", Scenario::BUILT_IN), &no_files);
        assert_eq!(warnings(&built_in.unwrap_or_else(|errors| panic!("{errors}"))), [""; 0]);
    }

    #[test]
    fn each_sign_is_one_line() {
        let hedge = r#"policy = { hedge = { delay = "20ms", budget = false } }"#;
        for (edits, expected) in [
            (
                &[("rps = 100", "rps = 900"), ("concurrency = 10", "concurrency = 4")][..],
                "utilisation 225% before any fault: 900/s keep 9.0 servers busy, and d has 4",
            ),
            (
                &[("deadline = \"1s\"", "deadline = \"5ms\"")],
                "no call can be in time: d takes at least 10ms, and callers leave after 5ms",
            ),
            (
                &[("share = \"50%\"", "share = \"97%\"")],
                "fault 1 (97% of the servers left) changes nothing: 97% of 10 servers are 10",
            ),
            (
                &[(
                    "kind = \"capacity\", share = \"50%\"",
                    "kind = \"latency\", factor = 1.0001",
                )],
                "fault 1 (latency ×1.0001) changes nothing: calls take less than 1% longer",
            ),
            (
                &[
                    (
                        "kind = \"capacity\", share = \"50%\"",
                        "kind = \"error_rate\", rate = \"1%\"",
                    ),
                    ("concurrency = 10", "concurrency = 10, error_rate = \"1%\""),
                ],
                "fault 1 (1% errors) changes nothing: d fails 1% of its calls anyway",
            ),
            (
                &[
                    ("rps = 100", "rps = 5000"),
                    ("concurrency = 10", "concurrency = 1000"),
                    (
                        "profile = \"critical\"",
                        "profile = \"critical\", shared = { rate_limit = \"2ms\" }",
                    ),
                ],
                "c: its rate limit of 1,000/s refuses 80% of 5,000/s",
            ),
            (
                &[("rps = 100", "rps = 20"), ("duration = \"5m\"", "duration = \"20m\"")],
                "few calls for a verdict: at 20/s recovery is seen in windows of 50s and not of 10s",
            ),
            (
                &[
                    ("duration = \"5m\"", "duration = \"20m\""),
                    (
                        "rps = 100",
                        "shape = [{ at = \"0s\", rps = 100 }, { at = \"85s\", rps = 0 }]",
                    ),
                ],
                "too few calls for a verdict: some 0 after the last fault, and recovery is judged by 300 or more",
            ),
            (
                &[
                    ("profile = \"critical\"", hedge),
                    ("concurrency = 10", "concurrency = 1, queue = { capacity = 100 }"),
                    ("rps = 100", "rps = 80"),
                    (
                        "fault = [{ at = \"60s\", for = \"30s\", kind = \"capacity\", share = \"50%\" }]\n",
                        "",
                    ),
                ],
                "c: hedges without a budget at a utilisation of 80% add load where there is no room for it",
            ),
            (
                &[("goodput = \">= 99%\"", "p99 = \"<= 50ms\", amplification = \"<= 1.1\"")],
                "a policy that refuses calls meets `p99`, `amplification`: add `goodput` beside it",
            ),
            (
                &[("instances = 100, ", "")],
                "each policy sees 100/s, which is much for one client: set `load.instances` to how many of them share the load",
            ),
        ] {
            assert_eq!(warned(edits), [expected]);
        }
    }
}
