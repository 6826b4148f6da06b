//! A fleet: the instances of one caller, each with a policy of its own around its calls to one dependency.

use super::circuits::CircuitLog;
use crate::drill::scenario::Protection;
use c13_reliability::patterns::rate_limiter::TokenBucketRateLimiter;
use c13_reliability::policy::Policy;
use c13_reliability::sync::Random;
use c13_reliability::time::{Clock, Env};
use std::time::Duration;

/// The clients: instances of one service. Each has its own breaker, retry budget, rate limit, bulkhead and adaptive limit, and
/// sees its part of the load only.
pub(super) struct Fleet {
    policies: Vec<Policy>,
    /// A rate limit that all clients share, and how long a decision of it takes.
    shared_limit: Option<(TokenBucketRateLimiter, Duration)>,
    clock: Clock,
    circuits: Vec<CircuitLog>,
}

impl Fleet {
    /// So many clients with the same settings; `stream` ends the names of their random numbers.
    pub(super) fn new(clients: usize, protection: Protection, clock: &Clock, seed: u64, stream: &str) -> Self {
        let mut config = protection.policy;
        let shared_limit = protection.shared_limit.and_then(|takes| {
            // It takes the place of the limits of the clients.
            let limit = TokenBucketRateLimiter::with_config(config.rate_limit.take()?, clock.clone());
            Some((limit.expect("the policy was checked when the scenario was read"), takes))
        });
        let policy = |client: usize| {
            // One client has the stream that it had before there were fleets, so that it gives the same drill.
            let stream = match client {
                0 => format!("policy{stream}"),
                client => format!("policy of client {client}{stream}"),
            };
            let env = Env::new(clock.clone()).random(Random::stream(seed, &stream));
            Policy::with_config(config, env).expect("the policy was checked when the scenario was read")
        };
        let policies: Vec<Policy> = (0..clients).map(policy).collect();
        let breakers = policies.iter().filter_map(Policy::circuit_breaker);
        Self {
            circuits: breakers.map(|breaker| CircuitLog::of(&breaker)).collect(),
            policies,
            shared_limit,
            clock: clock.clone(),
        }
    }

    /// Asks the limit that all clients share, if there is one. Whether it lets a call through.
    pub(super) async fn is_within_shared_limit(&self) -> bool {
        let Some((limit, takes)) = &self.shared_limit else {
            return true;
        };
        self.clock.sleep(*takes).await;
        limit.acquire(1).await.is_ok()
    }

    pub(super) fn policy(&self, client: usize) -> &Policy {
        &self.policies[client]
    }

    /// What the breakers of the clients went through.
    pub(super) fn circuits(&self) -> &[CircuitLog] {
        &self.circuits
    }
}

/// Which client each request reaches.
pub(super) struct Spread {
    clients: u64,
    random: Random,
}

impl Spread {
    /// The load of so many clients.
    pub(super) fn new(clients: usize, seed: u64) -> Self {
        Self {
            clients: clients as u64,
            random: Random::stream(seed, "clients"),
        }
    }

    /// The client that the next request reaches.
    ///
    /// At random and not in turn: each client's share of Poisson arrivals is then a Poisson process again, as the requests of
    /// independent users are. In turn, the arrivals at each client would be more regular than those of any service, and its
    /// breaker and its limits would see less variation than they do in production.
    pub(super) fn next(&self) -> usize {
        match self.clients {
            1 => 0,
            clients => self.random.below(clients) as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_spread_evenly_over_the_clients() {
        let spread = Spread::new(10, 42);
        let mut requests = [0_u32; 10];
        for _ in 0..100_000 {
            requests[spread.next()] += 1;
        }
        // Five standard deviations of a binomial distribution with a mean of 10,000.
        assert!(
            requests.iter().all(|count| count.abs_diff(10_000) < 475),
            "{requests:?}"
        );
    }
}
