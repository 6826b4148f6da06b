//! Adaptive limits with room.

use super::drive::{drive, succeed};
use crate::case::Cases;
use c13_reliability::gate::{Gate, Outcome, Permit};
use c13_reliability::patterns::adaptive::{AdaptiveConfig, AdaptiveLimit, Algorithm};
use c13_reliability::time::Clock;

pub(crate) fn add(cases: &mut Cases) {
    for (name, algorithm) in [
        ("adaptive/permit, AIMD", Algorithm::AIMD),
        ("adaptive/permit, Vegas", Algorithm::VEGAS),
        ("adaptive/permit, gradient", Algorithm::GRADIENT),
    ] {
        permits(cases, name, move || {
            AdaptiveLimit::with_config(config(algorithm), Clock::system()).expect("the settings are good")
        });
    }
    permits(cases, "adaptive/permit of a partition, gradient", || {
        let shares = [("one", 0.5), ("other", 0.5)];
        let limit = AdaptiveLimit::partitioned(config(Algorithm::GRADIENT), Clock::system(), &shares);
        limit
            .expect("the settings are good")
            .partition("one")
            .expect("it was named")
    });
    let setup =
        || AdaptiveLimit::with_config(config(Algorithm::GRADIENT), Clock::system()).expect("the settings are good");
    let bytes = size_of_val(&setup().call(succeed(1)));
    let case = cases.timed("adaptive/call, gradient", setup, |limit, _| {
        let limit = limit.clone();
        move || assert!(drive(limit.call(succeed(1))).is_ok())
    });
    // Its limit follows the latency that it measures, which differs under valgrind.
    case.future(bytes).uncounted();
}

/// More than two threads can need.
fn config(algorithm: Algorithm) -> AdaptiveConfig {
    AdaptiveConfig::new(algorithm).limits(20, 10, 1000)
}

fn permits<G: Gate + Clone + Send + 'static>(cases: &mut Cases, name: &str, setup: impl Fn() -> G + 'static) {
    let case = cases.timed(name, setup, |limit, _| {
        let limit = limit.clone();
        move || match limit.try_admit() {
            Ok(permit) => permit.record(Outcome::Success),
            Err(_) => unreachable!("two threads are below any limit"),
        }
    });
    // As above.
    case.uncounted();
}
