//! The shared limiter in virtual time, over a backend that fails when it is told to.

use super::*;
use crate::distributed::lock::{Answer, BackendError, BackendErrorKind};
use crate::error::ConfigError;
use crate::keyed::KeySetConfig;
use crate::time::{Clock, Deadline, Executor};
use std::error::Error;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
enum Fault {
    None,
    Says(BackendError),
    Silent,
}

#[derive(Debug)]
struct Faulty {
    inner: MemoryQuota,
    fault: Mutex<Fault>,
    requests: AtomicU64,
}

impl Faulty {
    fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl QuotaBackend for Faulty {
    fn check_key(&self, key: &str) -> Result<(), ConfigError> {
        self.inner.check_key(key)
    }

    fn take<'a>(&'a self, limits: &'a [Limit], want: u64, least: u64, process: &'a str) -> Answer<'a, Taken> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let fault = self.fault.lock().unwrap().clone();
        Box::pin(async move {
            match fault {
                Fault::None => self.inner.take(limits, want, least, process).await,
                Fault::Says(error) => Err(error),
                Fault::Silent => std::future::pending().await,
            }
        })
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn no_permission() -> BackendError {
    BackendError::new(BackendErrorKind::Refused, "no permission")
}

const EXACT: SharedLimitConfig = SharedLimitConfig::DEFAULT
    .sharing(Sharing::Exact)
    .processes(NonZeroU32::MIN);

fn limiter(config: SharedLimitConfig) -> (SharedRateLimiter, Arc<Faulty>, Clock) {
    let clock = Clock::tokio();
    let backend = Arc::new(Faulty {
        inner: MemoryQuota::new().with_env(clock.clone()),
        fault: Mutex::new(Fault::None),
        requests: AtomicU64::new(0),
    });
    let limits = vec![Limit::new("mail", 10.0, 5)];
    let limiter = SharedRateLimiter::try_new(backend.clone(), limits, config).unwrap();
    (limiter.with_env(clock.clone()), backend, clock)
}

#[tokio::test(start_paused = true)]
async fn a_limiter_goes_by_the_clock_it_is_given() {
    for config in [EXACT, SharedLimitConfig::DEFAULT] {
        let (limiter, _, clock) = limiter(config);
        for _ in 0..5 {
            limiter.acquire(1).await.unwrap();
        }
        assert!(matches!(
            limiter.acquire(1).await,
            Err(SharedLimitError::Exceeded { .. })
        ));
        clock.sleep(ms(110)).await;
        limiter.acquire(1).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_denied_in_an_outage_is_told_its_cause_once() {
    for (fault, cause) in [
        (Fault::Says(no_permission()), "no permission"),
        (Fault::Silent, "no answer within 50ms"),
    ] {
        let (limiter, backend, _) = limiter(EXACT.on_failure(OnFailure::Deny));
        backend.set(fault.clone());
        for _ in 0..3 {
            let refused = limiter.acquire(1).await.unwrap_err();
            assert!(refused.to_string().ends_with(cause), "{refused}");
            assert!(refused.source().is_none(), "it is shown already");
        }
        assert_eq!(backend.requests(), 1, "a backend that failed is left alone for a while");
        let snapshot = limiter.snapshot();
        assert_eq!(
            (
                snapshot.unavailable,
                snapshot.backend_failures,
                snapshot.backend_failing
            ),
            (3, 1, true)
        );
        assert_eq!(snapshot.last_failure.unwrap().message, cause);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limiter_that_runs_on_its_share_says_why_and_the_cause_outlives_the_outage() {
    for on_failure in [OnFailure::LocalShare, OnFailure::Allow] {
        let (limiter, backend, clock) = limiter(EXACT.on_failure(on_failure));
        assert_eq!(limiter.snapshot().last_failure, None);
        backend.set(Fault::Says(no_permission()));
        limiter.acquire(1).await.unwrap();
        let snapshot = limiter.snapshot();
        assert!(snapshot.backend_failing);
        assert_eq!(*snapshot.last_failure.unwrap(), no_permission());
        backend.set(Fault::None);
        clock.sleep(ms(301)).await;
        assert_eq!(limiter.acquire(1).await, Ok(DecidedBy::Exact));
        let snapshot = limiter.snapshot();
        assert!(!snapshot.backend_failing);
        assert_eq!(*snapshot.last_failure.unwrap(), no_permission());
    }
}

#[tokio::test(start_paused = true)]
async fn a_callers_deadline_cuts_its_request_short_and_says_nothing_about_the_backend() {
    let (limiter, backend, clock) = limiter(EXACT.on_failure(OnFailure::Deny));
    backend.set(Fault::Silent);
    let start = clock.now();
    let hurried = Deadline::after(&clock, ms(5)).scope(limiter.acquire(1)).await;
    let took = clock.now() - start;
    assert!(took >= ms(5) && took <= ms(7), "{took:?}");
    assert!(
        matches!(hurried, Err(SharedLimitError::Unavailable { .. })),
        "{hurried:?}"
    );
    let snapshot = limiter.snapshot();
    assert_eq!((snapshot.backend_failures, snapshot.backend_failing), (0, false));
    backend.set(Fault::None);
    assert_eq!(limiter.acquire(1).await, Ok(DecidedBy::Exact), "others ask at once");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_too_long_is_refused() {
    let backend = Arc::new(MemoryQuota::new().with_env(Clock::tokio()));
    for (length, is_taken) in [(1_000, true), (1_001, false)] {
        let limits = vec![Limit::new("k".repeat(length), 1.0, 1)];
        let made = SharedRateLimiter::try_new(backend.clone(), limits, SharedLimitConfig::DEFAULT);
        assert_eq!(made.is_ok(), is_taken, "{length}");
    }
}

fn keyed(executor: &Executor, limit: Limit, max_keys: usize) -> (KeyedSharedRateLimiter, Arc<Faulty>) {
    let backend = Arc::new(Faulty {
        inner: MemoryQuota::new().with_env(executor.clock()).most_keys(2_000_000),
        fault: Mutex::new(Fault::None),
        requests: AtomicU64::new(0),
    });
    let keys = KeySetConfig::DEFAULT.max_keys(max_keys).max_key_bytes(64);
    let config = SharedLimitConfig::DEFAULT;
    let made = KeyedSharedRateLimiter::with_config(backend.clone(), limit, config, keys, executor.clock());
    (made.expect("good settings"), backend)
}

#[test]
fn a_cold_key_is_exact_and_a_hot_one_is_leased() {
    let executor = Executor::new();
    let (clients, backend) = keyed(&executor, Limit::new("clients", 1_000.0, 100), 1_000);
    executor.block_on(async {
        for n in 0..100 {
            assert_eq!(clients.acquire(&format!("cold-{n}"), 1).await, Ok(DecidedBy::Exact));
        }
        assert_eq!(backend.requests(), 100);
        let (mut leased, mut allowed) = (0, 0);
        for _ in 0..10_000 {
            match clients.acquire("hot", 1).await {
                Ok(by) => {
                    allowed += 1;
                    leased += u64::from(by == DecidedBy::Lease);
                }
                Err(error) => assert!(matches!(error, SharedLimitError::Exceeded { .. }), "{error}"),
            }
            executor.clock().sleep(Duration::from_micros(200)).await;
        }
        // Two seconds and more at 1,000 a second, and nearly all of that is used.
        let seconds = executor.time().now().as_nanos() as f64 / 1e9;
        let most = 100.0 + 1_000.0 * (seconds + 0.1);
        assert!(
            (1_500.0..most).contains(&f64::from(allowed)),
            "{allowed} of at most {most}"
        );
        assert!(leased * 10 >= u64::from(allowed as u32) * 9, "{leased} of {allowed}");
        assert!(backend.requests() < 100 + 600, "{} requests", backend.requests());
    });
}

#[test]
fn of_a_million_keys_few_are_kept_and_none_gets_more_than_its_limit() {
    const KEYS: u64 = 1_000_000;
    const MAX: usize = 10_000;
    let executor = Executor::new();
    let (clients, backend) = keyed(&executor, Limit::new("clients", 100.0, 10), MAX);
    let mut hot = [0_u64; 4];
    executor.block_on(async {
        for n in 0..KEYS {
            assert_eq!(
                clients.acquire(&n.to_string(), 1).await,
                Ok(DecidedBy::Exact),
                "key {n}"
            );
            if n % 10 == 0 {
                let key = (n / 10 % 4) as usize;
                hot[key] += u64::from(clients.acquire(["a", "b", "c", "d"][key], 1).await.is_ok());
            }
            if n % 100 == 0 {
                executor.clock().sleep(ms(1)).await;
            }
            if n % 50_000 == 0 {
                assert!(clients.snapshot().keys <= MAX as u64);
            }
        }
    });
    let seconds = executor.time().now().as_nanos() as f64 / 1e9;
    let most = 10.0 + 100.0 * (seconds + 0.1);
    assert!(
        hot.iter().all(|count| (most * 0.7..most).contains(&(*count as f64))),
        "{hot:?}, at most {most}"
    );
    let snapshot = clients.snapshot();
    assert_eq!(snapshot.exact + snapshot.leased + snapshot.exceeded, KEYS + KEYS / 10);
    assert!(snapshot.leased > snapshot.exact - KEYS, "{snapshot:?}");
    assert!(backend.requests() < KEYS + KEYS / 50, "{} requests", backend.requests());
}

#[test]
fn while_the_backend_fails_each_key_has_a_share_of_its_own() {
    let executor = Executor::new();
    let (clients, backend) = keyed(&executor, Limit::new("clients", 4.0, 8), 100);
    backend.set(Fault::Says(no_permission()));
    executor.block_on(async {
        // Four processes share it, unless the backend has said otherwise.
        for key in ["a", "b"] {
            for _ in 0..2 {
                assert_eq!(clients.acquire(key, 1).await, Ok(DecidedBy::Local), "{key}");
            }
            let refused = clients.acquire(key, 1).await.unwrap_err();
            assert!(
                matches!(
                    refused,
                    SharedLimitError::Exceeded {
                        by: DecidedBy::Local,
                        ..
                    }
                ),
                "{refused}"
            );
        }
        clients.give_back("a", 1, DecidedBy::Local);
        assert_eq!(clients.acquire("a", 1).await, Ok(DecidedBy::Local));
        backend.set(Fault::None);
        executor.clock().sleep(ms(400)).await;
        assert_eq!(clients.acquire("a", 1).await, Ok(DecidedBy::Exact));
    });
    assert_eq!(clients.snapshot().backend_failures, 1);
}

#[test]
fn what_is_given_back_is_for_the_next_call_of_the_key() {
    let executor = Executor::new();
    let (clients, backend) = keyed(&executor, Limit::new("clients", 0.1, 2), 100);
    executor.block_on(async {
        assert_eq!(clients.acquire("a", 2).await, Ok(DecidedBy::Exact));
        clients.give_back("a", 1, DecidedBy::Exact);
        assert_eq!(clients.acquire("a", 1).await, Ok(DecidedBy::Lease), "no request");
        assert!(clients.acquire("a", 1).await.is_err());
        assert!(clients.acquire("a", 1).await.is_err(), "the refusal is remembered");
        assert_eq!(backend.requests(), 2);
    });
}

#[test]
fn a_stranger_s_key_is_bounded_and_is_no_other_key_at_the_backend() {
    let executor = Executor::new();
    let (clients, _backend) = keyed(&executor, Limit::new("clients", 1.0, 1), 100);
    executor.block_on(async {
        for key in ["", "a", "a/b", "{a}", "}{", "a%2Fb", "a\0", "ä", "a b", "2001:db8::/64"] {
            assert_eq!(
                clients.acquire(key, 1).await,
                Ok(DecidedBy::Exact),
                "{key:?} is a key of its own"
            );
        }
        let long = "x".repeat(65);
        let refused = clients.acquire(&long, 1).await.unwrap_err();
        assert_eq!(
            refused,
            SharedLimitError::KeyTooLong {
                length: 65,
                longest: 64
            }
        );
        assert_eq!(clients.try_acquire("new", 1), Err(SharedLimitError::NotAsked));
    });
}
