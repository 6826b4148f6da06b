//! What the circuit decides: which call may run, and what its result changes. A pure value; see [`Machine`].

use super::config::{Abandoned, CircuitBreakerConfig};
use super::rules::{Call, Moment, Reading, Rules, Share};
use super::snapshot::{CircuitMetrics, CircuitState, Snapshot, Transition, TransitionReason};
use super::word::Word;
use crate::gate::Outcome;
use crate::time::Tick;
use std::time::Duration;

/// A circuit as a value: it is told of calls and their results, and of the time with each of them.
///
/// Every transition starts a new generation; a call belongs to the generation that admitted it, and its result changes
/// nothing in any later one. Time passes only in what it is told: what should have happened by then happens first.
///
/// While it is closed it is not told of plain successes: those are counted outside, and a [`Reading`] of the counters
/// comes with everything that it is told.
#[derive(Debug)]
pub(super) struct Machine {
    config: CircuitBreakerConfig,
    phase: Phase,
    /// When the phase began.
    since: Tick,
    generation: u64,
    rules: Rules,
    /// How often it opened since it was last closed by its probes.
    trips: u32,
    transitions: u64,
    /// Transitions that nobody was told of yet.
    news: Vec<Transition>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Closed,
    Open { until: Tick },
    HalfOpen(Probes),
    ForcedOpen,
    ForcedClosed,
    MetricsOnly,
}

/// The calls that decide whether a half-open circuit closes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Probes {
    running: u64,
    successes: u64,
    /// Since when probes have been running and none has come back.
    waiting_since: Option<Tick>,
}

/// How the counters outside should count a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// As one that the windows have not heard of, and take in with the next reading.
    InWindows,
    /// For life only.
    ForLife,
}

impl Machine {
    /// A closed circuit. The settings must have been checked.
    pub(super) fn new(config: CircuitBreakerConfig, now: Tick) -> Self {
        Self {
            rules: Rules::new(&config),
            config,
            phase: Phase::Closed,
            since: now,
            generation: 0,
            trips: 0,
            transitions: 0,
            news: Vec::new(),
        }
    }

    /// Admits a call, or says how long to wait where that is known.
    pub(super) fn admit(&mut self, at: Moment) -> Result<(), Option<Duration>> {
        self.settle(at);
        if let Phase::Open { until } = self.phase
            && at.now >= until
        {
            self.enter(
                Phase::HalfOpen(Probes::default()),
                TransitionReason::OpenTimeOver,
                at.now,
            );
        }
        match &mut self.phase {
            Phase::Closed | Phase::ForcedClosed | Phase::MetricsOnly => Ok(()),
            Phase::Open { until } => Err(Some(*until - at.now)),
            Phase::ForcedOpen => Err(None),
            Phase::HalfOpen(probes) => {
                if !probes.has_place(&self.config) {
                    return Err(None);
                }
                probes.running += 1;
                probes.waiting_since.get_or_insert(at.now);
                Ok(())
            }
        }
    }

    /// Takes the result of a call that was admitted in `generation`.
    pub(super) fn record(
        &mut self,
        generation: u64,
        outcome: Outcome,
        slow: bool,
        at: Moment,
        reading: &Reading,
    ) -> Counted {
        self.settle(at);
        if generation != self.generation {
            return Counted::ForLife;
        }
        let outcome = match (outcome, self.config.abandoned) {
            (Outcome::Abandoned, Abandoned::Failure) => Outcome::FAILURE,
            _ => outcome,
        };
        match self.phase {
            Phase::Closed | Phase::MetricsOnly => self.watch(outcome, slow, at, reading),
            Phase::HalfOpen(probes) => {
                self.probed(probes, outcome, slow, at, reading);
                Counted::ForLife
            }
            // Calls run in no other phase but the forced one, where results change nothing.
            Phase::Open { .. } | Phase::ForcedOpen | Phase::ForcedClosed => Counted::ForLife,
        }
    }

    /// A result while all calls run.
    fn watch(&mut self, outcome: Outcome, slow: bool, at: Moment, reading: &Reading) -> Counted {
        let (failed, open_for) = match outcome {
            Outcome::Failure { open_for } => (true, open_for),
            Outcome::Success => (false, None),
            Outcome::Ignored | Outcome::Abandoned => return Counted::ForLife,
        };
        if !failed && !slow {
            self.rules.end_run();
            return Counted::InWindows;
        }
        let successes = reading.successes[(self.generation % 4) as usize];
        let call = Call { failed, slow };
        let met = self.rules.record(&self.config, call, at, successes, &reading.rolling);
        if self.phase == Phase::Closed {
            if let Some(time) = open_for {
                self.open(at.now, time, TransitionReason::Dictated);
            } else if let Some(reason) = met {
                self.trip(at.now, reason, at.draw);
            }
        }
        Counted::ForLife
    }

    /// A probe's result.
    fn probed(&mut self, mut probes: Probes, outcome: Outcome, slow: bool, at: Moment, reading: &Reading) {
        probes.running = probes.running.saturating_sub(1);
        match outcome {
            Outcome::Failure { open_for: Some(time) } => {
                self.open(at.now, time, TransitionReason::Dictated);
                return;
            }
            Outcome::Failure { open_for: None } => {
                self.trip(at.now, TransitionReason::ProbeFailed, at.draw);
                return;
            }
            Outcome::Success if slow => {
                self.trip(at.now, TransitionReason::ProbeFailed, at.draw);
                return;
            }
            Outcome::Success => {
                probes.successes += 1;
                if probes.successes >= self.config.success_threshold {
                    self.trips = 0;
                    self.enter(Phase::Closed, TransitionReason::ProbesSucceeded, at.now);
                    self.forget(reading);
                    return;
                }
                probes.waiting_since = Some(at.now);
            }
            Outcome::Ignored => probes.waiting_since = Some(at.now),
            // The dependency did not answer: the others have been waiting for as long as before.
            Outcome::Abandoned => {}
        }
        if probes.running == 0 {
            probes.waiting_since = None;
        }
        self.phase = Phase::HalfOpen(probes);
    }

    /// Lets happen what should have happened by now without anybody calling.
    fn settle(&mut self, at: Moment) {
        if let Phase::HalfOpen(probes) = self.phase
            && let Some(deadline) = probes.deadline(&self.config)
            && at.now >= deadline
        {
            self.trip(deadline, TransitionReason::ProbesTimedOut, at.draw);
        }
    }

    /// Opens for as long as the settings and the trips so far say.
    fn trip(&mut self, at: Tick, reason: TransitionReason, draw: f64) {
        let time = open_time(&self.config, self.trips, draw);
        self.open(at, time, reason);
    }

    fn open(&mut self, at: Tick, time: Duration, reason: TransitionReason) {
        self.trips = self.trips.saturating_add(1);
        self.enter(Phase::Open { until: at + time }, reason, at);
    }

    /// Opens, closes or frees the circuit by hand. From `Closed` to `Closed` it is a reset of what the rules remember.
    pub(super) fn force(&mut self, to: Forced, at: Moment, reading: &Reading) {
        self.settle(at);
        let phase = match to {
            Forced::Open => Phase::ForcedOpen,
            Forced::Closed => Phase::ForcedClosed,
            Forced::MetricsOnly => Phase::MetricsOnly,
            Forced::Reset => Phase::Closed,
        };
        if phase != self.phase {
            self.enter(phase, TransitionReason::Manual, at.now);
        } else if to == Forced::Reset {
            self.generation += 1;
        } else {
            return;
        }
        self.trips = 0;
        self.forget(reading);
    }

    /// Forgets what the rules remember, and the successes that were counted outside so far.
    fn forget(&mut self, reading: &Reading) {
        self.rules.clear(reading.successes[(self.generation % 4) as usize]);
    }

    fn enter(&mut self, phase: Phase, reason: TransitionReason, at: Tick) {
        let from = self.state();
        self.phase = phase;
        self.since = at;
        self.generation += 1;
        self.transitions += 1;
        self.news.push(Transition {
            from,
            to: self.state(),
            reason,
            at,
            number: self.transitions,
        });
    }

    pub(super) fn state(&self) -> CircuitState {
        match self.phase {
            Phase::Closed => CircuitState::Closed,
            Phase::Open { .. } => CircuitState::Open,
            Phase::HalfOpen(_) => CircuitState::HalfOpen,
            Phase::ForcedOpen => CircuitState::ForcedOpen,
            Phase::ForcedClosed => CircuitState::ForcedClosed,
            Phase::MetricsOnly => CircuitState::MetricsOnly,
        }
    }

    /// What callers may know without a lock.
    pub(super) fn word(&self) -> Word {
        let watched = matches!(self.phase, Phase::Closed | Phase::MetricsOnly);
        let running = self.config.consecutive_failures.is_some() && self.rules.in_a_run();
        Word::new(self.state(), self.generation)
            .with_admits(watched || self.phase == Phase::ForcedClosed)
            .with_plain((watched && !running) || self.phase == Phase::ForcedClosed)
            .with_measured(self.config.slow_calls.is_some() && self.phase != Phase::ForcedClosed)
            .with_timed(if watched { self.rules.timed().len() } else { 0 })
    }

    /// Until when every call is refused, whoever asks.
    pub(super) fn refuses_until(&self) -> Tick {
        match self.phase {
            Phase::Open { until } => until,
            Phase::ForcedOpen => Tick::MAX,
            Phase::HalfOpen(probes) if !probes.has_place(&self.config) => {
                probes.deadline(&self.config).unwrap_or(Tick::ZERO)
            }
            _ => Tick::ZERO,
        }
    }

    /// The circuit at this moment, with what was counted for life put in.
    pub(super) fn snapshot(&mut self, now: Tick, coarse: Tick, reading: &Reading, metrics: CircuitMetrics) -> Snapshot {
        let (failures, slow) = match self.phase {
            Phase::Closed | Phase::MetricsOnly => {
                let successes = reading.successes[(self.generation % 4) as usize];
                self.rules.shares(coarse, successes, &reading.rolling)
            }
            _ => (None, None),
        };
        let probes = match self.phase {
            Phase::HalfOpen(probes) => probes,
            _ => Probes::default(),
        };
        let rate = |share: Option<Share>, min_calls: Option<u64>| share?.rate(min_calls?);
        Snapshot {
            state: self.state(),
            in_state_for: now - self.since,
            time_to_next_probe: match self.phase {
                Phase::Open { until } => Some(until - now),
                Phase::HalfOpen(_) => Some(Duration::ZERO),
                _ => None,
            },
            consecutive_trips: self.trips,
            probes_running: probes.running,
            probes_succeeded: probes.successes,
            failure_rate: rate(failures, self.config.failure_rate.map(|rule| rule.min_calls)),
            slow_rate: rate(slow, self.config.slow_calls.map(|rule| rule.min_calls)),
            metrics,
        }
    }

    pub(super) fn config(&self) -> &CircuitBreakerConfig {
        &self.config
    }

    /// The bucket length of each window over time whose successes are counted outside.
    pub(super) fn timed(&self) -> &[Duration] {
        self.rules.timed()
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn transitions(&self) -> u64 {
        self.transitions
    }

    /// Transitions that nobody was told of yet.
    pub(super) fn take_news(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.news)
    }
}

/// What somebody wants of the circuit, whatever its calls do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forced {
    Open,
    Closed,
    MetricsOnly,
    Reset,
}

impl Probes {
    /// Whether one more may run: no more at one time than the settings say, and no more than could still be needed.
    fn has_place(&self, config: &CircuitBreakerConfig) -> bool {
        let places = config.probes();
        self.running < places && self.running.saturating_add(self.successes) < places.max(config.success_threshold)
    }

    /// When the circuit opens again if none comes back.
    fn deadline(&self, config: &CircuitBreakerConfig) -> Option<Tick> {
        Some(self.waiting_since? + config.half_open_timeout)
    }
}

/// How long the circuit opens for after `trips` trips without a recovery.
fn open_time(config: &CircuitBreakerConfig, trips: u32, draw: f64) -> Duration {
    let growth = config
        .open_for_multiplier
        .powi(i32::try_from(trips).unwrap_or(i32::MAX));
    let longest = config.open_for_max.unwrap_or(config.open_for);
    let grown = (config.open_for.as_secs_f64() * growth).min(longest.as_secs_f64());
    // At most a day by the settings' check, so this cannot be out of a `Duration`'s range.
    Duration::from_secs_f64(grown * (1.0 - config.open_for_jitter * draw))
}
