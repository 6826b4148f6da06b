//! When the calls arrive: an open load along a curve, which does not depend on the results of the calls.

use super::latency::standard_exponential;
use crate::drill::scenario::{Arrivals, Load};
use c13_reliability::sync::Random;
use std::time::Duration;

/// The instants at which calls arrive, one after the other.
///
/// The load curve is integrated, and a call arrives whenever the integral has grown by one (constant arrivals) or by an
/// exponentially distributed step of mean one (a Poisson process of varying rate, by time rescaling).
pub(super) struct ArrivalTimes {
    /// `(seconds, calls per second)` at the curve's corners; linear between them, constant after the last. Two at one time are
    /// a step.
    corners: Vec<(f64, f64)>,
    arrivals: Arrivals,
    random: Random,
    /// Where the curve was left: the corner before it, and the time in seconds.
    corner: usize,
    at: f64,
}

impl ArrivalTimes {
    pub(super) fn new(load: &Load, random: Random) -> Self {
        let corners = load
            .shape
            .iter()
            .map(|point| (point.at.as_secs_f64(), point.rps))
            .collect();
        Self {
            corners,
            arrivals: load.arrivals,
            random,
            corner: 0,
            at: 0.0,
        }
    }

    /// The next arrival, counted from the start of the drill; `None` when the load has ended for good.
    pub(super) fn next(&mut self) -> Option<Duration> {
        let mut area = match self.arrivals {
            Arrivals::Constant => 1.0,
            Arrivals::Poisson => standard_exponential(&self.random),
        };
        loop {
            let (start, from) = self.corners[self.corner];
            let Some(&(end, to)) = self.corners.get(self.corner + 1) else {
                if from <= 0.0 {
                    return None;
                }
                self.at += area / from;
                return Some(Duration::from_secs_f64(self.at));
            };
            if end <= start {
                self.corner += 1;
                continue;
            }
            let slope = (to - from) / (end - start);
            let rate = from + slope * (self.at - start);
            let left = end - self.at;
            let whole = (rate + to) / 2.0 * left;
            if area <= whole && whole > 0.0 {
                self.at += time_to_fill(area, rate, slope).min(left);
                return Some(Duration::from_secs_f64(self.at));
            }
            area -= whole;
            self.at = end;
            self.corner += 1;
        }
    }
}

/// The `t` at which `rate · t + slope · t² / 2` reaches `area`.
fn time_to_fill(area: f64, rate: f64, slope: f64) -> f64 {
    let root = (rate * rate + 2.0 * slope * area).max(0.0).sqrt();
    // The usual formula divides by the slope; this form of it holds for a slope of zero too.
    2.0 * area / (rate + root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::scenario::Call;
    use crate::drill::scenario::load::{LoadPoint, Patience};
    use std::num::NonZeroU32;

    fn load(shape: &[(u64, f64)], arrivals: Arrivals) -> Load {
        let shape = shape
            .iter()
            .map(|(at, rps)| LoadPoint {
                at: Duration::from_secs(*at),
                rps: *rps,
            })
            .collect();
        Load {
            shape,
            arrivals,
            instances: NonZeroU32::MIN,
            deadline: Duration::from_secs(1),
            patience: Patience::Deadline,
            calls: vec![vec![Call::to(0)]],
        }
    }

    fn count(load: &Load, from: u64, to: u64) -> usize {
        let mut times = ArrivalTimes::new(load, Random::new(3));
        let within = Duration::from_secs(from)..Duration::from_secs(to);
        std::iter::from_fn(|| times.next())
            .take_while(|at| *at < within.end)
            .filter(|at| *at >= within.start)
            .count()
    }

    #[test]
    fn constant_arrivals_follow_the_area_under_the_curve() {
        let ramp = load(&[(0, 100.0), (10, 100.0), (20, 300.0), (30, 0.0)], Arrivals::Constant);
        assert_eq!(
            count(&ramp, 0, 10),
            999,
            "the first call comes after one step, the 1000th at 10 s"
        );
        assert!((1_999..=2_001).contains(&count(&ramp, 10, 20)));
        assert!((1_499..=1_501).contains(&count(&ramp, 20, 30)));
        assert_eq!(count(&ramp, 30, 100), 0);
    }

    #[test]
    fn a_step_changes_the_load_at_once() {
        for (shape, before, after) in [
            (&[(0, 100.0), (10, 100.0), (10, 300.0)][..], 999, 3_000),
            (&[(0, 100.0), (10, 100.0), (10, 0.0)], 999, 0),
            (&[(0, 0.0), (10, 0.0), (10, 50.0)], 0, 500),
        ] {
            let step = load(shape, Arrivals::Constant);
            assert!(count(&step, 0, 10).abs_diff(before) <= 1, "{shape:?}");
            assert!(count(&step, 10, 20).abs_diff(after) <= 1, "{shape:?}");
        }
    }

    #[test]
    fn poisson_arrivals_vary_about_the_same_area() {
        let ramp = load(&[(0, 100.0), (100, 300.0)], Arrivals::Poisson);
        let calls = count(&ramp, 0, 100) as f64;
        assert!((calls - 20_000.0).abs() < 4.0 * 20_000.0_f64.sqrt(), "{calls}");
    }

    #[test]
    fn arrivals_never_go_back() {
        let curve = load(&[(0, 0.0), (5, 50.0), (6, 0.0), (9, 1000.0)], Arrivals::Poisson);
        let mut times = ArrivalTimes::new(&curve, Random::new(1));
        let times: Vec<_> = std::iter::from_fn(|| times.next()).take(5_000).collect();
        assert!(times.is_sorted());
    }
}
