//! How long the dependency works on a call when all is well.

use crate::drill::scenario::Latency;
use c13_reliability::sync::Random;
use std::f64::consts::TAU;
use std::time::Duration;

/// The 99th percentile of the standard normal distribution.
const Z99: f64 = 2.326_347_874_040_841;

/// A latency distribution, ready to draw from.
pub(super) enum LatencyDraw {
    Constant(f64),
    Uniform { min: f64, max: f64 },
    Exponential { mean: f64 },
    LogNormal { mu: f64, sigma: f64 },
}

impl LatencyDraw {
    pub(super) fn new(latency: &Latency) -> Self {
        match latency {
            Latency::Constant(value) => Self::Constant(value.as_secs_f64()),
            Latency::Uniform { min, max } => Self::Uniform {
                min: min.as_secs_f64(),
                max: max.as_secs_f64(),
            },
            Latency::Exponential { mean } => Self::Exponential {
                mean: mean.as_secs_f64(),
            },
            Latency::LogNormal { p50, p99 } => {
                let mu = p50.as_secs_f64().ln();
                Self::LogNormal {
                    mu,
                    sigma: (p99.as_secs_f64().ln() - mu) / Z99,
                }
            }
        }
    }

    /// One call's time, `factor` times as long as drawn.
    pub(super) fn draw(&self, random: &Random, factor: f64) -> Duration {
        let seconds = match self {
            Self::Constant(value) => *value,
            Self::Uniform { min, max } => min + (max - min) * random.unit(),
            Self::Exponential { mean } => -(1.0 - random.unit()).ln() * mean,
            Self::LogNormal { mu, sigma } => (mu + sigma * standard_normal(random)).exp(),
        };
        Duration::try_from_secs_f64(seconds * factor).unwrap_or(Duration::MAX)
    }
}

/// A draw from the standard normal distribution, by the Box–Muller transform.
fn standard_normal(random: &Random) -> f64 {
    let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
    radius * (TAU * random.unit()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use c13_reliability::sync::HistogramSnapshot;

    fn quantiles(latency: &Latency) -> (f64, f64) {
        let (draw, random) = (LatencyDraw::new(latency), Random::new(9));
        let mut histogram = HistogramSnapshot::<7>::new();
        for _ in 0..200_000 {
            histogram.record(draw.draw(&random, 1.0).as_nanos() as u64);
        }
        let ms = |q| histogram.quantile(q).unwrap() as f64 / 1e6;
        (ms(0.5), ms(0.99))
    }

    #[test]
    fn a_lognormal_latency_has_the_percentiles_it_was_given() {
        let (p50, p99) = quantiles(&Latency::LogNormal {
            p50: Duration::from_millis(40),
            p99: Duration::from_millis(250),
        });
        assert!((p50 - 40.0).abs() < 1.0 && (p99 - 250.0).abs() < 10.0, "{p50} {p99}");
    }

    #[test]
    fn an_exponential_latency_has_the_mean_it_was_given() {
        let (p50, p99) = quantiles(&Latency::Exponential {
            mean: Duration::from_millis(100),
        });
        assert!((p50 - 69.3).abs() < 1.5 && (p99 - 460.5).abs() < 12.0, "{p50} {p99}");
    }

    #[test]
    fn a_uniform_latency_stays_within_its_ends() {
        let draw = LatencyDraw::new(&Latency::Uniform {
            min: Duration::from_millis(5),
            max: Duration::from_millis(9),
        });
        let random = Random::new(9);
        for _ in 0..1_000 {
            let drawn = draw.draw(&random, 2.0);
            assert!((Duration::from_millis(10)..=Duration::from_millis(18)).contains(&drawn));
        }
    }
}
