//! The values of a variant's figures, in one run or over several.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use super::engine::{CallCounts, Measured, Recovery, overall};
use super::figure::{FIGURES, Figure, Read, ends, group};
use super::shares::shares;
use super::unit::Unit;

/// The value of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Value {
    /// What objectives judge; `None` stands for what never happened.
    pub(crate) number: Option<f64>,
    /// What is said in place of the number, where that says more.
    pub(crate) word: Option<&'static str>,
}

impl Value {
    /// What a person reads.
    pub(crate) fn text(self, unit: Unit) -> String {
        match (self.word, self.number) {
            (Some(word), _) => word.to_owned(),
            (None, Some(number)) => (unit.text)(number),
            (None, None) => "–".to_owned(),
        }
    }
}

impl From<Option<f64>> for Value {
    fn from(number: Option<f64>) -> Self {
        Self { number, word: None }
    }
}

impl From<Recovery> for Value {
    fn from(recovery: Recovery) -> Self {
        let (number, word) = match recovery {
            Recovery::After(time) => (Some(time.as_secs_f64()), None),
            Recovery::NotDown => (Some(0.0), Some("not down")),
            Recovery::Never => (None, Some("never")),
            Recovery::NotBeforeNext(_) => (None, Some("not by the next")),
            Recovery::NotJudged(_) => (None, Some("not judged")),
        };
        Self { number, word }
    }
}

/// A value for each row of [`FIGURES`], or in a phase for those that are read from the counts of calls.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures {
    values: Vec<Value>,
    of_phase: bool,
}

impl Figures {
    /// The figures of what was measured.
    pub(crate) fn read(measured: &Measured) -> Self {
        let of_run = |figure: &Figure| match figure.read {
            Read::Run(read) => read(measured).into(),
            Read::Recovery => overall(&measured.incidents).into(),
            Read::Ended(_) | Read::Calls(_) => of_calls(figure, &measured.calls),
        };
        FIGURES.iter().map(of_run).collect()
    }

    /// The figures of the calls of a phase.
    pub(crate) fn of_phase(calls: &CallCounts) -> Self {
        Self {
            of_phase: true,
            ..FIGURES.iter().map(|figure| of_calls(figure, calls)).collect()
        }
    }

    /// The same figures as those of a phase.
    #[cfg(test)]
    pub(crate) fn in_phase(self) -> Self {
        Self { of_phase: true, ..self }
    }

    /// Every figure and its value.
    fn iter(&self) -> impl Iterator<Item = (&'static Figure, Value)> {
        FIGURES.iter().zip(self.values.iter().copied())
    }

    /// What is said of a figure.
    pub(crate) fn said(&self, figure: &Figure) -> Value {
        let said = self.iter().find(|(other, _)| *other == figure);
        said.map_or(Value::from(None), |(_, value)| value)
    }

    /// The value of a figure.
    pub(crate) fn value(&self, figure: &Figure) -> Option<f64> {
        self.said(figure).number
    }

    /// The value of the figure of this name.
    pub(crate) fn named(&self, name: &str) -> Option<f64> {
        let figure = FIGURES.iter().find(|figure| figure.name == name);
        self.value(figure.expect("callers name figures that there are"))
    }

    /// The figures that `choose` picks, one by one, out of the same figure of all runs. It is given at least one value.
    pub(crate) fn of_runs(runs: &[Self], choose: impl Fn(Vec<Value>) -> Value) -> Self {
        let figures = FIGURES.iter();
        figures
            .map(|figure| choose(runs.iter().map(|run| run.said(figure)).collect()))
            .collect()
    }

    /// The figures without the digits that say nothing.
    #[must_use]
    pub(crate) fn rounded(&self) -> Self {
        let round = |(figure, value): (&Figure, Value)| Value {
            number: value.number.map(|number| figure.unit.rounded(number)),
            ..value
        };
        Self {
            values: self.iter().map(round).collect(),
            ..*self
        }
    }

    /// The name of a figure that is infinite or no number, if there is one.
    pub(crate) fn not_finite(&self) -> Option<&'static str> {
        self.iter()
            .find(|(_, value)| value.number.is_some_and(|number| !number.is_finite()))
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

/// A figure that is read from the counts of calls.
fn of_calls(figure: &Figure, calls: &CallCounts) -> Value {
    match figure.read {
        Read::Ended(end) => Some(calls.ended(end) as f64).into(),
        Read::Calls(read) => read(calls).into(),
        Read::Run(_) | Read::Recovery => None.into(),
    }
}

impl FromIterator<Value> for Figures {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        Self {
            values: values.into_iter().collect(),
            of_phase: false,
        }
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for figure in group(false).filter(|figure| !self.of_phase || figure.is_of_calls()) {
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
