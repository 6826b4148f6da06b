//! What users hold: the patterns put together in their one order, and the call through them.

use super::call::Call;
use super::{PolicyConfig, PolicyError};
use crate::error::ConfigError;
use crate::gate::Outcome;
use crate::patterns::bulkhead::Bulkhead;
use crate::patterns::circuit_breaker::CircuitBreaker;
use crate::patterns::rate_limiter::TokenBucketRateLimiter;
use crate::patterns::retry::RetryExecutor;
use crate::sync::Random;
use crate::time::Clock;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

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

/// The parts of a policy, and the clock they share.
pub(super) struct Shared {
    pub(super) config: PolicyConfig,
    pub(super) clock: Clock,
    pub(super) rate_limit: Option<TokenBucketRateLimiter>,
    pub(super) bulkhead: Option<Bulkhead>,
    pub(super) retry: Option<RetryExecutor>,
    pub(super) circuit_breaker: Option<CircuitBreaker>,
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
        config.validate()?;
        let rate_limit = match config.rate_limit {
            Some(config) => Some(TokenBucketRateLimiter::with_config(config, clock.clone())?),
            None => None,
        };
        let bulkhead = match config.bulkhead {
            Some(config) => Some(Bulkhead::with_config(config, clock.clone())?),
            None => None,
        };
        let retry = match config.retry {
            Some(config) => Some(RetryExecutor::with_config(config, clock.clone())?.seed(random.next_u64())),
            None => None,
        };
        let circuit_breaker = match config.circuit_breaker {
            Some(mut breaker) => {
                // A probe may take as long as an attempt; it is not overdue before.
                if let Some(attempt) = config.attempt_timeout {
                    breaker.half_open_timeout = breaker.half_open_timeout.max(attempt);
                }
                let jitter = Random::new(random.next_u64());
                Some(CircuitBreaker::with_random(breaker, clock.clone(), jitter)?)
            }
            None => None,
        };
        let shared = Shared {
            config,
            clock,
            rate_limit,
            bulkhead,
            retry,
            circuit_breaker,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &PolicyConfig {
        &self.shared.config
    }

    /// The circuit breaker, if there is one: to read its state, or to force it open or closed.
    #[must_use]
    pub fn circuit_breaker(&self) -> Option<&CircuitBreaker> {
        self.shared.circuit_breaker.as_ref()
    }

    /// The rate limiter, if there is one.
    #[must_use]
    pub fn rate_limiter(&self) -> Option<&TokenBucketRateLimiter> {
        self.shared.rate_limit.as_ref()
    }

    /// The bulkhead, if there is one.
    #[must_use]
    pub fn bulkhead(&self) -> Option<&Bulkhead> {
        self.shared.bulkhead.as_ref()
    }

    /// Retry, if there is one: with its counts and its budget's.
    #[must_use]
    pub fn retry(&self) -> Option<&RetryExecutor> {
        self.shared.retry.as_ref()
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
        Call::begin(&self.shared)?
            .run(&mut operation, &classify, &retryable)
            .await
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}
