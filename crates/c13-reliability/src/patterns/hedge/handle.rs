//! A hedge to hold and to share: settings, clock, measured latencies, budget and counts.

use super::execute::Execute;
use super::latency::LatencyWindow;
use super::{HedgeConfig, HedgeDelay, HedgeError, HedgeSnapshot};
use crate::budget::RetryBudget;
use crate::error::ConfigError;
use crate::snapshot::{Observed, Source};
use crate::sync::primitive::{AtomicU64, Mutex, Ordering};
use crate::sync::{Count as _, Stripes, Tally, counts};
use crate::time::{Clock, Env, Tick, nanos};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Starts another attempt while one takes too long. Clones share counts, latencies and budget.
///
/// See the [module](super) for what happens when.
#[derive(Clone)]
pub struct Hedge {
    config: HedgeConfig,
    /// The settings of the hedge that has replaced this one, or its own.
    present: Arc<Mutex<HedgeConfig>>,
    clock: Clock,
    budget: Option<RetryBudget>,
    /// Whether a call of this hedge counts for the budget, or something around it counts it already.
    deposits: bool,
    shared: Arc<Shared>,
}

struct Shared {
    /// Those of other settings count here too.
    counts: Tally<HedgeCount>,
    latencies: Option<Mutex<LatencyWindow>>,
    /// The delay in nanoseconds; `NO_DELAY` where time starts no attempt.
    delay: AtomicU64,
}

const NO_DELAY: u64 = u64::MAX;

counts! {
    /// What a hedge counts.
    pub(super) enum HedgeCount {
        Hedge,
        PrimaryWin,
        HedgeWin,
        Failure,
        AttemptAbandoned,
        BudgetExhausted,
        FirstWin,
        CallAbandoned,
    }
}

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
        let shared = Arc::new(Shared::new(&config.delay, Tally::on(stripes), None));
        Ok(Self {
            config,
            present: Arc::new(Mutex::new(config)),
            clock,
            budget,
            deposits: true,
            shared,
        })
    }

    /// A hedge of other settings that goes on with this one's counts and with the latencies it has measured, and with its
    /// budget where the budget's settings are the same. One that [uses](Self::draws_on) another's gets a budget of its
    /// own. Calls under way go on by their old settings.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub fn with_settings(&self, config: HedgeConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let budget = match (&self.budget, config.budget) {
            (Some(budget), Some(settings)) if self.deposits && budget.config() == settings => Some(budget.clone()),
            (_, Some(settings)) => Some(RetryBudget::with_config(settings, self.clock.clone())?),
            (_, None) => None,
        };
        let shared = if self.config.delay == config.delay {
            self.shared.clone()
        } else {
            let (counts, latencies) = (self.shared.counts.clone(), self.shared.latencies.as_ref());
            Arc::new(Shared::new(&config.delay, counts, latencies))
        };
        Ok(Self {
            config,
            present: Arc::new(Mutex::new(config)),
            clock: self.clock.clone(),
            budget,
            deposits: true,
            shared,
        })
    }

    /// As [`with_settings`](Self::with_settings), for a hedge that replaces this one: handles of this one report its
    /// settings from now on.
    pub(crate) fn succeeded(&self, config: HedgeConfig) -> Result<Self, ConfigError> {
        let successor = self.with_settings(config)?;
        *self.present.lock() = config;
        Ok(Self {
            present: self.present.clone(),
            ..successor
        })
    }

    /// The settings by which this very handle makes attempts.
    pub(super) fn own_config(&self) -> &HedgeConfig {
        &self.config
    }

    /// Uses `budget` instead of one of its own, and counts its calls for it.
    #[must_use]
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.config.budget = Some(budget.config());
        self.present = Arc::new(Mutex::new(self.config));
        self.budget = Some(budget);
        self.deposits = true;
        self
    }

    /// Uses `budget` without counting its calls for it: for a hedge inside a retry that counts them already.
    #[must_use]
    pub fn draws_on(mut self, budget: RetryBudget) -> Self {
        self = self.budget(budget);
        self.deposits = false;
        self
    }

    /// As [`draws_on`](Self::draws_on), but handles made earlier go on sharing their settings with this one.
    pub(crate) fn within_retry(self, budget: RetryBudget) -> Self {
        let present = self.present.clone();
        let hedge = Self {
            present,
            ..self.draws_on(budget)
        };
        *hedge.present.lock() = hedge.config;
        hedge
    }

    /// Its settings. For one that was taken out of a policy these are the ones that the policy's calls go by now, also where
    /// they have changed since; attempts that are made through such a handle itself go by those of when it was taken.
    #[must_use]
    pub fn config(&self) -> HedgeConfig {
        *self.present.lock()
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
        self.shared.delay()
    }

    /// Whether there is another handle to it.
    #[cfg(feature = "toml")]
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.shared) > 1
    }

    /// Its cumulative counts.
    #[must_use]
    pub fn snapshot(&self) -> HedgeSnapshot {
        self.shared.snapshot(self.budget.as_ref())
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn count(&self, count: HedgeCount, n: u64) {
        if n > 0 {
            self.shared.counts.add(count, n);
        }
    }

    /// Begins a call: counts it for the budget, and reads the clock if its latency will be measured.
    #[inline]
    pub(super) fn begin(&self) -> Option<Tick> {
        if let Some(budget) = self.budget.as_ref().filter(|_| self.deposits) {
            budget.deposit();
        }
        self.shared.latencies.as_ref().map(|_| self.clock.now())
    }

    /// Measures a first attempt that succeeded.
    #[inline]
    pub(super) fn measure(&self, began: Option<Tick>) {
        if let (Some(latencies), Some(began)) = (&self.shared.latencies, began) {
            let now = self.clock.now();
            let fresh = latencies.lock().record(now, now - began);
            if let Some(delay) = fresh {
                // Relaxed: as in `delay`.
                self.shared
                    .delay
                    .store(delay.map_or(NO_DELAY, nanos), Ordering::Relaxed);
            }
        }
    }

    /// Whether the budget grants another attempt.
    pub(super) fn grants(&self) -> bool {
        let granted = self.budget.as_ref().is_none_or(RetryBudget::try_withdraw);
        if !granted {
            self.count(HedgeCount::BudgetExhausted, 1);
        }
        granted
    }
}

impl Shared {
    /// `before` is what was measured under other settings, if anything was.
    fn new(delay: &HedgeDelay, counts: Tally<HedgeCount>, before: Option<&Mutex<LatencyWindow>>) -> Self {
        let (latencies, delay) = match *delay {
            HedgeDelay::Fixed(delay) => (None, Some(delay)),
            HedgeDelay::Percentile {
                quantile,
                min_calls,
                window,
            } => {
                let fresh = || LatencyWindow::new(quantile, min_calls, window);
                let goes_on = |before: &Mutex<LatencyWindow>| before.lock().with_settings(quantile, min_calls, window);
                let latencies = before.map_or_else(fresh, goes_on);
                let delay = latencies.delay();
                (Some(Mutex::new(latencies)), delay)
            }
            HedgeDelay::AfterFailure => (None, None),
        };
        Self {
            counts,
            latencies,
            delay: AtomicU64::new(delay.map_or(NO_DELAY, nanos)),
        }
    }

    fn delay(&self) -> Option<Duration> {
        // Relaxed: the delay stands for nothing but itself.
        let nanos = self.delay.load(Ordering::Relaxed);
        (nanos < NO_DELAY).then(|| Duration::from_nanos(nanos))
    }

    fn snapshot(&self, budget: Option<&RetryBudget>) -> HedgeSnapshot {
        let count = |count| self.counts.sum(count);
        HedgeSnapshot {
            hedges: count(HedgeCount::Hedge),
            primary_wins: count(HedgeCount::PrimaryWin),
            hedge_wins: count(HedgeCount::HedgeWin),
            failures: count(HedgeCount::Failure),
            abandoned: count(HedgeCount::AttemptAbandoned),
            budget_exhausted: count(HedgeCount::BudgetExhausted),
            first_wins: count(HedgeCount::FirstWin),
            calls_abandoned: count(HedgeCount::CallAbandoned),
            delay: self.delay(),
            budget: budget.map(RetryBudget::snapshot),
        }
    }
}

impl Observed for Hedge {
    fn source(&self) -> Source {
        let shared = Arc::downgrade(&self.shared);
        let budget = self.budget.clone();
        Source::new(move || Some(shared.upgrade()?.snapshot(budget.as_ref()).readings()))
    }
}

impl fmt::Debug for Hedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("config", &self.config)
            .field("snapshot", &self.snapshot())
            .finish_non_exhaustive()
    }
}
