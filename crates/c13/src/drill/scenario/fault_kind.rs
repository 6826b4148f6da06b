//! The kinds of faults: which keys belong to each, and how they are read.

use std::time::Duration;

use c13_reliability::policy::document::{Ratio, Table, duration_text};

use super::fault::{Effect, Outage, OutageMode, Reading, WarmUp};

/// A kind of fault in the file.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The keys that belong to it, besides those of every fault.
    pub(super) keys: &'static [&'static str],
    /// Reads these keys: what the fault does, and a few words for it.
    pub(super) read: fn(&Reading<'_>) -> Option<(Effect, String)>,
}

/// How many kinds there are.
const COUNT: usize = 7;

/// Every kind of fault: one row a kind.
static KINDS: [Kind; COUNT] = [
    Kind {
        name: "error_rate",
        keys: &["rate", "final", "takes", "keys", "passes"],
        read: read_errors,
    },
    Kind {
        name: "latency",
        keys: &["factor", "add", "ramp", "share", "keys", "passes"],
        read: read_slowdown,
    },
    Kind {
        name: "outage",
        keys: &["mode", "share", "retry_after", "keys", "passes"],
        read: read_outage,
    },
    Kind {
        name: "capacity",
        keys: &["share", "passes"],
        read: read_fewer_servers,
    },
    Kind {
        name: "crash",
        keys: &["warm_up"],
        read: |reading| Some((Effect::Crash(read_warm_up(reading)?), "crash".to_owned())),
    },
    Kind {
        name: "restart",
        keys: &["warm_up", "rolling"],
        read: read_restart,
    },
    Kind {
        name: "hang",
        keys: &[],
        read: |_| Some((Effect::Hang, "hang".to_owned())),
    },
];

/// Every kind by its name.
pub(super) fn names() -> [(&'static str, &'static Kind); COUNT] {
    KINDS.each_ref().map(|kind| (kind.name, kind))
}

fn read_errors(Reading { table, .. }: &Reading<'_>) -> Option<(Effect, String)> {
    let rate: Option<Ratio> = table.required("rate");
    table.must("rate", rate != Some(Ratio::ZERO), "must be above zero");
    let lasting = table.optional("final").unwrap_or(Ratio::ZERO);
    let takes = table.optional("takes");
    let rate = rate?;
    Some((Effect::Errors { rate, lasting, takes }, format!("{rate} errors")))
}

fn read_slowdown(Reading { table, length, .. }: &Reading<'_>) -> Option<(Effect, String)> {
    let add: Option<Duration> = table.optional("add");
    table.must("add", add != Some(Duration::ZERO), "must be longer than zero");
    let factor: Option<f64> = match table.has("add") {
        true => table.optional("factor"),
        false => table.required("factor"),
    };
    table.must("factor", factor.is_none_or(|factor| factor > 1.0), "must be above 1");
    let ramp = table.optional("ramp").unwrap_or(Duration::ZERO);
    if let Some(length) = length.filter(|length| ramp > *length) {
        let error = table.error("ramp", "`fault.ramp` must not be longer than the fault");
        table.report(error.also(
            table.value_span("for"),
            format!("the fault lasts {}", duration_text(length)),
        ));
    }
    let share = read_share_of_calls(table);
    let words: Vec<String> = factor
        .map(|factor| format!("×{factor}"))
        .into_iter()
        .chain(add.map(|add| format!("+{}", duration_text(add))))
        .collect();
    let words = format!("latency {}{}", words.join(" "), words_of_share(share));
    let (factor, add) = match (factor, add) {
        (None, None) => return None,
        (factor, add) => (factor.unwrap_or(1.0), add.unwrap_or(Duration::ZERO)),
    };
    let effect = Effect::Slowdown {
        factor,
        add,
        ramp,
        share,
    };
    Some((effect, words))
}

/// The share of the calls that a fault is for: all unless set.
fn read_share_of_calls(table: &Table<'_>) -> Ratio {
    let share = table.optional("share").unwrap_or(Ratio::ONE);
    table.must("share", share != Ratio::ZERO, "must be above zero");
    share
}

fn words_of_share(share: Ratio) -> String {
    match share {
        Ratio::ONE => String::new(),
        share => format!(" for {share} of the calls"),
    }
}

fn read_outage(Reading { table, .. }: &Reading<'_>) -> Option<(Effect, String)> {
    let modes = [
        ("refuse", (OutageMode::Refuse, "outage: refuses")),
        ("blackhole", (OutageMode::Blackhole, "outage: no answers")),
    ];
    let mode = table.required_choice("mode", &modes);
    let share = read_share_of_calls(table);
    let retry_after = table.optional("retry_after");
    if table.has("retry_after") && mode.is_some_and(|(mode, _)| mode == OutageMode::Blackhole) {
        let error = table.error("retry_after", "`fault.retry_after` needs an answer to stand in");
        table.report(error.also(table.value_span("mode"), "nothing is answered"));
    }
    let (mode, words) = mode?;
    let outage = Outage {
        mode,
        share,
        retry_after,
    };
    let words = format!("{words}{}", words_of_share(share));
    Some((Effect::Outage(outage), words))
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

fn read_restart(reading: &Reading<'_>) -> Option<(Effect, String)> {
    let rolling = reading.table.optional("rolling").unwrap_or(false);
    if rolling
        && reading
            .dependency
            .is_some_and(|dependency| dependency.instances.get() == 1)
    {
        let error = reading
            .table
            .error("rolling", "`fault.rolling` needs several instances");
        reading
            .table
            .report(error.help("`dependency.instances` says how many there are"));
    }
    let words = if rolling { "rolling restart" } else { "restart" };
    Some((Effect::Restart(read_warm_up(reading)?), words.to_owned()))
}

fn read_warm_up(Reading { table, .. }: &Reading<'_>) -> Option<WarmUp> {
    if !table.has("warm_up") {
        return Some(WarmUp::NONE);
    }
    let warm_up = table.optional_table("warm_up")?;
    let cold: Option<f64> = warm_up.required("cold");
    warm_up.must("cold", cold.is_none_or(|cold| cold >= 1.0), "must be 1 or more");
    let takes: Option<Duration> = warm_up.required("takes");
    Some(WarmUp {
        cold: cold?,
        takes: takes?,
    })
}

/// Reports each key that is there and belongs to other kinds only.
pub(super) fn refuse_keys_of_other_kinds(table: &Table<'_>, kind: &Kind) {
    let mut seen = Vec::new();
    for &key in KINDS.iter().flat_map(|other| other.keys) {
        if kind.keys.contains(&key) || seen.contains(&key) || !table.contains(key) {
            continue;
        }
        seen.push(key);
        table.known(&[key]);
        let kinds: Vec<String> = KINDS
            .iter()
            .filter(|other| other.keys.contains(&key))
            .map(|other| format!("\"{}\"", other.name))
            .collect();
        let message = format!("`fault.{key}` belongs to faults of kind {}", kinds.join(" or "));
        let error = table
            .error(key, message)
            .also(table.value_span("kind"), "this is another kind");
        table.report(error);
    }
}
