//! How long to wait before each retry, before jitter.

use crate::error::{ConfigError, ConfigValue};
use std::time::Duration;

/// How long to wait before each retry, before jitter.
///
/// ```
/// use c13_reliability::patterns::retry::RetryStrategy;
/// use std::time::Duration;
///
/// let strategy = RetryStrategy::ExponentialBackoff {
///     initial: Duration::from_millis(100),
///     max: Duration::from_secs(1),
///     multiplier: 2.0,
/// };
/// let delays = [0, 1, 2, 3, 4].map(|attempt| strategy.backoff_duration(attempt).as_millis());
/// assert_eq!(delays, [100, 200, 400, 800, 1000]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum RetryStrategy {
    /// The same delay every time. It has no jitter unless that is asked for.
    FixedDelay(Duration),
    /// Each delay is `multiplier` times the one before: `initial × multiplier^attempt`, at most `max`.
    ExponentialBackoff {
        /// The first delay.
        initial: Duration,
        /// No delay is longer; at least `initial`.
        max: Duration,
        /// What each delay is multiplied by to give the next; at least 1.
        multiplier: f64,
    },
    /// Each delay is `increment` longer than the one before: `initial + increment × attempt`, at most `max`.
    LinearBackoff {
        /// The first delay.
        initial: Duration,
        /// What each delay adds to the one before.
        increment: Duration,
        /// No delay is longer; at least `initial`.
        max: Duration,
    },
    /// Each delay is the sum of the two before: `initial × 1, 1, 2, 3, 5, 8, …`, at most `max`.
    Fibonacci {
        /// The first and the second delay.
        initial: Duration,
        /// No delay is longer; at least `initial`.
        max: Duration,
    },
}

impl RetryStrategy {
    /// The delay before retry number `attempt`, counted from 0, before jitter.
    ///
    /// It is never longer than the strategy's `max` and never overflows, at any attempt and any duration.
    /// Complexity: O(log attempt), and O(1) for Fibonacci, which passes any duration at attempt 185.
    #[must_use]
    pub const fn backoff_duration(&self, attempt: u32) -> Duration {
        match *self {
            Self::FixedDelay(delay) => delay,
            Self::ExponentialBackoff {
                initial,
                max,
                multiplier,
            } => exponential(initial, max, multiplier, attempt),
            Self::LinearBackoff {
                initial,
                increment,
                max,
            } => shorter(initial.saturating_add(increment.saturating_mul(attempt)), max),
            Self::Fibonacci { initial, max } => fibonacci(initial, max, attempt),
        }
    }

    /// The sum of the first `retries` delays, before jitter: the longest that a call waits between its attempts.
    ///
    /// Complexity: O(retries), less where the delay has reached its `max`.
    #[must_use]
    pub const fn total_backoff(&self, retries: u32) -> Duration {
        let longest = self.longest();
        let mut total = Duration::ZERO;
        let mut attempt = 0;
        while attempt < retries {
            let delay = self.backoff_duration(attempt);
            if delay.as_nanos() == longest.as_nanos() {
                return total.saturating_add(delay.saturating_mul(retries - attempt));
            }
            total = total.saturating_add(delay);
            attempt += 1;
        }
        total
    }

    /// No delay is longer than this.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        match *self {
            Self::FixedDelay(delay) => delay,
            Self::ExponentialBackoff { max, .. } | Self::LinearBackoff { max, .. } | Self::Fibonacci { max, .. } => max,
        }
    }

    /// Checks the strategy's settings.
    ///
    /// # Errors
    ///
    /// A multiplier below 1 or not finite; a `max` below `initial`.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        let (initial, max) = match *self {
            Self::FixedDelay(_) => return Ok(()),
            Self::ExponentialBackoff {
                initial,
                max,
                multiplier,
            } => {
                if !(multiplier >= 1.0 && multiplier.is_finite()) {
                    let value = ConfigValue::Number(multiplier);
                    let rule = "must be at least 1 and finite";
                    return Err(ConfigError::new("retry", "multiplier", value, rule));
                }
                (initial, max)
            }
            Self::LinearBackoff { initial, max, .. } | Self::Fibonacci { initial, max } => (initial, max),
        };
        if max.as_nanos() < initial.as_nanos() {
            let value = ConfigValue::Duration(max);
            return Err(ConfigError::new("retry", "max", value, "must be at least `initial`"));
        }
        Ok(())
    }
}

const fn shorter(one: Duration, other: Duration) -> Duration {
    if one.as_nanos() < other.as_nanos() { one } else { other }
}

const fn exponential(initial: Duration, max: Duration, multiplier: f64, attempt: u32) -> Duration {
    if initial.is_zero() || attempt == 0 {
        return shorter(initial, max);
    }
    // By repeated squaring, because `f64::powi` cannot run while compiling. It may reach infinity, which is above any
    // `max`, and cannot become NaN: nothing is zero here.
    let (mut power, mut square, mut left) = (1.0, multiplier, attempt);
    while left > 0 {
        if left & 1 == 1 {
            power *= square;
        }
        square *= square;
        left >>= 1;
    }
    let seconds = initial.as_secs_f64() * power;
    // What is not below `max`, NaN included, is `max`.
    if seconds >= 0.0 && seconds < max.as_secs_f64() {
        shorter(rounded(seconds), max)
    } else {
        max
    }
}

/// The duration next to `seconds`, which are not negative and below 2^64; `Duration::from_secs_f64` cannot run while
/// compiling.
const fn rounded(seconds: f64) -> Duration {
    let whole = seconds as u64;
    let nanos = (seconds - whole as f64) * 1e9 + 0.5;
    // Where half a nanosecond rounds up to a whole second, the sum carries.
    Duration::from_secs(whole).saturating_add(Duration::from_nanos(nanos as u64))
}

const fn fibonacci(initial: Duration, max: Duration, attempt: u32) -> Duration {
    let (mut delay, mut next, mut step) = (initial, initial, 0);
    while step < attempt {
        if delay.as_nanos() >= max.as_nanos() || delay.is_zero() {
            break;
        }
        (delay, next) = (next, delay.saturating_add(next));
        step += 1;
    }
    shorter(delay, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(86_400);

    const fn exponential(initial: Duration, max: Duration, multiplier: f64) -> RetryStrategy {
        RetryStrategy::ExponentialBackoff {
            initial,
            max,
            multiplier,
        }
    }

    const fn linear(initial: Duration, increment: Duration, max: Duration) -> RetryStrategy {
        RetryStrategy::LinearBackoff {
            initial,
            increment,
            max,
        }
    }

    fn first<const N: usize>(strategy: RetryStrategy) -> [u128; N] {
        std::array::from_fn(|attempt| strategy.backoff_duration(attempt as u32).as_millis())
    }

    // RT-05, RT-19, RT-37, RT-44.
    #[test]
    fn each_strategy_grows_as_it_says() {
        let day = DAY;
        assert_eq!(first(RetryStrategy::FixedDelay(50 * MS)), [50; 5]);
        assert_eq!(first(exponential(500 * MS, day, 2.0)), [500, 1_000, 2_000]);
        assert_eq!(
            first(exponential(2 * SECOND, 30 * SECOND, 2.0)),
            [2_000, 4_000, 8_000, 16_000, 30_000]
        );
        assert_eq!(first(exponential(100 * MS, day, 1.5)), [100, 150, 225, 337, 506]);
        assert_eq!(first(linear(SECOND, SECOND, day)), [1_000, 2_000, 3_000]);
        assert_eq!(first(linear(10 * MS, 5 * MS, 22 * MS)), [10, 15, 20, 22, 22]);
        let fibonacci = RetryStrategy::Fibonacci {
            initial: 10 * MS,
            max: 100 * MS,
        };
        assert_eq!(first(fibonacci), [10, 10, 20, 30, 50, 80, 100, 100]);
    }

    // RT-14.
    #[test]
    fn exponential_delays_rise_at_every_step_until_the_cap() {
        let strategy = exponential(100 * MS, Duration::MAX, 1.5);
        for attempt in 1..50 {
            assert!(strategy.backoff_duration(attempt) > strategy.backoff_duration(attempt - 1));
        }
    }

    // RT-22.
    #[test]
    fn a_base_of_zero_stays_zero() {
        for attempt in [0, 1, 5, 2_048, u32::MAX] {
            for strategy in [
                RetryStrategy::FixedDelay(Duration::ZERO),
                exponential(Duration::ZERO, DAY, 2.0),
                linear(Duration::ZERO, Duration::ZERO, DAY),
                RetryStrategy::Fibonacci {
                    initial: Duration::ZERO,
                    max: DAY,
                },
            ] {
                assert_eq!(strategy.backoff_duration(attempt), Duration::ZERO, "{strategy:?}");
            }
        }
    }

    // RT-23, RT-25, and the trap of `increment × attempt`.
    #[test]
    fn no_attempt_and_no_duration_overflows() {
        let durations = [
            Duration::from_nanos(1),
            MS,
            SECOND,
            DAY,
            Duration::MAX - MS,
            Duration::MAX,
        ];
        let attempts = (0..2_100).chain([1 << 20, u32::MAX - 1, u32::MAX]);
        for attempt in attempts {
            for initial in durations {
                for max in durations.into_iter().filter(|max| *max >= initial) {
                    let fibonacci = RetryStrategy::Fibonacci { initial, max };
                    for strategy in [
                        exponential(initial, max, 1.0),
                        exponential(initial, max, 1.000_000_1),
                        exponential(initial, max, 2.0),
                        exponential(initial, max, f64::MAX),
                        linear(initial, Duration::MAX, max),
                        linear(initial, initial, max),
                        fibonacci,
                    ] {
                        let delay = strategy.backoff_duration(attempt);
                        assert!(
                            delay >= initial.min(max) && delay <= max,
                            "{strategy:?}, {attempt}: {delay:?}"
                        );
                    }
                }
            }
        }
        assert_eq!(
            exponential(DAY, Duration::MAX, 2.0).backoff_duration(1_000),
            Duration::MAX
        );
        assert_eq!(exponential(DAY, 2 * DAY, 2.0).backoff_duration(1_000), 2 * DAY);
        assert_eq!(exponential(10 * SECOND, SECOND, 2.0).backoff_duration(2), SECOND);
        assert_eq!(exponential(SECOND, DAY, f64::NAN).backoff_duration(2), DAY);
    }

    #[test]
    fn the_whole_backoff_is_the_sum_of_its_delays() {
        let strategy = exponential(100 * MS, SECOND, 2.0);
        for retries in 0..20 {
            let sum: Duration = (0..retries).map(|attempt| strategy.backoff_duration(attempt)).sum();
            assert_eq!(strategy.total_backoff(retries), sum, "{retries} retries");
        }
        assert_eq!(strategy.total_backoff(u32::MAX), 1_500 * MS + (u32::MAX - 4) * SECOND);
        assert_eq!(RetryStrategy::FixedDelay(DAY).total_backoff(u32::MAX), u32::MAX * DAY);
        assert_eq!(RetryStrategy::FixedDelay(Duration::MAX).total_backoff(3), Duration::MAX);
    }

    // RT-17.
    #[test]
    fn a_strategy_that_makes_no_sense_is_refused_by_name() {
        for (strategy, setting) in [
            (exponential(MS, DAY, 0.999), "multiplier"),
            (exponential(MS, DAY, f64::NAN), "multiplier"),
            (exponential(MS, DAY, f64::INFINITY), "multiplier"),
            (exponential(DAY, MS, 2.0), "max"),
            (linear(DAY, MS, MS), "max"),
            (RetryStrategy::Fibonacci { initial: DAY, max: MS }, "max"),
        ] {
            assert_eq!(
                strategy.validate().map_err(|error| error.setting),
                Err(setting),
                "{strategy:?}"
            );
        }
    }

    const _: () = assert!(
        exponential(Duration::from_millis(100), Duration::from_secs(10), 2.0)
            .total_backoff(3)
            .as_millis()
            == 700,
        "delays can be summed while compiling"
    );
}
