//! The board: counters and histograms of all tasks, written by their runs and read by handles meanwhile.

use super::config::{MissedTicks, TaskConfig};
use super::event::SchedulerEvent;
use super::snapshot::{SchedulerSnapshot, TaskCount, TaskSnapshot};
use super::state::{Beat, Finish, Gap};
use crate::sync::foreign;
use crate::sync::{Histogram, Tally};
use crate::time::nanos;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The listener for events. Called without any lock, by the thread or future that runs the tasks; `Stuck` by the watchdog.
pub(super) type Listener = Arc<dyn Fn(&SchedulerEvent<'_>) + Send + Sync>;

/// The counters and histograms of one scheduler, shared with its handles.
pub(super) struct Board {
    lines: Vec<Line>,
    listener: Option<Listener>,
}

struct Line {
    name: String,
    config: TaskConfig,
    counts: Tally<TaskCount>,
    lateness: Histogram,
    run_time: Histogram,
}

impl Board {
    pub(super) fn new(tasks: impl Iterator<Item = (String, TaskConfig)>, listener: Option<Listener>) -> Self {
        let line = |(name, config)| Line {
            name,
            config,
            counts: Tally::compact(),
            lateness: Histogram::new(),
            run_time: Histogram::new(),
        };
        Self {
            lines: tasks.map(line).collect(),
            listener,
        }
    }

    pub(super) fn configs(&self) -> impl Iterator<Item = TaskConfig> {
        self.lines.iter().map(|line| line.config)
    }

    pub(super) fn stuck_after(&self, task: usize) -> Option<Duration> {
        self.lines[task].config.stuck_after
    }

    pub(super) fn begun(&self, task: usize, beat: &Beat, gap: Option<Gap>) {
        let line = &self.lines[task];
        line.lateness.record(nanos(beat.lateness));
        if let Some(Gap { first, count }) = gap {
            line.counts.add(TaskCount::Missed, count);
            if line.config.missed == MissedTicks::Report {
                let task = &line.name;
                self.tell(&SchedulerEvent::Missed { task, first, count });
            }
        }
    }

    pub(super) fn finished(&self, task: usize, beat: &Beat, finish: Finish) {
        let line = &self.lines[task];
        line.counts.add_one(TaskCount::Run);
        line.run_time.record(nanos(finish.run_time));
        if let Some(over) = finish.over_deadline {
            line.counts.add_one(TaskCount::DeadlineMissed);
            let (task, beat) = (&*line.name, *beat);
            self.tell(&SchedulerEvent::DeadlineMissed { task, beat, over });
        }
    }

    pub(super) fn stuck(&self, task: usize, running_for: Duration) {
        let line = &self.lines[task];
        line.counts.add_one(TaskCount::Stuck);
        let task = &line.name;
        self.tell(&SchedulerEvent::Stuck { task, running_for });
    }

    fn tell(&self, event: &SchedulerEvent<'_>) {
        if let Some(listener) = &self.listener {
            // A panic must end neither the thread of the tasks nor the watchdog.
            foreign::returns(|| listener(event));
        }
    }

    pub(super) fn snapshot(&self) -> SchedulerSnapshot {
        let task = |line: &Line| TaskSnapshot {
            name: line.name.clone(),
            lateness: line.lateness.snapshot(),
            run_time: line.run_time.snapshot(),
            ..TaskSnapshot::counted(&line.counts)
        };
        SchedulerSnapshot {
            tasks: self.lines.iter().map(task).collect(),
        }
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}
