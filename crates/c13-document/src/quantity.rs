//! Ratios and rates as people write them: with their unit, and exactly.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use super::duration::{UNITS, duration_text, split_number};

/// Why a text is no such quantity, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuantityError {
    /// The rule that the text breaks, as a sentence without its full stop.
    pub rule: String,
    /// The bytes of the text that break it.
    pub range: Range<usize>,
    /// What to write instead, where that is known.
    pub help: Option<String>,
}

impl QuantityError {
    pub(crate) fn new(rule: impl Into<String>, range: Range<usize>) -> Self {
        Self {
            rule: rule.into(),
            range,
            help: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rule)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, ": {help}"))
    }
}

impl Error for QuantityError {}

/// A share of a whole, from 0 to 1.
///
/// In a file it is a bare number (`0.5`) or a percentage in quotes (`"50%"`); both give the nearest `f64`, so that
/// `"99.95%"` is the same number as `0.9995`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Ratio(f64);

impl Ratio {
    /// Nothing of the whole.
    pub const ZERO: Self = Self(0.0);
    /// The whole.
    pub const ONE: Self = Self(1.0);

    /// The ratio of this value, if it is from 0 to 1.
    #[must_use]
    pub const fn new(value: f64) -> Option<Self> {
        // A NaN is in no range.
        if value >= 0.0 && value <= 1.0 {
            Some(Self(value))
        } else {
            None
        }
    }

    /// The ratio as a number from 0 to 1.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl FromStr for Ratio {
    type Err = QuantityError;

    /// Reads a percentage such as `50%` or `99.95%`.
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let all = 0..text.len();
        let range_rule = || QuantityError::new("a ratio is from 0 to 1, or from \"0%\" to \"100%\"", 0..text.len());
        if text.trim().is_empty() {
            return Err(QuantityError::new("a ratio cannot be empty", all).help(RATIO_HELP));
        }
        let (number, unit) = split_number(text);
        if number.is_empty() {
            return Err(if text.starts_with('-') {
                range_rule()
            } else {
                QuantityError::new(format!("`{text}` is no ratio"), all).help(RATIO_HELP)
            });
        }
        if unit.is_empty() {
            let help = match number.parse().ok().and_then(Self::new) {
                Some(_) => format!("write {number} without quotes"),
                None => offered::<Self>(&format!("{number}%")).unwrap_or_else(|| RATIO_HELP.to_owned()),
            };
            return Err(QuantityError::new("a ratio in quotes needs a percent sign", all).help(help));
        }
        if unit != "%" {
            return Err(QuantityError::new(format!("`{text}` is no ratio"), all)
                .help(spelt_out::<Self>(text, '%').unwrap_or_else(|| RATIO_HELP.to_owned())));
        }
        // The parser rounds correctly once; dividing by 100 would round a second time.
        format!("{number}e-2")
            .parse()
            .ok()
            .and_then(Self::new)
            .ok_or_else(range_rule)
    }
}

impl fmt::Display for Ratio {
    /// A percentage with at most four decimals, such as `99.95%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.4}", self.0 * 100.0);
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

const RATIO_HELP: &str = "write 0.5 or \"50%\"";

/// The help that offers a text, if it is a right one.
fn offered<T: FromStr>(text: &str) -> Option<String> {
    text.parse::<T>().ok().map(|_| format!("write \"{text}\""))
}

/// The help that offers the same quantity without spaces around its sign, underscores in its number, and an exponent.
fn spelt_out<T: FromStr>(text: &str, sign: char) -> Option<String> {
    let (number, unit) = text.split_once(sign)?;
    let number = number.trim().replace('_', "");
    let number: f64 = number
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| number.parse().ok())??;
    let spelt = format!("{number}{sign}{}", unit.trim());
    // Reading it asks here again.
    (spelt != text).then(|| offered::<T>(&spelt))?
}

/// So many events in a second, a minute, an hour or a day: `"100/s"`, `"5/m"`, `"10/h"`, `"1/d"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    count: f64,
    per: Duration,
}

impl Rate {
    /// A rate of `count` events in each `per`, if both are above zero and the count is finite.
    #[must_use]
    pub const fn new(count: f64, per: Duration) -> Option<Self> {
        if count > 0.0 && count.is_finite() && !per.is_zero() {
            Some(Self { count, per })
        } else {
            None
        }
    }

    /// How many events.
    #[must_use]
    pub const fn count(self) -> f64 {
        self.count
    }

    /// In which time.
    #[must_use]
    pub const fn per(self) -> Duration {
        self.per
    }

    /// The events in one second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        self.count / self.per.as_secs_f64()
    }
}

impl FromStr for Rate {
    type Err = QuantityError;

    /// Reads a rate such as `100/s`.
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        const HELP: &str = "write a number, a slash and s, m, h or d, for example \"100/s\"";
        let all = 0..text.len();
        let (number, unit) = split_number(text);
        if text.starts_with('-') {
            return Err(QuantityError::new("a rate cannot be negative", all));
        }
        if number.is_empty() {
            let rule = if text.trim().is_empty() {
                "a rate cannot be empty".to_owned()
            } else {
                format!("`{text}` is no rate")
            };
            return Err(QuantityError::new(rule, all).help(HELP));
        }
        let whole = text.split('/').next().unwrap_or(text);
        if unit.starts_with(['e', 'E'])
            && let Ok(value) = whole.parse::<f64>()
        {
            let place = 0..whole.len();
            if value.is_infinite() {
                return Err(too_large(place));
            }
            let error = QuantityError::new("the number of a rate has no exponent", place);
            return Err(error.help(spelt_out::<Self>(text, '/').unwrap_or_else(|| HELP.to_owned())));
        }
        let Some(unit) = unit.strip_prefix('/') else {
            let help = match unit.is_empty() {
                true => offered::<Self>(&format!("{number}/s")),
                false => spelt_out::<Self>(text, '/'),
            };
            return Err(
                QuantityError::new("a rate says in which time", all).help(help.unwrap_or_else(|| HELP.to_owned()))
            );
        };
        let Some((_, nanos)) = UNITS[..4].iter().find(|(name, _)| *name == unit) else {
            return Err(QuantityError::new(
                format!("`{unit}` is no time of a rate"),
                text.len() - unit.len()..text.len(),
            )
            .help("the times are s, m, h and d"));
        };
        let count = number.parse::<f64>().unwrap_or(f64::INFINITY);
        Self::new(count, Duration::from_nanos(*nanos)).ok_or_else(|| {
            if count == 0.0 {
                QuantityError::new("a rate must be above zero", 0..number.len())
            } else {
                too_large(0..number.len())
            }
        })
    }
}

fn too_large(number: Range<usize>) -> QuantityError {
    QuantityError::new("this number is too large", number)
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.per.as_nanos();
        match UNITS[..4].iter().find(|(_, size)| u128::from(*size) == nanos) {
            Some((unit, _)) => write!(f, "{}/{unit}", self.count),
            None => write!(f, "{} in {}", self.count, duration_text(self.per)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_the_nearest_number() {
        for (text, value) in [
            ("0%", 0.0),
            ("50%", 0.5),
            ("100%", 1.0),
            ("99.95%", 0.9995),
            ("0.1%", 0.001),
            ("0.7%", 0.007),
            ("7%", 0.07),
            ("29%", 0.29),
        ] {
            assert_eq!(text.parse(), Ok(Ratio(value)), "{text}");
            assert_eq!(Ratio(value).to_string(), text);
        }
    }

    #[test]
    #[rustfmt::skip] // one case a line
    fn what_is_no_ratio_is_refused_with_its_rule() {
        for (text, rule, help) in [
            ("", "a ratio cannot be empty", "write 0.5 or \"50%\""),
            ("101%", "a ratio is from 0 to 1, or from \"0%\" to \"100%\"", ""),
            ("-1%", "a ratio is from 0 to 1, or from \"0%\" to \"100%\"", ""),
            ("0.5", "a ratio in quotes needs a percent sign", "write 0.5 without quotes"),
            ("50", "a ratio in quotes needs a percent sign", "write \"50%\""),
            ("50 %", "`50 %` is no ratio", "write \"50%\""),
            ("1e-3%", "`1e-3%` is no ratio", "write \"0.001%\""),
            ("1_0%", "`1_0%` is no ratio", "write \"10%\""),
            ("0,5%", "`0,5%` is no ratio", "write 0.5 or \"50%\""),
            ("5%%", "`5%%` is no ratio", "write 0.5 or \"50%\""),
            ("1_0%x", "`1_0%x` is no ratio", "write 0.5 or \"50%\""),
            ("1e9%", "`1e9%` is no ratio", "write 0.5 or \"50%\""),
            ("500", "a ratio in quotes needs a percent sign", "write 0.5 or \"50%\""),
            ("half", "`half` is no ratio", "write 0.5 or \"50%\""),
            ("NaN%", "`NaN%` is no ratio", "write 0.5 or \"50%\""),
        ] {
            let error = text.parse::<Ratio>().expect_err(text);
            assert_eq!(
                (error.rule.as_str(), error.help.as_deref().unwrap_or("")),
                (rule, help),
                "{text:?}"
            );
        }
        for value in [f64::NAN, -0.1, 1.000_000_1, f64::INFINITY] {
            assert_eq!(Ratio::new(value), None, "{value}");
        }
    }

    #[test]
    fn rates_are_exact() {
        for (text, count, seconds) in [
            ("100/s", 100.0, 1),
            ("5/m", 5.0, 60),
            ("10/h", 10.0, 3_600),
            ("1/d", 1.0, 86_400),
            ("0.5/s", 0.5, 1),
        ] {
            let rate: Rate = text.parse().expect(text);
            assert_eq!(
                (rate.count(), rate.per()),
                (count, Duration::from_secs(seconds)),
                "{text}"
            );
            assert_eq!(rate.to_string(), text);
        }
        assert_eq!("6/m".parse::<Rate>().expect("a rate").per_second(), 0.1);
    }

    #[test]
    #[rustfmt::skip] // one case a line
    fn what_is_no_rate_is_refused_with_its_rule_and_place() {
        const HELP: &str = "write a number, a slash and s, m, h or d, for example \"100/s\"";
        for (text, rule, wrong, help) in [
            ("", "a rate cannot be empty", "", HELP),
            ("100", "a rate says in which time", "100", "write \"100/s\""),
            ("100 / s", "a rate says in which time", "100 / s", "write \"100/s\""),
            ("1_000/s", "a rate says in which time", "1_000/s", "write \"1000/s\""),
            ("1,000/s", "a rate says in which time", "1,000/s", HELP),
            ("1_0/s/s", "a rate says in which time", "1_0/s/s", HELP),
            ("1e3/s/s", "the number of a rate has no exponent", "1e3", HELP),
            ("5 a minute", "a rate says in which time", "5 a minute", HELP),
            ("1e3", "the number of a rate has no exponent", "1e3", HELP),
            ("100/sec", "`sec` is no time of a rate", "sec", "the times are s, m, h and d"),
            ("100/10s", "`10s` is no time of a rate", "10s", "the times are s, m, h and d"),
            ("0/s", "a rate must be above zero", "0", ""),
            ("-1/s", "a rate cannot be negative", "-1/s", ""),
            ("inf/s", "`inf/s` is no rate", "inf/s", HELP),
            ("many", "`many` is no rate", "many", HELP),
        ] {
            let error = text.parse::<Rate>().expect_err(text);
            assert_eq!(
                (
                    error.rule.as_str(),
                    &text[error.range.clone()],
                    error.help.as_deref().unwrap_or("")
                ),
                (rule, wrong, help),
                "{text:?}"
            );
        }
        let endless = format!("{}/s", "9".repeat(400));
        assert_eq!(
            endless.parse::<Rate>().expect_err("too much").rule,
            "this number is too large"
        );
        for (text, rule, help) in [
            ("1e400/s", "this number is too large", None),
            ("1e3/m", "the number of a rate has no exponent", Some("write \"1000/m\"")),
        ] {
            let error = text.parse::<Rate>().expect_err(text);
            assert_eq!((error.rule.as_str(), error.help.as_deref()), (rule, help), "{text}");
        }
        assert_eq!(Rate::new(f64::NAN, Duration::from_secs(1)), None);
        assert_eq!(Rate::new(1.0, Duration::ZERO), None);
    }
}
