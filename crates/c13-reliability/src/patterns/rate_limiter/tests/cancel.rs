//! What dropping a waiter leaves behind, wherever it is dropped.

use super::*;
use std::pin::Pin;

/// A limiter that lets one in, and then another every so often.
#[derive(Clone)]
enum Kind {
    Bucket(TokenBucketRateLimiter),
    Window(SlidingWindowRateLimiter),
}

type Waiting = Pin<Box<dyn Future<Output = bool>>>;

impl Kind {
    /// One of each, and how often it lets somebody in.
    fn each(executor: &Executor) -> [(Self, Duration); 3] {
        let patience = Duration::from_secs(60);
        let window = |approximate| {
            let config = SlidingWindowConfig::new(1_000 * MS, 1)
                .max_wait(patience)
                .approximate(approximate);
            SlidingWindowRateLimiter::with_config(config, executor.clock()).expect("the test's settings make sense")
        };
        [
            (Self::Bucket(waiting(executor, 1, 1.0, patience)), 1_000 * MS),
            (Self::Window(window(false)), 1_000 * MS),
            // A whole window has to pass until nothing of the one before counts.
            (Self::Window(window(true)), 2_000 * MS),
        ]
    }

    fn try_acquire(&self) -> bool {
        match self {
            Self::Bucket(limiter) => limiter.try_acquire(1).is_ok(),
            Self::Window(limiter) => limiter.try_acquire().is_ok(),
        }
    }

    fn acquire(&self) -> Waiting {
        match self.clone() {
            Self::Bucket(limiter) => Box::pin(async move { limiter.acquire(1).await.is_ok() }),
            Self::Window(limiter) => Box::pin(async move { limiter.acquire().await.is_ok() }),
        }
    }

    fn admit(&self) -> Waiting {
        match self.clone() {
            Self::Bucket(limiter) => Box::pin(async move { limiter.admit().await.is_ok() }),
            Self::Window(limiter) => Box::pin(async move { limiter.admit().await.is_ok() }),
        }
    }

    fn reserve(&self) -> Waiting {
        match self.clone() {
            Self::Bucket(limiter) => Box::pin(async move {
                let Ok(reservation) = limiter.reserve(1) else {
                    return false;
                };
                reservation.redeem().await;
                true
            }),
            Self::Window(_) => self.acquire(),
        }
    }

    #[cfg(feature = "tower")]
    fn call(&self) -> Waiting {
        use tower::{Layer, ServiceExt, service_fn};
        let inner = service_fn(|()| std::future::ready(Ok::<_, ()>(())));
        match self.clone() {
            Self::Bucket(limiter) => {
                let service = RateLimitLayer::new(limiter).layer(inner);
                Box::pin(async move { service.oneshot(()).await.is_ok() })
            }
            Self::Window(limiter) => {
                let service = RateLimitLayer::new(limiter).layer(inner);
                Box::pin(async move { service.oneshot(()).await.is_ok() })
            }
        }
    }

    fn snapshot(&self) -> RateLimiterSnapshot {
        match self {
            Self::Bucket(limiter) => limiter.snapshot(),
            Self::Window(limiter) => limiter.snapshot(),
        }
    }
}

/// How often what is dropped is polled before: from never to until it is served.
const POLLS: u32 = 5;

/// Drops what `make` makes between one waiter before it and one behind it, after so many polls, half a period apart, and
/// sees that they are served as if it had never been there, or had been served.
fn dropped_at_each_await(make: impl Fn(&Kind) -> Waiting) {
    for kind in 0..3 {
        for polls in 0..=POLLS {
            for asked in [false, true] {
                let executor = Executor::new();
                let (limiter, period) = Kind::each(&executor)[kind].clone();
                let case = format!("kind {kind}, dropped after {polls} polls, asked: {asked}");
                assert!(limiter.try_acquire(), "{case}");
                let served = Rc::new(RefCell::new(Vec::new()));
                let spawn = |name| {
                    let (waiting, served, clock) = (limiter.acquire(), served.clone(), executor.clock());
                    executor.spawn(async move {
                        assert!(waiting.await);
                        served.borrow_mut().push((name, clock.now()));
                    });
                    executor.run_for(Duration::ZERO);
                };
                spawn("before");
                let mut cx = Context::from_waker(Waker::noop());
                let mut dropped = make(&limiter);
                let mut done = false;
                for poll in 0..POLLS {
                    if poll < polls {
                        done = dropped.as_mut().poll(&mut cx).is_ready();
                    }
                    if poll == 0 {
                        spawn("behind");
                    }
                    if poll < POLLS - 1 && poll < polls {
                        executor.run_for(period / 2);
                    }
                }
                if asked {
                    // Somebody who asks serves those whose time has come.
                    assert!(!limiter.try_acquire(), "{case}");
                }
                drop(dropped);
                assert_eq!(done, polls == POLLS, "{case}");
                executor.run_until_idle();
                let at = |periods: u32| Tick::ZERO + period * periods;
                let behind = at(if done { 3 } else { 2 });
                assert_eq!(*served.borrow(), [("before", at(1)), ("behind", behind)], "{case}");
                assert_eq!(executor.time().waiting(), 0, "{case}: a timer is left");
                executor.run_for(4 * period);
                let snapshot = limiter.snapshot();
                assert_eq!((snapshot.waiting, snapshot.available), (0, 1), "{case}");
                assert_eq!(snapshot.allowed, 3 + u64::from(done), "{case}");
                assert_eq!(snapshot.rejected, u64::from(asked), "{case}");
            }
        }
    }
}

#[test]
fn a_waiter_dropped_at_any_await_takes_nothing_with_it() {
    dropped_at_each_await(Kind::acquire);
}

#[test]
fn a_waiter_at_a_gate_dropped_at_any_await_takes_nothing_with_it() {
    dropped_at_each_await(Kind::admit);
}

#[test]
fn a_reservation_dropped_at_any_await_takes_nothing_with_it() {
    dropped_at_each_await(Kind::reserve);
}

#[cfg(feature = "tower")]
#[test]
fn a_call_through_a_layer_dropped_at_any_await_takes_nothing_with_it() {
    dropped_at_each_await(Kind::call);
}

#[test]
fn a_crowd_of_waiters_that_all_leave_leaves_nothing() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 3, 1.0, Duration::from_secs(3_600));
    assert!(limiter.try_acquire(3).is_ok());
    let mut crowd: Vec<_> = (0..500).map(|n| Box::pin(limiter.acquire(1 + n % 3))).collect();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(
        crowd
            .iter_mut()
            .all(|waiter| waiter.as_mut().poll(&mut cx).is_pending())
    );
    assert_eq!(limiter.snapshot().waiting, 500);
    while !crowd.is_empty() {
        drop(crowd.swap_remove(crowd.len() / 3));
    }
    assert_eq!((limiter.snapshot().waiting, executor.time().waiting()), (0, 0));
    executor.run_for(3_000 * MS);
    assert_eq!(limiter.try_acquire(3), Ok(()));
}

#[test]
fn a_waiter_that_was_served_and_is_not_polled_holds_up_newcomers_for_a_few_periods_at_most() {
    for kind in 0..3 {
        let executor = Executor::new();
        let (limiter, period) = Kind::each(&executor)[kind].clone();
        assert!(limiter.try_acquire(), "kind {kind}");
        let mut kept = limiter.acquire();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(kept.as_mut().poll(&mut cx).is_pending(), "kind {kind}");
        // The first newcomer serves the one that is kept.
        executor.run_for(period);
        for n in 1..=3 {
            let served = executor.block_on(executor.clock().timeout(4 * period, limiter.acquire()));
            assert_eq!(served, Ok(true), "kind {kind}, newcomer {n}");
        }
        let kept = executor.block_on(executor.clock().timeout(4 * period, kept));
        assert_eq!(kept, Ok(true), "kind {kind}");
        executor.run_for(4 * period);
        let snapshot = limiter.snapshot();
        assert_eq!((snapshot.waiting, snapshot.available), (0, 1), "kind {kind}");
    }
}
