//! The builder of breakers that have more than settings: a clock, a name, a listener, an initial state.

use super::config::CircuitBreakerConfig;
use super::events::Listener;
use super::handle::CircuitBreaker;
use super::shared::Shared;
use super::snapshot::{CircuitEvent, CircuitState};
use crate::error::ConfigError;
use crate::sync::Stripes;
use crate::time::Env;
use std::fmt;
use std::sync::Arc;

/// Makes a breaker; started by [`CircuitBreaker::builder`].
///
/// ```
/// use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitState};
///
/// let breaker = CircuitBreaker::builder(CircuitBreakerConfig::default())
///     .name("payments")
///     .initial_state(CircuitState::MetricsOnly)
///     .build()?;
/// assert_eq!(breaker.name(), "payments");
/// # Ok::<(), c13_reliability::ConfigError>(())
/// ```
#[must_use = "a builder makes nothing until `build`"]
pub struct CircuitBreakerBuilder {
    config: CircuitBreakerConfig,
    env: Option<Env>,
    name: Option<String>,
    state: CircuitState,
    compact: bool,
    stripes: Option<Stripes>,
    listeners: Vec<Listener>,
}

impl CircuitBreakerBuilder {
    pub(super) fn new(config: CircuitBreakerConfig) -> Self {
        Self {
            config,
            env: None,
            name: None,
            state: CircuitState::Closed,
            compact: false,
            stripes: None,
            listeners: Vec::new(),
        }
    }

    /// The clock that it goes by, the source of its random numbers, and its name. Default: [`Env::default`].
    /// The random numbers are for jitter and for the calls of a recovery's stages.
    pub fn env(mut self, env: impl Into<Env>) -> Self {
        self.env = Some(env.into());
        self
    }

    /// The name it is reported by, whatever [`env`](Self::env) says. Default: `circuit_breaker`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The state it starts in. Default: `Closed`. `Open` lasts for `open_for`.
    pub fn initial_state(mut self, state: CircuitState) -> Self {
        self.state = state;
        self
    }

    /// Calls `listener` with every event of the breaker; see [`CircuitBreaker::listen`].
    pub fn listen(mut self, listener: impl Fn(&CircuitEvent) + Send + Sync + 'static) -> Self {
        self.listeners.push(Arc::new(listener));
        self
    }

    /// Keeps it small however many threads use it: without this, each thread that uses it adds 128 bytes (256 with a window
    /// over time); with it, each call is an atomic addition on a shared cache line. For breakers by the thousand.
    pub fn compact(mut self) -> Self {
        self.compact = true;
        self
    }

    /// Counts on stripes that others use too.
    pub(crate) fn stripes(mut self, stripes: &Stripes) -> Self {
        self.stripes = Some(stripes.clone());
        self
    }

    /// How many words of a stripe a breaker with these settings takes at most.
    pub(crate) fn words(config: &CircuitBreakerConfig) -> usize {
        Shared::words(config)
    }

    /// Makes the breaker.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense; see [`CircuitBreakerConfig::validate`].
    pub fn build(self) -> Result<CircuitBreaker, ConfigError> {
        self.config.validate()?;
        let words = Shared::words(&self.config);
        let stripes = match self.stripes {
            Some(stripes) => stripes,
            None if self.compact => Stripes::compact(words),
            None => Stripes::new(words),
        };
        let Env { clock, random, name } = self.env.unwrap_or_default();
        let name = self.name.or(name);
        let shared = Shared::new(self.config, clock, random, name.as_deref(), self.state, &stripes);
        for listener in self.listeners {
            shared.outbox().listen(listener);
        }
        Ok(CircuitBreaker::from_shared(shared))
    }
}

impl fmt::Debug for CircuitBreakerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerBuilder")
            .field("config", &self.config)
            .field("name", &self.name)
            .field("state", &self.state)
            .field("compact", &self.compact)
            .finish_non_exhaustive()
    }
}
