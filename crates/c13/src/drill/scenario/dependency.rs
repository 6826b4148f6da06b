//! The dependency that the callers call: servers with a latency, a queue before them, and how both behave under load.

use std::num::NonZeroU32;
use std::time::Duration;

use c13_reliability::policy::document::{Diagnostic, Ratio, Table};

/// `[dependency]`: a number of servers that each take one call at a time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dependency {
    /// What people call it.
    pub name: String,
    /// How long a server takes for a call.
    pub latency: Latency,
    /// The share of calls that end in an error, after as long as an answer takes.
    pub error_rate: Ratio,
    /// How many calls are served at the same time.
    pub concurrency: NonZeroU32,
    /// Where calls wait for a server. Without it, a call that finds every server busy is refused at once.
    pub queue: Option<Queue>,
}

/// How long a server takes for a call: the same distribution at all times, multiplied by faults and by the queue's
/// [`slowdown`](Queue::slowdown). Times are in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
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
}

/// Where calls wait for a server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Queue {
    /// So many calls wait; one more is refused at once.
    pub capacity: NonZeroU32,
    /// Which of them is next.
    pub order: QueueOrder,
    /// How many times as long a call takes when it is taken from a full queue; at least 1. See [`slowdown`](Self::slowdown).
    pub overload_factor: f64,
    /// Whether a queued call whose caller has left is dropped. Otherwise the servers work for callers that are gone.
    pub abandon: bool,
}

/// Which waiting call is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueOrder {
    /// The one that has waited longest.
    Fifo,
    /// The one that came last.
    Lifo,
}

impl Queue {
    /// How many times as long a call takes that is begun while `queued` others wait:
    /// `1 + (overload_factor − 1) × queued / capacity`.
    #[must_use]
    pub(crate) fn slowdown(&self, queued: u32) -> f64 {
        1.0 + (self.overload_factor - 1.0) * f64::from(queued) / f64::from(self.capacity.get())
    }
}

impl Dependency {
    pub(super) fn read(table: &Table<'_>) -> Option<Self> {
        let name: Option<String> = table.required("name");
        table.must("name", name.as_deref() != Some(""), "must not be empty");
        let latency = table
            .required_table("latency")
            .and_then(|latency| read_latency(table, &latency));
        let error_rate = table.optional("error_rate").unwrap_or(Ratio::ZERO);
        let concurrency = table.required("concurrency");
        let queue = read_queue(table);
        Some(Self {
            name: name?,
            latency: latency?,
            error_rate,
            concurrency: concurrency?,
            queue: queue?,
        })
    }

    /// How many servers are left of this share of them, rounded to the nearest whole number.
    #[must_use]
    pub(crate) fn servers_left(&self, share: Ratio) -> u32 {
        // At most `concurrency`, since a ratio is at most 1.
        (f64::from(self.concurrency.get()) * share.value()).round() as u32
    }
}

/// The distributions: the key that names one, and how what it names is read. One row a distribution.
type Distribution = (&'static str, fn(&Table<'_>, &'static str) -> Option<Latency>);
const DISTRIBUTIONS: [Distribution; 4] = [
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
];

fn read_latency(dependency: &Table<'_>, table: &Table<'_>) -> Option<Latency> {
    let given: Vec<Distribution> = DISTRIBUTIONS.into_iter().filter(|(key, _)| table.has(key)).collect();
    match given[..] {
        [(key, read)] => read(table, key),
        [] => {
            // A name that is none of these is reported as an unknown key.
            if table.is_empty() {
                let error = dependency
                    .error("latency", "`dependency.latency` names no distribution")
                    .absence();
                table.report(error.help("write, for example, `{ lognormal = { p50 = \"40ms\", p99 = \"250ms\" } }`"));
            }
            None
        }
        [(first, _), (second, _), ..] => {
            let error = Diagnostic::new(table.key_span(second)?, "`dependency.latency` has one distribution");
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

/// The queue and what depends on there being one. The outer `None` is an error, the inner one no queue.
fn read_queue(table: &Table<'_>) -> Option<Option<Queue>> {
    if !table.has("queue") {
        for key in ["overload", "abandon"] {
            if table.has(key) {
                let path = table.path_of(key);
                let error = table
                    .error(key, format!("`{path}` needs a queue: without one, no call ever waits"))
                    .absence();
                table.report(error.help("add `queue = { capacity = 1000 }`, or remove this"));
            }
        }
        let overload = table.optional_table("overload");
        overload.iter().for_each(Table::ignore_rest);
        return Some(None);
    }
    let queue = table.optional_table("queue");
    let capacity: Option<NonZeroU32> = queue.as_ref().and_then(|queue| queue.required("capacity"));
    let orders = [("fifo", QueueOrder::Fifo), ("lifo", QueueOrder::Lifo)];
    let order = queue
        .and_then(|queue| queue.optional_choice("order", &orders))
        .unwrap_or(QueueOrder::Fifo);
    let overload_factor = table.optional_table("overload").map_or(Some(1.0), |overload| {
        let kind = overload.required_choice("kind", &[("linear", ())]);
        let factor: Option<f64> = overload.required("factor");
        overload.must("factor", factor.is_none_or(|factor| factor >= 1.0), "must be 1 or more");
        kind.and(factor)
    });
    let abandon = table.optional("abandon").unwrap_or(false);
    Some(Some(Queue {
        capacity: capacity?,
        order,
        overload_factor: overload_factor?,
        abandon,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_from_a_full_queue_take_the_factor_as_long_and_from_half_of_it_half_as_much_more() {
        let capacity = NonZeroU32::new(100).expect("100 is not zero");
        let queue = Queue {
            capacity,
            order: QueueOrder::Fifo,
            overload_factor: 1.5,
            abandon: false,
        };
        assert_eq!([0, 50, 100].map(|queued| queue.slowdown(queued)), [1.0, 1.25, 1.5]);
    }

    #[test]
    fn a_share_of_the_servers_is_a_whole_number_of_them() {
        let dependency = Dependency {
            name: "d".to_owned(),
            latency: Latency::Constant(0.001),
            error_rate: Ratio::ZERO,
            concurrency: NonZeroU32::new(100).expect("100 is not zero"),
            queue: None,
        };
        for (share, servers) in [(0.29, 29), (0.004, 0), (0.005, 1), (1.0, 100)] {
            assert_eq!(
                dependency.servers_left(Ratio::new(share).expect("a ratio")),
                servers,
                "{share}"
            );
        }
    }
}
