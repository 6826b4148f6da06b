//! The metrics of the registry's parts as observable instruments.

use super::feed::{Feed, attributes, guarded};
use super::metrics::{INSTRUMENTS, ReliabilityMetrics, histogram};
use crate::observability::catalogue;
use crate::snapshot::{Kind, Metric, Registry, Value};
use opentelemetry::metrics::Meter;

/// Registers an observable instrument on `meter` for each metric in the [`catalogue`], besides the ten of
/// [`ReliabilityMetrics`], which it returns.
///
/// Each collection reads the registry once. What a histogram of the registry has counted since the last collection is recorded
/// then, bucket by bucket, so that it can be added up over instances like any other: the counts of the buckets are exact, the
/// sum to within what their widths allow.
///
/// Instruments live as long as the meter's provider, so call this once for each provider.
#[must_use = "the instruments work without it, but only through it can an application record its requests"]
pub fn bridge(meter: &Meter, registry: &Registry) -> ReliabilityMetrics {
    bridge_with(meter, registry, &[])
}

/// Like [`bridge`], with metrics that your own parts report as well.
#[must_use = "the instruments work without it, but only through it can an application record its requests"]
pub fn bridge_with(meter: &Meter, registry: &Registry, own: &[&'static Metric]) -> ReliabilityMetrics {
    let feed = Feed::new(registry);
    let mut times = Vec::new();
    for metric in catalogue().iter().chain(own) {
        match metric.kind {
            _ if INSTRUMENTS.contains(&metric.name) => {}
            Kind::Histogram { .. } => {
                times.push((*metric, histogram(meter.f64_histogram(metric.name), metric).build()));
            }
            Kind::Counter => counts(meter, feed.clone(), metric),
            Kind::Gauge => levels(meter, feed.clone(), metric),
        }
    }
    ReliabilityMetrics::with_feed(meter, feed, times)
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
