//! The metrics of the registry's parts as observable instruments.

use super::feed::{Feed, attributes, guarded, quantile_name};
use super::metrics::{INSTRUMENTS, ReliabilityMetrics};
use crate::observability::catalogue;
use crate::snapshot::{Kind, Metric, Registry, Value};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

/// The quantiles that stand for a histogram, because OpenTelemetry cannot take a histogram that was recorded elsewhere.
const QUANTILES: [(f64, &str); 4] = [(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99"), (1.0, "1")];

/// Registers an observable instrument on `meter` for each metric in the [`catalogue`], besides the ten of
/// [`ReliabilityMetrics`], which it returns.
///
/// Each collection reads the registry once. A histogram is shown as a gauge `….quantile` with the attribute `quantile`.
/// Instruments live as long as the meter's provider, so call this once for each provider.
#[must_use = "the instruments work without it, but only through it can an application record its requests"]
pub fn bridge(meter: &Meter, registry: &Registry) -> ReliabilityMetrics {
    bridge_with(meter, registry, &[])
}

/// Like [`bridge`], with metrics that your own parts report as well.
#[must_use = "the instruments work without it, but only through it can an application record its requests"]
pub fn bridge_with(meter: &Meter, registry: &Registry, own: &[&'static Metric]) -> ReliabilityMetrics {
    let feed = Feed::new(registry);
    for metric in catalogue().iter().chain(own) {
        match metric.kind {
            Kind::Histogram { per_unit, .. } => quantiles(meter, feed.clone(), metric, per_unit),
            _ if INSTRUMENTS.contains(&metric.name) => {}
            Kind::Counter => counts(meter, feed.clone(), metric),
            Kind::Gauge => levels(meter, feed.clone(), metric),
        }
    }
    ReliabilityMetrics::with_feed(meter, feed)
}

fn counts(meter: &Meter, feed: Feed, metric: &'static Metric) {
    meter
        .u64_observable_counter(metric.name)
        .with_unit(metric.unit)
        .with_description(metric.help)
        .with_callback(move |observer| {
            guarded(|| {
                for series in feed.series(metric.name) {
                    if let Value::Count(count) = series.value {
                        observer.observe(count, &attributes(&series));
                    }
                }
            });
        })
        .build();
}

fn levels(meter: &Meter, feed: Feed, metric: &'static Metric) {
    meter
        .f64_observable_gauge(metric.name)
        .with_unit(metric.unit)
        .with_description(metric.help)
        .with_callback(move |observer| {
            guarded(|| {
                for series in feed.series(metric.name) {
                    if let Value::Level(level) = series.value {
                        observer.observe(level, &attributes(&series));
                    }
                }
            });
        })
        .build();
}

fn quantiles(meter: &Meter, feed: Feed, metric: &'static Metric, per_unit: f64) {
    meter
        .f64_observable_gauge(quantile_name(metric))
        .with_unit(metric.unit)
        .with_description(metric.help)
        .with_callback(move |observer| {
            guarded(|| {
                for series in feed.series(metric.name) {
                    let Value::Times(times) = &series.value else { continue };
                    for (q, label) in QUANTILES {
                        if let Some(time) = times.quantile(q) {
                            let mut attributes = attributes(&series);
                            attributes.push(KeyValue::new("quantile", label));
                            observer.observe(time as f64 / per_unit, &attributes);
                        }
                    }
                }
            });
        })
        .build();
}
