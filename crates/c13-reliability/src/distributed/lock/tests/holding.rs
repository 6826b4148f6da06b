//! How a holding ends: by release, by loss, or because it has lasted for as long as it may.

use super::*;

#[tokio::test(start_paused = true)]
async fn who_tries_again_at_once_is_not_kept_out_by_its_own_leftover() {
    let bench = Bench::new();
    let lock = bench.lock();
    for release in [Fault::Late(ms(40)), Fault::SlowReply(ms(40))] {
        bench.backend.set(&bench.backend.release, release);
        for round in 0..3 {
            let done = lock.run(ms(0), |_| async { Ok::<_, String>(round) }).await;
            assert_eq!(done, Ok(round), "{release:?}");
            let failed: Result<(), _> = lock.run(ms(0), |_| async { Err("no funds") }).await;
            assert_eq!(failed, Err(LockError::OperationFailed("no funds")), "{release:?}");
        }
        bench.backend.set(&bench.backend.renew, Fault::Lost);
        for _ in 0..3 {
            let lost = lock.run(ms(0), |_| std::future::pending::<Result<(), String>>()).await;
            assert_eq!(
                lost,
                Err(LockError::Lost),
                "{release:?}: its lease is not over at the backend"
            );
        }
        bench.backend.set(&bench.backend.renew, Fault::None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_not_answered_holds_nobody_up_for_longer_than_a_request() {
    let bench = Bench::new();
    let lock = bench.lock();
    bench.backend.set(&bench.backend.release, Fault::Lost);
    let run = lock.run(ms(0), |_| async { Err::<(), _>("no funds") });
    let (failed, took) = elapsed(&bench.clock, run).await;
    assert_eq!(failed, Err(LockError::OperationFailed("no funds")));
    assert!(took <= lock.config().request_limit() + ms(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn work_that_hangs_keeps_the_lock_no_longer_than_it_may_be_held() {
    let bench = Bench::new();
    let longest = ms(5_300);
    let lock = bench.lock_of(LockConfig::new(LEASE).max_hold(longest));
    let hanging = lock.run(ms(0), |_| std::future::pending::<Result<(), String>>());
    let (lost, took) = elapsed(&bench.clock, hanging).await;
    assert_eq!(lost, Err(LockError::Lost));
    assert!(took >= longest && took <= longest + ms(2), "{took:?}");
    // The rest of the lease is the holder's, to stop what cannot be dropped.
    let (next, waited) = elapsed(&bench.clock, bench.lock().acquire(LEASE * 2)).await;
    assert!(waited <= LEASE, "{waited:?}");
    drop(next.unwrap());
}

#[tokio::test(start_paused = true)]
async fn work_that_is_not_polled_any_more_keeps_the_lock_no_longer_than_it_may_be_held() {
    let bench = Bench::new();
    let longest = ms(5_300);
    let lock = bench.lock_of(LockConfig::new(LEASE).max_hold(longest));
    let mut stuck = Box::pin(lock.run(ms(0), |_| std::future::pending::<Result<(), String>>()));
    tokio::select! {
        biased;
        ended = &mut stuck => panic!("{ended:?}"),
        () = bench.clock.sleep(ms(10)) => {}
    }
    // Its guard notices nothing from here on, so that only the task that renews the lock can end it.
    let (next, waited) = elapsed(&bench.clock, bench.lock().acquire(longest * 2)).await;
    next.unwrap().check().unwrap();
    assert!(waited >= longest - ms(10) && waited <= longest + LEASE, "{waited:?}");
    assert_eq!(stuck.await, Err(LockError::Lost));
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_was_held_too_long_says_so_and_is_renewed_no_more() {
    let bench = Bench::new();
    let lock = bench.lock_of(LockConfig::new(LEASE).max_hold(LEASE * 3));
    let guard = lock.try_acquire().await.unwrap();
    assert!(guard.remaining() <= LEASE);
    bench.clock.sleep(LEASE * 3 - ms(10)).await;
    guard.check().unwrap();
    assert!(guard.remaining() <= ms(10));
    assert_eq!(guard.lost().await.loss, Loss::HeldTooLong);
    assert_eq!(guard.check().unwrap_err().loss, Loss::HeldTooLong);
    settle().await;
    assert_eq!(guard.release().await, Ok(Released::NotHeld));
    bench.clock.sleep(LEASE).await;
    assert!(bench.is_free().await);
    let before = bench.backend.requests.load(Ordering::Relaxed);
    bench.clock.sleep(LEASE * 10).await;
    assert_eq!(bench.backend.requests.load(Ordering::Relaxed), before);
    assert_eq!(lock.snapshot().losses, 1);
}
