//! The result of a soak, and whether it is good.

use std::time::Duration;

use serde::Serialize;

use super::process::ProcessUse;
use super::tally::Counts;

/// How much resident memory may grow between the first and the second half of what follows the warm-up.
pub(crate) const MOST_GROWTH: u64 = 4 * 1024 * 1024;
/// The share of the run that is warm-up: caches fill, keys become known, the allocator takes what it needs.
pub(crate) const WARM_UP: f64 = 0.25;

/// The result of a soak.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SoakReport {
    /// The version of this form.
    pub(crate) schema: u32,
    /// Where the random numbers began.
    pub(crate) seed: u64,
    /// How long the load lasted.
    pub(crate) seconds: f64,
    /// The parts, with what their callers saw and what does not add up.
    pub(crate) parts: Vec<PartReport>,
    /// What the process used, once a second.
    pub(crate) held: Vec<ProcessUse>,
    /// What the process used too much of in the end.
    pub(crate) leaks: Vec<String>,
}

/// The result of one part.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PartReport {
    /// Its name.
    pub(crate) name: &'static str,
    /// What its callers saw.
    pub(crate) seen: Counts,
    /// What does not add up.
    pub(crate) faults: Vec<String>,
}

impl SoakReport {
    /// Whether everything adds up and nothing leaked.
    pub(crate) fn is_good(&self) -> bool {
        self.leaks.is_empty() && self.parts.iter().all(|part| part.faults.is_empty())
    }

    /// All calls.
    pub(crate) fn calls(&self) -> u64 {
        self.parts.iter().map(|part| part.seen.calls()).sum()
    }
}

/// What is wrong with what the process used `before` the load, during it and `after` it.
pub(super) fn leaks(held: &[ProcessUse], before: Before, after: Before) -> Vec<String> {
    let mut leaks = Vec::new();
    let kept = |what: &str, before: usize, after: usize| {
        (after > before).then(|| format!("{what}: {after} in the end, {before} in the beginning"))
    };
    leaks.extend(kept("open files", before.files, after.files));
    leaks.extend(kept("tasks", before.tasks, after.tasks));
    leaks.extend(growth(held));
    leaks
}

/// What must be as it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    pub(super) files: usize,
    pub(super) tasks: usize,
}

/// Memory that grew after the warm-up, if it did.
fn growth(held: &[ProcessUse]) -> Option<String> {
    let warm = &held[(held.len() as f64 * WARM_UP) as usize..];
    let (first, second) = warm.split_at(warm.len() / 2);
    let (first, second) = (middle(first)?, middle(second)?);
    (second > first + MOST_GROWTH).then(|| {
        let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
        format!(
            "memory grew after the warm-up, from {:.1} to {:.1} MiB",
            mib(first),
            mib(second)
        )
    })
}

/// The memory that half of the readings stay within.
fn middle(held: &[ProcessUse]) -> Option<u64> {
    let mut memory: Vec<u64> = held.iter().map(|held| held.memory).collect();
    memory.sort_unstable();
    memory.get(memory.len() / 2).copied()
}

/// Whether a run of this length says anything.
pub(crate) const SHORTEST: Duration = Duration::from_secs(10);

/// What the process holds is kept for each second: in a longer run that would be what grows.
pub(crate) const LONGEST: Duration = Duration::from_secs(7 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(memory: impl Fn(u64) -> u64) -> Vec<ProcessUse> {
        let held = |second| ProcessUse {
            memory: memory(second) << 20,
            files: 10,
            threads: 4,
        };
        (0..60).map(held).collect()
    }

    const REST: Before = Before { files: 10, tasks: 0 };

    #[test]
    fn memory_that_grows_for_ever_is_a_leak_and_a_warm_up_is_none() {
        assert!(leaks(&readings(|second| 100 + second), REST, REST)[0].contains("memory grew"));
        assert_eq!(leaks(&readings(|second| 20 + 10 * second.min(10)), REST, REST), [""; 0]);
        assert_eq!(leaks(&readings(|second| 100 + second % 3), REST, REST), [""; 0]);
    }

    #[test]
    fn files_and_tasks_that_stay_are_leaks() {
        let found = leaks(&readings(|_| 100), REST, Before { files: 11, tasks: 2 });
        assert_eq!(
            found,
            [
                "open files: 11 in the end, 10 in the beginning",
                "tasks: 2 in the end, 0 in the beginning"
            ]
        );
    }
}
