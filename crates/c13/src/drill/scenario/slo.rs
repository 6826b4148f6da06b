//! What is expected of a variant: objectives such as "at least 99 % of requests succeed".

use std::time::Duration;

use c13_reliability::policy::document::{Ratio, Refusal, Table, Value, parse_duration};

/// A line of `[slo]`: a measure and its limit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Objective {
    /// What is measured.
    pub measure: Measure,
    /// The limit in the measure's own unit: a ratio, milliseconds, a factor, or seconds.
    pub limit: f64,
    /// The comparison as it was written, such as `>= 99.0%`.
    pub rule: String,
}

/// What an objective measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// The share of requests that succeed; `>=`, a ratio.
    Availability,
    /// The share of requests that succeed before the caller gives up; `>=`, a ratio.
    Goodput,
    /// Within which 99 of 100 requests are over; `<=`, in milliseconds.
    P99,
    /// Calls to the dependency for each request; `<=`, a factor.
    Amplification,
    /// From the end of the last fault until goodput is back; `<=`, in seconds.
    Recovery,
}

impl Measure {
    /// Every measure, in the order of the report.
    pub(crate) const ALL: [Self; 5] = [
        Self::Availability,
        Self::Goodput,
        Self::P99,
        Self::Amplification,
        Self::Recovery,
    ];

    /// The measure's name in the file and in the report.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::Goodput => "goodput",
            Self::P99 => "p99",
            Self::Amplification => "amplification",
            Self::Recovery => "recovery",
        }
    }

    /// Whether more is better, so that the limit is a floor.
    #[must_use]
    pub(crate) const fn is_floor(self) -> bool {
        matches!(self, Self::Availability | Self::Goodput)
    }

    const fn example(self) -> &'static str {
        match self {
            Self::Availability => ">= 99.0%",
            Self::Goodput => ">= 95%",
            Self::P99 => "<= 800ms",
            Self::Amplification => "<= 1.3",
            Self::Recovery => "<= 60s",
        }
    }
}

impl Objective {
    /// Whether a value meets the limit. `None`, a recovery that never comes or a latency that nobody measured, does not.
    #[must_use]
    pub(crate) fn is_met_by(&self, value: Option<f64>) -> bool {
        value.is_some_and(|value| {
            if self.measure.is_floor() {
                value >= self.limit
            } else {
                value <= self.limit
            }
        })
    }
}

/// Reads the objectives in the order of the report. No `[slo]` at all is no objective.
pub(super) fn read(root: &Table<'_>) -> Option<Vec<Objective>> {
    if !root.has("slo") {
        return Some(Vec::new());
    }
    let table = root.optional_table("slo")?;
    if table.is_empty() {
        root.report(
            root.error("slo", "`slo` has no objective")
                .help("write, for example, `availability = \">= 99.0%\"`"),
        );
    }
    let mut objectives = Vec::new();
    let mut complete = true;
    for measure in Measure::ALL {
        let Some(value) = table.value(measure.name()) else {
            continue;
        };
        match value.read_with(|value| read_objective(value, measure)) {
            Some(objective) => objectives.push(objective),
            None => complete = false,
        }
    }
    complete.then_some(objectives)
}

fn read_objective(value: &Value<'_>, measure: Measure) -> Result<Objective, Refusal> {
    let example = format!("\"{}\"", measure.example());
    let rule = match measure.is_floor() {
        true => format!("must be a floor in quotes, such as {example}"),
        false => format!("must be a ceiling in quotes, such as {example}"),
    };
    let Some(text) = value.as_text() else {
        return Err(Refusal::shape(rule, value));
    };
    let signs = text.len() - text.trim_start_matches(['<', '>', '=', '≤', '≥', '!']).len();
    let (sign, wanted) = (&text[..signs], if measure.is_floor() { ">=" } else { "<=" });
    let number = text[signs..].trim();
    let start = text.len() - text[signs..].trim_start().len();
    if sign != wanted {
        let label = match (sign, measure.is_floor()) {
            ("", _) => "this says neither >= nor <=",
            (">=" | ">" | "≥", false) => "this is a floor, but less is better",
            ("<=" | "<" | "≤", true) => "this is a ceiling, but more is better",
            _ => "write it as >= or <=",
        };
        return Err(Refusal::new(rule)
            .label(label)
            .help(format!("write \"{wanted} {number}\""))
            .within(0..signs));
    }
    let within = |refusal: Refusal| refusal.within(start..start + number.len());
    let refused = |label: String| within(Refusal::new(rule.clone()).label(label));
    let limit = match measure {
        Measure::Availability | Measure::Goodput => read_ratio(number).map_err(refused)?,
        Measure::P99 => read_duration(number).map_err(refused)?.as_secs_f64() * 1e3,
        Measure::Recovery => read_duration(number).map_err(refused)?.as_secs_f64(),
        Measure::Amplification => match number.parse::<f64>() {
            Ok(factor) if factor.is_finite() && factor > 0.0 => factor,
            _ => return Err(refused("a number above zero belongs here".to_owned())),
        },
    };
    Ok(Objective {
        measure,
        limit,
        rule: format!("{wanted} {number}"),
    })
}

/// A percentage, or a number from 0 to 1.
fn read_ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) => Ratio::new(number).ok_or_else(|| "a ratio is from 0 to 1, or from 0% to 100%".to_owned()),
        Err(_) => text.parse::<Ratio>().map_err(|error| error.rule),
    }
    .map(Ratio::value)
}

fn read_duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("a limit of zero cannot be met".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.rule),
    }
}
