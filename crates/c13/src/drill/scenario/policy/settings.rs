//! A policy's settings as plain values, by the names they have in files.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use c13_reliability::policy::document::{Rate, Ratio};

/// What runs around each call. A part that is `None` is off; all are off by default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct PolicySettings {
    /// `timeout`: how long a call may take.
    pub timeout: Option<TimeoutSettings>,
    /// `rate_limit`: how many calls are let through.
    pub rate_limit: Option<RateLimitSettings>,
    /// `bulkhead`: how many calls run at the same time.
    pub bulkhead: Option<BulkheadSettings>,
    /// `retry`: what is tried again.
    pub retry: Option<RetrySettings>,
    /// `circuit_breaker`: when to stop asking.
    pub circuit_breaker: Option<CircuitBreakerSettings>,
}

/// `timeout`: how long a call may take. At least one of the two is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeoutSettings {
    /// With all its retries and the waits between them.
    pub total: Option<Duration>,
    /// Each attempt by itself.
    pub attempt: Option<Duration>,
}

/// `rate_limit`: how many calls are let through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RateLimitSettings {
    /// So many over any long time.
    pub rate: Rate,
    /// So many at once; one second's worth of the rate, rounded up, unless set.
    pub burst: NonZeroU64,
    /// How long a call waits to be let through before it is refused; zero unless set.
    pub max_wait: Duration,
}

/// `bulkhead`: how many calls run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BulkheadSettings {
    /// So many run.
    pub max_concurrent: NonZeroU32,
    /// So many wait for one of those to end; none unless set.
    pub max_queue: u32,
    /// How long they wait before they are refused; zero if nobody waits.
    pub max_wait: Duration,
}

/// `retry`: what is tried again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RetrySettings {
    /// How often, the first call not counted: 3 retries are up to 4 attempts.
    pub max_retries: u32,
    /// How long to wait before each.
    pub backoff: Backoff,
    /// What part of the wait is random.
    pub jitter: Jitter,
    /// How many retries all calls together may make; `None` is any number.
    pub budget: Option<RetryBudget>,
}

/// How the wait before a retry grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Backoff {
    /// Always the same.
    Fixed {
        /// The wait.
        base: Duration,
    },
    /// By a constant step.
    Linear {
        /// The first wait.
        base: Duration,
        /// How much longer each next one is.
        increment: Duration,
        /// The longest.
        max: Duration,
    },
    /// By a constant factor.
    Exponential {
        /// The first wait.
        base: Duration,
        /// How many times as long each next one is; 1 or more.
        multiplier: f64,
        /// The longest.
        max: Duration,
    },
}

impl Backoff {
    /// 100 ms, then twice as long each time, up to 10 s.
    pub(crate) const DEFAULT: Self = Self::Exponential {
        base: Duration::from_millis(100),
        multiplier: 2.0,
        max: Duration::from_secs(10),
    };

    /// The wait before a retry, of which the first is number 0; without jitter.
    #[must_use]
    pub(crate) fn delay(&self, retry: u32) -> Duration {
        match *self {
            Self::Fixed { base } => base,
            Self::Linear { base, increment, max } => base.saturating_add(increment.saturating_mul(retry)).min(max),
            Self::Exponential { base, multiplier, max } => {
                let factor = multiplier.powf(f64::from(retry));
                Duration::try_from_secs_f64(base.as_secs_f64() * factor).map_or(max, |delay| delay.min(max))
            }
        }
    }
}

/// What part of a wait is random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jitter {
    /// All of it.
    Full,
    /// The second half.
    Equal,
    /// Nothing.
    None,
}

/// How many retries all calls together may make.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RetryBudget {
    /// As a share of the calls.
    pub ratio: Ratio,
    /// And so many in every second at any rate.
    pub min_per_second: u32,
}

impl Default for RetryBudget {
    /// A fifth of the calls, and ten a second at any rate.
    fn default() -> Self {
        Self {
            ratio: Ratio::new(0.2).expect("a fifth is a ratio"),
            min_per_second: 10,
        }
    }
}

/// `circuit_breaker`: when to stop asking, and when to ask again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CircuitBreakerSettings {
    /// When it opens.
    pub trip: Trip,
    /// So many successes in a row close it again.
    pub success_threshold: NonZeroU32,
    /// How long it stays open at first.
    pub open_for: Duration,
    /// How long at most: the time doubles with every trip in a row, up to this.
    pub open_for_max: Duration,
    /// Up to this share of the open time is added at random.
    pub jitter: Ratio,
}

/// When a circuit breaker opens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Trip {
    /// After so many failures in a row.
    Consecutive {
        /// How many.
        failures: NonZeroU32,
    },
    /// After so many failures within a time.
    Failures {
        /// How many.
        failures: NonZeroU32,
        /// Within which time.
        window: Duration,
        /// And at least this share of the most recent 20 calls within the window failed; not asked for unless set.
        share: Option<Ratio>,
    },
    /// When this share of the last calls failed.
    FailureRate {
        /// Which share.
        rate: Ratio,
        /// Of how many calls.
        calls: NonZeroU32,
        /// Not before there have been so many; the whole window unless set.
        min_calls: NonZeroU32,
    },
}

/// Settings that are ready to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// For what must not fail.
    Critical,
    /// For most.
    Standard,
    /// For what can wait.
    Batch,
}

impl Profile {
    /// Every profile.
    pub(crate) const ALL: [Self; 3] = [Self::Critical, Self::Standard, Self::Batch];

    /// The profile's name in files.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Standard => "standard",
            Self::Batch => "batch",
        }
    }

    /// The profile's settings.
    #[must_use]
    pub(crate) fn settings(self) -> PolicySettings {
        let (failures, window, total, attempt, retries, rate) = match self {
            Self::Critical => (3, 30, 30, 7, 3, 1_000),
            Self::Standard => (5, 30, 10, 3, 2, 500),
            Self::Batch => (10, 60, 60, 9, 5, 100),
        };
        let some = |number: u32| NonZeroU32::new(number).expect("the numbers of a profile are above zero");
        let seconds = Duration::from_secs;
        PolicySettings {
            timeout: Some(TimeoutSettings {
                total: Some(seconds(total)),
                attempt: Some(seconds(attempt)),
            }),
            rate_limit: Some(RateLimitSettings {
                rate: Rate::new(f64::from(rate), seconds(1)).expect("the rate of a profile is above zero"),
                burst: NonZeroU64::from(some(rate)),
                max_wait: Duration::ZERO,
            }),
            bulkhead: None,
            retry: Some(RetrySettings {
                max_retries: retries,
                backoff: Backoff::DEFAULT,
                jitter: Jitter::Full,
                budget: Some(RetryBudget::default()),
            }),
            circuit_breaker: Some(CircuitBreakerSettings {
                trip: Trip::Failures {
                    failures: some(failures),
                    window: seconds(window),
                    share: Ratio::new(0.5),
                },
                success_threshold: some(2),
                open_for: seconds(1),
                open_for_max: seconds(window),
                jitter: Ratio::new(0.2).expect("a fifth is a ratio"),
            }),
        }
    }
}
