//! Recovery: the probes of a half-open circuit, the stages after them, and what each result decides. A pure value.

use super::config::{CircuitBreakerConfig, StagedRecovery};
use super::rules::Moment;
use super::snapshot::TransitionReason;
use crate::gate::Outcome;
use crate::time::Tick;
use std::time::Duration;

/// The recovery of a circuit: probes first, then stages, if the settings ask for them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Recovery {
    /// Calls that are running.
    running: u64,
    /// Probes that succeeded.
    successes: u64,
    /// Since when calls have been running without a result.
    waiting_since: Option<Tick>,
    stage: Option<Stage>,
}

/// A stage, and the results of its calls.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    number: usize,
    since: Tick,
    admitted: u64,
    calls: u64,
    failures: u64,
}

/// The decision that follows from a result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum RecoveryStep {
    /// Nothing yet.
    Wait,
    /// The next stage begins.
    NextStage,
    /// The circuit closes.
    Close,
    /// The circuit opens again, for as long as the settings say.
    Reopen(TransitionReason),
    /// The circuit opens again, for this long.
    ReopenFor(Duration),
}

impl Recovery {
    /// Admits a call if it may run.
    pub(super) fn admit(&mut self, config: &CircuitBreakerConfig, at: Moment) -> bool {
        let admitted = match (&mut self.stage, &config.recovery) {
            (Some(stage), Some(recovery)) => stage.admit(recovery, at.draw),
            _ => self.has_permit(config),
        };
        if admitted {
            self.running += 1;
            self.waiting_since.get_or_insert(at.now);
        }
        admitted
    }

    /// Whether one more probe may run: no more at one time than the settings say, and no more than could still be
    /// needed.
    fn has_permit(&self, config: &CircuitBreakerConfig) -> bool {
        let most = config.probes();
        self.running < most && self.running.saturating_add(self.successes) < most.max(config.success_threshold)
    }

    /// The tick until which every call is refused; `None` if the next one may be admitted.
    pub(super) fn refuses_until(&self, config: &CircuitBreakerConfig) -> Option<Tick> {
        if self.stage.is_some() || self.has_permit(config) {
            return None;
        }
        self.deadline(config)
    }

    /// When the circuit opens again if none of the running calls ends.
    pub(super) fn deadline(&self, config: &CircuitBreakerConfig) -> Option<Tick> {
        Some(self.waiting_since? + config.probe_timeout())
    }

    /// Records the result of a call.
    pub(super) fn record(
        &mut self,
        config: &CircuitBreakerConfig,
        outcome: Outcome,
        slow: bool,
        now: Tick,
    ) -> RecoveryStep {
        self.running = self.running.saturating_sub(1);
        let step = match outcome {
            Outcome::Failure { open_for: Some(time) } => RecoveryStep::ReopenFor(time),
            Outcome::Failure { open_for: None } => self.judge(config, true, now),
            Outcome::Success => self.judge(config, slow, now),
            Outcome::Ignored | Outcome::Abandoned => RecoveryStep::Wait,
        };
        // An abandoned call has brought no answer: the others have been running for as long as before.
        if outcome != Outcome::Abandoned {
            self.waiting_since = Some(now);
        }
        if self.running == 0 {
            self.waiting_since = None;
        }
        step
    }

    fn judge(&mut self, config: &CircuitBreakerConfig, bad: bool, now: Tick) -> RecoveryStep {
        if let (Some(stage), Some(recovery)) = (&mut self.stage, &config.recovery) {
            let step = stage.judge(recovery, bad, now);
            if step == RecoveryStep::NextStage {
                *stage = Stage::new(stage.number + 1, now);
            }
            return step;
        }
        if bad {
            return RecoveryStep::Reopen(TransitionReason::ProbeFailed);
        }
        self.successes += 1;
        if self.successes < config.success_threshold {
            RecoveryStep::Wait
        } else if config.recovery.is_some() {
            self.stage = Some(Stage::new(0, now));
            RecoveryStep::NextStage
        } else {
            RecoveryStep::Close
        }
    }

    /// Goes on under other settings. A stage that they do not have, or that they count as done, is repeated.
    pub(super) fn change(&mut self, config: &CircuitBreakerConfig) {
        if let Some(stage) = self.stage
            && config
                .recovery
                .is_none_or(|recovery| stage.number >= recovery.shares.len())
        {
            self.stage = None;
        }
        if self.stage.is_none() {
            self.successes = self.successes.min(config.success_threshold - 1);
        }
    }

    pub(super) fn running(&self) -> u64 {
        self.running
    }

    pub(super) fn successes(&self) -> u64 {
        self.successes
    }

    /// The number of the stage, from 0, and its share of the calls.
    pub(super) fn stage(&self, config: &CircuitBreakerConfig) -> Option<(usize, f64)> {
        let number = self.stage?.number;
        Some((number, config.recovery?.shares.of(number)?))
    }
}

impl Stage {
    fn new(number: usize, since: Tick) -> Self {
        Self {
            number,
            since,
            admitted: 0,
            calls: 0,
            failures: 0,
        }
    }

    fn admit(&mut self, recovery: &StagedRecovery, draw: f64) -> bool {
        let share = recovery.shares.of(self.number).unwrap_or(1.0);
        let admitted = self.admitted == 0 || draw < share;
        self.admitted += u64::from(admitted);
        admitted
    }

    fn judge(&mut self, recovery: &StagedRecovery, bad: bool, now: Tick) -> RecoveryStep {
        self.calls += 1;
        self.failures += u64::from(bad);
        let over = now - self.since >= recovery.stage_length;
        let failing = self.failures as f64 / self.calls as f64 >= recovery.failure_rate;
        if bad && failing && (over || self.calls >= recovery.min_calls) {
            RecoveryStep::Reopen(TransitionReason::RecoveryFailed)
        } else if bad || failing || !over {
            RecoveryStep::Wait
        } else if self.number + 1 < recovery.shares.len() {
            RecoveryStep::NextStage
        } else {
            RecoveryStep::Close
        }
    }
}
