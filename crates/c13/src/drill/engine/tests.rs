//! The drill as a whole: the same every time, and honest about the policy it rehearses.

use super::run;
use crate::drill::fake::no_files;
use crate::drill::figures::Figures;
use crate::drill::report::DrillReport;
use crate::drill::scenario::Scenario;
use crate::drill::watch::{Interrupted, Watch};
use c13_reliability::patterns::circuit_breaker::{CircuitBreakerConfig, FailuresWithin};
use c13_reliability::patterns::retry::{RetryConfig, retry_config};
use c13_reliability::policy::document::Source;
use c13_reliability::policy::{PolicyConfig, Profile};
use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn scenario(text: &str) -> Scenario {
    Scenario::read(Source::new("test.toml", text), &no_files).unwrap_or_else(|errors| panic!("{errors}"))
}

fn drill(scenario: &Scenario, seed: u64) -> DrillReport {
    drills(scenario, &[seed]).remove(0)
}

fn drills(scenario: &Scenario, seeds: &[u64]) -> Vec<DrillReport> {
    let never = AtomicBool::new(false);
    run(scenario, seeds, &Watch::new(&never, &|_| {})).expect("nobody stops it")
}

fn figures(report: &DrillReport, variant: &str) -> Figures {
    report
        .variants
        .iter()
        .find(|one| one.name == variant)
        .expect("the variant is in the report")
        .figures
        .clone()
}

fn value(figures: &Figures, name: &str) -> f64 {
    figures.named(name).expect("it is a number")
}

/// A minute and a half of a small dependency with one fault.
fn small(fault: &str, variants: &str) -> Scenario {
    small_until("1s", fault, variants)
}

/// The same with callers who have so much time.
fn small_until(deadline: &str, fault: &str, variants: &str) -> Scenario {
    small_with(&format!("deadline = \"{deadline}\""), fault, variants)
}

/// The same with these keys of the load.
fn small_with(load: &str, fault: &str, variants: &str) -> Scenario {
    scenario(&format!(
        r#"
        name = "small"
        duration = "90s"
        load = {{ rps = 100, arrivals = "constant", {load} }}
        dependency = {{ name = "it", latency = {{ constant = "50ms" }}, concurrency = 10, queue = {{ capacity = 100 }} }}
        fault = [{fault}]
        {variants}
        "#
    ))
}

const CRITICAL: &str = "variant = [{ name = \"critical\", profile = \"critical\" }]";
const REFUSE: &str = r#"{ at = "20s", for = "20s", kind = "outage", mode = "refuse" }"#;

#[test]
fn the_same_seed_gives_the_same_drill_and_another_seed_another() {
    let scenario = scenario(Scenario::BUILT_IN);
    let first = drill(&scenario, 1);
    assert_eq!(first, drill(&scenario, 1));
    assert_ne!(first, drill(&scenario, 2));
}

#[test]
fn in_the_built_in_drill_naive_retry_never_recovers_and_the_critical_profile_does() {
    let scenario = scenario(Scenario::BUILT_IN);
    for seed in [42, 43, 44] {
        let report = drill(&scenario, seed);
        let [unprotected, naive, critical] =
            ["unprotected", "naive-retry", "critical"].map(|name| figures(&report, name));
        assert_eq!(naive.named("recovery_s"), None, "seed {seed}");
        assert!(critical.named("recovery_s").is_some(), "seed {seed}");
        assert!(value(&critical, "amplification") <= 1.3, "seed {seed}: {critical:?}");
        for baseline in [unprotected, naive] {
            assert!(
                value(&critical, "success_ratio") > value(&baseline, "success_ratio"),
                "seed {seed}: {critical:?} {baseline:?}"
            );
            assert!(
                value(&critical, "goodput_ratio") > value(&baseline, "goodput_ratio"),
                "seed {seed}: {critical:?} {baseline:?}"
            );
        }
    }
}

#[test]
fn breaking_the_breaker_changes_the_outcome_of_the_drill() {
    let mut scenario = small(REFUSE, CRITICAL);
    let sound = figures(&drill(&scenario, 5), "critical");
    let policy = scenario.variants[1].policy.as_mut().expect("the profile has a policy");
    // A threshold that is never reached: the breaker is there, and never opens.
    let never = FailuresWithin::new(60_000, Duration::from_secs(30));
    policy.circuit_breaker = Some(CircuitBreakerConfig::new().failures_within(never));
    let broken = figures(&drill(&scenario, 5), "critical");
    assert!(sound.named("detect_s").is_some_and(|after| after < 1.0), "{sound:?}");
    assert_eq!(
        (broken.named("detect_s"), value(&broken, "circuit_breaker")),
        (None, 0.0)
    );
    assert!(value(&sound, "circuit_breaker") > 1_000.0, "{sound:?}");
    assert!(
        value(&broken, "amplification") > 1.1 * value(&sound, "amplification"),
        "{broken:?} {sound:?}"
    );
}

#[test]
fn without_a_policy_every_call_reaches_the_dependency_once() {
    let report = drill(&small(REFUSE, CRITICAL), 5);
    let unprotected = figures(&report, "unprotected");
    assert_eq!(
        (
            value(&unprotected, "requests"),
            value(&unprotected, "amplification"),
            value(&unprotected, "peak_load_rps")
        ),
        (8_999.0, 1.0, 100.0)
    );
    // 20 of 90 seconds are refused, and everything else is answered in 50 ms.
    assert!(
        (value(&unprotected, "success_ratio") - 70.0 / 90.0).abs() < 1e-3,
        "{unprotected:?}"
    );
    assert_eq!(
        value(&unprotected, "success_ratio"),
        value(&unprotected, "goodput_ratio")
    );
    assert_eq!(unprotected.named("recovery_s"), Some(0.0));
    assert_eq!(value(&unprotected, "p50_ms"), 50.0, "constant times are told exactly");
}

#[test]
fn a_black_hole_opens_the_breaker_for_callers_who_wait_half_of_an_attempts_limit_and_not_for_others() {
    let hole = r#"{ at = "20s", for = "20s", kind = "outage", mode = "blackhole" }"#;
    // Of the 7 s that an attempt may take, 1 s says nothing about the dependency.
    let hasty = figures(&drill(&small(hole, CRITICAL), 5), "critical");
    assert_eq!(hasty.named("detect_s"), None, "{hasty:?}");
    assert!(value(&hasty, "fail_p99_ms") <= 1_001.0, "{hasty:?}");
    let report = drill(&small_until("4s", hole, CRITICAL), 5);
    let (unprotected, critical) = (figures(&report, "unprotected"), figures(&report, "critical"));
    // The attempts are cut short by the deadline, after more than half of their own limit: failures.
    let detected = critical.named("detect_s").expect("the breaker opens");
    assert!((4.0..5.0).contains(&detected), "{critical:?}");
    assert!(value(&critical, "fail_p99_ms") <= 4_001.0, "{critical:?}");
    // 20 s of calls leave after 4 s; those that are answered take 50 ms.
    assert_eq!(value(&unprotected, "deadline"), 2_000.0, "{unprotected:?}");
    assert_eq!(
        (value(&unprotected, "fail_p50_ms"), value(&unprotected, "p99_ms")),
        (4_000.0, 50.0),
        "{unprotected:?}"
    );
    let patient = drill(
        &small_with("deadline = \"4s\", patience = \"forever\"", hole, CRITICAL),
        5,
    );
    let unprotected = figures(&patient, "unprotected");
    assert_eq!(
        value(&unprotected, "unanswered"),
        2_000.0,
        "nobody answers, and nobody gives up"
    );
    assert_eq!(unprotected.named("fail_p50_ms"), None, "{unprotected:?}");
    assert!(
        critical.named("recovery_s").is_some_and(|after| after <= 15.0),
        "{critical:?}"
    );
}

#[test]
fn a_queue_delays_and_then_refuses() {
    // 10 servers of 50 ms take 200 calls a second; a quarter of them takes 50, so the queue of 100 is full in two seconds.
    let fewer = r#"{ at = "20s", for = "20s", kind = "capacity", share = "20%" }"#;
    let report = drill(
        &small_with("deadline = \"1s\", patience = \"forever\"", fewer, CRITICAL),
        5,
    );
    let unprotected = figures(&report, "unprotected");
    let refused = 1.0 - value(&unprotected, "success_ratio");
    // 20 s at 100 calls a second, of which 40 are served a second; 100 more wait in the queue and are served later.
    assert!(
        (refused * 8_999.0 - (20.0 * 60.0 - 100.0)).abs() < 15.0,
        "{unprotected:?}"
    );
    assert!(
        (value(&unprotected, "p99_ms") - 2_500.0).abs() < 150.0,
        "100 calls wait for 40 a second: {unprotected:?}"
    );
    assert!(
        unprotected.named("recovery_s").is_some_and(|after| after <= 3.0),
        "{unprotected:?}"
    );
}

#[test]
fn runs_that_are_made_at_the_same_time_are_those_that_are_made_one_by_one() {
    let scenario = small(REFUSE, CRITICAL);
    let alone: Vec<DrillReport> = (5..9).map(|seed| drill(&scenario, seed)).collect();
    assert_eq!(drills(&scenario, &[5, 6, 7, 8]), alone);
}

#[test]
fn progress_is_that_of_the_whole_drill_and_never_goes_back() {
    let (stop, told) = (AtomicBool::new(false), RefCell::new(Vec::new()));
    let note = |share| told.borrow_mut().push(share);
    run(&small(REFUSE, CRITICAL), &[5, 6, 7], &Watch::new(&stop, &note)).expect("nobody stops it");
    let told = told.into_inner();
    assert!(told.is_sorted(), "{told:?}");
    let (first, last) = (told[0], told[told.len() - 1]);
    assert!(
        first > 0.0 && first < 0.01 && (last - 1.0).abs() < 1e-9,
        "{first} {last}"
    );
}

#[test]
fn a_drill_that_is_interrupted_ends_at_once() {
    let (stop, told) = (AtomicBool::new(false), Cell::new(0));
    let result = run(
        &small(REFUSE, CRITICAL),
        &[5, 6],
        &Watch::new(&stop, &|share| {
            assert!((0.0..=1.0).contains(&share));
            told.set(told.get() + 1);
            // Relaxed: one thread.
            stop.store(told.get() == 3, Ordering::Relaxed);
        }),
    );
    let Err(Interrupted { known, unfinished }) = result else {
        panic!("it was stopped")
    };
    assert!(known.is_empty());
    assert!(!unfinished.is_empty() && unfinished.len() <= 4, "{unfinished:?}");
    for run in &unfinished {
        // A hundred requests a second, of which a few are under way.
        let due = run.had.at.as_secs() * 100;
        assert!((due.saturating_sub(15)..=due).contains(&run.had.requests), "{run:?}");
        assert_eq!(run.had.in_time, run.had.requests, "the fault comes later");
        assert!(["unprotected", "critical"].contains(&&*run.variant) && [5, 6].contains(&run.seed));
    }
    assert_eq!(told.get(), 3);
}

#[test]
fn a_policy_without_parts_fares_like_none_but_for_the_deadline_it_honours() {
    let mut scenario = small(REFUSE, CRITICAL);
    scenario.variants[1].policy = Some(PolicyConfig::NONE);
    let report = drill(&scenario, 5);
    assert_eq!(figures(&report, "unprotected"), figures(&report, "critical"));
}

/// A quarter of the calls fails.
const QUARTER: &str = r#"{ at = "20s", for = "60s", kind = "error_rate", rate = "25%" }"#;

#[test]
fn a_fleet_keeps_the_goodput_that_one_breaker_for_the_whole_load_would_turn_away() {
    // With half of the most recent 20 calls, one client meets enough failures to open, most of fifty do not.
    let half = FailuresWithin::new(3, Duration::from_secs(30)).share(0.5);
    let breaker = CircuitBreakerConfig::new()
        .failures_within(half)
        .open_for(Duration::from_secs(1));
    let breaker = breaker.open_for_growth(2.0, Duration::from_secs(30)).jitter(0.2);
    let mut scenario = small(QUARTER, CRITICAL);
    scenario.variants[1].policy = Some(Profile::Critical.config().circuit_breaker(breaker));
    for (clients, goodput, detected) in [(1, 0.0..0.6, true), (50, 0.85..1.0, false)] {
        scenario.load.instances = NonZeroU32::new(clients).expect("there is a client");
        let critical = figures(&drill(&scenario, 5), "critical");
        assert!(
            goodput.contains(&value(&critical, "goodput_ratio")),
            "{clients} clients: {critical:?}"
        );
        assert_eq!(
            critical.named("detect_s").is_some(),
            detected,
            "{clients} clients: {critical:?}"
        );
    }
}

#[test]
fn a_profile_does_no_harm_where_a_quarter_of_the_calls_fails() {
    let mut scenario = small(QUARTER, CRITICAL);
    for clients in [1, 10, 50] {
        scenario.load.instances = NonZeroU32::new(clients).expect("there is a client");
        let report = drill(&scenario, 5);
        let [unprotected, critical] =
            ["unprotected", "critical"].map(|variant| value(&figures(&report, variant), "goodput_ratio"));
        assert!(
            critical > unprotected,
            "{clients} clients: {critical}, {unprotected} without a policy"
        );
    }
}

#[test]
fn the_budget_of_each_client_lets_a_fleet_retry_more() {
    let mut scenario = small(REFUSE, CRITICAL);
    let amplification = [1, 10].map(|clients| {
        scenario.load.instances = NonZeroU32::new(clients).expect("there is a client");
        scenario.variants[1].policy = Some(PolicyConfig::NONE.retry(RetryConfig::new(3, retry_config::STRATEGY)));
        value(&figures(&drill(&scenario, 5), "critical"), "amplification")
    });
    // For a fifth of the requests and 10 a second each: 0.3 and 1.2 retries for each of 100 requests a second, for 20 of 90 s.
    assert!(
        (amplification[0] - (1.0 + 0.3 * 20.0 / 90.0)).abs() < 0.02,
        "{amplification:?}"
    );
    assert!(
        (amplification[1] - (1.0 + 1.2 * 20.0 / 90.0)).abs() < 0.05,
        "{amplification:?}"
    );
}

#[test]
fn a_shared_limit_is_one_for_all_clients_and_takes_its_time() {
    let limited = |shared: &str| {
        let variant = r#"name = "limited", policy = { rate_limit = { rate = "50/s", burst = 5 } }"#;
        let mut scenario = small("", &format!("variant = [{{ {variant} {shared} }}]"));
        scenario.load.instances = NonZeroU32::new(10).expect("there are clients");
        figures(&drill(&scenario, 5), "limited")
    };
    let own = limited("");
    assert_eq!(
        (value(&own, "goodput_ratio"), value(&own, "p50_ms").round()),
        (1.0, 50.0)
    );
    let shared = limited(r#", shared = { rate_limit = "20ms" }"#);
    assert!((value(&shared, "goodput_ratio") - 0.5).abs() < 0.01, "{shared:?}");
}
