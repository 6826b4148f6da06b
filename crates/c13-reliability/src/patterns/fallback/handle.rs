//! The handle of a fallback: what it returns for a failed call, and its counts.

use super::snapshot::FallbackCount;
use super::{FallbackError, FallbackSnapshot};
use crate::snapshot::{Observed, Source};
use crate::sync::Tally;
use crate::sync::primitive::Mutex;
use crate::time::{Clock, Env, Tick};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// What to answer when a call fails. Clones share the last good value and the counts.
///
/// See the [module](super) for what comes first.
pub struct Fallback<T, E> {
    shared: Arc<SharedFallback<T, E>>,
}

struct SharedFallback<T, E> {
    clock: Clock,
    handles: Option<Handles<E>>,
    last_good: Option<LastGood<T>>,
    otherwise: Otherwise<T, E>,
    counts: Tally<FallbackCount>,
}

type Handles<E> = Arc<dyn Fn(&E) -> bool + Send + Sync>;
type Function<T, E> = Arc<dyn Fn(&E) -> Result<T, E> + Send + Sync>;

/// The last good value, and how it is cloned: only a fallback with a last good value needs values that are `Clone`.
struct LastGood<T> {
    max_age: Duration,
    value: Mutex<Option<(Arc<T>, Tick)>>,
    clone: fn(&T) -> T,
}

enum Otherwise<T, E> {
    Nothing,
    Value(Arc<T>, fn(&T) -> T),
    Function(Function<T, E>),
}

impl<T, E> Fallback<T, E> {
    /// Answers with a clone of `value`.
    #[must_use]
    pub fn value(value: T) -> Self
    where
        T: Clone,
    {
        Self::nothing().or_value(value)
    }

    /// Answers with what `function` makes of the error; it must not block.
    #[must_use]
    pub fn function(function: impl Fn(&E) -> Result<T, E> + Send + Sync + 'static) -> Self {
        Self::nothing().or_function(function)
    }

    /// Answers with the last good value, if it is not older than `max_age`; [`Duration::MAX`] is no limit. Every good value is
    /// cloned for it.
    #[must_use]
    pub fn last_good(max_age: Duration) -> Self
    where
        T: Clone,
    {
        Self::nothing().change(|shared| {
            shared.last_good = Some(LastGood {
                max_age,
                value: Mutex::new(None),
                clone: T::clone,
            });
        })
    }

    /// Has nothing to fall back on by itself; for [`call_or_else`](Fallback::call_or_else), which brings it along.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            shared: Arc::new(SharedFallback {
                clock: Clock::system(),
                handles: None,
                last_good: None,
                otherwise: Otherwise::Nothing,
                counts: Tally::new(),
            }),
        }
    }

    /// Measures the age of the last good value by the clock of `env`. Default: the system's.
    ///
    /// A setter: settings and counts that clones have of their own by now are not taken over.
    #[must_use]
    pub fn with_env(self, env: impl Into<Env>) -> Self {
        self.change(|shared| shared.clock = env.into().clock)
    }

    /// Answers with a clone of `value` where there is no last good value.
    ///
    /// A setter: settings and counts that clones have of their own by now are not taken over.
    #[must_use]
    pub fn or_value(self, value: T) -> Self
    where
        T: Clone,
    {
        self.change(|shared| shared.otherwise = Otherwise::Value(Arc::new(value), T::clone))
    }

    /// Answers with what `function` makes of the error where there is no last good value; it must not block.
    ///
    /// A setter: settings and counts that clones have of their own by now are not taken over.
    #[must_use]
    pub fn or_function(self, function: impl Fn(&E) -> Result<T, E> + Send + Sync + 'static) -> Self {
        self.change(|shared| shared.otherwise = Otherwise::Function(Arc::new(function)))
    }

    /// Falls back on these errors only; others are returned as they are. Default: on all.
    ///
    /// A setter: settings and counts that clones have of their own by now are not taken over.
    #[must_use]
    pub fn handles(self, handles: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.change(|shared| shared.handles = Some(Arc::new(handles)))
    }

    /// Runs `future`, and answers for it if it fails.
    ///
    /// # Errors
    ///
    /// [`CallFailed`](FallbackError::CallFailed) with the future's own error, if there is nothing to fall back on for it;
    /// [`FallbackFailed`](FallbackError::FallbackFailed) if the function fails as well.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside; nothing is counted or kept.
    pub async fn call<F>(&self, future: F) -> Result<T, FallbackError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let result = future.await;
        self.answer(result)
    }

    /// Answers for a call that gave `result`.
    pub(crate) fn answer(&self, result: Result<T, E>) -> Result<T, FallbackError<E>> {
        self.shared.answer(result)
    }

    /// Runs `future`, and if it fails with an error that is handled and there is no last good value either, the future
    /// that `otherwise` makes of its error.
    ///
    /// # Errors
    ///
    /// [`CallFailed`](FallbackError::CallFailed) with the future's own error, if it is not handled;
    /// [`FallbackFailed`](FallbackError::FallbackFailed) if the second future fails as well.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future that runs; nothing is counted or kept.
    pub async fn call_or_else<F, G, O>(&self, future: F, otherwise: O) -> Result<T, FallbackError<E>>
    where
        F: Future<Output = Result<T, E>>,
        G: Future<Output = Result<T, E>>,
        O: FnOnce(&E) -> G,
    {
        let cause = match future.await {
            Err(cause) if self.shared.is_handled(&cause) => cause,
            result => return self.shared.answer(result),
        };
        if let Some(value) = self.shared.take_last_good() {
            return Ok(value);
        }
        let second = otherwise(&cause).await;
        self.shared.second(second, cause)
    }

    /// Its cumulative counts.
    #[must_use]
    pub fn snapshot(&self) -> FallbackSnapshot {
        FallbackSnapshot::counted(&self.shared.counts)
    }

    fn change(self, set: impl FnOnce(&mut SharedFallback<T, E>)) -> Self {
        let mut shared = match Arc::try_unwrap(self.shared) {
            Ok(shared) => shared,
            Err(shared) => shared.fresh(),
        };
        set(&mut shared);
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl<T, E> SharedFallback<T, E> {
    /// The same settings, with nothing kept and nothing counted.
    fn fresh(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            handles: self.handles.clone(),
            last_good: self.last_good.as_ref().map(|last| LastGood {
                max_age: last.max_age,
                value: Mutex::new(None),
                clone: last.clone,
            }),
            otherwise: match &self.otherwise {
                Otherwise::Nothing => Otherwise::Nothing,
                Otherwise::Value(value, clone) => Otherwise::Value(value.clone(), *clone),
                Otherwise::Function(function) => Otherwise::Function(function.clone()),
            },
            counts: Tally::new(),
        }
    }

    fn is_handled(&self, error: &E) -> bool {
        self.handles.as_ref().is_none_or(|handles| handles(error))
    }

    fn answer(&self, result: Result<T, E>) -> Result<T, FallbackError<E>> {
        match result {
            Ok(value) => {
                self.counts.add_one(FallbackCount::Success);
                self.keep(&value);
                Ok(value)
            }
            Err(error) if self.is_handled(&error) => self.answer_for(error),
            Err(error) => Err(self.failed(error)),
        }
    }

    #[cold]
    fn answer_for(&self, cause: E) -> Result<T, FallbackError<E>> {
        if let Some(value) = self.take_last_good() {
            return Ok(value);
        }
        match &self.otherwise {
            Otherwise::Nothing => Err(self.failed(cause)),
            Otherwise::Value(value, clone) => {
                self.counts.add_one(FallbackCount::Value);
                Ok(clone(value))
            }
            Otherwise::Function(function) => {
                let second = function(&cause);
                self.second(second, cause)
            }
        }
    }

    /// What a function or a future made of `cause`.
    fn second(&self, second: Result<T, E>, cause: E) -> Result<T, FallbackError<E>> {
        let count = if second.is_ok() {
            FallbackCount::Function
        } else {
            FallbackCount::FallbackFailure
        };
        self.counts.add_one(count);
        second.map_err(|error| FallbackError::FallbackFailed { error, cause })
    }

    fn failed(&self, error: E) -> FallbackError<E> {
        self.counts.add_one(FallbackCount::CallFailure);
        FallbackError::CallFailed(error)
    }

    /// Keeps a good value, if that was asked for.
    fn keep(&self, value: &T) {
        if let Some(last) = &self.last_good {
            // Cloned before the lock and dropped after it: both may run the caller's code.
            let kept = (Arc::new((last.clone)(value)), self.clock.now());
            let before = last.value.lock().replace(kept);
            drop(before);
        }
    }

    fn take_last_good(&self) -> Option<T> {
        let last = self.last_good.as_ref()?;
        let kept = last.value.lock().clone();
        let (value, since) = kept?;
        if self.clock.now() - since > last.max_age {
            return None;
        }
        self.counts.add_one(FallbackCount::LastGood);
        Some((last.clone)(&value))
    }
}

impl<T, E> Clone for Fallback<T, E> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<T, E> Observed for Fallback<T, E>
where
    T: Send + Sync + 'static,
    E: 'static,
{
    fn source(&self) -> Source {
        Source::of(&self.shared, |shared| {
            FallbackSnapshot::counted(&shared.counts).readings()
        })
    }
}

impl<T, E> fmt::Debug for Fallback<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback")
            .field("snapshot", &self.snapshot())
            .finish_non_exhaustive()
    }
}
