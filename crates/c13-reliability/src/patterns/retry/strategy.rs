//! How long to wait before each retry, before jitter.

use crate::error::{ConfigError, ConfigValue, Findings, Note};
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
    /// It is exact, but for exponential delays that have not reached their `max` after 4,096 retries: what follows is off by
    /// at most a millionth, and half a nanosecond a retry.
    ///
    /// Complexity: O(1) for any number of retries.
    #[must_use]
    pub const fn total_backoff(&self, retries: u32) -> Duration {
        match *self {
            Self::FixedDelay(delay) => delay.saturating_mul(retries),
            Self::ExponentialBackoff {
                initial,
                max,
                multiplier,
            } => exponential_total(initial, max, multiplier, retries),
            Self::LinearBackoff {
                initial,
                increment,
                max,
            } => linear_total(initial, increment, max, retries),
            Self::Fibonacci { initial, max } => fibonacci_total(initial, max, retries),
        }
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
        let mut found = Findings::of("retry");
        self.check(&mut found);
        found.first()
    }

    pub(super) const fn check(&self, found: &mut Findings) {
        const BASE: &[Note] = &[Note::new("backoff.base", "`base` is set here")];
        let (initial, max) = match *self {
            Self::FixedDelay(_) => return,
            Self::ExponentialBackoff {
                initial,
                max,
                multiplier,
            } => {
                let fits = multiplier >= 1.0 && multiplier.is_finite();
                found.number(fits, "backoff.multiplier", multiplier, "must be at least 1 and finite");
                (initial, max)
            }
            Self::LinearBackoff { initial, max, .. } | Self::Fibonacci { initial, max } => (initial, max),
        };
        if max.as_nanos() < initial.as_nanos() {
            let error = found.error(
                "backoff.max",
                ConfigValue::Duration(max),
                "must not be shorter than `base`",
            );
            found.refuse(error.notes(BASE));
        }
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

/// The sum of what grows by a factor: one by one as long as that is quick, and then by the geometric series.
const fn exponential_total(initial: Duration, max: Duration, multiplier: f64, retries: u32) -> Duration {
    const ONE_BY_ONE: u32 = 4_096;
    if initial.is_zero() {
        return Duration::ZERO;
    }
    let (mut total, mut attempt) = (Duration::ZERO, 0);
    while attempt < retries && attempt < ONE_BY_ONE {
        let delay = exponential(initial, max, multiplier, attempt);
        if delay.as_nanos() >= max.as_nanos() {
            return total.saturating_add(max.saturating_mul(retries - attempt));
        }
        total = total.saturating_add(delay);
        attempt += 1;
    }
    if attempt == retries {
        return total;
    }
    let first = exponential(initial, max, multiplier, attempt);
    if first.as_nanos() == exponential(initial, max, multiplier, retries - 1).as_nanos() {
        // They do not grow, or less than shows.
        return total.saturating_add(first.saturating_mul(retries - attempt));
    }
    // The first delay that is `max`, between the two.
    let (mut grown, mut end) = (attempt, retries);
    while grown < end {
        let middle = grown + (end - grown) / 2;
        if exponential(initial, max, multiplier, middle).as_nanos() < max.as_nanos() {
            grown = middle + 1;
        } else {
            end = middle;
        }
    }
    let sum = first.as_secs_f64() * geometric(multiplier, grown - attempt);
    let rest = if sum < u64::MAX as f64 {
        rounded(sum)
    } else {
        Duration::MAX
    };
    total
        .saturating_add(rest)
        .saturating_add(max.saturating_mul(retries - grown))
}

/// `1 + ratio + ratio² + …`, so many terms. By doubling, from `S(2n) = S(n) × (1 + ratioⁿ)`: nothing is subtracted, so it is
/// exact to the rounding of the powers however near to 1 the ratio is.
const fn geometric(ratio: f64, terms: u32) -> f64 {
    let (mut sum, mut power, mut bits) = (0.0, 1.0, u32::BITS - terms.leading_zeros());
    while bits > 0 {
        bits -= 1;
        (sum, power) = (sum * (1.0 + power), power * power);
        if terms >> bits & 1 == 1 {
            (sum, power) = (sum + power, power * ratio);
        }
    }
    sum
}

const fn linear_total(initial: Duration, increment: Duration, max: Duration, retries: u32) -> Duration {
    let (first, step, most) = (initial.as_nanos(), increment.as_nanos(), max.as_nanos());
    if first >= most {
        return max.saturating_mul(retries);
    }
    // So many delays are below `max`.
    let below = match (most - first).checked_div(step) {
        Some(whole) if (most - first) % step == 0 => whole,
        Some(whole) => whole + 1,
        None => u128::MAX,
    };
    let below = if below < retries as u128 { below as u32 } else { retries };
    if below == 0 {
        return Duration::ZERO;
    }
    let count = below as u128;
    // Both ends are below 2⁹⁴ nanoseconds and the count below 2³², so that nothing overflows.
    let sum = count * (first + first + step * (count - 1)) / 2;
    let (seconds, nanos) = (sum / 1_000_000_000, (sum % 1_000_000_000) as u32);
    let rising = if seconds > u64::MAX as u128 {
        Duration::MAX
    } else {
        Duration::new(seconds as u64, nanos)
    };
    rising.saturating_add(max.saturating_mul(retries - below))
}

const fn fibonacci_total(initial: Duration, max: Duration, retries: u32) -> Duration {
    let (mut total, mut delay, mut next, mut attempt) = (Duration::ZERO, initial, initial, 0);
    while attempt < retries && !delay.is_zero() {
        if delay.as_nanos() >= max.as_nanos() {
            return total.saturating_add(max.saturating_mul(retries - attempt));
        }
        total = total.saturating_add(delay);
        (delay, next) = (next, delay.saturating_add(next));
        attempt += 1;
    }
    total
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

    #[test]
    fn the_whole_backoff_is_the_sum_for_every_strategy() {
        let fibonacci = |initial, max| RetryStrategy::Fibonacci { initial, max };
        for strategy in [
            exponential(7 * MS, DAY, 1.0),
            exponential(7 * MS, DAY, 1.001),
            exponential(7 * MS, 8 * MS, 1.01),
            exponential(Duration::ZERO, DAY, 2.0),
            linear(7 * MS, Duration::ZERO, DAY),
            linear(7 * MS, 3 * MS, 13 * MS),
            linear(7 * MS, 3 * MS, 14 * MS),
            linear(7 * MS, 3 * MS, 7 * MS),
            linear(7 * MS, 3 * MS, MS),
            linear(Duration::ZERO, MS, DAY),
            fibonacci(7 * MS, SECOND),
            fibonacci(7 * MS, MS),
            fibonacci(Duration::ZERO, DAY),
        ] {
            let mut sum = Duration::ZERO;
            for retries in 0..1_000 {
                assert_eq!(strategy.total_backoff(retries), sum, "{retries} retries, {strategy:?}");
                sum += strategy.backoff_duration(retries);
            }
        }
    }

    #[test]
    fn the_whole_backoff_of_any_number_of_retries_is_there_at_once() {
        let all = u32::MAX;
        for (strategy, total) in [
            (exponential(SECOND, DAY, 1.0), all * SECOND),
            (exponential(Duration::ZERO, DAY, 2.0), Duration::ZERO),
            (linear(SECOND, Duration::ZERO, DAY), all * SECOND),
            (linear(Duration::MAX / 2, MS, Duration::MAX), Duration::MAX),
            (
                RetryStrategy::Fibonacci {
                    initial: Duration::ZERO,
                    max: DAY,
                },
                Duration::ZERO,
            ),
        ] {
            assert_eq!(strategy.total_backoff(all), total, "{strategy:?}");
        }
        // 1 ns more each time, all the way: n (n − 1) / 2.
        let nanos = u64::from(all) * u64::from(all - 1) / 2;
        assert_eq!(
            linear(Duration::ZERO, Duration::from_nanos(1), DAY).total_backoff(all),
            Duration::from_nanos(nanos)
        );
    }

    #[test]
    fn the_whole_backoff_of_delays_that_grow_slowly_is_off_by_a_millionth_at_most() {
        for (multiplier, max, retries) in [
            (1.000_000_1, DAY, 100_000),
            (1.000_1, 10 * SECOND, 100_000),
            (1.0 + f64::EPSILON, DAY, 100_000),
        ] {
            let strategy = exponential(100 * MS, max, multiplier);
            let sum: Duration = (0..retries).map(|attempt| strategy.backoff_duration(attempt)).sum();
            let total = strategy.total_backoff(retries);
            assert!(
                total.abs_diff(sum) <= sum / 1_000_000,
                "{strategy:?}: {total:?}, {sum:?}"
            );
        }
        // Up to the day within 137 million retries: 0.1 × (m^n − 1) / (m − 1), and days from there on.
        let total = exponential(100 * MS, DAY, 1.000_000_1).total_backoff(u32::MAX);
        let grown = (864_000.0_f64.ln() / 1.000_000_1_f64.ln()).ceil();
        let sum = 863_999.9 / 10.0 / 1e-7 + (f64::from(u32::MAX) - grown) * 86_400.0;
        assert!((total.as_secs_f64() / sum - 1.0).abs() < 1e-6, "{total:?}, {sum}");
    }

    // RT-17.
    #[test]
    fn a_strategy_that_makes_no_sense_is_refused_by_name() {
        for (strategy, setting) in [
            (exponential(MS, DAY, 0.999), "backoff.multiplier"),
            (exponential(MS, DAY, f64::NAN), "backoff.multiplier"),
            (exponential(MS, DAY, f64::INFINITY), "backoff.multiplier"),
            (exponential(DAY, MS, 2.0), "backoff.max"),
            (linear(DAY, MS, MS), "backoff.max"),
            (RetryStrategy::Fibonacci { initial: DAY, max: MS }, "backoff.max"),
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
