//! What programs and people get to see of a drill, to the letter.

use std::time::Duration;

use super::baseline::Baseline;
use super::figure::{FIGURES, Figure};
use super::figures::Figures;
use super::report::DrillReport;
use super::scenario::Scenario;
use super::summary::Summary;
use super::verdict::Verdict;
use super::{fake, json, table};

fn summary_of(scenario: &Scenario, runs: u64) -> Summary {
    let runs: Vec<DrillReport> = (42..42 + runs).map(|seed| fake::report(scenario, seed)).collect();
    Summary::new(scenario, &runs).expect("the figures are numbers")
}

fn table_of(summary: &Summary) -> String {
    rendered(summary, true)
}

fn rendered(summary: &Summary, whole: bool) -> String {
    anstream::adapter::strip_str(&table::render(summary, Duration::from_millis(2_104), whole)).to_string()
}

/// Compares with a text that begins and ends with a line break of its own.
#[track_caller]
fn assert_text(actual: &str, expected: &str) {
    assert_eq!(
        actual,
        expected.strip_prefix('\n').unwrap_or(expected),
        "\n--- actual ---\n{actual}"
    );
}

#[test]
fn the_table_shows_a_run_at_a_glance() {
    assert_text(&rendered(&summary_of(&fake::scenario(), 1), false), TABLE_SHORT);
}

#[test]
fn the_whole_table_has_every_figure_of_every_phase() {
    assert_text(&table_of(&summary_of(&fake::scenario(), 1)), TABLE_ONE);
}

#[test]
fn the_table_of_several_runs_shows_how_far_they_lie_apart() {
    assert_text(&table_of(&summary_of(&fake::scenario(), 3)), TABLE_MANY);
}

const TABLE_SHORT: &str = r#"
brown-out  10m, 300,104 requests, seed 42

                             unprotected     naive-retry        critical
                                baseline        baseline
answered in time                  91.38%          40.86%          98.60%
answered late                      2.33%               –               –
failed by payments                 0.10%           0.10%           0.10%
refused by payments                6.19%          33.32%               –
own circuit breaker                    –               –           1.29%
own time limit                         –           5.69%           0.01%
caller's deadline                      –          20.03%               –
latency P50                      48.1 ms         48.1 ms         46.9 ms
latency P99                       1.98 s          2.00 s          812 ms
attempts for each call              1.00            3.41            1.08
peak load on payments              612/s         1,904/s           612/s
breaker opened after                   –               –          4.20 s
recovered after                   31.0 s           never          8.00 s

goodput by phase             unprotected     naive-retry        critical
before                           100.00%         100.00%         100.00%
latency ×6                        19.99%          19.99%          70.00%
between                           19.99%          19.99%          70.00%
50% of the servers left           19.99%          19.99%          70.00%
after                            100.00%               –         100.00%

recovery from fault 2 cannot be judged: too few calls (unprotected)

goodput over time
  unprotected           ████████████▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂██████████████████████████████
  naive-retry           ████████████▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
  critical              ████████████▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅██████████████████████████████
                                    ╰──────────╯ latency ×6
                                                   ╰─╯ 50% of the servers left
                        0s                                                       10m

✓ critical  availability   98.6042%, objective >= 98%
✓ critical  amplification  1.081, objective <= 1.3
✓ critical  recovery       8 s, objective <= 60s
all 3 objectives met
simulated 30m (3 variants) in 2.10 s
all figures, also by phase: --verbose
"#;
const TABLE_ONE: &str = r#"
brown-out  10m, 300,104 requests, seed 42

                             unprotected     naive-retry        critical
                                baseline        baseline
answered in time                  91.38%          40.86%          98.60%
answered late                      2.33%               –               –
failed by payments                 0.10%           0.10%           0.10%
refused by payments                6.19%          33.32%               –
own circuit breaker                    –               –           1.29%
own time limit                         –           5.69%           0.01%
caller's deadline                      –          20.03%               –
latency P50                      48.1 ms         48.1 ms         46.9 ms
latency P99                       1.98 s          2.00 s          812 ms
attempts                         300,104       1,023,956         324,412
attempts for each call              1.00            3.41            1.08
  for each admitted call            1.00            3.41            1.10
peak load on payments              612/s         1,904/s           612/s
breaker opened after                   –               –          4.20 s
recovered after                   31.0 s           never          8.00 s

by phase                     unprotected     naive-retry        critical
before, 0s to 2m
  answered in time               100.00%         100.00%         100.00%
  latency P50                    48.1 ms         48.1 ms         46.9 ms
  latency P99                     1.98 s          2.00 s          812 ms
  attempts per admitted             1.00            3.41            1.10
latency ×6, 2m to 4m
  answered in time                19.99%          19.99%          70.00%
  failed by payments              80.01%          80.01%          30.00%
  latency P50                    48.1 ms         48.1 ms         46.9 ms
  latency P99                     1.98 s          2.00 s          812 ms
  attempts per admitted             1.00            3.41            1.10
  breaker opened after                 –               –          4.00 s
  recovered after                 31.0 s not by the next          8.00 s
between, 4m to 4m 30s
  answered in time                19.99%          19.99%          70.00%
  failed by payments              80.01%          80.01%          30.00%
  latency P50                    48.1 ms         48.1 ms         46.9 ms
  latency P99                     1.98 s          2.00 s          812 ms
  attempts per admitted             1.00            3.41            1.10
50% of the servers left, 4m 30s to 5m
  answered in time                19.99%          19.99%          70.00%
  failed by payments              80.01%          80.01%          30.00%
  latency P50                    48.1 ms         48.1 ms         46.9 ms
  latency P99                     1.98 s          2.00 s          812 ms
  attempts per admitted             1.00            3.41            1.10
  recovered after             not judged           never        not down
after, 5m to 10m
  answered in time               100.00%               –         100.00%
  failed by payments                   –         100.00%               –
  latency P50                    48.1 ms         48.1 ms         46.9 ms
  latency P99                     1.98 s          2.00 s          812 ms
  attempts per admitted             1.00            3.41            1.10

recovery from fault 2 cannot be judged: too few calls (unprotected)

goodput over time
  unprotected           ████████████▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂██████████████████████████████
  naive-retry           ████████████▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
  critical              ████████████▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅██████████████████████████████
                                    ╰──────────╯ latency ×6
                                                   ╰─╯ 50% of the servers left
                        0s                                                       10m

✓ critical  availability   98.6042%, objective >= 98%
✓ critical  amplification  1.081, objective <= 1.3
✓ critical  recovery       8 s, objective <= 60s
all 3 objectives met
simulated 30m (3 variants) in 2.10 s
"#;
const TABLE_MANY: &str = r#"
brown-out  10m, 300,105 requests, seeds 42 to 44

                             unprotected     naive-retry        critical
                                baseline        baseline
answered in time                  91.28%          40.86%          98.60%
                                ≥ 91.18%
                                ≤ 91.38%
answered late                      2.43%               –               –
failed by payments                 0.10%           0.10%           0.10%
refused by payments                6.19%          33.32%               –
own circuit breaker                    –               –           1.29%
own time limit                         –           5.69%           0.01%
caller's deadline                      –          20.03%               –
latency P50                      48.1 ms         48.1 ms         46.9 ms
latency P99                       1.98 s          2.00 s          812 ms
attempts                         300,105       1,023,956         324,412
                               ≥ 300,104
                               ≤ 300,106
attempts for each call              1.00            3.41            1.08
  for each admitted call            1.00            3.41            1.10
peak load on payments              612/s         1,904/s           612/s
breaker opened after                   –               –          4.30 s
                                                                ≥ 4.20 s
                                                                ≤ 4.40 s
recovered after                   31.0 s           never          8.00 s
                                                                ≥ 8.00 s
                                                                 ≤ never

by phase                     unprotected     naive-retry        critical
before, 0s to 2m
  answered in time               100.00%         100.00%         100.00%
  latency P50                    48.1 ms         48.1 ms         46.9 ms
  latency P99                     1.98 s          2.00 s          812 ms
  attempts per admitted             1.00            3.41            1.10
latency ×6, 2m to 4m
  answered in time                19.99%          19.99%          70.00%
  failed by payments              80.01%          80.01%          30.00%
  latency P50                    48.1 ms         48.1 ms         46.9 ms
  latency P99                     1.98 s          2.00 s          812 ms
  attempts per admitted             1.00            3.41            1.10
  breaker opened after                 –               –          4.00 s
  recovered after                 31.0 s not by the next          8.00 s
between, 4m to 4m 30s
  answered in time                19.99%          19.99%          70.00%
  failed by payments              80.01%          80.01%          30.00%
  latency P50                    48.1 ms         48.1 ms         46.9 ms
  latency P99                     1.98 s          2.00 s          812 ms
  attempts per admitted             1.00            3.41            1.10
50% of the servers left, 4m 30s to 5m
  answered in time                19.99%          19.99%          70.00%
  failed by payments              80.01%          80.01%          30.00%
  latency P50                    48.1 ms         48.1 ms         46.9 ms
  latency P99                     1.98 s          2.00 s          812 ms
  attempts per admitted             1.00            3.41            1.10
  recovered after             not judged           never        not down
after, 5m to 10m
  answered in time               100.00%               –         100.00%
  failed by payments                   –         100.00%               –
  latency P50                    48.1 ms         48.1 ms         46.9 ms
  latency P99                     1.98 s          2.00 s          812 ms
  attempts per admitted             1.00            3.41            1.10

recovery from fault 2 cannot be judged: too few calls (unprotected)

goodput over time in the run with seed 42
  unprotected           ████████████▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂██████████████████████████████
  naive-retry           ████████████▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
  critical              ████████████▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅██████████████████████████████
                                    ╰──────────╯ latency ×6
                                                   ╰─╯ 50% of the servers left
                        0s                                                       10m

✓ critical  availability   98.6042%, objective >= 98%
✓ critical  amplification  1.081, objective <= 1.3
? critical  recovery       never, objective <= 60s, met by 2 of 3 runs
1 of 3 objectives undecided: it may be chance; --repeat 20 may decide
simulated 1h 30m (3 variants × 3 runs) in 2.10 s
"#;
const JSON_ONE: &str = r#"
{
  "schema": 2,
  "version": "0.1.0",
  "scenario": "brown-out",
  "incident": "0123456789abcdef",
  "seed": 42,
  "verdict": "met",
  "warnings": [],
  "capacity_rps": [
    1600.0
  ],
  "variants": [
    {
      "name": "unprotected",
      "baseline": true,
      "requests": 300104,
      "success_ratio": 0.937128,
      "goodput_ratio": 0.913803,
      "in_time": 274236,
      "late": 7000,
      "failed": 301,
      "refused": 18567,
      "unanswered": 0,
      "p50_ms": 48.123,
      "p99_ms": 1980.0,
      "p999_ms": null,
      "fail_p50_ms": null,
      "fail_p99_ms": null,
      "attempts": 300104,
      "amplification": 1.0,
      "attempts_per_admitted": 1.0,
      "wasted_ratio": null,
      "peak_load_rps": 612.3,
      "peak_100ms_rps": null,
      "worst_10s_ratio": null,
      "below_objective_s": null,
      "open_ratio": null,
      "false_openings": null,
      "detect_s": null,
      "burn_s": null,
      "recovery_s": 31.0,
      "rejections": {
        "rate_limit": 0,
        "bulkhead": 0,
        "adaptive_limit": 0,
        "circuit_breaker": 0,
        "timeout": 0,
        "deadline": 0
      },
      "shares": {
        "in_time": 0.913803,
        "late": 0.023325,
        "failed": 0.001003,
        "refused": 0.061869,
        "rate_limit": 0.0,
        "bulkhead": 0.0,
        "adaptive_limit": 0.0,
        "circuit_breaker": 0.0,
        "timeout": 0.0,
        "deadline": 0.0,
        "unanswered": 0.0
      },
      "phases": [],
      "faults": [],
      "slo": [],
      "runs": [],
      "series": []
    },
    {
      "name": "critical",
      "baseline": false,
      "requests": 300104,
      "success_ratio": 0.986042,
      "goodput_ratio": 0.986042,
      "in_time": 295915,
      "late": 0,
      "failed": 301,
      "refused": 0,
      "unanswered": 0,
      "p50_ms": 46.9,
      "p99_ms": 812.4,
      "p999_ms": null,
      "fail_p50_ms": null,
      "fail_p99_ms": null,
      "attempts": 324412,
      "amplification": 1.081,
      "attempts_per_admitted": 1.0952,
      "wasted_ratio": null,
      "peak_load_rps": 612.3,
      "peak_100ms_rps": null,
      "worst_10s_ratio": null,
      "below_objective_s": null,
      "open_ratio": null,
      "false_openings": null,
      "detect_s": 4.2,
      "burn_s": null,
      "recovery_s": 8.0,
      "rejections": {
        "rate_limit": 0,
        "bulkhead": 0,
        "adaptive_limit": 0,
        "circuit_breaker": 3871,
        "timeout": 17,
        "deadline": 0
      },
      "shares": {
        "in_time": 0.986041,
        "late": 0.0,
        "failed": 0.001003,
        "refused": 0.0,
        "rate_limit": 0.0,
        "bulkhead": 0.0,
        "adaptive_limit": 0.0,
        "circuit_breaker": 0.012899,
        "timeout": 0.000057,
        "deadline": 0.0,
        "unanswered": 0.0
      },
      "phases": [
        {
          "name": "before",
          "from_s": 0.0,
          "to_s": 120.0,
          "faults": [],
          "requests": 60021,
          "success_ratio": 0.986042,
          "goodput_ratio": 0.986042,
          "in_time": 60021,
          "late": 0,
          "failed": 0,
          "refused": 0,
          "unanswered": 0,
          "p50_ms": 46.9,
          "p99_ms": 812.4,
          "p999_ms": null,
          "fail_p50_ms": null,
          "fail_p99_ms": null,
          "attempts": 324412,
          "amplification": 1.081,
          "attempts_per_admitted": 1.0952,
          "rejections": {
            "rate_limit": 0,
            "bulkhead": 0,
            "adaptive_limit": 0,
            "circuit_breaker": 0,
            "timeout": 0,
            "deadline": 0
          },
          "shares": {
            "in_time": 1.0,
            "late": 0.0,
            "failed": 0.0,
            "refused": 0.0,
            "rate_limit": 0.0,
            "bulkhead": 0.0,
            "adaptive_limit": 0.0,
            "circuit_breaker": 0.0,
            "timeout": 0.0,
            "deadline": 0.0,
            "unanswered": 0.0
          }
        }
      ],
      "faults": [
        {
          "what": "latency ×6",
          "from_s": 120.0,
          "to_s": 240.0,
          "detect_s": 4.0,
          "burn_s": null,
          "recovery_s": 8.0,
          "recovery": "recovered"
        },
        {
          "what": "50% of the servers left",
          "from_s": 270.0,
          "to_s": 300.0,
          "detect_s": null,
          "burn_s": null,
          "recovery_s": 0.0,
          "recovery": "not_down"
        }
      ],
      "slo": [
        {
          "name": "availability",
          "rule": ">= 98%",
          "value": 0.986042,
          "met": true,
          "verdict": "met",
          "runs_met": 1
        },
        {
          "name": "amplification",
          "rule": "<= 1.3",
          "value": 1.081,
          "met": true,
          "verdict": "met",
          "runs_met": 1
        },
        {
          "name": "recovery",
          "rule": "<= 60s",
          "value": 8.0,
          "met": true,
          "verdict": "met",
          "runs_met": 1
        }
      ],
      "runs": [
        {
          "seed": 42,
          "amplification": 1.081,
          "goodput_ratio": 0.986042,
          "p99_ms": 812.4,
          "recovery_s": 8.0,
          "success_ratio": 0.986042
        }
      ],
      "series": [
        {
          "at_s": 0.0,
          "length_s": 1.0,
          "due": 500,
          "through": 500,
          "in_time": 500,
          "attempts": 540,
          "queued": 0.0,
          "open": 0.0
        }
      ]
    }
  ]
}
"#;
const REPEATS: &str = r#"
{
  "met": false,
  "more_seeds": 17,
  "name": "recovery",
  "rule": "<= 60s",
  "runs_met": 2,
  "value": null,
  "verdict": "undecided"
}"#;

#[test]
fn the_table_keeps_to_a_hundred_columns_with_many_variants() {
    let mut scenario = fake::scenario();
    scenario.dependencies[0].name = "a-dependency-with-quite-a-long-name".to_owned();
    for number in 0..6 {
        let variant = scenario.variants[2].clone();
        scenario.variants.push(super::scenario::Variant {
            name: format!("critical-variant-{number:03}"),
            ..variant
        });
    }
    for (runs, whole) in [(1, true), (3, true), (1, false), (3, false)] {
        let text = rendered(&summary_of(&scenario, runs), whole);
        let widest = text
            .lines()
            .max_by_key(|line| line.chars().count())
            .expect("there are lines");
        assert!(widest.chars().count() <= 100, "{widest}");
        assert!(
            text.lines().all(|line| line == line.trim_end()),
            "no blanks at the end of a line:\n{text}"
        );
        for variant in &scenario.variants {
            assert!(
                text.matches(&variant.name).count() >= 2,
                "{} in figures and pictures",
                variant.name
            );
        }
    }
}

#[test]
fn a_table_of_four_variants_is_in_one_piece() {
    let mut scenario = fake::scenario();
    let variant = scenario.variants[2].clone();
    scenario.variants.push(super::scenario::Variant {
        name: "careful".to_owned(),
        ..variant
    });
    assert_eq!(table_of(&summary_of(&scenario, 1)).matches("for each call").count(), 1,);
}

#[test]
fn without_faults_and_objectives_nothing_is_said_of_them() {
    let mut scenario = fake::scenario();
    scenario.faults.clear();
    scenario.slo.clear();
    let summary = summary_of(&scenario, 1);
    let text = table_of(&summary);
    assert!(!text.contains("recovered") && !text.contains("╰"), "{text}");
    assert!(text.contains("no objectives: nothing is judged\n"), "{text}");
    assert_eq!(summary.verdict(), Verdict::Met);
}

#[test]
fn a_ratio_just_below_its_objective_does_not_look_like_it() {
    let mut scenario = fake::scenario();
    scenario.slo.retain(|objective| objective.goal.name == "availability");
    scenario.slo[0].limit = 0.98611;
    scenario.slo[0].rule = ">= 98.611%".to_owned();
    let text = table_of(&summary_of(&scenario, 1));
    assert!(
        text.contains("✗ critical  availability  98.6042%, objective >= 98.611%\nthe objective is missed\n"),
        "{text}"
    );
}

#[test]
fn the_json_object_has_the_promised_fields() {
    let mut summary = summary_of(&fake::scenario(), 1);
    // One of each says it all.
    summary.variants.remove(1);
    summary.variants[0].phases.clear();
    summary.variants[0].incidents.clear();
    summary.variants[0].runs.clear();
    summary.variants[0].series.clear();
    summary.variants[1].series.truncate(1);
    summary.capacity.truncate(1);
    summary.incident = "0123456789abcdef".to_owned();
    summary.variants[1].phases.truncate(1);
    assert_text(&json::render(&summary).expect("finite"), JSON_ONE);
}

#[test]
fn the_json_object_of_several_runs_has_their_least_and_most() {
    let text = json::render(&summary_of(&fake::scenario(), 3)).expect("finite");
    let object: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let critical = &object["variants"][2];
    assert_eq!(
        (critical["name"].as_str(), critical["detect_s"].as_f64()),
        (Some("critical"), Some(4.3)),
        "of the run in the middle"
    );
    assert_eq!(critical["recovery_s"].as_f64(), Some(8.0), "two of three recover");
    assert_text(
        &serde_json::to_string_pretty(&critical["slo"][2]).expect("finite"),
        REPEATS,
    );
    let repeats = &critical["repeats"];
    assert_eq!(repeats["runs"].as_u64(), Some(3));
    assert_eq!(
        (repeats["min"]["detect_s"].as_f64(), repeats["max"]["detect_s"].as_f64()),
        (Some(4.2), Some(4.4))
    );
    assert!(repeats["max"]["recovery_s"].is_null(), "never is the most");
    let fields = |value: &serde_json::Value| {
        value
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    let figures: Vec<String> = fields(critical)
        .into_iter()
        .filter(|field| {
            ![
                "name", "baseline", "phases", "faults", "slo", "runs", "series", "repeats",
            ]
            .contains(&field.as_str())
        })
        .collect();
    assert_eq!(
        (fields(&repeats["min"]), fields(&repeats["max"])),
        (figures.clone(), figures),
        "the same figures"
    );
}

#[test]
fn equal_runs_give_equal_bytes_and_others_do_not() {
    let scenario = fake::scenario();
    let render = |runs| json::render(&summary_of(&scenario, runs)).expect("finite");
    assert_eq!(render(2), render(2));
    assert_ne!(render(2), render(1));
}

#[test]
fn a_figure_that_is_no_number_is_never_reported() {
    let scenario = fake::scenario();
    let run = || fake::report(&scenario, 42);
    let mut broken = run();
    let figures = &broken.variants[1].figures;
    let without_number = |figure: &'static Figure| match figure.name {
        "amplification" => Some(f64::NAN).into(),
        _ => figures.said(figure),
    };
    broken.variants[1].figures = FIGURES.iter().map(without_number).collect::<Figures>();
    let error = Summary::new(&scenario, &[run(), broken]).expect_err("it is no number");
    assert_eq!(
        error,
        "the simulation gave no number for `amplification` of the variant \"naive-retry\""
    );
    let mut short = run();
    short.variants.pop();
    let error = Summary::new(&scenario, &[short]).expect_err("one is left out");
    assert_eq!(error, "the simulation has left out the variant \"critical\"");
}

#[test]
fn an_objective_is_judged_by_all_runs_and_baselines_by_none() {
    let scenario = fake::scenario();
    for (runs, recovery, verdict) in [
        (1, Some(8.0), Verdict::Met),
        (2, Some(8.0), Verdict::Met),
        (3, None, Verdict::Undecided { more: 17 }),
        (4, None, Verdict::Missed),
    ] {
        let summary = summary_of(&scenario, runs);
        let judgements: Vec<_> = summary
            .judgements()
            .map(|(variant, judgement)| (&*variant.name, judgement.value.number, judgement.verdict))
            .collect();
        let expected = [
            ("critical", Some(0.986_042), Verdict::Met),
            ("critical", Some(1.081), Verdict::Met),
            ("critical", recovery, verdict),
        ];
        assert_eq!(judgements, expected, "{runs} runs");
        assert_eq!(summary.verdict(), verdict);
    }
}

#[test]
fn a_comparison_with_an_earlier_drill_is_told() {
    let scenario = fake::scenario();
    let mut summary = summary_of(&scenario, 3);
    let earlier = Baseline::read(&json::render(&summary).expect("finite")).expect("it was just written");
    summary.changes = earlier.compare(&summary, 0.02).expect("they are the same");
    summary.changes.truncate(2);
    (summary.changes[1].worse, summary.changes[1].margin) = (0.018, 0.003);
    let text = rendered(&summary, false);
    let expected = "
against the earlier drill, by 3 seeds
✓ critical  availability  unchanged ±0.00 points
✓ critical  goodput       1.80 points worse ±0.30
";
    assert!(text.contains(expected), "{text}");
}
