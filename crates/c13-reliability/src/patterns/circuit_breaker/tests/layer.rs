//! The breaker around tower services.

use super::*;
use crate::gate::Outcome;
use std::convert::Infallible;
use std::future::{Future, Ready, pending, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

type Refused = CircuitBreakerError<&'static str>;

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut cx())
}

/// A service that answers at once, but is ready only when told to be, and must be polled ready before each call.
#[derive(Clone)]
struct Picky {
    ready: Arc<AtomicBool>,
    polled: bool,
    calls: Arc<AtomicU64>,
}

impl Picky {
    fn new(ready: bool) -> Self {
        Self {
            ready: Arc::new(AtomicBool::new(ready)),
            polled: false,
            calls: Arc::default(),
        }
    }
}

impl Service<Result<u32, &'static str>> for Picky {
    type Response = u32;
    type Error = &'static str;
    type Future = Ready<Result<u32, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        // Relaxed: one thread.
        if self.ready.load(Ordering::Relaxed) {
            self.polled = true;
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn call(&mut self, answer: Result<u32, &'static str>) -> Self::Future {
        assert!(std::mem::take(&mut self.polled), "called without having been ready");
        // Relaxed: one thread.
        self.calls.fetch_add(1, Ordering::Relaxed);
        ready(answer)
    }
}

#[test]
fn results_go_through_and_are_recorded() {
    let bench = Bench::new(CircuitBreakerConfig::new().consecutive_failures(2));
    let mut service = CircuitBreakerLayer::new(bench.breaker.clone()).layer(Picky::new(true));
    let mut call = |answer| {
        assert!(service.poll_ready(&mut cx()).is_ready());
        match poll(pin!(service.call(answer))) {
            Poll::Ready(result) => result,
            Poll::Pending => panic!("it answers at once"),
        }
    };
    assert_eq!(call(Ok(1)), Ok(1));
    assert_eq!(call(Err("no")), Err(Refused::CallFailed("no")));
    assert_eq!(call(Err("no")), Err(Refused::CallFailed("no")));
    assert_eq!(
        call(Ok(1)),
        Err(Refused::CircuitOpen {
            retry_after: Some(secs(30.0))
        })
    );
    bench.wait(30.0);
    assert_eq!((call(Ok(1)), call(Ok(2))), (Ok(1), Ok(2)));
    bench.is(CircuitState::Closed);
}

#[test]
fn all_services_of_a_layer_share_the_circuit() {
    let bench = Bench::new(CircuitBreakerConfig::new().consecutive_failures(1));
    let layer = CircuitBreakerLayer::new(bench.breaker);
    let mut one = layer.layer(Picky::new(true));
    let clone = one.clone();
    assert!(one.poll_ready(&mut cx()).is_ready());
    let _ = poll(pin!(one.call(Err("no"))));
    for mut other in [clone, layer.layer(Picky::new(true))] {
        assert!(other.poll_ready(&mut cx()).is_ready());
        let refused = poll(pin!(other.call(Ok(1))));
        assert!(matches!(refused, Poll::Ready(Err(Refused::CircuitOpen { .. }))));
    }
}

#[test]
fn while_open_it_refuses_without_waiting_for_the_service_inside() {
    let bench = defaults();
    let inner = Picky::new(false);
    let calls = inner.calls.clone();
    let mut service = CircuitBreakerLayer::new(bench.breaker.clone()).layer(inner);
    assert!(service.poll_ready(&mut cx()).is_pending());
    bench.breaker.force_open();
    assert!(service.poll_ready(&mut cx()).is_ready());
    assert_eq!(
        poll(pin!(service.call(Ok(1)))),
        Poll::Ready(Err(Refused::CircuitOpen { retry_after: None }))
    );
    assert_eq!(
        (calls.load(Ordering::Relaxed), bench.breaker.metrics().rejection_count),
        (0, 1)
    );
}

#[test]
fn a_circuit_that_opens_its_doors_between_ready_and_call_does_not_reach_an_unready_service() {
    let bench = defaults();
    bench.calls("FFFFF").wait(29.9);
    let mut service = CircuitBreakerLayer::new(bench.breaker.clone()).layer(Picky::new(false));
    assert!(service.poll_ready(&mut cx()).is_ready());
    bench.wait(1.0);
    let refused = Refused::CircuitOpen {
        retry_after: Some(Duration::ZERO),
    };
    assert_eq!(poll(pin!(service.call(Ok(1)))), Poll::Ready(Err(refused)));
    assert!(
        service.poll_ready(&mut cx()).is_pending(),
        "from now on it waits for the service inside"
    );
}

#[test]
fn a_service_that_was_made_ready_and_not_used_serves_the_next_call() {
    let bench = defaults();
    let mut service = CircuitBreakerLayer::new(bench.breaker.clone()).layer(Picky::new(true));
    assert!(service.poll_ready(&mut cx()).is_ready());
    bench.breaker.force_open();
    assert!(poll(pin!(service.call(Ok(1)))).is_ready());
    bench.breaker.reset();
    assert!(service.poll_ready(&mut cx()).is_ready());
    assert_eq!(poll(pin!(service.call(Ok(1)))), Poll::Ready(Ok(1)));
}

#[test]
fn a_service_that_fails_to_become_ready_is_a_failed_call() {
    #[derive(Clone)]
    struct Broken;
    impl Service<()> for Broken {
        type Response = ();
        type Error = &'static str;
        type Future = Ready<Result<(), &'static str>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            Poll::Ready(Err("cannot connect"))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            unreachable!("it is never ready")
        }
    }
    let bench = defaults();
    let mut service = CircuitBreakerLayer::new(bench.breaker.clone()).layer(Broken);
    for _ in 0..5 {
        bench.is(CircuitState::Closed);
        assert_eq!(
            service.poll_ready(&mut cx()),
            Poll::Ready(Err(Refused::CallFailed("cannot connect")))
        );
    }
    bench.is(CircuitState::Open);
    assert!(matches!(service.poll_ready(&mut cx()), Poll::Ready(Ok(()))));
    assert!(matches!(
        poll(pin!(service.call(()))),
        Poll::Ready(Err(Refused::CircuitOpen { .. }))
    ));
}

#[test]
fn a_dropped_response_is_abandoned_and_a_panic_is_a_failure() {
    let bench = defaults();
    let layer = CircuitBreakerLayer::new(bench.breaker.clone());
    let mut waits = layer.layer(service_fn(|(): ()| pending::<Result<(), Infallible>>()));
    assert!(waits.poll_ready(&mut cx()).is_ready());
    drop(waits.call(()));
    assert_eq!(bench.breaker.metrics().abandoned_count, 1);
    let mut panics = layer.layer(service_fn(|(): ()| -> Ready<Result<(), Infallible>> { panic!("boom") }));
    assert!(panics.poll_ready(&mut cx()).is_ready());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(panics.call(()))));
    assert!(caught.is_err());
    assert_eq!(bench.breaker.metrics().failure_count, 1);
}

#[test]
fn a_classifier_says_what_responses_mean() {
    let bench = Bench::new(CircuitBreakerConfig::new().consecutive_failures(1));
    let layer = CircuitBreakerLayer::classified(bench.breaker.clone(), |answer: &Result<u32, &'static str>| {
        if matches!(answer, Ok(500..)) {
            Outcome::FAILURE
        } else {
            Outcome::of(answer)
        }
    });
    let mut service = layer.layer(Picky::new(true));
    assert!(service.poll_ready(&mut cx()).is_ready());
    assert_eq!(poll(pin!(service.call(Ok(503)))), Poll::Ready(Ok(503)));
    bench.is(CircuitState::Open);
}

#[test]
fn it_keeps_the_contract_over_a_concurrency_limit() {
    let executor = crate::time::Executor::seeded(3);
    let clock = executor.clock();
    let breaker = CircuitBreaker::with_config(CircuitBreakerConfig::default(), clock.clone()).expect("good");
    let service = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new(breaker.clone()))
        .layer(ConcurrencyLimitLayer::new(2))
        .service(service_fn(move |n: u64| {
            let clock = clock.clone();
            async move {
                clock.sleep(Duration::from_millis(10)).await;
                if n.is_multiple_of(3) { Err("no") } else { Ok(n) }
            }
        }));
    for n in 0..50 {
        let service = service.clone();
        executor.spawn(async move { service.oneshot(n).await });
    }
    executor.run_until_idle();
    let metrics = breaker.metrics();
    assert_eq!((executor.tasks(), metrics.total_requests), (0, 50));
    assert_eq!(metrics.abandoned_count, 0);
}

#[tokio::test]
async fn it_keeps_the_contract_over_a_buffer_and_with_a_dropped_readiness() {
    let breaker = CircuitBreaker::new(5, 2, secs(30.0));
    let service = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new(breaker.clone()))
        .buffer(4)
        .service(Picky::new(true));
    for n in 0..20 {
        let mut ready = service.clone();
        ready.ready().await.expect("the buffer is open");
        drop(ready);
        assert_eq!(service.clone().oneshot(Ok(n)).await.ok(), Some(n));
    }
    assert_eq!(breaker.metrics().success_count, 20);
}
