//! The values of a variant's figures, in one run or over several.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use super::engine::Measured;
use super::figure::{FIGURES, Figure, Read, ends, group};
use super::shares::shares;

/// A value for each row of [`FIGURES`]; `None` stands for what never happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures {
    values: Vec<Option<f64>>,
}

impl Figures {
    /// The figures of what was measured.
    pub(crate) fn read(measured: &Measured) -> Self {
        let read = |figure: &Figure| match figure.read {
            Read::Ended(end) => Some(measured.calls.ended(end) as f64),
            Read::Calls(read) => read(&measured.calls),
            Read::Run(read) => read(measured),
        };
        FIGURES.iter().map(read).collect()
    }

    /// Every figure and its value.
    fn iter(&self) -> impl Iterator<Item = (&'static Figure, Option<f64>)> {
        FIGURES.iter().zip(self.values.iter().copied())
    }

    /// The value of a figure.
    pub(crate) fn value(&self, figure: &Figure) -> Option<f64> {
        self.iter()
            .find(|(other, _)| *other == figure)
            .and_then(|(_, value)| value)
    }

    /// The value of the figure of this name.
    pub(crate) fn named(&self, name: &str) -> Option<f64> {
        let figure = FIGURES.iter().find(|figure| figure.name == name);
        self.value(figure.expect("callers name figures that there are"))
    }

    /// The figures that `choose` picks, one by one, out of the same figure of all runs. It is given at least one value.
    pub(crate) fn of_runs(runs: &[Self], choose: impl Fn(Vec<Option<f64>>) -> Option<f64>) -> Self {
        let figures = FIGURES.iter();
        figures
            .map(|figure| choose(runs.iter().map(|run| run.value(figure)).collect()))
            .collect()
    }

    /// The figures without the digits that say nothing.
    #[must_use]
    pub(crate) fn rounded(&self) -> Self {
        self.iter()
            .map(|(figure, value)| value.map(|value| figure.unit.rounded(value)))
            .collect()
    }

    /// The name of a figure that is infinite or no number, if there is one.
    pub(crate) fn not_finite(&self) -> Option<&'static str> {
        self.iter()
            .find(|(_, value)| value.is_some_and(|value| !value.is_finite()))
            .map(|(figure, _)| figure.name)
    }

    /// Each way in which calls end, with its share of all calls in steps of `1 / steps`; together they are `steps`.
    pub(crate) fn shares(&self, steps: u64) -> Vec<(&'static Figure, u64)> {
        let calls: Vec<u64> = ends()
            .map(|(figure, _)| self.value(figure).unwrap_or(0.0) as u64)
            .collect();
        ends().map(|(figure, _)| figure).zip(shares(&calls, steps)).collect()
    }

    fn json(&self, figure: &Figure) -> Json {
        match self.value(figure) {
            // Counts are far below 2^53, where floats stop holding every whole number.
            Some(value) if figure.unit.whole => Json::from(value as u64),
            value => Json::from(value),
        }
    }
}

impl FromIterator<Option<f64>> for Figures {
    fn from_iter<I: IntoIterator<Item = Option<f64>>>(values: I) -> Self {
        Self {
            values: values.into_iter().collect(),
        }
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for figure in group(false) {
            map.serialize_entry(figure.name, &self.json(figure))?;
        }
        map.serialize_entry("rejections", &Rejections(self))?;
        map.serialize_entry("shares", &Shares(self))?;
        map.end()
    }
}

/// Each way in which calls end, as a share of all calls.
struct Shares<'a>(&'a Figures);

impl Serialize for Shares<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const STEPS: u64 = 1_000_000;
        let shares = self.0.shares(STEPS).into_iter();
        serializer.collect_map(shares.map(|(figure, share)| (figure.name, share as f64 / STEPS as f64)))
    }
}

/// The calls that the caller's own side ended, by what did it.
struct Rejections<'a>(&'a Figures);

impl Serialize for Rejections<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(group(true).map(|figure| (figure.name, self.0.json(figure))))
    }
}
