//! The state machine of the circuit: which call may run, and what its result changes. A pure value; see [`Machine`].

use super::config::{Abandoned, CircuitBreakerConfig};
use super::opening::Opening;
use super::recovery::{Recovery, RecoveryStep};
use super::rules::{Call, Moment, Reading, Reported, Rules, Share};
use super::snapshot::{CircuitEvent, CircuitMetrics, CircuitState, Snapshot, Transition, TransitionReason};
use super::word::Word;
use crate::gate::{Cause, Outcome};
use crate::time::Tick;
use std::time::Duration;

/// A circuit as a value. Its inputs are calls and their results, each with the time.
///
/// Every transition starts a new generation; a call belongs to the generation that admitted it, and its result changes
/// nothing after the next transition. Time passes only with the inputs: transitions that were due by then happen first.
///
/// While it is closed, plain successes are no inputs: they are counted outside, and each input comes with a [`Reading`] of
/// those counters.
#[derive(Debug)]
pub(super) struct Machine {
    config: CircuitBreakerConfig,
    phase: Phase,
    /// When the phase began.
    since: Tick,
    generation: u64,
    /// The results of calls that were admitted before this generation change nothing. It differs from `generation` only if the
    /// settings changed meanwhile.
    oldest: u64,
    rules: Rules,
    /// How often it opened since it last closed.
    trips: u32,
    transitions: u64,
    /// In `MetricsOnly`: the rules that were reported as met.
    reported: Reported,
    /// The events that are not yet delivered.
    news: Vec<CircuitEvent>,
}

#[derive(Debug, PartialEq)]
enum Phase {
    Closed,
    Open {
        until: Tick,
        /// The open time was given by an error, or by hand. A health probe does not cut it short.
        asked: bool,
    },
    /// In a box, because it is rare and larger than all others.
    HalfOpen(Box<Recovery>),
    ForcedOpen,
    ForcedClosed,
    MetricsOnly,
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    /// Whether it took as long as a slow call.
    pub(super) slow: bool,
    /// What made it fail, or slow.
    pub(super) cause: Cause,
}

/// How a success is to be counted outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// As one that the windows take in with the next reading.
    InWindows,
    /// In the cumulative count only.
    ForLife,
}

/// What a user sets by hand, whatever the calls do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forced {
    Open,
    OpenFor(Duration),
    Closed,
    MetricsOnly,
    Reset,
}

impl Machine {
    /// A circuit that starts in `state`. The settings must have been checked.
    pub(super) fn new(config: CircuitBreakerConfig, state: CircuitState, now: Tick) -> Self {
        let until = now + config.open_for;
        Self {
            rules: Rules::new(&config),
            config,
            phase: match state {
                CircuitState::Closed => Phase::Closed,
                CircuitState::Open => Phase::Open { until, asked: false },
                CircuitState::HalfOpen => Phase::HalfOpen(Box::default()),
                CircuitState::ForcedOpen => Phase::ForcedOpen,
                CircuitState::ForcedClosed => Phase::ForcedClosed,
                CircuitState::MetricsOnly => Phase::MetricsOnly,
            },
            since: now,
            generation: 0,
            oldest: 0,
            trips: 0,
            transitions: 0,
            reported: Reported::default(),
            news: Vec::new(),
        }
    }

    /// Admits a call, or returns how long to wait, if that is known.
    pub(super) fn admit(&mut self, at: Moment) -> Result<(), Option<Duration>> {
        self.settle(at);
        if let Phase::Open { until, .. } = self.phase
            && at.now >= until
        {
            self.half_open(TransitionReason::OpenTimeOver, at.now);
        }
        match &mut self.phase {
            Phase::Closed | Phase::ForcedClosed | Phase::MetricsOnly => Ok(()),
            Phase::Open { until, .. } => Err(Some(*until - at.now)),
            Phase::ForcedOpen => Err(None),
            Phase::HalfOpen(recovery) => recovery.admit(&self.config, at).then_some(()).ok_or(None),
        }
    }

    /// Records the result of a call that was admitted in `generation`.
    pub(super) fn record(&mut self, generation: u64, ended: Ended, at: Moment, reading: &Reading) -> Counted {
        self.settle(at);
        let Ended { outcome, slow, cause } = ended;
        if generation < self.oldest {
            return Counted::ForLife;
        }
        let outcome = match (outcome, self.config.abandoned) {
            (Outcome::Abandoned, Abandoned::Failure) => Outcome::FAILURE,
            // Zero is no request to be left alone.
            (Outcome::Failure { open_for: Some(time) }, _) if time.is_zero() => Outcome::FAILURE,
            _ => outcome,
        };
        match &mut self.phase {
            Phase::Closed | Phase::MetricsOnly => return self.watch(Ended { outcome, ..ended }, at, reading),
            Phase::HalfOpen(recovery) => match recovery.record(&self.config, outcome, slow, at.now) {
                RecoveryStep::Wait => {}
                RecoveryStep::NextStage => self.tell_stage(at.now),
                RecoveryStep::Close => self.close(at.now, reading),
                RecoveryStep::Reopen(reason) => self.trip(at.now, Opening::because(reason).by(cause), at.draw),
                RecoveryStep::ReopenFor(time) => {
                    self.open(
                        at.now,
                        time,
                        true,
                        Opening::because(TransitionReason::Dictated).by(cause),
                    );
                }
            },
            // Calls run in no other phase but the forced one, where results change nothing.
            Phase::Open { .. } | Phase::ForcedOpen | Phase::ForcedClosed => {}
        }
        Counted::ForLife
    }

    /// Records a result while all calls run.
    fn watch(&mut self, ended: Ended, at: Moment, reading: &Reading) -> Counted {
        let Ended { outcome, slow, cause } = ended;
        let (failed, open_for) = match outcome {
            Outcome::Failure { open_for } => (true, open_for),
            Outcome::Success => (false, None),
            Outcome::Ignored | Outcome::Abandoned => return Counted::ForLife,
        };
        if !failed && !slow {
            self.rules.end_run();
            return Counted::InWindows;
        }
        let successes = self.outside(reading);
        let call = Call { failed, slow };
        if self.phase == Phase::MetricsOnly {
            let reading = (successes, &reading.rolling);
            let met = self.rules.watch(&self.config, call, at, reading, &mut self.reported);
            let would_open = |reason| CircuitEvent::WouldOpen { reason, at: at.now };
            self.news.extend(met.into_iter().map(would_open));
            return Counted::ForLife;
        }
        let met = self.rules.record(&self.config, call, at, successes, &reading.rolling);
        if let Some(time) = open_for {
            self.open(
                at.now,
                time,
                true,
                Opening::because(TransitionReason::Dictated).by(cause),
            );
        } else if let Some(opening) = met {
            self.trip(at.now, opening.by(cause), at.draw);
        }
        Counted::ForLife
    }

    /// Makes the transitions that were due by now and needed no call.
    fn settle(&mut self, at: Moment) {
        if let Phase::HalfOpen(recovery) = &self.phase
            && let Some(deadline) = recovery.deadline(&self.config)
            && at.now >= deadline
        {
            self.trip(deadline, Opening::because(TransitionReason::ProbesTimedOut), at.draw);
        }
    }

    /// Makes an open circuit half-open before its time, because a health probe has found the dependency well.
    pub(super) fn recovered(&mut self, at: Moment) {
        self.settle(at);
        if self.is_probed() {
            self.half_open(TransitionReason::HealthProbe, at.now);
        }
    }

    /// Whether a health probe could make it half-open now.
    pub(super) fn is_probed(&self) -> bool {
        matches!(self.phase, Phase::Open { asked: false, .. })
    }

    /// Opens for the time that follows from the settings and from the trips so far.
    fn trip(&mut self, at: Tick, opening: Opening, draw: f64) {
        let time = open_time(&self.config, self.trips, draw);
        self.open(at, time, false, opening);
    }

    fn open(&mut self, at: Tick, time: Duration, asked: bool, mut opening: Opening) {
        self.trips = self.trips.saturating_add(1);
        opening.open_for = Some(time);
        let until = at + time;
        self.enter(Phase::Open { until, asked }, opening.reason, at, Some(opening));
    }

    fn half_open(&mut self, reason: TransitionReason, at: Tick) {
        self.enter(Phase::HalfOpen(Box::default()), reason, at, None);
    }

    fn close(&mut self, at: Tick, reading: &Reading) {
        self.enter(Phase::Closed, TransitionReason::ProbesSucceeded, at, None);
        self.forget(reading);
    }

    /// Opens, closes or frees the circuit by hand. From `Closed` to `Closed` it is a reset of what the rules remember.
    pub(super) fn force(&mut self, to: Forced, at: Moment, reading: &Reading) {
        self.settle(at);
        let phase = match to {
            Forced::OpenFor(time) => {
                self.open(at.now, time, true, Opening::because(TransitionReason::Manual));
                return;
            }
            Forced::Open => Phase::ForcedOpen,
            Forced::Closed => Phase::ForcedClosed,
            Forced::MetricsOnly => Phase::MetricsOnly,
            Forced::Reset => Phase::Closed,
        };
        if phase != self.phase {
            let opening = (phase == Phase::ForcedOpen).then(|| Opening::because(TransitionReason::Manual));
            self.enter(phase, TransitionReason::Manual, at.now, opening);
        } else if to == Forced::Reset {
            self.generation += 1;
            self.oldest = self.generation;
        } else {
            return;
        }
        self.forget(reading);
    }

    /// Changes the settings. The state stays, and so does what the windows hold, as far as the new ones reach. They
    /// must have been checked.
    pub(super) fn change(&mut self, config: CircuitBreakerConfig, at: Moment, reading: &Reading) {
        self.settle(at);
        let successes = self.outside(reading);
        self.rules.change(&config, at, successes, &reading.rolling);
        self.config = config;
        if let Phase::HalfOpen(recovery) = &mut self.phase {
            recovery.change(&config);
        }
        // Successes are counted anew from here on, in whatever windows there are now.
        self.generation += 1;
        self.rules.seen(self.outside(reading));
    }

    /// All successes ever counted for this generation or one that shares its counter.
    fn outside(&self, reading: &Reading) -> u64 {
        reading.successes[(self.generation % 4) as usize]
    }

    /// Starts anew: nothing that happened before counts any more.
    fn forget(&mut self, reading: &Reading) {
        self.trips = 0;
        self.reported = Reported::default();
        self.rules.clear(self.outside(reading));
    }

    fn enter(&mut self, phase: Phase, reason: TransitionReason, at: Tick, opening: Option<Opening>) {
        let from = self.state();
        self.phase = phase;
        self.since = at;
        self.generation += 1;
        self.oldest = self.generation;
        self.transitions += 1;
        self.news.push(CircuitEvent::Transition(Transition {
            from,
            to: self.state(),
            reason,
            at,
            number: self.transitions,
            opening,
        }));
    }

    fn tell_stage(&mut self, at: Tick) {
        if let Phase::HalfOpen(recovery) = &self.phase
            && let Some((stage, share)) = recovery.stage(&self.config)
        {
            let number = stage + 1;
            self.news.push(CircuitEvent::Stage { number, share, at });
        }
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

    /// The word that callers read without a lock.
    pub(super) fn word(&self) -> Word {
        let watched = matches!(self.phase, Phase::Closed | Phase::MetricsOnly);
        let running = self.config.consecutive_failures.is_some() && self.rules.in_a_run();
        Word::new(self.state(), self.generation)
            .with_admits(watched || self.phase == Phase::ForcedClosed)
            .with_plain((watched && !running) || self.phase == Phase::ForcedClosed)
            .with_measured(self.config.slow_call.is_some() && self.phase != Phase::ForcedClosed)
            .with_timed(if watched { self.rules.timed().len() } else { 0 })
    }

    /// The tick until which every call is refused.
    pub(super) fn refuses_until(&self) -> Tick {
        match &self.phase {
            Phase::Open { until, .. } => *until,
            Phase::ForcedOpen => Tick::MAX,
            Phase::HalfOpen(recovery) => recovery.refuses_until(&self.config).unwrap_or(Tick::ZERO),
            _ => Tick::ZERO,
        }
    }

    pub(super) fn config(&self) -> &CircuitBreakerConfig {
        &self.config
    }

    /// The bucket length of each window over time whose successes are counted outside.
    pub(super) fn timed(&self) -> &[Duration] {
        self.rules.timed()
    }

    pub(super) fn transitions(&self) -> u64 {
        self.transitions
    }

    /// The events that are not yet delivered.
    pub(super) fn take_news(&mut self) -> Vec<CircuitEvent> {
        std::mem::take(&mut self.news)
    }

    /// The circuit at this moment, with the cumulative counts.
    pub(super) fn snapshot(&mut self, now: Tick, coarse: Tick, reading: &Reading, metrics: CircuitMetrics) -> Snapshot {
        let (failures, slow) = match self.phase {
            Phase::Closed | Phase::MetricsOnly => self.rules.shares(coarse, self.outside(reading), &reading.rolling),
            _ => (None, None),
        };
        let (recovery, stage) = match &self.phase {
            Phase::HalfOpen(recovery) => (**recovery, recovery.stage(&self.config)),
            _ => (Recovery::default(), None),
        };
        let rate = |share: Option<Share>, min_calls: Option<u64>| share?.rate(min_calls?);
        Snapshot {
            state: self.state(),
            in_state_for: now - self.since,
            time_to_next_probe: match self.phase {
                Phase::Open { until, .. } => Some(until - now),
                Phase::HalfOpen(_) => Some(Duration::ZERO),
                _ => None,
            },
            consecutive_trips: self.trips,
            probes_running: recovery.running(),
            probes_succeeded: recovery.successes(),
            recovery_stage: stage.map(|(stage, _)| stage + 1),
            recovery_share: stage.map(|(_, share)| share),
            failure_rate: rate(failures, self.config.failure_rate_rule().map(|rule| rule.min_calls)),
            slow_rate: rate(slow, self.config.slow_rule().map(|rule| rule.min_calls)),
            window_calls: failures.or(slow).map(|share| share.calls),
            metrics,
        }
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
    Duration::from_secs_f64(grown * (1.0 - config.jitter * draw))
}
