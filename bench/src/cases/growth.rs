//! How the cost of a call grows with what a user can choose: the window's length, the parts of a policy, its number.

use super::drive::{drive, keep, succeed};
use super::policy::FIVE;
use crate::case::Cases;
use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, FailureRate, Window};
use c13_reliability::patterns::rate_limiter::{SlidingWindowConfig, SlidingWindowRateLimiter};
use c13_reliability::policy::{Policy, PolicyConfig};
use c13_reliability::time::Clock;
use std::hint::black_box;
use std::time::Duration;

pub(crate) fn add(cases: &mut Cases) {
    for (name, calls) in [
        ("growth/breaker, failure rate over 10 calls", 10),
        ("growth/breaker, failure rate over 1,000 calls", 1_000),
        ("growth/breaker, failure rate over 100,000 calls", 100_000),
    ] {
        let setup = move || {
            let rate = FailureRate::new(0.5, Window::Calls(calls), 10);
            CircuitBreaker::with_config(CircuitBreakerConfig::new().failure_rate(rate), Clock::system())
                .expect("the settings are good")
        };
        cases.other(name, setup, |breaker, _| {
            let breaker = breaker.clone();
            move || match black_box(&breaker).try_acquire() {
                Ok(permit) => permit.success(),
                Err(_) => unreachable!("the circuit is closed"),
            }
        });
    }
    for (name, calls) in [
        ("growth/exact window of 100 calls", 100),
        ("growth/exact window of 10,000 calls", 10_000),
        ("growth/exact window of 1,000,000 calls", 1_000_000),
    ] {
        let setup = move || {
            // Slides so fast that it is never full.
            let config = SlidingWindowConfig::new(Duration::from_nanos(calls), calls);
            SlidingWindowRateLimiter::with_config(config, Clock::system()).expect("the settings are good")
        };
        let case = cases.other(name, setup, |window, _| {
            let window = window.clone();
            move || keep(window.try_acquire())
        });
        case.uncounted();
    }
    let none = PolicyConfig::NONE;
    let total = none.total_timeout(Duration::from_secs(30));
    for (name, config) in [
        ("growth/policy of nothing", none),
        ("growth/policy of a timeout", total),
        ("growth/policy of five", FIVE),
    ] {
        let setup = move || Policy::new(config).expect("the settings are good");
        cases.other(name, setup, |policy, _| {
            let policy = policy.clone();
            move || assert!(drive(policy.call(|| succeed(1))).is_ok())
        });
    }
    for (name, count) in [
        ("growth/one of 10 policies of five in turn", 10),
        ("growth/one of 1,000 policies of five in turn", 1_000),
    ] {
        let setup = move || -> Vec<Policy> {
            (0..count)
                .map(|_| Policy::new(FIVE).expect("the settings are good"))
                .collect()
        };
        cases.other(name, setup, |policies, _| {
            let (policies, mut next) = (policies.clone(), 0);
            move || {
                next = (next + 1) % policies.len();
                assert!(drive(policies[next].call(|| succeed(1))).is_ok());
            }
        });
    }
}
