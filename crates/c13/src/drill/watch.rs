//! How a drill that is running is watched, and how it is stopped.

use std::sync::atomic::{AtomicBool, Ordering};

/// What a run is given to tell how far it is, and to hear that it should stop.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    stop: &'a AtomicBool,
    progress: &'a dyn Fn(Progress<'_>),
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Progress<'a> {
    /// The variant that is simulated.
    pub(crate) variant: &'a str,
    /// How much of its time has passed, from 0 to 1.
    pub(crate) share: f64,
}

/// A run was stopped before its end; nothing came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interrupted;

impl<'a> Watch<'a> {
    /// A watch that stops the run once `stop` is set, and hands on what it tells.
    pub(crate) fn new(stop: &'a AtomicBool, progress: &'a dyn Fn(Progress<'_>)) -> Self {
        Self { stop, progress }
    }

    /// Tells how far the run is, and hears whether it should go on. Cheap enough to be asked for every simulated second.
    ///
    /// # Errors
    ///
    /// The run should stop at once.
    pub(crate) fn tell(&self, progress: Progress<'_>) -> Result<(), Interrupted> {
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
    fn a_run_hears_that_it_should_stop_and_tells_nothing_more() {
        let stop = AtomicBool::new(false);
        let told = RefCell::new(Vec::new());
        let note = |progress: Progress<'_>| told.borrow_mut().push((progress.variant.to_owned(), progress.share));
        let watch = Watch::new(&stop, &note);
        assert_eq!(
            watch.tell(Progress {
                variant: "critical",
                share: 0.5
            }),
            Ok(())
        );
        // Relaxed: one thread.
        stop.store(true, Ordering::Relaxed);
        assert_eq!(
            watch.tell(Progress {
                variant: "critical",
                share: 0.6
            }),
            Err(Interrupted)
        );
        assert_eq!(told.into_inner(), [("critical".to_owned(), 0.5)]);
    }
}
