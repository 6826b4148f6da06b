//! A policy as a tower layer: attempts by clones, readiness inside, requests that cannot be repeated.

use super::*;
use crate::patterns::fallback::Fallback;
use crate::policy::PolicyLayer;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tower::{Layer as _, Service, ServiceExt, service_fn};

/// A service that fails so many times, and counts how often it was asked.
fn flaky(
    failures: u32,
) -> (
    Arc<AtomicU32>,
    impl Service<u32, Response = u32, Error = &'static str, Future: Send> + Clone + Send,
) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let service = service_fn(move |request: u32| {
        // Relaxed: nothing but the number is shared.
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move {
            if number < failures {
                Err("down")
            } else {
                Ok(request * 2)
            }
        }
    });
    (asked, service)
}

#[test]
fn a_layer_retries_with_clones_of_the_request() {
    let executor = Executor::new();
    let policy = policy(PolicyConfig::NONE.retry(retry(3, MS)), &executor.clock());
    let (asked, service) = flaky(2);
    let service = PolicyLayer::new(policy.typed()).layer(service);
    assert_eq!(executor.block_on(service.oneshot(21)), Ok(42));
    // Relaxed: as above.
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[test]
fn a_request_that_cannot_be_cloned_is_made_once() {
    let executor = Executor::new();
    let policy = policy(PolicyConfig::NONE.retry(retry(3, MS)), &executor.clock());
    let (asked, service) = flaky(2);
    let service = PolicyLayer::cloning(policy.typed(), |_: &u32| None).layer(service);
    let failed = executor.block_on(service.oneshot(21));
    assert_eq!(failed.map_err(|error| error.attempts()), Err(1));
    // Relaxed: as above.
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn a_service_that_does_not_become_ready_runs_into_the_time_limit_and_a_fallback_answers() {
    #[derive(Clone)]
    struct NeverReady;

    impl Service<u32> for NeverReady {
        type Response = u32;
        type Error = &'static str;
        type Future = std::future::Ready<Result<u32, &'static str>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            Poll::Pending
        }

        fn call(&mut self, request: u32) -> Self::Future {
            std::future::ready(Ok(request))
        }
    }

    let executor = Executor::new();
    let config = PolicyConfig::NONE.attempt_timeout(SECOND).circuit_breaker(breaker(1));
    let policy = policy(config, &executor.clock());
    let typed = policy.typed().fallback(Fallback::value(7));
    assert_eq!(
        executor.block_on(PolicyLayer::new(typed).layer(NeverReady).oneshot(1)),
        Ok(7)
    );
    let state = policy.circuit_breaker().map(|breaker| breaker.current_state());
    assert_eq!(state, Some(CircuitState::Open));
}
