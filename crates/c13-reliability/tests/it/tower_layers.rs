//! One contract for every tower layer: readiness, clones, errors and dropped responses, over a service that checks how it
//! is used, over `ConcurrencyLimit`, and over `Buffer`.

#![cfg(feature = "tower")]

use c13_reliability::gate::GateLayer;
use c13_reliability::patterns::adaptive::{AdaptiveConfig, AdaptiveLimit, Algorithm};
use c13_reliability::patterns::bulkhead::{Bulkhead, BulkheadConfig};
use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer};
use c13_reliability::patterns::fallback::{Fallback, FallbackLayer};
use c13_reliability::patterns::hedge::{Hedge, HedgeConfig, HedgeDelay, HedgeLayer};
use c13_reliability::patterns::rate_limiter::{RateLimitLayer, RateLimiterConfig, TokenBucketRateLimiter};
use c13_reliability::patterns::retry::{RetryConfig, RetryError, RetryExecutor, RetryLayer, RetryStrategy, Verdict};
use c13_reliability::patterns::timeout::{Timeout, TimeoutConfig, TimeoutError, TimeoutLayer};
use c13_reliability::time::{Clock, Deadline, Executor};
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
/// Requests from here on never get an answer.
const HANG: u32 = 1_000;

/// A service that must be polled ready before each call, and a clone of it anew. It answers odd numbers after 1 ms and fails
/// even ones.
struct Strict {
    clock: Clock,
    is_ready: bool,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU32,
    running: AtomicU32,
}

impl Strict {
    fn new(clock: Clock) -> Self {
        Self {
            clock,
            is_ready: false,
            counts: Arc::default(),
        }
    }
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            is_ready: false,
            counts: self.counts.clone(),
        }
    }
}

/// Counts a response as long as it lives.
struct Running(Arc<Counts>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Service<u32> for Strict {
    type Response = u32;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<u32, &'static str>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "it was not polled ready");
        self.counts.calls.fetch_add(1, Ordering::Relaxed);
        self.counts.running.fetch_add(1, Ordering::Relaxed);
        let (clock, running) = (self.clock.clone(), Running(self.counts.clone()));
        Box::pin(async move {
            let _running = running;
            if request >= HANG {
                std::future::pending::<()>().await;
            }
            clock.sleep(MS).await;
            if request.is_multiple_of(2) {
                Err("even")
            } else {
                Ok(request)
            }
        })
    }
}

/// Many calls at once, through clones and through services that are used again; then calls that are dropped.
fn keeps_the_contract<S>(executor: &Executor, service: S, counts: &Arc<Counts>)
where
    S: Service<u32, Response = u32, Error: Debug> + Clone + 'static,
{
    for request in 0..40 {
        let mut service = service.clone();
        executor.spawn(async move {
            for request in [request, request + 1] {
                let ready = service.ready().await.expect("it becomes ready");
                let result = ready.call(request).await;
                if request % 2 == 1 {
                    assert_eq!(result.ok(), Some(request));
                } else {
                    assert!(format!("{result:?}").contains("even"), "{result:?}");
                }
            }
        });
    }
    executor.run_until_idle();
    assert_eq!(executor.tasks(), 0, "every call has ended");
    assert!(counts.calls.load(Ordering::Relaxed) >= 80);
    assert_eq!(counts.running.load(Ordering::Relaxed), 0);

    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..40 {
        let mut service = service.clone();
        assert!(service.poll_ready(&mut cx).is_ready(), "what was dropped is free again");
        let mut call = Box::pin(service.call(HANG));
        assert!(call.as_mut().poll(&mut cx).is_pending());
        executor.run_for(3 * MS);
        assert!(call.as_mut().poll(&mut cx).is_pending());
        assert!(counts.running.load(Ordering::Relaxed) > 0);
        drop(call);
        assert_eq!(counts.running.load(Ordering::Relaxed), 0, "what runs inside is dropped");
    }
    assert_eq!(executor.time().waiting(), 0, "no timer is left");
}

/// A buffer in front of the service, on a real runtime, where readiness is dropped now and then.
async fn works_over_a_buffer<S>(service: S)
where
    S: Service<u32, Response = u32, Error: Debug> + Clone,
{
    for request in 0..20 {
        let mut unused = service.clone();
        unused.ready().await.expect("the buffer is open");
        drop(unused);
        let result = service.clone().oneshot(request).await;
        assert_eq!(result.is_ok(), request % 2 == 1, "{result:?}");
    }
}

/// The contract for the layer that the expression makes for a clock, over each kind of service.
macro_rules! contract {
    ($name:ident, $layer:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn is_kept_over_a_strict_service() {
                let executor = Executor::seeded(1);
                let inner = Strict::new(executor.clock());
                let counts = inner.counts.clone();
                let service = ServiceBuilder::new()
                    .layer($layer(executor.clock()))
                    .service(inner);
                keeps_the_contract(&executor, service, &counts);
            }

            #[test]
            fn is_kept_over_a_concurrency_limit() {
                let executor = Executor::seeded(2);
                let inner = Strict::new(executor.clock());
                let counts = inner.counts.clone();
                let service = ServiceBuilder::new()
                    .layer($layer(executor.clock()))
                    .service(ConcurrencyLimit::new(inner, 3));
                keeps_the_contract(&executor, service, &counts);
            }

            #[tokio::test]
            async fn is_kept_over_a_buffer() {
                let clock = Clock::system();
                let service = ServiceBuilder::new()
                    .layer($layer(clock.clone()))
                    .buffer(4)
                    .service(Strict::new(clock));
                works_over_a_buffer(service).await;
            }
        }
    };
}

contract!(timeout, |clock| {
    let config = TimeoutConfig::new(Duration::from_secs(60));
    TimeoutLayer::new(Timeout::with_config(config, clock).expect("good"))
});

contract!(retry, |clock| {
    let config = RetryConfig::new(2, RetryStrategy::FixedDelay(MS)).without_budget();
    RetryLayer::new(RetryExecutor::with_config(config, clock).expect("good"))
});

contract!(hedge, |clock| {
    let config = HedgeConfig::new(HedgeDelay::Fixed(2 * MS)).without_budget();
    HedgeLayer::new(Hedge::with_config(config, clock).expect("good"))
});

contract!(fallback, |_clock| FallbackLayer::new(Fallback::nothing()));

contract!(bulkhead, |clock| {
    let config = BulkheadConfig::new(2).queue(1_000, Duration::from_secs(60));
    GateLayer::new(Bulkhead::with_config(config, clock).expect("good"))
});

contract!(adaptive, |clock| {
    let config = AdaptiveConfig::new(Algorithm::GRADIENT).queue(1_000, Duration::from_secs(60));
    GateLayer::new(AdaptiveLimit::with_config(config, clock).expect("good"))
});

contract!(rate_limiter, |clock| {
    let config = RateLimiterConfig::new(1_000.0, 5).max_wait(Duration::from_secs(60));
    RateLimitLayer::new(TokenBucketRateLimiter::with_config(config, clock).expect("good"))
});

contract!(circuit_breaker, |clock| {
    let config = CircuitBreakerConfig::new().consecutive_failures(1_000);
    CircuitBreakerLayer::new(CircuitBreaker::with_config(config, clock).expect("good"))
});

#[test]
fn a_gate_that_never_waits_stands_before_a_service_that_cannot_be_cloned() {
    struct NoClone(u32);
    let own = NoClone(40);
    let inner = service_fn(move |n: u32| std::future::ready(Ok::<_, &str>(own.0 + n)));
    let service = CircuitBreakerLayer::new(CircuitBreaker::new(5, 2, Duration::from_secs(30))).layer(inner);
    assert_eq!(Executor::new().block_on(service.oneshot(2)), Ok(42));
}

#[test]
fn a_gate_clones_the_service_only_for_a_call_that_waits() {
    struct Cloned(Arc<AtomicU32>);
    impl Clone for Cloned {
        fn clone(&self) -> Self {
            self.0.fetch_add(1, Ordering::Relaxed);
            Self(self.0.clone())
        }
    }
    let clones = Arc::new(AtomicU32::new(0));
    let counted = Cloned(clones.clone());
    let inner = service_fn(move |(): ()| {
        let _counted = &counted;
        std::future::pending::<Result<(), &str>>()
    });
    let config = BulkheadConfig::new(1);
    let bulkhead = Bulkhead::with_config(config, Clock::system()).expect("good");
    let mut service = GateLayer::new(bulkhead.clone()).layer(inner);
    let mut cx = Context::from_waker(Waker::noop());
    let mut call = || {
        assert!(service.poll_ready(&mut cx).is_ready());
        Box::pin(service.call(()))
    };
    let (running, mut refused) = (call(), call());
    assert_eq!((bulkhead.in_flight(), clones.load(Ordering::Relaxed)), (1, 0));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(refused.as_mut().poll(&mut cx), Poll::Ready(Err(_))));
    bulkhead
        .reconfigure(config.queue(1, Duration::from_secs(60)))
        .expect("good");
    let waiting = call();
    assert_eq!(clones.load(Ordering::Relaxed), 1, "a queue has been added");
    drop((running, waiting));
    assert_eq!(bulkhead.in_flight(), 0);
}

#[test]
fn a_retried_request_goes_to_the_same_service_and_holds_nothing_while_it_waits() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = RetryConfig::new(1, RetryStrategy::FixedDelay(100 * MS));
    let retry = RetryExecutor::with_config(config, clock.clone()).expect("good");
    let inner = Strict::new(clock);
    let counts = inner.counts.clone();
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(retry.clone()))
        .service(ConcurrencyLimit::new(inner, 1));
    let failing = executor.spawn(service.clone().oneshot(2));
    executor.run_for(50 * MS);
    let other = executor.block_on(service.oneshot(1));
    assert_eq!(other.ok(), Some(1), "the one place is free while the first call waits");
    let failed = executor.block_on(failing).expect_err("both attempts fail");
    assert_eq!((failed.attempts(), failed.into_last_error()), (2, Some("even")));
    assert_eq!((counts.calls.load(Ordering::Relaxed), retry.snapshot().retries), (3, 1));
}

#[test]
fn a_request_that_cannot_be_cloned_is_made_once() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = RetryConfig::new(3, RetryStrategy::FixedDelay(MS));
    let retry = RetryExecutor::with_config(config, clock.clone()).expect("good");
    let layer = RetryLayer::cloning(retry, Verdict::of::<u32, &'static str>, |_: &u32| None);
    let service = ServiceBuilder::new().layer(layer).service(Strict::new(clock));
    let failed = executor.block_on(service.oneshot(2)).expect_err("it fails");
    assert_eq!(failed.attempts(), 1);
}

#[test]
fn a_request_of_which_no_copy_was_kept_is_the_last_although_more_are_allowed_by_now() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = |retries| RetryConfig::new(retries, RetryStrategy::FixedDelay(MS));
    let retry = RetryExecutor::with_config(config(0), clock.clone()).expect("good");
    let service = RetryLayer::new(retry.clone()).layer(Strict::new(clock));
    let call = executor.spawn(service.clone().oneshot(2));
    executor.run_until(executor.clock().now());
    assert_eq!(retry.reconfigure(config(3)), Ok(()));
    let attempts = |failed: Result<u32, RetryError<&str>>| failed.expect_err("it fails").attempts();
    assert_eq!(attempts(executor.block_on(call)), 1);
    assert_eq!(retry.snapshot().max_retries_exceeded, 1);
    assert_eq!(attempts(executor.block_on(service.oneshot(2))), 4, "the next call");
}

#[test]
fn a_full_bulkhead_never_calls_the_service_and_says_so() {
    let executor = Executor::new();
    let inner = Strict::new(executor.clock());
    let counts = inner.counts.clone();
    let bulkhead = Bulkhead::new(1);
    let service = ServiceBuilder::new()
        .layer(GateLayer::new(bulkhead.clone()))
        .service(inner);
    let mut cx = Context::from_waker(Waker::noop());
    let mut held = Box::pin(service.clone().oneshot(HANG));
    assert!(held.as_mut().poll(&mut cx).is_pending());
    let refused = executor.block_on(service.oneshot(1)).expect_err("it is full");
    assert_eq!(refused.to_string(), "the bulkhead is full, its limit is 1");
    assert_eq!(counts.calls.load(Ordering::Relaxed), 1);
    drop(held);
    assert_eq!(bulkhead.in_flight(), 0);
}

#[test]
fn a_hedge_goes_to_a_clone_that_was_polled_ready() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = HedgeConfig::new(HedgeDelay::Fixed(Duration::ZERO)).max_extra(3);
    let hedge = Hedge::with_config(config, clock.clone()).expect("good");
    let inner = Strict::new(clock);
    let counts = inner.counts.clone();
    let service = ServiceBuilder::new()
        .layer(HedgeLayer::new(hedge))
        .service(ConcurrencyLimit::new(inner, 2));
    assert_eq!(executor.block_on(service.oneshot(1)).ok(), Some(1));
    assert_eq!(counts.calls.load(Ordering::Relaxed), 2, "the limit inside lets two run");
    assert_eq!(counts.running.load(Ordering::Relaxed), 0);
}

#[test]
fn a_fallback_answers_for_a_service() {
    let executor = Executor::new();
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new(Fallback::value(7)))
        .service(Strict::new(executor.clock()));
    assert_eq!(executor.block_on(service.oneshot(2)), Ok(7));
}

// LL-05.
#[test]
fn a_response_dropped_in_the_queue_or_after_its_turn_came_lets_the_next_one_run() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = BulkheadConfig::new(1).queue(4, Duration::from_secs(60));
    let bulkhead = Bulkhead::with_config(config, clock.clone()).expect("good");
    let inner = Strict::new(clock);
    let counts = inner.counts.clone();
    let service = ServiceBuilder::new()
        .layer(GateLayer::new(bulkhead.clone()))
        .service(inner);
    let mut cx = Context::from_waker(Waker::noop());
    let mut calls: Vec<_> = (0..4).map(|_| Some(Box::pin(service.clone().oneshot(HANG)))).collect();
    for call in calls.iter_mut().flatten() {
        assert!(call.as_mut().poll(&mut cx).is_pending());
    }
    let in_use = || (bulkhead.snapshot().calls.in_flight, bulkhead.snapshot().calls.queued);
    assert_eq!(in_use(), (1, 3));
    calls[1] = None;
    assert_eq!(in_use(), (1, 2), "it was queued");
    calls[0] = None;
    assert_eq!(in_use(), (1, 1), "the next has its turn, and has not been polled since");
    calls[2] = None;
    assert_eq!(in_use(), (1, 0), "it passed its turn on");
    assert_eq!(
        counts.calls.load(Ordering::Relaxed),
        1,
        "nobody but the first was called yet"
    );
    let last = calls[3].as_mut().expect("it is still there");
    assert!(last.as_mut().poll(&mut cx).is_pending());
    assert_eq!(counts.calls.load(Ordering::Relaxed), 2);
    calls[3] = None;
    assert_eq!((in_use(), counts.running.load(Ordering::Relaxed)), ((0, 0), 0));
}

#[test]
fn a_service_is_not_called_after_the_deadline_and_sees_the_limit_when_it_is() {
    let executor = Executor::new();
    let clock = executor.clock();
    let timeout = Timeout::with_config(TimeoutConfig::new(30 * MS), clock.clone()).expect("good");
    let seen = Arc::new(AtomicU32::new(0));
    let (reader, inner) = (clock.clone(), seen.clone());
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(timeout))
        .service_fn(move |request: u32| {
            // As a layer does that writes what is left into a header.
            let left = Deadline::current(&reader).map(|deadline| deadline.remaining(&reader));
            inner.store(left.map_or(0, |left| left.as_millis() as u32), Ordering::Relaxed);
            std::future::ready(Ok::<_, ()>(request))
        });
    assert_eq!(executor.block_on(service.clone().oneshot(1)), Ok(1));
    assert_eq!(seen.load(Ordering::Relaxed), 30);
    for (left, expected) in [(10 * MS, Ok(1)), (Duration::ZERO, Err(TimeoutError::DeadlineExceeded))] {
        seen.store(77, Ordering::Relaxed);
        let call = Deadline::after(&clock, left).scope(service.clone().oneshot(1));
        assert_eq!(executor.block_on(call), expected);
        assert_eq!(seen.load(Ordering::Relaxed), if left.is_zero() { 77 } else { 10 });
    }
}
