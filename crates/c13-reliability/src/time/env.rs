//! `Env`: the clock, the random numbers and the name that a part is made with, apart from its settings.

use super::Clock;
use crate::sync::Random;

/// The clock that a part goes by, the source of its random numbers, and the name that it is reported by.
///
/// Every part that has settings is made by `with_config(config, env)`. A part that is made of more than settings, such as a
/// lock, takes it by `with_env(env)` after it was made. Where only the clock matters, a [`Clock`] will do: the
/// random numbers are then others in every run, and the name is the part's usual one. A part that draws no random numbers,
/// or is reported under the name that it is registered by, leaves these out.
///
/// ```
/// use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig};
/// use c13_reliability::time::{Clock, Env};
///
/// let config = CircuitBreakerConfig::default();
/// let breaker = CircuitBreaker::with_config(config, Clock::system())?;
/// assert_eq!(breaker.name(), "circuit_breaker");
/// let payments = CircuitBreaker::with_config(config, Env::new(Clock::system()).seed(7).name("payments"))?;
/// assert_eq!(payments.name(), "payments");
/// # Ok::<(), c13_reliability::ConfigError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Env {
    /// The clock. Default: the system's.
    pub clock: Clock,
    /// The source of random numbers. Default: seeded from the system's randomness.
    pub random: Random,
    /// The name that the part is reported by. Default: the part's usual one.
    pub name: Option<String>,
}

impl Env {
    /// This clock, random numbers that are others in every run, and no name.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            random: Random::from_entropy(),
            name: None,
        }
    }

    /// Sets the source of random numbers: with a fixed seed, one run is like another.
    #[must_use]
    pub fn random(mut self, random: Random) -> Self {
        self.random = random;
        self
    }

    /// Sets the source of random numbers to the sequence of this seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.random(Random::new(seed))
    }

    /// Sets the name that the part is reported by.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl Default for Env {
    fn default() -> Self {
        Self::new(Clock::system())
    }
}

impl From<Clock> for Env {
    fn from(clock: Clock) -> Self {
        Self::new(clock)
    }
}
