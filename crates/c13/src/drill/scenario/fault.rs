//! What goes wrong with the dependency, when, and for how long.

use std::time::Duration;

use c13_reliability::policy::document::{Diagnostic, Ratio, Table, duration_text};

use super::{Dependency, WINDOW, size::MOST_FAULTS};

/// `[[fault]]`: from `at` on, for `length`, the dependency behaves differently. Faults of different kinds may overlap and
/// then all apply; faults of one kind may not.
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
    /// What it does.
    pub effect: Effect,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Effect {
    /// Calls end in an error more often.
    Errors {
        /// The share of errors, in place of the dependency's own.
        rate: Ratio,
    },
    /// Calls take longer.
    Slowdown {
        /// How many times as long; above 1.
        factor: f64,
        /// The factor grows from 1 to its full size over this first part of the fault, in a straight line; zero: at once.
        ramp: Duration,
    },
    /// Nothing works.
    Outage(OutageMode),
    /// Servers are lost. Calls that they are serving go on; fewer new ones are taken.
    FewerServers {
        /// The share of the servers that is left.
        share: Ratio,
    },
}

/// How nothing works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutageMode {
    /// New calls fail at once.
    Refuse,
    /// New calls are never answered.
    Blackhole,
}

/// A kind of fault in the file.
struct Kind {
    name: &'static str,
    /// The keys that belong to it, besides those of every fault.
    keys: &'static [&'static str],
    /// Reads these keys: what the fault does, and a few words for it.
    read: fn(&Reading<'_>) -> Option<(Effect, String)>,
}

/// Every kind of fault: one row a kind.
static KINDS: [Kind; 4] = [
    Kind {
        name: "error_rate",
        keys: &["rate"],
        read: read_errors,
    },
    Kind {
        name: "latency",
        keys: &["factor", "ramp"],
        read: read_slowdown,
    },
    Kind {
        name: "outage",
        keys: &["mode"],
        read: read_outage,
    },
    Kind {
        name: "capacity",
        keys: &["share"],
        read: read_fewer_servers,
    },
];

/// What the keys of a kind are read from and checked against.
struct Reading<'t> {
    table: &'t Table<'t>,
    length: Option<Duration>,
    dependency: Option<&'t Dependency>,
}

impl Fault {
    /// When it is over.
    #[must_use]
    pub(crate) fn end(&self) -> Duration {
        self.at.saturating_add(self.length)
    }

    /// How many times as long calls take at a time, as far as this fault goes; 1 outside of it.
    #[must_use]
    pub(crate) fn slowdown_at(&self, at: Duration) -> f64 {
        let Effect::Slowdown { factor, ramp } = self.effect else {
            return 1.0;
        };
        match at.checked_sub(self.at) {
            Some(since) if since >= self.length => 1.0,
            Some(since) if since < ramp => 1.0 + (factor - 1.0) * (since.as_secs_f64() / ramp.as_secs_f64()),
            Some(_) => factor,
            None => 1.0,
        }
    }
}

/// Reads every fault, and puts them in the order in which they start.
pub(super) fn read(
    root: &Table<'_>,
    duration: Option<Duration>,
    dependency: Option<&Dependency>,
) -> Option<Vec<Fault>> {
    let tables = root.tables("fault");
    let mut faults: Vec<(Fault, &Table<'_>)> = Vec::new();
    if let Some((first, others)) = tables.get(MOST_FAULTS..).and_then(<[_]>::split_first) {
        let message = format!("a drill has at most {MOST_FAULTS} faults");
        root.report(Diagnostic::new(first.span().clone(), message).help("make two scenarios of it"));
        first.ignore_rest();
        others.iter().for_each(Table::ignore_rest);
    }
    for table in tables.iter().take(MOST_FAULTS) {
        if let Some(fault) = read_one(table, dependency) {
            check_time(root, table, &fault, duration);
            faults.push((fault, table));
        }
    }
    let complete = faults.len() == tables.len();
    faults.sort_by_key(|(fault, _)| fault.at);
    for (index, (fault, table)) in faults.iter().enumerate() {
        let same = |(other, _): &&(Fault, &Table<'_>)| other.kind == fault.kind && other.end() > fault.at;
        if let Some((_, earlier)) = faults[..index].iter().find(same) {
            let message = format!("two faults of kind \"{}\" overlap", fault.kind);
            let error = Diagnostic::new(table.span().clone(), message).label("starts before the other is over");
            root.report(error.also(earlier.span().clone(), "the other"));
        }
    }
    complete.then(|| faults.into_iter().map(|(fault, _)| fault).collect())
}

fn read_one(table: &Table<'_>, dependency: Option<&Dependency>) -> Option<Fault> {
    let at = table.required("at");
    let length: Option<Duration> = table.required("for");
    table.must("for", length != Some(Duration::ZERO), "must be longer than zero");
    let kinds = KINDS.each_ref().map(|kind| (kind.name, kind));
    let Some(kind) = table.required_choice("kind", &kinds) else {
        // Which other keys belong here depends on the kind.
        table.ignore_rest();
        return None;
    };
    refuse_keys_of_other_kinds(table, kind);
    let (effect, words) = (kind.read)(&Reading {
        table,
        length,
        dependency,
    })?;
    Some(Fault {
        at: at?,
        length: length?,
        kind: kind.name,
        words,
        effect,
    })
}

fn read_errors(Reading { table, .. }: &Reading<'_>) -> Option<(Effect, String)> {
    let rate: Ratio = table.required("rate")?;
    table.must("rate", rate != Ratio::ZERO, "must be above zero");
    Some((Effect::Errors { rate }, format!("{rate} errors")))
}

fn read_slowdown(Reading { table, length, .. }: &Reading<'_>) -> Option<(Effect, String)> {
    let factor: Option<f64> = table.required("factor");
    table.must("factor", factor.is_none_or(|factor| factor > 1.0), "must be above 1");
    let ramp = table.optional("ramp").unwrap_or(Duration::ZERO);
    if let Some(length) = length.filter(|length| ramp > *length) {
        let error = table.error("ramp", "`fault.ramp` must not be longer than the fault");
        table.report(error.also(
            table.value_span("for"),
            format!("the fault lasts {}", duration_text(length)),
        ));
    }
    let factor = factor?;
    Some((Effect::Slowdown { factor, ramp }, format!("latency ×{factor}")))
}

fn read_outage(Reading { table, .. }: &Reading<'_>) -> Option<(Effect, String)> {
    let modes = [
        ("refuse", (OutageMode::Refuse, "outage: refuses")),
        ("blackhole", (OutageMode::Blackhole, "outage: no answers")),
    ];
    let (mode, words) = table.required_choice("mode", &modes)?;
    Some((Effect::Outage(mode), words.to_owned()))
}

fn read_fewer_servers(Reading { table, dependency, .. }: &Reading<'_>) -> Option<(Effect, String)> {
    let share: Ratio = table.required("share")?;
    table.must(
        "share",
        share != Ratio::ONE,
        "must be below 1: it is what is left of the servers",
    );
    if dependency.is_some_and(|dependency| dependency.servers_left(share) == 0) {
        let error = table.error("share", "`fault.share` must leave at least one server");
        table.report(error.help("for none at all write `kind = \"outage\"` and `mode = \"blackhole\"`"));
    }
    Some((Effect::FewerServers { share }, format!("{share} of the servers left")))
}

fn refuse_keys_of_other_kinds(table: &Table<'_>, kind: &Kind) {
    for other in KINDS.iter().filter(|other| other.name != kind.name) {
        for &key in other.keys.iter().filter(|key| !kind.keys.contains(key)) {
            if table.contains(key) {
                table.known(&[key]);
                let message = format!("`fault.{key}` belongs to faults of kind \"{}\"", other.name);
                let error = table
                    .error(key, message)
                    .also(table.value_span("kind"), "this is another kind");
                table.report(error);
            }
        }
    }
}

/// The time before the faults is measured, and so is the time after them.
fn check_time(root: &Table<'_>, table: &Table<'_>, fault: &Fault, duration: Option<Duration>) {
    let window = duration_text(WINDOW);
    if fault.at < WINDOW {
        let error = table.error("at", format!("a fault must not start in the first {window}"));
        table.report(error.help("recovery is measured by how well calls do before the first fault"));
    }
    let Some(duration) = duration else { return };
    if fault.end().saturating_add(WINDOW) > duration {
        let end = duration_text(fault.end());
        let message = match fault.end() > duration {
            true => "the fault ends after the drill".to_owned(),
            false => format!("the drill must go on for {window} after the last fault, to see a recovery"),
        };
        let error = table.error("for", message).label(format!("the fault ends at {end}"));
        let error = error.also(root.value_span("duration"), "the drill ends here");
        let needed = duration_text(fault.end().saturating_add(WINDOW));
        table.report(error.help(format!(
            "let the drill last {needed} or longer, or the fault end earlier"
        )));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_rises_in_a_straight_line_from_one_to_the_factor() {
        let seconds = Duration::from_secs;
        let fault = Fault {
            at: seconds(60),
            length: seconds(100),
            kind: "latency",
            words: String::new(),
            effect: Effect::Slowdown {
                factor: 5.0,
                ramp: seconds(20),
            },
        };
        for (at, slowdown) in [
            (0, 1.0),
            (59, 1.0),
            (60, 1.0),
            (65, 2.0),
            (70, 3.0),
            (80, 5.0),
            (159, 5.0),
            (160, 1.0),
            (999, 1.0),
        ] {
            assert_eq!(fault.slowdown_at(seconds(at)), slowdown, "{at}");
        }
        let at_once = Fault {
            effect: Effect::Slowdown {
                factor: 5.0,
                ramp: Duration::ZERO,
            },
            ..fault
        };
        assert_eq!(at_once.slowdown_at(seconds(60)), 5.0);
    }
}
