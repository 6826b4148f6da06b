//! A dependency in real time that is healthy, fails, hangs and panics by turns: the parts protect calls to it.

use std::time::Duration;

use c13_reliability::sync::Random;
use c13_reliability::time::{Clock, Tick};

/// How long it stays healthy, and how long it fails, in turn.
const TURN: Duration = Duration::from_secs(3);
/// The longest it takes to answer.
const SLOWEST: Duration = Duration::from_millis(2);
/// Longer than any time limit, and short enough to end with the run.
const HANG: Duration = Duration::from_secs(1);

/// The error of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Down;

impl std::fmt::Display for Down {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the dependency is down")
    }
}

impl std::error::Error for Down {}

/// The payload of the panics, by which the panic hook knows them from real ones.
#[derive(Debug)]
pub(crate) struct OnPurpose;

/// A dependency that alternates between healthy and failing.
#[derive(Debug)]
pub(crate) struct FaultyDependency {
    clock: Clock,
    start: Tick,
    random: Random,
}

impl FaultyDependency {
    /// A dependency whose random numbers start at `seed`.
    pub(crate) fn new(clock: Clock, seed: u64) -> Self {
        Self {
            start: clock.now(),
            random: Random::stream(seed, "dependency"),
            clock,
        }
    }

    /// Answers, fails, hangs or panics.
    pub(crate) async fn call(&self) -> Result<u64, Down> {
        let failing = (self.clock.now().since(self.start).as_nanos() / TURN.as_nanos()) % 2 == 1;
        let chance = self.random.unit();
        if chance < 0.001 {
            std::panic::panic_any(OnPurpose);
        }
        if chance < 0.003 {
            self.clock.sleep(HANG).await;
        } else if chance < 0.5 {
            self.clock.sleep(SLOWEST.mul_f64(self.random.unit())).await;
        }
        if self.random.unit() < if failing { 0.8 } else { 0.01 } {
            Err(Down)
        } else {
            Ok(self.random.next_u64())
        }
    }
}
