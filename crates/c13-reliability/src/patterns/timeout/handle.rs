//! The handle of a timeout: its limit, its clock and its counts.

use super::call::{Late, TimeoutCall};
use super::snapshot::TimeoutCount;
use super::{TimeoutConfig, TimeoutError, TimeoutSnapshot};
use crate::error::ConfigError;
use crate::gate::cut_short;
use crate::snapshot::{Observed, Source};
use crate::sync::Tally;
use crate::time::{Clock, Env, nanos};
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// A time limit for calls. Clones share their counts.
#[derive(Clone)]
pub struct Timeout {
    config: TimeoutConfig,
    limit_nanos: u64,
    clock: Clock,
    counts: Tally<TimeoutCount>,
}

impl Timeout {
    /// Calls may take `limit`, by the system clock; [`Duration::MAX`] is no limit.
    ///
    /// # Panics
    ///
    /// If the limit is zero. For limits that are not known when writing, use [`try_new`](Timeout::try_new).
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self::try_new(limit).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same as [`new`](Timeout::new), for a limit that is only known at run time.
    ///
    /// # Errors
    ///
    /// If the limit is zero.
    pub fn try_new(limit: Duration) -> Result<Self, ConfigError> {
        Self::with_config(TimeoutConfig::new(limit), Clock::system())
    }

    /// A timeout with these settings, by the clock of `env`.
    ///
    /// # Errors
    ///
    /// If the limit is zero.
    pub fn with_config(config: TimeoutConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        config.validate()?;
        let clock = env.into().clock;
        Ok(Self {
            config,
            // Limits of 584 years and more are none.
            limit_nanos: nanos(config.limit),
            clock,
            counts: Tally::new(),
        })
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> TimeoutConfig {
        self.config
    }

    /// Runs `future` for at most the limit, and until the caller's deadline at the latest.
    ///
    /// A result that comes together with the limit counts.
    ///
    /// # Errors
    ///
    /// [`Elapsed`](super::TimeoutError::Elapsed) when the limit is over,
    /// [`DeadlineExceeded`](super::TimeoutError::DeadlineExceeded) when the caller's deadline comes first, and then
    /// without starting `future` if it has passed already; `future` is dropped with what this returns.
    /// [`CallFailed`](super::TimeoutError::CallFailed) with the future's own error.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside and frees the timer.
    pub fn call<F, T, E>(&self, future: F) -> TimeoutCall<&Self, F>
    where
        F: Future<Output = Result<T, E>>,
    {
        TimeoutCall::new(self, future)
    }

    /// Its cumulative counts.
    #[must_use]
    pub fn snapshot(&self) -> TimeoutSnapshot {
        TimeoutSnapshot::counted(&self.counts)
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The limit in nanoseconds, for the first poll.
    pub(super) fn limit_nanos(&self) -> u64 {
        self.limit_nanos
    }

    /// Counts a call that ended in time.
    #[inline]
    pub(super) fn completed(&self) {
        self.counts.add_one(TimeoutCount::Completed);
    }

    /// Counts a call that was dropped, or panicked, before its end.
    #[cold]
    pub(super) fn abandoned(&self) {
        self.counts.add_one(TimeoutCount::Abandoned);
    }

    /// Counts a call that was late, and gives its error. The error is made inline: a result that a function hands back
    /// through memory costs a call that is in time more than all the rest.
    #[inline]
    pub(super) fn late<E>(&self, late: Late) -> TimeoutError<E> {
        self.count_late(late);
        match late {
            Late::Elapsed => TimeoutError::Elapsed {
                limit: self.config.limit,
            },
            Late::DeadlineExceeded { .. } => TimeoutError::DeadlineExceeded,
        }
    }

    #[cold]
    #[inline(never)]
    fn count_late(&self, late: Late) {
        let count = match late {
            Late::Elapsed => TimeoutCount::Elapsed,
            Late::DeadlineExceeded { was_fair } => {
                if !was_fair {
                    cut_short::report();
                }
                TimeoutCount::DeadlineExceeded
            }
        };
        self.counts.add_one(count);
    }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout")
            .field("config", &self.config)
            .field("snapshot", &self.snapshot())
            .finish_non_exhaustive()
    }
}

impl Observed for Timeout {
    fn source(&self) -> Source {
        let counts = self.counts.downgrade();
        Source::new(move || Some(TimeoutSnapshot::counted(&counts.upgrade()?).readings()))
    }
}
