//! Three policies that fit most calls, checked while compiling.

use super::PolicyConfig;
use crate::patterns::circuit_breaker::{CircuitBreakerConfig, FailuresWithin, Window};
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
/// The count of failures is a floor. The breaker opens when besides all of the most recent 20 calls failed, or 80 % of the
/// calls of the last second, of at least 3 (standard: 2 s, 6 calls; batch: 5 s, 12 calls): nearly everything fails. A
/// dependency of which half fails still serves callers that retry, and is not cut off. It opens for 1 s at first, twice as long
/// after each further trip in a row, up to 4 s, with jitter, and closes after one good probe. **The rate limits the calls of each instance, also while the dependency is
/// well**: its burst is one second's worth, and a call above it is refused at once. Set another with
/// [`PolicyConfig::rate_limit`], or take it away with `rate_limit = false` in a file (`docs/adr/0017`). Retries back off exponentially from 100 ms with full jitter,
/// within the default budget. These figures were chosen by drills: `docs/no-harm.md`.
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
pub const CRITICAL: PolicyConfig = profile(Duration::from_secs(30), 7, 3, 1000, breaker(3, 30, 1));

/// The policy of [`Profile::Standard`].
pub const STANDARD: PolicyConfig = profile(Duration::from_secs(10), 3, 2, 500, breaker(5, 30, 2));

/// The policy of [`Profile::Batch`].
pub const BATCH: PolicyConfig = profile(Duration::from_secs(60), 9, 5, 100, breaker(10, 60, 5));

/// Opens when nearly everything fails, and after no fewer `failures` than these: either the most recent 20 calls within `within`
/// seconds, or so many of the last `recent` seconds that clients with few calls find out too.
const fn breaker(failures: u64, within: u64, recent: u64) -> CircuitBreakerConfig {
    // So that a policy which gives the rate a window of its own goes by the usual number of calls, there is none here: the
    // rate waits for as many calls as hold `failures` failures.
    let mut config = CircuitBreakerConfig::new()
        .failures_within(FailuresWithin::new(failures, Duration::from_secs(within)).share(1.0))
        .success_threshold(1)
        .open_for(Duration::from_secs(1))
        .open_for_growth(2.0, Duration::from_secs(4))
        .jitter(0.2);
    config.failures_window = Some(Duration::from_secs(within));
    config.failure_rate = Some(0.8);
    config.window = Some(Window::Time(Duration::from_secs(recent)));
    config
}

/// From 100 ms, doubling, up to 10 s.
const EXPONENTIAL: RetryStrategy = RetryStrategy::ExponentialBackoff {
    initial: retry_config::INITIAL_BACKOFF,
    max: retry_config::MAX_BACKOFF,
    multiplier: retry_config::BACKOFF_MULTIPLIER,
};

const fn profile(
    total: Duration,
    attempt: u64,
    retries: u32,
    rate: u64,
    breaker: CircuitBreakerConfig,
) -> PolicyConfig {
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
