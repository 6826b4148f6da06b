//! How long a server takes for a call: the distributions that a scenario may name.

use std::time::Duration;

use c13_reliability::policy::document::{Diagnostic, Ratio, Table};

/// How long a server takes for a call: the same distribution at all times, multiplied by faults and by the queue's
/// slowdown. Times are in seconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Latency {
    /// Always the same.
    Constant(f64),
    /// Any time between two bounds, all equally likely.
    Uniform {
        /// The shortest.
        min: f64,
        /// The longest.
        max: f64,
    },
    /// Most short, few long: the time until something that may happen at any moment.
    Exponential {
        /// The mean.
        mean: f64,
    },
    /// Logarithms are normally distributed, as latencies of services tend to be.
    LogNormal {
        /// The mean of the logarithms.
        mu: f64,
        /// Their standard deviation.
        sigma: f64,
    },
    /// Several distributions, each with its share of the calls. The shares add up to 1.
    Mix(Vec<(f64, Self)>),
}

impl Latency {
    /// Half of the calls are served within `p50`, and 99 of 100 within `p99`.
    pub(crate) fn log_normal(p50: Duration, p99: Duration) -> Self {
        /// The 99th percentile of the standard normal distribution.
        const Z99: f64 = 2.326_347_874_040_841;
        let mu = libm::log(p50.as_secs_f64());
        Self::LogNormal {
            mu,
            sigma: (libm::log(p99.as_secs_f64()) - mu) / Z99,
        }
    }

    /// The mean in seconds.
    #[must_use]
    pub(crate) fn mean(&self) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Uniform { min, max } => (min + max) / 2.0,
            Self::Exponential { mean } => *mean,
            Self::LogNormal { mu, sigma } => libm::exp(mu + sigma * sigma / 2.0),
            Self::Mix(parts) => parts.iter().map(|(share, part)| share * part.mean()).sum(),
        }
    }

    /// The time in seconds that no call is served in less than.
    #[must_use]
    pub(crate) fn shortest(&self) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Uniform { min, .. } => *min,
            Self::Exponential { .. } | Self::LogNormal { .. } => 0.0,
            Self::Mix(parts) => parts
                .iter()
                .map(|(_, part)| part.shortest())
                .fold(f64::INFINITY, f64::min),
        }
    }
}

/// The distributions: the key that names one, and how what it names is read. One row a distribution.
type Distribution = (&'static str, fn(&Table<'_>, &'static str) -> Option<Latency>);
const DISTRIBUTIONS: [Distribution; 5] = [
    ("lognormal", |table, key| {
        let lognormal = table.required_table(key)?;
        let (p50, p99) = ordered(&lognormal, "p50", "p99")?;
        lognormal.must("p50", !p50.is_zero(), "must be longer than zero");
        Some(Latency::log_normal(p50, p99))
    }),
    ("constant", |table, key| above_zero(table, key).map(Latency::Constant)),
    ("uniform", |table, key| {
        let (min, max) = ordered(&table.required_table(key)?, "min", "max")?;
        let (min, max) = (min.as_secs_f64(), max.as_secs_f64());
        Some(Latency::Uniform { min, max })
    }),
    ("exponential", |table, key| {
        let mean = above_zero(&table.required_table(key)?, "mean")?;
        Some(Latency::Exponential { mean })
    }),
    ("mix", read_mix),
];

/// Reads `latency` of a table; errors call it by the path of that table.
pub(super) fn read(owner: &Table<'_>) -> Option<Latency> {
    let table = owner.required_table("latency")?;
    read_one_of(owner, "latency", &table)
}

/// Reads the one distribution that a table names.
fn read_one_of(owner: &Table<'_>, key: &'static str, table: &Table<'_>) -> Option<Latency> {
    let given: Vec<Distribution> = DISTRIBUTIONS.into_iter().filter(|(key, _)| table.has(key)).collect();
    match given[..] {
        [(key, read)] => read(table, key),
        [] => {
            // A name that is none of these is reported as an unknown key.
            if table.is_empty() {
                let path = owner.path_of(key);
                let error = owner.error(key, format!("`{path}` names no distribution")).absence();
                table.report(error.help("write, for example, `{ lognormal = { p50 = \"40ms\", p99 = \"250ms\" } }`"));
            }
            None
        }
        [(first, _), (second, _), ..] => {
            let path = owner.path_of(key);
            let error = Diagnostic::new(table.key_span(second)?, format!("`{path}` has one distribution"));
            table.report(
                error
                    .label("the second")
                    .also(table.key_span(first), "the first")
                    .help("remove one of the two"),
            );
            table.ignore_rest();
            None
        }
    }
}

/// A duration above zero, in seconds.
fn above_zero(table: &Table<'_>, key: &'static str) -> Option<f64> {
    let duration: Option<Duration> = table.required(key);
    table.must(key, duration != Some(Duration::ZERO), "must be longer than zero");
    duration.map(|duration| duration.as_secs_f64())
}

/// Two durations of which the second is not the shorter, and not zero.
fn ordered(table: &Table<'_>, low: &'static str, high: &'static str) -> Option<(Duration, Duration)> {
    let (least, most) = (table.required::<Duration>(low), table.required::<Duration>(high));
    table.must(high, most != Some(Duration::ZERO), "must be longer than zero");
    let (least, most) = least.zip(most)?;
    if least > most {
        let error = table.error(
            high,
            format!("`{}` must not be shorter than `{low}`", table.path_of(high)),
        );
        table.report(error.also(table.value_span(low), format!("`{low}` is set here")));
    }
    Some((least, most))
}

/// Several distributions with the share of each, in a list.
fn read_mix(table: &Table<'_>, key: &'static str) -> Option<Latency> {
    /// How far the shares may be from the whole: less than any share that says something.
    const CLOSE: f64 = 1e-9;
    let parts = table.tables(key);
    let mut mix = Vec::new();
    for part in &parts {
        let share: Option<Ratio> = part.required("share");
        part.must("share", share != Some(Ratio::ZERO), "must be above zero");
        let inner = part.has("mix").then(|| {
            let error = part.error("mix", format!("`{}` has no mix in it", table.path_of(key)));
            table.report(error.help("write its parts into the outer list"));
            part.ignore_rest();
        });
        let latency = match inner {
            Some(()) => None,
            None => read_part(table, key, part),
        };
        if let (Some(share), Some(latency)) = (share, latency) {
            mix.push((share.value(), latency));
        }
    }
    if mix.len() != parts.len() {
        return None;
    }
    let whole: f64 = mix.iter().map(|(share, _)| share).sum();
    if (whole - 1.0).abs() > CLOSE {
        let path = table.path_of(key);
        let error = table.error(key, format!("the shares of `{path}` must add up to 100%"));
        let sum = (whole * 1e6).round() / 1e4;
        table.report(error.label(format!("these are {sum}%")));
        return None;
    }
    Some(Latency::Mix(mix))
}

/// The distribution of one part of a mix, which has its share beside it.
fn read_part(mix: &Table<'_>, key: &'static str, part: &Table<'_>) -> Option<Latency> {
    // A name that is none of the distributions is reported as an unknown key.
    if part.all().count() <= 1 {
        let message = format!("a part of `{}` names no distribution", mix.path_of(key));
        let error = Diagnostic::new(part.span().clone(), message).absence();
        mix.report(error.help("write, for example, `{ share = \"1%\", constant = \"900ms\" }`"));
        return None;
    }
    read_one_of(mix, key, part)
}
