//! Jitter: random changes of delays, so that calls that failed at one moment are not all retried at one moment.

use std::time::Duration;

/// How a delay is spread. Whatever it is, no delay is longer than the strategy's longest.
///
/// Calls that failed at one moment are retried at one moment, unless their delays differ. In a simulation of 100 clients
/// over one row of a database, full jitter made the fewest calls of all and back-off without jitter took ten times as
/// long to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// The delay as it is.
    None,
    /// Anything from nothing to the whole delay: the default of growing delays.
    Full,
    /// Half of the delay, and anything from nothing to half of it on top.
    Equal,
    /// Delays that grow smoothly around the exponential curve and depend on the one before, for exponential back-off by
    /// 2: `(f(t) − f(previous t)) × initial / 1.4` with `f(t) = 2^t · tanh(√(4t))` and `t = attempt + random`. The
    /// medians are about 0.9, 1.1, 2, 4, 8, … times `initial`.
    ///
    /// Source: the second version of Polly's decorrelated jitter, which avoids the clumps at both ends of the first.
    Decorrelated,
}

impl Jitter {
    /// Every kind by its name in files.
    pub const NAMES: &[(&str, Self)] = &[
        ("full", Self::Full),
        ("equal", Self::Equal),
        ("decorrelated", Self::Decorrelated),
        ("none", Self::None),
    ];

    /// Spreads `delay` by `unit`, a random number in `[0, 1)`; for all kinds but [`Decorrelated`](Jitter::Decorrelated),
    /// which needs more than that.
    pub(super) fn spread(self, delay: Duration, unit: f64) -> Duration {
        match self {
            Self::None | Self::Decorrelated => delay,
            Self::Full => share(delay, unit),
            Self::Equal => {
                let half = delay / 2;
                half.saturating_add(share(delay - half, unit))
            }
        }
    }
}

/// Where on the curve of decorrelated jitter a call is: `f` of the last `t`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Curve(f64);

impl Curve {
    /// Before the first delay.
    pub(super) const START: Self = Self(0.0);

    /// The next delay; `unit` is a random number in `[0, 1)`.
    pub(super) fn step(&mut self, initial: Duration, longest: Duration, attempt: u32, unit: f64) -> Duration {
        /// Scales the median of the first delay to about `initial`.
        const SCALE: f64 = 1.0 / 1.4;
        let t = f64::from(attempt) + unit;
        // By `libm`, so that one seed gives the same delays on every machine; the standard library asks the system's.
        let reached = libm::exp2(t) * libm::tanh((4.0 * t).sqrt());
        // Beyond 2^1023 both are infinite and their distance is none: the delay has long been the longest.
        let step = (reached - self.0) * initial.as_secs_f64() * SCALE;
        self.0 = reached;
        if initial.is_zero() {
            Duration::ZERO
        } else if step < longest.as_secs_f64() {
            // Not negative: the curve only rises, and the next `t` is never below the last.
            Duration::try_from_secs_f64(step).unwrap_or(Duration::ZERO)
        } else {
            longest
        }
    }
}

/// The share `unit` of `delay`.
fn share(delay: Duration, unit: f64) -> Duration {
    // A product of a finite duration and a number up to 1; rounding at the far end may go beyond what a duration holds.
    Duration::try_from_secs_f64(delay.as_secs_f64() * unit)
        .unwrap_or(delay)
        .min(delay)
}

#[cfg(test)]
mod tests {
    use super::super::RetryStrategy;
    use super::*;
    use crate::sync::Random;

    const MS: Duration = Duration::from_millis(1);

    // RT-26, over the range the specification names.
    #[test]
    fn every_delay_stays_within_its_range_and_its_cap() {
        for seed in 0..20 {
            let random = Random::new(seed);
            for attempt in 0..=2_048 {
                let initial = MS * (1 + random.below(3_600_000) as u32);
                let max = initial.saturating_mul(1 + random.below(1_000) as u32);
                let strategy = RetryStrategy::ExponentialBackoff {
                    initial,
                    max,
                    multiplier: 1.0 + random.unit() * 2.0,
                };
                let delay = strategy.backoff_duration(attempt);
                let unit = random.unit();
                let context = || format!("seed {seed}, attempt {attempt}, {delay:?} by {unit}");
                assert_eq!(Jitter::None.spread(delay, unit), delay);
                assert!(Jitter::Full.spread(delay, unit) <= delay, "{}", context());
                let equal = Jitter::Equal.spread(delay, unit);
                assert!(equal >= delay / 2 && equal <= delay, "{}", context());
            }
        }
    }

    #[test]
    fn full_jitter_reaches_both_ends_and_equal_jitter_the_upper_half() {
        let nearly_one = 1.0 - f64::EPSILON;
        assert_eq!(Jitter::Full.spread(100 * MS, 0.0), Duration::ZERO);
        assert_eq!(Jitter::Full.spread(100 * MS, nearly_one), 100 * MS);
        assert_eq!(Jitter::Equal.spread(100 * MS, 0.0), 50 * MS);
        assert_eq!(Jitter::Equal.spread(100 * MS, nearly_one), 100 * MS);
        assert!(Jitter::Full.spread(Duration::MAX, nearly_one) > Duration::MAX / 2);
        assert_eq!(Jitter::Full.spread(Duration::ZERO, 0.5), Duration::ZERO);
    }

    // RT-26, decorrelated: in [0, 4 · 2^attempt · initial), clamped.
    #[test]
    fn decorrelated_delays_stay_below_four_times_the_exponential_curve() {
        for seed in 0..50 {
            let random = Random::new(seed);
            let initial = MS * (1 + random.below(3_600_000) as u32);
            let (longest, mut curve) = (Duration::MAX / 2, Curve::default());
            for attempt in 0..=2_048 {
                let delay = curve.step(initial, longest, attempt, random.unit());
                let bound = 4.0 * f64::from(attempt).exp2() * initial.as_secs_f64();
                assert!(
                    delay <= longest && delay.as_secs_f64() < bound.max(1e-9),
                    "seed {seed}, attempt {attempt}: {delay:?} of {initial:?}"
                );
            }
        }
    }

    #[test]
    fn decorrelated_delays_double_in_the_middle_and_are_spread_around_it() {
        let draws = 20_001;
        for (attempt, expected) in [90.0, 109.0, 204.0, 404.0, 807.0].into_iter().enumerate() {
            let random = Random::new(7);
            let mut delays: Vec<f64> = (0..draws)
                .map(|_| {
                    let mut curve = Curve::default();
                    let mut delay = Duration::ZERO;
                    for step in 0..=attempt as u32 {
                        delay = curve.step(100 * MS, Duration::MAX, step, random.unit());
                    }
                    delay.as_secs_f64() * 1e3
                })
                .collect();
            delays.sort_by(f64::total_cmp);
            let median = delays[draws / 2];
            assert!(
                (median / expected - 1.0).abs() < 0.05,
                "attempt {attempt}: median {median} ms for {expected} ms"
            );
            assert!(
                delays[0] < 0.6 * expected && delays[draws - 1] > 1.5 * expected,
                "spread"
            );
        }
    }
}
