//! What a scheduler reports.

use crate::sync::HistogramSnapshot;

/// What a scheduler's tasks did so far, in the order in which they were added.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SchedulerSnapshot {
    /// One entry a task.
    pub tasks: Vec<TaskSnapshot>,
}

/// What one periodic task did so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskSnapshot {
    /// Its name.
    pub name: String,
    /// Ticks that were run.
    pub runs: u64,
    /// Ticks that were left out.
    pub missed: u64,
    /// Runs that were done after their deadline.
    pub deadlines_missed: u64,
    /// Runs that were reported as stuck.
    pub stuck: u64,
    /// How long after it was due each run began, in nanoseconds.
    pub lateness: HistogramSnapshot,
    /// How long each run took, in nanoseconds.
    pub run_time: HistogramSnapshot,
}

impl TaskSnapshot {
    /// The lateness that the share `q` of all runs did not exceed, in microseconds; `None` before the first run.
    #[must_use]
    pub fn lateness_us(&self, q: f64) -> Option<f64> {
        self.lateness.quantile(q).map(|nanos| nanos as f64 / 1e3)
    }
}
