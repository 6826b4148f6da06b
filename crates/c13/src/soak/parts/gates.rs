//! The gates under load: breaker, rate limiters, bulkhead.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use c13_reliability::gate::Refusal;
use c13_reliability::patterns::adaptive::{AdaptiveConfig, AdaptiveLimit, Algorithm};
use c13_reliability::patterns::bulkhead::{Bulkhead, BulkheadConfig, BulkheadError};
use c13_reliability::patterns::circuit_breaker::{
    CircuitBreaker, CircuitBreakerConfig, CircuitBreakerError, FailureRate, Window,
};
use c13_reliability::patterns::rate_limiter::{
    KeyedRateLimiter, RateLimiterConfig, ShardedRateLimiter, SlidingWindowConfig, SlidingWindowRateLimiter,
    TokenBucketRateLimiter,
};

use crate::soak::part::{Call, Ground, SoakPart, must_be};
use crate::soak::tally::{Counts, Seen};

const SOUND: &str = "the settings are sound";

/// A breaker that trips and recovers all the time.
pub(crate) struct Breaker {
    ground: Ground,
    breaker: CircuitBreaker,
}

impl Breaker {
    pub(crate) fn new(ground: &Ground) -> Self {
        let rate = FailureRate::new(0.5, Window::Time(Duration::from_secs(1)), 20);
        let config = CircuitBreakerConfig::new()
            .failure_rate(rate)
            .open_for(Duration::from_millis(200));
        Self {
            breaker: CircuitBreaker::with_config(config, ground.clock.clone()).expect(SOUND),
            ground: ground.clone(),
        }
    }
}

impl SoakPart for Breaker {
    fn name(&self) -> &'static str {
        "circuit breaker"
    }

    fn call(self: Arc<Self>) -> Call {
        Box::pin(async move {
            match self.breaker.call(self.ground.dependency.call()).await {
                Ok(_) => Seen::Success,
                Err(CircuitBreakerError::CallFailed(_)) => Seen::Failure,
                Err(_) => Seen::Refusal,
            }
        })
    }

    fn audit(&self, seen: &Counts) -> Vec<String> {
        let metrics = self.breaker.snapshot().metrics;
        let mut faults = Vec::new();
        must_be(&mut faults, "calls", metrics.total_requests, seen.calls());
        must_be(&mut faults, "successes", metrics.success_count, seen.successes);
        must_be(
            &mut faults,
            "failures and panics",
            metrics.failure_count,
            seen.failures + seen.panics,
        );
        must_be(&mut faults, "rejections", metrics.rejection_count, seen.refusals);
        must_be(&mut faults, "abandoned calls", metrics.abandoned_count, seen.dropped);
        let sum = metrics.success_count
            + metrics.failure_count
            + metrics.ignored_count
            + metrics.abandoned_count
            + metrics.rejection_count;
        must_be(&mut faults, "the sum of all outcomes", sum, metrics.total_requests);
        if self.breaker.snapshot().probes_running != 0 {
            faults.push(format!(
                "{} probes still hold a permit",
                self.breaker.snapshot().probes_running
            ));
        }
        faults
    }
}

/// A bulkhead.
pub(crate) struct Permits {
    ground: Ground,
    name: &'static str,
    bulkhead: Bulkhead,
    has_room: bool,
}

impl Permits {
    /// With a queue, and full most of the time.
    pub(crate) fn scarce(ground: &Ground) -> Self {
        let config = BulkheadConfig::new(4).queue(8, Duration::from_millis(2));
        Self {
            name: "bulkhead",
            bulkhead: Bulkhead::with_config(config, ground.clock.clone()).expect(SOUND),
            has_room: false,
            ground: ground.clone(),
        }
    }

    /// With a permit for each of the callers, lent to threads where they contend.
    pub(crate) fn enough(ground: &Ground, callers: u32) -> Self {
        Self {
            name: "bulkhead with room",
            bulkhead: Bulkhead::with_config(BulkheadConfig::new(callers), ground.clock.clone()).expect(SOUND),
            has_room: true,
            ground: ground.clone(),
        }
    }
}

impl SoakPart for Permits {
    fn name(&self) -> &'static str {
        self.name
    }

    fn call(self: Arc<Self>) -> Call {
        Box::pin(async move {
            match self.bulkhead.call(self.ground.dependency.call()).await {
                Ok(_) => Seen::Success,
                Err(BulkheadError::CallFailed(_)) => Seen::Failure,
                Err(_) => Seen::Refusal,
            }
        })
    }

    fn audit(&self, seen: &Counts) -> Vec<String> {
        let now = self.bulkhead.snapshot().calls;
        let mut faults = Vec::new();
        must_be(&mut faults, "refusals", now.rejected + now.wait_elapsed, seen.refusals);
        must_be(&mut faults, "calls in flight at rest", now.in_flight.into(), 0);
        must_be(&mut faults, "callers in the queue at rest", now.queued as u64, 0);
        if self.has_room {
            must_be(
                &mut faults,
                "refusals although there is a permit for each",
                seen.refusals,
                0,
            );
        }
        faults
    }
}

/// A limit on concurrency that finds itself.
pub(crate) struct Adaptive {
    ground: Ground,
    limit: AdaptiveLimit,
}

impl Adaptive {
    pub(crate) fn new(ground: &Ground) -> Self {
        let config = AdaptiveConfig::new(Algorithm::AIMD);
        Self {
            limit: AdaptiveLimit::with_config(config, ground.clock.clone()).expect(SOUND),
            ground: ground.clone(),
        }
    }
}

impl SoakPart for Adaptive {
    fn name(&self) -> &'static str {
        "adaptive limit"
    }

    fn call(self: Arc<Self>) -> Call {
        Box::pin(async move {
            match self.limit.call(self.ground.dependency.call()).await {
                Ok(_) => Seen::Success,
                Err(Refusal::Failed(_)) => Seen::Failure,
                Err(_) => Seen::Refusal,
            }
        })
    }

    fn audit(&self, seen: &Counts) -> Vec<String> {
        let now = self.limit.snapshot().calls;
        let mut faults = Vec::new();
        must_be(&mut faults, "refusals", now.rejected + now.wait_elapsed, seen.refusals);
        must_be(&mut faults, "calls in flight at rest", now.in_flight.into(), 0);
        must_be(&mut faults, "callers in the queue at rest", now.queued as u64, 0);
        faults
    }
}

/// How a limiter is asked.
type Ask = Box<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;
/// What must be true of a limiter in the end.
type Audit = Box<dyn Fn(&Counts) -> Vec<String> + Send + Sync>;

/// A limiter of any kind.
struct Limiter {
    name: &'static str,
    ask: Ask,
    audit: Audit,
}

impl SoakPart for Limiter {
    fn name(&self) -> &'static str {
        self.name
    }

    fn call(self: Arc<Self>) -> Call {
        Box::pin(async move {
            if (self.ask)().await {
                Seen::Success
            } else {
                Seen::Refusal
            }
        })
    }

    fn audit(&self, seen: &Counts) -> Vec<String> {
        (self.audit)(seen)
    }
}

/// What all limiters admit in a second: a fraction of what is asked for.
const RATE: f64 = 500.0;
const BURST: u64 = 50;
/// A sharded bucket lends in batches, for which it needs room.
const SHARDED_BURST: u64 = 2_000;
const PATIENCE: Duration = Duration::from_millis(5);
/// How many keys the keyed limiter is asked for; it may remember a tenth of them.
const KEYS: u64 = 20_000;
const REMEMBERED: usize = 2_000;

/// All limiters.
pub(crate) fn limiters(ground: &Ground) -> Vec<Arc<dyn SoakPart>> {
    let config = RateLimiterConfig::new(RATE, BURST);
    let bucket = TokenBucketRateLimiter::with_config(config.max_wait(PATIENCE), ground.clock.clone()).expect(SOUND);
    let sharded = ShardedRateLimiter::with_config(RateLimiterConfig::new(RATE, SHARDED_BURST), ground.clock.clone())
        .expect(SOUND);
    let window = SlidingWindowConfig::new(Duration::from_secs(1), RATE as u64).max_wait(PATIENCE);
    let window = SlidingWindowRateLimiter::with_config(window, ground.clock.clone()).expect(SOUND);
    let keyed = Arc::new(KeyedRateLimiter::new(RateLimiterConfig::new(1.0, 1), REMEMBERED));
    let (keys, random) = (keyed.clone(), ground.random.clone());
    vec![
        limiter(
            "token bucket",
            move || {
                let bucket = bucket.clone();
                async move { bucket.acquire(1).await.is_ok() }
            },
            bound(ground, BURST),
        ),
        limiter(
            "sharded token bucket",
            move || std::future::ready(sharded.try_acquire(1).is_ok()),
            bound(ground, SHARDED_BURST),
        ),
        // A window that slides admits its whole content at once.
        limiter(
            "sliding window",
            move || {
                let window = window.clone();
                async move { window.acquire().await.is_ok() }
            },
            bound(ground, RATE as u64),
        ),
        limiter(
            "keyed limiter",
            move || std::future::ready(keys.try_acquire(&random.below(KEYS), 1).is_ok()),
            Box::new(move |_| {
                let (known, most) = (keyed.len(), REMEMBERED);
                (known > most)
                    .then(|| format!("{known} keys are remembered, at most {most} may be"))
                    .into_iter()
                    .collect()
            }),
        ),
    ]
}

fn limiter<F>(name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static, audit: Audit) -> Arc<dyn SoakPart>
where
    F: Future<Output = bool> + Send + 'static,
{
    let ask: Ask = Box::new(move || Box::pin(ask()));
    Arc::new(Limiter { name, ask, audit })
}

/// No more than `burst + rate × time` may have been admitted since now.
fn bound(ground: &Ground, burst: u64) -> Audit {
    let (clock, start) = (ground.clock.clone(), ground.clock.now());
    Box::new(move |seen| {
        let elapsed = clock.now().since(start).as_secs_f64();
        let most = burst as f64 + RATE * elapsed;
        let admitted = seen.successes;
        let over = admitted as f64 > most;
        over.then(|| format!("{admitted} were admitted in {elapsed:.1} s, at most {most:.0} may be"))
            .into_iter()
            .collect()
    })
}
