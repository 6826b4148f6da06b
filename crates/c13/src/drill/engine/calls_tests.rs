//! Drills of several dependencies, beside what arithmetic says of them.

use super::run;
use crate::drill::fake::no_files;
use crate::drill::report::VariantReport;
use crate::drill::scenario::Scenario;
use crate::drill::watch::Watch;
use c13_reliability::policy::document::Source;
use std::sync::atomic::AtomicBool;

/// What each variant of a minute of 200 requests a second did.
fn variants(load: &str, rest: &str) -> Vec<VariantReport> {
    let text = format!(
        "name = \"it\"\nduration = \"60s\"\nload = {{ rps = 200, arrivals = \"constant\", deadline = \"2s\", {load} }}\n{rest}\n"
    );
    let scenario =
        Scenario::read(Source::new("test.toml", text), &no_files).unwrap_or_else(|errors| panic!("{errors}"));
    let never = AtomicBool::new(false);
    let mut runs = run(&scenario, &[7], &Watch::new(&never, &|_| {})).expect("nobody stops it");
    runs.remove(0).variants
}

/// A dependency of so many servers that no call waits, which takes so long.
fn dependency(name: &str, takes: &str, more: &str) -> String {
    format!("[[dependency]]\nname = \"{name}\"\nlatency = {{ constant = \"{takes}\" }}\nconcurrency = 1000\n{more}\n")
}

fn value(variant: &VariantReport, name: &str) -> f64 {
    variant.figures.named(name).expect("it is a number")
}

/// Attempts at each dependency for each request.
fn attempts(variant: &VariantReport) -> Vec<f64> {
    let each = variant.traffic.iter();
    each.map(|values| values.named("amplification").expect("there are requests"))
        .collect()
}

/// Three attempts at once, all of them whatever happens.
const THREE: &str =
    r#"policy = { retry = { max_retries = 2, backoff = { strategy = "fixed", base = "0s" }, budget = false } }"#;

#[test]
fn calls_in_a_row_multiply_their_chances_and_add_up_their_times() {
    let two = dependency("a", "30ms", "error_rate = 0.1") + &dependency("b", "50ms", "error_rate = 0.2");
    let report = &variants("calls = [\"a\", \"b\"]", &two)[0];
    // 0.9 × 0.8, with five standard deviations of 12,000 calls.
    assert!((value(report, "goodput_ratio") - 0.72).abs() < 0.021, "{report:?}");
    assert!((value(report, "p50_ms") - 80.0).abs() < 0.4, "{report:?}");
    let [a, b] = attempts(report)[..] else {
        panic!("there are two")
    };
    assert_eq!(a, 1.0);
    assert!((b - 0.9).abs() < 0.014, "only nine of ten get to the second: {b}");
}

#[test]
fn calls_side_by_side_take_as_long_as_the_longest() {
    let two = dependency("a", "30ms", "error_rate = 0.1") + &dependency("b", "50ms", "error_rate = 0.2");
    let report = &variants("calls = [[\"a\", \"b\"]]", &two)[0];
    assert!((value(report, "goodput_ratio") - 0.72).abs() < 0.021, "{report:?}");
    assert!((value(report, "p50_ms") - 50.0).abs() < 0.3, "{report:?}");
    assert_eq!(attempts(report), [1.0, 1.0]);
    // A request fails with the first failure: after 30 ms in 0.1 of the cases, after 50 ms in 0.9 × 0.2.
    assert!((value(report, "fail_p99_ms") - 50.0).abs() < 0.3, "{report:?}");
}

#[test]
fn a_request_may_do_without_an_optional_call_and_calls_are_made_so_many_times() {
    let two = dependency("a", "30ms", "") + &dependency("ads", "10ms", "error_rate = 1.0");
    let report = &variants("calls = [\"a\", { to = \"ads\", optional = true, times = 3 }]", &two)[0];
    assert_eq!(value(report, "goodput_ratio"), 1.0);
    assert!((value(report, "p50_ms") - 60.0).abs() < 0.3, "{report:?}");
    assert_eq!(attempts(report), [1.0, 3.0]);
}

#[test]
fn retries_of_each_layer_multiply_in_a_total_outage() {
    let layers = dependency("gateway", "1ms", &format!("calls = [\"shop\"]\n{THREE}"))
        + &dependency("shop", "1ms", &format!("calls = [\"database\"]\n{THREE}"))
        + &dependency("database", "1ms", "error_rate = 1.0");
    let variant = format!("[[variant]]\nname = \"three\"\n{THREE}");
    let reports = variants("calls = [\"gateway\"]", &(layers + &variant));
    assert_eq!(attempts(&reports[0]), [1.0, 3.0, 9.0]);
    assert_eq!(attempts(&reports[1]), [3.0, 9.0, 27.0]);
    assert_eq!(value(&reports[1], "goodput_ratio"), 0.0);
    assert_eq!(value(&reports[1], "failed"), value(&reports[1], "requests"));
}

#[test]
fn a_policy_on_a_dependency_is_around_all_calls_to_it_in_place_of_others() {
    let layers = dependency("shop", "1ms", &format!("calls = [\"database\"]\n{THREE}"))
        + &dependency("database", "1ms", "error_rate = 1.0");
    let plain = r#"policy = { timeout = { total = "1s" } }"#;
    let variant = format!("[[variant]]\nname = \"a\"\n{THREE}\n[variant.on.database]\n{plain}");
    let only = format!("\n[[variant]]\nname = \"b\"\n[variant.on.shop]\n{THREE}");
    let reports = variants("calls = [\"shop\"]", &(layers + &variant + &only));
    assert_eq!(attempts(&reports[1]), [3.0, 3.0]);
    assert_eq!(attempts(&reports[2]), [3.0, 9.0]);
}

#[test]
fn a_server_is_busy_while_the_calls_that_it_makes_are_under_way() {
    let two =
        "[[dependency]]\nname = \"shop\"\nlatency = { constant = \"10ms\" }\nconcurrency = 10\nqueue = { capacity = 10 }\n\
               calls = [\"database\"]\n"
            .to_owned() + &dependency("database", "90ms", "");
    // Ten servers that are busy for 100 ms each answer a hundred of two hundred calls a second, and ten more calls wait.
    let report = &variants("calls = [\"shop\"]", &two)[0];
    assert!((value(report, "goodput_ratio") - 0.5).abs() < 0.01, "{report:?}");
    // A call comes 5 ms after the one that made room for it, and waits for the rest of that time.
    assert!((value(report, "p50_ms") - 195.0).abs() < 1.0, "{report:?}");
}

#[test]
fn a_fault_is_on_its_dependency_alone_and_takes_those_with_it_that_call_it() {
    let two = dependency("shop", "10ms", "calls = [\"database\"]") + &dependency("database", "10ms", "");
    let crash = |on: &str| format!("[[fault]]\nat = \"20s\"\nfor = \"20s\"\non = \"{on}\"\nkind = \"crash\"\n");
    for (on, attempts_at_database) in [("shop", 2.0 / 3.0), ("database", 1.0)] {
        let report = &variants("calls = [\"shop\"]", &(two.clone() + &crash(on)))[0];
        assert!(
            (value(report, "goodput_ratio") - 2.0 / 3.0).abs() < 0.001,
            "{on}: {report:?}"
        );
        assert!(
            (attempts(report)[1] - attempts_at_database).abs() < 0.001,
            "{on}: {report:?}"
        );
    }
}

#[test]
fn a_breaker_around_the_calls_to_a_dependency_detects_its_fault() {
    let two = dependency("a", "10ms", "") + &dependency("b", "10ms", "");
    let rest = "[[fault]]\nat = \"20s\"\nfor = \"20s\"\non = \"b\"\nkind = \"crash\"\n\
                [[variant]]\nname = \"critical\"\nprofile = \"critical\"\n";
    let critical = &variants("calls = [\"a\", \"b\"]", &(two + rest))[1];
    assert!(
        critical.figures.named("detect_s").is_some_and(|after| after < 1.0),
        "{critical:?}"
    );
    // One of the two breakers is open for most of a third of the time.
    let open = value(critical, "open_ratio");
    assert!((0.12..0.19).contains(&open), "{open}");
    assert!(attempts(critical)[1] < 0.75, "{critical:?}");
}

#[test]
fn a_fault_of_some_keys_meets_every_attempt_of_a_request_or_none() {
    let keys = "[[fault]]\nat = \"20s\"\nfor = \"20s\"\nkind = \"error_rate\"\nrate = 1.0\nkeys = \"25%\"\n";
    let calls = "[[fault]]\nat = \"20s\"\nfor = \"20s\"\nkind = \"error_rate\"\nrate = 0.25\n";
    let variant = format!("[[variant]]\nname = \"three\"\n{THREE}");
    for (fault, goodput, attempts_of_all) in [
        // A quarter fails in a third of the time, three times each.
        (keys, 1.0 - 0.25 / 3.0, 1.0 + 2.0 * 0.25 / 3.0),
        // One in 64 fails three times.
        (calls, 1.0 - 0.25_f64.powi(3) / 3.0, 1.0 + (0.25 + 0.0625) / 3.0),
    ] {
        let report = &variants("", &(dependency("a", "10ms", "") + fault + &variant))[1];
        // Five standard deviations of a binomial share of 4,000 calls.
        assert!(
            (value(report, "goodput_ratio") - goodput).abs() < 0.012,
            "{goodput}: {report:?}"
        );
        assert!(
            (attempts(report)[0] - attempts_of_all).abs() < 0.025,
            "{attempts_of_all}: {report:?}"
        );
    }
}

#[test]
fn a_fault_passes_in_steps() {
    let fault = "[[fault]]\nat = \"10s\"\nfor = \"40s\"\nkind = \"outage\"\nmode = \"refuse\"\n\
                 passes = { steps = 3, takes = \"30s\" }\n";
    let report = &variants("", &(dependency("a", "10ms", "") + fault))[0];
    // 10 s of a whole outage, then 75, 50 and 25 % of one for 10 s each, of 60 s.
    let lost = (10.0 + 7.5 + 5.0 + 2.5) / 60.0;
    assert!(
        (value(report, "goodput_ratio") - (1.0 - lost)).abs() < 0.01,
        "{report:?}"
    );
}
