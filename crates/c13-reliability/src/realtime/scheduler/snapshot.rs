//! What a scheduler reports.

use crate::snapshot::{Metric, Reading, Reported, Row, readings_of};
use crate::sync::HistogramSnapshot;
use crate::sync::counted;

/// The cumulative counts of a scheduler's tasks, in the order in which they were added.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SchedulerSnapshot {
    /// One entry a task.
    pub tasks: Vec<TaskSnapshot>,
}

counted! {
    /// The cumulative counts of one periodic task.
    #[derive(Clone, Debug, Default)]
    #[non_exhaustive]
    pub struct TaskSnapshot by TaskCount {
        /// Its name.
        pub name: String,
        /// Ticks that were run.
        pub runs: u64 = Run,
        /// Ticks that were skipped.
        pub missed: u64 = Missed,
        /// Runs that were done after their deadline.
        pub deadlines_missed: u64 = DeadlineMissed,
        /// Runs that were reported as stuck.
        pub stuck: u64 = Stuck,
        /// How long after it was due each run began, in nanoseconds.
        pub lateness: HistogramSnapshot,
        /// How long each run took, in nanoseconds.
        pub run_time: HistogramSnapshot,
    }
}

const CLASSES: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 1.0,
];

impl Reported for TaskSnapshot {
    const METRICS: &'static [Row<Self>] = &[
        Row::count(
            Metric::counter("reliability.scheduler.runs", "{run}", "Ticks that were run, by task").by(&["task"]),
            |s| s.runs,
        ),
        Row::count(
            Metric::counter(
                "reliability.scheduler.missed_ticks",
                "{tick}",
                "Ticks that were skipped, by task",
            )
            .by(&["task"]),
            |s| s.missed,
        ),
        Row::count(
            Metric::counter(
                "reliability.scheduler.missed_deadlines",
                "{run}",
                "Runs that ended after their deadline, by task",
            )
            .by(&["task"]),
            |s| s.deadlines_missed,
        ),
        Row::count(
            Metric::counter(
                "reliability.scheduler.stuck",
                "{run}",
                "Runs that were reported as stuck, by task",
            )
            .by(&["task"]),
            |s| s.stuck,
        ),
        Row::times(
            Metric::seconds(
                "reliability.scheduler.lateness",
                CLASSES,
                "How long after it was due each run began, by task",
            )
            .by(&["task"]),
            |s| &s.lateness,
        ),
        Row::times(
            Metric::seconds(
                "reliability.scheduler.run_time",
                CLASSES,
                "How long each run took, by task",
            )
            .by(&["task"]),
            |s| &s.run_time,
        ),
    ];
}

impl SchedulerSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        self.tasks
            .iter()
            .flat_map(|task| readings_of(&task.name, task))
            .collect()
    }
}
