//! What dropping a future leaves behind, wherever it is dropped.

use super::*;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// Waits so many times and is then done.
struct Waits(u32);

impl Future for Waits {
    type Output = Result<(), ()>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if self.0 == 0 {
            return Poll::Ready(Ok(()));
        }
        self.0 -= 1;
        Poll::Pending
    }
}

async fn three_awaits() -> Result<(), ()> {
    Waits(1).await?;
    Waits(2).await?;
    Waits(1).await
}

/// Polls the future that `make` makes so many times, drops it, and looks at the half-open circuit that it ran through.
fn dropped_at_each_await<F: Future>(make: impl Fn(&CircuitBreaker) -> F) -> u32 {
    let mut polls = 0;
    loop {
        let bench = defaults();
        bench.about_to_probe();
        let done = {
            let mut future = Box::pin(make(&bench.breaker));
            (0..polls).any(|_| future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready())
        };
        let snapshot = bench.breaker.snapshot();
        assert_eq!(snapshot.probes_running, 0, "dropped after {polls} polls");
        let admitted = u64::from(polls > 0);
        assert_eq!(
            (snapshot.metrics.abandoned_count, snapshot.metrics.success_count),
            if done { (0, 1) } else { (admitted, 0) },
            "dropped after {polls} polls"
        );
        if done {
            return polls;
        }
        bench.calls("SS").is(CircuitState::Closed);
        polls += 1;
    }
}

#[test]
fn a_call_dropped_at_any_await_takes_no_place_with_it() {
    // The breaker outlives the future: the future borrows a clone that the closure leaks into it.
    let polls = dropped_at_each_await(|breaker| {
        let breaker = breaker.clone();
        async move { breaker.call(three_awaits()).await }
    });
    assert_eq!(polls, 5);
}

#[test]
fn a_call_made_late_dropped_at_any_await_takes_no_place_with_it() {
    let polls = dropped_at_each_await(|breaker| {
        let breaker = breaker.clone();
        async move { breaker.call_with(three_awaits).await }
    });
    assert_eq!(polls, 5);
}

#[test]
fn a_call_under_an_owned_permit_dropped_at_any_await_takes_no_place_with_it() {
    let polls = dropped_at_each_await(|breaker| {
        let breaker = breaker.clone();
        async move {
            let permit = breaker.try_acquire_owned().expect("a permit");
            let result = three_awaits().await;
            permit.success();
            result
        }
    });
    assert_eq!(polls, 5);
}

#[cfg(feature = "tower")]
#[test]
fn a_service_call_dropped_at_any_await_takes_no_place_with_it() {
    use tower::{Layer, ServiceExt, service_fn};
    let polls = dropped_at_each_await(|breaker| {
        let service = CircuitBreakerLayer::new(breaker.clone()).layer(service_fn(|(): ()| three_awaits()));
        service.oneshot(())
    });
    assert_eq!(polls, 5);
}

#[test]
fn a_call_dropped_before_its_first_poll_was_never_admitted_and_its_function_never_ran() {
    let bench = defaults();
    let never = || -> Waits { panic!("made though nobody asked") };
    drop(bench.breaker.call_with(never));
    bench.breaker.force_open();
    let mut refused = pin!(bench.breaker.call_with(never));
    assert!(matches!(
        refused.as_mut().poll(&mut Context::from_waker(Waker::noop())),
        Poll::Ready(Err(CircuitBreakerError::CircuitOpen { .. }))
    ));
    assert_eq!(bench.breaker.metrics().total_requests, 1, "the refusal");
}

#[test]
fn a_panic_while_a_call_is_made_is_a_failure() {
    let bench = Bench::new(CircuitBreakerConfig::new().consecutive_failures(1));
    let mut call = Box::pin(
        bench
            .breaker
            .call_with(|| -> Waits { panic!("no connection to make it with") }),
    );
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }));
    assert!(caught.is_err());
    bench.is(CircuitState::Open);
}
