//! Reading through: who loads, who waits, and what is served when a load fails.

use super::entry::Entry;
use super::error::LoadError;
use super::handle::{Background, Cache, SharedCache};
use super::landing::Landing;
use super::loaded::Loaded;
use super::snapshot::CacheCount;
use super::state::Freshness;
use crate::gate::cut_short;
use crate::single_flight::{Ticket, Turn};
use crate::time::Deadline;
use std::any::Any;
use std::future::{Future, poll_fn};
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

impl<K, V> Cache<K, V>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The value under `key`, loaded by `load` if it is missing or expired.
    ///
    /// Of concurrent reads of one key, one loads and the others wait for it. An entry that is due to be loaded again but may
    /// still be served is served at once and loaded in the background.
    ///
    /// ```
    /// use c13_reliability::patterns::cache::{Cache, CacheConfig};
    /// use c13_reliability::time::Executor;
    /// use std::io;
    ///
    /// let cache = Cache::new(CacheConfig::new());
    /// let value = Executor::new().block_on(cache.get_or_load(&7, || async { Ok::<_, io::Error>("loaded") }));
    /// assert_eq!(value.ok(), Some("loaded"));
    /// assert_eq!(cache.get(&7), Some("loaded"));
    /// ```
    ///
    /// # Errors
    ///
    /// [`LoadError`]: why the load failed, unless a stale value could be served in its place. An error that another read
    /// loaded with another error type is not shared: this read then loads itself. [`LoadError::Recursive`] at once if this
    /// read is made by the loader of the same key. [`LoadError::DeadlinePassed`] in place of a load after the caller's
    /// [`Deadline`].
    ///
    /// # Panics
    ///
    /// A panic in `load` goes on unwinding through the read that loads.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future of the read that loads hands the load over to one that waits, which begins it anew.
    pub async fn get_or_load<F, Fut, E>(&self, key: &K, load: F) -> Result<V, LoadError<E>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<V, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        match self.shared.hit(key) {
            Ok(value) => Ok(value),
            Err(entry) => {
                let load = || async { load().await.map(Loaded::found) };
                self.read_through(key, entry, load, |_| true)
                    .await?
                    .ok_or(LoadError::Absent)
            }
        }
    }

    /// As [`get_or_load`](Cache::get_or_load), for a value that may not exist: `load` says so with [`Loaded::absent`], which is
    /// remembered for [`CacheConfig::negative_ttl`](super::CacheConfig::negative_ttl). It may also say how long to keep a value.
    ///
    /// # Errors
    ///
    /// As [`get_or_load`](Cache::get_or_load).
    ///
    /// # Panics
    ///
    /// A panic in `load` goes on unwinding through the read that loads.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_load`](Cache::get_or_load).
    pub async fn find_or_load<F, Fut, E>(&self, key: &K, load: F) -> Result<Option<V>, LoadError<E>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        match self.shared.hit(key) {
            Ok(value) => Ok(Some(value)),
            Err(entry) => self.read_through(key, entry, load, |_| true).await,
        }
    }

    /// As [`find_or_load`](Cache::find_or_load); `accepts` decides whether this read takes another read's error. If not, this
    /// read loads itself, or waits for the next one that does.
    pub(crate) async fn find_or_load_if<F, Fut, E, A>(
        &self,
        key: &K,
        load: F,
        accepts: A,
    ) -> Result<Option<V>, LoadError<E>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Send + Sync + 'static,
        A: Fn(&E) -> bool,
    {
        match self.shared.hit(key) {
            Ok(value) => Ok(Some(value)),
            Err(entry) => self.read_through(key, entry, load, accepts).await,
        }
    }

    /// Reads through `entry`, the entry under `key`, which is no plain hit.
    async fn read_through<F, Fut, E, A>(
        &self,
        key: &K,
        entry: Option<Entry<V>>,
        load: F,
        accepts: A,
    ) -> Result<Option<V>, LoadError<E>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Send + Sync + 'static,
        A: Fn(&E) -> bool,
    {
        let shared = &self.shared;
        match shared.judge(key, entry) {
            Some((entry, Freshness::Fresh)) => {
                shared.count_hit(&entry, false);
                Ok(entry.value)
            }
            Some((entry, Freshness::Paused)) => {
                shared.count_hit(&entry, true);
                Ok(entry.value)
            }
            Some((entry, Freshness::Reload { stale })) => {
                // Whoever has no time left leaves the load to the next one.
                if !Deadline::is_over(&shared.clock)
                    && let Some(here) = self.reload(key, load)
                {
                    here.await;
                    if let Some((entry, Freshness::Fresh)) = shared.read(key) {
                        shared.count_hit(&entry, false);
                        return Ok(entry.value);
                    }
                }
                shared.count_hit(&entry, stale);
                Ok(entry.value)
            }
            Some((entry, Freshness::Fallback)) => shared.load(key, Some(entry), load, accepts).await,
            Some((_, Freshness::Expired)) | None => shared.load(key, None, load, accepts).await,
        }
    }

    /// Loads an entry again in the background, unless a load is under way; returns the load if there is no runtime to run it.
    fn reload<F, Fut, E>(&self, key: &K, load: F) -> Option<Background>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let now = self.shared.clock.now();
        let ticket = self.shared.flights.lead(key, now, || self.shared.is_due(key))?;
        self.shared.counts.add_one(CacheCount::Refresh);
        let (cache, key) = (self.clone(), key.clone());
        self.spawn(Box::pin(async move {
            let stale = cache.shared.read(&key).map(|(entry, _)| entry);
            // A failure is counted, and nobody waits for it here.
            let _ = cache.shared.lead(ticket, &key, stale, load).await;
        }))
    }
}

/// The result of a load, or its panic.
type Caught<T> = Result<T, Box<dyn Any + Send>>;

impl<K, V> SharedCache<K, V>
where
    K: Eq + Hash + Clone,
    V: Clone,
{
    /// Waits for a value under `key`, and loads it if nobody else does; serves `stale` if that fails.
    async fn load<F, Fut, E, A>(
        &self,
        key: &K,
        stale: Option<Entry<V>>,
        load: F,
        accepts: A,
    ) -> Result<Option<V>, LoadError<E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Loaded<V>, E>>,
        E: Send + Sync + 'static,
        A: Fn(&E) -> bool,
    {
        loop {
            let mut ticket = match self.flights.join(key, self.clock.now(), || self.fresh(key)) {
                Ok(ticket) => ticket,
                Err(entry) => {
                    // It was loaded since this read looked.
                    self.count_hit(&entry, false);
                    return Ok(entry.value);
                }
            };
            let landing = match ticket.turn(&self.clock).await {
                // The load is overdue, so the next flight that is joined is another one.
                Turn::Wait(_) => continue,
                Turn::Landed(landing) => landing,
                Turn::Recursive => {
                    self.counts.add_one(CacheCount::Miss);
                    return self.rescue(stale, LoadError::Recursive);
                }
                Turn::Lead => {
                    self.counts.add_one(CacheCount::Miss);
                    if Deadline::is_over(&self.clock) {
                        // Dropped, the ticket hands the load over to a read that waits for it.
                        drop(ticket);
                        if stale.is_none() {
                            cut_short::report();
                        }
                        return self.rescue(stale, LoadError::DeadlinePassed);
                    }
                    return match self.lead(ticket, key, stale.clone(), load).await {
                        Ok(Ok(value)) => Ok(value),
                        Ok(Err(error)) => self.rescue(stale, LoadError::Failed(error)),
                        Err(panic) => resume_unwind(panic),
                    };
                }
            };
            let error = match landing {
                Landing::Found(_) => None,
                Landing::Failed(ref error) => match error.clone().downcast::<E>() {
                    Ok(error) if accepts(&error) => Some(LoadError::Failed(error)),
                    // The error of another read, or of another type: this read has to get its own.
                    _ => continue,
                },
                Landing::Panicked(ref words) => Some(LoadError::Panicked(words.clone())),
            };
            self.counts.add_one(CacheCount::Miss);
            self.counts.add_one(CacheCount::Coalesced);
            return match (landing, error) {
                (Landing::Found(value), _) => Ok(value),
                (_, Some(error)) => self.rescue(stale, error),
                (_, None) => Ok(None),
            };
        }
    }

    /// Loads for all members of the flight.
    async fn lead<F, Fut, E>(
        &self,
        mut ticket: Ticket<K, Landing<V>>,
        key: &K,
        stale: Option<Entry<V>>,
        load: F,
    ) -> Caught<Result<Option<V>, Arc<E>>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Loaded<V>, E>>,
        E: Send + Sync + 'static,
    {
        self.counts.add_one(CacheCount::Load);
        let start = self.clock.now();
        let end = caught(&ticket, load).await;
        self.load_time.record((self.clock.now() - start).as_nanos() as u64);
        // What leaves the map is dropped after the locks.
        let (mut gone, mut changed) = (None, None);
        match end {
            Ok(Ok(Loaded { value, keep })) => {
                let entry = self.entry(key, value.clone(), keep);
                ticket.land(Landing::Found(value.clone()), true, || {
                    gone = Some(self.keep(key.clone(), entry));
                });
                Ok(Ok(value))
            }
            Ok(Err(error)) => {
                self.counts.add_one(CacheCount::LoadFailure);
                let error = Arc::new(error);
                let pause = || changed = stale.map(|stale| self.pause(key.clone(), stale));
                ticket.land(Landing::Failed(error.clone()), false, pause);
                Ok(Err(error))
            }
            Err(panic) => {
                self.counts.add_one(CacheCount::LoadPanic);
                let pause = || changed = stale.map(|stale| self.pause(key.clone(), stale));
                ticket.land(Landing::Panicked(words(&*panic)), false, pause);
                Err(panic)
            }
        }
    }

    /// Serves what is stale in place of an error.
    fn rescue<E>(&self, stale: Option<Entry<V>>, error: LoadError<E>) -> Result<Option<V>, LoadError<E>> {
        let Some(stale) = stale else {
            return Err(error);
        };
        self.counts.add_one(CacheCount::Rescued);
        Ok(stale.value)
    }
}

/// Runs a load, and catches its panic, so that the reads that wait for it learn of it now and not when the future is dropped.
async fn caught<K, V, F, Fut>(ticket: &Ticket<K, Landing<V>>, load: F) -> Caught<Fut::Output>
where
    K: Hash + Eq + Clone,
    V: Clone,
    F: FnOnce() -> Fut,
    Fut: Future,
{
    let begin = || {
        let _polled = ticket.polled();
        load()
    };
    let mut future = pin!(catch_unwind(AssertUnwindSafe(begin))?);
    poll_fn(|cx| {
        let poll = || {
            let _polled = ticket.polled();
            future.as_mut().poll(cx)
        };
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

/// The message of a panic.
fn words(panic: &(dyn Any + Send)) -> Arc<str> {
    if let Some(text) = panic.downcast_ref::<&'static str>() {
        Arc::from(*text)
    } else if let Some(text) = panic.downcast_ref::<String>() {
        Arc::from(text.as_str())
    } else {
        Arc::from("a panic without words")
    }
}
