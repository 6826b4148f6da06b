//! A policy's settings as plain values, by the names they have in files.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use c13_reliability::budget::RetryBudgetConfig;
use c13_reliability::patterns::bulkhead::BulkheadConfig;
use c13_reliability::patterns::circuit_breaker::{CircuitBreakerConfig, FailureRate, FailuresWithin, Window};
use c13_reliability::patterns::rate_limiter::RateLimiterConfig;
use c13_reliability::patterns::retry::{self, RetryConfig, RetryStrategy};
use c13_reliability::policy::PolicyConfig;
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

impl PolicySettings {
    /// The settings of a policy that the library has ready; `None` if they hold something that a file cannot say.
    #[must_use]
    pub(crate) fn of(config: &PolicyConfig) -> Option<Self> {
        let timeout = match (config.total_timeout, config.attempt_timeout) {
            (None, None) => None,
            (total, attempt) => Some(TimeoutSettings { total, attempt }),
        };
        let rate_limit = match config.rate_limit {
            Some(limit) => Some(RateLimitSettings {
                rate: Rate::new(limit.rate, Duration::from_secs(1))?,
                burst: NonZeroU64::new(limit.burst)?,
                max_wait: limit.max_wait,
            }),
            None => None,
        };
        let bulkhead = match config.bulkhead {
            Some(bulkhead) => Some(BulkheadSettings {
                max_concurrent: NonZeroU32::new(bulkhead.max_concurrent)?,
                max_queue: bulkhead.max_queue,
                max_wait: bulkhead.max_wait,
            }),
            None => None,
        };
        let retry = match config.retry {
            Some(retry) => Some(RetrySettings::of(&retry)?),
            None => None,
        };
        let circuit_breaker = match config.circuit_breaker {
            Some(breaker) => Some(CircuitBreakerSettings::of(&breaker)?),
            None => None,
        };
        Some(Self {
            timeout,
            rate_limit,
            bulkhead,
            retry,
            circuit_breaker,
        })
    }

    /// The same settings as the library takes them.
    #[must_use]
    pub(crate) fn config(&self) -> PolicyConfig {
        let mut config = PolicyConfig::NONE;
        config.total_timeout = self.timeout.and_then(|timeout| timeout.total);
        config.attempt_timeout = self.timeout.and_then(|timeout| timeout.attempt);
        config.rate_limit = self
            .rate_limit
            .map(|limit| RateLimiterConfig::new(limit.rate.per_second(), limit.burst.get()).max_wait(limit.max_wait));
        config.bulkhead = self.bulkhead.map(|bulkhead| {
            BulkheadConfig::new(bulkhead.max_concurrent.get()).queue(bulkhead.max_queue, bulkhead.max_wait)
        });
        config.retry = self.retry.as_ref().map(RetrySettings::config);
        config.circuit_breaker = self.circuit_breaker.as_ref().map(CircuitBreakerSettings::config);
        config
    }
}

impl RetrySettings {
    fn of(config: &RetryConfig) -> Option<Self> {
        let backoff = match config.strategy {
            RetryStrategy::FixedDelay(base) => Backoff::Fixed { base },
            RetryStrategy::LinearBackoff {
                initial,
                increment,
                max,
            } => Backoff::Linear {
                base: initial,
                increment,
                max,
            },
            RetryStrategy::ExponentialBackoff {
                initial,
                max,
                multiplier,
            } => Backoff::Exponential {
                base: initial,
                multiplier,
                max,
            },
            _ => return None,
        };
        let jitter = match config.jitter {
            retry::Jitter::Full => Jitter::Full,
            retry::Jitter::Equal => Jitter::Equal,
            retry::Jitter::None => Jitter::None,
            _ => return None,
        };
        let budget = match config.budget {
            Some(budget) => Some(RetryBudget {
                ratio: Ratio::new(budget.ratio)?,
                min_per_second: budget.min_per_second as u32,
            }),
            None => None,
        };
        Some(Self {
            max_retries: config.max_retries,
            backoff,
            jitter,
            budget,
        })
    }

    fn config(&self) -> RetryConfig {
        let strategy = match self.backoff {
            Backoff::Fixed { base } => RetryStrategy::FixedDelay(base),
            Backoff::Linear { base, increment, max } => RetryStrategy::LinearBackoff {
                initial: base,
                increment,
                max,
            },
            Backoff::Exponential { base, multiplier, max } => RetryStrategy::ExponentialBackoff {
                initial: base,
                max,
                multiplier,
            },
        };
        let config = RetryConfig::new(self.max_retries, strategy).jitter(match self.jitter {
            Jitter::Full => retry::Jitter::Full,
            Jitter::Equal => retry::Jitter::Equal,
            Jitter::None => retry::Jitter::None,
        });
        match self.budget {
            Some(budget) => {
                let ratio = budget.ratio.value();
                config.budget(
                    RetryBudgetConfig::new()
                        .ratio(ratio)
                        .min_per_second(budget.min_per_second.into()),
                )
            }
            None => config.without_budget(),
        }
    }
}

impl CircuitBreakerSettings {
    fn of(config: &CircuitBreakerConfig) -> Option<Self> {
        let some = |number: u64| u32::try_from(number).ok().and_then(NonZeroU32::new);
        let trip = match (config.consecutive_failures, config.failures_within, config.failure_rate) {
            (Some(failures), None, None) => Trip::Consecutive {
                failures: some(failures)?,
            },
            (
                None,
                None,
                Some(FailureRate {
                    rate,
                    window: Window::Calls(calls),
                    min_calls,
                    ..
                }),
            ) => Trip::FailureRate {
                rate: Ratio::new(rate)?,
                calls: NonZeroU32::new(calls)?,
                min_calls: some(min_calls)?,
            },
            (None, Some(rule), None) => Trip::Failures {
                failures: some(rule.failures)?,
                window: rule.window,
                share: rule.share.and_then(Ratio::new),
            },
            _ => return None,
        };
        Some(Self {
            trip,
            success_threshold: some(config.success_threshold)?,
            open_for: config.open_for,
            open_for_max: config.open_for_max.unwrap_or(config.open_for),
            jitter: Ratio::new(config.open_for_jitter)?,
        })
    }

    fn config(&self) -> CircuitBreakerConfig {
        let config = CircuitBreakerConfig::new()
            .success_threshold(self.success_threshold.get().into())
            .open_for(self.open_for)
            .open_for_growth(OPEN_FOR_GROWTH, self.open_for_max)
            .open_for_jitter(self.jitter.value());
        match self.trip {
            Trip::Consecutive { failures } => config.consecutive_failures(failures.get().into()),
            Trip::Failures {
                failures,
                window,
                share,
            } => {
                let rule = FailuresWithin::new(failures.get().into(), window);
                config.failures_within(match share {
                    Some(share) => rule.share(share.value()),
                    None => rule,
                })
            }
            Trip::FailureRate { rate, calls, min_calls } => {
                let window = Window::Calls(calls.get());
                config.failure_rate(FailureRate::new(rate.value(), window, min_calls.get().into()))
            }
        }
    }
}

/// Each trip in a row makes the open time this many times as long, up to `open_for_max`.
const OPEN_FOR_GROWTH: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;
    use c13_reliability::policy::Profile;

    #[test]
    fn the_profiles_are_the_librarys_own() {
        for profile in Profile::ALL {
            let settings = PolicySettings::of(&profile.config()).expect("a file can say what a profile says");
            assert_eq!(settings.config(), profile.config(), "{profile}");
        }
    }
}
