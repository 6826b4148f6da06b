//! What users hold: the patterns put together in their one order, and the call through them.

use super::call::Call;
use super::parts::Parts;
use super::{PolicyConfig, PolicyError};
use crate::error::ConfigError;
use crate::gate::Outcome;
use crate::patterns::bulkhead::Bulkhead;
use crate::patterns::circuit_breaker::CircuitBreaker;
use crate::patterns::rate_limiter::TokenBucketRateLimiter;
use crate::patterns::retry::RetryExecutor;
use crate::snapshot::{Observed, Source};
use crate::sync::Random;
use crate::time::Clock;
use arc_swap::ArcSwap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// The patterns put together in their one order: total timeout, rate limit, bulkhead, retry with its budget, circuit
/// breaker, attempt timeout, the call.
///
/// Clones share one state: all calls of one dependency go through one policy. Each part is optional; a policy without
/// any runs a call as it is.
///
/// - The rate limit and the bulkhead count calls, retry repeats attempts, the breaker and the attempt timeout see each
///   attempt.
/// - A call has until its total timeout, or until the [`Deadline`](crate::time::Deadline) it inherits, whichever is first. Nothing is started
///   that could not end in time: no wait, no pause, no attempt.
/// - An attempt that is cut short by the end of the call counts as a failure for the breaker if it had at least half of
///   the call's time, and as abandoned if it had less.
/// - An open circuit is not retried.
///
/// ```
/// use c13_reliability::policy::{Policy, Profile};
/// # use c13_reliability::time::Executor;
///
/// let payments = Policy::new(Profile::Critical.config())?;
/// # Executor::new().block_on(async {
/// let answer = payments.call(|| async { Ok::<_, std::io::Error>(42) }).await;
/// assert_eq!(answer.ok(), Some(42));
/// # });
/// # Ok::<_, c13_reliability::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Policy {
    shared: Arc<Shared>,
}

/// The parts as they are now, and what new ones are made with.
struct Shared {
    parts: ArcSwap<Parts>,
    random: Random,
    /// Held while settings change, so that no two changes run into each other. No call takes it.
    changing: Mutex<()>,
}

impl Policy {
    /// A policy on the system clock.
    ///
    /// # Errors
    ///
    /// The first rule that the settings break.
    pub fn new(config: PolicyConfig) -> Result<Self, ConfigError> {
        Self::with_clock(config, Clock::system(), Random::from_entropy())
    }

    /// A policy on `clock`, whose jitter is drawn from `random`: for tests and drills.
    ///
    /// # Errors
    ///
    /// The first rule that the settings break.
    pub fn with_clock(config: PolicyConfig, clock: Clock, random: Random) -> Result<Self, ConfigError> {
        let parts = Parts::new(config, clock, &random)?;
        let shared = Shared {
            parts: ArcSwap::from_pointee(parts),
            random,
            changing: Mutex::new(()),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Goes by other settings from now on, and loses nothing: the breaker keeps its state and its windows, the limiter
    /// its tokens, the bulkhead its places and its queue, retry its counts, and its budget where the budget's settings
    /// are the same. A part that was not there starts anew, and one that is not there any more is forgotten.
    ///
    /// Every clone of the policy goes by them. A call under way keeps the time limits that it began with.
    ///
    /// # Errors
    ///
    /// The first rule that the settings break; nothing has changed then.
    pub fn reconfigure(&self, config: PolicyConfig) -> Result<(), ConfigError> {
        // What it guards is nothing; a thread that panicked with it has left nothing half done.
        let _changing = self.shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = self.shared.parts.load().with_settings(config, &self.shared.random)?;
        self.shared.parts.store(Arc::new(parts));
        Ok(())
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> PolicyConfig {
        self.shared.parts.load().config
    }

    /// The circuit breaker, if there is one: to read its state, or to force it open or closed.
    #[must_use]
    pub fn circuit_breaker(&self) -> Option<CircuitBreaker> {
        self.shared.parts.load().circuit_breaker.clone()
    }

    /// The rate limiter, if there is one.
    #[must_use]
    pub fn rate_limiter(&self) -> Option<TokenBucketRateLimiter> {
        self.shared.parts.load().rate_limit.clone()
    }

    /// The bulkhead, if there is one.
    #[must_use]
    pub fn bulkhead(&self) -> Option<Bulkhead> {
        self.shared.parts.load().bulkhead.clone()
    }

    /// Retry, if there is one: with its counts and its budget's. Another one takes its place when its settings change.
    #[must_use]
    pub fn retry(&self) -> Option<RetryExecutor> {
        self.shared.parts.load().retry.clone()
    }

    /// Makes a call through the policy: `operation` is run once an attempt. Every `Err` counts as a failure and is
    /// worth another try; see [`call_with`](Policy::call_with) to tell errors apart.
    ///
    /// # Errors
    ///
    /// A [`PolicyError`] that says which layer ended the call, and holds the caller's own error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempt that runs; places, permits and queue positions are given back, and the
    /// breaker takes the attempt for abandoned.
    pub async fn call<F, Fut, T, E>(&self, operation: F) -> Result<T, PolicyError<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.call_with(operation, |_| Outcome::FAILURE, |_| true).await
    }

    /// Like [`call`](Policy::call), with errors told apart: `classify` says what an error means for the breaker,
    /// `retryable` whether it is worth another try.
    ///
    /// # Errors
    ///
    /// A [`PolicyError`] that says which layer ended the call, and holds the caller's own error.
    ///
    /// # Cancel safety
    ///
    /// As for [`call`](Policy::call).
    pub async fn call_with<F, Fut, T, E, C, R>(
        &self,
        mut operation: F,
        classify: C,
        retryable: R,
    ) -> Result<T, PolicyError<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        C: Fn(&E) -> Outcome,
        R: Fn(&E) -> bool,
    {
        let parts = self.shared.parts.load();
        Call::begin(&parts)?.run(&mut operation, &classify, &retryable).await
    }
}

/// Its parts report under its name, each its own metrics; after a change of settings those of the parts that it has then.
impl Observed for Policy {
    fn source(&self) -> Source {
        let shared = Arc::downgrade(&self.shared);
        Source::new(move || Some(shared.upgrade()?.parts.load().readings()))
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("config", &self.config())
            .finish_non_exhaustive()
    }
}
