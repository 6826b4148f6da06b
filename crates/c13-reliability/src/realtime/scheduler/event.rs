//! What a scheduler tells while it runs.

use super::state::Beat;
use std::time::Duration;

/// Something that went wrong with a periodic task. The task's name comes with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchedulerEvent<'a> {
    /// Ticks were left out, of a task that reports them ([`MissedTicks::Report`](super::MissedTicks::Report)).
    Missed {
        /// The task.
        task: &'a str,
        /// The number of the first of them.
        first: u64,
        /// How many there are.
        count: u64,
    },
    /// A run was done after its deadline.
    DeadlineMissed {
        /// The task.
        task: &'a str,
        /// The tick it ran for.
        beat: Beat,
        /// By how much it was too late.
        over: Duration,
    },
    /// A run takes longer than [`TaskConfig::stuck_after`](super::TaskConfig::stuck_after) and is not done yet. Reported once
    /// a run.
    Stuck {
        /// The task.
        task: &'a str,
        /// How long it has been running.
        running_for: Duration,
    },
}
