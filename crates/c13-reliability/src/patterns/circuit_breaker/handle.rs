//! The breaker's handle.

use super::builder::CircuitBreakerBuilder;
use super::call::{Call, ClassifiedBreaker, Lazy};
use super::config::CircuitBreakerConfig;
use super::error::{CircuitBreakerError, too_late};
use super::events::CircuitEvents;
use super::health_probe::{self, HealthProbe};
use super::opening::Opening;
use super::permit::{OwnedPermit, Permit};
use super::shared::{Shared, Ticket};
use super::snapshot::{CircuitEvent, CircuitMetrics, CircuitState, Snapshot};
use super::state::Forced;
use crate::error::{ConfigError, Rejected};
use crate::gate::{Admittance, ByResult, Gate, NeverWaits, Outcome, OwnedGate, Suspend};
use crate::snapshot::{Observed, Source};
use crate::time::{Clock, Deadline, Env, Tick};
use std::future::{Future, Ready, ready};
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
        Self::try_new(failure_threshold, success_threshold, timeout).unwrap_or_else(|error| panic!("{error}"))
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

    /// A breaker with these settings, by the clock of `env`, reported by its name. Jitter, and the calls that a recovery in
    /// stages lets through, are drawn from its random numbers.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense; see [`CircuitBreakerConfig::validate`].
    pub fn with_config(config: CircuitBreakerConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        Self::builder(config).env(env).build()
    }

    /// Starts a breaker with these settings that has an [`Env`], a state to start in, or listeners.
    pub fn builder(config: CircuitBreakerConfig) -> CircuitBreakerBuilder {
        CircuitBreakerBuilder::new(config)
    }

    pub(super) fn from_shared(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Runs `future` if the circuit admits it; `Ok` is a success and `Err` a failure.
    ///
    /// A panic in the future is a failure and goes on unwinding.
    ///
    /// # Errors
    ///
    /// [`CircuitOpen`](super::CircuitBreakerError::CircuitOpen) if the circuit refuses; the future is then never
    /// polled. [`DeadlinePassed`](super::CircuitBreakerError::DeadlinePassed) if the caller's
    /// [`Deadline`](crate::time::Deadline) has passed: the circuit is not even asked then.
    /// [`CallFailed`](super::CircuitBreakerError::CallFailed) with the future's own error.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside; the call counts as abandoned, and a probe's permit is released. Before the first
    /// poll the circuit was not asked, and nothing is counted.
    pub fn call<F, T, E>(&self, future: F) -> Call<'_, F, ByResult>
    where
        F: Future<Output = Result<T, E>>,
    {
        Call::new(self, future, ByResult)
    }

    /// The same as [`call`](Self::call) for a future that is not even made if the circuit refuses. A panic while it is
    /// made is a failure too.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// As for [`call`](Self::call).
    pub fn call_with<M, F, T, E>(&self, make: M) -> Call<'_, Lazy<M, F>, ByResult>
    where
        M: FnOnce() -> F,
        F: Future<Output = Result<T, E>>,
    {
        Call::new(self, Lazy::new(make), ByResult)
    }

    /// A view of this breaker with a classifier for the results of its calls.
    ///
    /// ```
    /// use c13_reliability::gate::Outcome;
    /// use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitState};
    /// use std::time::Duration;
    ///
    /// # c13_reliability::time::Executor::new().block_on(async {
    /// let breaker = CircuitBreaker::new(1, 1, Duration::from_secs(30));
    /// let http = breaker.classified(|answer: &Result<u16, &str>| match answer {
    ///     Ok(500..) | Err(_) => Outcome::FAILURE,
    ///     Ok(400..) => Outcome::Ignored,
    ///     Ok(_) => Outcome::Success,
    /// });
    /// assert_eq!(http.call(async { Ok(404) }).await, Ok(404));
    /// assert_eq!(breaker.current_state(), CircuitState::Closed);
    /// assert_eq!(http.call(async { Ok(503) }).await, Ok(503));
    /// assert_eq!(breaker.current_state(), CircuitState::Open);
    /// # });
    /// ```
    pub fn classified<T, E, C>(&self, classify: C) -> ClassifiedBreaker<C>
    where
        C: Fn(&Result<T, E>) -> Outcome,
    {
        ClassifiedBreaker::new(self.clone(), classify)
    }

    /// Runs `future` if the circuit admits it; `classify` says what its result means: a success, a failure (with the time for
    /// which to leave the dependency alone, if that is known), or nothing.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call); a result that `classify` ignores is returned unchanged, as every result is.
    ///
    /// # Cancel safety
    ///
    /// As for [`call`](Self::call).
    pub fn call_classified<F, C, T, E>(&self, future: F, classify: C) -> Call<'_, F, C>
    where
        F: Future<Output = Result<T, E>>,
        C: FnOnce(&Result<T, E>) -> Outcome,
    {
        Call::new(self, future, classify)
    }

    /// Admits one call, or refuses it. Never waits; for code that is not a future.
    ///
    /// A closed circuit costs one load here. The caller's [`Deadline`](crate::time::Deadline) is not looked at: a permit begins
    /// nothing by itself, and whatever begins the call can ask [`Deadline::is_over`](crate::time::Deadline::is_over).
    ///
    /// # Errors
    ///
    /// If the circuit is open, or half-open with all its probes out.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, Rejected> {
        let shared = &*self.shared;
        Ok(Permit::new(shared, shared.admit(None)?))
    }

    /// The same as [`try_acquire`](Self::try_acquire), for a call that ends on another task or thread.
    ///
    /// # Errors
    ///
    /// If the circuit is open, or half-open with all its probes out.
    pub fn try_acquire_owned(&self) -> Result<OwnedPermit, Rejected> {
        let ticket = self.shared.admit(None)?;
        Ok(OwnedPermit::new(self.shared.clone(), ticket))
    }

    #[inline]
    pub(super) fn clock(&self) -> &Clock {
        self.shared.clock()
    }

    /// The same at a time that was read already, by this breaker's clock.
    #[inline]
    pub(crate) fn try_acquire_at(&self, now: Tick) -> Result<Permit<'_>, Rejected> {
        let shared = &*self.shared;
        Ok(Permit::new(shared, shared.admit(Some(now))?))
    }

    /// The state. An open circuit whose time is up reads `Open` until a call makes it half-open.
    #[must_use]
    pub fn current_state(&self) -> CircuitState {
        self.shared.state()
    }

    /// Its cumulative counts. Reading takes the lock for a moment and sums up to 65 stripes.
    #[must_use]
    pub fn metrics(&self) -> CircuitMetrics {
        self.shared.metrics()
    }

    /// Its state and its counts now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// Whether a call would be refused now.
    pub(super) fn refuses(&self) -> bool {
        self.shared.refuses()
    }

    /// How many handles there are, owned permits among them.
    pub(crate) fn handles(&self) -> usize {
        Arc::strong_count(&self.shared)
    }

    /// Why it is open, or was until its probes began; `None` if it is not open.
    #[must_use]
    pub fn opening(&self) -> Option<Arc<Opening>> {
        self.shared.outbox().opening()
    }

    /// The name it is reported by.
    #[must_use]
    pub fn name(&self) -> &str {
        self.shared.outbox().name()
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> CircuitBreakerConfig {
        self.shared.config()
    }

    /// Changes the settings while it runs. The state stays, and so does what the windows hold, as far as the new ones
    /// reach: a shorter window keeps the most recent calls. An open time that has begun is not changed. A success that
    /// is recorded at the very moment of the change may be missing from the windows.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense; nothing has changed then.
    pub fn reconfigure(&self, config: CircuitBreakerConfig) -> Result<(), ConfigError> {
        config.validate()?;
        self.shared.change(config);
        Ok(())
    }

    /// Calls `listener` with every event of this breaker from now on, in order, for as long as the breaker lives. It is called
    /// by the thread that caused the event, or by one that is delivering earlier events, and under no lock, so it may use the
    /// breaker. While it runs no caller waits for it, but later events do. A panic in it ends there.
    pub fn listen(&self, listener: impl Fn(&CircuitEvent) + Send + Sync + 'static) {
        self.shared.outbox().listen(Arc::new(listener));
    }

    /// A stream of this breaker's events from now on.
    #[must_use]
    pub fn events(&self) -> CircuitEvents {
        self.shared.outbox().subscribe()
    }

    /// Probes the dependency while the circuit is open, and makes the circuit half-open as soon as a probe finds the dependency
    /// well, however long the open time still is. The probe's calls do not go through the breaker.
    ///
    /// The future is to be spawned on whatever runtime the caller has; it ends when the breaker is gone (it does not
    /// keep it alive), and dropping it ends the probing. It sleeps on the breaker's clock, and only while the circuit
    /// is open. A circuit that was opened by hand, or by an error that said for how long, is not probed. Each time the
    /// circuit opens again after a probe made it half-open early, the next wait doubles, at most 6 times in a row.
    ///
    /// A probe that panics or takes too long has found the dependency unwell.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), c13_reliability::ConfigError> {
    /// use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, HealthProbe};
    /// use std::time::Duration;
    ///
    /// let breaker = CircuitBreaker::new(5, 2, Duration::from_secs(30));
    /// let probing = HealthProbe::new(Duration::from_millis(200));
    /// tokio::spawn(breaker.probe_health(probing, || async { /* ping */ true })?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops a probe that is running and changes nothing else.
    pub fn probe_health<P, F>(
        &self,
        settings: HealthProbe,
        probe: P,
    ) -> Result<impl Future<Output = ()> + use<P, F>, ConfigError>
    where
        P: FnMut() -> F,
        F: Future<Output = bool>,
    {
        settings.validate()?;
        let (breaker, clock) = (Arc::downgrade(&self.shared), self.shared.clock().clone());
        Ok(health_probe::run(settings, breaker, clock, self.events(), probe))
    }

    /// Opens the circuit now, for this long, as if it had tripped; then it lets probes through.
    pub fn open_for(&self, time: Duration) {
        self.shared.force(Forced::OpenFor(time));
    }

    /// Refuses all calls until [`reset`](Self::reset), [`force_closed`](Self::force_closed) or
    /// [`metrics_only`](Self::metrics_only).
    pub fn force_open(&self) {
        self.shared.force(Forced::Open);
    }

    /// Lets all calls run, whatever their results, until [`reset`](Self::reset), [`force_open`](Self::force_open) or
    /// [`metrics_only`](Self::metrics_only). Calls are counted, but the rules ignore them.
    pub fn force_closed(&self) {
        self.shared.force(Forced::Closed);
    }

    /// Lets all calls run and evaluates the rules, but never opens; until [`reset`](Self::reset),
    /// [`force_open`](Self::force_open) or [`force_closed`](Self::force_closed). For trying a setting out.
    pub fn metrics_only(&self) {
        self.shared.force(Forced::MetricsOnly);
    }

    /// Closes the circuit and forgets what its rules remember, trips included. Cumulative counts stay. Calls that are running
    /// change nothing any more.
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

impl OwnedGate for CircuitBreaker {
    type OwnedPermit = OwnedPermit;
    type Admission = Ready<Result<OwnedPermit, Rejected>>;
    type Waiting = NeverWaits;
    type Error<E> = CircuitBreakerError<E>;

    fn admit_owned(&self) -> Self::Admission {
        ready(self.try_acquire_owned())
    }

    fn ask(&self) -> Admittance<OwnedPermit, Rejected, Self::Admission> {
        if Deadline::is_over(self.clock()) {
            return Admittance::Refused(too_late());
        }
        self.try_acquire_owned().into()
    }

    fn refuses_all(&self) -> bool {
        self.shared.refuses()
    }

    fn refuse_unready(&self) -> Option<Rejected> {
        Some(self.shared.refuse_unasked())
    }

    /// It counts as a failed call.
    fn record_unready(&self) {
        if let Ok(permit) = self.try_acquire() {
            permit.failure();
        }
    }
}

impl Suspend for CircuitBreaker {
    type Ticket = Ticket;

    #[inline]
    fn suspend(permit: Permit<'_>) -> Ticket {
        permit.suspend()
    }

    #[inline]
    fn resume(&self, ticket: Ticket) -> Permit<'_> {
        Permit::new(&self.shared, ticket)
    }
}

impl Observed for CircuitBreaker {
    fn source(&self) -> Source {
        Source::of(&self.shared, |shared| shared.snapshot().readings())
    }
}
