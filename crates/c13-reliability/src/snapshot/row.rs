//! Metrics as rows: what each metric of a part is, and how it is read from the part's snapshot.

use super::metric::{Labels, Metric, Reading};
use crate::sync::HistogramSnapshot;

/// The snapshot of a part, or of one of its items, with a row for each metric.
pub(crate) trait Reported: Sized + 'static {
    /// The metrics, in the order in which they are read.
    const METRICS: &'static [Row<Self>];
}

/// One metric: what it is, and how it is read from a snapshot `S`.
pub(crate) struct Row<S: 'static> {
    metric: Metric,
    read: Read<S>,
}

/// How a value is read, for each value of a label.
type ByLabel<S, V> = &'static [(&'static str, fn(&S) -> V)];

enum Read<S: 'static> {
    Count(fn(&S) -> u64),
    Counts(ByLabel<S, u64>),
    Level(fn(&S) -> f64),
    Levels(ByLabel<S, Option<f64>>),
    KnownLevel(fn(&S) -> Option<f64>),
    Times(fn(&S) -> &HistogramSnapshot),
    TimesBy(fn(&S) -> &[(Labels, HistogramSnapshot)]),
}

impl<S> Row<S> {
    /// A counter.
    pub(crate) const fn count(metric: Metric, read: fn(&S) -> u64) -> Self {
        let read = Read::Count(read);
        Self { metric, read }
    }

    /// A counter with a series for each value of the metric's last label.
    pub(crate) const fn counts(metric: Metric, read: ByLabel<S, u64>) -> Self {
        let read = Read::Counts(read);
        Self { metric, read }
    }

    /// A gauge.
    pub(crate) const fn level(metric: Metric, read: fn(&S) -> f64) -> Self {
        let read = Read::Level(read);
        Self { metric, read }
    }

    /// A gauge with a series for each value of the metric's last label, for as long as it is known.
    pub(crate) const fn levels(metric: Metric, read: ByLabel<S, Option<f64>>) -> Self {
        let read = Read::Levels(read);
        Self { metric, read }
    }

    /// A gauge that is left out while its value is not known.
    pub(crate) const fn known_level(metric: Metric, read: fn(&S) -> Option<f64>) -> Self {
        let read = Read::KnownLevel(read);
        Self { metric, read }
    }

    /// A histogram of times in nanoseconds.
    pub(crate) const fn times(metric: Metric, read: fn(&S) -> &HistogramSnapshot) -> Self {
        let read = Read::Times(read);
        Self { metric, read }
    }

    /// A histogram of times in nanoseconds for each set of labels that there is.
    pub(crate) const fn times_by(metric: Metric, read: fn(&S) -> &[(Labels, HistogramSnapshot)]) -> Self {
        let read = Read::TimesBy(read);
        Self { metric, read }
    }

    fn readings(&'static self, of: &S) -> Vec<Reading> {
        let metric = &self.metric;
        let label = metric.labels.last().copied().unwrap_or_default();
        match self.read {
            Read::Count(read) => vec![Reading::count(metric, read(of))],
            Read::Counts(read) => read
                .iter()
                .map(|(value, read)| Reading::count(metric, read(of)).label(label, *value))
                .collect(),
            Read::Level(read) => vec![Reading::level(metric, read(of))],
            Read::Levels(read) => read
                .iter()
                .filter_map(|(value, read)| Some(Reading::level(metric, read(of)?).label(label, *value)))
                .collect(),
            Read::KnownLevel(read) => read(of)
                .map(|level| Reading::level(metric, level))
                .into_iter()
                .collect(),
            Read::Times(read) => vec![Reading::times(metric, read(of).clone())],
            Read::TimesBy(read) => read(of)
                .iter()
                .map(|(labels, times)| Reading {
                    labels: labels.clone(),
                    ..Reading::times(metric, times.clone())
                })
                .collect(),
        }
    }
}

/// What the snapshot of a part reports.
pub(crate) fn readings<S: Reported>(snapshot: &S) -> Vec<Reading> {
    S::METRICS.iter().flat_map(|row| row.readings(snapshot)).collect()
}

/// What the snapshot of one item of a part reports. The first label of each metric is the item's name.
pub(crate) fn readings_of<S: Reported>(item: &str, snapshot: &S) -> Vec<Reading> {
    let mut readings = readings(snapshot);
    for reading in &mut readings {
        let label = reading.metric.labels.first().copied().unwrap_or_default();
        reading.labels.insert(0, (label, item.to_owned()));
    }
    readings
}

/// A metric, and the values of its last label where the library chooses them.
#[derive(Clone)]
pub(crate) struct Described {
    pub(crate) metric: &'static Metric,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "only the tables of the documentation show it")
    )]
    pub(crate) values: Vec<&'static str>,
}

/// The metrics of a part.
pub(crate) fn describe<S: Reported>() -> Vec<Described> {
    let values = |row: &Row<S>| match row.read {
        Read::Counts(read) => read.iter().map(|(value, _)| *value).collect(),
        Read::Levels(read) => read.iter().map(|(value, _)| *value).collect(),
        _ => Vec::new(),
    };
    S::METRICS
        .iter()
        .map(|row| Described {
            metric: &row.metric,
            values: values(row),
        })
        .collect()
}
