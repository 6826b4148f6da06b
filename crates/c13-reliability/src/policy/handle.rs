//! The policy: all patterns in their one order, and the calls through them.

use super::call::{CallPermit, Given, Once, call, call_keeping, call_once, call_sync, once};
use super::parts::{LoadedParts, Making, Parts};
use super::typed::TypedPolicy;
use super::{ClassifiedPolicy, PolicyConfig, PolicyError};
use crate::error::{ConfigError, Rejected};
use crate::gate::{ByResult, Gate, Outcome};
use crate::patterns::adaptive::AdaptiveLimit;
use crate::patterns::bulkhead::Bulkhead;
use crate::patterns::circuit_breaker::CircuitBreaker;
use crate::patterns::hedge::Hedge;
use crate::patterns::rate_limiter::TokenBucketRateLimiter;
use crate::patterns::retry::{RetryEvent, RetryExecutor, Verdict};
use crate::snapshot::{Observed, Reading, Source};
use crate::sync::InlineCurrent;
use crate::time::{Clock, Deadline, Env};
use crate::verdict::Retryable;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::ptr;
use std::sync::Arc;

/// All patterns in their one order: total timeout, rate limit, bulkhead or adaptive limit, retry with its budget, hedge,
/// circuit breaker, attempt timeout, the call. A fallback and a cache go around them, for calls of one kind: see
/// [`typed`](Self::typed).
///
/// Clones share one state, so that all calls to one dependency go through one policy. Each part is optional; a policy without
/// parts runs a call as it is.
///
/// - The rate limit and the bulkhead count calls, retry repeats attempts, and the breaker and the attempt timeout see each
///   attempt. A rate limit can be set to count attempts instead.
/// - A call has until its total timeout, or until the [`Deadline`] it inherits, whichever is first. Nothing is started
///   that could not end in time: no wait, no pause, no attempt. A call whose token would come too late is refused at once
///   by the rate limit, which says when to try again.
/// - An attempt that is cut short by the end of the call, its total timeout or an inherited deadline, counts as a failure only
///   if it had a fair share of the policy's own limit: half of the attempt timeout, or, where there is none, of the total
///   timeout. Otherwise it counts as abandoned, as it does in a policy without either: callers with short deadlines say
///   nothing about the dependency. An error at or after an inherited deadline counts likewise. The adaptive limit judges by
///   the time that a call held its permit.
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
    shared: Arc<PolicyState>,
}

/// What all clones of a policy share: the parts as they are now, and what is needed to make parts for new settings.
struct PolicyState {
    parts: InlineCurrent<Parts>,
    making: Making,
}

impl Policy {
    /// A policy on the system clock.
    ///
    /// # Errors
    ///
    /// The first rule that the settings break.
    pub fn new(config: PolicyConfig) -> Result<Self, ConfigError> {
        Self::with_config(config, Env::default())
    }

    /// A policy by the clock of `env`, whose errors, events and circuit breaker have its name. Jitter is drawn from its random numbers.
    /// Policies of a registry have the names of the files.
    ///
    /// # Errors
    ///
    /// The first rule that the settings break.
    pub fn with_config(config: PolicyConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        let Env { clock, random, name } = env.into();
        let making = Making { random };
        let parts = Parts::new(config, clock, name.as_deref(), &making)?;
        let shared = PolicyState {
            parts: InlineCurrent::new(parts),
            making,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Whether there is another handle to it, or to one of its parts.
    pub(super) fn is_shared(&self) -> bool {
        let parts = &self.shared.parts;
        let (now, first) = (parts.load(), parts.first());
        let before = (!ptr::eq(&*now, first)).then_some(first);
        Arc::strong_count(&self.shared) > 1 || now.are_shared(before)
    }

    /// What its parts report.
    pub(super) fn readings(&self) -> Vec<Reading> {
        self.shared.parts.load().readings()
    }

    /// Changes the settings, and keeps all state: the breaker keeps its state and its windows, the limiter its tokens, the
    /// bulkhead its permits and its queue, and so does the adaptive limit, with what it has learned. The hedge keeps the
    /// latencies it has measured. Retry and hedge keep their counts, and their budgets where the budget's settings are the
    /// same. A part that the new settings lack is kept, unused, and comes back when the settings have it again: a handle to a
    /// part, such as a breaker for a health check, always belongs to the part that calls go through. The breaker is closed
    /// when it leaves. What was set by hand on a part, such as a bulkhead's size, stays until the part's own settings change.
    ///
    /// The change holds for every clone of the policy, and for calls that are made through a handle to a part. A call under way
    /// keeps the time limits that it began with, and decides its next retry by the new settings.
    ///
    /// # Errors
    ///
    /// The first rule that the settings break; nothing has changed then.
    pub fn reconfigure(&self, config: PolicyConfig) -> Result<(), ConfigError> {
        let making = &self.shared.making;
        self.shared.parts.change(|parts| {
            // Made now if it was not, so that calls on the parts of before and after count in one place.
            parts.telemetry();
            parts.with_settings(config, making)
        })
    }

    /// Adds a rate limit, which is asked once for each call, after the policy's own: one that other policies use too, or one
    /// that a fleet shares, such as `SharedRateLimiter`. It replaces the one that was added before, and stays when settings
    /// change.
    ///
    /// Its permits must mean only that a call was counted, as those of all rate limiters do.
    pub fn limit_by<G>(&self, gate: G)
    where
        G: Gate + 'static,
        G::Rejection: Into<Rejected>,
    {
        self.change(|parts| parts.with_extra_limit(Arc::new(gate)));
    }

    /// Notifies `listener` of each retry that is decided, before its pause, as [`RetryExecutor::on_retry`] does. It runs in the
    /// task that retries, under no lock, and must not block. It replaces the listener that was set before, and stays when
    /// settings change, even if they have no retry for a while. Calls under way keep the one that they began with.
    pub fn on_retry(&self, listener: impl Fn(&RetryEvent) + Send + Sync + 'static) {
        self.change(|parts| parts.with_retry_listener(Arc::new(listener)));
    }

    fn change(&self, change: impl FnOnce(&Parts) -> Parts) {
        let Ok(()) = self.shared.parts.change(|parts| Ok::<_, Infallible>(change(parts)));
    }

    /// Its name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<Arc<str>> {
        self.shared.parts.load().name.clone()
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

    /// The adaptive limit, if there is one.
    #[must_use]
    pub fn adaptive(&self) -> Option<AdaptiveLimit> {
        self.shared.parts.load().adaptive.clone()
    }

    /// Retry, if there is one: with its counts and those of its budget.
    #[must_use]
    pub fn retry(&self) -> Option<RetryExecutor> {
        self.shared.parts.load().retry.clone()
    }

    /// The hedge, if there is one.
    #[must_use]
    pub fn hedge(&self) -> Option<Hedge> {
        self.shared.parts.load().hedge.clone()
    }

    /// The clock of all its parts.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared.parts.load().clock.clone()
    }

    /// Makes a call through the policy: `operation` is run once for each attempt. Every `Err` counts as a failure and is
    /// worth another attempt; see [`call_classified`](Self::call_classified) to tell errors apart.
    ///
    /// # Errors
    ///
    /// A [`PolicyError`] that says which layer ended the call, and holds the caller's own error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempt that runs. Permits and queue positions are given back, and the breaker counts
    /// the attempt as abandoned.
    pub fn call<F, Fut, T, E>(&self, operation: F) -> impl Future<Output = Result<T, PolicyError<E>>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        call(self, CallOptions::new(), ByResult, operation)
    }

    /// Like [`call`](Self::call), with a deadline of its own: the call ends by that, or by any earlier limit that it has.
    ///
    /// ```
    /// use c13_reliability::policy::{CallOptions, Policy, PolicyConfig};
    /// use c13_reliability::time::{Clock, Deadline};
    /// use std::time::Duration;
    /// # use c13_reliability::time::Executor;
    ///
    /// # let executor = Executor::new();
    /// # let clock = executor.clock();
    /// let policy = Policy::with_config(PolicyConfig::NONE, clock.clone())?;
    /// let soon = CallOptions::new().deadline(Deadline::after(&clock, Duration::from_millis(20)));
    /// # executor.block_on(async {
    /// let late = policy.call_with(soon, || async {
    ///     clock.sleep(Duration::from_secs(1)).await;
    ///     Ok::<_, std::io::Error>(())
    /// });
    /// assert!(late.await.is_err_and(|error| error.is_timeout()));
    /// # });
    /// # Ok::<_, c13_reliability::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// As for [`call`](Self::call).
    pub fn call_with<F, Fut, T, E>(
        &self,
        options: CallOptions,
        operation: F,
    ) -> impl Future<Output = Result<T, PolicyError<E>>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        call(self, options, ByResult, operation)
    }

    /// Like [`call`](Self::call), for results that differ: `classify` says what a result means to the breaker, `verdict`
    /// whether it is worth another attempt, and when.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// As for [`call`](Self::call).
    pub fn call_classified<F, Fut, T, E, C, V>(
        &self,
        operation: F,
        classify: C,
        verdict: V,
    ) -> impl Future<Output = Result<T, PolicyError<E>>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        C: Fn(&Result<T, E>) -> Outcome,
        V: Fn(&Result<T, E>) -> Verdict,
    {
        call(self, CallOptions::new(), Given { classify, verdict }, operation)
    }

    /// Makes a call that cannot be made twice, such as a request whose body is a stream: through all layers but retry and
    /// hedge. `classify` says what its result means to the breaker.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call). A call that was refused is dropped without having been polled.
    ///
    /// # Cancel safety
    ///
    /// As for [`call`](Self::call).
    pub fn call_once<Fut, T, E, C>(&self, future: Fut, classify: C) -> impl Future<Output = Result<T, PolicyError<E>>>
    where
        Fut: Future<Output = Result<T, E>>,
        C: Fn(&Result<T, E>) -> Outcome,
    {
        let verdict = Verdict::of::<T, E>;
        call_once(self, Given { classify, verdict }, future)
    }

    /// Like [`call_classified`](Self::call_classified), for a call whose value is used up later, such as a response whose body
    /// is still to come. With the value comes a [`CallPermit`]: record the outcome with it when the value is used up, and the
    /// circuit breaker counts that, and the bulkhead or the adaptive limit gets its permit back. Time limits and retry end with
    /// the value.
    ///
    /// ```
    /// use c13_reliability::gate::{Outcome, Permit};
    /// use c13_reliability::patterns::bulkhead::BulkheadConfig;
    /// use c13_reliability::patterns::retry::Verdict;
    /// use c13_reliability::policy::{Policy, PolicyConfig};
    /// # use c13_reliability::time::Executor;
    ///
    /// let policy = Policy::new(PolicyConfig::NONE.bulkhead(BulkheadConfig::new(1)))?;
    /// let bulkhead = policy.bulkhead().expect("the settings have one");
    /// # Executor::new().block_on(async {
    /// let open = || async { Ok::<_, std::io::Error>(["one line", "and another"].into_iter()) };
    /// let (lines, permit) = policy.call_held(open, Outcome::of, Verdict::of).await.expect("the file is there");
    /// assert_eq!(bulkhead.in_flight(), 1);
    /// assert_eq!(lines.count(), 2);
    /// permit.record(Outcome::Success);
    /// assert_eq!(bulkhead.in_flight(), 0);
    /// # });
    /// # Ok::<_, c13_reliability::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// As for [`call`](Self::call).
    pub fn call_held<F, Fut, T, E, C, V>(
        &self,
        operation: F,
        classify: C,
        verdict: V,
    ) -> impl Future<Output = Result<(T, CallPermit), PolicyError<E>>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        C: Fn(&Result<T, E>) -> Outcome,
        V: Fn(&Result<T, E>) -> Verdict,
    {
        call_keeping(self, CallOptions::new(), Given { classify, verdict }, operation)
    }

    /// Like [`call_held`](Self::call_held), for a call that cannot be made twice: through all layers but retry and hedge.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call). A call that was refused is dropped without having been polled.
    ///
    /// # Cancel safety
    ///
    /// As for [`call`](Self::call).
    pub fn call_once_held<Fut, T, E, C>(
        &self,
        future: Fut,
        classify: C,
    ) -> impl Future<Output = Result<(T, CallPermit), PolicyError<E>>>
    where
        Fut: Future<Output = Result<T, E>>,
        C: Fn(&Result<T, E>) -> Outcome,
    {
        let verdict = Verdict::of::<T, E>;
        let rules = Once(Given { classify, verdict });
        call_keeping(self, CallOptions::new(), rules, once(future))
    }

    /// Makes a call that is a plain function, through the gates alone: rate limit, bulkhead and circuit breaker. It is made at
    /// once or refused, and only once. Time limits cannot cut it short, but a deadline that has passed refuses it.
    ///
    /// ```
    /// use c13_reliability::patterns::bulkhead::BulkheadConfig;
    /// use c13_reliability::policy::{Policy, PolicyConfig};
    ///
    /// let disk = Policy::new(PolicyConfig::NONE.bulkhead(BulkheadConfig::new(4)))?;
    /// let text = disk.call_sync(|| std::fs::read_to_string("Cargo.toml"));
    /// assert!(text.is_ok());
    /// # Ok::<_, c13_reliability::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A [`PolicyError`] that says which layer refused, or holds the caller's own error.
    pub fn call_sync<F, T, E>(&self, operation: F) -> Result<T, PolicyError<E>>
    where
        F: FnOnce() -> Result<T, E>,
    {
        call_sync(&self.parts(), operation, &ByResult)
    }

    /// The policy for calls of one kind: with predicates, a fallback and a cache of their types.
    #[must_use]
    pub fn typed<T, E>(&self) -> TypedPolicy<T, E> {
        TypedPolicy::new(self.clone())
    }

    /// The policy for calls that fail with an error which knows what it means, such as those of sqlx, tonic and redis: one view
    /// for calls of all result types.
    #[must_use]
    pub fn classify_errors<E: Retryable>(&self) -> ClassifiedPolicy<E> {
        ClassifiedPolicy::new(self.clone())
    }

    /// Whether it may make a call more than once.
    #[cfg(any(feature = "reqwest", feature = "tower"))]
    pub(super) fn repeats(&self) -> bool {
        let parts = self.parts();
        parts.retry.is_some() || parts.hedge.is_some()
    }

    #[inline]
    pub(super) fn parts(&self) -> LoadedParts<'_> {
        self.shared.parts.load()
    }
}

/// Options of one call, besides the settings of the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallOptions {
    /// When the call must end, at the latest.
    pub deadline: Option<Deadline>,
}

impl CallOptions {
    /// No options.
    #[must_use]
    pub const fn new() -> Self {
        Self { deadline: None }
    }

    /// Sets when the call must end. A deadline of another clock than the policy's is ignored.
    #[must_use]
    pub const fn deadline(mut self, deadline: Deadline) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

/// The policy and each part report their metrics under the policy's name; after a change of settings, the parts that there are
/// then.
impl Observed for Policy {
    fn source(&self) -> Source {
        Source::of(&self.shared, |shared| shared.parts.load().readings())
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("config", &self.config())
            .finish_non_exhaustive()
    }
}
