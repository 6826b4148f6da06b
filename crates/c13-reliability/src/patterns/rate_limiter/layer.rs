//! A limiter as a tower layer.

use crate::gate::{self, ByResult, GateLayer, GateService};

/// Puts a limiter of any kind before a service; a call takes one token. See [`GateLayer`].
///
/// ```
/// use c13_reliability::patterns::rate_limiter::{RateLimitLayer, TokenBucketRateLimiter};
///
/// let layer = RateLimitLayer::new(TokenBucketRateLimiter::new(100, 50.0));
/// # let _ = layer;
/// ```
pub type RateLimitLayer<L> = GateLayer<L>;

/// A service behind a limiter; made by [`RateLimitLayer`].
pub type RateLimitService<S, L> = GateService<S, L>;

/// The response of a service behind a limiter.
pub type RateLimitFuture<S, L, R> = gate::ResponseFuture<S, L, ByResult, R>;

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use crate::gate::Refusal;
    use crate::patterns::rate_limiter::{
        RateLimitError, RateLimiterConfig, ShardedRateLimiter, SlidingWindowConfig, SlidingWindowRateLimiter,
        TokenBucketRateLimiter,
    };
    use crate::time::{Executor, Tick};
    use std::cell::Cell;
    use std::future::Future;
    use std::rc::Rc;
    use std::task::{Context, Waker};
    use std::time::Duration;
    use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

    const MS: Duration = Duration::from_millis(1);

    fn bucket(executor: &Executor, max_wait: Duration) -> TokenBucketRateLimiter {
        let config = RateLimiterConfig::new(10.0, 2).max_wait(max_wait);
        TokenBucketRateLimiter::with_config(config, executor.clock()).expect("the test's settings make sense")
    }

    async fn twice(n: u32) -> Result<u32, &'static str> {
        if n == 13 { Err("unlucky") } else { Ok(2 * n) }
    }

    #[test]
    fn a_layer_refuses_what_the_limiter_refuses_and_all_its_services_share_it() {
        let executor = Executor::new();
        let limiter = bucket(&executor, Duration::ZERO);
        let layer = RateLimitLayer::new(limiter.clone());
        executor.block_on(async {
            assert_eq!(layer.layer(service_fn(twice)).oneshot(4).await, Ok(8));
            assert_eq!(
                layer.layer(service_fn(twice)).oneshot(13).await,
                Err(Refusal::Failed("unlucky"))
            );
            let refused = layer.layer(service_fn(twice)).oneshot(4).await;
            assert!(matches!(
                refused,
                Err(Refusal::Rejected(RateLimitError::RateLimitExceeded { .. }))
            ));
        });
        assert_eq!((limiter.snapshot().allowed, limiter.snapshot().rejected), (2, 1));
    }

    #[test]
    fn a_call_that_may_wait_takes_the_ready_service_with_it() {
        let executor = Executor::new();
        let limiter = bucket(&executor, 1_000 * MS);
        let clock = executor.clock();
        // Of tower's own limit only a service that was polled ready may be called.
        let mut service = ServiceBuilder::new()
            .layer(RateLimitLayer::new(limiter))
            .concurrency_limit(5)
            .service_fn(twice);
        let at = executor.block_on(async {
            for n in 0..4 {
                assert_eq!(service.ready().await.unwrap().call(n).await, Ok(2 * n));
            }
            clock.now()
        });
        assert_eq!(at, Tick::ZERO + 200 * MS);
    }

    #[test]
    fn a_dropped_call_gives_its_place_back_and_never_reaches_the_service() {
        let executor = Executor::new();
        let config = SlidingWindowConfig::new(100 * MS, 1).max_wait(1_000 * MS);
        let limiter = SlidingWindowRateLimiter::with_config(config, executor.clock()).unwrap();
        let called = Rc::new(Cell::new(0));
        let count = called.clone();
        let service = service_fn(move |(): ()| {
            count.set(count.get() + 1);
            async { Ok::<_, ()>(()) }
        });
        let mut service = RateLimitLayer::new(limiter.clone()).layer(service);
        let mut cx = Context::from_waker(Waker::noop());
        let mut call = || {
            assert!(Service::<()>::poll_ready(&mut service, &mut cx).is_ready());
            let mut future = Box::pin(service.call(()));
            let polled = future.as_mut().poll(&mut cx);
            (future, polled.is_ready())
        };
        let (first, second) = (call(), call());
        assert!(first.1 && !second.1);
        assert_eq!(limiter.snapshot().waiting, 1);
        drop(second);
        assert_eq!((limiter.snapshot().waiting, called.get()), (0, 1));
    }

    #[test]
    fn every_kind_of_limiter_makes_a_layer() {
        let executor = Executor::new();
        let sharded = ShardedRateLimiter::with_config(RateLimiterConfig::new(1.0, 2_000), executor.clock()).unwrap();
        executor.block_on(async {
            let layer = RateLimitLayer::new(sharded.clone());
            assert_eq!(layer.layer(service_fn(twice)).oneshot(1).await, Ok(2));
        });
        assert_eq!(sharded.snapshot().allowed, 1);
    }
}
