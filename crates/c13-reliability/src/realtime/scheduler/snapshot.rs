//! What a scheduler reports.

use crate::snapshot::{Metric, Reading};
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

static RUNS: Metric = Metric::counter("reliability.scheduler.runs", "{run}", "Ticks that were run, by task");
static MISSED: Metric = Metric::counter(
    "reliability.scheduler.missed_ticks",
    "{tick}",
    "Ticks that were left out, by task",
);
static DEADLINES: Metric = Metric::counter(
    "reliability.scheduler.missed_deadlines",
    "{run}",
    "Runs that were done after their deadline, by task",
);
static STUCK: Metric = Metric::counter(
    "reliability.scheduler.stuck",
    "{run}",
    "Runs that were reported as stuck, by task",
);
const CLASSES: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 1.0,
];
static LATENESS: Metric = Metric::seconds(
    "reliability.scheduler.lateness",
    CLASSES,
    "How long after it was due each run began, by task",
);
static RUN_TIME: Metric = Metric::seconds(
    "reliability.scheduler.run_time",
    CLASSES,
    "How long each run took, by task",
);

/// Everything that a scheduler reports.
pub(crate) static METRICS: &[&Metric] = &[&RUNS, &MISSED, &DEADLINES, &STUCK, &LATENESS, &RUN_TIME];

impl SchedulerSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        self.tasks.iter().flat_map(TaskSnapshot::readings).collect()
    }
}

impl TaskSnapshot {
    fn readings(&self) -> [Reading; 6] {
        [
            Reading::count(&RUNS, self.runs),
            Reading::count(&MISSED, self.missed),
            Reading::count(&DEADLINES, self.deadlines_missed),
            Reading::count(&STUCK, self.stuck),
            Reading::times(&LATENESS, self.lateness.clone()),
            Reading::times(&RUN_TIME, self.run_time.clone()),
        ]
        .map(|reading| reading.label("task", &*self.name))
    }

    /// The lateness that the share `q` of all runs did not exceed, in microseconds; `None` before the first run.
    #[must_use]
    pub fn lateness_us(&self, q: f64) -> Option<f64> {
        self.lateness.quantile(q).map(|nanos| nanos as f64 / 1e3)
    }
}
