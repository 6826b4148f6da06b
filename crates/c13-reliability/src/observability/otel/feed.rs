//! What instruments read: one look at the registry for all that ask in the same collection.

use crate::snapshot::{Family, Metric, Registry, Series, Value};
use crate::sync::primitive::Mutex;
use opentelemetry::KeyValue;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The registry as instruments see it.
#[derive(Clone)]
pub(super) struct Feed {
    registry: Registry,
    look: Arc<Mutex<Look>>,
}

/// The last look, and who has seen it. Who asks for the second time begins another collection.
#[derive(Default)]
struct Look {
    families: Arc<Vec<Family>>,
    seen_by: BTreeSet<&'static str>,
}

impl Feed {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            registry: registry.clone(),
            look: Arc::default(),
        }
    }

    /// What the instrument `asker` shows in this collection.
    pub(super) fn look(&self, asker: &'static str) -> Arc<Vec<Family>> {
        {
            let mut look = self.look.lock();
            if !look.seen_by.is_empty() && look.seen_by.insert(asker) {
                return look.families.clone();
            }
        }
        // Read outside the lock: sources are not this library's code.
        let families = Arc::new(self.registry.families());
        let mut look = self.look.lock();
        look.families = families.clone();
        look.seen_by = BTreeSet::from([asker]);
        families
    }

    /// The series of one metric.
    pub(super) fn series(&self, metric: &'static str) -> Vec<Series> {
        series_of(&self.look(metric), metric).to_vec()
    }
}

/// The series of one metric among families.
pub(super) fn series_of<'a>(families: &'a [Family], metric: &str) -> &'a [Series] {
    families
        .iter()
        .find(|family| family.metric.name == metric)
        .map_or(&[], |family| &family.series)
}

/// A series' name and labels as attributes.
pub(super) fn attributes(series: &Series) -> Vec<KeyValue> {
    let name = KeyValue::new("name", series.name.clone());
    let labels = series
        .labels
        .iter()
        .map(|(label, value)| KeyValue::new(*label, value.clone()));
    std::iter::once(name).chain(labels).collect()
}

/// What counters stood at when they were last read, so that instruments that add get what is new.
#[derive(Default)]
pub(super) struct Deltas {
    last: BTreeMap<Key, u64>,
}

type Key = (&'static str, String, Vec<(&'static str, String)>);

impl Deltas {
    /// What each series of these metrics counted since the last time. A count that went back is a new part's under an
    /// old name, and counts whole. Parts that are gone are forgotten.
    pub(super) fn since_last(
        &mut self,
        families: &[Family],
        metrics: &[&'static str],
    ) -> Vec<(&'static str, u64, Series)> {
        let mut now = BTreeMap::new();
        let mut grown = Vec::new();
        for metric in metrics {
            for series in series_of(families, metric) {
                let Value::Count(count) = series.value else { continue };
                let key = (*metric, series.name.clone(), series.labels.clone());
                let last = self.last.get(&key).copied().unwrap_or(0);
                let delta = if count >= last { count - last } else { count };
                now.insert(key, count);
                if delta > 0 {
                    grown.push((*metric, delta, series.clone()));
                }
            }
        }
        self.last = now;
        grown
    }
}

/// The name of the metric of quantiles that stands for a histogram that OpenTelemetry cannot be handed.
pub(super) fn quantile_name(metric: &Metric) -> String {
    format!("{}.quantile", metric.name)
}

/// Runs a callback so that its panic ends here: it would end the collecting thread for good.
pub(super) fn guarded(observe: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(observe));
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::metrics::MeterProvider;
    use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
    use std::time::Duration;

    #[test]
    fn a_callback_that_panics_stops_neither_its_collection_nor_the_next() {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone())
            .with_interval(Duration::from_secs(3600))
            .build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        let meter = provider.meter("test");
        meter
            .u64_observable_gauge("broken")
            .with_callback(|_| guarded(|| panic!("a callback that panics")))
            .build();
        meter
            .u64_observable_gauge("sound")
            .with_callback(|observer| guarded(|| observer.observe(1, &[])))
            .build();
        for _ in 0..3 {
            exporter.reset();
            provider.force_flush().unwrap();
            let names: Vec<String> = exporter
                .get_finished_metrics()
                .unwrap()
                .iter()
                .flat_map(|resource| resource.scope_metrics())
                .flat_map(|scope| scope.metrics())
                .map(|metric| metric.name().to_owned())
                .collect();
            assert_eq!(names, ["sound"]);
        }
    }
}
