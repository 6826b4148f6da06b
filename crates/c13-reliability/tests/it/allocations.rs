//! No call that is ready at once allocates, whatever pattern it goes through, unless its value is to be kept.

use c13_reliability::gate::Gate;
use c13_reliability::patterns::adaptive::{AdaptiveConfig, AdaptiveLimit, Algorithm};
use c13_reliability::patterns::bulkhead::{Bulkhead, BulkheadConfig};
use c13_reliability::patterns::circuit_breaker::CircuitBreakerConfig;
use c13_reliability::patterns::fallback::Fallback;
use c13_reliability::patterns::hedge::Hedge;
use c13_reliability::patterns::rate_limiter::RateLimiterConfig;
use c13_reliability::patterns::retry::{RetryConfig, RetryExecutor, retry_config};
use c13_reliability::patterns::timeout::Timeout;
use c13_reliability::policy::{Policy, PolicyConfig};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the call is ready at once"),
    }
}

async fn succeeds() -> Result<u64, u64> {
    Ok(1)
}

async fn fails() -> Result<u64, u64> {
    Err(1)
}

/// Allocations of a thousand calls, each of which must return `true`.
fn allocations(call: impl Fn() -> bool) -> u64 {
    // What is made once for each thread is made here.
    assert!(call());
    allocation_counter::measure(|| assert!((0..1_000).all(|_| call()))).count_total
}

#[track_caller]
fn assert_none(call: impl Fn() -> bool) {
    assert_eq!(allocations(call), 0);
}

#[test]
fn a_call_through_a_policy_allocates_nothing_even_where_its_attempt_has_to_wait() {
    let config = PolicyConfig::NONE
        .total_timeout(SECOND)
        .rate_limit(RateLimiterConfig::new(1e9, 1_000_000_000))
        .bulkhead(BulkheadConfig::new(10))
        .retry(RetryConfig::new(3, retry_config::STRATEGY))
        .circuit_breaker(CircuitBreakerConfig::new().consecutive_failures(5));
    let policy = Policy::new(config).expect("the settings are good");
    assert_none(|| ready(policy.call(succeeds)).is_ok());
    // Without a time limit, because a timer is somebody else's allocation.
    let mut unlimited = config;
    unlimited.total_timeout = None;
    policy.reconfigure(unlimited).expect("the settings are good");
    let waits_once = || {
        let mut polled = false;
        poll_fn(move |_| {
            if std::mem::replace(&mut polled, true) {
                Poll::Ready(Ok::<_, u64>(1))
            } else {
                Poll::Pending
            }
        })
    };
    assert_none(|| {
        let mut call = pin!(policy.call(waits_once));
        let mut poll = || call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        poll().is_pending() && poll() == Poll::Ready(Ok(1))
    });
}

#[test]
fn a_policys_call_that_may_wait_and_need_not_allocates_nothing() {
    let limit = RateLimiterConfig::new(1e9, 1_000_000_000).max_wait(SECOND);
    let adaptive = AdaptiveConfig::new(Algorithm::AIMD).queue(4, SECOND);
    for config in [
        PolicyConfig::NONE.rate_limit(limit),
        PolicyConfig::NONE.bulkhead(BulkheadConfig::new(10).queue(4, SECOND)),
        PolicyConfig::NONE.adaptive(adaptive),
    ] {
        let policy = Policy::new(config).expect("the settings are good");
        assert_none(|| ready(policy.call(succeeds)).is_ok());
    }
}

#[test]
fn a_call_that_needs_no_retry_allocates_nothing() {
    let retry = RetryExecutor::new(3, retry_config::STRATEGY);
    assert_none(|| ready(retry.execute(succeeds)).is_ok());
}

#[test]
fn a_call_that_needs_no_timer_allocates_nothing() {
    let timeout = Timeout::new(SECOND);
    assert_none(|| ready(timeout.call(succeeds())).is_ok());
    assert_none(|| ready(timeout.call(timeout.call(fails()))).is_err());
}

#[test]
fn a_call_in_a_bulkhead_or_refused_by_it_allocates_nothing() {
    let bulkhead = Bulkhead::new(1);
    assert_none(|| ready(bulkhead.call(succeeds())).is_ok());
    let _held = bulkhead.try_admit().expect("it is empty");
    assert_none(|| ready(bulkhead.call(succeeds())).is_err());
}

#[test]
fn a_call_that_needs_no_hedge_allocates_nothing() {
    let hedge = Hedge::new(SECOND);
    assert_none(|| ready(hedge.execute(succeeds)).is_ok());
}

#[test]
fn a_fallback_allocates_only_to_keep_a_good_value() {
    let value = Fallback::<u64, u64>::value(7);
    assert_none(|| ready(value.call(succeeds())).is_ok());
    assert_none(|| ready(value.call(fails())).is_ok());
    let last_good = Fallback::<u64, u64>::last_good(SECOND);
    assert_eq!(allocations(|| ready(last_good.call(succeeds())).is_ok()), 1_000);
    assert_none(|| ready(last_good.call(fails())).is_ok());
}

#[test]
fn a_call_within_an_adaptive_limit_allocates_nothing() {
    let limit = AdaptiveLimit::new();
    assert_none(|| ready(limit.call(succeeds())).is_ok());
}

#[test]
fn all_of_them_in_one_another_allocate_nothing() {
    let (timeout, retry, hedge) = (
        Timeout::new(SECOND),
        RetryExecutor::new(3, retry_config::STRATEGY),
        Hedge::new(SECOND),
    );
    let (bulkhead, limit) = (Bulkhead::new(1), AdaptiveLimit::new());
    let attempt = || bulkhead.call(limit.call(succeeds()));
    assert_none(|| ready(timeout.call(retry.execute(|| hedge.execute(attempt)))).is_ok());
}
