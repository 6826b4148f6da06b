//! A health check of a circuit breaker.

use super::{ComponentHealth, HealthChecker};
use crate::patterns::circuit_breaker::{CircuitBreaker, CircuitState};
use crate::policy::Policy;
use async_trait::async_trait;

/// Checks a circuit breaker: `Healthy` while calls run, `Degraded` while they are refused or only probes run.
///
/// While a circuit is open, the service knows that the dependency fails and does something else instead. That alone is
/// no reason to send traffic elsewhere, so add this as an optional check. If the service is useless without the
/// dependency, set [`unhealthy_when_open`](Self::unhealthy_when_open). For the breaker of a policy take
/// [`of_policy`](Self::of_policy), which follows the policy through reloads.
///
/// ```
/// use c13_reliability::microservices::health::{BreakerChecker, HealthChecker, HealthStatus};
/// use c13_reliability::patterns::circuit_breaker::CircuitBreaker;
/// use c13_reliability::time::Executor;
/// use std::time::Duration;
///
/// let breaker = CircuitBreaker::new(5, 2, Duration::from_secs(30));
/// let checker = BreakerChecker::new("payments", breaker.clone());
/// breaker.force_open();
/// assert_eq!(Executor::new().block_on(checker.check()).status, HealthStatus::Degraded);
/// ```
#[derive(Clone, Debug)]
pub struct BreakerChecker {
    name: String,
    checked: Checked,
    unhealthy_when_open: bool,
}

#[derive(Clone, Debug)]
enum Checked {
    Breaker(CircuitBreaker),
    Policy(Policy),
}

impl Checked {
    /// The breaker that calls go through now.
    fn breaker(&self) -> Option<CircuitBreaker> {
        match self {
            Self::Breaker(breaker) => Some(breaker.clone()),
            Self::Policy(policy) => policy.circuit_breaker(),
        }
    }
}

impl BreakerChecker {
    /// A check of this breaker, under this name.
    #[must_use]
    pub fn new(name: impl Into<String>, breaker: CircuitBreaker) -> Self {
        Self::of(name, Checked::Breaker(breaker))
    }

    /// A check of the breaker of this policy, whichever it has: one that a reload adds is checked from then on, and while the
    /// policy has none the check is `Healthy`, since nothing is refused.
    #[must_use]
    pub fn of_policy(name: impl Into<String>, policy: Policy) -> Self {
        Self::of(name, Checked::Policy(policy))
    }

    fn of(name: impl Into<String>, checked: Checked) -> Self {
        Self {
            name: name.into(),
            checked,
            unhealthy_when_open: false,
        }
    }

    /// Makes an open circuit `Unhealthy`.
    #[must_use]
    pub fn unhealthy_when_open(mut self) -> Self {
        self.unhealthy_when_open = true;
        self
    }
}

#[async_trait]
impl HealthChecker for BreakerChecker {
    async fn check(&self) -> ComponentHealth {
        let Some(breaker) = self.checked.breaker() else {
            return ComponentHealth::healthy(self.name());
        };
        let state = breaker.current_state();
        let message = format!("the circuit is {state}");
        match state {
            CircuitState::Open | CircuitState::ForcedOpen if self.unhealthy_when_open => {
                ComponentHealth::unhealthy(self.name(), message)
            }
            CircuitState::Open | CircuitState::ForcedOpen | CircuitState::HalfOpen => {
                ComponentHealth::degraded(self.name(), message)
            }
            CircuitState::Closed | CircuitState::ForcedClosed | CircuitState::MetricsOnly => {
                ComponentHealth::healthy(self.name())
            }
        }
    }

    fn name(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::super::HealthStatus::{self, Degraded, Healthy, Unhealthy};
    use super::*;
    use crate::patterns::circuit_breaker::CircuitBreakerConfig;
    use crate::policy::PolicyConfig;
    use crate::time::Executor;
    use std::time::Duration;

    #[test]
    fn the_status_follows_a_policy_through_its_reloads() {
        let without = PolicyConfig::NONE;
        let with = without.circuit_breaker(CircuitBreakerConfig::new().consecutive_failures(1));
        let policy = Policy::new(without).unwrap();
        let checker = BreakerChecker::of_policy("payments", policy.clone());
        let status = || Executor::new().block_on(checker.check()).status;
        assert_eq!(status(), Healthy, "nothing is refused");
        policy.reconfigure(with).unwrap();
        policy.circuit_breaker().unwrap().force_open();
        assert_eq!(status(), Degraded);
        policy.reconfigure(without).unwrap();
        assert_eq!(status(), Healthy, "the breaker has left the policy");
    }

    #[test]
    fn the_status_follows_the_circuit() {
        let breaker = CircuitBreaker::new(1, 1, Duration::from_secs(30));
        let lenient = BreakerChecker::new("payments", breaker.clone());
        let strict = lenient.clone().unhealthy_when_open();
        let statuses = || -> [HealthStatus; 2] {
            let executor = Executor::new();
            [&lenient, &strict].map(|checker| executor.block_on(checker.check()).status)
        };
        assert_eq!(statuses(), [Healthy, Healthy]);
        breaker.force_open();
        assert_eq!(statuses(), [Degraded, Unhealthy]);
        breaker.force_closed();
        assert_eq!(statuses(), [Healthy, Healthy]);
        breaker.reset();
        let failed: Result<(), _> = Executor::new().block_on(breaker.call(async { Err("refused") }));
        assert!(failed.is_err());
        assert_eq!(statuses(), [Degraded, Unhealthy]);
    }
}
