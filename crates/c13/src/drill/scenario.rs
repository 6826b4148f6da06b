//! A drill's scenario: load, dependency, faults, variants of policy and objectives, read from TOML and checked as a whole.
//!
//! Every key that is accepted has an effect, and every contradiction is refused with both places. What the keys mean is said
//! at the types: [`Load`], [`Dependency`], [`Call`], [`Fault`], [`Variant`], [`Protection`], [`Objective`].

pub(crate) mod calls;
#[cfg(test)]
mod calls_tests;
pub(crate) mod dependency;
pub(crate) mod fault;
mod fault_kind;
pub(crate) mod latency;
pub(crate) mod load;
#[cfg(test)]
mod model_tests;
pub(crate) mod protection;
mod size;
pub(crate) mod slo;
#[cfg(test)]
mod tests;
pub(crate) mod variant;

use std::num::NonZeroU32;
use std::time::Duration;

use c13_reliability::policy::document::{Diagnostics, Document, Source, Table, duration_text};

use super::figure::GOODPUT;

pub(crate) use calls::{Call, Steps};
pub(crate) use dependency::{Balance, Dependency, QueueOrder};
pub(crate) use fault::{Effect, Fault, OutageMode};
pub(crate) use latency::Latency;
pub(crate) use load::{Arrivals, Load, Patience};
pub(crate) use protection::Protection;
pub(crate) use slo::Objective;
pub(crate) use variant::{Files, Variant};

/// Goodput is watched in windows of this length. Recovery is seen in one, so the drill goes on for at least one after the
/// last fault; and at least one comes before the first fault, to say what recovery means.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// More runs than these say nothing more.
pub(crate) const MOST_REPEATS: u32 = 1_000;

/// What is rehearsed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scenario {
    /// What people call it.
    pub name: String,
    /// How long it lasts, in simulated time.
    pub duration: Duration,
    /// Where the random numbers start; the same seed gives the same drill to the last digit.
    pub seed: u64,
    /// How often it is run, each time with the next seed.
    pub repeat: NonZeroU32,
    /// The requests of the callers.
    pub load: Load,
    /// The dependencies; each calls only those after it.
    pub dependencies: Vec<Dependency>,
    /// What goes wrong, in the order in which it starts.
    pub faults: Vec<Fault>,
    /// The policies with which the callers protect themselves. The first is always `unprotected`.
    pub variants: Vec<Variant>,
    /// What is expected of every variant that is no baseline.
    pub slo: Vec<Objective>,
}

impl Scenario {
    /// The scenario that runs when none is given.
    pub(crate) const BUILT_IN: &'static str = include_str!("../../scenarios/brownout.toml");

    /// Reads and checks a scenario; `files` reads those that it takes policies from.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of the text.
    pub(crate) fn read(source: Source, files: Files<'_>) -> Result<Self, Diagnostics> {
        let document = Document::parse(source);
        let scenario = Self::from_table(&document.root(), files);
        document.finish(scenario)
    }

    fn from_table(root: &Table<'_>, files: Files<'_>) -> Option<Self> {
        let name: Option<String> = root.required("name");
        root.must("name", name.as_deref() != Some(""), "must not be empty");
        let duration: Option<Duration> = root.required("duration");
        root.must("duration", duration != Some(Duration::ZERO), "must be longer than zero");
        at_most(root, "duration", duration, size::LONGEST);
        let seed = root.optional("seed").unwrap_or(42);
        let repeat: NonZeroU32 = root.optional("repeat").unwrap_or(NonZeroU32::MIN);
        root.must(
            "repeat",
            repeat.get() <= MOST_REPEATS,
            &format!("must be at most {MOST_REPEATS}"),
        );
        let (dependencies, names) = dependency::read(root, files);
        let load = root.required_table("load").and_then(|table| Load::read(&table, &names));
        let faults = fault::read(root, duration, dependencies.as_deref(), &names);
        let variants = variant::read(root, files, &names);
        let slo = slo::read(root);
        if let (Some(load), Some(duration)) = (&load, duration) {
            size::check(
                root,
                duration,
                load,
                dependencies.as_deref(),
                faults.as_deref(),
                variants.as_deref(),
            );
        }
        if let (Some(load), Some(dependencies)) = (&load, &dependencies) {
            dependency::refuse_idle(root, dependencies, &load.calls);
        }
        if let Some(objectives) = &slo {
            check_objectives(root, objectives, duration, faults.as_deref(), variants.as_deref());
        }
        Some(Self {
            name: name?,
            duration: duration?,
            seed,
            repeat,
            load: load?,
            dependencies: dependencies?,
            faults: faults?,
            variants: variants?,
            slo: slo?,
        })
    }

    /// What is rehearsed but for the policies, as a short text: equal for equal incidents.
    #[must_use]
    pub(crate) fn incident(&self) -> String {
        // Two incidents are the same if all that is known of them is, which their debug output shows.
        let dependencies: Vec<Dependency> = self.dependencies.iter().map(Dependency::without_policy).collect();
        let known = format!("{:?}", (self.duration, &self.load, dependencies, &self.faults));
        // FNV-1a, of 64 bits.
        let hash = known.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{hash:016x}")
    }

    /// The least share of calls that are to be answered in time, if that is an objective.
    #[must_use]
    pub(crate) fn goodput_goal(&self) -> Option<f64> {
        let goodput = self.slo.iter().find(|objective| objective.figure.name == GOODPUT);
        goodput.map(|objective| objective.limit)
    }

    /// How many calls to each dependency there are for one request, if none fails.
    #[must_use]
    pub(crate) fn calls_for_a_request(&self) -> Vec<f64> {
        calls_for_a_request(&self.load.calls, &self.dependencies, |_, _| 1.0)
    }

    /// How long a request takes, if each dependency takes so long for its own work, in seconds.
    #[must_use]
    pub(crate) fn length_of_a_request(&self, own: impl Fn(&Dependency) -> f64) -> f64 {
        length(&self.load.calls, &self.lengths_of_calls(own))
    }

    /// How long a call to each dependency takes, if its own work takes so long, in seconds.
    #[must_use]
    pub(crate) fn lengths_of_calls(&self, own: impl Fn(&Dependency) -> f64) -> Vec<f64> {
        let mut lengths = vec![0.0; self.dependencies.len()];
        for (index, dependency) in self.dependencies.iter().enumerate().rev() {
            lengths[index] = own(dependency) + length(&dependency.calls, &lengths);
        }
        lengths
    }

    /// What the dependencies are called together, where one of them is meant.
    #[must_use]
    pub(crate) fn dependency_name(&self) -> &str {
        match &self.dependencies[..] {
            [only] => &only.name,
            _ => "a dependency",
        }
    }

    /// When the first fault starts.
    #[must_use]
    pub(crate) fn first_fault_start(&self) -> Option<Duration> {
        self.faults.iter().map(|fault| fault.at).min()
    }

    /// When the last fault is over.
    #[must_use]
    pub(crate) fn last_fault_end(&self) -> Option<Duration> {
        self.faults.iter().map(Fault::end).max()
    }
}

/// How long steps take that need an answer, if each dependency takes so long.
fn length(steps: &Steps, lengths: &[f64]) -> f64 {
    let of_call = |call: &Call| lengths[call.to] * f64::from(call.times);
    let of_step = |step: &Vec<Call>| step.iter().map(of_call).fold(0.0, f64::max);
    steps.iter().map(of_step).sum()
}

/// How many calls to each dependency there are for one request. `attempts` says how many are made of one call to a dependency:
/// by the callers, or by the service of this place.
fn calls_for_a_request(
    requests: &Steps,
    dependencies: &[Dependency],
    attempts: impl Fn(Option<usize>, usize) -> f64,
) -> Vec<f64> {
    let mut calls = vec![0.0; dependencies.len()];
    for call in requests.iter().flatten() {
        calls[call.to] += f64::from(call.times) * attempts(None, call.to);
    }
    for (index, dependency) in dependencies.iter().enumerate() {
        for call in dependency.calls.iter().flatten() {
            calls[call.to] += calls[index] * f64::from(call.times) * attempts(Some(index), call.to);
        }
    }
    calls
}

/// Refuses a duration that is longer than the most.
fn at_most(table: &Table<'_>, key: &'static str, duration: Option<Duration>, most: Duration) {
    let rule = format!("must be at most {}", duration_text(most));
    table.must(key, duration.is_none_or(|duration| duration <= most), &rule);
}

/// Objectives judge something, and what they judge can be seen within the drill.
fn check_objectives(
    root: &Table<'_>,
    objectives: &[Objective],
    duration: Option<Duration>,
    faults: Option<&[Fault]>,
    variants: Option<&[Variant]>,
) {
    if objectives.is_empty() {
        return;
    }
    if variants.is_some_and(|variants| variants.iter().all(|variant| variant.baseline)) {
        let error = root
            .error("slo", "the objectives judge no variant: all are baselines")
            .absence();
        root.report(error.help("add a [[variant]] without `baseline = true`"));
    }
    let recovery = objectives.iter().find(|objective| objective.goal.name == "recovery");
    let (Some(recovery), Some(faults), Some(duration)) = (recovery, faults, duration) else {
        return;
    };
    let Some(slo) = root.optional_table("slo") else { return };
    let Some(end) = faults.iter().map(Fault::end).max() else {
        let error = slo
            .error("recovery", "`slo.recovery` needs a fault to recover from")
            .absence();
        root.report(error.help("add a [[fault]], or remove this objective"));
        return;
    };
    let needed = end + Duration::from_secs_f64(recovery.limit) + WINDOW;
    if end + WINDOW <= duration && needed > duration {
        let (end, needed) = (duration_text(end), duration_text(needed));
        let error = slo
            .error("recovery", "the drill ends before this objective can be missed")
            .label(format!("counted from {end}, when the last fault is over"))
            .also(root.value_span("duration"), "the drill ends here");
        root.report(error.help(format!(
            "recovery shows in a window of {}: let the drill last {needed} or longer",
            duration_text(WINDOW)
        )));
    }
}
