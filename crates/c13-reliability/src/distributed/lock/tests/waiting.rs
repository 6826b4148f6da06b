//! What an acquisition waits for, how long, and what it says in the end.

use super::*;
use crate::time::Deadline;

const SECOND: Duration = Duration::from_secs(1);

/// The names of what `lock` waited for, one a report, and how it ended.
async fn observed(lock: &Lock, wait: Duration) -> (Vec<Waiting>, Result<LockGuard, AcquireError>) {
    let mut reports = Vec::new();
    let result = lock.acquire_observed(wait, |waiting| reports.push(waiting)).await;
    (reports, result)
}

fn cause(error: &AcquireError) -> &str {
    match error {
        AcquireError::Backend(error) => &error.message,
        AcquireError::NotAcquired { .. } => panic!("{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_told_who_holds_the_lock_and_again_once_a_poll() {
    let bench = Bench::new();
    let lock = bench.lock_of(LockConfig::new(LEASE).fallback_poll(LEASE));
    let (reports, result) = observed(&lock, ms(0)).await;
    assert!(reports.is_empty() && result.is_ok(), "nothing to wait for");
    drop(result);
    settle().await;
    let holder = bench.lock().try_acquire().await.unwrap();
    let owners = bench.owners().await;
    assert!(observed(&lock, ms(0)).await.0.is_empty(), "refused without a wait");
    let (reports, result) = observed(&lock, LEASE * 5).await;
    assert!(matches!(result, Err(AcquireError::NotAcquired { .. })));
    assert!((4..=6).contains(&reports.len()), "{reports:?}");
    for report in reports {
        assert!(matches!(report, Waiting::ForHolder { status } if status.owners == owners));
    }
    drop(holder);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_told_when_the_backend_and_not_a_holder_is_the_reason() {
    let bench = Bench::new();
    let _holder = bench.lock().try_acquire().await.unwrap();
    let (lock, clock) = (bench.lock(), bench.clock.clone());
    let waiter = tokio::spawn(async move { observed(&lock, LEASE * 10).await });
    clock.sleep(ms(100)).await;
    bench.backend.set(&bench.backend.acquire, Fault::Unable);
    clock.sleep(LEASE * 12).await;
    let (reports, result) = waiter.await.unwrap();
    assert!(matches!(&reports[0], Waiting::ForHolder { .. }));
    assert!(matches!(reports.last(), Some(Waiting::ForBackend { cause }) if cause.message == "loading"));
    assert_eq!(cause(&result.unwrap_err()), "loading");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_waiting_cannot_mend_ends_the_wait_at_once() {
    let bench = Bench::new();
    bench.backend.set(&bench.backend.acquire, Fault::Refused);
    let (lock, other) = (bench.lock(), bench.lock());
    let waits = async { tokio::join!(lock.acquire(Duration::MAX), lock.acquire(Duration::MAX)) };
    let ((one, two), took) = elapsed(&bench.clock, waits).await;
    assert_eq!(
        (cause(&one.unwrap_err()), cause(&two.unwrap_err())),
        ("no permission", "no permission")
    );
    assert!(took <= ms(2), "{took:?}");
    let (led, took) = elapsed(&bench.clock, Election::new(other).lead(|_| async {})).await;
    assert_eq!((cause(&led.unwrap_err()), took <= ms(2)), ("no permission", true));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_cannot_serve_is_waited_for_within_its_own_bound() {
    for (fault, last) in [
        (Fault::Unable, "loading"),
        (Fault::Lost, "no answer within 166.666666ms"),
    ] {
        let bench = Bench::new();
        let lock = bench.lock_of(LockConfig::new(LEASE).backend_wait(LEASE * 3));
        // The time that an answer comes in begins anew.
        bench.backend.set(&bench.backend.acquire, fault);
        let (clock, backend) = (bench.clock.clone(), bench.backend.clone());
        let waiter = tokio::spawn(async move { elapsed(&clock, lock.acquire(Duration::MAX)).await });
        bench.clock.sleep(LEASE * 2).await;
        backend.set(&backend.acquire, Fault::None);
        let holder = Claim::new(["key".to_owned()].into(), Mode::Exclusive, &LockConfig::DEFAULT);
        backend.inner.acquire(&holder).await.unwrap();
        bench.clock.sleep(LEASE * 3).await;
        backend.set(&backend.acquire, fault);
        let (refused, waited) = waiter.await.unwrap();
        assert_eq!(cause(&refused.unwrap_err()), last);
        assert!(waited >= LEASE * 8 && waited <= LEASE * 10, "{fault:?}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_behind_another_of_its_process_is_told_the_cause_and_not_of_a_holder() {
    let bench = Bench::new();
    bench.backend.set(&bench.backend.acquire, Fault::Unable);
    let lock = bench.lock();
    let first = tokio::spawn({
        let lock = lock.clone();
        async move { lock.acquire(LEASE * 10).await.map(drop) }
    });
    settle().await;
    let (reports, result) = observed(&lock, LEASE).await;
    assert_eq!(reports, [Waiting::ForTurn]);
    assert_eq!(cause(&result.unwrap_err()), "loading");
    first.abort();
}

#[tokio::test(start_paused = true)]
async fn requests_are_cut_to_what_is_left_of_the_wait_and_of_the_callers_deadline() {
    let bench = Bench::new();
    bench.backend.set(&bench.backend.acquire, Fault::Lost);
    let lock = bench.lock_of(LockConfig::new(LEASE).request_timeout(ms(300)));
    for (wait, deadline, expected) in [
        (ms(0), None, ms(300)),
        (ms(120), None, ms(120)),
        (ms(0), Some(ms(40)), ms(40)),
        (LEASE * 9, Some(ms(40)), ms(40)),
        (LEASE * 9, Some(ms(450)), ms(450)),
    ] {
        let acquiring = lock.acquire(wait);
        let (refused, took) = match deadline {
            None => elapsed(&bench.clock, acquiring).await,
            Some(left) => elapsed(&bench.clock, Deadline::after(&bench.clock, left).scope(acquiring)).await,
        };
        cause(&refused.unwrap_err());
        assert!(
            took >= expected && took <= expected + ms(2),
            "{wait:?} {deadline:?}: {took:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_end_of_the_wait_cuts_off_does_not_hide_the_holder() {
    let bench = Bench::new();
    let _holder = bench.lock().try_acquire().await.unwrap();
    bench.backend.set(&bench.backend.acquire, Fault::SlowReply(ms(40)));
    for wait in (50..700).step_by(7) {
        let (refused, took) = elapsed(&bench.clock, bench.lock().acquire(ms(wait))).await;
        assert!(
            matches!(refused, Err(AcquireError::NotAcquired { retry_after: Some(left) }) if left <= LEASE),
            "waited {wait} ms: {refused:?}"
        );
        assert!(took >= ms(wait) && took <= ms(wait + 2), "{wait}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_kept_unpolled_blocks_the_lock_for_a_second_at_most() {
    let bench = Bench::new();
    let lock = bench.lock();
    let holder = lock.try_acquire().await.unwrap();
    let mut kept = Box::pin(lock.acquire(Duration::MAX));
    let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(kept.as_mut().poll(cx))).await;
    assert!(polled.is_pending());
    let waiter = tokio::spawn({
        let (lock, clock) = (lock.clone(), bench.clock.clone());
        async move { elapsed(&clock, lock.acquire(Duration::MAX)).await }
    });
    settle().await;
    drop(holder);
    let (guard, waited) = waiter.await.unwrap();
    let guard = guard.unwrap();
    assert!((SECOND..SECOND + ms(10)).contains(&waited), "{waited:?}");
    assert!(matches!(kept.await, Err(AcquireError::NotAcquired { .. })));
    guard.check().unwrap();
    drop(guard);
    // One that is polled in time has it for as long as it likes.
    let guard = lock.acquire(Duration::MAX).await.unwrap();
    bench.clock.sleep(SECOND * 100).await;
    guard.check().unwrap();
}
