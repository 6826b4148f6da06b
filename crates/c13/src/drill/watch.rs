//! Watches a running drill, and stops it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::report::DrillReport;

/// Takes reports of progress from a drill, and lets it be stopped.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    stop: &'a AtomicBool,
    progress: &'a dyn Fn(f64),
}

/// A drill was stopped before its end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Interrupted {
    /// What it had found by then: runs with every variant, or one run with some of them, or nothing.
    pub(crate) known: Vec<DrillReport>,
    /// What was known of the runs that were being made.
    pub(crate) unfinished: Vec<Unfinished>,
}

/// How far a run was when the drill was stopped.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unfinished {
    pub(crate) variant: String,
    pub(crate) seed: u64,
    pub(crate) had: Partial,
}

/// What was known of a run that was stopped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Partial {
    /// How much time had been simulated.
    pub(crate) at: Duration,
    /// The requests that had ended by then, and those of them that were answered in time.
    pub(crate) requests: u64,
    pub(crate) in_time: u64,
}

impl Interrupted {
    /// The part of these runs that can be reported. Some of them lack some of the `variants`.
    ///
    /// Those are the whole runs before the first one that lacks a variant: the report names the seeds by the first and the
    /// last. Without one, it is what the first run has.
    pub(crate) fn with(mut runs: Vec<DrillReport>, variants: usize) -> Self {
        let whole = runs.iter().take_while(|run| run.variants.len() == variants).count();
        runs.truncate(whole.max(1));
        runs.retain(|run| !run.variants.is_empty());
        Self {
            known: runs,
            unfinished: Vec::new(),
        }
    }
}

/// The drill should stop at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop;

impl<'a> Watch<'a> {
    /// A watch that stops the drill once `stop` is set, and passes its reports to `progress`.
    pub(crate) fn new(stop: &'a AtomicBool, progress: &'a dyn Fn(f64)) -> Self {
        Self { stop, progress }
    }

    /// Reports the share of the whole drill that is done, from 0 to 1. Cheap enough for every simulated second.
    ///
    /// # Errors
    ///
    /// The drill should stop at once.
    pub(crate) fn report(&self, share: f64) -> Result<(), Stop> {
        // Relaxed: the flag carries no other data, and one second of simulated time sooner or later does not matter.
        if self.stop.load(Ordering::Relaxed) {
            return Err(Stop);
        }
        (self.progress)(share);
        Ok(())
    }
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::fake;
    use std::cell::RefCell;

    #[test]
    fn a_stopped_drill_reports_nothing_more() {
        let stop = AtomicBool::new(false);
        let told = RefCell::new(Vec::new());
        let note = |share: f64| told.borrow_mut().push(share);
        let watch = Watch::new(&stop, &note);
        assert_eq!(watch.report(0.5), Ok(()));
        // Relaxed: one thread.
        stop.store(true, Ordering::Relaxed);
        assert_eq!(watch.report(0.6), Err(Stop));
        assert_eq!(told.into_inner(), [0.5]);
    }

    #[test]
    fn of_an_interrupted_drill_the_first_whole_runs_are_known_or_else_a_part_of_the_first_run() {
        let scenario = fake::scenario();
        for (variants, known) in [
            (&[3, 3, 1][..], &[3, 3][..]),
            (&[3, 0, 3], &[3]),
            (&[2, 3], &[2]),
            (&[1, 0], &[1]),
            (&[0, 0], &[]),
        ] {
            let run = |(seed, variants): (u64, &usize)| {
                let mut run = fake::report(&scenario, seed);
                run.variants.truncate(*variants);
                run
            };
            let runs: Vec<DrillReport> = (42..).zip(variants).map(run).collect();
            let left: Vec<usize> = Interrupted::with(runs, 3)
                .known
                .iter()
                .map(|run| run.variants.len())
                .collect();
            assert_eq!(left, known, "{variants:?}");
        }
    }
}
