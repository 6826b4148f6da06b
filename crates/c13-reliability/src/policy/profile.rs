//! Three policies that fit most calls, checked while compiling.

use super::PolicyConfig;
use crate::patterns::circuit_breaker::{CircuitBreakerConfig, FailuresWithin};
use crate::patterns::rate_limiter::RateLimiterConfig;
use crate::patterns::retry::{RetryConfig, RetryStrategy, retry_config};
use std::fmt;
use std::time::Duration;

/// A ready-made policy.
///
/// | profile | breaker | total | retries | rate | attempt |
/// |---|---|---|---|---|---|
/// | critical | 3 failures within 30 s | 30 s | 3 | 1000/s | 7 s |
/// | standard | 5 failures within 30 s | 10 s | 2 | 500/s | 3 s |
/// | batch | 10 failures within 60 s | 60 s | 5 | 100/s | 9 s |
///
/// The breaker also asks that at least half of the most recent 20 calls within its window failed, so that a service
/// with many calls and few errors does not trip on the count alone. It opens for 1 s at first, twice as long after
/// each further trip in a row, up to its window's length, with jitter. The rate's burst is one second's worth, and a
/// call above it is refused at once. Retries back off exponentially from 100 ms with full jitter, within the default
/// budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// For calls that a request cannot do without: fails fast, retries within 30 s.
    Critical,
    /// For ordinary calls.
    Standard,
    /// For work that no user waits for: long limits, many retries, a low rate.
    Batch,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Standard, Self::Batch];

    /// The name in files, such as `critical`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Standard => "standard",
            Self::Batch => "batch",
        }
    }

    /// The policy itself.
    #[must_use]
    pub const fn config(self) -> PolicyConfig {
        match self {
            Self::Critical => CRITICAL,
            Self::Standard => STANDARD,
            Self::Batch => BATCH,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The policy of [`Profile::Critical`].
pub const CRITICAL: PolicyConfig = profile(Duration::from_secs(30), 7, 3, 1000, failures(3, 30));

/// The policy of [`Profile::Standard`].
pub const STANDARD: PolicyConfig = profile(Duration::from_secs(10), 3, 2, 500, failures(5, 30));

/// The policy of [`Profile::Batch`].
pub const BATCH: PolicyConfig = profile(Duration::from_secs(60), 9, 5, 100, failures(10, 60));

/// The given number of failures within the given seconds, and at least half of the most recent calls.
const fn failures(failures: u64, seconds: u64) -> FailuresWithin {
    FailuresWithin::new(failures, Duration::from_secs(seconds)).share(0.5)
}

/// From 100 ms, doubling, up to 10 s.
const EXPONENTIAL: RetryStrategy = RetryStrategy::ExponentialBackoff {
    initial: retry_config::INITIAL_BACKOFF,
    max: retry_config::MAX_BACKOFF,
    multiplier: retry_config::BACKOFF_MULTIPLIER,
};

const fn profile(total: Duration, attempt: u64, retries: u32, rate: u64, failures: FailuresWithin) -> PolicyConfig {
    let breaker = CircuitBreakerConfig::new()
        .failures_within(failures)
        .success_threshold(2)
        .open_for(Duration::from_secs(1))
        .open_for_growth(2.0, failures.window)
        .jitter(0.2);
    PolicyConfig::NONE
        .total_timeout(total)
        .attempt_timeout(Duration::from_secs(attempt))
        .retry(RetryConfig::new(retries, EXPONENTIAL))
        .rate_limit(RateLimiterConfig::new(rate as f64, rate))
        .circuit_breaker(breaker)
}

const _: () = assert!(CRITICAL.validate().is_ok(), "the critical profile breaks a rule");
const _: () = assert!(STANDARD.validate().is_ok(), "the standard profile breaks a rule");
const _: () = assert!(BATCH.validate().is_ok(), "the batch profile breaks a rule");
