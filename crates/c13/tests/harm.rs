//! No profile does harm: every profile through many incidents, in fleets of several sizes, beside callers without any policy.
//!
//! `./test harm` runs it and compares the table with `docs/no-harm.md`; `C13_WRITE_GOLDEN=1 ./test harm` writes the table anew.

use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const FLEETS: [u32; 4] = [1, 10, 50, 250];
/// More, or fewer for a first look: `C13_HARM_SEEDS`.
const SEEDS: &str = "5";

/// Seconds: before the faults, the faults with what comes between them, and after.
const BEFORE: u32 = 30;
const FAULTS: u32 = 120;
const AFTER: u32 = 30;
const DURATION: u32 = BEFORE + FAULTS + AFTER;

/// What a profile is held to in an incident.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    /// Its goodput is at most two points below that of callers without a policy.
    NoWorse,
    /// Its goodput is at least 0.8 of theirs.
    Half,
    /// Its goodput is at least 0.9 of what the time without outages gives.
    HealthyParts,
    /// At most 0.1 attempts a request reach the dependency, and half of the fleet's breakers are open after a second.
    Spare,
}

struct Incident {
    name: &'static str,
    rule: Rule,
    /// Tables of the scenario: `{rps}` stands for the load, `{third}` for a third of it.
    faults: &'static str,
}

const fn incident(name: &'static str, rule: Rule, faults: &'static str) -> Incident {
    Incident { name, rule, faults }
}

/// A fault of this kind all the time, or for ten seconds of each twenty; on all instances, or on one of four.
macro_rules! steady {
    ($kind:literal) => {
        concat!("[[fault]]\nat = \"30s\"\nfor = \"120s\"\n", $kind)
    };
}
macro_rules! flapping {
    ($kind:literal) => {
        concat!(
            "[[fault]]\nat = \"30s\"\nfor = \"10s\"\nevery = \"20s\"\ntimes = 6\n",
            $kind
        )
    };
}

use Rule::{Half, HealthyParts, NoWorse, Spare};

const INCIDENTS: [Incident; 32] = [
    incident("errors 1 %", NoWorse, steady!("kind = \"error_rate\"\nrate = \"1%\"")),
    incident("errors 5 %", NoWorse, steady!("kind = \"error_rate\"\nrate = \"5%\"")),
    incident("errors 10 %", NoWorse, steady!("kind = \"error_rate\"\nrate = \"10%\"")),
    incident("errors 25 %", NoWorse, steady!("kind = \"error_rate\"\nrate = \"25%\"")),
    incident(
        "errors 1 %, flapping",
        NoWorse,
        flapping!("kind = \"error_rate\"\nrate = \"1%\""),
    ),
    incident(
        "errors 5 %, flapping",
        NoWorse,
        flapping!("kind = \"error_rate\"\nrate = \"5%\""),
    ),
    incident(
        "errors 10 %, flapping",
        NoWorse,
        flapping!("kind = \"error_rate\"\nrate = \"10%\""),
    ),
    incident(
        "errors 25 %, flapping",
        NoWorse,
        flapping!("kind = \"error_rate\"\nrate = \"25%\""),
    ),
    incident(
        "errors 5 %, one of four",
        NoWorse,
        steady!("kind = \"error_rate\"\nrate = \"5%\"\ninstances = 1"),
    ),
    incident(
        "errors 25 %, one of four",
        NoWorse,
        steady!("kind = \"error_rate\"\nrate = \"25%\"\ninstances = 1"),
    ),
    incident(
        "errors 100 %, one of four",
        NoWorse,
        steady!("kind = \"error_rate\"\nrate = \"100%\"\ninstances = 1"),
    ),
    incident(
        "errors 25 %, one of four, flapping",
        NoWorse,
        flapping!("kind = \"error_rate\"\nrate = \"25%\"\ninstances = 1"),
    ),
    incident(
        "errors 100 %, one of four, flapping",
        NoWorse,
        flapping!("kind = \"error_rate\"\nrate = \"100%\"\ninstances = 1"),
    ),
    incident(
        "refused by one of four",
        NoWorse,
        steady!("kind = \"outage\"\nmode = \"refuse\"\ninstances = 1"),
    ),
    incident("errors 50 %", Half, steady!("kind = \"error_rate\"\nrate = \"50%\"")),
    incident(
        "errors 50 %, flapping",
        Half,
        flapping!("kind = \"error_rate\"\nrate = \"50%\""),
    ),
    incident(
        "errors 100 %, two of four",
        Half,
        steady!("kind = \"error_rate\"\nrate = \"100%\"\ninstances = 2"),
    ),
    incident(
        "refused, 30 s of each minute",
        HealthyParts,
        "[[fault]]\nat = \"30s\"\nfor = \"30s\"\nevery = \"60s\"\ntimes = 2\nkind = \"outage\"\nmode = \"refuse\"",
    ),
    incident(
        "errors 100 %, 30 s of each minute",
        HealthyParts,
        "[[fault]]\nat = \"30s\"\nfor = \"30s\"\nevery = \"60s\"\ntimes = 2\nkind = \"error_rate\"\nrate = \"100%\"",
    ),
    incident("latency × 3", NoWorse, steady!("kind = \"latency\"\nfactor = 3.0")),
    incident("latency × 6", NoWorse, steady!("kind = \"latency\"\nfactor = 6.0")),
    incident(
        "latency + 300 ms, ramp",
        NoWorse,
        steady!("kind = \"latency\"\nadd = \"300ms\"\nramp = \"30s\""),
    ),
    incident(
        "black hole, 30 s",
        NoWorse,
        "[[fault]]\nat = \"30s\"\nfor = \"30s\"\nkind = \"outage\"\nmode = \"blackhole\"",
    ),
    incident(
        "black hole, one of four",
        NoWorse,
        steady!("kind = \"outage\"\nmode = \"blackhole\"\ninstances = 1"),
    ),
    incident(
        "half of the servers",
        NoWorse,
        steady!("kind = \"capacity\"\nshare = \"50%\""),
    ),
    incident(
        "a quarter of the servers, 30 s",
        NoWorse,
        "[[fault]]\nat = \"30s\"\nfor = \"30s\"\nkind = \"capacity\"\nshare = \"25%\"",
    ),
    incident(
        "crash, 10 s, cold",
        NoWorse,
        "[[fault]]\nat = \"30s\"\nfor = \"10s\"\nkind = \"crash\"\nwarm_up = { cold = 3.0, takes = \"20s\" }",
    ),
    incident(
        "rolling restart",
        NoWorse,
        "[[fault]]\nat = \"30s\"\nfor = \"20s\"\nkind = \"restart\"\nrolling = true\nwarm_up = { cold = 3.0, takes = \"10s\" }",
    ),
    incident(
        "hang, 20 s",
        NoWorse,
        "[[fault]]\nat = \"30s\"\nfor = \"20s\"\nkind = \"hang\"",
    ),
    incident("load × 3, 20 s", NoWorse, "SPIKE"),
    incident("all fails", Spare, steady!("kind = \"error_rate\"\nrate = \"100%\"")),
    incident("all is refused", Spare, steady!("kind = \"outage\"\nmode = \"refuse\"")),
];

/// A profile, the load that it is drilled with, which is below its own rate, and how many servers each instance then has.
struct Group {
    profiles: &'static [&'static str],
    /// Other variants of the scenario, shown but not judged.
    others: &'static [(&'static str, &'static str)],
    rps: u32,
    concurrency: u32,
}

/// The breaker that the profile critical had before it was chosen by these drills.
const BEFORE_DRILLS: &str = "circuit_breaker = { failure_rate = false, failures = 3, failures_window = \"30s\", failure_share = 0.5, \
                             success_threshold = 2, open_for = \"1s\", open_for_max = \"30s\", jitter = 0.2 }";

const GROUPS: [Group; 2] = [
    Group {
        profiles: &["critical", "standard"],
        others: &[("critical-before", BEFORE_DRILLS)],
        rps: 400,
        concurrency: 12,
    },
    Group {
        profiles: &["batch"],
        others: &[],
        rps: 80,
        concurrency: 3,
    },
];

fn scenario(incident: &Incident, group: &Group, fleet: u32) -> String {
    let Group { rps, concurrency, .. } = group;
    let mut text = format!("name = \"{}\"\nduration = \"{DURATION}s\"\n\n[load]\n", incident.name);
    if incident.faults == "SPIKE" {
        let triple = 3 * rps;
        let _ = writeln!(
            text,
            "shape = [{{ at = \"0s\", rps = {rps} }}, {{ at = \"30s\", rps = {rps} }}, {{ at = \"30s\", rps = {triple} }}, \
             {{ at = \"50s\", rps = {triple} }}, {{ at = \"50s\", rps = {rps} }}]"
        );
    } else {
        let _ = writeln!(text, "rps = {rps}");
    }
    let _ = write!(
        text,
        "deadline = \"2s\"\ninstances = {fleet}\n\n[dependency]\nname = \"d\"\n\
         latency = {{ lognormal = {{ p50 = \"45ms\", p99 = \"200ms\" }} }}\nerror_rate = \"0.1%\"\n\
         instances = 4\nconcurrency = {concurrency}\nqueue = {{ capacity = 250 }}\n\
         overload = {{ kind = \"linear\", factor = 2.0 }}\n\n"
    );
    if incident.faults != "SPIKE" {
        text += incident.faults;
    }
    for profile in group.profiles {
        let _ = write!(text, "\n\n[[variant]]\nname = \"{profile}\"\nprofile = \"{profile}\"");
    }
    for (name, policy) in group.others {
        let _ = write!(
            text,
            "\n\n[[variant]]\nname = \"{name}\"\nprofile = \"critical\"\n[variant.policy]\n{policy}"
        );
    }
    text + "\n"
}

fn drill(scenario: &str) -> Value {
    let program = std::env::var("C13_TEST_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_c13").to_owned());
    let mut child = Command::new(program)
        .args([
            "drill",
            "-",
            "--json",
            "--repeat",
            &std::env::var("C13_HARM_SEEDS").unwrap_or_else(|_| SEEDS.to_owned()),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("it has an input");
    input.write_all(scenario.as_bytes()).expect("it reads its input");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{scenario}\n{errors}"))
}

/// The figures of a variant that the rules look at.
struct Figures {
    goodput: f64,
    attempts_a_request: f64,
    detect_s: Option<f64>,
}

fn figures(drill: &Value, variant: &str) -> Figures {
    let variants = drill["variants"].as_array().expect("it has variants");
    let found = variants
        .iter()
        .find(|found| found["name"] == variant)
        .expect("it is there");
    let number = |name: &str| {
        found[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name} of {variant} is a number"))
    };
    Figures {
        goodput: number("goodput_ratio"),
        attempts_a_request: number("amplification"),
        detect_s: found["detect_s"].as_f64(),
    }
}

/// A share of the whole drill as a share of the time of the faults, if before and after them it is `usual`.
fn in_faults(whole: f64, usual: f64) -> f64 {
    let length = f64::from(FAULTS) / f64::from(DURATION);
    (whole - usual * (1.0 - length)) / length
}

/// What is printed of a profile in an incident, and whether it keeps the rule.
fn judge(rule: Rule, profile: &Figures, unprotected: &Figures) -> (String, bool) {
    let points = |figures: &Figures| 100.0 * in_faults(figures.goodput, 0.999);
    let (own, theirs) = (points(profile), points(unprotected));
    let goodput = format!("{own:.1}");
    match rule {
        Rule::NoWorse => (goodput, own >= theirs - 2.0),
        Rule::Half => (goodput, own >= 0.8 * theirs),
        // Half of the time of the faults.
        Rule::HealthyParts => (goodput, own >= 0.9 * 50.0),
        Rule::Spare => {
            let attempts = in_faults(profile.attempts_a_request, 1.001).max(0.0);
            let detected = profile.detect_s;
            let found = detected.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.1} s"));
            (
                format!("{attempts:.2}, {found}"),
                attempts <= 0.1 && detected.is_some_and(|seconds| seconds <= 1.0),
            )
        }
    }
}

const HEAD: &str = "\
# No profile does harm

Goodput in the time of the faults, in percent, by profile and number of clients: the share of the calls that are answered
within the caller's deadline of 2 s. Losses before and after the faults are counted with it. Each figure is the median of 5
seeds. `unprotected` is callers without any policy. Where everything fails, it is the attempts a request that reach the
dependency, and how long it takes until half of the clients' breakers are open. A figure in bold breaks its rule:

| rule | |
|---|---|
| no worse | at most 2 points below `unprotected` |
| half | at least 0.8 of `unprotected` |
| healthy parts | at least 0.9 of what the half of the time without outages gives, so 45 |
| spare | at most 0.1 attempts a request, found within 1 s |

`critical-before` is critical with the breaker of before: 3 failures within 30 s and half of the most recent 20 calls, open for
up to 30 s, closed by two probes. Critical and standard have 400 requests a second, batch has 80: below the profiles' own rates. Batch is judged beside callers without
a policy at its own load, whose figures are not shown. Below zero is what was lost after the faults. `./test harm` makes this table
and compares it; `C13_WRITE_GOLDEN=1 ./test harm` writes it.

";

#[test]
fn the_matrix_of_profiles_and_incidents_is_the_one_in_the_documents() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/no-harm.md");
    let names = |group: &'static Group| {
        let others = group.others.iter().map(|(name, _)| *name);
        group.profiles.iter().copied().chain(others)
    };
    let profiles: Vec<&str> = GROUPS.iter().flat_map(names).collect();
    let mut table = format!(
        "| incident | rule | clients | unprotected | {} |\n",
        profiles.join(" | ")
    );
    table += &format!("|---|---|--:|--:|{}\n", "--:|".repeat(profiles.len()));
    let (mut kept, mut broken) = (0, 0);
    for incident in &INCIDENTS {
        let rule = match incident.rule {
            Rule::NoWorse => "no worse",
            Rule::Half => "half",
            Rule::HealthyParts => "healthy parts",
            Rule::Spare => "spare",
        };
        for fleet in FLEETS {
            let mut cells = Vec::new();
            for group in &GROUPS {
                let drill = drill(&scenario(incident, group, fleet));
                let unprotected = figures(&drill, "unprotected");
                if cells.is_empty() {
                    cells.push(format!("{:.1}", 100.0 * in_faults(unprotected.goodput, 0.999)));
                }
                for name in names(group) {
                    let (text, keeps) = judge(incident.rule, &figures(&drill, name), &unprotected);
                    if group.profiles.contains(&name) {
                        *if keeps { &mut kept } else { &mut broken } += 1;
                    }
                    cells.push(if keeps { text } else { format!("**{text}**") });
                }
            }
            let _ = writeln!(
                table,
                "| {} | {rule} | {fleet} | {} |",
                incident.name,
                cells.join(" | ")
            );
            println!("{} × {fleet}: {}", incident.name, cells.join(" | "));
        }
    }
    let text = format!("{HEAD}{table}\n{kept} of {} keep their rule.\n", kept + broken);
    if std::env::var_os("C13_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("the documents can be written to");
        return;
    }
    let there = std::fs::read_to_string(&path).expect("the table is there");
    assert!(
        there == text,
        "docs/no-harm.md is not what the drills give; `C13_WRITE_GOLDEN=1 ./test harm` writes it"
    );
}
