//! What a policy costs around a call that is ready at once, layer by layer, and that it allocates nothing.
//!
//! `cargo bench -p c13-reliability --bench policy`

mod measure;

use allocation_counter::measure as allocations;
use c13_reliability::patterns::bulkhead::BulkheadConfig;
use c13_reliability::patterns::circuit_breaker::CircuitBreakerConfig;
use c13_reliability::patterns::rate_limiter::RateLimiterConfig;
use c13_reliability::patterns::retry::RetryConfig;
use c13_reliability::policy::{CRITICAL, Policy, PolicyConfig};
use measure::{head, ready, row};
use std::hint::black_box;
use std::time::Duration;

/// A rate that never refuses.
const LIMIT: RateLimiterConfig = RateLimiterConfig::new(1e9, 1_000_000_000);

fn main() {
    let timeouts = PolicyConfig::NONE
        .total_timeout(Duration::from_secs(10))
        .attempt_timeout(Duration::from_secs(1));
    let breaker = CircuitBreakerConfig::new().consecutive_failures(5);
    let five = timeouts
        .retry(RetryConfig::new(
            2,
            c13_reliability::patterns::retry::retry_config::STRATEGY,
        ))
        .circuit_breaker(breaker)
        .rate_limit(LIMIT)
        .bulkhead(BulkheadConfig::new(1_000));
    head();
    row("the call itself", || {
        assert_eq!(ready(async { Ok::<u64, u64>(black_box(1)) }), Ok(1));
    });
    for (name, config) in [
        ("no parts", PolicyConfig::NONE),
        ("timeouts", timeouts),
        ("timeouts, breaker", timeouts.circuit_breaker(breaker)),
        ("timeouts, breaker, retry without a budget", {
            timeouts
                .circuit_breaker(breaker)
                .retry(RetryConfig::default().without_budget())
        }),
        ("five: timeout, retry, breaker, limiter, bulkhead", five),
        ("the critical profile", CRITICAL.rate_limit(LIMIT)),
    ] {
        let policy = Policy::new(config).expect("the settings make sense");
        let call = || {
            let result = ready(policy.call(|| async { Ok::<u64, u64>(black_box(1)) }));
            assert!(result.is_ok());
        };
        // The first call sets up what a thread keeps.
        call();
        let counted = allocations(|| (0..1_000).for_each(|_| call()));
        assert_eq!(counted.count_total, 0, "{name} allocates");
        row(name, call);
    }
    let policy = Policy::new(five).expect("the settings make sense");
    row("five, for what is no future", || {
        assert!(policy.call_sync(|| Ok::<u64, u64>(black_box(1))).is_ok());
    });
}
