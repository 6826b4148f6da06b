//! The handle of a budget: deposits are one striped count, withdrawals take a lock.

use super::config::RetryBudgetConfig;
use super::snapshot::RetryBudgetSnapshot;
use super::state::BudgetState;
use crate::error::ConfigError;
use crate::sync::primitive::{AtomicU64, Mutex, Ordering};
use crate::sync::{Tally, counts};
use crate::time::{Clock, Env, Tick};
use std::fmt;
use std::sync::Arc;

/// Each stripe's count is put into the window after this many calls, and at every withdrawal. A power of two.
///
/// So at most 63 calls a thread that made a deposit, and 63 that were over at once, may be taken for calls of the moment
/// when a withdrawal next looks.
const SETTLE_EVERY: u64 = if cfg!(c13_loom) { 2 } else { 64 };

counts! {
    /// What a budget counts of calls.
    pub(crate) enum CallCount {
        /// The call made a deposit when it began.
        Deposited,
        /// The call succeeded before it made a deposit.
        AtOnce,
    }
}

/// Where a budget reads its calls from: its own counters, or those of an executor that keeps them for itself and for its
/// budget, so that a call which succeeds at once is counted once for both.
pub(crate) type CallCounts = Tally<CallCount>;

/// All calls.
const CALLS: [CallCount; 2] = [CallCount::Deposited, CallCount::AtOnce];

/// Whether a stripe whose count of calls has become `value` is to be put into the window.
#[inline]
pub(crate) fn is_due(value: u64) -> bool {
    value.is_multiple_of(SETTLE_EVERY)
}

/// How many extra attempts all calls together may make. Clones share one budget.
///
/// See the [module](super) for what it grants. A deposit costs one striped count (about 1.5 ns), a withdrawal takes a
/// lock and sums the stripes (about 100 ns). Memory: 0.7 KB, and 128 bytes for each further
/// thread that uses it.
#[derive(Clone)]
pub struct RetryBudget {
    shared: Arc<SharedBudget>,
}

struct SharedBudget {
    config: RetryBudgetConfig,
    clock: Clock,
    calls: CallCounts,
    state: Mutex<BudgetState>,
    granted: AtomicU64,
    refused: AtomicU64,
}

impl RetryBudget {
    /// A budget with these settings, on the system clock.
    ///
    /// # Panics
    ///
    /// If a setting breaks its rule. For settings that are not known when writing, use [`try_new`](RetryBudget::try_new).
    #[must_use]
    pub fn new(config: RetryBudgetConfig) -> Self {
        Self::try_new(config).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same as [`new`](RetryBudget::new), for settings that are only known at run time.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub fn try_new(config: RetryBudgetConfig) -> Result<Self, ConfigError> {
        Self::with_config(config, Clock::system())
    }

    /// A budget with these settings, by the clock of `env`.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub fn with_config(config: RetryBudgetConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        Self::over(config, env.into().clock, CallCounts::new())
    }

    /// A budget for the calls that `calls` counts from now on.
    pub(crate) fn over(config: RetryBudgetConfig, clock: Clock, calls: CallCounts) -> Result<Self, ConfigError> {
        config.validate()?;
        let state = Mutex::new(BudgetState::new(&config, calls.values(&CALLS)));
        Ok(Self {
            shared: Arc::new(SharedBudget {
                config,
                clock,
                calls,
                state,
                granted: AtomicU64::new(0),
                refused: AtomicU64::new(0),
            }),
        })
    }

    /// Whether it reads its calls from `calls`.
    pub(crate) fn is_over(&self, calls: &CallCounts) -> bool {
        self.shared.calls.is_same(calls)
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> RetryBudgetConfig {
        self.shared.config
    }

    /// Counts a call. Once per call, when it begins, and not for its retries.
    #[inline]
    pub fn deposit(&self) {
        let (_, value) = self.shared.calls.add_and_read(CallCount::Deposited, 1);
        if is_due(value) {
            self.settle();
        }
    }

    /// Puts what this thread's stripe counts into the window.
    #[cold]
    pub(crate) fn settle(&self) {
        let (stripe, value) = self.shared.calls.value_here(&CALLS);
        let now = self.shared.clock.coarse();
        self.shared.state.lock().settle(stripe, value, now);
    }

    /// Grants one extra attempt, or refuses it. Call it when the attempt is decided, before its back-off.
    ///
    /// Complexity: O(threads that ever made a call, at most 65).
    #[must_use]
    pub fn try_withdraw(&self) -> bool {
        let shared = &*self.shared;
        let granted = self.settled(|state, now| state.withdraw(&shared.config, now));
        let counter = if granted { &shared.granted } else { &shared.refused };
        // Relaxed: a count orders nothing.
        counter.fetch_add(1, Ordering::Relaxed);
        granted
    }

    /// Its state now, and what it has counted.
    #[must_use]
    pub fn snapshot(&self) -> RetryBudgetSnapshot {
        let shared = &*self.shared;
        let ((calls, extra_attempts), balance) =
            self.settled(|state, now| (state.totals(now), state.balance(&shared.config, now)));
        RetryBudgetSnapshot {
            calls,
            extra_attempts,
            balance: balance as u64,
            // Relaxed: counts order nothing.
            granted: shared.granted.load(Ordering::Relaxed),
            refused: shared.refused.load(Ordering::Relaxed),
        }
    }

    /// Looks at the state after every stripe's count was put into it.
    fn settled<T>(&self, look: impl FnOnce(&mut BudgetState, Tick) -> T) -> T {
        let now = self.shared.clock.coarse();
        let mut state = self.shared.state.lock();
        for (stripe, value) in self.shared.calls.values(&CALLS) {
            state.settle(stripe, value, now);
        }
        look(&mut state, now)
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("config", &self.shared.config)
            .field("snapshot", &self.snapshot())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use crate::time::VirtualTime;
    use std::time::Duration;

    fn budget(config: RetryBudgetConfig) -> (VirtualTime, RetryBudget) {
        let time = VirtualTime::new();
        let budget = RetryBudget::with_config(config, time.clock()).expect("the test's settings are good");
        (time, budget)
    }

    #[test]
    fn withdrawals_that_race_never_exceed_the_budget() {
        let (_time, budget) = budget(RetryBudgetConfig::new().min_per_second(0.0));
        let granted: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        (0..1_000).for_each(|_| budget.deposit());
                        (0..1_000).map(|_| u64::from(budget.try_withdraw())).sum::<u64>()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!(granted <= 1_600, "{granted}");
        let rest = (0..2_000).map(|_| u64::from(budget.try_withdraw())).sum::<u64>();
        assert_eq!(granted + rest, 1_600, "and all of it can be had");
        let snapshot = budget.snapshot();
        assert_eq!((snapshot.calls, snapshot.extra_attempts), (8_000, 1_600));
        assert_eq!((snapshot.granted, snapshot.refused), (1_600, 10_000 - 1_600));
        assert_eq!(snapshot.balance, 0);
    }

    #[test]
    fn calls_of_an_hour_without_retries_grant_no_burst_afterwards() {
        let (time, budget) = budget(RetryBudgetConfig::new().min_per_second(0.0));
        for _ in 0..3_600 {
            (0..10).for_each(|_| budget.deposit());
            time.advance(Duration::from_secs(1));
        }
        let granted = std::iter::from_fn(|| budget.try_withdraw().then_some(())).count();
        assert!(
            granted <= (100 + 63) / 5,
            "{granted} for the last ten seconds' hundred calls"
        );
    }

    #[test]
    fn a_budget_refills_as_its_window_moves_on() {
        let (time, budget) = budget(RetryBudgetConfig::new().ratio(0.0).min_per_second(10.0));
        let all = || std::iter::from_fn(|| budget.try_withdraw().then_some(())).count();
        assert_eq!(all(), 100);
        time.advance(Duration::from_secs(5));
        assert_eq!(all(), 0);
        time.advance(Duration::from_secs(5));
        assert_eq!(all(), 100);
    }
}
