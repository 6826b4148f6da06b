//! What instruments read: the registry, once for all instruments of a collection.

use crate::snapshot::{Family, Registry, Series, Value};
use crate::sync::primitive::Mutex;
use opentelemetry::KeyValue;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The registry, read once a collection.
#[derive(Clone)]
pub(super) struct Feed {
    registry: Registry,
    last: Arc<Mutex<LastRead>>,
}

/// The last reading of the registry, and the instruments that have shown it. When one of them asks again, another
/// collection has begun.
#[derive(Default)]
struct LastRead {
    families: Arc<Vec<Family>>,
    shown_by: BTreeSet<&'static str>,
}

impl Feed {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            registry: registry.clone(),
            last: Arc::default(),
        }
    }

    /// What this instrument shows in the present collection.
    pub(super) fn families(&self, instrument: &'static str) -> Arc<Vec<Family>> {
        {
            let mut last = self.last.lock();
            if !last.shown_by.is_empty() && last.shown_by.insert(instrument) {
                return last.families.clone();
            }
        }
        // Read outside the lock, because sources are the user's code.
        let families = Arc::new(self.registry.families());
        let mut last = self.last.lock();
        last.families = families.clone();
        last.shown_by = BTreeSet::from([instrument]);
        families
    }

    /// The series of one metric.
    pub(super) fn series(&self, metric: &'static str) -> Vec<Series> {
        series_of(&self.families(metric), metric).to_vec()
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

/// The counts at the last collection, because instruments that add take only the difference.
#[derive(Default)]
pub(super) struct Deltas {
    last: BTreeMap<Key, u64>,
}

/// What tells a series from all others.
pub(super) type Key = (&'static str, String, Vec<(&'static str, String)>);

impl Deltas {
    /// What each series of these metrics counted since the last collection. A count that went back belongs to a new part
    /// under an old name, so all of it is new. Parts that are gone are forgotten.
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

/// Runs a callback and stops its panic, which would end the collecting thread for good.
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
