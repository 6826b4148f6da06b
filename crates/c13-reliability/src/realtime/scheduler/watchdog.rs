//! The watchdog of a scheduler's thread: a second thread that notices a run that does not end.

use super::board::Board;
use crate::realtime::stop::StopSignal;
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::time::{KernelClock, Tick};
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// As many tasks as the low byte of the word below can name.
pub(super) const MOST_TASKS: usize = 255;

/// Which task runs, and since when: the start in nanoseconds with the task's number plus one in the low byte; 0 for none.
///
/// One word, because a lock that the watchdog holds while it is preempted would keep the thread of higher priority
/// waiting for it. The start is known to 256 ns.
#[derive(Debug)]
pub(super) struct Running(AtomicU64);

impl Running {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(super) fn begin(&self, task: usize, now: Tick) {
        let word = now.as_nanos() & !0xFF | (task as u64 + 1);
        // Relaxed: the word stands for itself alone.
        self.0.store(word, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        // Relaxed: as in `begin`.
        self.0.store(0, Ordering::Relaxed);
    }

    /// The word, the task and its start.
    pub(super) fn read(&self) -> Option<(u64, usize, Tick)> {
        // Relaxed: as in `begin`.
        let word = self.0.load(Ordering::Relaxed);
        let task = (word & 0xFF).checked_sub(1)?;
        Some((word, task as usize, Tick::from_nanos(word & !0xFF)))
    }
}

/// Starts the watchdog, if any task has a limit. It looks four times within the shortest limit, at most once a
/// millisecond, and ends with the scheduler.
pub(super) fn start(
    name: &str,
    board: &Arc<Board>,
    running: &Arc<Running>,
    signal: StopSignal,
) -> io::Result<Option<JoinHandle<()>>> {
    let Some(shortest) = board.configs().filter_map(|config| config.stuck_after).min() else {
        return Ok(None);
    };
    let pause = (shortest / 4).max(Duration::from_millis(1));
    let (board, running) = (board.clone(), running.clone());
    let watch = move || {
        let mut told = 0;
        while !signal.wait_timeout(pause) {
            let Some((word, task, since)) = running.read() else {
                continue;
            };
            let running_for = KernelClock.now() - since;
            let limit = board.stuck_after(task).unwrap_or(Duration::MAX);
            if word != told && running_for > limit {
                told = word;
                board.stuck(task, running_for);
            }
        }
    };
    thread::Builder::new()
        .name(format!("{name}-watchdog"))
        .spawn(watch)
        .map(Some)
}
