//! What all clones of an adaptive limit and its partitions share.

use super::config::AdaptiveConfig;
use super::share::Shares;
use super::state::{Ended, LimitState, Sample};
use crate::gate::semaphore::{AcquireError, Semaphore, SemaphorePermit};
use crate::sync::Random;
use crate::sync::primitive::{AtomicU64, Mutex, Ordering};
use crate::time::{Clock, Tick, nanos};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct SharedLimit {
    pub(super) semaphore: Semaphore,
    learning: Mutex<Learning>,
    /// The setting in nanoseconds, for readers without the lock; `u64::MAX` is no limit.
    timeout: AtomicU64,
    shares: Option<Mutex<Shares>>,
    random: Random,
    dropped: AtomicU64,
}

/// The settings of the limit, and what it has learned.
struct Learning {
    config: AdaptiveConfig,
    state: LimitState,
}

impl SharedLimit {
    pub(super) fn new(config: AdaptiveConfig, clock: Clock, random: Random, shares: Option<Shares>) -> Self {
        Self {
            semaphore: Semaphore::new(config.initial_limit, config.max_queue, config.max_wait, clock),
            timeout: AtomicU64::new(nanos(config.timeout)),
            learning: Mutex::new(Learning {
                state: LimitState::new(&config),
                config,
            }),
            shares: shares.map(Mutex::new),
            random,
            dropped: AtomicU64::new(0),
        }
    }

    pub(super) fn now(&self) -> Tick {
        self.semaphore.clock().now()
    }

    /// Records a call that ended, and sets the limit anew if that ended a window.
    pub(super) fn record(&self, sample: Sample) {
        if sample.ended == Ended::Ignored {
            return;
        }
        if sample.ended == Ended::Dropped {
            // Relaxed: a count orders nothing.
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        let (now, unit) = (self.now(), self.random.unit());
        let limit = {
            let Learning { config, state } = &mut *self.learning.lock();
            state.record(config, sample, now, unit)
        };
        if let Some(limit) = limit {
            self.resize(limit);
        }
    }

    /// Uses other settings, which were checked, from now on.
    pub(super) fn reconfigure(&self, config: AdaptiveConfig) {
        let (now, unit) = (self.now(), self.random.unit());
        let limit = {
            let mut learning = self.learning.lock();
            let Learning { config: before, state } = &mut *learning;
            state.reconfigure(&before.algorithm, &config, now, unit);
            *before = config;
            // Under the lock, so that of two changes all settings of the later one hold. Relaxed: a setting of its own.
            self.timeout.store(nanos(config.timeout), Ordering::Relaxed);
            self.semaphore.set_queue(config.max_queue, config.max_wait);
            learning.limit()
        };
        self.resize(limit);
    }

    /// Gives the semaphore the limit of the state, which was `limit` a moment ago. Not under the lock, because it wakes
    /// waiters; so the state is read again afterwards, in case another thread has changed the limit meanwhile.
    fn resize(&self, mut limit: u32) {
        while limit != self.semaphore.limit() {
            self.semaphore.resize(limit);
            limit = self.learning.lock().limit();
        }
    }

    pub(super) fn config(&self) -> AdaptiveConfig {
        self.learning.lock().config
    }

    /// The latency without load, where it is known.
    pub(super) fn baseline(&self) -> Option<Duration> {
        self.learning.lock().state.baseline()
    }

    /// Whether a call that began at `began` counts as dropped by now, whatever its outcome.
    pub(super) fn is_overdue(&self, began: Tick) -> bool {
        // Relaxed: a setting of its own.
        nanos(self.now() - began) > self.timeout.load(Ordering::Relaxed)
    }

    pub(super) fn is_partitioned(&self) -> bool {
        self.shares.is_some()
    }

    pub(super) fn with_shares<T>(&self, look: impl FnOnce(&Shares) -> T) -> Option<T> {
        self.shares.as_ref().map(|shares| look(&shares.lock()))
    }

    pub(super) fn dropped(&self) -> u64 {
        // Relaxed: a count orders nothing.
        self.dropped.load(Ordering::Relaxed)
    }

    /// Takes a permit for a call of a partition: an available one, or one that the partition is owed.
    pub(super) fn acquire_for_part(&self, index: usize) -> Result<SemaphorePermit<&Semaphore>, AcquireError> {
        let Some(shares) = &self.shares else {
            return self.semaphore.try_acquire();
        };
        let mut shares = shares.lock();
        let permit = match Semaphore::try_acquire_uncounted(&self.semaphore) {
            Some(permit) => permit,
            None if shares.is_owed(index, self.semaphore.limit()) => self.semaphore.acquire_beyond_limit(),
            None => return self.semaphore.try_acquire(),
        };
        shares.acquire(index);
        Ok(permit)
    }

    pub(super) fn release_for_part(&self, index: usize) {
        if let Some(shares) = &self.shares {
            shares.lock().release(index);
        }
    }
}

impl Learning {
    fn limit(&self) -> u32 {
        self.state.limit(&self.config)
    }
}

/// Points to the semaphore of a limit, and owns a share of the limit.
#[derive(Clone)]
pub(super) struct SemaphoreOf(Arc<SharedLimit>);

impl SemaphoreOf {
    pub(super) fn new(shared: &Arc<SharedLimit>) -> Self {
        Self(shared.clone())
    }
}

impl Deref for SemaphoreOf {
    type Target = Semaphore;

    fn deref(&self) -> &Semaphore {
        &self.0.semaphore
    }
}
