//! `c13 run` as a process among others: what becomes of its command whichever of them dies, stops, reads or writes.

#![cfg(target_os = "linux")]

#[path = "process/deaths.rs"]
mod deaths;
#[path = "process/input.rs"]
mod input;
#[path = "process/jobs.rs"]
mod jobs;
#[path = "common/scene.rs"]
mod scene;
#[path = "process/signals.rs"]
mod signals;

use scene::{Scene, comes_true};
use std::time::Duration;

/// For what is to happen at once, on a machine that may be busy.
const SOON: Duration = Duration::from_secs(20);

/// What a command has written into this file, once it has.
fn written(scene: &Scene, name: &str) -> String {
    let read = || std::fs::read_to_string(scene.file(name)).unwrap_or_default();
    assert!(comes_true(SOON, || read().ends_with('\n')), "nobody wrote {name}");
    read().trim().to_owned()
}

/// A line of `/proc/PID/status`, without its name.
fn status_line(process: &str, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches(':').trim().to_owned())
}

fn is_alive(process: &str) -> bool {
    status_line(process, "State").is_some_and(|state| !state.starts_with('Z') && !state.starts_with('X'))
}

fn is_stopped(process: &str) -> bool {
    status_line(process, "State").is_some_and(|state| state.starts_with('T'))
}

/// The child of a wrapper: its guard.
fn guard_of(wrapper: &str) -> String {
    let children = || std::fs::read_to_string(format!("/proc/{wrapper}/task/{wrapper}/children")).unwrap_or_default();
    let is_guard = |child: &&str| {
        let line = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == b"__guard")
    };
    let children = children();
    let guard = children.split_whitespace().find(is_guard);
    guard.unwrap_or_else(|| panic!("{wrapper} has no guard")).to_owned()
}
