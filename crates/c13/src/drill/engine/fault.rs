//! The condition of the dependency at a moment of the drill, with all its faults.

use crate::drill::scenario::{Dependency, Effect, Fault, OutageMode};
use std::time::Duration;

/// The dependency's own behaviour and the sum of all faults at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Condition {
    /// The share of calls that fail after they were worked on.
    pub(super) error_rate: f64,
    /// How many times as long a call takes.
    pub(super) slowdown: f64,
    /// How many calls are worked on at once.
    pub(super) servers: usize,
    /// Whether calls are refused at once, or never answered.
    pub(super) outage: Option<OutageMode>,
}

impl Condition {
    /// The condition at `at`, counted from the start of the drill. Faults of different kinds all apply.
    pub(super) fn at(dependency: &Dependency, faults: &[Fault], at: Duration) -> Self {
        let mut sum = Self {
            error_rate: dependency.error_rate.value(),
            slowdown: 1.0,
            servers: dependency.concurrency.get() as usize,
            outage: None,
        };
        for fault in faults.iter().filter(|fault| fault.at <= at && at < fault.end()) {
            match fault.effect {
                Effect::Errors { rate } => sum.error_rate = rate.value(),
                Effect::Slowdown { .. } => sum.slowdown = fault.slowdown_at(at),
                Effect::Outage(mode) => sum.outage = Some(mode),
                Effect::FewerServers { share } => sum.servers = dependency.servers_left(share) as usize,
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::scenario::Latency;
    use c13_reliability::policy::document::Ratio;
    use std::num::NonZeroU32;

    fn dependency() -> Dependency {
        Dependency {
            name: "it".into(),
            latency: Latency::Constant(0.01),
            error_rate: Ratio::ZERO,
            concurrency: NonZeroU32::new(40).expect("40 is not zero"),
            queue: None,
        }
    }

    fn fault(at: u64, length: u64, effect: Effect) -> Fault {
        Fault {
            at: Duration::from_secs(at),
            length: Duration::from_secs(length),
            kind: "any",
            words: String::new(),
            effect,
        }
    }

    fn at(faults: &[Fault], ms: u64) -> Condition {
        Condition::at(&dependency(), faults, Duration::from_millis(ms))
    }

    #[test]
    fn a_fault_holds_from_its_start_until_just_before_its_end() {
        let faults = [fault(10, 5, Effect::Outage(OutageMode::Refuse))];
        assert_eq!(at(&faults, 9_999).outage, None);
        assert_eq!(at(&faults, 10_000).outage, Some(OutageMode::Refuse));
        assert_eq!(at(&faults, 14_999).outage, Some(OutageMode::Refuse));
        assert_eq!(at(&faults, 15_000).outage, None);
    }

    #[test]
    fn faults_of_different_kinds_all_apply() {
        let half = Ratio::new(0.5).expect("a half is a ratio");
        let faults = [
            fault(0, 10, Effect::Errors { rate: half }),
            fault(5, 10, Effect::FewerServers { share: half }),
            fault(
                5,
                10,
                Effect::Slowdown {
                    factor: 3.0,
                    ramp: Duration::from_secs(2),
                },
            ),
        ];
        let expected = |error_rate, slowdown, servers| Condition {
            error_rate,
            slowdown,
            servers,
            outage: None,
        };
        assert_eq!(at(&faults, 4_000), expected(0.5, 1.0, 40));
        assert_eq!(at(&faults, 6_000), expected(0.5, 2.0, 20));
        assert_eq!(at(&faults, 12_000), expected(0.0, 3.0, 20));
        assert_eq!(at(&faults, 15_000), expected(0.0, 1.0, 40));
    }
}
