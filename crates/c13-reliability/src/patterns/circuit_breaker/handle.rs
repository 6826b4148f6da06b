//! What users hold: the breaker itself.

use super::call::Call;
use super::config::CircuitBreakerConfig;
use super::permit::Permit;
use super::shared::Shared;
use super::snapshot::{CircuitMetrics, CircuitState, Snapshot};
use super::state::Forced;
use crate::error::{ConfigError, Rejected};
use crate::gate::{self, ByResult, Gate, Outcome};
use crate::snapshot::{Observed, Source};
use crate::sync::Random;
use crate::time::{Clock, Tick};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Stops calls to a dependency that fails, and lets them through again when it has recovered.
///
/// Cheap to clone; all clones are one circuit. It has no type parameters: any call may run through it.
///
/// ```
/// use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerError, CircuitState};
/// use std::time::Duration;
///
/// # c13_reliability::time::Executor::new().block_on(async {
/// let breaker = CircuitBreaker::new(2, 1, Duration::from_secs(30));
/// for _ in 0..2 {
///     let result = breaker.call(async { Err::<(), _>("connection refused") }).await;
///     assert_eq!(result, Err(CircuitBreakerError::CallFailed("connection refused")));
/// }
/// assert_eq!(breaker.current_state(), CircuitState::Open);
///
/// let result = breaker.call(async { Ok::<_, &str>("never runs") }).await;
/// assert!(matches!(result, Err(CircuitBreakerError::CircuitOpen { retry_after: Some(_) })));
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    shared: Arc<Shared>,
}

impl CircuitBreaker {
    /// A breaker that opens after `failure_threshold` failures in a row, stays open for `timeout`, and closes again
    /// after `success_threshold` successful probes. On the system clock.
    ///
    /// # Panics
    ///
    /// If a threshold is 0, or `timeout` is zero or longer than a day. For values that are not known when writing, use
    /// [`try_new`](Self::try_new).
    #[must_use]
    pub fn new(failure_threshold: u64, success_threshold: u64, timeout: Duration) -> Self {
        match Self::try_new(failure_threshold, success_threshold, timeout) {
            Ok(breaker) => breaker,
            Err(error) => panic!("{error}"),
        }
    }

    /// The same as [`new`](Self::new), for values that are only known at run time.
    ///
    /// # Errors
    ///
    /// If a threshold is 0, or `timeout` is zero or longer than a day.
    pub fn try_new(failure_threshold: u64, success_threshold: u64, timeout: Duration) -> Result<Self, ConfigError> {
        let config = CircuitBreakerConfig::new()
            .consecutive_failures(failure_threshold)
            .success_threshold(success_threshold)
            .open_for(timeout);
        Self::with_config(config, Clock::system())
    }

    /// A breaker with these settings, on this clock.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense; see [`CircuitBreakerConfig::validate`].
    pub fn with_config(config: CircuitBreakerConfig, clock: Clock) -> Result<Self, ConfigError> {
        Self::with_random(config, clock, Random::from_entropy())
    }

    /// A breaker that draws the jitter of its open times from `random`: with a fixed seed, one run is like another.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense; see [`CircuitBreakerConfig::validate`].
    pub fn with_random(config: CircuitBreakerConfig, clock: Clock, random: Random) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            shared: Arc::new(Shared::new(config, clock, random)),
        })
    }

    /// Runs `future` if the circuit lets it; `Ok` is a success and `Err` a failure.
    ///
    /// A panic in the future is a failure and goes on unwinding.
    ///
    /// # Errors
    ///
    /// [`CircuitOpen`](super::CircuitBreakerError::CircuitOpen) if the circuit refuses; the future is then never
    /// polled. [`CallFailed`](super::CircuitBreakerError::CallFailed) with the future's own error.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside; the call counts as abandoned, and a probe's place is free again. Before the
    /// first poll the circuit was not asked, and nothing is counted.
    pub fn call<F, T, E>(&self, future: F) -> Call<'_, F, ByResult>
    where
        F: Future<Output = Result<T, E>>,
    {
        Call::new(gate::Call::new(self, future, ByResult))
    }

    /// Runs `future` if the circuit lets it; `classify` says what its result means: a success, a failure (and, if it
    /// says so, how long to leave the dependency alone), or nothing.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call); a result that `classify` ignores is handed out as it is, as every result is.
    ///
    /// # Cancel safety
    ///
    /// As for [`call`](Self::call).
    pub fn call_classified<F, C, T, E>(&self, future: F, classify: C) -> Call<'_, F, C>
    where
        F: Future<Output = Result<T, E>>,
        C: FnOnce(&Result<T, E>) -> Outcome,
    {
        Call::new(gate::call(self, future, classify))
    }

    /// Admits one call, or refuses it. Never waits; for code that is not a future.
    ///
    /// A closed circuit costs one load here.
    ///
    /// # Errors
    ///
    /// If the circuit is open, or half-open with all its probes out.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, Rejected> {
        let shared = &*self.shared;
        Ok(Permit::new(shared, shared.admit(|| shared.clock().now())?))
    }

    /// The same at a time that was read already, by this breaker's clock.
    #[inline]
    #[allow(dead_code, reason = "policies share their clock reading with it")]
    pub(crate) fn try_acquire_at(&self, now: Tick) -> Result<Permit<'_>, Rejected> {
        let shared = &*self.shared;
        Ok(Permit::new(shared, shared.admit(|| now)?))
    }

    /// The state. An open circuit whose time is up reads `Open` until a call makes it half-open.
    #[must_use]
    pub fn current_state(&self) -> CircuitState {
        self.shared.state()
    }

    /// What it counted in its whole life. Reading takes the lock for a moment and sums up to 65 stripes.
    #[must_use]
    pub fn metrics(&self) -> CircuitMetrics {
        self.shared.metrics()
    }

    /// Everything there is to know of it now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// Refuses all calls until [`reset`](Self::reset), [`force_closed`](Self::force_closed) or
    /// [`metrics_only`](Self::metrics_only).
    pub fn force_open(&self) {
        self.shared.force(Forced::Open);
    }

    /// Lets all calls run, whatever comes of them, until [`reset`](Self::reset), [`force_open`](Self::force_open) or
    /// [`metrics_only`](Self::metrics_only). Calls are counted, but the rules do not hear of them.
    pub fn force_closed(&self) {
        self.shared.force(Forced::Closed);
    }

    /// Lets all calls run and watches them, but never opens; until [`reset`](Self::reset),
    /// [`force_open`](Self::force_open) or [`force_closed`](Self::force_closed). For trying a setting out.
    pub fn metrics_only(&self) {
        self.shared.force(Forced::MetricsOnly);
    }

    /// Closes the circuit and forgets what its rules remember, trips included. Lifetime counts stay. Calls that are
    /// running change nothing any more.
    pub fn reset(&self) {
        self.shared.force(Forced::Reset);
    }
}

impl Gate for CircuitBreaker {
    type Permit<'a> = Permit<'a>;
    type Rejection = Rejected;

    #[inline]
    fn try_admit(&self) -> Result<Permit<'_>, Rejected> {
        self.try_acquire()
    }

    /// A circuit never lets a caller wait: this is [`try_admit`](Gate::try_admit).
    async fn admit(&self) -> Result<Permit<'_>, Rejected> {
        self.try_acquire()
    }
}

impl Observed for CircuitBreaker {
    fn source(&self) -> Source {
        let shared = Arc::downgrade(&self.shared);
        Source::new(move || Some(shared.upgrade()?.snapshot().readings()))
    }
}
