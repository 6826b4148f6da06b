//! Readings grouped by metric, with a bound on the names of each metric.

use super::metric::{Labels, Metric, Value};
use super::registry::Snapshot;
use std::collections::BTreeMap;

/// The most names that one metric shows. The counts of further parts are added up under [`OTHER`]. Their gauges are left
/// out, because gauges do not add up.
pub const MAX_NAMES: usize = 500;

/// The name under which the counts of parts beyond [`MAX_NAMES`] are added up.
pub const OTHER: &str = "_other";

/// All readings of one metric.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Family {
    /// The metric.
    pub metric: &'static Metric,
    /// Its readings, which differ in part or labels.
    pub series: Vec<Series>,
}

/// One reading of a [`Family`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Series {
    /// The part's name, or [`OTHER`].
    pub name: String,
    /// The labels besides it.
    pub labels: Labels,
    /// The value.
    pub value: Value,
}

struct Gathered {
    metric: &'static Metric,
    names: usize,
    series: Vec<Series>,
    other: BTreeMap<Labels, Value>,
}

/// Groups readings by metric: families in the order of their names, series in the order of the snapshots.
pub(super) fn families(snapshots: Vec<Snapshot>) -> Vec<Family> {
    let mut gathered: BTreeMap<&'static str, Gathered> = BTreeMap::new();
    for snapshot in snapshots {
        for reading in snapshot.readings {
            let family = gathered.entry(reading.metric.name).or_insert_with(|| Gathered {
                metric: reading.metric,
                names: 0,
                series: Vec::new(),
                other: BTreeMap::new(),
            });
            let known = family.series.last().is_some_and(|last| last.name == snapshot.name);
            if known || family.names < MAX_NAMES {
                family.names += usize::from(!known);
                family.series.push(Series {
                    name: snapshot.name.clone(),
                    labels: reading.labels,
                    value: reading.value,
                });
            } else {
                add(&mut family.other, reading.labels, reading.value);
            }
        }
    }
    gathered
        .into_values()
        .map(|mut family| {
            let other = family.other.into_iter().map(|(labels, value)| Series {
                name: OTHER.to_owned(),
                labels,
                value,
            });
            family.series.extend(other);
            Family {
                metric: family.metric,
                series: family.series,
            }
        })
        .collect()
}

fn add(sums: &mut BTreeMap<Labels, Value>, labels: Labels, value: Value) {
    if matches!(value, Value::Level(_)) {
        return;
    }
    match (sums.get_mut(&labels), value) {
        (Some(Value::Count(sum)), Value::Count(more)) => *sum += more,
        (Some(Value::Times(sum)), Value::Times(more)) => sum.merge(&more),
        (Some(_), _) => {}
        (None, value) => {
            sums.insert(labels, value);
        }
    }
}
