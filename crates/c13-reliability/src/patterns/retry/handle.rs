//! The handle of a retry executor: settings, clock, random numbers, budget and counts.

use super::counts::{self, Counts, RetryCount};
use super::execute::Execute;
use super::{
    Decision, GiveUp, RetryConfig, RetryError, RetryEvent, RetrySnapshot, RetryState, RetryStrategy, Verdict,
    retry_config,
};
use crate::budget::{CallCount, RetryBudget, is_due};
use crate::error::ConfigError;
use crate::gate::cut_short;
use crate::snapshot::{Observed, Source};
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::sync::{InlineCurrent, Random, Stripes};
use crate::time::{Clock, Deadline, Env, Tick};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Makes a call again while it fails, within bounds. Clones share settings, counts, budget and random numbers.
///
/// ```
/// use c13_reliability::patterns::retry::{RetryExecutor, RetryStrategy};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let retry = RetryExecutor::new(3, RetryStrategy::FixedDelay(Duration::from_millis(1)));
/// let mut answers = [Err("refused"), Err("refused"), Ok(42)].into_iter();
/// let result = retry
///     .execute(|| {
///         let answer = answers.next().unwrap_or(Err("no answer left"));
///         async move { answer }
///     })
///     .await;
/// assert_eq!(result, Ok(42));
/// assert_eq!(retry.snapshot().retries, 2);
/// # }
/// ```
#[derive(Clone)]
pub struct RetryExecutor {
    clock: Clock,
    common: Arc<Common>,
    counts: Counts,
    listener: Option<Arc<RetryListener>>,
}

/// What the clones of an executor share, so that all of them follow a change of settings.
struct Common {
    settings: InlineCurrent<Settings>,
    /// Whether [the settings are plain](Settings::is_plain): 1 or 0. It is apart from them because it is all that a call needs
    /// which succeeds at once.
    plain: AtomicU64,
    random: Random,
}

struct Settings {
    config: RetryConfig,
    budget: Option<RetryBudget>,
}

impl Settings {
    /// Whether a call has nothing to do before its first attempt: there is no total limit whose time would run, and no budget
    /// but one that reads the executor's own counts.
    fn is_plain(&self, counts: &Counts) -> bool {
        let reads_our_counts = |budget: &RetryBudget| budget.is_over(&counts.calls);
        self.config.total_limit.is_none() && self.budget.as_ref().is_none_or(reads_our_counts)
    }
}

impl Common {
    fn new(settings: Settings, counts: &Counts, random: Random) -> Arc<Self> {
        Arc::new(Self {
            plain: AtomicU64::new(settings.is_plain(counts).into()),
            settings: InlineCurrent::new(settings),
            random,
        })
    }
}

/// What is called for each retry.
pub(crate) type RetryListener = dyn Fn(&RetryEvent) + Send + Sync;

/// What an attempt's result means for its call.
pub(super) enum Judged<T, E> {
    Over(Result<T, RetryError<E>>),
    /// There is another attempt after this wait, unless time is over then; the result is that of the last attempt.
    Again(Duration, Result<T, E>),
}

impl RetryExecutor {
    /// An executor that makes up to `max_retries` retries after the first attempt (3 retries are 4 attempts), with the
    /// delays of `strategy`, on the system clock.
    ///
    /// Growing delays have full jitter, a fixed delay has none. All calls of the executor and its clones share a budget
    /// of retries: 20 % of the calls and 10 per second, over 10 s. [`with_config`](RetryExecutor::with_config) sets
    /// these otherwise.
    ///
    /// # Panics
    ///
    /// If the strategy makes no sense, such as a multiplier below 1. For strategies that are not known when writing, use
    /// [`try_new`](RetryExecutor::try_new).
    #[must_use]
    pub fn new(max_retries: u32, strategy: RetryStrategy) -> Self {
        match Self::try_new(max_retries, strategy) {
            Ok(executor) => executor,
            Err(error) => panic!("{error}"),
        }
    }

    /// The same as [`new`](RetryExecutor::new), for a strategy that is only known at run time.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub fn try_new(max_retries: u32, strategy: RetryStrategy) -> Result<Self, ConfigError> {
        Self::with_config(RetryConfig::new(max_retries, strategy), Clock::system())
    }

    /// An executor with these settings, by the clock of `env`. Jitter is drawn from its random numbers.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub fn with_config(config: RetryConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        Self::on(&Stripes::new(Self::WORDS), config, env.into())
    }

    /// How many words of a stripe the executor uses.
    pub(crate) const WORDS: usize = Counts::WORDS;

    /// As [`with_config`](Self::with_config), on stripes that others use too.
    pub(crate) fn on(stripes: &Stripes, config: RetryConfig, env: Env) -> Result<Self, ConfigError> {
        config.validate()?;
        let Env { clock, random, .. } = env;
        let counts = Counts::on(stripes);
        let budget = match config.budget {
            Some(budget) => Some(RetryBudget::over(budget, clock.clone(), counts.calls.clone())?),
            None => None,
        };
        Ok(Self::of_parts(Settings { config, budget }, clock, random, counts))
    }

    /// For settings that were checked.
    fn of_parts(settings: Settings, clock: Clock, random: Random, counts: Counts) -> Self {
        Self {
            clock,
            common: Common::new(settings, &counts, random),
            counts,
            listener: None,
        }
    }

    /// Changes the settings of this executor and of its clones. Counts and random numbers go on, and so does the budget where its
    /// settings are the same. A call under way decides its next retry by the new settings, within the total limit that it
    /// began with.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule; nothing has changed then.
    pub fn reconfigure(&self, config: RetryConfig) -> Result<(), ConfigError> {
        config.validate()?;
        self.common.settings.change(|before| {
            let budget = match (&before.budget, config.budget) {
                (Some(budget), Some(settings)) if budget.config() == settings => Some(budget.clone()),
                (_, Some(settings)) => {
                    let (clock, counts) = (self.clock.clone(), self.counts.calls.clone());
                    Some(RetryBudget::over(settings, clock, counts)?)
                }
                (_, None) => None,
            };
            let settings = Settings { config, budget };
            let plain = settings.is_plain(&self.counts).into();
            // Relaxed: the flag stands for nothing but itself. A call that still sees the old one begins when it first fails.
            self.common.plain.store(plain, Ordering::Relaxed);
            Ok(settings)
        })
    }

    /// Uses `budget` instead of one of its own, so that several executors and hedges share it. Clones made earlier keep
    /// theirs, and neither of the two follows a change of the other's settings any more.
    #[must_use]
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        let mut config = self.config();
        config.budget = Some(budget.config());
        let budget = Some(budget);
        let random = Random::new(self.common.random.next_u64());
        self.common = Common::new(Settings { config, budget }, &self.counts, random);
        self
    }

    /// Notifies `listener` of each retry that is decided, before its wait. It runs in the task that retries, under no lock, and
    /// must not block. It replaces the listener before; clones made earlier keep theirs.
    #[must_use]
    pub fn on_retry(mut self, listener: impl Fn(&RetryEvent) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// The same for a listener that others hold as well.
    pub(crate) fn heard_by(mut self, listener: Arc<RetryListener>) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Its settings. One that was taken out of a policy follows each change of the policy's settings.
    #[must_use]
    pub fn config(&self) -> RetryConfig {
        self.common.settings.load().config
    }

    /// Makes attempts until one succeeds or the bounds are reached. Every error is worth a retry.
    ///
    /// `attempt` makes the future of each attempt, so nothing has to be cloned.
    ///
    /// # Errors
    ///
    /// [`RetryError`] with the number of attempts and the last error, as the caller's own type. After the caller's deadline
    /// no attempt begins: neither the first nor one whose wait ended late.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempt under way or ends the wait, and no further attempt is made. Retries that
    /// were decided stay on the budget.
    pub fn execute<F, Fut, T, E>(&self, attempt: F) -> impl Future<Output = Result<T, RetryError<E>>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        Execute::new(self, attempt, Verdict::of)
    }

    /// Makes attempts until `classify` calls a result final or the bounds are reached.
    ///
    /// A value that is still worth a retry at the end is returned as it is.
    ///
    /// # Errors
    ///
    /// [`RetryError`] with the number of attempts and the last error;
    /// [`NotRetryable`](RetryError::NotRetryable) for an error that `classify` calls final.
    ///
    /// # Cancel safety
    ///
    /// As [`execute`](RetryExecutor::execute).
    pub fn execute_with<F, Fut, C, T, E>(
        &self,
        attempt: F,
        classify: C,
    ) -> impl Future<Output = Result<T, RetryError<E>>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        C: FnMut(&Result<T, E>) -> Verdict,
    {
        Execute::new(self, attempt, classify)
    }

    /// The same as [`execute_with`](RetryExecutor::execute_with) for code that is not a future: it blocks the thread, in the
    /// waits too. Never call it inside an async runtime.
    ///
    /// The waits use the clock of the executor; a virtual one has to be advanced by another thread.
    ///
    /// # Errors
    ///
    /// As [`execute_with`](RetryExecutor::execute_with).
    pub fn execute_blocking<F, C, T, E>(&self, mut attempt: F, mut classify: C) -> Result<T, RetryError<E>>
    where
        F: FnMut() -> Result<T, E>,
        C: FnMut(&Result<T, E>) -> Verdict,
    {
        if Deadline::is_over(&self.clock) {
            return self.refuse_late();
        }
        let mut state = self.begin();
        loop {
            let result = attempt();
            let verdict = classify(&result);
            match self.judge(&mut state, result, verdict) {
                Judged::Over(result) => return result,
                Judged::Again(wait, last) => {
                    self.clock.sleep(wait).block();
                    if !wait.is_zero() && self.is_over(&state) {
                        return self.give_up(&state, Some(last));
                    }
                }
            }
        }
    }

    /// Begins a call that a loop of your own drives: counts it for the budget and returns its state.
    ///
    /// Ask [`after_failure`](RetryExecutor::after_failure) after each failed attempt, and say at the end how it went
    /// with [`finish`](RetryExecutor::finish).
    #[inline]
    #[must_use]
    pub fn begin(&self) -> RetryState {
        let settings = self.common.settings.load();
        if let Some(budget) = &settings.budget {
            budget.deposit();
        }
        let mut state = RetryState::new();
        if let Some(limit) = settings.config.total_limit {
            state.stop_at(self.limit(limit));
        }
        state
    }

    #[inline(never)]
    fn limit(&self, limit: Duration) -> Tick {
        self.clock.now() + limit
    }

    /// [Begins](RetryExecutor::begin) a call, unless that can wait until its first attempt fails because the executor
    /// [is plain](RetryExecutor::is_plain).
    ///
    /// Such a call either ends [at once](RetryExecutor::at_once), or it [begins late](RetryExecutor::begin_late), before
    /// anything else is said of it.
    #[inline]
    pub(crate) fn begin_unless_plain(&self) -> Option<RetryState> {
        (!self.is_plain()).then(|| self.begin_late())
    }

    /// Whether it is plain: it has no limit in total, and no budget but one that reads its own counts. Then a call need
    /// not [begin](RetryExecutor::begin) before its first attempt; see
    /// [`begin_unless_plain`](RetryExecutor::begin_unless_plain).
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        // Relaxed: the flag stands for nothing but itself.
        self.common.plain.load(Ordering::Relaxed) != 0
    }

    /// Counts a call whose first attempt succeeded at its first poll: its end, and its deposit too unless it `has_begun`.
    #[inline]
    pub(crate) fn at_once(&self, has_begun: bool) {
        if has_begun {
            self.counts.ends.add_one(RetryCount::FirstTry);
            return;
        }
        let (_, value) = self.counts.calls.add_and_read(CallCount::AtOnce, 1);
        if is_due(value) {
            self.settle();
        }
    }

    #[cold]
    fn settle(&self) {
        if let Some(budget) = &self.common.settings.load().budget {
            budget.settle();
        }
    }

    /// [Begins](RetryExecutor::begin) a call, out of the way of calls that need not.
    #[cold]
    #[inline(never)]
    pub(super) fn begin_late(&self) -> RetryState {
        self.begin()
    }

    /// Decides what to do after a failed attempt that is worth a retry; `hint` is how long the failure itself says to
    /// wait.
    ///
    /// Honours the deadline of the future that is being polled, and asks the budget.
    pub fn after_failure(&self, state: &mut RetryState, hint: Option<Duration>) -> Decision {
        if let Some(deadline) = Deadline::current(&self.clock) {
            state.stop_at(deadline.tick());
        }
        let now = if state.has_limit() {
            self.clock.now()
        } else {
            Tick::ZERO
        };
        let settings = self.common.settings.load();
        let grant = || settings.budget.as_ref().is_none_or(RetryBudget::try_withdraw);
        let decision = state.after_failure(&settings.config, now, hint, self.common.random.unit(), grant);
        if let Decision::Wait(delay) = decision {
            self.counts.ends.add_one(RetryCount::Retry);
            if let Some(listener) = &self.listener {
                listener(&RetryEvent {
                    // It was counted by the decision.
                    retry: state.retries() - 1,
                    delay,
                });
            }
        }
        decision
    }

    /// Counts how a call ended: `None` if it succeeded, else why it gave up. A call that is dropped before its end is counted
    /// with [`abandon`](RetryExecutor::abandon).
    #[inline]
    pub fn finish(&self, state: &RetryState, gave_up: Option<GiveUp>) {
        let count = match gave_up {
            None if state.retries() == 0 => RetryCount::FirstTry,
            None => RetryCount::Success,
            Some(reason) => reason.into(),
        };
        self.counts.ends.add_one(count);
    }

    /// Counts a call that was dropped, or panicked, before its end.
    #[cold]
    pub fn abandon(&self) {
        self.counts.ends.add_one(RetryCount::Abandoned);
    }

    /// Counts a call that was dropped, or panicked, before its end, and perhaps before it began.
    #[cold]
    pub(crate) fn leave(&self, has_begun: bool) {
        if !has_begun {
            let _state = self.begin();
        }
        self.abandon();
    }

    /// How many handles to it there are.
    pub(crate) fn handles(&self) -> usize {
        Arc::strong_count(&self.common)
    }

    /// Its cumulative counts.
    #[must_use]
    pub fn snapshot(&self) -> RetrySnapshot {
        counts::read(&self.counts, self.common.settings.load().budget.as_ref())
    }

    /// Refuses a call because the caller's deadline has passed; no attempt begins.
    #[inline]
    pub(super) fn refuse_late<T, E>(&self) -> Result<T, RetryError<E>> {
        self.count_late();
        Err(RetryError::DeadlinePassed { attempts: 0 })
    }

    #[cold]
    #[inline(never)]
    fn count_late(&self) {
        cut_short::report();
        self.counts.ends.add_one(RetryCount::DeadlineExceeded);
    }

    /// Whether no attempt may begin any more: a wait may end later than it should.
    pub(super) fn is_over(&self, state: &RetryState) -> bool {
        state.has_limit() && !state.may_begin_at(self.clock.now())
    }

    /// Ends a call for which it is too late to make the retry that was decided last: `last` is the result of the attempt before, if it
    /// is still there.
    #[cold]
    pub(super) fn give_up<T, E>(&self, state: &RetryState, last: Option<Result<T, E>>) -> Result<T, RetryError<E>> {
        self.finish(state, Some(GiveUp::Deadline));
        // The retry that was decided is not made.
        let attempts = state.retries();
        match last {
            Some(last) => last.map_err(|error| RetryError::new(GiveUp::Deadline, attempts, error)),
            None => Err(RetryError::DeadlinePassed { attempts }),
        }
    }

    /// Whether a call is over after an attempt gave `result`, and with what.
    pub(super) fn judge<T, E>(&self, state: &mut RetryState, result: Result<T, E>, verdict: Verdict) -> Judged<T, E> {
        let gave_up = match (verdict, &result) {
            (Verdict::Final, Ok(_)) => None,
            (Verdict::Final, Err(_)) => Some(GiveUp::NotRetryable),
            (verdict, _) => match self.after_failure(state, verdict.hint()) {
                Decision::Wait(wait) => return Judged::Again(wait, result),
                Decision::GiveUp(reason) => Some(reason),
            },
        };
        Judged::Over(self.end(state, result, gave_up))
    }

    /// Ends a call with the result of its last attempt: `None` if that is what it should be, else why there is no other attempt.
    pub(super) fn end<T, E>(
        &self,
        state: &RetryState,
        result: Result<T, E>,
        gave_up: Option<GiveUp>,
    ) -> Result<T, RetryError<E>> {
        self.finish(state, gave_up);
        let reason = gave_up.unwrap_or(GiveUp::NotRetryable);
        result.map_err(|error| RetryError::new(reason, state.attempts(), error))
    }

    /// The budget of its retries, so that it can be shared.
    pub(crate) fn shared_budget(&self) -> Option<RetryBudget> {
        self.common.settings.load().budget.clone()
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }
}

impl Observed for RetryExecutor {
    fn source(&self) -> Source {
        // The counts may lie on stripes of a policy, which outlive the executor.
        let (common, counts) = (Arc::downgrade(&self.common), self.counts.downgrade());
        Source::new(move || {
            let (common, counts) = (common.upgrade()?, counts()?);
            let settings = common.settings.load();
            Some(counts::read(&counts, settings.budget.as_ref()).readings())
        })
    }
}

impl fmt::Debug for RetryExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryExecutor")
            .field("config", &self.config())
            .field("snapshot", &self.snapshot())
            .finish_non_exhaustive()
    }
}

/// Makes up to `max_retries` retries after the first attempt (3 retries are 4 attempts), with the delays of
/// [`retry_config`]: from 100 ms by 2 up to 10 s, with full jitter.
///
/// For a single call. Calls that repeat share a budget through a [`RetryExecutor`]; this has none, and nothing but
/// `max_retries` bounds it.
///
/// # Errors
///
/// [`RetryError`] with the number of attempts and the last error.
///
/// # Cancel safety
///
/// As [`RetryExecutor::execute`].
pub async fn retry_with_exponential_backoff<F, Fut, T, E>(attempt: F, max_retries: u32) -> Result<T, RetryError<E>>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let config = RetryConfig::new(max_retries, retry_config::STRATEGY).without_budget();
    // The strategy was checked while compiling.
    let Env { clock, random, .. } = Env::default();
    let counts = Counts::on(&Stripes::compact(Counts::WORDS));
    let settings = Settings { config, budget: None };
    let executor = RetryExecutor::of_parts(settings, clock, random, counts);
    executor.execute(attempt).await
}
