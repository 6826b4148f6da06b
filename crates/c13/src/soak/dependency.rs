//! What the parts protect calls to: a dependency in real time that is well, fails, hangs and panics by turns.

use std::time::Duration;

use c13_reliability::sync::Random;
use c13_reliability::time::{Clock, Tick};

/// How long it stays well, and how long it fails, in turn.
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

/// What a call panics with, so that the panic hook can tell these panics from real ones.
#[derive(Debug)]
pub(crate) struct OnPurpose;

/// A dependency that changes between well and failing.
#[derive(Debug)]
pub(crate) struct Dependency {
    clock: Clock,
    start: Tick,
    random: Random,
}

impl Dependency {
    /// One whose chance begins at `seed`.
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
