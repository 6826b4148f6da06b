//! What a supervisor reports of its children.

use crate::snapshot::{Metric, Reading, Reported, Row, readings_of};
use crate::time::Tick;

/// A supervisor's children, in the order in which they were added, and what they did so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SupervisorSnapshot {
    /// One entry a child.
    pub children: Vec<ChildSnapshot>,
}

/// One child.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildSnapshot {
    /// Its name.
    pub name: String,
    /// What it does now.
    pub state: ChildState,
    /// How often it was started again.
    pub restarts: u64,
    /// How it last ended by itself, if it ever did.
    pub last_exit: Option<LastExit>,
}

/// What a child does. Ticks are of the supervisor's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildState {
    /// It has not been started yet.
    Waiting,
    /// It runs.
    Running {
        /// Since when.
        since: Tick,
    },
    /// It failed, or a sibling did, and it is about to be started again.
    BackingOff {
        /// When.
        until: Tick,
    },
    /// It was asked to stop.
    Stopping {
        /// When its time for that is over.
        until: Tick,
    },
    /// It ended by itself and is not started again.
    Ended(Exit),
    /// It ended because it was asked to, or was never started.
    Stopped,
    /// It did not end in time: a task was dropped, a thread left to itself.
    Abandoned,
}

/// How a child ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned `Ok`.
    Done,
    /// It returned an error.
    Failed,
    /// It panicked.
    Panicked,
}

impl Exit {
    /// The name in events, such as `panicked`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
        }
    }
}

/// A child's end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastExit {
    /// How it ended.
    pub exit: Exit,
    /// The message of its error or its panic; empty if it returned `Ok`.
    pub message: String,
    /// When, by the supervisor's clock.
    pub at: Tick,
}

impl Reported for ChildSnapshot {
    const METRICS: &'static [Row<Self>] = &[
        Row::count(
            Metric::counter("reliability.supervisor.restarts", "{restart}", "Restarts, by child").by(&["child"]),
            |s| s.restarts,
        ),
        Row::level(
            Metric::gauge(
                "reliability.supervisor.running",
                "",
                "1 for a child that runs, 0 for one that does not, by child",
            )
            .by(&["child"]),
            |s| {
                f64::from(matches!(
                    s.state,
                    ChildState::Running { .. } | ChildState::Stopping { .. }
                ))
            },
        ),
    ];
}

impl SupervisorSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let readings = |child: &ChildSnapshot| readings_of(&child.name, child);
        self.children.iter().flat_map(readings).collect()
    }
}
