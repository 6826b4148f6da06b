//! A hedge to hold and to share: settings, clock, measured latencies, budget and counts.

use super::execute::Execute;
use super::latency::LatencyWindow;
use super::snapshot::HedgeCount;
use super::{HedgeConfig, HedgeDelay, HedgeError, HedgeSnapshot};
use crate::budget::RetryBudget;
use crate::error::ConfigError;
use crate::snapshot::{Observed, Source};
use crate::sync::Current;
use crate::sync::primitive::{AtomicU64, Mutex, Ordering};
use crate::sync::{Count as _, Stripes, Tally};
use crate::time::{Clock, Env, Tick, nanos};
use arc_swap::Guard;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Starts another attempt while one takes too long. Clones share settings, counts, latencies and budget.
///
/// See the [module](super) for what happens when.
#[derive(Clone)]
pub struct Hedge {
    clock: Clock,
    counts: Tally<HedgeCount>,
    /// What the clones share, so that all of them follow a change of settings.
    settings: Arc<Current<Settings>>,
}

/// The settings, and what calls need besides. A call keeps those that it began with.
#[derive(Clone)]
pub(super) struct Settings {
    config: HedgeConfig,
    budget: Option<RetryBudget>,
    /// Whether a call of this hedge counts for the budget, or something around it counts it already.
    deposits: bool,
    delay: Delay,
}

/// When the next attempt is started.
#[derive(Clone)]
enum Delay {
    /// After so long, or after a failure only.
    Fixed(Option<Duration>),
    Measured(Arc<Measured>),
}

/// A delay that follows the latencies.
struct Measured {
    latencies: Mutex<LatencyWindow>,
    /// The delay in nanoseconds; `NO_DELAY` before enough calls were seen.
    delay: AtomicU64,
}

const NO_DELAY: u64 = u64::MAX;

impl Hedge {
    /// One hedge after `delay`, on the system clock, within a budget of 20 % of the calls and 10 per second.
    #[must_use]
    pub fn new(delay: Duration) -> Self {
        match Self::with_config(HedgeConfig::new(HedgeDelay::Fixed(delay)), Clock::system()) {
            Ok(hedge) => hedge,
            Err(error) => unreachable!("any fixed delay keeps the rules: {error}"),
        }
    }

    /// A hedge with these settings, by the clock of `env`.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub fn with_config(config: HedgeConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        Self::on(&Stripes::new(Self::WORDS), config, env.into())
    }

    /// How many words of a stripe the hedge uses.
    pub(crate) const WORDS: usize = HedgeCount::ALL.len();

    /// As [`with_config`](Self::with_config), on stripes that others use too.
    pub(crate) fn on(stripes: &Stripes, config: HedgeConfig, env: Env) -> Result<Self, ConfigError> {
        config.validate()?;
        let clock = env.clock;
        let budget = match config.budget {
            Some(budget) => Some(RetryBudget::with_config(budget, clock.clone())?),
            None => None,
        };
        let settings = Settings {
            config,
            budget,
            deposits: true,
            delay: Delay::new(&config.delay, None),
        };
        Ok(Self {
            clock,
            counts: Tally::on(stripes),
            settings: Arc::new(Current::new(settings)),
        })
    }

    /// Changes the settings of this hedge and of its clones. Counts and measured latencies go on, and so does the budget where
    /// its settings are the same. One that [uses](Self::draws_on) another's budget gets one of its own. A call under way goes
    /// on by its old settings.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule; nothing has changed then.
    pub fn reconfigure(&self, config: HedgeConfig) -> Result<(), ConfigError> {
        config.validate()?;
        self.settings.change(|before| {
            let budget = match (&before.budget, config.budget) {
                (Some(budget), Some(settings)) if before.deposits && budget.config() == settings => {
                    Some(budget.clone())
                }
                (_, Some(settings)) => Some(RetryBudget::with_config(settings, self.clock.clone())?),
                (_, None) => None,
            };
            Ok(Settings {
                config,
                budget,
                deposits: true,
                delay: before.delay_for(&config),
            })
        })
    }

    /// As [`reconfigure`](Self::reconfigure), for a hedge inside a retry: it [uses](Self::draws_on) the budget of that.
    pub(crate) fn reconfigure_within(&self, config: HedgeConfig, budget: &RetryBudget) -> Result<(), ConfigError> {
        config.validate()?;
        self.settings.change(|before| {
            let before = Settings {
                delay: before.delay_for(&config),
                config,
                ..before.clone()
            };
            Ok(before.using(budget.clone(), false))
        })
    }

    /// Uses `budget` instead of one of its own, and counts its calls for it. Clones made earlier keep theirs, and neither of
    /// the two follows a change of the other's settings any more.
    #[must_use]
    pub fn budget(self, budget: RetryBudget) -> Self {
        self.using(budget, true)
    }

    /// Uses `budget` without counting its calls for it: for a hedge inside a retry that counts them already. Else as
    /// [`budget`](Self::budget).
    #[must_use]
    pub fn draws_on(self, budget: RetryBudget) -> Self {
        self.using(budget, false)
    }

    fn using(self, budget: RetryBudget, deposits: bool) -> Self {
        let settings = Settings::clone(&self.settings()).using(budget, deposits);
        Self {
            settings: Arc::new(Current::new(settings)),
            ..self
        }
    }

    /// Its settings. One that was taken out of a policy follows each change of the policy's settings.
    #[must_use]
    pub fn config(&self) -> HedgeConfig {
        self.settings().config
    }

    /// What a call that begins now goes by.
    pub(super) fn settings(&self) -> Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// Makes attempts, concurrently where one is late, until one gives `Ok` or all have failed.
    ///
    /// `attempt` makes the future of each attempt, so nothing has to be cloned. Attempts run inside the returned future;
    /// no task is started. Each hedge that is really made allocates once.
    ///
    /// # Errors
    ///
    /// The first attempt's own error, if all have failed. [`DeadlinePassed`](HedgeError::DeadlinePassed), without any attempt,
    /// after the caller's deadline.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops all attempts that run.
    pub fn execute<F, Fut, T, E>(&self, attempt: F) -> impl Future<Output = Result<T, HedgeError<E>>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        Execute::new(self, attempt, Result::is_ok)
    }

    /// Makes attempts, concurrently where one is late, until one gives a result that `accept` takes, or all have given others.
    ///
    /// An error that another attempt would only repeat is a result to take.
    ///
    /// # Errors
    ///
    /// The accepted error, or the first attempt's own if no result was accepted.
    /// [`DeadlinePassed`](HedgeError::DeadlinePassed), without any attempt, after the caller's deadline.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops all attempts that run.
    pub fn execute_with<F, Fut, A, T, E>(&self, attempt: F, accept: A) -> impl Future<Output = Result<T, HedgeError<E>>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        A: FnMut(&Result<T, E>) -> bool,
    {
        Execute::new(self, attempt, accept)
    }

    /// When the next attempt would be started now; nothing before enough calls were seen, or where only failures start
    /// one.
    #[must_use]
    pub fn delay(&self) -> Option<Duration> {
        self.settings().delay()
    }

    /// How many handles to it there are.
    pub(crate) fn handles(&self) -> usize {
        Arc::strong_count(&self.settings)
    }

    /// Its cumulative counts.
    #[must_use]
    pub fn snapshot(&self) -> HedgeSnapshot {
        self.settings().snapshot(&self.counts)
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn count(&self, count: HedgeCount, n: u64) {
        if n > 0 {
            self.counts.add(count, n);
        }
    }
}

impl Settings {
    pub(super) fn max_extra(&self) -> u32 {
        self.config.max_extra
    }

    /// The same with this budget, for which calls count if it `deposits`.
    fn using(mut self, budget: RetryBudget, deposits: bool) -> Self {
        self.config.budget = Some(budget.config());
        self.budget = Some(budget);
        self.deposits = deposits;
        self
    }

    /// Begins a call: counts it for the budget, and reads the clock if its latency will be measured.
    #[inline]
    pub(super) fn begin(&self, clock: &Clock) -> Option<Tick> {
        if let Some(budget) = self.budget.as_ref().filter(|_| self.deposits) {
            budget.deposit();
        }
        matches!(self.delay, Delay::Measured(_)).then(|| clock.now())
    }

    /// Measures a first attempt that succeeded.
    #[inline]
    pub(super) fn measure(&self, clock: &Clock, began: Option<Tick>) {
        if let (Delay::Measured(measured), Some(began)) = (&self.delay, began) {
            let now = clock.now();
            measured.record(now, now - began);
        }
    }

    /// Whether the budget grants another attempt.
    pub(super) fn grants(&self) -> bool {
        self.budget.as_ref().is_none_or(RetryBudget::try_withdraw)
    }

    pub(super) fn delay(&self) -> Option<Duration> {
        match &self.delay {
            Delay::Fixed(delay) => *delay,
            Delay::Measured(measured) => measured.delay(),
        }
    }

    /// The delay under other settings, which goes on with what was measured.
    fn delay_for(&self, config: &HedgeConfig) -> Delay {
        if self.config.delay == config.delay {
            self.delay.clone()
        } else {
            Delay::new(&config.delay, Some(&self.delay))
        }
    }

    fn snapshot(&self, counts: &Tally<HedgeCount>) -> HedgeSnapshot {
        HedgeSnapshot {
            delay: self.delay(),
            budget: self.budget.as_ref().map(RetryBudget::snapshot),
            ..HedgeSnapshot::counted(counts)
        }
    }
}

impl Delay {
    /// `before` is the delay under other settings, if there was one.
    fn new(delay: &HedgeDelay, before: Option<&Self>) -> Self {
        match *delay {
            HedgeDelay::Fixed(delay) => Self::Fixed(Some(delay)),
            HedgeDelay::AfterFailure => Self::Fixed(None),
            HedgeDelay::Percentile {
                quantile,
                min_calls,
                window,
            } => {
                let latencies = match before {
                    Some(Self::Measured(before)) => {
                        let before = before.latencies.lock();
                        before.with_settings(quantile, min_calls, window)
                    }
                    Some(Self::Fixed(_)) | None => LatencyWindow::new(quantile, min_calls, window),
                };
                Self::Measured(Arc::new(Measured {
                    delay: AtomicU64::new(latencies.delay().map_or(NO_DELAY, nanos)),
                    latencies: Mutex::new(latencies),
                }))
            }
        }
    }
}

impl Measured {
    fn record(&self, now: Tick, latency: Duration) {
        let fresh = self.latencies.lock().record(now, latency);
        if let Some(delay) = fresh {
            // Relaxed: as in `delay`.
            self.delay.store(delay.map_or(NO_DELAY, nanos), Ordering::Relaxed);
        }
    }

    fn delay(&self) -> Option<Duration> {
        // Relaxed: the delay stands for nothing but itself.
        let nanos = self.delay.load(Ordering::Relaxed);
        (nanos < NO_DELAY).then(|| Duration::from_nanos(nanos))
    }
}

impl Observed for Hedge {
    fn source(&self) -> Source {
        // The counts may lie on stripes of a policy, which outlive the hedge.
        let (settings, counts) = (Arc::downgrade(&self.settings), self.counts.downgrade());
        Source::new(move || {
            let (settings, counts) = (settings.upgrade()?, counts.upgrade()?);
            Some(settings.load().snapshot(&counts).readings())
        })
    }
}

impl fmt::Debug for Hedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("config", &self.config())
            .field("snapshot", &self.snapshot())
            .finish_non_exhaustive()
    }
}
