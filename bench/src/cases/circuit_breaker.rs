//! Circuit breakers.

use super::drive::{HOUR, drive, succeed};
use crate::case::{Case, Cases};
use c13_reliability::patterns::circuit_breaker::{
    CircuitBreaker, CircuitBreakerConfig, FailureRate, FailuresWithin, SlowCalls, Window,
};
use c13_reliability::time::Clock;
use std::hint::black_box;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn add(cases: &mut Cases) {
    let consecutive = || with(CircuitBreakerConfig::default());
    let rolling = || {
        let window = Window::Time(10 * SECOND);
        with(CircuitBreakerConfig::new().failure_rate(FailureRate::new(0.5, window, 20)))
    };
    let counted = || with(CircuitBreakerConfig::new().failure_rate(FailureRate::new(0.5, Window::Calls(100), 20)));
    permits(cases, "breaker/consecutive failures, permit", consecutive);
    calls(cases, "breaker/consecutive failures, call", consecutive);
    permits(cases, "breaker/failure rate over 10 s, permit", rolling);
    calls(cases, "breaker/failure rate over 10 s, call", rolling);
    permits(cases, "breaker/failure rate over 100 calls, permit", counted);
    permits(cases, "breaker/5 failures within 30 s and half, permit", || {
        with(CircuitBreakerConfig::new().failures_within(FailuresWithin::new(5, 30 * SECOND).share(0.5)))
    })
    .uncounted();
    permits(cases, "breaker/slow calls of 100, permit", || {
        with(CircuitBreakerConfig::new().slow_calls(SlowCalls::new(SECOND, 0.5, Window::Calls(100), 20)))
    })
    .uncounted();
    let never = || {
        let rate = FailureRate::new(1.0, Window::Time(10 * SECOND), u64::MAX);
        with(CircuitBreakerConfig::new().failure_rate(rate))
    };
    cases.timed("breaker/failure rate over 10 s, failures", never, |breaker, _| {
        let breaker = breaker.clone();
        move || match black_box(&breaker).try_acquire() {
            Ok(permit) => permit.failure(),
            Err(_) => unreachable!("the circuit never opens"),
        }
    });
    let open = || {
        let breaker = with(CircuitBreakerConfig::default().open_for(HOUR));
        for _ in 0..5 {
            breaker.try_acquire().expect("closed").failure();
        }
        breaker
    };
    cases.ours("breaker/open, refusal", open, |breaker, _| {
        let breaker = breaker.clone();
        move || assert!(black_box(breaker.try_acquire()).is_err())
    });
}

fn with(config: CircuitBreakerConfig) -> CircuitBreaker {
    CircuitBreaker::with_config(config, Clock::system()).expect("the settings are good")
}

fn permits<'a>(cases: &'a mut Cases, name: &str, setup: impl Fn() -> CircuitBreaker + 'static) -> &'a mut Case {
    cases.ours(name, setup, |breaker, _| {
        let breaker = breaker.clone();
        // Not the permit itself: to be looked at it would have to go through memory.
        move || match black_box(&breaker).try_acquire() {
            Ok(permit) => permit.success(),
            Err(_) => unreachable!("the circuit is closed"),
        }
    })
}

fn calls(cases: &mut Cases, name: &str, setup: impl Fn() -> CircuitBreaker + 'static) {
    let bytes = size_of_val(&setup().call(succeed(1)));
    let case = cases.ours(name, setup, |breaker, _| {
        let breaker = breaker.clone();
        move || assert!(drive(breaker.call(succeed(1))).is_ok())
    });
    case.future(bytes);
}
