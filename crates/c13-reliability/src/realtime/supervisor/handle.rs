//! The supervisor as a future, and the handle that stops it and reports its children.

use super::child::{ChildResult, Recipe, Running};
use super::config::{ChildConfig, SupervisorConfig};
use super::mailbox::{Life, Mailbox};
use super::snapshot::{ChildSnapshot, ChildState, Exit, LastExit, SupervisorSnapshot};
use super::state::{Action, Ending, Machine};
use crate::error::ConfigError;
use crate::realtime::stop::StopSignal;
use crate::snapshot::{Observed, Source};
use crate::sync::Random;
use crate::sync::primitive::Mutex;
use crate::time::{Clock, Env, Sleep, Tick};
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Keeps children running: tasks and threads that are started again when they fail or panic.
///
/// Children that are tasks run as tasks of the tokio runtime in which the supervisor is first polled; where there is none
/// they run in the supervisor's own task, all of them together.
///
/// ```
/// use c13_reliability::realtime::supervisor::{ChildConfig, Supervisor, SupervisorConfig};
/// use c13_reliability::time::Executor;
/// use std::time::Duration;
///
/// let executor = Executor::new();
/// let mut supervisor = Supervisor::with_config(SupervisorConfig::new(), executor.clock())?;
/// let clock = executor.clock();
/// supervisor.task("flaky", ChildConfig::new(), move |_stop| {
///     let clock = clock.clone();
///     async move {
///         clock.sleep(Duration::from_secs(60)).await;
///         Err("the connection was lost".into())
///     }
/// });
/// let (handle, run) = supervisor.start();
/// executor.spawn(run);
/// executor.run_for(Duration::from_secs(150));
/// let flaky = &handle.snapshot().children[0];
/// assert_eq!(flaky.restarts, 2);
/// assert_eq!(flaky.last_exit.as_ref().map(|exit| exit.message.as_str()), Some("the connection was lost"));
/// # Ok::<(), c13_reliability::ConfigError>(())
/// ```
pub struct Supervisor {
    config: SupervisorConfig,
    clock: Clock,
    children: Vec<(String, ChildConfig, Recipe)>,
    random: Random,
}

impl Supervisor {
    /// A supervisor without children yet.
    ///
    /// # Panics
    ///
    /// If a setting makes no sense. For settings that are not known when writing, use [`try_new`](Supervisor::try_new).
    #[must_use]
    pub fn new(config: SupervisorConfig) -> Self {
        Self::try_new(config).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same as [`new`](Supervisor::new), for settings that are only known at run time.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense.
    pub fn try_new(config: SupervisorConfig) -> Result<Self, ConfigError> {
        Self::with_config(config, Clock::system())
    }

    /// A supervisor without children yet, by the clock of `env`. The jitter of waits is drawn from its random numbers.
    ///
    /// # Errors
    ///
    /// The setting that makes no sense.
    pub fn with_config(config: SupervisorConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        config.validate()?;
        let Env { clock, random, .. } = env.into();
        Ok(Self {
            config,
            clock,
            children: Vec::new(),
            random,
        })
    }

    /// Adds a child that is a task: `make` is called for each start. The task may listen to the signal and end by itself
    /// when it is asked to; when its time for that is over it is dropped where it waits.
    pub fn task<F, Fut>(&mut self, name: &str, config: ChildConfig, mut make: F) -> &mut Self
    where
        F: FnMut(StopSignal) -> Fut + Send + 'static,
        Fut: Future<Output = ChildResult> + Send + 'static,
    {
        let recipe = Recipe::Task(Box::new(move |signal| Box::pin(make(signal))));
        self.children.push((name.to_owned(), config, recipe));
        self
    }

    /// Adds a child that is a thread: `body` runs on a new one for each start. It must listen to the signal: a thread
    /// cannot be ended from outside, and one that does not end in time is left to itself, and runs concurrently with its successor.
    pub fn thread(
        &mut self,
        name: &str,
        config: ChildConfig,
        body: impl Fn(StopSignal) -> ChildResult + Send + Sync + 'static,
    ) -> &mut Self {
        self.children
            .push((name.to_owned(), config, Recipe::Thread(Arc::new(body))));
        self
    }

    /// Gives the handle, and the future that starts the children in order and keeps them running.
    ///
    /// The future resolves to `Ok` when the handle asked for it, or when no child is to run any more.
    ///
    /// # Errors
    ///
    /// The future resolves to [`Escalated`] when there would have been one restart too many, once all children have
    /// stopped. A supervisor that is itself a child passes it on to its own supervisor.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future asks all children to stop at once, in no order, and drops those that are tasks.
    #[must_use = "the future does nothing unless awaited"]
    pub fn start(self) -> (SupervisorHandle, impl Future<Output = Result<(), Escalated>> + Send) {
        let mailbox = Arc::new(Mailbox::default());
        let names: Vec<_> = self.children.iter().map(|(name, _, _)| name.clone()).collect();
        let entry = |name: &String| ChildSnapshot {
            name: name.clone(),
            state: ChildState::Waiting,
            restarts: 0,
            last_exit: None,
        };
        let view = Arc::new(Mutex::new(names.iter().map(entry).collect::<Vec<_>>()));
        let handle = SupervisorHandle {
            mailbox: mailbox.clone(),
            view: view.clone(),
        };
        let mut driver = Driver {
            machine: Machine::new(self.config, self.children.iter().map(|(_, config, _)| *config)),
            within: self.config.within,
            running: names.iter().map(|_| None).collect(),
            recipes: self
                .children
                .into_iter()
                .map(|(name, _, recipe)| (name, recipe))
                .collect(),
            timer: Box::pin(self.clock.sleep_until(Tick::MAX)),
            clock: self.clock,
            random: self.random,
            mailbox,
            view,
            lives: 0,
            begun: false,
        };
        (handle, poll_fn(move |cx| driver.poll(cx)))
    }
}

/// What carries out what the machine decides.
struct Driver {
    machine: Machine,
    within: Duration,
    recipes: Vec<(String, Recipe)>,
    running: Vec<Option<Running>>,
    clock: Clock,
    random: Random,
    timer: Pin<Box<Sleep>>,
    mailbox: Arc<Mailbox>,
    view: Arc<Mutex<Vec<ChildSnapshot>>>,
    lives: u64,
    begun: bool,
}

/// The target of the log events about children; part of the interface. Messages of errors are left out: they may hold secrets.
#[cfg(feature = "tracing")]
const TARGET: &str = "c13::supervisor";

impl Driver {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Escalated>> {
        // From here on every message wakes this task again, so that one check is enough.
        let mail = self.mailbox.take(cx.waker());
        let now = self.clock.now();
        if !self.begun {
            self.begun = true;
            self.machine.begin(now);
        }
        for ended in mail.ended {
            self.ended(ended.life, ended.exit, ended.message, now);
        }
        if mail.shut_down {
            self.machine.shut_down(now);
        }
        self.act();
        for life in mail.ready {
            if let Some(child) = self.running[life.child].as_mut().filter(|child| child.life == life) {
                child.poll();
            }
        }
        self.wait(cx);
        self.show();
        match self.machine.ending() {
            None => Poll::Pending,
            Some(Ending::Done | Ending::Stopped) => Poll::Ready(Ok(())),
            Some(Ending::TooManyRestarts(child)) => Poll::Ready(Err(self.escalate(child))),
        }
    }

    fn ended(&mut self, life: Life, exit: Exit, message: String, now: Tick) {
        let place = &mut self.running[life.child];
        if place.take_if(|child| child.life == life).is_none() {
            return;
        }
        let asked_to = matches!(self.machine.child(life.child).0, ChildState::Stopping { .. });
        if !asked_to {
            #[cfg(feature = "tracing")]
            if exit != Exit::Done {
                let child = &*self.recipes[life.child].0;
                tracing::warn!(target: TARGET, child, exit = exit.name(), "a child failed");
            }
            self.view.lock()[life.child].last_exit = Some(LastExit { exit, message, at: now });
        }
        self.machine.exited(life.child, exit, now, self.random.unit());
    }

    fn act(&mut self) {
        while let Some(action) = self.machine.next_action() {
            match action {
                Action::Start(child) => {
                    self.lives += 1;
                    let number = self.lives;
                    let (name, recipe) = &mut self.recipes[child];
                    let life = Life { child, number };
                    self.running[child] = Some(Running::start(recipe, name, life, &self.mailbox));
                }
                Action::Stop(child) => {
                    if let Some(child) = &self.running[child] {
                        child.ask_to_stop();
                    }
                }
                Action::Abandon(child) => self.running[child] = None,
            }
        }
    }

    /// Registers the next timer; what is due already is done.
    fn wait(&mut self, cx: &mut Context<'_>) {
        loop {
            let next = self.machine.next_timer().unwrap_or(Tick::MAX);
            if self.timer.deadline() != next {
                self.timer.as_mut().reset(next);
            }
            if next == Tick::MAX || self.timer.as_mut().poll(cx).is_pending() {
                return;
            }
            self.machine.tick(self.clock.now());
            self.act();
        }
    }

    fn show(&self) {
        let mut view = self.view.lock();
        for (index, child) in view.iter_mut().enumerate() {
            (child.state, child.restarts) = self.machine.child(index);
        }
    }

    fn escalate(&self, child: usize) -> Escalated {
        let last = &self.view.lock()[child];
        #[cfg(feature = "tracing")]
        tracing::error!(target: TARGET, child = &*last.name, "the supervisor gives up: one restart too many");
        Escalated {
            child: last.name.clone(),
            within: self.within,
            message: last
                .last_exit
                .as_ref()
                .map(|exit| exit.message.clone())
                .unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.children.iter().map(|(name, ..)| name).collect();
        f.debug_struct("Supervisor")
            .field("config", &self.config)
            .field("children", &names)
            .finish_non_exhaustive()
    }
}

/// Stops a supervisor and reports its children. Clones stand for the same one.
#[derive(Clone, Debug)]
pub struct SupervisorHandle {
    mailbox: Arc<Mailbox>,
    view: Arc<Mutex<Vec<ChildSnapshot>>>,
}

impl SupervisorHandle {
    /// Asks the supervisor to stop: its children are asked one after the other, last started first, and each has its own
    /// time limit, so it is over within the sum of them.
    pub fn shut_down(&self) {
        self.mailbox.shut_down();
    }

    /// What the children do.
    #[must_use]
    pub fn snapshot(&self) -> SupervisorSnapshot {
        SupervisorSnapshot {
            children: self.view.lock().clone(),
        }
    }
}

impl Observed for SupervisorHandle {
    fn source(&self) -> Source {
        Source::of(&self.view, |view| {
            let children = view.lock().clone();
            SupervisorSnapshot { children }.readings()
        })
    }
}

/// A supervisor gave up: there would have been one restart too many.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Escalated {
    /// The child that would have been restarted.
    pub child: String,
    /// The time over which restarts are counted.
    pub within: Duration,
    /// The message of its last error or panic.
    pub message: String,
}

impl fmt::Display for Escalated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "too many restarts within {:?}; the last to fail was {:?}",
            self.within, self.child
        )?;
        if self.message.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.message)
    }
}

impl Error for Escalated {}
