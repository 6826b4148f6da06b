//! What a run found out, as it is kept in `results.json`.

use crate::measure::allocations::{Allocations, Held};
use crate::measure::time::Times;
use crate::median::median;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A whole run.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Results {
    /// Where and how it was made.
    pub(crate) machine: BTreeMap<String, String>,
    /// What was found out, by the name of the case.
    pub(crate) cases: BTreeMap<String, Figures>,
    /// The output of the benches that are programs of their own, by their name.
    pub(crate) others: BTreeMap<String, String>,
}

/// What was found out about a case.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Figures {
    /// One thread.
    pub(crate) one: Option<Spread>,
    /// Two threads that share it.
    pub(crate) two: Option<Spread>,
    /// Instructions a call.
    pub(crate) instructions: Option<f64>,
    /// Allocations a call.
    pub(crate) allocations: Allocations,
    /// The size of a call's future.
    pub(crate) future_bytes: Option<usize>,
    /// The memory of the instance.
    #[serde(default)]
    pub(crate) held: Option<Held>,
}

/// The medians over the passes of a run, and how far the passes lay apart.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Spread {
    /// Of the undisturbed passes, or else of all, the one in the middle.
    pub(crate) median: Times,
    /// The lowest mean of a pass.
    pub(crate) lowest: f64,
    /// The highest mean of a pass.
    pub(crate) highest: f64,
}

impl Spread {
    /// Sums the passes up.
    pub(crate) fn of(passes: &[Times]) -> Option<Self> {
        let undisturbed: Vec<Times> = passes.iter().copied().filter(|pass| pass.quiet).collect();
        let quiet = !undisturbed.is_empty();
        let counted = if quiet { &undisturbed } else { passes };
        let middle = |pick: fn(&Times) -> f64| median(&mut counted.iter().map(pick).collect::<Vec<_>>());
        let means = || passes.iter().map(|pass| pass.mean);
        (!passes.is_empty()).then(|| Self {
            median: Times {
                mean: middle(|pass| pass.mean),
                quiet,
                p50: middle(|pass| pass.p50),
                p99: middle(|pass| pass.p99),
            },
            lowest: means().fold(f64::MAX, f64::min),
            highest: means().fold(0.0, f64::max),
        })
    }
}
