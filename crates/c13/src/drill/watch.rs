//! Watches a running drill, and stops it.

use std::sync::atomic::{AtomicBool, Ordering};

/// Takes reports of progress from a run, and lets it be stopped.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    stop: &'a AtomicBool,
    progress: &'a dyn Fn(Progress<'_>),
}

/// The progress of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Progress<'a> {
    /// The variant that is simulated.
    pub(crate) variant: &'a str,
    /// How much of its time has passed, from 0 to 1.
    pub(crate) share: f64,
}

/// A run was stopped before its end and has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interrupted;

impl<'a> Watch<'a> {
    /// A watch that stops the run once `stop` is set, and passes its reports to `progress`.
    pub(crate) fn new(stop: &'a AtomicBool, progress: &'a dyn Fn(Progress<'_>)) -> Self {
        Self { stop, progress }
    }

    /// Reports progress, unless the run should stop. Cheap enough for every simulated second.
    ///
    /// # Errors
    ///
    /// The run should stop at once.
    pub(crate) fn report(&self, progress: Progress<'_>) -> Result<(), Interrupted> {
        // Relaxed: the flag carries no other data, and one second of simulated time sooner or later does not matter.
        if self.stop.load(Ordering::Relaxed) {
            return Err(Interrupted);
        }
        (self.progress)(progress);
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
    use std::cell::RefCell;

    #[test]
    fn a_stopped_run_reports_nothing_more() {
        let stop = AtomicBool::new(false);
        let told = RefCell::new(Vec::new());
        let note = |progress: Progress<'_>| told.borrow_mut().push((progress.variant.to_owned(), progress.share));
        let watch = Watch::new(&stop, &note);
        assert_eq!(
            watch.report(Progress {
                variant: "critical",
                share: 0.5
            }),
            Ok(())
        );
        // Relaxed: one thread.
        stop.store(true, Ordering::Relaxed);
        assert_eq!(
            watch.report(Progress {
                variant: "critical",
                share: 0.6
            }),
            Err(Interrupted)
        );
        assert_eq!(told.into_inner(), [("critical".to_owned(), 0.5)]);
    }
}
