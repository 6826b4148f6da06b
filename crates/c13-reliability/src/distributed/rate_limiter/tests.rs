//! The shared limiter in virtual time, over a backend that fails when it is told to.

use super::*;
use crate::distributed::lock::{Answer, BackendError, BackendErrorKind};
use crate::error::ConfigError;
use crate::time::{Clock, Deadline};
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
