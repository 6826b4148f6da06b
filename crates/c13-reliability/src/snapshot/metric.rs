//! What a metric is, and one reading of it.

use crate::sync::HistogramSnapshot;

/// A metric: its name, kind, unit, meaning and labels. It is meant to be a constant.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// The name as OpenTelemetry has it: words with dots, without the unit.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// The unit as UCUM writes it, such as `s`, or an annotation such as `{call}`; empty for a state or a share.
    pub unit: &'static str,
    /// What it measures, in one sentence without a full stop.
    pub help: &'static str,
    /// The labels of its readings, besides the part's name.
    pub labels: &'static [&'static str],
}

/// What the values of a metric are.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// A count that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// A distribution of values.
    Histogram {
        /// The upper ends of the buckets in which it is shown, ascending, in the metric's unit.
        boundaries: &'static [f64],
        /// How many recorded units make one unit of the metric: 10⁹ for nanoseconds shown in seconds.
        per_unit: f64,
    },
}

impl Metric {
    /// A count that only grows.
    #[must_use]
    pub const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::of(Kind::Counter, name, unit, help)
    }

    /// A value that goes up and down.
    #[must_use]
    pub const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::of(Kind::Gauge, name, unit, help)
    }

    /// Times that are recorded in nanoseconds and shown in seconds, in buckets that end at `boundaries`.
    #[must_use]
    pub const fn seconds(name: &'static str, boundaries: &'static [f64], help: &'static str) -> Self {
        let per_unit = 1e9;
        Self::of(Kind::Histogram { boundaries, per_unit }, name, "s", help)
    }

    /// Times that are recorded in nanoseconds and shown in milliseconds, in buckets that end at `boundaries`.
    #[must_use]
    pub const fn milliseconds(name: &'static str, boundaries: &'static [f64], help: &'static str) -> Self {
        let per_unit = 1e6;
        Self::of(Kind::Histogram { boundaries, per_unit }, name, "ms", help)
    }

    /// A metric of any kind.
    #[must_use]
    pub const fn of(kind: Kind, name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self {
            name,
            kind,
            unit,
            help,
            labels: &[],
        }
    }

    /// The same metric with these labels, besides the part's name.
    #[must_use]
    pub const fn by(mut self, labels: &'static [&'static str]) -> Self {
        self.labels = labels;
        self
    }
}

/// The usual boundaries of times in seconds.
pub(crate) const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0,
];

/// The usual boundaries of times in milliseconds.
pub(crate) const MILLISECONDS: &[f64] = &[
    1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10_000.0,
];

/// Names and values that distinguish the readings of a metric, besides the part's name. The values of a metric with labels
/// add up, because each event is counted under one of them.
pub type Labels = Vec<(&'static str, String)>;

/// One value of one metric.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// The metric.
    pub metric: &'static Metric,
    /// Its labels.
    pub labels: Labels,
    /// The value, of the metric's kind.
    pub value: Value,
}

/// The value of a reading.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Of a counter.
    Count(u64),
    /// Of a gauge.
    Level(f64),
    /// Of a histogram.
    Times(Box<HistogramSnapshot>),
}

impl Reading {
    /// A counter's value.
    #[must_use]
    pub const fn count(metric: &'static Metric, count: u64) -> Self {
        Self {
            metric,
            labels: Vec::new(),
            value: Value::Count(count),
        }
    }

    /// A gauge's value.
    #[must_use]
    pub const fn level(metric: &'static Metric, level: f64) -> Self {
        Self {
            metric,
            labels: Vec::new(),
            value: Value::Level(level),
        }
    }

    /// A histogram's values.
    #[must_use]
    pub fn times(metric: &'static Metric, times: HistogramSnapshot) -> Self {
        Self {
            metric,
            labels: Vec::new(),
            value: Value::Times(Box::new(times)),
        }
    }

    /// Adds a label; its values should be few.
    #[must_use]
    pub fn label(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.labels.push((name, value.into()));
        self
    }
}
