//! The scheduler as a thread of its own: absolute sleeps, a final spin, and what the system grants.

use super::board::{Board, Listener};
use super::config::{TaskConfig, ThreadConfig};
use super::event::SchedulerEvent;
use super::privilege::{self, PrivilegeRefused};
use super::snapshot::SchedulerSnapshot;
use super::state::{Agenda, Beat};
use super::watchdog::{self, Running};
use crate::error::{ConfigError, ConfigValue};
use crate::realtime::panic_message::panic_message;
use crate::realtime::stop::{StopSignal, StopSource};
use crate::snapshot::{Observed, Source};
use crate::time::{KernelClock, Tick};
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The longest the thread sleeps without looking whether it is asked to stop.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);

/// Runs periodic tasks that are functions, on a thread of its own.
///
/// The thread sleeps until an absolute time of the kernel's monotonic clock, by which lateness is measured too. A tick
/// that is due while another task runs waits for it; then the most important one goes first. Running a tick allocates
/// nothing and takes no lock that a thread of lower priority could hold on to.
///
/// ```
/// use c13_reliability::realtime::scheduler::{TaskConfig, ThreadConfig, ThreadScheduler};
/// use std::time::Duration;
///
/// let mut scheduler = ThreadScheduler::new("sensors", ThreadConfig::new());
/// scheduler.add("gyroscope", TaskConfig::every(Duration::from_millis(2)), |beat| {
///     // one pass
///     let _ = beat.lateness;
/// })?;
/// let running = scheduler.start()?;
/// # std::thread::yield_now();
/// let report = running.stop()?;
/// assert_eq!(report.tasks[0].name, "gyroscope");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ThreadScheduler {
    name: String,
    config: ThreadConfig,
    tasks: Vec<(String, TaskConfig, Job)>,
    listener: Option<Listener>,
}

type Job = Box<dyn FnMut(&Beat) + Send>;

impl ThreadScheduler {
    /// A scheduler whose thread will be called `name`.
    ///
    /// # Panics
    ///
    /// If a setting makes no sense. For settings that are not known when writing, use [`try_new`](ThreadScheduler::try_new).
    #[must_use]
    pub fn new(name: &str, config: ThreadConfig) -> Self {
        Self::try_new(name, config).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same as [`new`](ThreadScheduler::new), for settings that are only known at run time.
    ///
    /// # Errors
    ///
    /// The setting of `config` that makes no sense.
    pub fn try_new(name: &str, config: ThreadConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            name: name.to_owned(),
            config,
            tasks: Vec::new(),
            listener: None,
        })
    }

    /// Adds a task: `run` is called at each tick.
    ///
    /// # Errors
    ///
    /// The setting of `config` that makes no sense, or that there are 255 tasks already.
    pub fn add(
        &mut self,
        name: &str,
        config: TaskConfig,
        run: impl FnMut(&Beat) + Send + 'static,
    ) -> Result<&mut Self, ConfigError> {
        config.validate()?;
        if self.tasks.len() == watchdog::MOST_TASKS {
            let value = ConfigValue::Count(self.tasks.len() as u64 + 1);
            return Err(ConfigError::new(
                "scheduler thread",
                "tasks",
                value,
                "must be at most 255",
            ));
        }
        self.tasks.push((name.to_owned(), config, Box::new(run)));
        Ok(self)
    }

    /// Sets the listener for missed deadlines and for skipped ticks, on the scheduler's thread, so it must be quick; and of
    /// runs that are stuck, on the watchdog's. Its panic ends neither.
    pub fn on_event(&mut self, listener: impl Fn(&SchedulerEvent<'_>) + Send + Sync + 'static) -> &mut Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Starts the thread, and a second one as its watchdog if a task has `stuck_after`. Tick 0 is due once the thread has
    /// what it asked the system for.
    ///
    /// # Errors
    ///
    /// [`StartError::Thread`] if the system has no room for a thread, [`StartError::Refused`] if it refused something
    /// and [`ThreadConfig::insist`] is set.
    pub fn start(self) -> Result<RunningThread, StartError> {
        let Self {
            name,
            config,
            tasks,
            listener,
        } = self;
        let names = tasks.iter().map(|(name, config, _)| (name.clone(), *config));
        let board = Arc::new(Board::new(names, listener));
        let running = Arc::new(Running::new());
        let stop = StopSource::new();
        let watchdog = watchdog::start(&name, &board, &running, stop.signal()).map_err(StartError::Thread)?;

        let (report, reported) = mpsc::sync_channel(1);
        let (shared, signal) = (board.clone(), stop.signal());
        let thread = thread::Builder::new().name(name).spawn(move || {
            let (granted, refusals) = privilege::acquire(&config);
            let goes_on = refusals.is_empty() || !config.insist;
            // The thread that started this one waits for this; it cannot be gone.
            let _ = report.send(refusals);
            if goes_on {
                let mut jobs: Vec<_> = tasks.into_iter().map(|(_, _, job)| job).collect();
                run(&shared, &mut jobs, config.spin, &running, &signal);
            }
            drop(granted);
        });
        let thread = thread.map_err(|error| {
            stop.stop();
            StartError::Thread(error)
        })?;
        let refusals = reported.recv().unwrap_or_default();
        let started = RunningThread {
            board,
            stop,
            refusals,
            thread: Some(thread),
            watchdog,
        };
        if config.insist && !started.refusals.is_empty() {
            return Err(StartError::Refused(started.into_refusals()));
        }
        Ok(started)
    }
}

fn run(board: &Board, jobs: &mut [Job], spin: Duration, running: &Running, signal: &StopSignal) {
    let clock = KernelClock;
    let mut agenda = Agenda::new(board.configs(), clock.now());
    let Some(mut next) = agenda.next_due() else {
        return signal.wait();
    };
    loop {
        if !sleep_and_spin(next, spin, signal) {
            return;
        }
        let mut now = clock.now();
        while let Some(index) = agenda.pick(now) {
            let (beat, gap) = agenda.task(index).begin(now);
            board.begun(index, &beat, gap);
            running.begin(index, now);
            jobs[index](&beat);
            running.end();
            let ended = clock.now();
            board.finished(index, &beat, agenda.task(index).finish(&beat, now, ended));
            now = ended;
            if signal.is_stopped() {
                return;
            }
        }
        next = agenda.next_due().unwrap_or(Tick::MAX);
    }
}

/// Sleeps until `spin` before `due` and spins from there; says whether to go on, `false` once a stop is asked for.
fn sleep_and_spin(due: Tick, spin: Duration, signal: &StopSignal) -> bool {
    let clock = KernelClock;
    let wake = due - spin;
    loop {
        if signal.is_stopped() {
            return false;
        }
        let now = clock.now();
        if now >= wake {
            break;
        }
        clock.sleep_until(wake.min(now + LONGEST_SLEEP));
    }
    while clock.now() < due {
        std::hint::spin_loop();
    }
    true
}

impl fmt::Debug for ThreadScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadScheduler")
            .field("name", &self.name)
            .field("config", &self.config)
            .field("tasks", &self.tasks.len())
            .finish_non_exhaustive()
    }
}

/// A scheduler's thread while it runs.
///
/// Dropping it asks the thread to stop and does not wait for it.
#[derive(Debug)]
pub struct RunningThread {
    board: Arc<Board>,
    stop: StopSource,
    refusals: Vec<PrivilegeRefused>,
    thread: Option<JoinHandle<()>>,
    watchdog: Option<JoinHandle<()>>,
}

impl RunningThread {
    /// What the system refused, and what to grant; empty if it granted everything.
    #[must_use]
    pub fn refusals(&self) -> &[PrivilegeRefused] {
        &self.refusals
    }

    /// The cumulative counts of its tasks.
    #[must_use]
    pub fn snapshot(&self) -> SchedulerSnapshot {
        self.board.snapshot()
    }

    /// Whether the thread has ended: it was stopped, or a task panicked.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Asks the thread to stop, waits for the run in progress and at most 20 ms more, and gives what its tasks did.
    ///
    /// # Errors
    ///
    /// [`TaskPanicked`] if a task panicked, which ended the thread.
    pub fn stop(self) -> Result<SchedulerSnapshot, TaskPanicked> {
        self.stop.stop();
        self.join()
    }

    /// Waits until the thread ends, which without a stop is when a task panics.
    ///
    /// # Errors
    ///
    /// [`TaskPanicked`] if a task panicked.
    pub fn join(mut self) -> Result<SchedulerSnapshot, TaskPanicked> {
        let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
        self.stop.stop();
        if let Some(watchdog) = self.watchdog.take() {
            // It has no error to report: a panic of the listener does not end it.
            let _ = watchdog.join();
        }
        ended.map(|()| self.board.snapshot()).map_err(|panic| TaskPanicked {
            message: panic_message(&*panic),
        })
    }

    /// What stops it from elsewhere, while another thread waits in [`join`](RunningThread::join).
    #[must_use]
    pub fn stopper(&self) -> StopSource {
        self.stop.clone()
    }

    fn into_refusals(mut self) -> Vec<PrivilegeRefused> {
        std::mem::take(&mut self.refusals)
    }
}

impl Observed for RunningThread {
    fn source(&self) -> Source {
        Source::of(&self.board, |board| board.snapshot().readings())
    }
}

impl Drop for RunningThread {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

/// A task of a scheduler's thread panicked, which ended the thread.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskPanicked {
    /// The panic's message.
    pub message: String,
}

impl fmt::Display for TaskPanicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a periodic task panicked: {}", self.message)
    }
}

impl Error for TaskPanicked {}

/// Why a scheduler's thread did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The system has no room for another thread.
    Thread(io::Error),
    /// The system refused these, and the settings insist on them.
    Refused(Vec<PrivilegeRefused>),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread(error) => write!(f, "cannot start a thread: {error}"),
            Self::Refused(refusals) => {
                for (index, refusal) in refusals.iter().enumerate() {
                    write!(f, "{}{refusal}", if index == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // They are shown already.
            Self::Thread(error) => error.source(),
            Self::Refused(_) => None,
        }
    }
}
