//! Units of figures: how a value is rounded, shown, and read as the limit of an objective. One row a unit.

use std::time::Duration;

use c13_reliability::policy::document::{Ratio, parse_duration};

use super::figures_text::{count, factor, millis, per_second, percent, percent_to, seconds};

/// A unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit {
    /// Values are rounded to this part of one: digits beyond it say nothing.
    steps: f64,
    /// Whether it counts things, so that JSON shows whole numbers.
    pub(crate) whole: bool,
    /// How a cell of the table shows a value.
    pub(crate) text: fn(f64) -> String,
    /// How a judgement shows a value: with all digits, so that 98.996 % does not look like an unmet 99.00 %.
    pub(crate) exact: fn(f64) -> String,
    /// Reads a limit; an error says what belongs there.
    pub(crate) limit: fn(&str) -> Result<f64, String>,
}

pub(crate) const COUNT: Unit = Unit {
    steps: 1.0,
    whole: true,
    text: |value| count(value as u64),
    exact: |value| value.to_string(),
    limit: above_zero,
};

pub(crate) const RATIO: Unit = Unit {
    steps: 1e6,
    whole: false,
    text: percent,
    exact: |value| {
        let text = percent_to(value, 4);
        let digits = text.trim_end_matches('%').trim_end_matches('0').trim_end_matches('.');
        format!("{digits}%")
    },
    limit: ratio,
};

pub(crate) const FACTOR: Unit = Unit {
    steps: 1e4,
    whole: false,
    text: factor,
    exact: |value| value.to_string(),
    limit: above_zero,
};

pub(crate) const PER_SECOND: Unit = Unit {
    steps: 1e1,
    whole: false,
    text: per_second,
    exact: |value| format!("{value}/s"),
    limit: above_zero,
};

pub(crate) const MILLIS: Unit = Unit {
    steps: 1e3,
    whole: false,
    text: millis,
    exact: |value| format!("{value} ms"),
    limit: |text| duration(text).map(|limit| limit.as_secs_f64() * 1e3),
};

pub(crate) const SECONDS: Unit = Unit {
    steps: 1e3,
    whole: false,
    text: seconds,
    exact: |value| format!("{value} s"),
    limit: |text| duration(text).map(|limit| limit.as_secs_f64()),
};

impl Unit {
    /// The value without the digits that say nothing.
    pub(crate) fn rounded(&self, value: f64) -> f64 {
        (value * self.steps).round() / self.steps
    }
}

/// A percentage, or a number from 0 to 1.
fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) => Ratio::new(number).ok_or_else(|| "a ratio is from 0 to 1, or from 0% to 100%".to_owned()),
        Err(_) => text.parse::<Ratio>().map_err(|error| error.rule),
    }
    .map(Ratio::value)
}

fn duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("a limit of zero cannot be met".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.rule),
    }
}

fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("a number above zero belongs here".to_owned()),
    }
}
