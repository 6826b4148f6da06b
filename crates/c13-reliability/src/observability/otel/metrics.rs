//! The ten instruments by which services usually watch their calls.

use super::feed::{Deltas, Feed, attributes, guarded};
use crate::snapshot::{Registry, Value};
use crate::sync::primitive::Mutex;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Counter, Histogram, Meter, ObservableGauge};
use std::fmt;
use std::sync::Arc;

const STATE: &str = "reliability.circuit_breaker.state";
const TRANSITIONS: &str = "reliability.circuit_breaker.transitions";
const REJECTIONS: &str = "reliability.circuit_breaker.rejections";
const ALLOWED: &str = "reliability.rate_limit.allowed";
const REJECTED: &str = "reliability.rate_limit.rejected";
const ATTEMPTS: &str = "reliability.retry.attempts";
const SUCCESSES: &str = "reliability.retry.successes";
const FAILURES: &str = "reliability.retry.failures";
const DURATION: &str = "reliability.request.duration";
const WAIT_TIME: &str = "reliability.queue.wait_time";

/// The names that [`ReliabilityMetrics`] registers; nothing else registers them.
pub const INSTRUMENTS: [&str; 10] = [
    STATE,
    TRANSITIONS,
    REJECTIONS,
    ALLOWED,
    REJECTED,
    ATTEMPTS,
    SUCCESSES,
    FAILURES,
    DURATION,
    WAIT_TIME,
];

/// Those of them that patterns count by themselves.
const FED: [&str; 6] = [TRANSITIONS, REJECTIONS, ALLOWED, REJECTED, SUCCESSES, FAILURES];

/// Upper ends of the classes of times, in milliseconds.
const MILLISECONDS: &[f64] = &[
    1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10_000.0,
];

/// The instruments of a service's calls, on a meter of the application's.
///
/// Patterns in the registry feed them: at each collection the counters grow by what the patterns counted since the
/// last, with the pattern's name as the attribute `name`. What no pattern counts the application adds itself.
///
/// Make one for each meter provider: two on the same would register each name twice.
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
        Self::with_feed(meter, Feed::new(registry))
    }

    pub(super) fn with_feed(meter: &Meter, feed: Feed) -> Self {
        let counter = |name: &'static str, unit: &'static str, help: &'static str| {
            meter.u64_counter(name).with_unit(unit).with_description(help).build()
        };
        let milliseconds = |name: &'static str, help: &'static str| {
            meter
                .f64_histogram(name)
                .with_unit("ms")
                .with_description(help)
                .with_boundaries(MILLISECONDS.to_vec())
                .build()
        };
        let transitions = counter(TRANSITIONS, "{transition}", "Changes of state");
        let rejections = counter(REJECTIONS, "{call}", "Calls that were refused");
        let allowed = counter(ALLOWED, "{request}", "Requests that were admitted");
        let rejected = counter(
            REJECTED,
            "{request}",
            "Requests that were refused, at once or after a wait",
        );
        let successes = counter(SUCCESSES, "{call}", "Calls that succeeded after at least one retry");
        let failures = counter(FAILURES, "{call}", "Calls that gave up");
        let fed = [&transitions, &rejections, &allowed, &rejected, &successes, &failures].map(Clone::clone);
        let deltas = Arc::new(Mutex::new(Deltas::default()));
        let state = meter
            .u64_observable_gauge(STATE)
            .with_description("State of the circuit: 0 closed, 1 open, 2 half-open")
            // The SDK calls observers before it adds up, so what is added here belongs to this collection.
            .with_callback(move |observer| guarded(|| collect(&feed, &deltas, &fed, observer)))
            .build();
        Self {
            circuit_breaker_state: state,
            circuit_breaker_transitions: transitions,
            circuit_breaker_rejections: rejections,
            rate_limit_allowed: allowed,
            rate_limit_rejected: rejected,
            retry_attempts: meter
                .u64_histogram(ATTEMPTS)
                .with_unit("{attempt}")
                .with_description("Retries a request, of the requests that were retried")
                .with_boundaries(vec![1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0])
                .build(),
            retry_successes: successes,
            retry_failures: failures,
            request_duration: milliseconds(DURATION, "How long requests took"),
            queue_wait_time: milliseconds(WAIT_TIME, "How long calls were in line"),
        }
    }

    /// Records one request: how long it took in milliseconds, how it ended, and after how many retries.
    ///
    /// The duration has the attribute `status`. Only a request with `retries` above 0 counts for the retry instruments:
    /// as a success if `status` is `"success"`, else as a failure. A duration that is negative or no number is not
    /// recorded.
    ///
    /// Where a retry executor in the registry makes the retries, it counts successes and failures by itself: give 0
    /// here, or they count twice.
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

fn collect(feed: &Feed, deltas: &Mutex<Deltas>, fed: &[Counter<u64>; 6], observer: &dyn AsyncInstrument<u64>) {
    let families = feed.look(STATE);
    for series in super::feed::series_of(&families, STATE) {
        if let Value::Level(state) = series.value {
            observer.observe(state as u64, &attributes(series));
        }
    }
    let grown = deltas.lock().since_last(&families, &FED);
    for (metric, delta, series) in grown {
        if let Some(counter) = FED.iter().position(|name| *name == metric) {
            fed[counter].add(delta, &attributes(&series));
        }
    }
}

impl fmt::Debug for ReliabilityMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReliabilityMetrics").finish_non_exhaustive()
    }
}
