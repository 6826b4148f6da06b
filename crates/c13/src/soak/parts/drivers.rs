//! The drivers under load: retry, timeout, hedge, fallback, cache.

use std::sync::Arc;
use std::time::Duration;

use c13_reliability::patterns::cache::{Cache, CacheConfig};
use c13_reliability::patterns::fallback::Fallback;
use c13_reliability::patterns::hedge::Hedge;
use c13_reliability::patterns::retry::{Jitter, RetryConfig, RetryError, RetryExecutor, RetryStrategy};
use c13_reliability::patterns::timeout::{Timeout, TimeoutConfig, TimeoutError};

use crate::soak::dependency::Down;
use crate::soak::part::{Call, Ground, SoakPart, must_be};
use crate::soak::tally::{Counts, Seen};

const SOUND: &str = "the settings are sound";

/// The limit of one call: a dependency that is well keeps it, one that hangs does not.
const LIMIT: Duration = Duration::from_millis(20);

/// The dependency, with an end to its hanging.
fn limit(ground: &Ground) -> Timeout {
    Timeout::with_config(TimeoutConfig::new(LIMIT), ground.clock.clone()).expect(SOUND)
}

/// Retries with a short back-off and the default budget.
pub(crate) struct Retries {
    ground: Ground,
    retry: RetryExecutor,
    limit: Timeout,
}

impl Retries {
    pub(crate) fn new(ground: &Ground) -> Self {
        let strategy = RetryStrategy::ExponentialBackoff {
            initial: Duration::from_micros(500),
            max: Duration::from_millis(4),
            multiplier: 2.0,
        };
        let config = RetryConfig::new(3, strategy).jitter(Jitter::Full);
        Self {
            retry: RetryExecutor::with_config(config, ground.clock.clone()).expect(SOUND),
            limit: limit(ground),
            ground: ground.clone(),
        }
    }
}

impl SoakPart for Retries {
    fn name(&self) -> &'static str {
        "retry"
    }

    fn call(self: Arc<Self>) -> Call {
        Box::pin(async move {
            let attempt = || self.limit.call(self.ground.dependency.call());
            match self.retry.execute(attempt).await {
                Ok(_) => Seen::Success,
                Err(RetryError::BudgetExhausted { .. }) => Seen::Refusal,
                Err(_) => Seen::Failure,
            }
        })
    }

    fn audit(&self, seen: &Counts) -> Vec<String> {
        let now = self.retry.snapshot();
        let mut faults = Vec::new();
        must_be(
            &mut faults,
            "calls whose budget was exhausted",
            now.budget_exhausted,
            seen.refusals,
        );
        let failed = now.max_retries_exceeded + now.not_retryable + now.deadline_exceeded;
        must_be(&mut faults, "calls that failed in the end", failed, seen.failures);
        faults
    }
}

/// Time limits.
pub(crate) struct Limits {
    ground: Ground,
    limit: Timeout,
}

impl Limits {
    pub(crate) fn new(ground: &Ground) -> Self {
        Self {
            limit: limit(ground),
            ground: ground.clone(),
        }
    }
}

impl SoakPart for Limits {
    fn name(&self) -> &'static str {
        "timeout"
    }

    fn call(self: Arc<Self>) -> Call {
        Box::pin(async move {
            match self.limit.call(self.ground.dependency.call()).await {
                Ok(_) => Seen::Success,
                Err(TimeoutError::CallFailed(Down)) => Seen::Failure,
                Err(_) => Seen::Refusal,
            }
        })
    }

    fn audit(&self, seen: &Counts) -> Vec<String> {
        let now = self.limit.snapshot();
        let mut faults = Vec::new();
        must_be(
            &mut faults,
            "calls cut short",
            now.elapsed + now.deadline_exceeded,
            seen.refusals,
        );
        faults
    }
}

/// Hedges after a moment.
pub(crate) struct Hedges {
    ground: Ground,
    hedge: Hedge,
    limit: Timeout,
}

impl Hedges {
    pub(crate) fn new(ground: &Ground) -> Self {
        Self {
            hedge: Hedge::new(Duration::from_millis(1)),
            limit: limit(ground),
            ground: ground.clone(),
        }
    }
}

impl SoakPart for Hedges {
    fn name(&self) -> &'static str {
        "hedge"
    }

    fn call(self: Arc<Self>) -> Call {
        Box::pin(async move {
            let attempt = || self.limit.call(self.ground.dependency.call());
            match self.hedge.execute(attempt).await {
                Ok(_) => Seen::Success,
                Err(_) => Seen::Failure,
            }
        })
    }

    fn audit(&self, seen: &Counts) -> Vec<String> {
        let now = self.hedge.snapshot();
        let mut faults = Vec::new();
        must_be(&mut faults, "calls that failed in the end", now.failures, seen.failures);
        faults
    }
}

/// A last good value in place of an error.
pub(crate) struct Fallbacks {
    ground: Ground,
    fallback: Fallback<u64, TimeoutError<Down>>,
    limit: Timeout,
}

impl Fallbacks {
    pub(crate) fn new(ground: &Ground) -> Self {
        Self {
            fallback: Fallback::last_good(Duration::from_secs(1)).with_env(ground.clock.clone()),
            limit: limit(ground),
            ground: ground.clone(),
        }
    }
}

impl SoakPart for Fallbacks {
    fn name(&self) -> &'static str {
        "fallback"
    }

    fn call(self: Arc<Self>) -> Call {
        Box::pin(async move {
            match self.fallback.call(self.limit.call(self.ground.dependency.call())).await {
                Ok(_) => Seen::Success,
                Err(_) => Seen::Failure,
            }
        })
    }

    fn audit(&self, seen: &Counts) -> Vec<String> {
        let now = self.fallback.snapshot();
        let mut faults = Vec::new();
        must_be(
            &mut faults,
            "failures without a last good value",
            now.call_failures,
            seen.failures,
        );
        faults
    }
}

/// A cache that loads each key once, evicts, refreshes and serves what is stale while its source is down.
pub(crate) struct Reads {
    ground: Ground,
    cache: Cache<u64, u64>,
    limit: Timeout,
}

/// How many entries the cache may hold, and how many keys it is asked for.
const CAPACITY: u64 = 2_000;
const ASKED: u64 = 10_000;

impl Reads {
    pub(crate) fn new(ground: &Ground) -> Self {
        let config = CacheConfig::new()
            .capacity(CAPACITY)
            .ttl(Duration::from_millis(200))
            .stale_if_error(Duration::from_secs(2));
        Self {
            cache: Cache::with_config(config, ground.clock.clone()).expect(SOUND),
            limit: limit(ground),
            ground: ground.clone(),
        }
    }
}

impl SoakPart for Reads {
    fn name(&self) -> &'static str {
        "cache"
    }

    fn call(self: Arc<Self>) -> Call {
        Box::pin(async move {
            // The square makes few keys popular.
            let key = (self.ground.random.unit().powi(2) * ASKED as f64) as u64;
            let source = self.clone();
            let load = move || async move { source.limit.call(source.ground.dependency.call()).await };
            match self.cache.get_or_load(&key, load).await {
                Ok(_) => Seen::Success,
                Err(_) => Seen::Failure,
            }
        })
    }

    fn audit(&self, _: &Counts) -> Vec<String> {
        let now = self.cache.snapshot();
        let over = now.entries > CAPACITY;
        over.then(|| format!("{} entries are held, at most {CAPACITY} may be", now.entries))
            .into_iter()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use c13_reliability::sync::Random;
    use c13_reliability::time::Executor;

    use crate::soak::dependency::FaultyDependency;
    use crate::soak::tally::CallerTally;

    /// While the machine stands still the last good value grows old, and calls fail that it would have helped.
    #[test]
    fn a_pause_of_the_machine_leaves_the_counts_of_the_fallback_right() {
        let executor = Executor::new();
        let clock = executor.clock();
        let seed = 42;
        let part = Arc::new(Fallbacks::new(&Ground {
            dependency: Arc::new(FaultyDependency::new(clock.clone(), seed)),
            random: Arc::new(Random::stream(seed, "parts")),
            clock: clock.clone(),
        }));
        let tally = Arc::new(CallerTally::default());
        let call = || {
            let (part, entry) = (part.clone(), tally.enter());
            async move { entry.close(part.call().await) }
        };
        executor.block_on(async {
            for _ in 0..20 {
                call().await;
            }
            // Until the dependency fails four of five calls.
            clock.sleep(Duration::from_secs(4)).await;
            for _ in 0..20 {
                call().await;
            }
        });
        let seen = tally.counts();
        assert!(seen.failures > 0 && seen.successes > 0, "seed {seed}: {seen:?}");
        assert_eq!(part.audit(&seen), Vec::<String>::new(), "seed {seed}");
    }
}
