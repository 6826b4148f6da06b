//! The balancer before the instances of the dependency: which of them takes a call.

use super::fault::Condition;
use super::instance::Instance;
use crate::drill::scenario::{Balance, Dependency, Fault};
use c13_reliability::sync::Random;
use std::time::Duration;

/// Spreads calls over the instances that are up as far as it knows.
pub(super) struct Balancer {
    balance: Balance,
    random: Random,
    /// Where round robin goes on.
    next: usize,
    /// The instances that calls are sent to, and until when.
    members: Vec<usize>,
    until: Duration,
}

impl Balancer {
    pub(super) fn new(balance: Balance, random: Random) -> Self {
        Self {
            balance,
            random,
            next: 0,
            members: Vec::new(),
            until: Duration::ZERO,
        }
    }

    /// The instance that takes the next call.
    pub(super) fn pick(
        &mut self,
        instances: &[Instance],
        dependency: &Dependency,
        faults: &[Fault],
        now: Duration,
    ) -> usize {
        if instances.len() == 1 {
            return 0;
        }
        if now >= self.until {
            (self.members, self.until) = members(dependency, faults, now);
        }
        let all = self.members.len();
        let connections = |place: usize| instances[self.members[place]].connections;
        let place = match self.balance {
            Balance::RoundRobin => self.next % all,
            // Of equals the first, as most balancers do it: an instance that refuses at once has no connections, and gets all
            // calls.
            Balance::LeastConnections => (0..all).min_by_key(|place| connections(*place)).unwrap_or(0),
            Balance::PowerOfTwo if all == 1 => 0,
            Balance::PowerOfTwo => {
                let one = self.random.below(all as u64) as usize;
                let other = (one + 1 + self.random.below(all as u64 - 1) as usize) % all;
                if connections(other) < connections(one) {
                    other
                } else {
                    one
                }
            }
        };
        self.next = self.next.wrapping_add(1);
        self.members[place]
    }
}

/// The instances that calls are sent to, and until when that is so: those that are not being restarted, and that were up at
/// the last check of their health. If too few are, it is all of them.
fn members(dependency: &Dependency, faults: &[Fault], now: Duration) -> (Vec<usize>, Duration) {
    let all = dependency.instances.get() as usize;
    let condition = |instance, at| Condition::at(dependency, faults, instance, at).0;
    let ends = faults.iter().flat_map(|fault| [fault.at, fault.end()]);
    let mut until = ends.filter(|end| *end > now).min().unwrap_or(Duration::MAX);
    let mut members: Vec<usize> = (0..all)
        .filter(|instance| !condition(*instance, now).restarting)
        .collect();
    if let Some(health) = dependency.health {
        let checks = now.as_nanos() / health.every.as_nanos();
        let checked = health.every.saturating_mul(u32::try_from(checks).unwrap_or(u32::MAX));
        until = until.min(checked.saturating_add(health.every));
        let healthy: Vec<usize> = members
            .iter()
            .copied()
            .filter(|instance| !condition(*instance, checked).is_down())
            .collect();
        if healthy.len() as f64 >= health.panic.value() * all as f64 {
            members = healthy;
        }
    }
    if members.is_empty() {
        members = (0..all).collect();
    }
    (members, until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::scenario::Effect;
    use crate::drill::scenario::dependency::HealthChecks;
    use crate::drill::scenario::fault::WarmUp;
    use c13_reliability::policy::document::Ratio;
    use std::num::NonZeroU32;

    fn dependency(health: Option<HealthChecks>) -> Dependency {
        Dependency {
            instances: NonZeroU32::new(4).expect("there are four"),
            health,
            ..Dependency::of_servers(1)
        }
    }

    fn instances(connections: [usize; 4]) -> Vec<Instance> {
        let with = |connections| {
            let (condition, until) = Condition::at(&dependency(None), &[], 0, Duration::ZERO);
            let mut instance = Instance::new(condition, until);
            instance.connections = connections;
            instance
        };
        connections.map(with).into()
    }

    /// How often each of four instances with so many connections is picked, of 1,000 times.
    fn picked(balance: Balance, connections: [usize; 4]) -> [u32; 4] {
        let mut balancer = Balancer::new(balance, Random::new(7));
        let instances = instances(connections);
        let mut picked = [0; 4];
        for _ in 0..1_000 {
            picked[balancer.pick(&instances, &dependency(None), &[], Duration::ZERO)] += 1;
        }
        picked
    }

    #[test]
    fn each_way_to_balance_looks_at_connections_as_it_should() {
        assert_eq!(picked(Balance::RoundRobin, [9, 0, 0, 5]), [250; 4]);
        assert_eq!(picked(Balance::LeastConnections, [9, 3, 2, 5]), [0, 0, 1_000, 0]);
        assert_eq!(picked(Balance::LeastConnections, [0, 0, 9, 0]), [1_000, 0, 0, 0]);
        // Of two picked at random, the most loaded of four is never the better one, and the least loaded always is.
        let [most, least, ..] = picked(Balance::PowerOfTwo, [9, 0, 5, 5]);
        assert_eq!(most, 0);
        assert!((450..550).contains(&least), "{least}");
    }

    #[test]
    fn members_are_the_instances_that_were_up_when_they_were_checked() {
        let seconds = Duration::from_secs;
        let on = |instances, effect| Fault {
            on: Some(instances),
            ..Fault::of(20..40, effect)
        };
        let checks = |panic| HealthChecks {
            every: seconds(5),
            panic: Ratio::new(panic).expect("a ratio"),
        };
        let (crash, restart) = (Effect::Crash(WarmUp::NONE), Effect::Restart(WarmUp::NONE));
        for (health, fault, at, expected, until) in [
            (None, on(0..1, crash), 25, &[0, 1, 2, 3][..], 40),
            (None, on(1..2, restart), 25, &[0, 2, 3], 40),
            (None, on(0..4, restart), 25, &[0, 1, 2, 3], 40),
            (Some(checks(0.0)), on(0..1, crash), 19, &[0, 1, 2, 3], 20),
            (Some(checks(0.0)), on(0..1, crash), 21, &[1, 2, 3], 25),
            (Some(checks(0.0)), on(0..1, crash), 41, &[0, 1, 2, 3], 45),
            (Some(checks(0.5)), on(0..2, crash), 21, &[2, 3], 25),
            (Some(checks(0.5)), on(0..3, crash), 21, &[0, 1, 2, 3], 25),
        ] {
            let found = members(&dependency(health), &[fault], seconds(at));
            assert_eq!(found, (expected.to_vec(), seconds(until)), "{at} s, {health:?}");
        }
    }
}
