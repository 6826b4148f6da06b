//! When the circuit breakers of a variant's policies were open.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitEvent, CircuitState, Transition};
use c13_reliability::time::Tick;

/// Every change of state of one breaker, as it happens.
#[derive(Clone, Debug, Default)]
pub(super) struct CircuitLog {
    // A listener may be called by any thread, although a drill has but one.
    changes: Arc<Mutex<Vec<Transition>>>,
}

impl CircuitLog {
    /// Records the changes of `breaker` from now on.
    pub(super) fn of(breaker: &CircuitBreaker) -> Self {
        let log = Self::default();
        let changes = log.changes.clone();
        breaker.listen(move |event| {
            if let CircuitEvent::Transition(transition) = event {
                changes.lock().unwrap_or_else(PoisonError::into_inner).push(*transition);
            }
        });
        log
    }

    fn take(&self) -> Vec<Transition> {
        std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the breakers of a caller's instances around their calls to one dependency went through.
#[derive(Clone, Debug, Default)]
pub(crate) struct Circuits {
    /// How many breakers there are.
    breakers: usize,
    /// When a breaker that was closed opened, from the start of the drill, and which; in order.
    openings: Vec<(Duration, usize)>,
    /// When a breaker was open or half-open, each time.
    open: Vec<Range<Duration>>,
}

impl Circuits {
    /// Reads the logs of all breakers at the end of a drill that lasted so long.
    pub(super) fn read(logs: &[CircuitLog], duration: Duration) -> Self {
        let mut circuits = Self {
            breakers: logs.len(),
            ..Self::default()
        };
        for (breaker, log) in logs.iter().enumerate() {
            let mut open_since = None;
            for change in log.take() {
                let at = (change.at - Tick::ZERO).min(duration);
                match change.to {
                    CircuitState::Open if open_since.is_none() => {
                        circuits.openings.push((at, breaker));
                        open_since = Some(at);
                    }
                    CircuitState::Open | CircuitState::HalfOpen => {}
                    _ => circuits.open.extend(open_since.take().map(|since| since..at)),
                }
            }
            circuits.open.extend(open_since.map(|since| since..duration));
        }
        circuits.openings.sort();
        circuits
    }

    /// The share of its time that a breaker was open or half-open, as a mean of all; `None` if there is no breaker.
    pub(crate) fn open_share(all: &[Self], duration: Duration) -> Option<f64> {
        Self::open_within(all, &(Duration::ZERO..duration))
    }

    /// The same within some time.
    pub(crate) fn open_within(all: &[Self], time: &Range<Duration>) -> Option<f64> {
        let breakers: usize = all.iter().map(|circuits| circuits.breakers).sum();
        let within = |open: &Range<Duration>| open.end.min(time.end).saturating_sub(open.start.max(time.start));
        let open: Duration = all.iter().flat_map(|circuits| &circuits.open).map(within).sum();
        let whole = (time.end - time.start).as_secs_f64() * breakers as f64;
        (whole > 0.0).then(|| open.as_secs_f64() / whole)
    }

    /// When half of the breakers had opened within a time, which for one breaker is its first opening.
    pub(crate) fn half_open_within(&self, time: &Range<Duration>) -> Option<Duration> {
        let mut opened = BTreeSet::new();
        let within = self.openings.iter().filter(|(at, _)| time.contains(at));
        for (at, breaker) in within {
            opened.insert(*breaker);
            if 2 * opened.len() >= self.breakers {
                return Some(*at);
            }
        }
        None
    }

    /// How many openings lie in none of these times; `None` if there is no breaker.
    pub(crate) fn outside(&self, times: &[Range<Duration>]) -> Option<u64> {
        let is_outside = |(at, _): &&(Duration, usize)| times.iter().all(|time| !time.contains(at));
        (self.breakers > 0).then(|| self.openings.iter().filter(is_outside).count() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use c13_reliability::patterns::circuit_breaker::CircuitBreakerConfig;
    use c13_reliability::time::VirtualTime;

    #[test]
    fn openings_and_open_time_are_those_of_the_breaker() {
        let time = VirtualTime::new();
        let config = CircuitBreakerConfig::new()
            .consecutive_failures(1)
            .open_for(Duration::from_secs(10));
        let breaker = CircuitBreaker::with_config(config, time.clock()).expect("the settings are right");
        let log = CircuitLog::of(&breaker);
        let fail = || {
            let _refused = breaker.try_acquire().map(|permit| permit.failure());
        };
        let seconds = Duration::from_secs;
        time.advance(seconds(5));
        fail();
        // A probe that fails opens the circuit again; it was not closed before.
        time.advance(seconds(15));
        fail();
        time.advance(seconds(80));
        let circuits = Circuits::read(&[log], seconds(100));
        assert_eq!(circuits.openings, [(seconds(5), 0)]);
        assert_eq!(circuits.outside(&[seconds(0)..seconds(5)]), Some(1));
        assert_eq!(circuits.outside(&[seconds(5)..seconds(6)]), Some(0));
        assert_eq!(circuits.half_open_within(&(seconds(6)..seconds(100))), None);
        assert_eq!(Circuits::open_share(&[circuits], seconds(100)), Some(0.95));
        assert_eq!(Circuits::open_share(&[], seconds(100)), None);
    }

    #[test]
    fn a_fleet_has_opened_when_half_of_its_breakers_have() {
        let seconds = Duration::from_secs;
        for (breakers, openings, expected) in [
            (1, &[(5, 0)][..], Some(5)),
            (3, &[(5, 0)], None),
            (3, &[(5, 0), (6, 0)], None),
            (3, &[(5, 0), (6, 2)], Some(6)),
            (4, &[(5, 3), (9, 1)], Some(9)),
            (4, &[(1, 3), (9, 1)], None),
        ] {
            let circuits = Circuits {
                breakers,
                openings: openings.iter().map(|(at, breaker)| (seconds(*at), *breaker)).collect(),
                open: Vec::new(),
            };
            let found = circuits.half_open_within(&(seconds(2)..seconds(10)));
            assert_eq!(found, expected.map(seconds), "{breakers}: {openings:?}");
        }
    }
}
