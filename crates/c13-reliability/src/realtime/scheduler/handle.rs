//! The scheduler as a future: on tokio, on any other runtime, or in virtual time.

use super::board::{Board, Listener};
use super::config::{PERIOD, TaskConfig};
use super::event::SchedulerEvent;
use super::snapshot::SchedulerSnapshot;
use super::state::{Agenda, Beat};
use crate::error::ConfigError;
use crate::realtime::stop::{StopSignal, StopSource};
use crate::snapshot::{Observed, Source};
use crate::time::{Clock, Env, Sleep, Tick};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

/// Runs periodic tasks that are futures, all on the one task that awaits what [`start`](Scheduler::start) gives.
///
/// A tick that is due while another task runs waits for it; then the most important one goes first. A task that blocks
/// the thread blocks them all, and its own watchdog: for such work there is a [`ThreadScheduler`](super::ThreadScheduler).
/// Running a tick allocates nothing.
///
/// ```
/// use c13_reliability::realtime::scheduler::{Scheduler, TaskConfig};
/// use c13_reliability::time::Executor;
/// use std::time::Duration;
///
/// let executor = Executor::new();
/// let mut scheduler = Scheduler::new().with_env(executor.clock());
/// scheduler.add("sensor", TaskConfig::every(Duration::from_millis(2)), |_| async { /* one pass */ })?;
/// let (handle, run) = scheduler.start();
/// executor.spawn(run);
/// executor.run_for(Duration::from_secs(1));
/// handle.stop();
/// assert_eq!(handle.snapshot().tasks[0].runs, 501);
/// assert_eq!(handle.snapshot().tasks[0].lateness.max(), 0);
/// # Ok::<(), c13_reliability::ConfigError>(())
/// ```
pub struct Scheduler {
    clock: Clock,
    tasks: Vec<(String, TaskConfig, Box<dyn Job>)>,
    listener: Option<Listener>,
}

impl Scheduler {
    /// A scheduler on the [precise](Clock::precise) clock of the machine.
    #[must_use]
    pub fn new() -> Self {
        Self {
            clock: Clock::precise(),
            tasks: Vec::new(),
            listener: None,
        }
    }

    /// The same scheduler by the clock of `env`, such as a virtual one.
    #[must_use]
    pub fn with_env(self, env: impl Into<Env>) -> Self {
        let clock = env.into().clock;
        Self { clock, ..self }
    }

    /// Adds a task: `make` is called at each tick, and the future that it makes is run to its end.
    ///
    /// # Errors
    ///
    /// The setting of `config` that makes no sense.
    pub fn add<F, Fut>(&mut self, name: &str, config: TaskConfig, make: F) -> Result<&mut Self, ConfigError>
    where
        F: FnMut(Beat) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        config.validate()?;
        self.push(name, config, make);
        Ok(self)
    }

    fn push<F, Fut>(&mut self, name: &str, checked: TaskConfig, make: F)
    where
        F: FnMut(Beat) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let job = Reused {
            make,
            running: Box::pin(None),
        };
        self.tasks.push((name.to_owned(), checked, Box::new(job)));
    }

    /// Sets the listener for missed deadlines, skipped ticks and runs that are stuck. Called on the scheduler's own
    /// task, so it must be quick. Its panic ends nothing.
    pub fn on_event(&mut self, listener: impl Fn(&SchedulerEvent<'_>) + Send + Sync + 'static) -> &mut Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Gives the handle, and the future that runs the tasks until the handle says stop: a run in progress is ended first.
    /// Tick 0 is due when the future is first polled. Without tasks it only waits for the stop.
    ///
    /// # Panics
    ///
    /// A panic in a task goes on through the future.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the run in progress where it waits. What was counted stays with the handle.
    #[must_use = "the future does nothing unless awaited"]
    pub fn start(self) -> (SchedulerHandle, impl Future<Output = ()> + Send) {
        let names = self.tasks.iter().map(|(name, config, _)| (name.clone(), *config));
        let handle = SchedulerHandle {
            board: Arc::new(Board::new(names, self.listener)),
            stop: StopSource::new(),
        };
        let jobs = self.tasks.into_iter().map(|(_, _, job)| job).collect();
        let run = run(self.clock, jobs, handle.clone());
        (handle, run)
    }
}

async fn run(clock: Clock, mut jobs: Vec<Box<dyn Job>>, handle: SchedulerHandle) {
    let SchedulerHandle { board, stop } = handle;
    let signal = stop.signal();
    let mut agenda = Agenda::new(board.configs(), clock.now());
    while !signal.is_stopped() {
        let Some(next) = agenda.next_due() else {
            return signal.stopped().await;
        };
        if sleep_or_stop(&clock, next, &signal).await {
            return;
        }
        let mut now = clock.now();
        while let Some(index) = agenda.pick(now)
            && !signal.is_stopped()
        {
            let (beat, gap) = agenda.task(index).begin(now);
            board.begun(index, &beat, gap);
            jobs[index].start(beat);
            let limit = board.stuck_after(index).map(|limit| clock.sleep_until(now + limit));
            watched(&mut *jobs[index], limit, || board.stuck(index, clock.now() - now)).await;
            let ended = clock.now();
            board.finished(index, &beat, agenda.task(index).finish(&beat, now, ended));
            now = ended;
        }
    }
}

/// Waits until `deadline`; says whether a stop was asked for before.
async fn sleep_or_stop(clock: &Clock, deadline: Tick, signal: &StopSignal) -> bool {
    let mut sleep = pin!(clock.sleep_until(deadline));
    let mut stopped = pin!(signal.stopped());
    poll_fn(|cx| {
        if stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        sleep.as_mut().poll(cx).map(|()| false)
    })
    .await
}

/// Runs what was started to its end; calls `stuck` once if `limit` is over before.
async fn watched(job: &mut dyn Job, limit: Option<Sleep>, stuck: impl FnOnce()) {
    let mut limit = pin!(limit);
    let mut stuck = Some(stuck);
    poll_fn(|cx| {
        let done = job.poll(cx);
        if done.is_pending()
            && stuck.is_some()
            && let Some(limit) = limit.as_mut().as_pin_mut()
            && limit.poll(cx).is_ready()
            && let Some(stuck) = stuck.take()
        {
            stuck();
        }
        done
    })
    .await;
}

/// A periodic task whose futures all live in one place.
trait Job: Send {
    /// Makes the future of one run.
    fn start(&mut self, beat: Beat);
    /// Polls it; it is dropped as soon as it is done.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

struct Reused<F, Fut> {
    make: F,
    running: Pin<Box<Option<Fut>>>,
}

impl<F, Fut> Job for Reused<F, Fut>
where
    F: FnMut(Beat) -> Fut + Send,
    Fut: Future<Output = ()> + Send,
{
    fn start(&mut self, beat: Beat) {
        let future = (self.make)(beat);
        self.running.set(Some(future));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let done = match self.running.as_mut().as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Ready(()),
        };
        if done.is_ready() {
            self.running.set(None);
        }
        done
    }
}

impl Default for Scheduler {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks = self.tasks.iter().map(|(name, config, _)| (name, config));
        f.debug_map().entries(tasks).finish()
    }
}

/// Stops a scheduler and reads what it did. Clones stand for the same one.
#[derive(Clone, Debug)]
pub struct SchedulerHandle {
    board: Arc<Board>,
    stop: StopSource,
}

impl SchedulerHandle {
    /// Asks the scheduler to stop once the run in progress is done.
    pub fn stop(&self) {
        self.stop.stop();
    }

    /// The cumulative counts of its tasks.
    #[must_use]
    pub fn snapshot(&self) -> SchedulerSnapshot {
        self.board.snapshot()
    }
}

impl Observed for SchedulerHandle {
    fn source(&self) -> Source {
        Source::of(&self.board, |board| board.snapshot().readings())
    }
}

/// Runs `task` every 2 ms, for ever: the simplest form of a [`Scheduler`].
///
/// Ticks are due at the start plus a whole number of periods, so nothing drifts; those that come due while `task` runs
/// are skipped.
///
/// ```
/// use c13_reliability::realtime::scheduler::realtime_scheduler;
/// use c13_reliability::time::Clock;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let passes = Arc::new(AtomicU32::new(0));
/// let counted = passes.clone();
/// let run = realtime_scheduler(move || {
///     counted.fetch_add(1, Ordering::Relaxed);
///     async {}
/// });
/// let _ = Clock::system().timeout(Duration::from_millis(30), run).await;
/// assert!(passes.load(Ordering::Relaxed) > 1);
/// # }
/// ```
///
/// # Cancel safety
///
/// Dropping it stops the ticks and drops the run in progress where it waits.
pub async fn realtime_scheduler<F, Fut>(mut task: F)
where
    F: FnMut() -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut scheduler = Scheduler::new();
    const { assert!(TaskConfig::every(PERIOD).validate().is_ok(), "the defaults make sense") };
    scheduler.push("task", TaskConfig::every(PERIOD), move |_| task());
    scheduler.start().1.await;
}
