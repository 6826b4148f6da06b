//! What a metric is, and one reading of it.

use crate::sync::HistogramSnapshot;

/// A metric: its name, kind, unit and meaning. Meant to be a constant.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// The name as OpenTelemetry has it: words with dots, without the unit.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// The unit in the words of UCUM, such as `s`, or an annotation such as `{call}`; empty for a state or a share.
    pub unit: &'static str,
    /// What it tells, in one sentence without a full stop.
    pub help: &'static str,
}

/// What the values of a metric are.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// A count that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Many values, by size.
    Histogram {
        /// The upper ends of the classes in which they are shown, rising, in the metric's unit.
        boundaries: &'static [f64],
        /// How many of what is recorded make one unit: 10⁹ for nanoseconds shown in seconds.
        per_unit: f64,
    },
}

impl Metric {
    /// A count that only grows.
    #[must_use]
    pub const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Counter,
            unit,
            help,
        }
    }

    /// A value that goes up and down.
    #[must_use]
    pub const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Gauge,
            unit,
            help,
        }
    }

    /// Many values, of this kind of histogram.
    #[must_use]
    pub const fn times(name: &'static str, kind: Kind, unit: &'static str, help: &'static str) -> Self {
        Self { name, kind, unit, help }
    }

    /// Times, recorded in nanoseconds and shown in seconds, in classes that end at `boundaries`.
    #[must_use]
    pub const fn seconds(name: &'static str, boundaries: &'static [f64], help: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Histogram {
                boundaries,
                per_unit: 1e9,
            },
            unit: "s",
            help,
        }
    }
}

/// What tells the readings of a metric apart besides the part's name. The values of a metric with labels add up: each
/// event is counted under one of them.
pub type Labels = Vec<(&'static str, String)>;

/// One value of one metric.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// The metric.
    pub metric: &'static Metric,
    /// What tells it from the metric's other readings.
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
