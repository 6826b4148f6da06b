//! Keeps the instructions, the allocations and the memory of our hot paths from growing: compares them with committed baselines.

use crate::case::Case;
use crate::measure::allocations::{self, Held};
use crate::measure::instructions;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// How far instruction counts may lie above the baseline of the same compiler: the linker's choices move them a little.
const TOLERANCE: f64 = 0.10;
/// How far they may lie above it with another compiler.
const OTHER_COMPILER: f64 = 0.50;
/// And so many more in any case, for counts so small that the tolerance is none.
const FEW: f64 = 3.0;
/// Allocations and bytes of maps that grow differ a little with their random seeds.
const NOISE: f64 = 1.05;

/// The file of baselines.
#[derive(Default, Deserialize, Serialize)]
struct Baselines {
    compiler: String,
    cases: BTreeMap<String, Baseline>,
}

#[derive(Deserialize, Serialize)]
struct Baseline {
    instructions: f64,
    allocations: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    future_bytes: Option<usize>,
    instance: Held,
}

/// Compares the counts of our cases with the baselines at `path`, or takes them as the new ones.
pub(crate) fn check(cases: &[Case], path: &Path, write: bool) -> Result<(), String> {
    let ours: Vec<&Case> = cases.iter().filter(|case| case.ours && !case.uncounted).collect();
    let counted = instructions::measure(&ours)?;
    let now: BTreeMap<String, Baseline> = (ours.iter())
        .map(|case| {
            let baseline = Baseline {
                instructions: counted.get(&case.name).copied().unwrap_or(f64::NAN),
                allocations: allocations::measure(case).count,
                future_bytes: case.future_bytes,
                instance: allocations::held(case),
            };
            (case.name.clone(), baseline)
        })
        .collect();
    let compiler = compiler();
    if write {
        let text =
            serde_json::to_string_pretty(&Baselines { compiler, cases: now }).map_err(|error| error.to_string())?;
        return std::fs::write(path, text + "\n").map_err(|error| format!("cannot write {}: {error}", path.display()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let then: Baselines = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let tolerance = if then.compiler == compiler {
        TOLERANCE
    } else {
        OTHER_COMPILER
    };
    println!(
        "{:<48} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "instr.", "baseline", "alloc.", "baseline", "bytes", "baseline"
    );
    let faults: Vec<String> = now
        .iter()
        .filter_map(|(name, now)| {
            let Some(then) = then.cases.get(name) else {
                return Some(format!("{name} has no baseline"));
            };
            println!(
                "{name:<48} {:>8.0} {:>8.0} {:>8.2} {:>8.2} {:>8} {:>8}",
                now.instructions,
                then.instructions,
                now.allocations,
                then.allocations,
                now.instance.bytes,
                then.instance.bytes
            );
            fault(name, now, then, tolerance)
        })
        .chain(
            then.cases
                .keys()
                .filter(|name| !now.contains_key(*name))
                .map(|name| format!("{name} is gone")),
        )
        .collect();
    println!(
        "tolerance: {:.0} % and {FEW:.0} instructions ({}), no further allocation, no more memory",
        tolerance * 100.0,
        if then.compiler == compiler {
            "the baselines' compiler"
        } else {
            "another compiler than the baselines'"
        },
    );
    if faults.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\nIf this is meant to be: `cargo run --release --no-default-features -- counts --write` in bench/, and say why in the commit",
        faults.join("\n")
    ))
}

/// What is wrong with a count, if anything.
fn fault(name: &str, now: &Baseline, then: &Baseline, tolerance: f64) -> Option<String> {
    let most = then.instructions * (1.0 + tolerance) + FEW;
    // A count that is no number is a fault.
    if now.instructions.is_nan() || now.instructions > most {
        let (now, then) = (now.instructions, then.instructions);
        return Some(format!(
            "{name}: {now:.0} instructions a call; the baseline is {then:.0}, at most {most:.0} pass"
        ));
    }
    if now.allocations > then.allocations * NOISE {
        let (now, then) = (now.allocations, then.allocations);
        return Some(format!(
            "{name}: {now:.2} allocations a call; the baseline is {then:.2}"
        ));
    }
    let memory = [
        ("bytes", now.instance.bytes, then.instance.bytes),
        (
            "pieces of the heap",
            now.instance.allocations,
            then.instance.allocations,
        ),
        (
            "bytes for a second thread",
            now.instance.second_thread.unwrap_or_default(),
            then.instance.second_thread.unwrap_or_default(),
        ),
    ];
    let grown = memory
        .into_iter()
        .find(|(_, now, then)| *now as f64 > *then as f64 * NOISE);
    if let Some((what, now, then)) = grown {
        return Some(format!(
            "{name}: an instance takes {now} {what}; the baseline is {then}"
        ));
    }
    match (now.future_bytes, then.future_bytes) {
        (Some(now), Some(then)) if now as f64 > then as f64 * (1.0 + tolerance) => {
            Some(format!("{name}: its future has {now} bytes; the baseline is {then}"))
        }
        _ => None,
    }
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::{Baseline, Held, fault};

    fn counts(instructions: f64, allocations: f64) -> Baseline {
        Baseline {
            instructions,
            allocations,
            future_bytes: Some(100),
            instance: Held {
                bytes: 1_000,
                allocations: 2,
                second_thread: Some(128),
            },
        }
    }

    #[test]
    fn a_count_within_its_tolerance_passes_and_one_above_it_does_not() {
        let then = counts(100.0, 0.0);
        assert_eq!(fault("a", &counts(112.0, 0.0), &then, 0.1), None);
        assert!(fault("a", &counts(114.0, 0.0), &then, 0.1).is_some());
        assert!(fault("a", &counts(f64::NAN, 0.0), &then, 0.1).is_some());
    }

    #[test]
    fn an_instance_that_takes_more_memory_does_not_pass() {
        let then = counts(100.0, 0.0);
        for (bytes, allocations, second_thread) in [(1_051, 2, 128), (1_000, 3, 128), (1_000, 2, 256)] {
            let mut now = counts(100.0, 0.0);
            now.instance = Held {
                bytes,
                allocations,
                second_thread: Some(second_thread),
            };
            assert!(fault("a", &now, &then, 0.1).is_some(), "{:?}", now.instance);
        }
    }

    #[test]
    fn one_allocation_in_ten_thousand_calls_is_one_too_many() {
        assert!(fault("a", &counts(100.0, 0.0001), &counts(100.0, 0.0), 0.1).is_some());
    }
}
