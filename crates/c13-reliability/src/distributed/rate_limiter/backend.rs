//! The backend of shared limits: the trait, and the backend inside the process.

use super::config::Limit;
use super::state::{Cell, Rate, take_all};
use crate::distributed::lock::{Answer, BackendError, BackendErrorKind};
use crate::error::ConfigError;
use crate::sync::Sweep;
use crate::sync::primitive::Mutex;
use crate::time::{Clock, Env};
use std::collections::HashMap;
use std::fmt;
use std::future::ready;
use std::time::Duration;

/// The store of shared limits.
pub trait QuotaBackend: fmt::Debug + Send + Sync + 'static {
    /// Whether this backend can keep a limit of this key.
    ///
    /// # Errors
    ///
    /// Which rule the key breaks.
    fn check_key(&self, key: &str) -> Result<(), ConfigError>;

    /// Takes up to `want` tokens of every one of `limits`, but not fewer than `least`; then it takes none of any.
    /// `process` names the process that asks.
    fn take<'a>(&'a self, limits: &'a [Limit], want: u64, least: u64, process: &'a str) -> Answer<'a, Taken>;
}

/// The answer of a backend. Made by [`granted`](Self::granted) or [`refused`](Self::refused).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taken {
    /// How many tokens were granted; zero if fewer were available than the least that was asked for.
    pub granted: u64,
    /// After how long the least will be available; `None` if it was granted, or never will be.
    pub retry_after: Option<Duration>,
    /// How many processes asked lately.
    pub active: u32,
}

impl Taken {
    /// So many tokens, from a backend that only one process asks.
    #[must_use]
    pub const fn granted(tokens: u64) -> Self {
        Self {
            granted: tokens,
            retry_after: None,
            active: 1,
        }
    }

    /// No tokens. The least will be available after `retry_after`; `None` if it is more than a limit ever has at once.
    #[must_use]
    pub const fn refused(retry_after: Option<Duration>) -> Self {
        Self {
            granted: 0,
            retry_after,
            active: 1,
        }
    }

    /// Sets how many processes asked lately.
    #[must_use]
    pub const fn active(mut self, processes: u32) -> Self {
        self.active = processes;
        self
    }
}

/// Keeps limits in this process, for one machine without a server and for tests.
///
/// It keeps the keys whose limit is not full, and forgets a key once its limit is full again, which loses nothing. If there is
/// no room for one more key, it refuses that key with an error of the backend, and forgets no key that is still limited.
pub struct MemoryQuota {
    clock: Clock,
    most: usize,
    kept: Mutex<Kept>,
}

struct Kept {
    cells: HashMap<String, Cell>,
    sweep: Sweep,
    /// When the map was last swept, in microseconds.
    looked: f64,
}

/// How many keys are kept at most, unless set.
const MOST_KEYS: usize = 100_000;
/// How often a map without room is swept for keys that are full again, in microseconds. A sweep costs O(keys).
const LOOK_EVERY: f64 = 1e5;

impl Default for MemoryQuota {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryQuota {
    /// No limits yet, on the system clock; at most 100,000 keys that are limited at once.
    #[must_use]
    pub fn new() -> Self {
        Self {
            clock: Clock::system(),
            most: MOST_KEYS,
            kept: Mutex::new(Kept {
                cells: HashMap::new(),
                sweep: Sweep::new(),
                looked: f64::NEG_INFINITY,
            }),
        }
    }

    /// Sets the clock to that of `env`.
    #[must_use]
    pub fn with_env(mut self, env: impl Into<Env>) -> Self {
        self.clock = env.into().clock;
        self
    }

    /// Sets how many keys may be limited at once; none, and every key is refused.
    #[must_use]
    pub fn most_keys(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// How many keys are kept at the moment; some of them may be full again.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.kept.lock().cells.len()
    }

    fn take_now(&self, limits: &[Limit], want: u64, least: u64) -> Result<Taken, BackendError> {
        let kept = &mut *self.kept.lock();
        let now = self.clock.now().as_nanos() as f64 / 1e3;
        kept.make_room(limits.len(), self.most, now);
        let known: Vec<Option<Cell>> = limits.iter().map(|limit| kept.cells.get(&limit.key).copied()).collect();
        let unknown = known.iter().filter(|cell| cell.is_none()).count();
        if unknown > 0 && kept.cells.len() + unknown > self.most {
            let message = format!("{} keys are limited already, and no more are kept", kept.cells.len());
            return Err(BackendError::new(BackendErrorKind::Unable, message));
        }
        let rates = limits.iter().map(Rate::of);
        let mut cells: Vec<(Rate, Cell)> = rates.zip(known.into_iter().map(Option::unwrap_or_default)).collect();
        let decision = take_all(&mut cells, now, want, least);
        for (limit, (_, cell)) in limits.iter().zip(cells) {
            // A refusal changes nothing at a limit that is full.
            match kept.cells.get_mut(&limit.key) {
                Some(known) => *known = cell,
                None if !cell.is_full(now) => drop(kept.cells.insert(limit.key.clone(), cell)),
                None => {}
            }
        }
        Ok(if decision.granted > 0 {
            Taken::granted(decision.granted)
        } else {
            Taken::refused(decision.retry_after)
        })
    }
}

impl Kept {
    /// Forgets keys that are full again, if there are many keys or no room for `wanted` more.
    fn make_room(&mut self, wanted: usize, most: usize, now: f64) {
        let crowded = self.cells.len() + wanted > most && now >= self.looked + LOOK_EVERY;
        if crowded || self.sweep.is_due(self.cells.len()) {
            self.cells.retain(|_, cell| !cell.is_full(now));
            self.sweep.done(self.cells.len());
            self.looked = now;
        }
    }
}

impl QuotaBackend for MemoryQuota {
    fn check_key(&self, _key: &str) -> Result<(), ConfigError> {
        Ok(())
    }

    fn take<'a>(&'a self, limits: &'a [Limit], want: u64, least: u64, _process: &'a str) -> Answer<'a, Taken> {
        Box::pin(ready(self.take_now(limits, want, least)))
    }
}

impl fmt::Debug for MemoryQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQuota")
            .field("keys", &self.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Random;
    use crate::time::Executor;

    #[test]
    fn a_million_keys_that_are_asked_once_leave_only_those_that_are_still_limited() {
        let executor = Executor::new();
        let quota = MemoryQuota::new().with_env(executor.clock());
        executor.block_on(async {
            let slow = [Limit::new("slow", 1.0 / 3600.0, 1)];
            assert_eq!(quota.take(&slow, 1, 1, "p").await.unwrap().granted, 1);
            let mut most = 0;
            for n in 0..200_000 {
                // Full again after 1 ms, and one comes every 10 µs: some 100 are limited at a time.
                let limit = [Limit::new(format!("key-{n}"), 1_000.0, 1)];
                assert_eq!(quota.take(&limit, 1, 1, "p").await.unwrap().granted, 1);
                executor.clock().sleep(Duration::from_micros(10)).await;
                most = most.max(quota.keys());
            }
            assert!(most <= 300, "{most} keys at once");
            let refused = quota.take(&slow, 1, 1, "p").await.unwrap();
            assert_eq!(refused.granted, 0, "what is still limited is not forgotten");
            assert!(refused.retry_after > Some(Duration::from_secs(3_590)), "{refused:?}");
        });
    }

    #[test]
    fn a_key_too_many_is_refused_and_no_limited_one_is_forgotten_for_it() {
        let executor = Executor::new();
        let quota = MemoryQuota::new().with_env(executor.clock()).most_keys(100);
        let limit = |n: u64| [Limit::new(format!("key-{n}"), 0.1, 1)];
        let random = Random::new(11);
        executor.block_on(async {
            for n in 0..100 {
                assert_eq!(quota.take(&limit(n), 1, 1, "p").await.unwrap().granted, 1);
            }
            for n in 0..10_000 {
                let error = quota.take(&limit(100 + n), 1, 1, "p").await.unwrap_err();
                assert_eq!(error.kind, BackendErrorKind::Unable);
                let old = quota.take(&limit(random.below(100)), 1, 1, "p").await.unwrap();
                assert_eq!(old.granted, 0, "seed 11, round {n}");
            }
            assert_eq!(quota.keys(), 100);
            executor.clock().sleep(Duration::from_secs(10)).await;
            assert_eq!(quota.take(&limit(100), 1, 1, "p").await.unwrap().granted, 1);
            assert_eq!(quota.keys(), 1, "the full ones have made room");
        });
    }

    #[test]
    fn a_refusal_keeps_no_key() {
        let executor = Executor::new();
        let quota = MemoryQuota::new().with_env(executor.clock());
        executor.block_on(async {
            let limits = [Limit::new("wide", 10.0, 10), Limit::new("tight", 10.0, 1)];
            assert_eq!(quota.take(&limits, 5, 5, "p").await.unwrap().retry_after, None);
            assert_eq!(quota.keys(), 0);
        });
    }
}
