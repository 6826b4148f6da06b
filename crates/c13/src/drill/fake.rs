//! Invented reports of runs, for tests of summaries and of output.

use std::collections::BTreeMap;
use std::time::Duration;

use c13_reliability::policy::document::Source;

use super::engine::{Incident, Point, Recovery, TOO_FEW};
use super::figure::{FIGURES, Figure};
use super::figures::{Figures, Value};
use super::report::{DrillReport, VariantReport};
use super::scenario::{Scenario, Variant};
use super::watch::{Interrupted, Watch};

/// The built-in incident with objectives and names of our own choosing, so that tests stand when its numbers are tuned.
const SCENARIO: &str = r#"
name = "brown-out"
duration = "10m"
seed = 42

[load]
rps = 500
instances = 20
deadline = "2s"

[dependency]
name = "payments"
latency = { constant = "40ms" }
concurrency = 64

[[fault]]
at = "2m"
for = "2m"
kind = "latency"
factor = 6.0

[[fault]]
at = "4m 30s"
for = "30s"
kind = "capacity"
share = 0.5

[[variant]]
name = "naive-retry"
baseline = true
policy = { retry = { max_retries = 3, backoff = { strategy = "fixed", base = "0s" }, budget = false } }

[[variant]]
name = "critical"
profile = "critical"

[slo]
availability = ">= 98%"
amplification = "<= 1.3"
recovery = "<= 60s"
"#;

/// For scenarios that name no file.
pub(crate) fn no_files(_: &str) -> Result<Source, String> {
    Err("there are no files here".to_owned())
}

/// The scenario that the reports are of.
pub(crate) fn scenario() -> Scenario {
    Scenario::read(Source::new("fake.toml", SCENARIO), &no_files).unwrap_or_else(|errors| panic!("{errors}"))
}

/// An engine that reports its progress and makes its figures out of nothing but the seeds.
pub(crate) fn run(scenario: &Scenario, seeds: &[u64], watch: &Watch<'_>) -> Result<Vec<DrillReport>, Interrupted> {
    let mut runs = Vec::new();
    for &seed in seeds {
        let share = runs.len() as f64 / seeds.len() as f64;
        if watch.report(share).is_err() {
            return Err(Interrupted {
                known: runs,
                unfinished: Vec::new(),
            });
        }
        runs.push(report(scenario, seed));
    }
    Ok(runs)
}

/// The run with this seed.
pub(crate) fn report(scenario: &Scenario, seed: u64) -> DrillReport {
    let report = |variant: &Variant| variant_report(&variant.name, seed, scenario.duration);
    DrillReport {
        seed,
        variants: scenario.variants.iter().map(report).collect(),
    }
}

/// Figures that lie a little further out with each seed after 42; `naive-retry` never recovers, and neither does `critical`
/// with seed 44.
fn variant_report(name: &str, seed: u64, duration: Duration) -> VariantReport {
    let further = (seed % 42) as f64;
    let requests = 300_104.0 + further;
    let usual = [
        ("requests", requests),
        ("p50_ms", 48.123_456),
        ("p99_ms", 1_980.0 + further),
        ("attempts", requests),
        ("amplification", 1.0),
        ("attempts_per_admitted", 1.0),
        ("peak_load_rps", 612.34),
    ];
    let (ends, own) = match name {
        "naive-retry" => (
            vec![
                ("failed", 301.0),
                ("refused", 100_000.0),
                ("timeout", 17_061.0),
                ("deadline", 60_117.0),
            ],
            vec![
                ("p99_ms", 2_000.0),
                ("attempts", 1_023_956.0),
                ("amplification", 3.412),
                ("attempts_per_admitted", 3.412),
                ("peak_load_rps", 1_903.6),
            ],
        ),
        "critical" => (
            vec![("failed", 301.0), ("circuit_breaker", 3_871.0), ("timeout", 17.0)],
            vec![
                ("p50_ms", 46.9),
                ("p99_ms", 812.4),
                ("attempts", 324_412.0),
                ("amplification", 1.081),
                ("attempts_per_admitted", 1.095_2),
                ("detect_s", 4.2 + further / 10.0),
            ],
        ),
        _ => (
            vec![
                ("late", 7_000.0 + 300.0 * further),
                ("failed", 301.0),
                ("refused", 18_567.0),
            ],
            vec![("recovery_s", 31.0)],
        ),
    };
    let recovered = (name == "critical" && further < 2.0).then_some(("recovery_s", 8.0));
    let mut values: BTreeMap<&str, f64> = usual.into_iter().chain(own).chain(recovered).collect();
    let in_time = requests - ends.iter().map(|(_, calls)| calls).sum::<f64>();
    values.extend(ends);
    let late = values.get("late").copied().unwrap_or(0.0);
    values.extend([
        ("in_time", in_time),
        ("goodput_ratio", in_time / requests),
        ("success_ratio", (in_time + late) / requests),
    ]);
    let figures = figures_of(&values);
    let low = if name == "critical" { 0.7 } else { 0.2 };
    let series = (0..duration.as_secs()).map(|second| {
        let share: f64 = match second {
            0..120 => 1.0,
            120..300 => low,
            _ if name == "naive-retry" => 0.0,
            _ => 1.0,
        };
        Point {
            at: second as f64,
            length: 1.0,
            due: 500,
            through: 500,
            in_time: (500.0 * share) as u64,
            attempts: 540,
            queued: 0.0,
            open: (name == "critical").then_some(1.0 - share),
        }
    });
    let in_phase = |low: f64| {
        let mut values = values.clone();
        let lost = (requests / 5.0 * (1.0 - low)).round();
        values.extend([("requests", requests / 5.0), ("in_time", requests / 5.0 - lost)]);
        values.extend([("late", 0.0), ("refused", 0.0), ("timeout", 0.0), ("deadline", 0.0)]);
        values.extend([("failed", lost), ("circuit_breaker", 0.0)]);
        figures_of(&values).in_phase()
    };
    let back = if name == "naive-retry" { 0.0 } else { 1.0 };
    VariantReport {
        name: name.to_owned(),
        figures,
        phases: [1.0, low, low, low, back].map(in_phase).to_vec(),
        incidents: incidents(name),
        traffic: Vec::new(),
        series: series.collect(),
    }
}

/// Figures with these values; ways to end that have none ended no call.
fn figures_of(values: &BTreeMap<&str, f64>) -> Figures {
    let value = |figure: &Figure| {
        let none = figure.end().map(|_| 0.0);
        match (figure.name, values.get(figure.name).copied().or(none)) {
            ("recovery_s", None) => Recovery::Never.into(),
            (_, number) => Value::from(number),
        }
    };
    FIGURES.iter().map(value).collect()
}

/// What a variant did about the two faults of the scenario.
fn incidents(name: &str) -> Vec<Incident> {
    let seconds = Duration::from_secs;
    let incident = |detected: Option<u64>, recovery| Incident::new(detected.map(seconds), None, recovery);
    match name {
        "naive-retry" => vec![
            incident(None, Recovery::NotBeforeNext(seconds(30))),
            incident(None, Recovery::Never),
        ],
        "critical" => vec![
            incident(Some(4), Recovery::After(seconds(8))),
            incident(None, Recovery::NotDown),
        ],
        _ => vec![
            incident(None, Recovery::After(seconds(31))),
            incident(None, Recovery::NotJudged(TOO_FEW)),
        ],
    }
}
