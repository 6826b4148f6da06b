//! The background of the calls: a scheduler's ticks, and a child that a supervisor restarts again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use c13_reliability::realtime::scheduler::{Beat, MissedTicks, Scheduler, SchedulerEvent, SchedulerHandle, TaskConfig};
use c13_reliability::realtime::supervisor::{
    ChildConfig, ChildState, Escalated, Supervisor, SupervisorConfig, SupervisorHandle,
};
use c13_reliability::sync::Random;
use c13_reliability::time::{Clock, Tick};
use tokio::task::JoinHandle;

use super::dependency::{Down, OnPurpose};
use super::part::must_be;
use super::report::PartReport;
use super::tally::{CallerTally, Seen};

const SOUND: &str = "the settings are sound";
const PERIOD: Duration = Duration::from_millis(2);
/// The longest that the child lives before it fails or panics.
const LIFE: Duration = Duration::from_millis(50);

/// The scheduler and the supervisor.
pub(super) struct Background {
    beats: Arc<Beats>,
    scheduler: SchedulerHandle,
    lives: Arc<CallerTally>,
    supervisor: SupervisorHandle,
    ticking: JoinHandle<()>,
    supervised: JoinHandle<Result<(), Escalated>>,
}

#[derive(Default)]
struct Beats {
    tally: CallerTally,
    /// When tick 0 was due, in nanoseconds of the clock; 0 before it was.
    first: AtomicU64,
    /// One more than the highest number of a tick that ran or was reported as missed.
    known: AtomicU64,
    /// Ticks that were reported as missed.
    missed: AtomicU64,
    /// Ticks that were due at another time than start + number × period.
    drifted: AtomicU64,
}

impl Background {
    /// Starts both.
    pub(super) fn start(clock: &Clock, seed: u64) -> Self {
        let beats = Arc::new(Beats::default());
        let mut scheduler = Scheduler::new().with_env(clock.clone());
        let (seen, told) = (beats.clone(), beats.clone());
        let task = move |beat: Beat| {
            seen.see(beat.number, beat.due);
            async {}
        };
        let config = TaskConfig::every(PERIOD).missed(MissedTicks::Report);
        scheduler.add("tick", config, task).expect(SOUND);
        scheduler.on_event(move |event| {
            if let SchedulerEvent::Missed { first, count, .. } = *event {
                told.miss(first, count);
            }
        });
        let (scheduler, tick) = scheduler.start();

        let lives = Arc::new(CallerTally::default());
        let config = SupervisorConfig::new()
            .intensity(u32::MAX, Duration::from_secs(1))
            .backoff(Duration::from_millis(1), Duration::from_millis(5));
        let mut supervisor = Supervisor::with_config(config, clock.clone()).expect(SOUND);
        let (tally, clock, random) = (
            lives.clone(),
            clock.clone(),
            Arc::new(Random::stream(seed, "supervisor")),
        );
        supervisor.task("mortal", ChildConfig::new(), move |stop| {
            let (tally, clock, random) = (tally.clone(), clock.clone(), random.clone());
            async move {
                let life = tally.enter();
                if clock.timeout(LIFE.mul_f64(random.unit()), stop.stopped()).await.is_ok() {
                    life.close(Seen::Success);
                    return Ok(());
                }
                if random.below(2) == 0 {
                    std::panic::panic_any(OnPurpose);
                }
                life.close(Seen::Failure);
                Err(Down.into())
            }
        });
        let (supervisor, supervise) = supervisor.start();
        Self {
            beats,
            scheduler,
            lives,
            supervisor,
            ticking: tokio::spawn(tick),
            supervised: tokio::spawn(supervise),
        }
    }

    /// Stops both, and audits them.
    pub(super) async fn stop(self) -> [PartReport; 2] {
        let mut ticks = Vec::new();
        self.scheduler.stop();
        if self.ticking.await.is_err() {
            ticks.push("it panicked".to_owned());
        }
        let seen = self.beats.tally.counts();
        let task = &self.scheduler.snapshot().tasks[0];
        must_be(&mut ticks, "runs", task.runs, seen.successes);
        // Relaxed: it has stopped.
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        must_be(&mut ticks, "missed ticks", task.missed, read(&self.beats.missed));
        let known = read(&self.beats.known);
        must_be(&mut ticks, "runs and missed ticks", task.runs + task.missed, known);
        must_be(&mut ticks, "ticks that drifted", read(&self.beats.drifted), 0);

        let mut children = Vec::new();
        self.supervisor.shut_down();
        if !matches!(self.supervised.await, Ok(Ok(()))) {
            children.push("it gave up or panicked".to_owned());
        }
        let lived = self.lives.counts();
        let child = &self.supervisor.snapshot().children[0];
        // A child that died last may have been about to be restarted when the shutdown came.
        let deaths = lived.failures + lived.panics;
        if child.restarts != deaths && child.restarts + 1 != deaths {
            children.push(format!("{} restarts after {deaths} deaths", child.restarts));
        }
        if child.state != ChildState::Stopped {
            children.push(format!("the child is {:?} after the shutdown", child.state));
        }
        [("scheduler", seen, ticks), ("supervisor", lived, children)].map(|(name, seen, faults)| PartReport {
            name,
            seen,
            faults,
        })
    }
}

impl Beats {
    fn see(&self, number: u64, due: Tick) {
        let entry = self.tally.enter();
        // Relaxed, here and below: one task writes, and the reader has joined it.
        if number == 0 {
            // Relaxed: as above.
            self.first.store(due.as_nanos(), Ordering::Relaxed);
        }
        // Relaxed: as above.
        let exact = self.first.load(Ordering::Relaxed) + number * PERIOD.as_nanos() as u64;
        if due.as_nanos() != exact {
            // Relaxed: as above.
            self.drifted.fetch_add(1, Ordering::Relaxed);
        }
        // Relaxed: as above.
        self.known.fetch_max(number + 1, Ordering::Relaxed);
        entry.close(Seen::Success);
    }

    fn miss(&self, first: u64, count: u64) {
        // Relaxed: both as in `see`.
        self.missed.fetch_add(count, Ordering::Relaxed);
        self.known.fetch_max(first + count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use c13_reliability::time::VirtualTime;

    #[tokio::test]
    async fn ticks_that_the_last_run_was_too_late_for_are_counted_too() {
        let time = VirtualTime::new();
        let background = Background::start(&time.clock(), 1);
        tokio::task::yield_now().await;
        // Tick 1 runs at 7 ms: 2 and 3 were due by then, and the stop comes before another one could say so.
        time.advance(Duration::from_millis(7));
        tokio::task::yield_now().await;
        let snapshot = background.scheduler.snapshot();
        let [ticks, _] = background.stop().await;
        assert_eq!((snapshot.tasks[0].runs, snapshot.tasks[0].missed), (2, 2));
        assert_eq!((ticks.seen.successes, ticks.faults), (2, Vec::new()));
    }
}
