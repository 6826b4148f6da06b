//! The fleet: instances of one service that share the load, each with a policy of its own.

use c13_reliability::patterns::circuit_breaker::CircuitState;
use c13_reliability::patterns::rate_limiter::TokenBucketRateLimiter;
use c13_reliability::policy::{Policy, PolicyConfig};
use c13_reliability::sync::Random;
use c13_reliability::time::{Clock, Env};
use std::cell::RefCell;
use std::time::Duration;

/// The clients: instances of one service. Each has its own breaker, retry budget, rate limit, bulkhead and adaptive limit, and sees its part
/// of the load only.
pub(super) struct Fleet {
    policies: Vec<Policy>,
    /// A rate limit that all clients share, and how long a decision of it takes.
    shared_limit: Option<(TokenBucketRateLimiter, Duration)>,
    clock: Clock,
    spread: Random,
    breakers: RefCell<Breakers>,
}

impl Fleet {
    /// So many clients with the same settings.
    pub(super) fn new(
        clients: usize,
        mut config: PolicyConfig,
        shared_limit: Option<Duration>,
        clock: &Clock,
        seed: u64,
    ) -> Self {
        let shared_limit = shared_limit.and_then(|takes| {
            // It takes the place of the limits of the clients.
            let limit = TokenBucketRateLimiter::with_config(config.rate_limit.take()?, clock.clone());
            Some((limit.expect("the policy was checked when the scenario was read"), takes))
        });
        let policy = |client: usize| {
            // One client has the stream that it had before there were fleets, so that it gives the same drill.
            let stream = match client {
                0 => "policy".to_owned(),
                client => format!("policy of client {client}"),
            };
            let env = Env::new(clock.clone()).random(Random::stream(seed, &stream));
            Policy::with_config(config, env).expect("the policy was checked when the scenario was read")
        };
        Self {
            policies: (0..clients).map(policy).collect(),
            shared_limit,
            clock: clock.clone(),
            spread: Random::stream(seed, "clients"),
            breakers: RefCell::new(Breakers::new(clients)),
        }
    }

    /// The client that the next request reaches.
    ///
    /// At random and not in turn: each client's share of Poisson arrivals is then a Poisson process again, as the requests of
    /// independent users are. In turn, the arrivals at each client would be more regular than those of any service, and its
    /// breaker and its limits would see less variation than they do in production.
    pub(super) fn next(&self) -> usize {
        match self.policies.len() {
            1 => 0,
            clients => self.spread.below(clients as u64) as usize,
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

    /// Whether at least half of the breakers are open, now that a call of this client has ended. A breaker opens on the result
    /// of a call, so looking at one after each of its calls finds the moment.
    pub(super) fn is_open_after_call_of(&self, client: usize) -> bool {
        let Some(breaker) = self.policies[client].circuit_breaker() else {
            return false;
        };
        let mut breakers = self.breakers.borrow_mut();
        breakers.note(client, breaker.current_state() == CircuitState::Open);
        breakers.at_least_half_open()
    }
}

/// Which breakers of a fleet are open.
struct Breakers {
    open: Vec<bool>,
    count: usize,
}

impl Breakers {
    fn new(clients: usize) -> Self {
        Self {
            open: vec![false; clients],
            count: 0,
        }
    }

    fn note(&mut self, client: usize, open: bool) {
        match (self.open[client], open) {
            (false, true) => self.count += 1,
            (true, false) => self.count -= 1,
            _ => {}
        }
        self.open[client] = open;
    }

    fn at_least_half_open(&self) -> bool {
        2 * self.count >= self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use c13_reliability::time::Executor;

    #[test]
    fn a_fleet_is_open_while_at_least_half_of_its_breakers_are() {
        for (clients, looks, open) in [
            (1, &[(0, true)][..], true),
            (1, &[(0, true), (0, false)], false),
            (3, &[(0, true)], false),
            (3, &[(0, true), (0, true)], false),
            (3, &[(0, true), (2, true)], true),
            (4, &[(3, true), (1, true)], true),
            (4, &[(3, true), (1, true), (3, false)], false),
        ] {
            let mut breakers = Breakers::new(clients);
            for &(client, open) in looks {
                breakers.note(client, open);
            }
            assert_eq!(breakers.at_least_half_open(), open, "{clients} clients, {looks:?}");
        }
    }

    #[test]
    fn the_load_is_spread_evenly_over_the_clients() {
        let fleet = Fleet::new(10, PolicyConfig::NONE, None, &Executor::new().clock(), 42);
        let mut requests = [0_u32; 10];
        for _ in 0..100_000 {
            requests[fleet.next()] += 1;
        }
        // Five standard deviations of a binomial distribution with a mean of 10,000.
        assert!(
            requests.iter().all(|count| count.abs_diff(10_000) < 475),
            "{requests:?}"
        );
    }
}
