//! A policy of five: timeout, retry, breaker, limiter, bulkhead.

use super::drive::{Failed, drive, succeed};
use crate::case::Cases;
use c13_reliability::patterns::bulkhead::BulkheadConfig;
use c13_reliability::patterns::circuit_breaker::CircuitBreakerConfig;
use c13_reliability::patterns::rate_limiter::{RateLimiterConfig, ShardedRateLimiter};
use c13_reliability::patterns::retry::{RetryConfig, RetryStrategy};
use c13_reliability::policy::{KeyedPolicies, Policy, PolicyConfig, Profile};
use std::hint::black_box;
use std::time::Duration;

pub(super) const FIVE: PolicyConfig = FOUR.rate_limit(RateLimiterConfig::new(1e9, 1_000_000_000));

/// The five without the limiter.
const FOUR: PolicyConfig = PolicyConfig::NONE
    .total_timeout(Duration::from_secs(30))
    .bulkhead(BulkheadConfig::new(1_000))
    .retry(RetryConfig::new(
        3,
        RetryStrategy::ExponentialBackoff {
            initial: Duration::from_millis(100),
            max: Duration::from_secs(10),
            multiplier: 2.0,
        },
    ))
    .circuit_breaker(CircuitBreakerConfig::new().consecutive_failures(5));

/// How many keys the keyed policies have.
const KEYS: u64 = 1_000;

pub(crate) fn add(cases: &mut Cases) {
    add_one(cases, "policy/five", || {
        Policy::new(FIVE).expect("the settings are good")
    });
    add_one(cases, "policy/five, after a reload", || {
        let policy = Policy::new(FOUR).expect("the settings are good");
        policy.reconfigure(FIVE).expect("the settings are good");
        policy
    });
    let queue = BulkheadConfig::new(1_000).queue(100, Duration::from_secs(1));
    let config = FIVE.bulkhead(queue);
    add_one(cases, "policy/five, calls may wait for a place", move || {
        Policy::new(config).expect("the settings are good")
    });
    add_one(cases, "policy/critical profile", || {
        let plenty = RateLimiterConfig::new(1e9, 1_000_000_000);
        Policy::new(Profile::Critical.config().rate_limit(plenty)).expect("the settings are good")
    });
    add_one(cases, "policy/five, sharded limiter", || {
        let policy = Policy::new(FOUR).expect("the settings are good");
        policy.limit_by(ShardedRateLimiter::new(1_000_000_000, 1e9));
        policy
    });
    let keyed = || {
        let policies = KeyedPolicies::<u64>::new("keyed", FIVE).expect("the settings are good");
        (0..KEYS).for_each(|key| drop(policies.get(&key)));
        policies
    };
    cases.timed("policy/keyed, 1,000 keys", keyed, |policies, thread| {
        let policies = policies.clone();
        let mut key = thread as u64;
        move || {
            // Each key in turn, in an order that no prefetcher knows.
            key = (key + 619) % KEYS;
            assert!(drive(policies.get(&key).call(|| succeed(1))).is_ok());
        }
    });
    let five = || Policy::new(FIVE).expect("the settings are good");
    cases.timed("policy/five, blocking call", five, |policy, _| {
        let policy = policy.clone();
        move || assert!(policy.call_sync(|| Ok::<u64, Failed>(black_box(1))).is_ok())
    });
}

fn add_one(cases: &mut Cases, name: &str, setup: impl Fn() -> Policy + Copy + 'static) {
    let bytes = size_of_val(&setup().call(|| succeed(1)));
    let case = cases.ours(name, setup, |policy, _| {
        let policy = policy.clone();
        move || assert!(drive(policy.call(|| succeed(1))).is_ok())
    });
    case.future(bytes);
}
