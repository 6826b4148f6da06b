//! A run: several passes over all cases in turn, so that what drifts, drifts for everybody.

use crate::case::Case;
use crate::measure::quiet;
use crate::measure::time::{self, Plan, Times};
use crate::measure::{allocations, instructions};
use crate::processors::{self, pin};
use crate::results::{Figures, Results, Spread};
use crate::stamp::Scale;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

/// How thorough a run is.
#[derive(Clone, Copy)]
pub(crate) enum Length {
    /// Three short passes.
    Quick,
    /// Nine passes.
    Full,
}

/// Measures times, instructions and allocations of `cases`, and runs the benches that are programs of their own.
pub(crate) fn all(cases: &[&Case], quick: bool) -> Result<Results, String> {
    let mut results = times(cases, if quick { Length::Quick } else { Length::Full });
    for case in cases {
        if let Some(figures) = results.cases.get_mut(&case.name) {
            figures.allocations = allocations::measure(case);
            figures.held = Some(allocations::held(case));
        }
    }
    eprintln!("counting instructions");
    let counted: Vec<&Case> = cases.iter().copied().filter(|case| !case.uncounted).collect();
    for (name, count) in instructions::measure(&counted)? {
        if let Some(figures) = results.cases.get_mut(&name) {
            figures.instructions = Some(count);
        }
    }
    // Not pinned any more: what follows has threads of its own.
    for (name, arguments) in OTHERS {
        eprintln!("running the bench `{name}`");
        let seconds = if quick { "5" } else { "20" };
        let arguments: Vec<&str> = arguments
            .iter()
            .map(|word| if *word == "SECONDS" { seconds } else { word })
            .collect();
        results.others.insert((*name).to_owned(), bench(name, &arguments)?);
    }
    Ok(results)
}

/// Benches of the library that print tables of their own: what they measure takes whole seconds, or a server.
const OTHERS: &[(&str, &[&str])] = &[
    (
        "scheduler",
        &[
            "SECONDS",
            "0",
            "thread, spin 60",
            "sharpest",
            "tokio",
            "cyclictest, FIFO",
        ],
    ),
    ("distributed", &[]),
];

fn bench(name: &str, arguments: &[&str]) -> Result<String, String> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let output = Command::new("cargo")
        .args([
            "bench",
            "--quiet",
            "--manifest-path",
            manifest,
            "-p",
            "c13-reliability",
            "--all-features",
        ])
        .args(["--bench", name, "--"])
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "the bench `{name}` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

/// Measures the times of `cases` only.
pub(crate) fn times(cases: &[&Case], length: Length) -> Results {
    let milliseconds = Duration::from_millis;
    let (passes, batches, singles) = match length {
        Length::Quick => (3, milliseconds(15), milliseconds(10)),
        Length::Full => (9, milliseconds(40), milliseconds(30)),
    };
    pin(1);
    let scale = Scale::measure();
    quiet::learn();
    let plan = Plan {
        batches,
        singles,
        scale,
    };
    let mut seen: BTreeMap<(&str, usize), Vec<Times>> = BTreeMap::new();
    for pass in 1..=passes {
        eprintln!("pass {pass} of {passes} over {} cases", cases.len());
        for case in cases {
            for threads in 1..=case.threads {
                let times = time::measure(case, threads, plan);
                seen.entry((&case.name, threads)).or_default().push(times);
            }
        }
    }
    let spread = |case: &Case, threads| {
        seen.get(&(case.name.as_str(), threads))
            .and_then(|passes| Spread::of(passes))
    };
    let figures = |case: &Case| Figures {
        one: spread(case, 1),
        two: spread(case, 2),
        future_bytes: case.future_bytes,
        ..Figures::default()
    };
    Results {
        machine: machine(passes, &seen),
        cases: cases.iter().map(|case| (case.name.clone(), figures(case))).collect(),
        others: BTreeMap::new(),
    }
}

/// What a reader must know of the machine and the run.
fn machine(passes: usize, seen: &BTreeMap<(&str, usize), Vec<Times>>) -> BTreeMap<String, String> {
    let measured = seen.values().flatten().count();
    let disturbed = seen.values().flatten().filter(|times| !times.quiet).count();
    let first = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let processor = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split(": ").nth(1)?.to_owned())
    });
    let count = processors::count();
    [
        ("processor", processor.map(|name| format!("{name}, {count} processors"))),
        ("system", first("uname", &["-srm"])),
        ("compiler", first("rustc", &["--version"])),
        ("day", first("date", &["+%Y-%m-%d"])),
        ("passes", Some(passes.to_string())),
        (
            "disturbed throughout",
            Some(format!("{disturbed} of {measured} measurements")),
        ),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}
