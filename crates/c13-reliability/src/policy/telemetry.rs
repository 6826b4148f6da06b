//! What a policy reports itself, besides its parts: how long its calls and attempts took and how they ended, which layers
//! refused calls, and which time limits cut them short.
//!
//! A call that ends at its first poll has waited for nothing. It is counted on the thread's own stripe, as one that took no
//! time, because reading the clock would cost more than the layers do. All others are measured: see
//! `docs/adr/0019-durations-of-calls.md`.

use crate::error::Layer;
use crate::gate::Outcome;
use crate::patterns::timeout::TimeoutSnapshot;
use crate::snapshot::{Labels, Metric, Reading, Reported, Row, SECONDS, readings};
use crate::sync::{HistogramSnapshot, Tally, counts};
use crate::time::{Clock, Tick, nanos};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::PolicyError;

counts! {
    /// The calls that ended at their first poll, with a value that does not count as a failure.
    pub(super) enum AtOnce {
        Success,
    }
}

/// How a call can end, as the labels `result` and `layer` say it; `layer` is the one that ended the call.
const CALL_ENDS: [(&str, Option<Layer>); 11] = [
    ("success", None),
    ("failure", None),
    ("failure", Some(Layer::Retry)),
    ("failure", Some(Layer::TotalTimeout)),
    ("timed_out", Some(Layer::TotalTimeout)),
    ("timed_out", Some(Layer::AttemptTimeout)),
    ("rejected", Some(Layer::TotalTimeout)),
    ("rejected", Some(Layer::Cache)),
    ("rejected", Some(Layer::RateLimit)),
    ("rejected", Some(Layer::Bulkhead)),
    ("rejected", Some(Layer::CircuitBreaker)),
];
const SUCCESS: usize = 0;
const FAILURE: usize = 1;

/// How a call ended, as metrics and spans call it. A value is a success here, whatever it means to the breaker.
pub(super) fn call_end<T, E>(result: &Result<T, PolicyError<E>>) -> &'static str {
    match result {
        Ok(_) => "success",
        Err(PolicyError::Failed { .. }) => "failure",
        Err(PolicyError::TimedOut { .. }) => "timed_out",
        Err(PolicyError::Rejected { .. }) => "rejected",
    }
}

/// How an attempt ended that gave a result, as spans call it.
pub(super) fn attempt_end<T, E>(result: &Result<T, E>) -> &'static str {
    if result.is_ok() { "success" } else { "failure" }
}

/// How an attempt can end.
#[derive(Clone, Copy)]
pub(super) enum AttemptEnd {
    Success,
    Failure,
    TimedOut,
}

const ATTEMPT_ENDS: [&str; 3] = ["success", "failure", "timed_out"];

impl AttemptEnd {
    /// The end of an attempt that gave a result with this outcome. Only a failure is one, whatever the result is.
    pub(super) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Failure { .. } => Self::Failure,
            _ => Self::Success,
        }
    }
}

/// The layers that refuse calls.
const REFUSING: [Layer; 4] = [
    Layer::TotalTimeout,
    Layer::RateLimit,
    Layer::Bulkhead,
    Layer::CircuitBreaker,
];

/// What is counted off the fast path. A policy makes it when its first call leaves that.
#[derive(Default)]
pub(super) struct Telemetry {
    calls: [Times; CALL_ENDS.len()],
    attempts: [Times; ATTEMPT_ENDS.len()],
    refusals: [AtomicU64; REFUSING.len()],
    /// Attempts and calls cut short by the policy's own limit, and by the deadline of the caller.
    expirations: [AtomicU64; 2],
    surges: Mutex<[Surge; REFUSING.len()]>,
}

/// When a layer last refused many calls.
#[derive(Clone, Copy, Default)]
struct Surge {
    /// When the last [`MANY`] refusals were complete.
    counted: Option<Tick>,
    warned: Option<Tick>,
}

/// So many refusals by a layer are many, if they come within [`SOON`].
const MANY: u64 = 100;
const SOON: Duration = Duration::from_secs(10);
/// A layer is warned of once in this time.
const QUIET: Duration = Duration::from_secs(60);

impl Telemetry {
    /// Records the end of a call that took this long. `failed` says whether a value that it gave counts as a failure.
    pub(super) fn call_ended<T, E>(&self, result: &Result<T, PolicyError<E>>, failed: bool, took: Duration) {
        let (name, layer) = match result {
            Ok(_) if failed => CALL_ENDS[FAILURE],
            Ok(_) => CALL_ENDS[SUCCESS],
            Err(error) => (call_end(result), error.layer()),
        };
        if let Some(end) = CALL_ENDS.iter().position(|end| *end == (name, layer)) {
            self.calls[end].record(took);
        }
    }

    /// Records a call that ended at its first poll, with a value that counts as a failure.
    #[cold]
    pub(super) fn failed_at_once(&self) {
        self.calls[FAILURE].record(Duration::ZERO);
        self.attempt_ended(AttemptEnd::Failure, Duration::ZERO);
    }

    /// Records the end of an attempt.
    pub(super) fn attempt_ended(&self, end: AttemptEnd, took: Duration) {
        self.attempts[end as usize].record(took);
    }

    /// Records that a time limit cut an attempt or a call short: the policy's own, or the deadline of the caller.
    pub(super) fn expired(&self, by_deadline: bool) {
        // Relaxed: a count orders nothing.
        self.expirations[usize::from(by_deadline)].fetch_add(1, Ordering::Relaxed);
    }

    /// Records a refusal. Returns how many there were by this layer if it refuses many, once a minute.
    pub(super) fn refused(&self, layer: Layer, clock: &Clock) -> Option<u64> {
        let at = REFUSING.iter().position(|refusing| *refusing == layer)?;
        // Relaxed: a count orders nothing.
        let refused = self.refusals[at].fetch_add(1, Ordering::Relaxed) + 1;
        if !refused.is_multiple_of(MANY) {
            return None;
        }
        let now = clock.now();
        let surge = &mut self.surges.lock().unwrap_or_else(PoisonError::into_inner)[at];
        let is_surge = surge.counted.replace(now).is_some_and(|before| now - before <= SOON);
        let is_quiet = surge.warned.is_some_and(|warned| now - warned < QUIET);
        if !is_surge || is_quiet {
            return None;
        }
        surge.warned = Some(now);
        Some(refused)
    }
}

/// The ends of the buckets in nanoseconds.
const ENDS: [u64; SECONDS.len()] = {
    let mut ends = [0; SECONDS.len()];
    let mut at = 0;
    while at < ends.len() {
        ends[at] = (SECONDS[at] * 1e9) as u64;
        at += 1;
    }
    ends
};

/// A histogram with the buckets in which it is shown, so that they are exact and it is small. Made with its first value.
#[derive(Default)]
struct Times(OnceLock<Box<TimesCounts>>);

#[derive(Default)]
struct TimesCounts {
    /// The last is for what is longer than all ends.
    buckets: [AtomicU64; ENDS.len() + 1],
    sum: AtomicU64,
    max: AtomicU64,
}

impl Times {
    fn record(&self, took: Duration) {
        let (counts, took) = (self.0.get_or_init(Box::default), nanos(took));
        let bucket = ENDS.partition_point(|end| *end < took);
        // Relaxed: counts order nothing; a reader may see one of the three before the others.
        counts.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        counts.sum.fetch_add(took, Ordering::Relaxed);
        counts.max.fetch_max(took, Ordering::Relaxed);
    }

    /// What was recorded, with so many more that took no time; `None` if there is nothing.
    fn snapshot(&self, at_once: u64) -> Option<HistogramSnapshot> {
        let counts = self.0.get();
        if counts.is_none() && at_once == 0 {
            return None;
        }
        // Relaxed: as in `record`.
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut buckets = [0; ENDS.len() + 1];
        let (mut sum, mut max) = (0, 0);
        if let Some(counts) = counts {
            buckets = std::array::from_fn(|at| read(&counts.buckets[at]));
            (sum, max) = (read(&counts.sum), read(&counts.max));
        }
        buckets[0] += at_once;
        Some(HistogramSnapshot::of_buckets(&ENDS, &buckets, sum.into(), max))
    }
}

/// What a policy reports itself.
pub(crate) struct PolicySnapshot {
    calls: Vec<(Labels, HistogramSnapshot)>,
    attempts: Vec<(Labels, HistogramSnapshot)>,
    refusals: [u64; REFUSING.len()],
    expirations: [u64; 2],
}

impl PolicySnapshot {
    pub(super) fn of(telemetry: Option<&Telemetry>, at_once: Option<&Tally<AtOnce>>) -> Self {
        let none = Telemetry::default();
        let telemetry = telemetry.unwrap_or(&none);
        let at_once = at_once.map_or(0, |tally| tally.sum(AtOnce::Success));
        let at_once = |end: usize| if end == SUCCESS { at_once } else { 0 };
        let read = |count: &AtomicU64| {
            // Relaxed: a count orders nothing.
            count.load(Ordering::Relaxed)
        };
        let call = |(end, (result, layer)): (usize, &(&str, Option<Layer>))| {
            let layer = layer.map_or("none", Layer::name);
            let labels = vec![("result", (*result).to_owned()), ("layer", layer.to_owned())];
            Some((labels, telemetry.calls[end].snapshot(at_once(end))?))
        };
        let attempt = |(end, result): (usize, &&str)| {
            let labels = vec![("result", (*result).to_owned())];
            Some((labels, telemetry.attempts[end].snapshot(at_once(end))?))
        };
        Self {
            calls: CALL_ENDS.iter().enumerate().filter_map(call).collect(),
            attempts: ATTEMPT_ENDS.iter().enumerate().filter_map(attempt).collect(),
            refusals: telemetry.refusals.each_ref().map(read),
            expirations: telemetry.expirations.each_ref().map(read),
        }
    }

    pub(super) fn readings(&self) -> Vec<Reading> {
        readings(self)
    }
}

impl Reported for PolicySnapshot {
    const METRICS: &'static [Row<Self>] = &[
        Row::times_by(
            Metric::seconds(
                "reliability.policy.call.duration",
                SECONDS,
                "How long calls took, waits and retries included, by result (success, failure, timed_out, rejected) and \
                 by the layer that ended them; a call that ended at its first poll counts as one that took no time",
            )
            .by(&["result", "layer"]),
            |s| &s.calls,
        ),
        Row::times_by(
            Metric::seconds(
                "reliability.policy.attempt.duration",
                SECONDS,
                "How long attempts took, by result (success, failure, timed_out)",
            )
            .by(&["result"]),
            |s| &s.attempts,
        ),
        Row::counts(
            Metric::counter(
                "reliability.policy.refusals",
                "{call}",
                "Calls that a layer refused, or whose next attempt it refused, by layer",
            )
            .by(&["layer"]),
            &[
                ("total_timeout", |s| s.refusals[0]),
                ("rate_limit", |s| s.refusals[1]),
                ("bulkhead", |s| s.refusals[2]),
                ("circuit_breaker", |s| s.refusals[3]),
            ],
        ),
        Row::counts(
            TimeoutSnapshot::EXPIRATIONS,
            &[("limit", |s| s.expirations[0]), ("deadline", |s| s.expirations[1])],
        ),
    ];
}
