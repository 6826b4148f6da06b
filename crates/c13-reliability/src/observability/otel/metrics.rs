//! The ten instruments by which services usually watch their calls.

use super::feed::{Deltas, Feed, attributes, guarded, series_of};
use super::replay::Replay;
use crate::patterns::bulkhead::BulkheadSnapshot;
use crate::patterns::circuit_breaker::Snapshot as CircuitSnapshot;
use crate::patterns::rate_limiter::RateLimiterSnapshot;
use crate::patterns::retry::RetrySnapshot;
use crate::snapshot::{Kind, MILLISECONDS, Metric, Registry, Value};
use crate::sync::primitive::Mutex;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Counter, Histogram, HistogramBuilder, Meter, ObservableGauge};
use std::fmt;
use std::sync::Arc;

const STATE: Metric = CircuitSnapshot::STATE;
static WAIT: Metric = BulkheadSnapshot::WAIT;

/// The counters among the instruments that the patterns feed, in the order of [`collect`].
const FED: [Metric; 6] = [
    CircuitSnapshot::TRANSITIONS,
    CircuitSnapshot::REJECTIONS,
    RateLimiterSnapshot::ALLOWED,
    RateLimiterSnapshot::REJECTED,
    RetrySnapshot::SUCCESSES,
    RetrySnapshot::FAILURES,
];

const RETRY_ATTEMPTS: Metric = Metric::of(
    Kind::Histogram {
        boundaries: &[1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0],
        per_unit: 1.0,
    },
    "reliability.retry.attempts",
    "{attempt}",
    "Retries a request, of the requests that were retried",
);

const REQUEST_DURATION: Metric =
    Metric::milliseconds("reliability.request.duration", MILLISECONDS, "How long requests took");

/// The names that [`ReliabilityMetrics`] registers. Nothing else registers them.
pub const INSTRUMENTS: [&str; 10] = [
    STATE.name,
    FED[0].name,
    FED[1].name,
    FED[2].name,
    FED[3].name,
    FED[4].name,
    FED[5].name,
    RETRY_ATTEMPTS.name,
    REQUEST_DURATION.name,
    BulkheadSnapshot::WAIT.name,
];

/// The instruments of a service's calls, on a meter of the application's.
///
/// Patterns in the registry feed them: at each collection the counters grow by what the patterns counted since the
/// last collection, with the pattern's name as the attribute `name`. The application records what no pattern counts.
///
/// Make one for each meter provider: two on the same provider would register each name twice.
pub struct ReliabilityMetrics {
    /// `reliability.circuit_breaker.state`: 0 closed, 1 open, 2 half-open; read from the registry.
    pub circuit_breaker_state: ObservableGauge<u64>,
    /// `reliability.circuit_breaker.transitions`: changes of state.
    pub circuit_breaker_transitions: Counter<u64>,
    /// `reliability.circuit_breaker.rejections`: calls that an open circuit refused.
    pub circuit_breaker_rejections: Counter<u64>,
    /// `reliability.rate_limit.allowed`: requests that a limiter admitted.
    pub rate_limit_allowed: Counter<u64>,
    /// `reliability.rate_limit.rejected`: requests that a limiter refused.
    pub rate_limit_rejected: Counter<u64>,
    /// `reliability.retry.attempts`: retries a request, of the requests that were retried.
    pub retry_attempts: Histogram<u64>,
    /// `reliability.retry.successes`: requests that succeeded after at least one retry.
    pub retry_successes: Counter<u64>,
    /// `reliability.retry.failures`: requests that gave up.
    pub retry_failures: Counter<u64>,
    /// `reliability.request.duration`, in milliseconds.
    pub request_duration: Histogram<f64>,
    /// `reliability.queue.wait_time`, in milliseconds.
    pub queue_wait_time: Histogram<f64>,
}

impl ReliabilityMetrics {
    /// The instruments on `meter`, fed by the patterns in [`Registry::global`].
    #[must_use]
    pub fn new(meter: &Meter) -> Self {
        Self::with_registry(meter, Registry::global())
    }

    /// The instruments on `meter`, fed by the patterns in `registry`.
    #[must_use]
    pub fn with_registry(meter: &Meter, registry: &Registry) -> Self {
        Self::with_feed(meter, Feed::new(registry), Vec::new())
    }

    /// The instruments, and these histograms, fed together.
    pub(super) fn with_feed(meter: &Meter, feed: Feed, mut times: Vec<(&'static Metric, Histogram<f64>)>) -> Self {
        let wait = histogram(meter.f64_histogram(WAIT.name), &WAIT).build();
        times.push((&WAIT, wait.clone()));
        let replay = Arc::new(Mutex::new(Replay::new(times)));
        let fed = FED.map(|metric| {
            let counter = meter.u64_counter(metric.name).with_unit(metric.unit);
            counter.with_description(metric.help).build()
        });
        let [transitions, rejections, allowed, rejected, successes, failures] = fed.clone();
        let deltas = Arc::new(Mutex::new(Deltas::default()));
        let state = meter
            .u64_observable_gauge(STATE.name)
            .with_unit(STATE.unit)
            .with_description(STATE.help)
            // The SDK calls observers before it adds up, so what is added here belongs to this collection.
            .with_callback(move |observer| guarded(|| collect(&feed, (&deltas, &fed), &replay, observer)))
            .build();
        Self {
            circuit_breaker_state: state,
            circuit_breaker_transitions: transitions,
            circuit_breaker_rejections: rejections,
            rate_limit_allowed: allowed,
            rate_limit_rejected: rejected,
            retry_attempts: histogram(meter.u64_histogram(RETRY_ATTEMPTS.name), &RETRY_ATTEMPTS).build(),
            retry_successes: successes,
            retry_failures: failures,
            request_duration: histogram(meter.f64_histogram(REQUEST_DURATION.name), &REQUEST_DURATION).build(),
            queue_wait_time: wait,
        }
    }

    /// Records one request: how long it took in milliseconds, how it ended, and after how many retries.
    ///
    /// The duration has the attribute `status`. Only a request with `retries` above 0 counts for the retry instruments:
    /// as a success if `status` is `"success"`, else as a failure. A duration that is negative or no number is not
    /// recorded.
    ///
    /// If a retry executor in the registry makes the retries, it counts successes and failures by itself. Then pass 0
    /// here, or they are counted twice.
    pub fn record_request(&self, duration_ms: f64, status: &str, retries: u64) {
        let status_label = [KeyValue::new("status", status.to_owned())];
        if duration_ms >= 0.0 && duration_ms.is_finite() {
            self.request_duration.record(duration_ms, &status_label);
        }
        if retries > 0 {
            self.retry_attempts.record(retries, &status_label);
            if status == "success" {
                self.retry_successes.add(1, &[]);
            } else {
                self.retry_failures.add(1, &[]);
            }
        }
    }
}

fn collect(
    feed: &Feed,
    (deltas, fed): (&Mutex<Deltas>, &[Counter<u64>; 6]),
    replay: &Mutex<Replay>,
    observer: &dyn AsyncInstrument<u64>,
) {
    let families = feed.families(STATE.name);
    for series in series_of(&families, STATE.name) {
        if let Value::Level(state) = series.value {
            observer.observe(state as u64, &attributes(series));
        }
    }
    let grown = deltas.lock().since_last(&families, &FED.map(|metric| metric.name));
    for (metric, delta, series) in grown {
        if let Some(counter) = FED.iter().position(|fed| fed.name == metric) {
            fed[counter].add(delta, &attributes(&series));
        }
    }
    replay.lock().record(&families);
}

/// Gives a histogram the unit, the help and the boundaries of a metric.
pub(super) fn histogram<'a, T>(builder: HistogramBuilder<'a, T>, metric: &Metric) -> HistogramBuilder<'a, T> {
    let builder = builder.with_unit(metric.unit).with_description(metric.help);
    match metric.kind {
        Kind::Histogram { boundaries, .. } => builder.with_boundaries(boundaries.to_vec()),
        _ => builder,
    }
}

impl fmt::Debug for ReliabilityMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReliabilityMetrics").finish_non_exhaustive()
    }
}
