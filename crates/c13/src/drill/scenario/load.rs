//! The load: how many requests arrive, when, how many clients share them, and how long each caller waits.

use std::num::NonZeroU32;
use std::time::Duration;

use c13_reliability::policy::document::Table;

use super::at_most;
use super::calls::{self, Call, Names, Steps};
use super::dependency::up_to;
use super::size::{LONGEST_DEADLINE, MOST_CLIENTS};

/// `[load]`: an open flow of requests. Callers do not wait for one another, so a slow dependency gets no fewer calls.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Load {
    /// How many requests a second are meant to arrive: straight lines between the points, level after the last. The first
    /// point is at zero, none is earlier than the one before, and there is at least one. Two points at one time are a step. A
    /// constant `rps` is one point.
    pub shape: Vec<LoadPoint>,
    /// How the requests are spread.
    pub arrivals: Arrivals,
    /// How many clients share the requests: instances of the calling service, each with a policy of its own. 1 unless set.
    pub instances: NonZeroU32,
    /// After this time, counted from the intended arrival, the caller gives up: an answer that comes later is no goodput.
    pub deadline: Duration,
    /// Whether callers without a policy leave at the deadline.
    pub patience: Patience,
    /// The dependencies that each request needs. One dependency is called once unless set.
    pub calls: Steps,
}

/// How long callers without a policy wait. Those with one always leave at the deadline, which the policy keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until the deadline.
    Deadline,
    /// Until they are answered, however late.
    Forever,
}

/// A point of the load's curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LoadPoint {
    /// When, from the start of the drill.
    pub at: Duration,
    /// Requests a second.
    pub rps: f64,
}

/// How requests are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrivals {
    /// Independent of one another, as those of many callers are.
    Poisson,
    /// Evenly spaced.
    Constant,
}

impl Load {
    pub(super) fn read(table: &Table<'_>, dependencies: &[String]) -> Option<Self> {
        let rps: Option<f64> = table.optional("rps");
        table.must("rps", rps.is_none_or(|rps| rps > 0.0), "must be above zero");
        let shape = read_shape(table);
        let arrivals = [("poisson", Arrivals::Poisson), ("constant", Arrivals::Constant)];
        let arrivals = table
            .optional_choice("arrivals", &arrivals)
            .unwrap_or(Arrivals::Poisson);
        let instances = up_to(table, "instances", MOST_CLIENTS);
        let deadline: Option<Duration> = table.required("deadline");
        table.must("deadline", deadline != Some(Duration::ZERO), "must be longer than zero");
        at_most(table, "deadline", deadline, LONGEST_DEADLINE);
        let patience = [("deadline", Patience::Deadline), ("forever", Patience::Forever)];
        let patience = table
            .optional_choice("patience", &patience)
            .unwrap_or(Patience::Deadline);
        let calls = read_calls(table, dependencies);
        match (table.has("rps"), table.has("shape")) {
            (true, true) => {
                let error = table.error("shape", "`load` has either `rps` or `shape`, not both");
                table.report(
                    error
                        .label("a curve")
                        .also(table.value_span("rps"), "a constant load")
                        .help("remove one of the two"),
                );
                return None;
            }
            (false, false) => {
                let error = table
                    .error("shape", "`load` says nothing of how many requests arrive")
                    .absence();
                table.report(error.help("add `rps = 500`, or `shape = [{ at = \"0s\", rps = 500 }, …]`"));
            }
            _ => {}
        }
        let constant = rps.filter(|rps| *rps > 0.0).map(|rps| {
            vec![LoadPoint {
                at: Duration::ZERO,
                rps,
            }]
        });
        Some(Self {
            shape: shape.or(constant)?,
            arrivals,
            instances: instances?,
            deadline: deadline?,
            patience,
            calls: calls?,
        })
    }

    /// Requests that are meant to arrive in the first `duration` of the drill: the area under the curve.
    #[must_use]
    pub(crate) fn expected_requests(&self, duration: Duration) -> f64 {
        let area = |(index, from): (usize, &LoadPoint)| {
            let to = self.shape.get(index + 1);
            let end = to.map_or(duration, |to| to.at.min(duration));
            let length = end.saturating_sub(from.at).as_secs_f64();
            let rps = match to {
                Some(to) if to.at > from.at => {
                    from.rps + (to.rps - from.rps) * length / (to.at - from.at).as_secs_f64()
                }
                _ => from.rps,
            };
            (from.rps + rps) / 2.0 * length
        };
        self.shape.iter().enumerate().map(area).sum()
    }
}

/// What a request calls: the only dependency, unless it is said.
fn read_calls(table: &Table<'_>, dependencies: &[String]) -> Option<Steps> {
    if !table.has("calls") && dependencies.len() > 1 {
        let error = table
            .error("calls", "`load` does not say which dependencies a request calls")
            .absence();
        let first = &dependencies[0];
        table.report(error.help(format!("add, for example, `calls = [\"{first}\"]`")));
        return None;
    }
    match table.has("calls") {
        true => calls::read(
            table,
            Names {
                all: dependencies,
                from: 0,
            },
        ),
        false => Some(vec![vec![Call::to(0)]]),
    }
}

fn read_shape(table: &Table<'_>) -> Option<Vec<LoadPoint>> {
    let given = table.value("shape")?;
    let points = table.tables("shape");
    if points.is_empty() && given.read_list().is_some_and(|list| list.is_empty()) {
        table.report(given.error("`load.shape` must have at least one point"));
    }
    let mut shape: Vec<LoadPoint> = Vec::new();
    let mut complete = true;
    for (index, point) in points.iter().enumerate() {
        let at: Option<Duration> = point.required("at");
        let rps: Option<f64> = point.required("rps");
        point.must("rps", rps.is_none_or(|rps| rps >= 0.0), "must not be below zero");
        point.must(
            "at",
            index > 0 || at.is_none_or(|at| at.is_zero()),
            "must be \"0s\" in the first point",
        );
        let Some((at, rps)) = at.zip(rps) else {
            complete = false;
            continue;
        };
        if shape.last().is_some_and(|last| last.at > at) {
            let before = points[..index].iter().rev().find_map(|before| before.value_span("at"));
            let error = point.error(
                "at",
                "`load.shape.at` must not be earlier than that of the point before",
            );
            point.report(error.also(before, "the point before"));
            complete = false;
        }
        if let [.., first, second] = shape[..]
            && first.at == at
            && second.at == at
        {
            let error = point.error("at", "`load.shape` has more than two points at one time");
            point.report(error.label("the third").help("two are a step from one load to another"));
            complete = false;
        }
        shape.push(LoadPoint { at, rps });
    }
    (complete && !shape.is_empty()).then_some(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(points: &[(u64, f64)]) -> Load {
        let shape = points
            .iter()
            .map(|&(at, rps)| LoadPoint {
                at: Duration::from_secs(at),
                rps,
            })
            .collect();
        Load {
            shape,
            arrivals: Arrivals::Poisson,
            instances: NonZeroU32::MIN,
            deadline: Duration::from_secs(1),
            patience: Patience::Deadline,
            calls: vec![vec![Call::to(0)]],
        }
    }

    #[test]
    fn the_expected_requests_are_the_area_under_the_curve() {
        for (points, seconds, expected) in [
            (&[(0, 500.0)][..], 60, 30_000.0),
            (&[(0, 100.0), (10, 300.0), (20, 0.0)], 20, 3_500.0),
            (&[(0, 100.0), (10, 300.0), (20, 0.0)], 60, 3_500.0),
            (&[(0, 100.0), (10, 300.0), (20, 0.0)], 15, 3_125.0),
            (&[(0, 100.0), (10, 300.0), (20, 10.0)], 5, 750.0),
            (&[(0, 100.0), (10, 300.0), (20, 10.0)], 30, 2_000.0 + 1_550.0 + 100.0),
            (&[(0, 100.0), (10, 100.0), (10, 300.0)], 10, 1_000.0),
            (
                &[(0, 100.0), (10, 100.0), (10, 300.0), (20, 100.0)],
                20,
                1_000.0 + 2_000.0,
            ),
        ] {
            assert_eq!(
                load(points).expected_requests(Duration::from_secs(seconds)),
                expected,
                "{points:?} {seconds}"
            );
        }
    }
}
