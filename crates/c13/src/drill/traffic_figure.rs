//! The figures of each dependency, where there are several: one row a figure.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use std::time::Duration;

use super::engine::{Traffic, wasted};
use super::unit::{COUNT, FACTOR, PER_SECOND, RATIO, Unit};

/// A figure of a dependency.
#[derive(Debug)]
pub(crate) struct TrafficFigure {
    /// Its name in JSON.
    pub(crate) name: &'static str,
    /// What it says, for the help.
    pub(crate) doc: &'static str,
    /// Its label in the table.
    pub(crate) label: &'static str,
    pub(crate) unit: Unit,
    /// Whether only the whole table shows it.
    pub(crate) detail: bool,
    read: fn(&Traffic, &Run) -> Option<f64>,
}

/// What else is known of the run.
pub(crate) struct Run {
    pub(crate) requests: f64,
    pub(crate) duration: Duration,
}

/// Every figure of a dependency, in the order of the JSON object and of the table.
pub(crate) static TRAFFIC_FIGURES: &[TrafficFigure] = &[
    TrafficFigure {
        name: "attempts",
        doc: "attempts that reached it, from callers and from other dependencies",
        label: "attempts",
        unit: COUNT,
        detail: true,
        read: |traffic, _| Some(traffic.attempts() as f64),
    },
    TrafficFigure {
        name: "amplification",
        doc: "these attempts for each request that was due",
        label: "attempts per request",
        unit: FACTOR,
        detail: false,
        read: |traffic, run| (run.requests > 0.0).then(|| traffic.attempts() as f64 / run.requests),
    },
    TrafficFigure {
        name: "peak_load_rps",
        doc: "the most of them in any one second",
        label: "peak load",
        unit: PER_SECOND,
        detail: false,
        read: |traffic, run| Some(traffic.peaks(run.duration).0),
    },
    TrafficFigure {
        name: "peak_100ms_rps",
        doc: "the most in any tenth of a second, as a rate",
        label: "  within 100 ms",
        unit: PER_SECOND,
        detail: true,
        read: |traffic, run| Some(traffic.peaks(run.duration).1),
    },
    TrafficFigure {
        name: "wasted_ratio",
        doc: "the share of its work that was done for nobody",
        label: "work done for nobody",
        unit: RATIO,
        detail: true,
        read: |traffic, _| wasted(std::slice::from_ref(traffic)),
    },
];

/// The values of one dependency, one for each row of [`TRAFFIC_FIGURES`], without the digits that say nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TrafficValues(Vec<Option<f64>>);

impl TrafficValues {
    /// The values of a dependency in a run.
    pub(crate) fn read(traffic: &Traffic, run: &Run) -> Self {
        let value = |figure: &TrafficFigure| (figure.read)(traffic, run).map(|value| figure.unit.rounded(value));
        Self(TRAFFIC_FIGURES.iter().map(value).collect())
    }

    /// Every figure and its value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static TrafficFigure, Option<f64>)> {
        TRAFFIC_FIGURES.iter().zip(self.0.iter().copied())
    }

    /// The value of the figure of this name.
    #[cfg(test)]
    pub(crate) fn named(&self, name: &str) -> Option<f64> {
        self.iter().find(|(figure, _)| figure.name == name)?.1
    }
}

impl Serialize for TrafficValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (figure, value) in self.iter() {
            let json = match value {
                // Counts are far below 2^53, where floats stop holding every whole number.
                Some(value) if figure.unit.whole => Json::from(value as u64),
                value => Json::from(value),
            };
            map.serialize_entry(figure.name, &json)?;
        }
        map.end()
    }
}
