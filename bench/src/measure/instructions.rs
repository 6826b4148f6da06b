//! Instructions a call, counted by callgrind: the same on a busy machine as on a quiet one.
//!
//! One valgrind runs this program again for all cases; it collects only inside [`measured_region`], and writes a file each
//! time that [`region_is_over`] is called.

use crate::case::Case;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const WARM_UP: u64 = 500;
const CALLS: u64 = 1_000;
const REGION: &str = "*measured_region*";
const OVER: &str = "*region_is_over*";

/// Runs the calls that are counted. Never inlined, because callgrind knows it by its name.
#[inline(never)]
fn measured_region(runner: &mut dyn crate::case::Runner) {
    runner.batch(CALLS);
    std::hint::black_box(());
}

/// Does nothing, under a name that callgrind knows.
#[inline(never)]
fn region_is_over() {
    std::hint::black_box(());
}

/// What valgrind runs: every case of `names`, in order.
pub(crate) fn run_regions(cases: &[&Case]) {
    for case in cases {
        let mut runner = case.runner();
        runner.batch(WARM_UP);
        measured_region(&mut *runner);
        region_is_over();
    }
}

/// Counts the instructions of a call for each of `cases`, by name.
pub(crate) fn measure(cases: &[&Case]) -> Result<BTreeMap<String, f64>, String> {
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let folder = std::env::temp_dir().join(format!("c13-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let counted = in_folder(&program, &folder, cases);
    let _gone = std::fs::remove_dir_all(&folder);
    counted
}

fn in_folder(program: &Path, folder: &Path, cases: &[&Case]) -> Result<BTreeMap<String, f64>, String> {
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--toggle-collect={REGION}"))
        .arg(format!("--dump-before={OVER}"))
        .arg("--compress-pos=no")
        .arg(format!("--callgrind-out-file={}/out", folder.display()))
        .arg(program)
        .arg("regions")
        .args(cases.iter().map(|case| &case.name))
        .output()
        .map_err(|error| format!("cannot run valgrind (Debian: valgrind): {error}"))?;
    if !output.status.success() {
        return Err(format!("valgrind failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let mut counts = BTreeMap::new();
    for (number, case) in cases.iter().enumerate() {
        let path = folder.join(format!("out.{}", number + 1));
        let dump = std::fs::read_to_string(&path)
            .map_err(|error| format!("callgrind wrote no {} for {}: {error}", path.display(), case.name))?;
        let total = dump
            .lines()
            .find_map(|line| line.strip_prefix("totals: "))
            .and_then(|total| total.trim().parse::<f64>().ok());
        let total = total.ok_or_else(|| format!("callgrind's file for {} has no totals", case.name))?;
        counts.insert(case.name.clone(), total / CALLS as f64);
    }
    Ok(counts)
}
