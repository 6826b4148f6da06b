//! The types that a value can be read as.

use std::num::NonZeroU32;
use std::num::NonZeroU64;
use std::ops::Range;
use std::time::Duration;

use super::{QuantityError, Rate, Ratio, Shape, Value, parse_duration};

/// A type that a value of a document can be read as. Implement it for types of your own.
pub trait FromValue: Sized {
    /// A right value as it would stand in the text: shown where the value is missing.
    const EXAMPLE: &'static str;

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// The rule that the value breaks.
    fn from_value(value: &Value<'_>) -> Result<Self, ValueError>;
}

/// Why a value is not of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValueError {
    /// The rule as a sentence that the value's name begins, such as "must be a number above zero".
    pub rule: String,
    /// What the value is instead, in a few words.
    pub label: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Which bytes of a text break the rule; the whole value where this is `None`.
    pub within: Option<Range<usize>>,
}

impl ValueError {
    /// A value that breaks a rule. The value's name comes before the rule: "must be a number above zero".
    #[must_use]
    pub fn new(rule: impl Into<String>) -> Self {
        Self {
            rule: rule.into(),
            label: String::new(),
            help: None,
            within: None,
        }
    }

    /// A value of the wrong shape: says what it is.
    #[must_use]
    pub fn shape(rule: impl Into<String>, value: &Value<'_>) -> Self {
        Self::new(rule).label(
            value
                .shape()
                .map_or_else(String::new, |shape| format!("this is {}", shape.name())),
        )
    }

    /// A text that is no such quantity. The rule says what kind of quantity was wanted.
    #[must_use]
    pub fn quantity(rule: impl Into<String>, error: QuantityError) -> Self {
        Self {
            rule: rule.into(),
            label: error.rule,
            help: error.help,
            within: Some(error.range),
        }
    }

    /// Says what the value is instead.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Says what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Narrows the place down to these bytes of the text.
    #[must_use]
    pub fn within(mut self, range: Range<usize>) -> Self {
        self.within = Some(range);
        self
    }
}

impl FromValue for String {
    const EXAMPLE: &'static str = "\"text\"";

    fn from_value(value: &Value<'_>) -> Result<Self, ValueError> {
        value
            .as_text()
            .map(str::to_owned)
            .ok_or_else(|| ValueError::shape("must be text in quotes", value))
    }
}

impl FromValue for bool {
    const EXAMPLE: &'static str = "true";

    fn from_value(value: &Value<'_>) -> Result<Self, ValueError> {
        value.as_boolean().ok_or_else(|| {
            let refusal = ValueError::shape("must be true or false", value);
            match value.as_text() {
                Some(text @ ("true" | "false")) => refusal.help(format!("write {text} without quotes")),
                _ => refusal,
            }
        })
    }
}

/// Reads a whole number from `least` to `most`.
///
/// # Errors
///
/// The rule that the value breaks.
pub fn whole(value: &Value<'_>, least: u64, most: u64) -> Result<u64, ValueError> {
    whole_as(value, least, most, Some)
}

/// A whole number between two bounds, as a type that holds it.
fn whole_as<T>(
    value: &Value<'_>,
    least: u64,
    most: u64,
    convert: impl FnOnce(u64) -> Option<T>,
) -> Result<T, ValueError> {
    let rule = match most {
        u64::MAX => format!("must be a whole number, {least} or more"),
        _ => format!("must be a whole number from {least} to {most}"),
    };
    let Some(number) = value.as_integer() else {
        let unquoted = value.as_text().filter(|text| text.parse::<u64>().is_ok());
        let help = unquoted.map(|text| format!("write {text} without quotes"));
        let refusal = ValueError {
            help,
            ..ValueError::shape(rule, value)
        };
        return Err(if value.as_float().is_some() {
            refusal.label("not a whole number")
        } else {
            refusal
        });
    };
    let fits = u64::try_from(number)
        .ok()
        .filter(|number| (least..=most).contains(number));
    let label = if number < least.into() {
        "too small"
    } else {
        "too large"
    };
    fits.and_then(convert).ok_or_else(|| ValueError::new(rule).label(label))
}

impl FromValue for u64 {
    const EXAMPLE: &'static str = "10";

    fn from_value(value: &Value<'_>) -> Result<Self, ValueError> {
        whole_as(value, 0, Self::MAX, Some)
    }
}

impl FromValue for u32 {
    const EXAMPLE: &'static str = "10";

    fn from_value(value: &Value<'_>) -> Result<Self, ValueError> {
        whole_as(value, 0, Self::MAX.into(), |number| Self::try_from(number).ok())
    }
}

impl FromValue for NonZeroU64 {
    const EXAMPLE: &'static str = "10";

    fn from_value(value: &Value<'_>) -> Result<Self, ValueError> {
        whole_as(value, 1, u64::MAX, Self::new)
    }
}

impl FromValue for NonZeroU32 {
    const EXAMPLE: &'static str = "10";

    fn from_value(value: &Value<'_>) -> Result<Self, ValueError> {
        whole_as(value, 1, u32::MAX.into(), |number| {
            Self::new(u32::try_from(number).ok()?)
        })
    }
}

/// A finite number; one without a point is as good as one with it.
impl FromValue for f64 {
    const EXAMPLE: &'static str = "1.5";

    fn from_value(value: &Value<'_>) -> Result<Self, ValueError> {
        const RULE: &str = "must be a finite number";
        if let Some(number) = value.as_integer() {
            // Numbers beyond 2^53 round to the nearest that a float can hold.
            return Ok(number as Self);
        }
        match value.as_float() {
            Some(number) if number.is_finite() => Ok(number),
            Some(_) => Err(ValueError::new(RULE).label("this is infinite or no number")),
            None => {
                let help = value
                    .as_text()
                    .filter(|text| text.parse::<Self>().is_ok())
                    .map(|text| format!("write {text} without quotes"));
                Err(ValueError {
                    help,
                    ..ValueError::shape(RULE, value)
                })
            }
        }
    }
}

impl FromValue for Duration {
    const EXAMPLE: &'static str = "\"1.5s\"";

    fn from_value(value: &Value<'_>) -> Result<Self, ValueError> {
        const RULE: &str = "must be a duration in quotes";
        match (value.as_text(), value.shape()) {
            (Some(text), _) => parse_duration(text).map_err(|error| ValueError::quantity("must be a duration", error)),
            (None, Some(Shape::Integer | Shape::Float)) => {
                let number = value.span().text();
                Err(ValueError::new(RULE).label("this number has no unit").help(format!(
                    "write \"{number}s\" for seconds or \"{number}ms\" for milliseconds"
                )))
            }
            _ => Err(ValueError::shape(RULE, value)),
        }
    }
}

impl FromValue for Ratio {
    const EXAMPLE: &'static str = "0.5";

    fn from_value(value: &Value<'_>) -> Result<Self, ValueError> {
        const RULE: &str = "must be a ratio, from 0 to 1 or from \"0%\" to \"100%\"";
        if let Some(text) = value.as_text() {
            return text.parse().map_err(|error| ValueError::quantity(RULE, error));
        }
        let number = value
            .as_float()
            .or_else(|| value.as_integer().map(|number| number as f64));
        let Some(number) = number else {
            return Err(ValueError::shape(RULE, value));
        };
        Self::new(number).ok_or_else(|| {
            let refusal = ValueError::new(RULE).label(if number < 0.0 { "below 0" } else { "above 1" });
            match number {
                1.0..=100.0 => refusal.help(format!("write \"{number}%\" for a percentage")),
                _ if number.is_nan() => refusal.label("this is no number"),
                _ => refusal,
            }
        })
    }
}

impl FromValue for Rate {
    const EXAMPLE: &'static str = "\"100/s\"";

    fn from_value(value: &Value<'_>) -> Result<Self, ValueError> {
        const RULE: &str = "must be a rate in quotes";
        match (value.as_text(), value.shape()) {
            (Some(text), _) => text
                .parse()
                .map_err(|error| ValueError::quantity("must be a rate", error)),
            (None, Some(Shape::Integer | Shape::Float)) => Err(ValueError::new(RULE)
                .label("this number says no time")
                .help(format!("write \"{}/s\"", value.span().text()))),
            _ => Err(ValueError::shape(RULE, value)),
        }
    }
}
