//! How long the dependency works on a call when all is well.

use crate::drill::scenario::Latency;
use c13_reliability::sync::Random;
use std::f64::consts::TAU;
use std::time::Duration;

/// A random sample of how long one call takes, multiplied by `factor`.
pub(super) fn sample(latency: &Latency, random: &Random, factor: f64) -> Duration {
    Duration::try_from_secs_f64(seconds(latency, random) * factor).unwrap_or(Duration::MAX)
}

fn seconds(latency: &Latency, random: &Random) -> f64 {
    match latency {
        Latency::Constant(value) => *value,
        Latency::Uniform { min, max } => min + (max - min) * random.unit(),
        Latency::Exponential { mean } => standard_exponential(random) * mean,
        Latency::LogNormal { mu, sigma } => libm::exp(mu + sigma * standard_normal(random)),
        Latency::Mix(parts) => parts.last().map_or(0.0, |(_, last)| {
            let mut left = random.unit();
            let part = parts.iter().find(|(share, _)| {
                left -= share;
                left < 0.0
            });
            // The shares add up to 1 but for rounding.
            seconds(part.map_or(last, |(_, latency)| latency), random)
        }),
    }
}

/// A random sample of the exponential distribution with a mean of one. By `libm`, as all functions here that the standard
/// library takes from the system: the same seed gives the same drill on every machine.
pub(super) fn standard_exponential(random: &Random) -> f64 {
    -libm::log(1.0 - random.unit())
}

/// A random sample of the standard normal distribution, by the Box–Muller transform.
fn standard_normal(random: &Random) -> f64 {
    let radius = (2.0 * standard_exponential(random)).sqrt();
    radius * libm::cos(TAU * random.unit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use c13_reliability::sync::HistogramSnapshot;

    fn quantiles(latency: &Latency) -> (f64, f64) {
        let random = Random::new(9);
        let mut histogram = HistogramSnapshot::<7>::new();
        for _ in 0..200_000 {
            histogram.record(sample(latency, &random, 1.0).as_nanos() as u64);
        }
        let ms = |q| histogram.quantile(q).unwrap() as f64 / 1e6;
        (ms(0.5), ms(0.99))
    }

    #[test]
    fn a_lognormal_latency_has_the_percentiles_it_was_given() {
        let (p50, p99) = quantiles(&Latency::log_normal(
            Duration::from_millis(40),
            Duration::from_millis(250),
        ));
        assert!((p50 - 40.0).abs() < 1.0 && (p99 - 250.0).abs() < 10.0, "{p50} {p99}");
    }

    #[test]
    fn an_exponential_latency_has_the_mean_it_was_given() {
        let (p50, p99) = quantiles(&Latency::Exponential { mean: 0.1 });
        assert!((p50 - 69.3).abs() < 1.5 && (p99 - 460.5).abs() < 12.0, "{p50} {p99}");
    }

    #[test]
    fn each_part_of_a_mix_has_its_share_of_the_calls() {
        let parts = vec![
            (0.9, Latency::Constant(0.01)),
            (0.1, Latency::Uniform { min: 0.9, max: 1.0 }),
        ];
        let (mix, random) = (Latency::Mix(parts), Random::new(9));
        let slow = (0..100_000)
            .filter(|_| sample(&mix, &random, 1.0) >= Duration::from_millis(900))
            .count();
        // Five standard deviations of a binomial distribution with a mean of 10,000.
        assert!(slow.abs_diff(10_000) < 475, "{slow}");
    }

    #[test]
    fn a_uniform_latency_stays_within_its_ends() {
        let latency = Latency::Uniform { min: 0.005, max: 0.009 };
        let random = Random::new(9);
        for _ in 0..1_000 {
            let drawn = sample(&latency, &random, 2.0);
            assert!((Duration::from_millis(10)..=Duration::from_millis(18)).contains(&drawn));
        }
    }
}
