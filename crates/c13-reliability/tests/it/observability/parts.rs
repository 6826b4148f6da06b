//! The parts beyond the patterns: what they report accounts for every call, in Prometheus text and over OpenTelemetry.

use super::{Collector, assert_same_counters, ms, samples, sum};
use c13_reliability::distributed::lock::{AcquireError, Lock, LockConfig, MemoryBackend};
use c13_reliability::distributed::rate_limiter::{Limit, MemoryQuota, SharedLimitConfig, SharedRateLimiter};
use c13_reliability::observability::otel::bridge;
use c13_reliability::observability::prometheus::{self, Format};
use c13_reliability::patterns::cache::{Cache, CacheConfig, Loaded};
use c13_reliability::policy::{Policy, Profile};
use c13_reliability::realtime::scheduler::{Scheduler, TaskConfig};
use c13_reliability::realtime::supervisor::{ChildConfig, Supervisor, SupervisorConfig};
use c13_reliability::snapshot::Registry;
use c13_reliability::sync::Random;
use c13_reliability::time::{Clock, Env, Executor};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

/// The text of all that is registered, after a look whether OpenTelemetry shows the same.
fn text(registry: &Registry) -> String {
    let collector = Collector::new();
    let _metrics = bridge(&collector.meter(), registry);
    let text = prometheus::encode(&registry.families(), Format::Text);
    assert_same_counters(&text, &collector.collect(), "");
    text
}

fn value(text: &str, name: &str, label: (&str, &str)) -> f64 {
    samples(text)
        .into_iter()
        .filter(|(sample, labels, _)| sample == name && labels.get(label.0).is_some_and(|value| value == label.1))
        .map(|(.., value)| value)
        .sum()
}

#[test]
fn a_cache_accounts_for_each_read() {
    let registry = Registry::new();
    let executor = Executor::new();
    let config = CacheConfig::new().capacity(50).ttl(ms(20)).negative_ttl(ms(20));
    let cache: Cache<u64, u64> = Cache::with_config(config, executor.clock()).unwrap();
    registry.register("products", &cache).unwrap();
    let random = Random::new(3);
    executor.block_on(async {
        for _ in 0..3_000 {
            let key = random.below(100);
            let loaded = cache.find_or_load(&key, move || async move {
                match key % 10 {
                    0 => Err("refused"),
                    1 => Ok(Loaded::absent()),
                    _ => Ok(Loaded::found(key)),
                }
            });
            assert_eq!(loaded.await.is_err(), key.is_multiple_of(10));
            executor.clock().sleep(ms(random.below(2))).await;
        }
    });
    let text = text(&registry);
    assert_eq!(sum(&text, "reliability_cache_requests_total"), 3_000.0, "{text}");
    for result in ["hit", "negative", "miss"] {
        assert!(
            value(&text, "reliability_cache_requests_total", ("result", result)) > 0.0,
            "{text}"
        );
    }
    let misses = value(&text, "reliability_cache_requests_total", ("result", "miss"));
    let loads = sum(&text, "reliability_cache_load_duration_seconds_count");
    assert_eq!(misses, loads, "one at a time, so each miss loads");
    let failures = sum(&text, "reliability_cache_load_failures_total");
    assert!(failures > 0.0 && failures < loads, "{text}");
    assert!(sum(&text, "reliability_cache_entries") <= 50.0, "{text}");
}

#[test]
fn a_scheduler_and_a_supervisor_report_each_task_and_child() {
    let registry = Registry::new();
    let executor = Executor::new();
    let mut scheduler = Scheduler::new().with_env(executor.clock());
    scheduler.add("tick", TaskConfig::every(ms(2)), |_| async {}).unwrap();
    let (ticks, run) = scheduler.start();
    executor.spawn(run);
    let mut supervisor = Supervisor::with_config(SupervisorConfig::new(), executor.clock()).unwrap();
    let clock = executor.clock();
    supervisor.task("flaky", ChildConfig::new(), move |_stop| {
        let clock = clock.clone();
        async move {
            clock.sleep(Duration::from_secs(60)).await;
            Err("the connection was lost".into())
        }
    });
    let (children, run) = supervisor.start();
    executor.spawn(run);
    registry.register("loop", &ticks).unwrap();
    registry.register("workers", &children).unwrap();
    executor.run_for(Duration::from_secs(150));
    let text = text(&registry);
    for line in [
        "reliability_scheduler_missed_ticks_total{name=\"loop\",task=\"tick\"} 0",
        "reliability_supervisor_restarts_total{name=\"workers\",child=\"flaky\"} 2",
        "reliability_supervisor_running{name=\"workers\",child=\"flaky\"} 1",
    ] {
        assert!(text.contains(line), "{line} in:\n{text}");
    }
    let runs = value(&text, "reliability_scheduler_runs_total", ("task", "tick"));
    assert_eq!(sum(&text, "reliability_scheduler_lateness_seconds_count"), runs);
    assert!((75_000.0..=75_001.0).contains(&runs), "{runs}");
}

#[tokio::test]
async fn a_lock_accounts_for_each_acquisition_and_holding() {
    let registry = Registry::new();
    let backend = Arc::new(MemoryBackend::new());
    let lock = Lock::new(backend, "invoices", LockConfig::new(Duration::from_secs(60)));
    registry.register("invoices", &lock).unwrap();
    let guard = lock.try_acquire().await.unwrap();
    for _ in 0..3 {
        assert!(matches!(
            lock.try_acquire().await,
            Err(AcquireError::NotAcquired { .. })
        ));
    }
    let dropped = Clock::system().timeout(ms(20), lock.acquire(Duration::MAX)).await;
    assert!(dropped.is_err());
    let text_while_held = text(&registry);
    assert_eq!(
        value(&text_while_held, "reliability_lock_held", ("name", "invoices")),
        1.0
    );
    guard.release().await.unwrap();
    let second = lock.acquire(Duration::from_secs(1)).await.unwrap();
    second.release().await.unwrap();

    let text = text(&registry);
    let result = |result| value(&text, "reliability_lock_acquisitions_total", ("result", result));
    let results = ["acquired", "not_acquired", "error", "abandoned"].map(result);
    assert_eq!(results, [2.0, 3.0, 0.0, 1.0], "{text}");
    assert_eq!(value(&text, "reliability_lock_held", ("name", "invoices")), 0.0);
    assert_eq!(sum(&text, "reliability_lock_losses_total"), 0.0);
    assert_eq!(sum(&text, "reliability_lock_wait_duration_seconds_count"), 2.0);
}

#[tokio::test]
async fn a_shared_rate_limit_accounts_for_each_request() {
    let registry = Registry::new();
    let backend = Arc::new(MemoryQuota::new());
    let limits = vec![Limit::new("payments", 1.0, 10)];
    let limiter = SharedRateLimiter::try_new(backend, limits, SharedLimitConfig::DEFAULT).unwrap();
    registry.register("payments", &limiter).unwrap();
    let mut allowed = 0.0;
    for _ in 0..30 {
        allowed += f64::from(u8::from(limiter.acquire(1).await.is_ok()));
    }
    assert!(limiter.acquire(1_000).await.is_err());
    let text = text(&registry);
    let name = "reliability_shared_rate_limit_requests_total";
    assert_eq!(sum(&text, name), 31.0, "{text}");
    let leased = value(&text, name, ("result", "leased"));
    assert!(allowed > 0.0, "{text}");
    assert_eq!(leased, allowed, "{text}");
}

#[test]
fn a_policy_reports_its_parts_under_its_name() {
    let registry = Registry::new();
    let executor = Executor::new();
    let policy = Policy::with_config(Profile::Critical.config(), Env::new(executor.clock()).seed(1)).unwrap();
    registry.register("payments", &policy).unwrap();
    for _ in 0..10 {
        executor.block_on(async { assert!(policy.call(|| async { Ok::<_, &str>(()) }).await.is_ok()) });
    }
    let never = policy.call(pending::<Result<(), &str>>);
    assert!(executor.block_on(executor.clock().timeout(ms(1), never)).is_err());
    let text = text(&registry);
    for line in [
        "reliability_rate_limit_allowed_total{name=\"payments\"} 11",
        "reliability_retry_calls_total{name=\"payments\",result=\"abandoned\"} 1",
        "reliability_circuit_breaker_calls_total{name=\"payments\",result=\"abandoned\"} 1",
        "reliability_retry_calls_total{name=\"payments\",result=\"first_try\"} 10",
        "reliability_circuit_breaker_calls_total{name=\"payments\",result=\"success\"} 10",
    ] {
        assert!(text.contains(line), "{line} in:\n{text}");
    }
    drop(policy);
    assert!(registry.snapshots().is_empty(), "the registry keeps no policy alive");
}
