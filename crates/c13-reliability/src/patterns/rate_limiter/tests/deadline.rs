//! What the deadline of who asks means for its wait.

use super::*;
use crate::time::{Deadline, WithDeadline};

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

fn left<F: Future>(executor: &Executor, left: Duration, future: F) -> WithDeadline<F> {
    Deadline::after(&executor.clock(), left).scope(future)
}

#[test]
fn a_wait_that_would_last_until_the_deadline_is_refused_at_its_start() {
    for (room, may_wait) in [(SECOND / 5, false), (SECOND, false), (SECOND + NANO, true)] {
        let executor = Executor::new();
        let window = SlidingWindowConfig::new(SECOND, 1).max_wait(60 * SECOND);
        let window = SlidingWindowRateLimiter::with_config(window, executor.clock()).unwrap();
        let bucket = waiting(&executor, 1, 1.0, 60 * SECOND);
        assert!(bucket.try_acquire(1).is_ok() && window.try_acquire().is_ok());
        let expected = if may_wait { Ok(()) } else { Err(exceeded(1, 0, SECOND)) };
        let (of_bucket, of_window) = (bucket.clone(), window.clone());
        let of_bucket = executor.spawn(left(&executor, room, async move { of_bucket.acquire(1).await }));
        let of_window = executor.spawn(left(&executor, room, async move { of_window.acquire().await }));
        executor.run_for(Duration::ZERO);
        assert_eq!(of_bucket.is_done(), !may_wait, "{room:?} left");
        executor.run_until_idle();
        assert_eq!(
            [of_bucket.take(), of_window.take()],
            [Some(expected); 2],
            "{room:?} left"
        );
        let ended = Tick::ZERO + if may_wait { SECOND } else { Duration::ZERO };
        assert_eq!(executor.time().now(), ended, "{room:?} left");
        for snapshot in [bucket.snapshot(), window.snapshot()] {
            let counts = (snapshot.allowed, snapshot.rejected, snapshot.waiting);
            let allowed = 1 + u64::from(may_wait);
            assert_eq!(counts, (allowed, 2 - allowed, 0), "{room:?} left");
        }
        if !may_wait {
            executor.run_for(SECOND);
            assert!(
                bucket.try_acquire(1).is_ok() && window.try_acquire().is_ok(),
                "nothing was taken"
            );
        }
    }
}

#[test]
fn a_newcomer_counts_the_waiters_ahead_of_it_when_it_checks_its_deadline() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 2, 1.0, 60 * SECOND);
    assert!(limiter.try_acquire(2).is_ok());
    let first = limiter.clone();
    let first = executor.spawn(async move { first.acquire(2).await });
    executor.run_for(Duration::ZERO);
    let refused = executor.block_on(left(&executor, 2 * SECOND, limiter.acquire(1)));
    assert_eq!(refused, Err(exceeded(1, 0, 3 * SECOND)));
    assert_eq!(executor.time().now(), Tick::ZERO);
    let served = executor.block_on(left(&executor, 4 * SECOND, limiter.acquire(1)));
    assert_eq!((served, first.take()), (Ok(()), Some(Ok(()))));
    assert_eq!(executor.time().now(), Tick::ZERO + 3 * SECOND);
}

#[test]
fn a_waiter_whose_turn_is_put_off_stays_in_the_queue_no_longer_than_until_its_deadline() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 1, 1.0, 60 * SECOND);
    assert!(limiter.try_acquire(1).is_ok());
    let spawn = |deadline: Option<Duration>| {
        let (limiter, clock) = (limiter.clone(), executor.clock());
        let asks = async move { (limiter.acquire(1).await.is_ok(), clock.now()) };
        let task = match deadline {
            Some(deadline) => executor.spawn(left(&executor, deadline, asks)),
            None => executor.spawn(asks),
        };
        executor.run_for(Duration::ZERO);
        task
    };
    let (patient, hurried) = (spawn(None), spawn(Some(3 * SECOND)));
    executor.run_for(SECOND / 2);
    let slower = limiter.config();
    limiter
        .reconfigure(RateLimiterConfig { rate: 0.05, ..slower })
        .expect("the settings are good");
    executor.run_until_idle();
    assert_eq!(hurried.take(), Some((false, Tick::ZERO + 3 * SECOND - NANO)));
    assert!(patient.take().is_some_and(|(served, _)| served));
    let snapshot = limiter.snapshot();
    assert_eq!((snapshot.allowed, snapshot.rejected, snapshot.waiting), (2, 1, 0));
}

#[test]
fn the_limits_own_max_wait_counts_where_it_is_shorter_than_the_deadline() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 1, 1.0, SECOND / 2);
    assert!(limiter.try_acquire(1).is_ok());
    let refused = executor.block_on(left(&executor, 60 * SECOND, limiter.acquire(1)));
    assert_eq!(refused, Err(exceeded(1, 0, SECOND)));
    assert_eq!(executor.time().now(), Tick::ZERO);
}

#[test]
fn a_call_that_need_not_wait_does_not_look_at_its_deadline() {
    let executor = Executor::new();
    let limiter = waiting(&executor, 1, 1.0, SECOND);
    assert_eq!(
        executor.block_on(left(&executor, Duration::ZERO, limiter.acquire(1))),
        Ok(())
    );
}

#[cfg(feature = "tower")]
#[test]
fn a_call_through_a_layer_heeds_the_deadline_of_the_task_that_polls_it() {
    use crate::gate::Refusal;
    use tower::{Layer, Service, service_fn};
    for (room, may_wait) in [(SECOND, false), (SECOND + NANO, true)] {
        let executor = Executor::new();
        let limiter = waiting(&executor, 1, 1.0, 60 * SECOND);
        assert!(limiter.try_acquire(1).is_ok());
        let mut service =
            RateLimitLayer::new(limiter.clone()).layer(service_fn(|()| std::future::ready(Ok::<_, ()>(()))));
        assert!(Service::<()>::poll_ready(&mut service, &mut Context::from_waker(Waker::noop())).is_ready());
        // It is queued before it has a deadline.
        let call = service.call(());
        assert_eq!(limiter.snapshot().waiting, 1);
        let result = executor.block_on(left(&executor, room, call));
        if may_wait {
            assert_eq!(result, Ok(()));
        } else {
            assert_eq!(result, Err(Refusal::Rejected(exceeded(1, 0, SECOND))));
            assert_eq!(executor.time().now(), Tick::ZERO);
        }
        let snapshot = limiter.snapshot();
        let counts = (snapshot.allowed, snapshot.rejected, snapshot.waiting);
        assert_eq!(counts, if may_wait { (2, 0, 0) } else { (1, 1, 0) });
    }
}
