//! What it costs to come in within an adaptive limit, and to be measured.
//!
//! `cargo bench -p c13-reliability --bench adaptive`

mod measure;

use c13_reliability::gate::{Gate, Outcome, Permit};
use c13_reliability::patterns::adaptive::{AdaptiveConfig, AdaptiveLimit, Algorithm};
use c13_reliability::time::Clock;
use measure::{head, ready, row};
use std::hint::black_box;

fn main() {
    head();
    for (name, algorithm) in [
        ("AIMD", Algorithm::AIMD),
        ("Vegas", Algorithm::VEGAS),
        ("gradient", Algorithm::GRADIENT),
    ] {
        let limit = AdaptiveLimit::with_config(AdaptiveConfig::new(algorithm).limits(20, 10, 1000), Clock::system())
            .expect("good");
        row(&format!("a permit, taken and given back, {name}"), || {
            match limit.try_admit() {
                Ok(permit) => permit.record(Outcome::Success),
                Err(_) => unreachable!("two threads are below any limit"),
            }
        });
    }
    let limit =
        AdaptiveLimit::with_config(AdaptiveConfig::default().limits(20, 10, 1000), Clock::system()).expect("good");
    row("a call, gradient", || {
        assert!(ready(limit.call(async { Ok::<u64, u64>(black_box(1)) })).is_ok());
    });
    let shares = [("one", 0.5), ("other", 0.5)];
    let limit = AdaptiveLimit::partitioned(AdaptiveConfig::default().limits(20, 10, 1000), Clock::system(), &shares)
        .expect("good");
    let part = limit.partition("one").expect("it was named");
    row("a permit of a partition, gradient", || match part.try_admit() {
        Ok(permit) => permit.record(Outcome::Success),
        Err(_) => unreachable!("two threads are below any limit"),
    });
}
