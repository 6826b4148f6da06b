//! The three algorithms: from a limit and what one window measured to the next limit.

use super::config::Algorithm;
use std::time::Duration;

/// What one window measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    /// The mean latency of the calls that succeeded; nothing if none did.
    pub(super) latency: Option<Duration>,
    /// The most calls that ran concurrently.
    pub(super) in_flight: u32,
    /// Whether a larger share of calls was dropped than the settings allow.
    pub(super) dropped: bool,
}

impl Measured {
    /// Whether the limit is what limits: where fewer than half of it run, a measure says nothing for a higher one.
    pub(super) fn binds(&self, limit: f64) -> bool {
        f64::from(self.in_flight) * 2.0 >= limit
    }
}

impl Algorithm {
    /// The limit that follows from `limit`, before it is kept within its bounds. `baseline` is the latency without load,
    /// where it is known.
    pub(super) fn next(&self, limit: f64, measured: &Measured, baseline: Option<Duration>) -> f64 {
        let ratio = match (baseline, measured.latency) {
            (Some(baseline), Some(latency)) => baseline.as_secs_f64() / latency.as_secs_f64().max(f64::MIN_POSITIVE),
            _ => 1.0,
        };
        match *self {
            Self::Aimd { backoff } => aimd(limit, measured, backoff),
            Self::Vegas { alpha, beta } => vegas(limit, measured, ratio, alpha, beta),
            Self::Gradient { buffer } => gradient(limit, measured, ratio, buffer),
        }
    }
}

fn aimd(limit: f64, measured: &Measured, backoff: f64) -> f64 {
    if measured.dropped {
        limit * backoff
    } else if measured.binds(limit) {
        limit + 1.0
    } else {
        limit
    }
}

fn vegas(limit: f64, measured: &Measured, ratio: f64, alpha: f64, beta: f64) -> f64 {
    let step = log10(limit);
    let queue = (limit * (1.0 - ratio)).ceil();
    if measured.dropped {
        limit - step
    } else if !measured.binds(limit) {
        limit
    } else if queue <= step {
        limit + beta * step
    } else if queue < alpha * step {
        limit + step
    } else if queue > beta * step {
        limit - step
    } else {
        limit
    }
}

fn gradient(limit: f64, measured: &Measured, ratio: f64, buffer: f64) -> f64 {
    /// What drops do to a limit; latency says nothing where calls are refused.
    const DROPPED: f64 = 0.9;
    let shrunk = limit * (ratio * (1.0 + buffer)).clamp(0.5, 2.0);
    let next = shrunk + shrunk.sqrt();
    if measured.dropped {
        next.min(limit * DROPPED)
    } else if measured.binds(limit) {
        next
    } else {
        next.min(limit)
    }
}

/// The decimal logarithm of a limit in whole steps, and at least 1. Of whole numbers, because logarithms of floats differ
/// from machine to machine in their last digit.
fn log10(limit: f64) -> f64 {
    let whole = (limit as u64).max(10);
    f64::from(whole.ilog10())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn measured(latency: Duration, in_flight: u32) -> Measured {
        Measured {
            latency: Some(latency),
            in_flight,
            dropped: false,
        }
    }

    fn dropped(in_flight: u32) -> Measured {
        Measured {
            latency: None,
            in_flight,
            dropped: true,
        }
    }

    // AL-01.
    #[test]
    fn aimd_adds_one_while_it_binds_and_multiplies_at_a_drop() {
        let next = |limit, measured| Algorithm::AIMD.next(limit, &measured, None);
        assert_eq!(next(20.0, measured(MS, 10)), 21.0);
        assert_eq!(next(20.0, measured(MS, 9)), 20.0, "it does not bind");
        assert_eq!(next(30.0, dropped(0)), 27.0);
    }

    const TEN: Duration = Duration::from_millis(10);

    // AL-02, AL-04.
    #[test]
    fn vegas_grows_while_nothing_queues_and_stays_where_little_does() {
        let next = |latency, in_flight| Algorithm::VEGAS.next(10.0, &measured(latency, in_flight), Some(TEN));
        assert_eq!(next(TEN, 11), 16.0);
        assert_eq!(next(14 * MS, 14), 10.0);
        assert_eq!(next(12 * MS, 14), 11.0, "two queue, which is below three");
        assert_eq!(next(50 * MS, 14), 9.0, "eight queue, which is above six");
        assert_eq!(next(TEN, 4), 10.0, "it does not bind");
        assert_eq!(Algorithm::VEGAS.next(10.0, &dropped(10), Some(TEN)), 9.0);
    }

    // AL-05.
    #[test]
    fn vegas_takes_larger_steps_at_larger_limits() {
        let next = Algorithm::VEGAS.next(10_000.0, &measured(1_000 * TEN, 6_000), Some(1_000 * TEN));
        assert_eq!(next, 10_024.0);
    }

    // AL-07.
    #[test]
    fn the_steps_of_vegas_are_whole_logarithms() {
        assert_eq!([0.0, 1.0, 100.0, 10_000.0].map(log10), [1.0, 1.0, 2.0, 4.0]);
    }

    // AL-28.
    #[test]
    fn gradient_bears_the_buffer_and_shrinks_beyond_it() {
        let gradient = Algorithm::Gradient { buffer: 0.5 };
        let next = |millis: u32| gradient.next(100.0, &measured(millis * MS, 100), Some(5 * MS));
        assert!(next(6) > 100.0);
        assert_eq!(
            next(15),
            50.0 + 50.0_f64.sqrt(),
            "at most by half a window, and room for bursts"
        );
        assert_eq!(next(1), 200.0 + 200.0_f64.sqrt(), "at most double");
        assert_eq!(
            gradient.next(100.0, &measured(5 * MS, 49), Some(5 * MS)),
            100.0,
            "it does not bind"
        );
        assert_eq!(gradient.next(100.0, &dropped(100), Some(5 * MS)), 90.0);
    }

    #[test]
    fn without_a_baseline_nothing_shrinks() {
        for algorithm in [Algorithm::VEGAS, Algorithm::GRADIENT] {
            assert!(algorithm.next(20.0, &measured(MS, 20), None) >= 20.0);
        }
    }

    #[test]
    fn no_measure_makes_a_limit_that_is_not_a_number() {
        for algorithm in [Algorithm::AIMD, Algorithm::VEGAS, Algorithm::GRADIENT] {
            for limit in [1.0, 20.0, 2e9] {
                for latency in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
                    for baseline in [None, Some(Duration::ZERO), Some(MS), Some(Duration::MAX)] {
                        for in_flight in [0, u32::MAX] {
                            let next = algorithm.next(limit, &measured(latency, in_flight), baseline);
                            assert!(
                                next.is_finite(),
                                "{algorithm:?} {limit} {latency:?} {baseline:?}: {next}"
                            );
                        }
                    }
                }
            }
        }
    }
}
