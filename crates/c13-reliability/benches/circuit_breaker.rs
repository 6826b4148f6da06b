//! What a call through a breaker costs.
//!
//! `cargo bench -p c13-reliability --bench circuit_breaker`

mod measure;

use c13_reliability::patterns::circuit_breaker::{
    CircuitBreaker, CircuitBreakerConfig, FailureRate, FailuresWithin, SlowCalls, Window,
};
use c13_reliability::time::Clock;
use measure::{head, ready, row};
use std::hint::black_box;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn main() {
    let config = CircuitBreakerConfig::new;
    let rate = |window| breaker(config().failure_rate(FailureRate::new(0.5, window, 20)));
    let consecutive = breaker(CircuitBreakerConfig::default());
    let last_calls = rate(Window::Calls(100));
    let last_time = rate(Window::Time(10 * SECOND));
    let profile = breaker(config().failures_within(FailuresWithin::new(5, 30 * SECOND).share(0.5)));
    let slow = breaker(config().slow_calls(SlowCalls::new(SECOND, 0.5, Window::Calls(100), 20)));
    let never = FailureRate::new(1.0, Window::Time(10 * SECOND), u64::MAX);
    let failing = breaker(config().failure_rate(never));
    let failing_in_a_row = breaker(config().consecutive_failures(u64::MAX));
    let open = breaker(CircuitBreakerConfig::default().open_for(3600 * SECOND));
    while let Ok(permit) = open.try_acquire() {
        permit.failure();
    }
    let clock = Clock::system();
    head();
    row("(a reading of the clock)", || {
        black_box(clock.now());
    });
    row("(a reading of the coarse clock)", || {
        black_box(clock.coarse());
    });
    row("closed, consecutive failures, permit", || permit(&consecutive));
    row("closed, consecutive failures, call", || call(&consecutive));
    row("closed, failure rate over 100 calls, permit", || permit(&last_calls));
    row("closed, failure rate over 10 s, permit", || permit(&last_time));
    row("closed, failure rate over 10 s, call", || call(&last_time));
    row("closed, 5 failures within 30 s and half, permit", || permit(&profile));
    row("closed, slow calls of 100, permit", || permit(&slow));
    row("closed, every call fails, over 10 s, permit", || fails(&failing));
    row("closed, every call fails, in a row, permit", || {
        fails(&failing_in_a_row);
    });
    row("open, refusal", || {
        assert!(black_box(open.try_acquire()).is_err());
    });
}

fn breaker(config: CircuitBreakerConfig) -> CircuitBreaker {
    CircuitBreaker::with_config(config, Clock::system()).expect("the settings are good")
}

fn permit(breaker: &CircuitBreaker) {
    match black_box(breaker).try_acquire() {
        Ok(permit) => permit.success(),
        Err(_) => unreachable!("the circuit is closed"),
    }
}

fn fails(breaker: &CircuitBreaker) {
    match black_box(breaker).try_acquire() {
        Ok(permit) => permit.failure(),
        Err(_) => unreachable!("the circuit never opens"),
    }
}

fn call(breaker: &CircuitBreaker) {
    let answer = ready(black_box(breaker).call(std::future::ready(Ok::<u64, u64>(black_box(1)))));
    assert!(answer.is_ok());
}
