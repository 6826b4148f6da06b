//! What a breaker promises, in virtual time.

mod calls;
mod cancel;
mod change;
mod events;
mod half_open;
mod health_probe;
mod keyed;
#[cfg(feature = "tower")]
mod layer;
mod model;
mod opening;
mod peers;
mod settings;
mod stages;
mod watching;

use super::*;
use crate::sync::Random;
use crate::time::{Env, VirtualTime};
use std::time::Duration;

/// A breaker and the clock it goes by.
pub(super) struct Bench {
    pub(super) time: VirtualTime,
    pub(super) breaker: CircuitBreaker,
}

pub(super) fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Five failures in a row open it for 30 s; two successful probes close it.
pub(super) fn defaults() -> Bench {
    Bench::new(CircuitBreakerConfig::default())
}

impl Bench {
    pub(super) fn new(config: CircuitBreakerConfig) -> Self {
        let time = VirtualTime::new();
        let breaker = CircuitBreaker::builder(config)
            .env(Env::new(time.clock()).random(Random::new(7)))
            .build()
            .expect("the settings are good");
        Self { time, breaker }
    }

    /// Lets the time go on by so many seconds.
    pub(super) fn wait(&self, seconds: f64) -> &Self {
        self.time.advance(secs(seconds));
        self
    }

    /// Makes calls that end at once: `S` succeeds, `F` fails, `I` is ignored, `A` is abandoned. All must be admitted.
    #[track_caller]
    pub(super) fn calls(&self, outcomes: &str) -> &Self {
        for outcome in outcomes.chars().filter(|c| !c.is_whitespace()) {
            let permit = self.breaker.try_acquire().expect("the call is admitted");
            match outcome {
                'S' => permit.success(),
                'F' => permit.failure(),
                'I' => permit.ignore(),
                'A' => drop(permit),
                other => panic!("no such outcome: {other}"),
            }
        }
        self
    }

    #[track_caller]
    pub(super) fn is(&self, state: CircuitState) -> &Self {
        assert_eq!(self.breaker.current_state(), state);
        self
    }

    #[track_caller]
    pub(super) fn refuses(&self) -> &Self {
        assert!(self.breaker.try_acquire().is_err(), "the call is refused");
        self
    }

    /// Opens it by five failures and waits until probes are let through.
    pub(super) fn about_to_probe(&self) -> &Self {
        self.calls("FFFFF").is(CircuitState::Open).wait(30.0)
    }
}
