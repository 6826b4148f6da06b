//! What goes wrong with the dependency, when, and for how long.

use std::ops::Range;
use std::time::Duration;

use c13_reliability::policy::document::{Diagnostic, Ratio, Span, Table, duration_text, whole};

use super::fault_kind::{self, Kind};
use super::size::{MOST_FAULTS, MOST_FAULTS_OF_ALL, MOST_STEPS};
use super::variant::known_names;
use super::{Dependency, WINDOW};

/// From `at` on, for `length`, the dependency behaves differently. Faults of different kinds may overlap and then all apply;
/// faults of one kind may not, unless they are on different instances.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    /// When it starts, from the start of the drill.
    pub at: Duration,
    /// How long it lasts (`for` in the file).
    pub length: Duration,
    /// The name of its kind.
    pub kind: &'static str,
    /// A few words for under a picture: `latency ×6`.
    pub words: String,
    /// The dependency that it is on, by its place in the file.
    pub dependency: usize,
    /// The instances that it is on; `None` for all of them.
    pub on: Option<Range<usize>>,
    /// The share of the keys that it is for: all calls of a request are about one key, and so are its retries.
    pub keys: Ratio,
    /// How it passes.
    pub passes: Option<Passing>,
    /// Which `[[fault]]` of the file it comes from: one that is repeated is several faults.
    pub table: usize,
    /// What it does.
    pub effect: Effect,
}

/// In its last part, a fault gets weaker in steps of equal size and length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Passing {
    /// How many strengths there are between its full one and none.
    pub steps: u32,
    /// How long all of them last.
    pub takes: Duration,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Effect {
    /// Calls end in an error more often.
    Errors {
        /// The share of errors, in place of the dependency's own.
        rate: Ratio,
        /// The share of these errors that another attempt does not mend, and whose answer says so.
        lasting: Ratio,
        /// How long an error takes; `None` for as long as an answer.
        takes: Option<Duration>,
    },
    /// Calls take longer.
    Slowdown {
        /// How many times as long; at least 1.
        factor: f64,
        /// How much longer.
        add: Duration,
        /// The slowness grows from none to its full size over this first part of the fault, in a straight line; zero: at
        /// once.
        ramp: Duration,
        /// The share of the calls that are slow.
        share: Ratio,
    },
    /// Calls are not worked on.
    Outage(Outage),
    /// Servers are lost. Calls that they are serving go on; fewer new ones are taken.
    FewerServers {
        /// The share of the servers that is left.
        share: Ratio,
    },
    /// An instance dies: the calls that it has fail, and new ones are refused.
    Crash(WarmUp),
    /// An instance is stopped and started anew: it ends the calls that it has, and the balancer sends it no others meanwhile.
    Restart(WarmUp),
    /// Nothing moves: new calls are queued, and the calls that are served are answered when the fault is over.
    Hang,
}

/// Calls that are not worked on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outage {
    /// How they fare.
    pub mode: OutageMode,
    /// The share of the calls that it is for.
    pub share: Ratio,
    /// When the refusal tells the caller to come back.
    pub retry_after: Option<Duration>,
}

/// How calls fare that are not worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutageMode {
    /// New calls are refused.
    Refuse,
    /// New calls are never answered.
    Blackhole,
}

/// How an instance that is back gets to its usual speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct WarmUp {
    /// How many times as long its first call takes; falls to 1 in a straight line.
    pub cold: f64,
    /// How long that takes.
    pub takes: Duration,
}

impl WarmUp {
    /// An instance that is at its usual speed at once.
    pub(crate) const NONE: Self = Self {
        cold: 1.0,
        takes: Duration::ZERO,
    };
}

/// What the keys of a kind are read from and checked against.
pub(super) struct Reading<'t> {
    pub(super) table: &'t Table<'t>,
    pub(super) length: Option<Duration>,
    pub(super) dependency: Option<&'t Dependency>,
}

impl Fault {
    /// When it is over.
    #[must_use]
    pub(crate) fn end(&self) -> Duration {
        self.at.saturating_add(self.length)
    }

    /// Whether it is on this instance.
    #[must_use]
    pub(crate) fn is_on(&self, instance: usize) -> bool {
        self.on.as_ref().is_none_or(|on| on.contains(&instance))
    }

    /// How strong it is at a time, from 0 to 1; 0 outside of it.
    #[must_use]
    pub(crate) fn strength_at(&self, at: Duration) -> f64 {
        self.growth_at(at) * self.rest_at(at)
    }

    /// The next time after `at` at which it ends, or passes on to another strength.
    #[must_use]
    pub(crate) fn next_step(&self, at: Duration) -> Duration {
        let mut steps = self.steps();
        steps.find(|step| *step > at).unwrap_or(self.end())
    }

    /// When it gets weaker, and when it ends.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Duration> + '_ {
        let of = |passing: Passing| {
            let first = self.end().saturating_sub(passing.takes);
            (0..passing.steps).map(move |step| first + passing.takes * step / passing.steps)
        };
        self.passes.into_iter().flat_map(of).chain([self.end()])
    }

    /// How much of its strength is left after the steps that are over, from 0 to 1.
    fn rest_at(&self, at: Duration) -> f64 {
        let Some(passing) = self.passes else { return 1.0 };
        let over = self.steps().filter(|step| *step <= at).count();
        1.0 - over as f64 / f64::from(passing.steps + 1)
    }

    /// How far it has grown at a time, from 0 to 1; 0 outside of it.
    fn growth_at(&self, at: Duration) -> f64 {
        let ramp = match self.effect {
            Effect::Slowdown { ramp, .. } => ramp,
            _ => Duration::ZERO,
        };
        match at.checked_sub(self.at) {
            Some(since) if since >= self.length => 0.0,
            Some(since) if since < ramp => since.as_secs_f64() / ramp.as_secs_f64(),
            Some(_) => 1.0,
            None => 0.0,
        }
    }
}

/// Reads every fault, and puts them in the order in which they start.
pub(super) fn read(
    root: &Table<'_>,
    duration: Option<Duration>,
    dependencies: Option<&[Dependency]>,
    names: &[String],
) -> Option<Vec<Fault>> {
    let tables = root.tables("fault");
    if let Some((first, others)) = tables.get(MOST_FAULTS..).and_then(<[_]>::split_first) {
        too_many(root, first.span().clone(), MOST_FAULTS);
        first.ignore_rest();
        others.iter().for_each(Table::ignore_rest);
    }
    let mut faults: Vec<Fault> = Vec::new();
    let mut complete = tables.len() <= MOST_FAULTS;
    for (index, table) in tables.iter().take(MOST_FAULTS).enumerate() {
        let on = read_on(table, names);
        let dependency = on.and_then(|on| dependencies?.get(on));
        match (read_one(root, table, index, duration, dependency), on) {
            (Some(more), Some(on)) => faults.extend(more.into_iter().map(|fault| on_dependency(fault, on, names))),
            _ => complete = false,
        }
        if faults.len() > MOST_FAULTS_OF_ALL {
            too_many(root, table.span().clone(), MOST_FAULTS_OF_ALL);
            return None;
        }
    }
    faults.sort_by_key(|fault| fault.at);
    refuse_overlaps(root, &tables, &faults);
    complete.then_some(faults)
}

/// The dependency that a fault is on: the only one, unless it is said.
fn read_on(table: &Table<'_>, names: &[String]) -> Option<usize> {
    let Some(value) = table.value("on") else {
        if names.len() > 1 {
            let error = table
                .error("on", "`fault` does not say which dependency it is on")
                .absence();
            let first = &names[0];
            table.report(error.help(format!("add, for example, `on = \"{first}\"`")));
            return None;
        }
        return Some(0);
    };
    let name: String = value.read()?;
    let place = names.iter().position(|other| *other == name);
    if place.is_none() {
        let error = value.error(format!("there is no dependency called \"{name}\""));
        table.report(known_names(error, &name, names));
    }
    place
}

/// The fault on the dependency of this place, whose name it has in its words if there are several.
fn on_dependency(fault: Fault, dependency: usize, names: &[String]) -> Fault {
    let words = match names.get(dependency).filter(|_| names.len() > 1) {
        Some(name) => format!("{name}: {}", fault.words),
        None => fault.words,
    };
    Fault {
        dependency,
        words,
        ..fault
    }
}

fn too_many(root: &Table<'_>, span: Span, most: usize) {
    let error = Diagnostic::new(span, format!("a drill has at most {most} faults"));
    root.report(error.help("make two scenarios of it"));
}

/// The faults of one table: several if it is repeated, or if instances are in turn.
fn read_one(
    root: &Table<'_>,
    table: &Table<'_>,
    index: usize,
    duration: Option<Duration>,
    dependency: Option<&Dependency>,
) -> Option<Vec<Fault>> {
    let at: Option<Duration> = table.required("at");
    let length: Option<Duration> = table.required("for");
    table.must("for", length != Some(Duration::ZERO), "must be longer than zero");
    let every: Option<Duration> = table.optional("every");
    let times = table
        .value("times")
        .and_then(|value| value.read_with(|value| whole(value, 1, MOST_FAULTS_OF_ALL as u64)));
    let on = read_instances(table, dependency);
    let Some(kind) = table.required_choice("kind", &fault_kind::names()) else {
        // Which other keys belong here depends on the kind.
        table.ignore_rest();
        return None;
    };
    fault_kind::refuse_keys_of_other_kinds(table, kind);
    let reading = Reading {
        table,
        length,
        dependency,
    };
    let (effect, words) = (kind.read)(&reading)?;
    let (keys, passes) = (read_keys(table, kind), read_passing(table, kind, length));
    let (keys, of_keys) = keys?;
    let words = match &on {
        Some((_, of)) => format!("{words}{of_keys}, {of}"),
        None => format!("{words}{of_keys}"),
    };
    let first = Fault {
        at: at?,
        length: length?,
        kind: kind.name,
        words,
        dependency: 0,
        on: on.map(|(range, _)| range),
        keys,
        passes: passes?,
        table: index,
        effect,
    };
    let round = in_turn(table, kind, dependency, first);
    check_time(root, table, &round, duration);
    repeat(table, every, times, duration, round)
}

/// `keys = "10%"`: the share of the keys that a fault is for, and a few words for it.
fn read_keys(table: &Table<'_>, kind: &Kind) -> Option<(Ratio, String)> {
    if !kind.keys.contains(&"keys") || !table.has("keys") {
        return Some((Ratio::ONE, String::new()));
    }
    let keys: Ratio = table.required("keys")?;
    table.must("keys", keys != Ratio::ZERO, "must be above zero");
    Some((keys, format!(" for {keys} of the keys")))
}

/// `passes = { steps = 3, takes = "1m" }`: how a fault gets weaker before its end. The outer `None` is an error, the inner one a
/// fault that ends at once.
fn read_passing(table: &Table<'_>, kind: &Kind, length: Option<Duration>) -> Option<Option<Passing>> {
    if !kind.keys.contains(&"passes") || !table.has("passes") {
        return Some(None);
    }
    let passes = table.optional_table("passes")?;
    let steps = match passes.value("steps") {
        Some(steps) => steps.read_with(|value| whole(value, 1, MOST_STEPS)),
        None => {
            passes.report_missing("steps", Some("3"));
            None
        }
    };
    let takes: Option<Duration> = passes.required("takes");
    passes.must("takes", takes != Some(Duration::ZERO), "must be longer than zero");
    let ramp = table.optional("ramp").filter(|_| kind.keys.contains(&"ramp"));
    let ramp: Duration = ramp.unwrap_or_default();
    if let (Some(length), Some(takes)) = (length, takes)
        && ramp.saturating_add(takes) > length
    {
        let error = passes.error("takes", "`fault.passes.takes` must fit into the fault, after its ramp");
        let lasts = format!("the fault lasts {}", duration_text(length));
        table.report(error.also(table.value_span("for"), lasts));
    }
    Some(Some(Passing {
        steps: steps? as u32,
        takes: takes?,
    }))
}

/// `instances = 1` or `"25%"`: the instances that a fault is on, and a few words for them.
fn read_instances(table: &Table<'_>, dependency: Option<&Dependency>) -> Option<(Range<usize>, String)> {
    let value = table.value("instances")?;
    let all = dependency.map_or(1, |dependency| dependency.instances.get());
    let count = match value.as_integer() {
        Some(_) => value.read_with(|value| whole(value, 1, all.into()))? as u32,
        None => (value.read::<Ratio>()?.value() * f64::from(all)).round() as u32,
    };
    if count == 0 || all == 1 {
        let error = value.error("`fault.instances` must be at least one of several instances");
        let error = error.label(format!("this is {count} of {all}"));
        value.refuse(error.help("`dependency.instances` says how many there are"));
        return None;
    }
    let plural = if all == 1 { "" } else { "s" };
    Some((0..count as usize, format!("{count} of {all} instance{plural}")))
}

/// With `rolling = true`, one fault for each instance, one after the other.
fn in_turn(table: &Table<'_>, kind: &Kind, dependency: Option<&Dependency>, fault: Fault) -> Vec<Fault> {
    let rolling = kind.keys.contains(&"rolling") && table.optional("rolling").unwrap_or(false);
    if !rolling {
        return vec![fault];
    }
    let all = dependency.map_or(1, |dependency| dependency.instances.get() as usize);
    let turns = fault.on.clone().unwrap_or(0..all).enumerate();
    turns
        .map(|(turn, instance)| Fault {
            at: fault.at.saturating_add(fault.length.saturating_mul(turn as u32)),
            on: Some(instance..instance + 1),
            ..fault.clone()
        })
        .collect()
}

/// The same faults again, each time `every` later.
fn repeat(
    table: &Table<'_>,
    every: Option<Duration>,
    times: Option<u64>,
    duration: Option<Duration>,
    round: Vec<Fault>,
) -> Option<Vec<Fault>> {
    let Some(every) = every else {
        if table.has("times") && !table.has("every") {
            let error = table.error(
                "times",
                "`fault.times` needs `every`: how much later each repetition starts",
            );
            table.report(error.absence().help("add `every = \"5m\"`, or remove this"));
        }
        return Some(round);
    };
    let first = round.first()?.at;
    let length = round.iter().map(Fault::end).max()?.saturating_sub(first);
    if every <= length {
        let error = table.error("every", "`fault.every` must be longer than the fault");
        let takes = format!("the fault takes {}", duration_text(length));
        table.report(error.also(table.value_span("for"), takes));
        return None;
    }
    // As often as asked, or as often as there is room for.
    let room = duration?
        .saturating_sub(WINDOW)
        .saturating_sub(first.saturating_add(length));
    let fits = 1 + (room.as_nanos() / every.as_nanos()) as u64;
    let times = times.unwrap_or(fits);
    if times > fits {
        let error = table.error(
            "times",
            "the last repetition would end after the drill, or too close to its end",
        );
        let error = error.label(format!("there is room for {fits}"));
        table.report(error.help(format!(
            "the drill must go on for {} after the last fault, to see a recovery",
            duration_text(WINDOW)
        )));
        return None;
    }
    // One more than the most is told as too many.
    let most = MOST_FAULTS_OF_ALL + 1;
    let again = |time: u64| {
        round.iter().map(move |fault| Fault {
            at: fault.at.saturating_add(every.saturating_mul(time as u32)),
            ..fault.clone()
        })
    };
    Some((0..times).flat_map(again).take(most).collect())
}

/// Two faults of one kind at one time on one instance contradict each other.
fn refuse_overlaps(root: &Table<'_>, tables: &[Table<'_>], faults: &[Fault]) {
    let mut told = Vec::new();
    for (index, fault) in faults.iter().enumerate() {
        let meets = |other: &&Fault| {
            let apart = match (&other.on, &fault.on) {
                (Some(one), Some(two)) => one.end <= two.start || two.end <= one.start,
                _ => false,
            };
            other.kind == fault.kind && other.dependency == fault.dependency && other.end() > fault.at && !apart
        };
        let Some(earlier) = faults[..index].iter().find(meets) else {
            continue;
        };
        if told.contains(&fault.table) {
            continue;
        }
        told.push(fault.table);
        let message = format!("two faults of kind \"{}\" overlap", fault.kind);
        let error = Diagnostic::new(tables[fault.table].span().clone(), message);
        let error = error.label("starts before the other is over");
        root.report(error.also(tables[earlier.table].span().clone(), "the other"));
    }
}

/// The time before the faults is measured, and so is the time after them.
fn check_time(root: &Table<'_>, table: &Table<'_>, round: &[Fault], duration: Option<Duration>) {
    let (Some(first), Some(last)) = (round.first(), round.last()) else {
        return;
    };
    let window = duration_text(WINDOW);
    if first.at < WINDOW {
        let error = table.error("at", format!("a fault must not start in the first {window}"));
        table.report(error.help("recovery is measured by how well calls do before the first fault"));
    }
    let Some(duration) = duration else { return };
    if last.end().saturating_add(WINDOW) > duration {
        let end = duration_text(last.end());
        let message = match last.end() > duration {
            true => "the fault ends after the drill".to_owned(),
            false => format!("the drill must go on for {window} after the last fault, to see a recovery"),
        };
        let error = table.error("for", message).label(format!("the fault ends at {end}"));
        let error = error.also(root.value_span("duration"), "the drill ends here");
        let needed = duration_text(last.end().saturating_add(WINDOW));
        table.report(error.help(format!(
            "let the drill last {needed} or longer, or the fault end earlier"
        )));
    }
}

#[cfg(test)]
impl Fault {
    /// A fault of this effect, from one second to another, on all instances.
    pub(crate) fn of(seconds: Range<u64>, effect: Effect) -> Self {
        Self {
            at: Duration::from_secs(seconds.start),
            length: Duration::from_secs(seconds.end - seconds.start),
            kind: "any",
            words: String::new(),
            dependency: 0,
            on: None,
            keys: Ratio::ONE,
            passes: None,
            table: 0,
            effect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_rises_in_a_straight_line() {
        let slowdown = |ramp| Effect::Slowdown {
            factor: 5.0,
            add: Duration::ZERO,
            ramp,
            share: Ratio::ONE,
        };
        let fault = Fault::of(60..160, slowdown(Duration::from_secs(20)));
        for (at, growth) in [
            (0, 0.0),
            (59, 0.0),
            (60, 0.0),
            (65, 0.25),
            (70, 0.5),
            (80, 1.0),
            (159, 1.0),
            (160, 0.0),
            (999, 0.0),
        ] {
            assert_eq!(fault.growth_at(Duration::from_secs(at)), growth, "{at}");
        }
        let at_once = Fault::of(60..160, slowdown(Duration::ZERO));
        assert_eq!(at_once.growth_at(Duration::from_secs(60)), 1.0);
    }

    #[test]
    fn a_fault_passes_in_equal_steps() {
        let fault = Fault {
            passes: Some(Passing {
                steps: 3,
                takes: Duration::from_secs(30),
            }),
            ..Fault::of(60..160, Effect::Hang)
        };
        for (at, strength, next) in [
            (60, 1.0, 130),
            (129, 1.0, 130),
            (130, 0.75, 140),
            (139, 0.75, 140),
            (140, 0.5, 150),
            (150, 0.25, 160),
            (159, 0.25, 160),
        ] {
            let found = Duration::from_secs(at);
            assert_eq!(fault.strength_at(found), strength, "{at}");
            assert_eq!(fault.next_step(found), Duration::from_secs(next), "{at}");
        }
        assert_eq!(fault.strength_at(Duration::from_secs(160)), 0.0);
    }
}
