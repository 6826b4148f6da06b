//! The snapshot of a breaker, its events and its metrics.

use super::opening::Opening;
use crate::snapshot::{Metric, Reading, Reported, Row, readings};
use crate::time::Tick;
use std::fmt;
use std::time::Duration;

/// The state of a circuit. `as u8` gives the number it is reported by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum CircuitState {
    /// Calls run, and the rules are evaluated.
    Closed = 0,
    /// Calls are refused.
    Open = 1,
    /// A few calls run as probes; they decide whether the circuit closes.
    HalfOpen = 2,
    /// Calls are refused until it is set by hand to another state.
    ForcedOpen = 3,
    /// Calls run, whatever their results, until it is set by hand to another state.
    ForcedClosed = 4,
    /// Calls run and the rules are evaluated, but the circuit never opens.
    MetricsOnly = 5,
}

impl CircuitState {
    /// The name in files, labels and reports, such as `half_open`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
            Self::MetricsOnly => "metrics_only",
        }
    }
}

impl fmt::Display for CircuitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a circuit changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransitionReason {
    /// As many failures in a row as the settings allow.
    ConsecutiveFailures,
    /// As many failures within a time as the settings allow.
    FailuresWithin,
    /// The share of failures among the last calls.
    FailureRate,
    /// The share of slow calls among the last calls.
    SlowCalls,
    /// A failure that itself said how long to stay open.
    Dictated,
    /// The open time was over.
    OpenTimeOver,
    /// Enough probes succeeded.
    ProbesSucceeded,
    /// A probe failed, or was slow where slow calls count.
    ProbeFailed,
    /// Probes did not end in time.
    ProbesTimedOut,
    /// Too many calls of a recovery's stage failed.
    RecoveryFailed,
    /// A health probe found the dependency well before the open time was over.
    HealthProbe,
    /// It was set by hand: forced, or reset.
    Manual,
}

impl TransitionReason {
    /// The name in labels and reports, such as `failure_rate`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailuresWithin => "failures_within",
            Self::FailureRate => "failure_rate",
            Self::SlowCalls => "slow_calls",
            Self::Dictated => "dictated",
            Self::OpenTimeOver => "open_time_over",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::ProbeFailed => "probe_failed",
            Self::ProbesTimedOut => "probes_timed_out",
            Self::RecoveryFailed => "recovery_failed",
            Self::HealthProbe => "health_probe",
            Self::Manual => "manual",
        }
    }
}

impl fmt::Display for TransitionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A change of a circuit's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// The state before.
    pub from: CircuitState,
    /// The state after.
    pub to: CircuitState,
    /// Why.
    pub reason: TransitionReason,
    /// When, by the breaker's clock.
    pub at: Tick,
    /// The number of the change in the breaker's life, from 1.
    pub number: u64,
    /// The numbers behind the reason, where the circuit opened.
    pub opening: Option<Opening>,
}

/// Something that happened to a circuit.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum CircuitEvent {
    /// Its state changed.
    Transition(Transition),
    /// A stage of its recovery began.
    Stage {
        /// The number of the stage, from 1.
        number: usize,
        /// The share of calls that run in it.
        share: f64,
        /// When, by the breaker's clock.
        at: Tick,
    },
    /// It is in `MetricsOnly`, and a rule is met. Reported once, until the rule is no longer met.
    WouldOpen {
        /// Which rule.
        reason: TransitionReason,
        /// When, by the breaker's clock.
        at: Tick,
    },
}

/// The cumulative counts of a breaker. At rest, `total_requests` is the sum of all others but `state_transitions`; a call that
/// still runs is not counted yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitMetrics {
    /// Calls that ended, one way or another, or were refused.
    pub total_requests: u64,
    /// Calls that succeeded.
    pub success_count: u64,
    /// Calls that failed; a panic is a failure.
    pub failure_count: u64,
    /// Calls whose result says nothing about the dependency.
    pub ignored_count: u64,
    /// Calls that were dropped before they were done.
    pub abandoned_count: u64,
    /// Calls that were refused.
    pub rejection_count: u64,
    /// Changes of state.
    pub state_transitions: u64,
}

/// A circuit at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The state. An open circuit whose time is up reads `Open` until a call makes it half-open.
    pub state: CircuitState,
    /// How long it has been in it.
    pub in_state_for: Duration,
    /// How long until probes are let through: the rest of the open time, zero in a half-open circuit, and nothing in
    /// all others.
    pub time_to_next_probe: Option<Duration>,
    /// How often it opened since it was last closed by its probes.
    pub consecutive_trips: u32,
    /// Probes that are running.
    pub probes_running: u64,
    /// Probes that succeeded since it became half-open.
    pub probes_succeeded: u64,
    /// The stage of its recovery, from 1, where the settings ask for stages and the probes have succeeded.
    pub recovery_stage: Option<usize>,
    /// The share of calls that run in that stage.
    pub recovery_share: Option<f64>,
    /// The share of failures in the window of the failure rate, where that rule is set and the window holds as many
    /// calls as it asks for.
    pub failure_rate: Option<f64>,
    /// The share of slow calls in the window of the slow rule, where that rule is set and the window holds as many
    /// calls as it asks for.
    pub slow_rate: Option<f64>,
    /// How many calls the window of the failure rate holds, or else that of the slow rule; nothing where neither is
    /// set, or the circuit is not watching.
    pub window_calls: Option<u64>,
    /// Its cumulative counts.
    pub metrics: CircuitMetrics,
}

impl Reported for Snapshot {
    const METRICS: &'static [Row<Self>] = &[
        Row::level(Self::STATE, |s| f64::from(s.state as u8)),
        Row::count(Self::TRANSITIONS, |s| s.metrics.state_transitions),
        Row::count(Self::REJECTIONS, |s| s.metrics.rejection_count),
        Row::counts(
            Metric::counter(
                "reliability.circuit_breaker.calls",
                "{call}",
                "Calls that ended or were refused, by result",
            )
            .by(&["result"]),
            &[
                ("success", |s| s.metrics.success_count),
                ("failure", |s| s.metrics.failure_count),
                ("ignored", |s| s.metrics.ignored_count),
                ("abandoned", |s| s.metrics.abandoned_count),
                ("rejected", |s| s.metrics.rejection_count),
            ],
        ),
        Row::known_level(
            Metric::gauge(
                "reliability.circuit_breaker.failure_ratio",
                "",
                "Share of failures in the window of the failure rate, once the window holds enough calls",
            ),
            |s| s.failure_rate,
        ),
        Row::known_level(
            Metric::gauge(
                "reliability.circuit_breaker.slow_ratio",
                "",
                "Share of slow calls in the window of the slow calls, once the window holds enough calls",
            ),
            |s| s.slow_rate,
        ),
    ];
}

impl Snapshot {
    /// Also an instrument of OpenTelemetry.
    pub(crate) const STATE: Metric = Metric::gauge(
        "reliability.circuit_breaker.state",
        "",
        "State of the circuit: 0 closed, 1 open, 2 half-open, 3 forced open, 4 forced closed, 5 metrics only",
    );
    /// Also an instrument of OpenTelemetry.
    pub(crate) const TRANSITIONS: Metric = Metric::counter(
        "reliability.circuit_breaker.transitions",
        "{transition}",
        "Changes of state",
    );
    /// Also an instrument of OpenTelemetry.
    pub(crate) const REJECTIONS: Metric = Metric::counter(
        "reliability.circuit_breaker.rejections",
        "{call}",
        "Calls that were refused",
    );

    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        readings(self)
    }
}
