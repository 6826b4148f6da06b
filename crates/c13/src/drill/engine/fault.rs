//! The condition of an instance of the dependency at a moment of the drill, with all its faults.

use crate::drill::scenario::fault::{Outage, WarmUp};
use crate::drill::scenario::{Dependency, Effect, Fault};
use c13_reliability::policy::document::Ratio;
use std::time::Duration;

/// The dependency's own behaviour and the sum of all faults on one of its instances at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Condition {
    /// The share of calls that fail after they were worked on.
    pub(super) error_rate: f64,
    /// The keys that this is for; other calls fail as often as they always do.
    pub(super) error_keys: f64,
    /// The share of these errors that last: another attempt does not mend them.
    pub(super) lasting: f64,
    /// How long an error takes; `None` for as long as an answer.
    pub(super) error_takes: Option<Duration>,
    /// How many times as long a call takes.
    pub(super) slowdown: f64,
    /// How much longer it takes.
    pub(super) delay: Duration,
    /// The share of the calls that take so much longer, and of the keys.
    pub(super) slow_share: f64,
    pub(super) slow_keys: f64,
    /// How many times as long every call takes, as the instance is not warm yet.
    pub(super) cold: f64,
    /// How many calls are worked on at once.
    pub(super) servers: usize,
    /// Whether calls are refused, or never answered, and for which share of the keys.
    pub(super) outage: Option<Outage>,
    pub(super) outage_keys: f64,
    /// Whether it is dead, until when it hangs, and whether it is being restarted.
    pub(super) crashed: bool,
    pub(super) hangs_until: Option<Duration>,
    pub(super) restarting: bool,
}

impl Condition {
    /// The condition of an instance at `at`, counted from the start of the drill, and until when it stays as it is. Faults of
    /// different kinds all apply.
    pub(super) fn at(dependency: &Dependency, faults: &[Fault], instance: usize, at: Duration) -> (Self, Duration) {
        let mut sum = Self {
            error_rate: dependency.error_rate.value(),
            error_keys: 1.0,
            lasting: 0.0,
            error_takes: None,
            slowdown: 1.0,
            delay: Duration::ZERO,
            slow_share: 1.0,
            slow_keys: 1.0,
            cold: 1.0,
            servers: dependency.concurrency.get() as usize,
            outage: None,
            outage_keys: 1.0,
            crashed: false,
            hangs_until: None,
            restarting: false,
        };
        let mut until = Duration::MAX;
        for fault in faults.iter().filter(|fault| fault.is_on(instance)) {
            let changes = if at < fault.at {
                fault.at
            } else if at < fault.end() {
                sum.add(fault, dependency, at)
            } else {
                sum.warm_up(fault, at)
            };
            until = until.min(changes);
        }
        (sum, until)
    }

    /// Whether a check of its health fails.
    pub(super) fn is_down(&self) -> bool {
        self.crashed
            || self.hangs_until.is_some()
            || self
                .outage
                .is_some_and(|outage| outage.share.value() * self.outage_keys >= 1.0)
    }

    /// Adds a fault that holds at `at`. Returns when it changes next.
    fn add(&mut self, fault: &Fault, dependency: &Dependency, at: Duration) -> Duration {
        let (strength, keys) = (fault.strength_at(at), fault.keys.value());
        match fault.effect {
            Effect::Errors { rate, lasting, takes } => {
                let usual = dependency.error_rate.value();
                self.error_rate = if strength < 1.0 {
                    usual + (rate.value() - usual) * strength
                } else {
                    rate.value()
                };
                self.error_keys = keys;
                self.lasting = lasting.value();
                self.error_takes = takes;
            }
            Effect::Slowdown {
                factor,
                add,
                ramp,
                share,
            } => {
                self.slowdown = 1.0 + (factor - 1.0) * strength;
                self.delay = add.mul_f64(strength);
                (self.slow_share, self.slow_keys) = (share.value(), keys);
                if at - fault.at < ramp {
                    return next_instant(at);
                }
            }
            Effect::Outage(outage) => {
                let share = scaled(outage.share, strength);
                self.outage = Some(Outage { share, ..outage });
                self.outage_keys = keys;
            }
            Effect::FewerServers { share } => {
                let back = (1.0 - share.value()) * (1.0 - strength);
                let left = Ratio::new(share.value() + back).unwrap_or(Ratio::ONE);
                self.servers = dependency.servers_left(left) as usize;
            }
            Effect::Crash(_) => self.crashed = true,
            Effect::Restart(_) => self.restarting = true,
            Effect::Hang => self.hangs_until = Some(fault.end()),
        }
        fault.next_step(at)
    }

    /// Adds what is left of a fault that is over at `at`. Returns when it changes next.
    fn warm_up(&mut self, fault: &Fault, at: Duration) -> Duration {
        let (Effect::Crash(warm_up) | Effect::Restart(warm_up)) = fault.effect else {
            return Duration::MAX;
        };
        let WarmUp { cold, takes } = warm_up;
        let since = at - fault.end();
        if since >= takes {
            return Duration::MAX;
        }
        let left = 1.0 - since.as_secs_f64() / takes.as_secs_f64();
        self.cold = self.cold.max(1.0 + (cold - 1.0) * left);
        next_instant(at)
    }
}

/// A part of a share.
fn scaled(share: Ratio, part: f64) -> Ratio {
    Ratio::new(share.value() * part).unwrap_or(share)
}

/// What changes all the time is looked at anew at each instant at which something happens.
fn next_instant(at: Duration) -> Duration {
    at + Duration::from_nanos(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::scenario::OutageMode;

    const REFUSES: Effect = Effect::Outage(Outage {
        mode: OutageMode::Refuse,
        share: Ratio::ONE,
        retry_after: None,
    });

    fn at(faults: &[Fault], ms: u64) -> (Condition, Duration) {
        Condition::at(&Dependency::of_servers(40), faults, 0, Duration::from_millis(ms))
    }

    #[test]
    fn a_fault_holds_from_its_start_until_just_before_its_end() {
        let faults = [Fault::of(10..15, REFUSES)];
        for (ms, refuses, until) in [
            (9_999, false, Duration::from_secs(10)),
            (10_000, true, Duration::from_secs(15)),
            (14_999, true, Duration::from_secs(15)),
            (15_000, false, Duration::MAX),
        ] {
            let (condition, changes) = at(&faults, ms);
            assert_eq!((condition.outage.is_some(), changes), (refuses, until), "{ms}");
            assert_eq!(condition.is_down(), refuses, "{ms}");
        }
    }

    #[test]
    fn faults_of_different_kinds_all_apply() {
        let half = Ratio::new(0.5).expect("a half is a ratio");
        let errors = Effect::Errors {
            rate: half,
            lasting: Ratio::ZERO,
            takes: None,
        };
        let slow = Effect::Slowdown {
            factor: 3.0,
            add: Duration::from_millis(100),
            ramp: Duration::from_secs(2),
            share: Ratio::ONE,
        };
        let faults = [
            Fault::of(0..10, errors),
            Fault::of(5..15, Effect::FewerServers { share: half }),
            Fault::of(5..15, slow),
        ];
        for (ms, error_rate, slowdown, delay, servers) in [
            (4_000, 0.5, 1.0, 0, 40),
            (6_000, 0.5, 2.0, 50, 20),
            (12_000, 0.0, 3.0, 100, 20),
            (15_000, 0.0, 1.0, 0, 40),
        ] {
            let (condition, _) = at(&faults, ms);
            let found = (condition.error_rate, condition.slowdown, condition.servers);
            assert_eq!(found, (error_rate, slowdown, servers), "{ms}");
            assert_eq!(condition.delay, Duration::from_millis(delay), "{ms}");
        }
        assert_eq!(
            at(&faults, 6_000).1,
            Duration::from_nanos(6_000_000_001),
            "it grows all the time"
        );
    }

    #[test]
    fn a_fault_is_on_its_instances_alone() {
        let fault = Fault {
            on: Some(1..3),
            ..Fault::of(10..15, REFUSES)
        };
        for (instance, refuses) in [(0, false), (1, true), (2, true), (3, false)] {
            let dependency = Dependency::of_servers(1);
            let (condition, _) = Condition::at(
                &dependency,
                std::slice::from_ref(&fault),
                instance,
                Duration::from_secs(12),
            );
            assert_eq!(condition.outage.is_some(), refuses, "{instance}");
        }
    }

    #[test]
    fn an_instance_that_is_back_warms_up_in_a_straight_line() {
        let warm_up = WarmUp {
            cold: 3.0,
            takes: Duration::from_secs(10),
        };
        let faults = [Fault::of(10..15, Effect::Crash(warm_up))];
        for (ms, crashed, cold) in [
            (9_000, false, 1.0),
            (14_000, true, 1.0),
            (15_000, false, 3.0),
            (20_000, false, 2.0),
            (25_000, false, 1.0),
        ] {
            let (condition, _) = at(&faults, ms);
            assert_eq!((condition.crashed, condition.cold), (crashed, cold), "{ms}");
        }
    }
}
