//! The dependency that the callers call: instances behind a balancer, the servers of each, a queue before them, and how all
//! of it behaves under load.

use std::num::NonZeroU32;
use std::time::Duration;

use c13_reliability::policy::document::{Diagnostic, Ratio, Table, Value, whole};

use super::calls::{self, Names, Steps};
use super::latency::{self, Latency};
use super::protection::{self, Protection};
use super::size::{MOST_DEPENDENCIES, MOST_INSTANCES};
use super::variant::Files;

/// `[dependency]`: instances with a number of servers each, of which each takes one call at a time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dependency {
    /// What people call it.
    pub name: String,
    /// How long a server takes for a call.
    pub latency: Latency,
    /// The share of calls that end in an error, after as long as an answer takes.
    pub error_rate: Ratio,
    /// How many instances there are, each with its own servers and its own queue.
    pub instances: NonZeroU32,
    /// Which instance takes a call.
    pub balance: Balance,
    /// How the balancer finds out which instances are down. Without it, it sends calls to all of them.
    pub health: Option<HealthChecks>,
    /// How many calls each instance serves at the same time.
    pub concurrency: NonZeroU32,
    /// Where calls wait for a server of their instance. Without it, a call that finds every server busy is refused at once.
    pub queue: Option<Queue>,
    /// What a refusal takes.
    pub refuse: Refuse,
    /// How many times as long a call takes while its instance has so many calls, queued and served: straight lines between
    /// these points, level before the first and after the last.
    pub slow: Vec<(f64, f64)>,
    /// What it calls before it answers, as a service. A server that waits for these calls is busy.
    pub calls: Steps,
    /// What runs around these calls, in every variant.
    pub protection: Option<Protection>,
}

/// How calls are spread over the instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Balance {
    /// To one after the other.
    RoundRobin,
    /// To the one that has the fewest calls which are not answered yet.
    LeastConnections,
    /// To the one of two, picked at random, that has fewer such calls.
    PowerOfTwo,
}

/// The balancer asks each instance from time to time whether it is up, and sends calls to those that were.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HealthChecks {
    /// The time between two checks.
    pub every: Duration,
    /// If fewer than this share of the instances is up, calls go to all of them.
    pub panic: Ratio,
}

/// What a refusal takes: of a call that finds the queue full, or meets an outage that refuses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Refuse {
    /// Until the caller has it.
    pub takes: Duration,
    /// The work that a server has with a call that finds the queue full, as a share of the work of a call. It goes before the
    /// calls that are queued.
    pub costs: f64,
}

impl Refuse {
    /// A refusal at once and for nothing.
    pub(crate) const FREE: Self = Self {
        takes: Duration::ZERO,
        costs: 0.0,
    };
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
    /// Whether a queued call leaves the queue with its caller. Otherwise the servers work for callers that are gone.
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

/// Reads `[dependency]`, or every `[[dependency]]`. Also gives their names, which other tables use, even if something else is
/// wrong with them.
pub(super) fn read(root: &Table<'_>, files: Files<'_>) -> (Option<Vec<Dependency>>, Vec<String>) {
    let tables = match root.value("dependency") {
        Some(value) if value.as_table().is_none() => root.tables("dependency"),
        _ => root.required_table("dependency").into_iter().collect(),
    };
    let name_of = |table: &Table<'_>| table.value("name").and_then(|name| name.as_text().map(str::to_owned));
    let names: Vec<String> = tables.iter().map(|table| name_of(table).unwrap_or_default()).collect();
    let mut dependencies = Vec::new();
    let mut named_twice = false;
    for (index, table) in tables.iter().take(MOST_DEPENDENCIES).enumerate() {
        if let Some(first) = names[..index]
            .iter()
            .position(|other| *other == names[index] && !other.is_empty())
        {
            let error = table.error("name", format!("two dependencies have the name \"{}\"", names[index]));
            table.report(error.also(tables[first].value_span("name"), "the first"));
            named_twice = true;
        }
        let below = Names {
            all: &names,
            from: index + 1,
        };
        dependencies.extend(Dependency::read(table, below, files));
    }
    if let Some(first) = tables.get(MOST_DEPENDENCIES) {
        let message = format!("a drill has at most {MOST_DEPENDENCIES} dependencies");
        root.report(Diagnostic::new(first.span().clone(), message));
        tables[MOST_DEPENDENCIES..].iter().for_each(Table::ignore_rest);
    }
    let complete = !tables.is_empty() && !named_twice && dependencies.len() == tables.len();
    (complete.then_some(dependencies), names)
}

/// Refuses a dependency that neither a request nor another dependency calls.
pub(super) fn refuse_idle(root: &Table<'_>, dependencies: &[Dependency], requests: &Steps) {
    let tables = match root.value("dependency") {
        Some(value) if value.as_table().is_none() => root.tables("dependency"),
        _ => return,
    };
    for (index, table) in tables.iter().enumerate() {
        let steps = dependencies
            .iter()
            .map(|dependency| &dependency.calls)
            .chain([requests]);
        if !steps.flatten().flatten().any(|call| call.to == index) {
            let error = table.error("name", format!("nothing calls \"{}\"", dependencies[index].name));
            table.report(error.help("name it in `load.calls` or in `calls` of a dependency above it, or remove it"));
        }
    }
}

impl Dependency {
    fn read(table: &Table<'_>, below: Names<'_>, files: Files<'_>) -> Option<Self> {
        let name: Option<String> = table.required("name");
        table.must("name", name.as_deref() != Some(""), "must not be empty");
        let latency = latency::read(table);
        let error_rate = table.optional("error_rate").unwrap_or(Ratio::ZERO);
        let instances = up_to(table, "instances", MOST_INSTANCES);
        let balance = read_balance(table);
        let health = read_health(table);
        let concurrency = table.required("concurrency");
        let queue = read_queue(table);
        let refuse = read_refuse(table);
        let slow = read_slow(table);
        let calls = match table.has("calls") {
            true => calls::read(table, below),
            false => Some(Steps::new()),
        };
        let protection = read_protection(table, files);
        Some(Self {
            name: name?,
            latency: latency?,
            error_rate,
            instances: instances?,
            balance: balance?,
            health: health?,
            concurrency: concurrency?,
            queue: queue?,
            refuse: refuse?,
            slow: slow?,
            calls: calls?,
            protection: protection?,
        })
    }

    /// It, with nothing around the calls that it makes.
    pub(super) fn without_policy(&self) -> Self {
        Self {
            protection: None,
            ..self.clone()
        }
    }

    /// How many times as long a call takes on an instance that has so many calls, queued and served.
    #[must_use]
    pub(crate) fn slowdown_of(&self, in_flight: usize) -> f64 {
        let in_flight = in_flight as f64;
        let next = self.slow.partition_point(|(calls, _)| *calls <= in_flight);
        let after = self.slow.get(next);
        let Some(&(calls, factor)) = next.checked_sub(1).and_then(|before| self.slow.get(before)) else {
            return after.map_or(1.0, |(_, factor)| *factor);
        };
        after.map_or(factor, |(more, slower)| {
            factor + (slower - factor) * (in_flight - calls) / (more - calls)
        })
    }

    /// How many servers of an instance are left of this share of them, rounded to the nearest whole number.
    #[must_use]
    pub(crate) fn servers_left(&self, share: Ratio) -> u32 {
        // At most `concurrency`, since a ratio is at most 1.
        (f64::from(self.concurrency.get()) * share.value()).round() as u32
    }
}

/// A number from 1 to the most, 1 unless set. `None` is an error.
pub(super) fn up_to(table: &Table<'_>, key: &'static str, most: u32) -> Option<NonZeroU32> {
    let Some(value) = table.value(key) else {
        return Some(NonZeroU32::MIN);
    };
    let number = value.read_with(|value| whole(value, 1, most.into()))?;
    u32::try_from(number).ok().and_then(NonZeroU32::new)
}

/// Refuses a key that says something about several instances where there is one.
fn needs_instances(table: &Table<'_>, key: &'static str) {
    if table.has(key) && !table.has("instances") {
        let path = table.path_of(key);
        let error = table.error(key, format!("`{path}` needs several instances")).absence();
        table.report(error.help("add `instances = 4`, or remove this"));
    }
}

fn read_balance(table: &Table<'_>) -> Option<Balance> {
    needs_instances(table, "balance");
    if !table.has("balance") {
        return Some(Balance::RoundRobin);
    }
    let names = [
        ("round_robin", Balance::RoundRobin),
        ("least_connections", Balance::LeastConnections),
        ("p2c", Balance::PowerOfTwo),
    ];
    table.optional_choice("balance", &names)
}

/// The outer `None` is an error, the inner one no checks.
fn read_health(table: &Table<'_>) -> Option<Option<HealthChecks>> {
    needs_instances(table, "health");
    if !table.has("health") {
        return Some(None);
    }
    let health = table.optional_table("health")?;
    let every: Option<Duration> = health.required("every");
    health.must("every", every != Some(Duration::ZERO), "must be longer than zero");
    let panic = health.optional("panic").unwrap_or(Ratio::ZERO);
    Some(Some(HealthChecks { every: every?, panic }))
}

/// The policy around the calls that a dependency makes. The outer `None` is an error, the inner one no policy.
fn read_protection(table: &Table<'_>, files: Files<'_>) -> Option<Option<Protection>> {
    if !protection::is_set(table) {
        return Some(None);
    }
    if !table.has("calls") {
        let error = Diagnostic::new(
            table.span().clone(),
            "a policy of a dependency is for the calls that it makes",
        );
        let error = error.label("this one makes none").absence();
        table.report(error.help("add `calls = [\"…\"]`, or put the policy into a [[variant]]"));
    }
    protection::read(table, "dependency", files).map(Some)
}

fn read_refuse(table: &Table<'_>) -> Option<Refuse> {
    if !table.has("refuse") {
        return Some(Refuse::FREE);
    }
    let refuse = table.optional_table("refuse")?;
    let takes: Option<Duration> = refuse.optional("takes");
    let costs: Option<Ratio> = refuse.optional("costs");
    if takes.is_none() && costs.is_none() && refuse.is_empty() {
        let error = table.error("refuse", "`dependency.refuse` sets nothing").absence();
        table.report(error.help("write, for example, `refuse = { takes = \"2ms\", costs = \"20%\" }`"));
    }
    Some(Refuse {
        takes: takes.unwrap_or(Duration::ZERO),
        costs: costs.map_or(0.0, Ratio::value),
    })
}

/// The points of `slow.in_flight`, with more calls in each.
fn read_slow(table: &Table<'_>) -> Option<Vec<(f64, f64)>> {
    if !table.has("slow") {
        return Some(Vec::new());
    }
    let slow = table.optional_table("slow")?;
    let Some(points) = slow.value("in_flight") else {
        slow.report_missing("in_flight", Some("[[12, 1.0], [40, 3.0]]"));
        return None;
    };
    let list = points.read_list()?;
    let curve: Option<Vec<(f64, f64)>> = list.iter().map(read_point).collect();
    let curve = curve?;
    if curve.is_empty() || !curve.is_sorted_by(|before, after| before.0 < after.0) {
        let error = slow.error(
            "in_flight",
            "`dependency.slow.in_flight` must have points with more calls in each",
        );
        slow.report(error.help("write, for example, `in_flight = [[12, 1.0], [40, 3.0]]`"));
        return None;
    }
    Some(curve)
}

/// A pair of calls in flight and the factor there.
fn read_point(point: &Value<'_>) -> Option<(f64, f64)> {
    let pair = point.read_list()?;
    let [calls, factor] = &pair[..] else {
        let error = point.error("a point of `dependency.slow.in_flight` is a number of calls and a factor");
        point.refuse(error.help("write, for example, `[40, 3.0]`"));
        return None;
    };
    let calls = calls.read_with(|value| whole(value, 0, u32::MAX.into()))?;
    let factor: f64 = factor.read()?;
    if factor < 1.0 {
        point.refuse(point.error("a factor of `dependency.slow.in_flight` must be 1 or more"));
        return None;
    }
    Some((calls as f64, factor))
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
impl Dependency {
    /// One instance with so many servers, which take 1 ms for a call, and no queue.
    pub(crate) fn of_servers(servers: u32) -> Self {
        Self {
            name: "it".to_owned(),
            latency: Latency::Constant(0.001),
            error_rate: Ratio::ZERO,
            instances: NonZeroU32::MIN,
            balance: Balance::RoundRobin,
            health: None,
            concurrency: NonZeroU32::new(servers).expect("there are servers"),
            queue: None,
            refuse: Refuse::FREE,
            slow: Vec::new(),
            calls: Steps::new(),
            protection: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slowness_by_calls_in_flight_follows_its_points() {
        let mut dependency = Dependency::of_servers(1);
        assert_eq!(dependency.slowdown_of(99), 1.0, "without points there is none");
        dependency.slow = vec![(12.0, 1.0), (40.0, 3.0), (50.0, 3.5)];
        for (in_flight, factor) in [
            (0, 1.0),
            (12, 1.0),
            (26, 2.0),
            (40, 3.0),
            (45, 3.25),
            (50, 3.5),
            (1_000, 3.5),
        ] {
            assert_eq!(dependency.slowdown_of(in_flight), factor, "{in_flight}");
        }
    }

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
        let dependency = Dependency::of_servers(100);
        for (share, servers) in [(0.29, 29), (0.004, 0), (0.005, 1), (1.0, 100)] {
            assert_eq!(
                dependency.servers_left(Ratio::new(share).expect("a ratio")),
                servers,
                "{share}"
            );
        }
    }
}
