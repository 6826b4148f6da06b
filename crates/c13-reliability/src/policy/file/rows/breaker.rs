//! The settings of the circuit breaker.

use std::time::Duration;

use super::super::row::{Access, Datum, Field, Kind, Row, at, names, part};
use crate::patterns::circuit_breaker::{Abandoned, CircuitBreakerConfig, FailuresWithin, StagedRecovery};

/// The rules that look at a window, and those of them that are shares.
const WINDOWED: &[&str] = &["failures", "failure_rate", "slow_call"];
const RATED: &[&str] = &["failure_rate", "slow_call"];
const SLOW: &[&str] = &["slow_call"];
const FAILURES: &[&str] = &["failures"];
const HEALTH_CHECK: &[&str] = &["health_check"];

/// Each trip in a row makes the open time this many times as long, where a longest is set.
const OPEN_FOR_GROWTH: f64 = 2.0;

#[rustfmt::skip] // two lines a setting: its path and kind, then what it is and where
pub(super) static CIRCUIT_BREAKER: &[Row] = &[
    Row::new("circuit_breaker", Kind::Table,
        "When calls are stopped for a while, and how they come back. The first of its rules to be met opens it.", part!(; circuit_breaker = CircuitBreakerConfig::new())).off(),
    Row::new("circuit_breaker.consecutive_failures", Kind::COUNT,
        "Opens after so many failures in a row.", at!(circuit_breaker; consecutive_failures)).off().switch(),
    Row::new("circuit_breaker.failures", Kind::Whole(1, FailuresWithin::MOST_FAILURES as u64),
        "Opens after so many failures within `window`.", at!(circuit_breaker; failures)).off().switch(),
    Row::new("circuit_breaker.failure_share", Kind::Share,
        "Asked of the most recent 20 calls as well.", at!(circuit_breaker; failure_share)).needs(FAILURES),
    Row::new("circuit_breaker.failure_rate", Kind::Share,
        "Opens when so large a share of the calls in `window` failed.", at!(circuit_breaker; failure_rate)).off().switch(),
    Row::new("circuit_breaker.slow_call", Kind::TimeAboveZero,
        "A call that takes this long is slow.", at!(circuit_breaker; slow_call)).off().switch(),
    Row::new("circuit_breaker.slow_rate", Kind::Share,
        "Opens when so large a share of the calls in `window` was slow; all of them unless set.", at!(circuit_breaker; slow_rate)).needs(SLOW),
    Row::new("circuit_breaker.window", Kind::Window,
        "Which calls the rules look at.", at!(circuit_breaker; window)).needs(WINDOWED).or_else("write `failures` in place of `consecutive_failures`, or remove the window"),
    Row::new("circuit_breaker.failures_window", Kind::TimeAboveZero,
        "In place of `window`, for `failures`.", at!(circuit_breaker; failures_window)).needs(FAILURES),
    Row::new("circuit_breaker.slow_window", Kind::Window,
        "In place of `window`, for slow calls.", at!(circuit_breaker; slow_window)).needs(SLOW),
    Row::new("circuit_breaker.min_calls", Kind::CALLS,
        "A rate says nothing before so many calls; unless set all of the window, where calls are counted, or as many as hold `failures` failures.", at!(circuit_breaker; min_calls)).needs(RATED)
    .unset(|config| {
        let breaker = config.circuit_breaker?;
        let rate = breaker.failure_rate_rule().map(|rule| rule.min_calls);
        let slow = || breaker.slow_rule().filter(|_| breaker.slow_min_calls.is_none());
        Some(Datum::Whole(rate.or_else(|| Some(slow()?.min_calls))?))
    }),
    Row::new("circuit_breaker.slow_min_calls", Kind::CALLS,
        "In place of `min_calls`, for slow calls.", at!(circuit_breaker; slow_min_calls)).needs(SLOW)
    .unset(|config| {
        let breaker = config.circuit_breaker?;
        let (rate, slow) = (breaker.failure_rate_rule()?.min_calls, breaker.slow_rule()?.min_calls);
        (rate != slow).then_some(Datum::Whole(slow))
    }),
    Row::new("circuit_breaker.success_threshold", Kind::COUNT,
        "So many probes must succeed to close it.", at!(circuit_breaker; success_threshold)),
    Row::new("circuit_breaker.half_open_calls", Kind::COUNT,
        "So many probes at one time; as many as must succeed unless set.", at!(circuit_breaker; half_open_calls)),
    Row::new("circuit_breaker.half_open_timeout", Kind::TimeAboveZero,
        "Probes that take longer open it again; 5 s, or the attempt's time limit where that is longer, unless set.", at!(circuit_breaker; half_open_timeout)).unset(|config| Some(Datum::Time(config.breaker()?.probe_timeout()))),
    Row::new("circuit_breaker.open_for", Kind::TimeAboveZero,
        "How long it refuses, at first.", at!(circuit_breaker; open_for)),
    Row::new("circuit_breaker.open_for_max", Kind::TimeAboveZero,
        "How long it refuses at most.", at!(circuit_breaker; open_for_max)),
    Row::new("circuit_breaker.open_for_multiplier", Kind::Number("\"minimum\": 1, \"maximum\": 100"),
        "How the time grows with each trip in a row; it doubles where `open_for_max` is set.", at!(circuit_breaker; open_for_multiplier)).start(|config| {
        let longest = config.circuit_breaker?.open_for_max;
        Some(Datum::Number(longest.map_or(1.0, |_| OPEN_FOR_GROWTH)))
    }),
    Row::new("circuit_breaker.jitter", Kind::Ratio,
        "The share of the open time that is random.", at!(circuit_breaker; jitter)),
    Row::new("circuit_breaker.recovery", Kind::Table,
        "The way back in stages, each with a larger share of the calls.", // What stands in for a length that is not known breaks no rule.
    part!(circuit_breaker; recovery = StagedRecovery::new(Duration::from_secs(1)))).off(),
    Row::new("circuit_breaker.recovery.shares", Kind::Fractions,
        "The share of the calls that run in each stage, 1 to 8 of them.", at!(circuit_breaker / recovery; shares)),
    Row::new("circuit_breaker.recovery.stage_length", Kind::TimeAboveZero,
        "How long a stage lasts at least.", at!(circuit_breaker / recovery; stage_length)).needed("\"10s\""),
    Row::new("circuit_breaker.recovery.failure_rate", Kind::Share,
        "So large a share of failures falls back.", at!(circuit_breaker / recovery; failure_rate)),
    Row::new("circuit_breaker.recovery.min_calls", Kind::COUNT,
        "The rate says nothing before so many calls.", at!(circuit_breaker / recovery; min_calls)),
    Row::new("circuit_breaker.abandoned", Kind::Word(|| names(Abandoned::NAMES)),
        "What a dropped call counts as.", at!(circuit_breaker; abandoned)),
    Row::new("circuit_breaker.health_check", Kind::Name,
        "The health check that probes the dependency while the circuit is open, where the service runs `PolicyRegistry::probe_health`: calls run again as soon as it is well.", at!(circuit_breaker; health_check)).off(),
    Row::new("circuit_breaker.health_check_every", Kind::TimeAboveZero,
        "How often that check is run while the circuit is open.", at!(circuit_breaker; health_check_every)).needs(HEALTH_CHECK),
];
