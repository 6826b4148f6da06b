//! A limiter as a tower layer.

use super::error::RateLimitError;
use super::sliding_window::SlidingWindowRateLimiter;
use super::token_bucket::{ShardedRateLimiter, TokenBucketRateLimiter};
use super::waiting::{self, Waitable};
use crate::gate::Refusal;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_layer::Layer;
use tower_service::Service;

/// A limiter of any kind, as a layer takes it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Limiter {
    /// A token bucket; a call takes one token.
    TokenBucket(TokenBucketRateLimiter),
    /// A token bucket for many threads; a call takes one token.
    Sharded(ShardedRateLimiter),
    /// A sliding window.
    SlidingWindow(SlidingWindowRateLimiter),
}

impl From<TokenBucketRateLimiter> for Limiter {
    fn from(limiter: TokenBucketRateLimiter) -> Self {
        Self::TokenBucket(limiter)
    }
}

impl From<ShardedRateLimiter> for Limiter {
    fn from(limiter: ShardedRateLimiter) -> Self {
        Self::Sharded(limiter)
    }
}

impl From<SlidingWindowRateLimiter> for Limiter {
    fn from(limiter: SlidingWindowRateLimiter) -> Self {
        Self::SlidingWindow(limiter)
    }
}

/// A wait for a limiter, boxed to have a name; most calls need none.
type Admission = Pin<Box<dyn Future<Output = Result<(), RateLimitError>> + Send>>;

impl Limiter {
    /// Asks the limiter for a call.
    fn ask(&self) -> Result<(), Asked> {
        match self {
            Self::TokenBucket(limiter) => ask(limiter.shared()),
            Self::Sharded(limiter) => limiter.try_acquire(1).map_err(Asked::Refused),
            Self::SlidingWindow(limiter) => ask(limiter.shared()),
        }
    }
}

fn ask<S: Waitable + Send + Sync + 'static>(shared: &Arc<S>) -> Result<(), Asked> {
    match waiting::take_or_wait(shared.clone(), 1) {
        Ok(None) => Ok(()),
        Ok(Some(wait)) => {
            let shared = shared.clone();
            Err(Asked::Waits(Box::pin(async move {
                let result = match wait.in_time() {
                    Ok(wait) => wait.await,
                    Err(refused) => Err(refused),
                };
                shared.counts().settle(result)
            })))
        }
        Err(error) => Err(Asked::Refused(error)),
    }
}

/// What a limiter says to a call that it does not admit at once.
enum Asked {
    Refused(RateLimitError),
    Waits(Admission),
}

/// Puts a limiter before a service.
///
/// All services that it makes share the one limiter it was given. A call that the limiter refuses ends with
/// [`Refusal::Rejected`]; one that it lets wait takes the service with it that was polled ready.
///
/// ```
/// use c13_reliability::patterns::rate_limiter::{RateLimitLayer, TokenBucketRateLimiter};
///
/// let layer = RateLimitLayer::new(TokenBucketRateLimiter::new(100, 50.0));
/// # let _ = layer;
/// ```
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    limiter: Limiter,
}

impl RateLimitLayer {
    /// A layer for `limiter`, whose clones outside still show how it stands.
    #[must_use]
    pub fn new(limiter: impl Into<Limiter>) -> Self {
        Self {
            limiter: limiter.into(),
        }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimitService<S>;

    fn layer(&self, inner: S) -> RateLimitService<S> {
        RateLimitService {
            inner,
            limiter: self.limiter.clone(),
        }
    }
}

/// A service behind a limiter; made by [`RateLimitLayer`].
#[derive(Clone, Debug)]
pub struct RateLimitService<S> {
    inner: S,
    limiter: Limiter,
}

impl<S, R> Service<R> for RateLimitService<S>
where
    S: Service<R> + Clone,
{
    type Response = S::Response;
    type Error = Refusal<RateLimitError, S::Error>;
    type Future = RateLimitFuture<S, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Refusal::Failed)
    }

    fn call(&mut self, request: R) -> RateLimitFuture<S, R> {
        let state = match self.limiter.ask() {
            Ok(()) => State::Running {
                response: self.inner.call(request),
            },
            // The service inside stays ready for the next call.
            Err(Asked::Refused(error)) => State::Refused { error },
            Err(Asked::Waits(admission)) => {
                // The one that was polled ready waits; the clone has to become ready anew.
                let clone = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, clone);
                State::Waiting {
                    admission,
                    work: Some((ready, request)),
                }
            }
        };
        RateLimitFuture { state }
    }
}

pin_project! {
    /// The response of a service behind a limiter.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives up the place in the limiter's queue, or drops the response inside.
    #[must_use = "futures do nothing unless awaited"]
    pub struct RateLimitFuture<S, R>
    where
        S: Service<R>,
    {
        #[pin]
        state: State<S, R>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, R>
    where
        S: Service<R>,
    {
        Waiting { admission: Admission, work: Option<(S, R)> },
        Running { #[pin] response: S::Future },
        Refused { error: RateLimitError },
    }
}

impl<S, R> Future for RateLimitFuture<S, R>
where
    S: Service<R>,
{
    type Output = Result<S::Response, Refusal<RateLimitError, S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Waiting { admission, work } => {
                    if let Err(error) = ready!(admission.as_mut().poll(cx)) {
                        return Poll::Ready(Err(Refusal::Rejected(error)));
                    }
                    let Some((mut service, request)) = work.take() else {
                        panic!("a response was polled after it was there");
                    };
                    let response = service.call(request);
                    state.set(State::Running { response });
                }
                StateProjection::Running { response } => return response.poll(cx).map_err(Refusal::Failed),
                StateProjection::Refused { error } => return Poll::Ready(Err(Refusal::Rejected(*error))),
            }
        }
    }
}

impl<S, R> fmt::Debug for RateLimitFuture<S, R>
where
    S: Service<R>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitFuture").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use crate::patterns::rate_limiter::{RateLimiterConfig, SlidingWindowConfig};
    use crate::time::{Executor, Tick};
    use std::cell::Cell;
    use std::rc::Rc;
    use std::task::Waker;
    use std::time::Duration;
    use tower::{ServiceBuilder, ServiceExt, service_fn};

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
